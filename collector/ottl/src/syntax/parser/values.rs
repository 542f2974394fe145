//! Values: literals, paths, converters, and arithmetic over them.

use crate::diagnostic::Problem;
use crate::syntax::ast::{Converter, Expr, ExprKind, Key, Operator, Path, Segment};
use crate::syntax::lexer::TokenKind;
use crate::syntax::text;

use super::{MAX_NESTING, Parsed, Parser};

impl Parser<'_> {
    pub(super) fn value(&mut self) -> Parsed<Expr> {
        self.nested(Self::value_here)
    }

    fn value_here(&mut self) -> Parsed<Expr> {
        let place = self.place();
        let kind = match self.peek() {
            TokenKind::Nil => ExprKind::Nil,
            TokenKind::Bool(value) => ExprKind::Bool(value),
            TokenKind::String => ExprKind::String(self.string()?),
            TokenKind::Bytes => {
                ExprKind::Bytes(text::bytes(self.text()).map_err(|message| Problem::new(&place, message))?)
            }
            TokenKind::Punctuation(b'[') => return self.list(),
            TokenKind::Punctuation(b'{') => return self.map(),
            TokenKind::Punctuation(b'(') if self.is_lambda() => {
                let message = "lambda expressions are not supported (in the original they need the feature gate \
                               `ottl.functions.enableLambda`)";
                return Err(Problem::new(&place, message));
            }
            TokenKind::Uppercase if !self.is_converter() => return self.symbol(),
            _ => return self.sum(),
        };
        self.next();
        let expr = Expr { kind, place };
        if let TokenKind::Operator(_) = self.peek() {
            let message = format!("{} cannot be part of arithmetic", describe(&expr.kind));
            return Err(Problem::new(&expr.place, message));
        }
        Ok(expr)
    }

    /// The symbol of an enumeration, or what looks like one.
    fn symbol(&mut self) -> Parsed<Expr> {
        let (start, place) = (self.at, self.place());
        let name = self.text().to_owned();
        if self.peek_at(1) == TokenKind::Lowercase
            && let Some((name, place)) = self.name()
        {
            self.at = start;
            let problem = Problem::new(&place, format!("expected a value, found the name {name}"));
            return Err(problem.help(Some(format!("a converter is called with parentheses: `{name}(…)`"))));
        }
        self.next();
        if let TokenKind::Operator(_) = self.peek() {
            return Err(Problem::new(&place, format!("the symbol {name} cannot be part of arithmetic")));
        }
        Ok(Expr { kind: ExprKind::Enum(name), place })
    }

    fn string(&self) -> Parsed<String> {
        let place = self.place();
        text::unquote(self.text()).map_err(|(offset, message)| {
            let start = place.start + offset;
            let len = 1 + self.source[start + 1..].chars().next().map_or(0, char::len_utf8);
            Problem::new(&(start..start + len), message)
        })
    }

    /// Whether a converter is called here.
    fn is_converter(&self) -> bool {
        let mut ahead = 0;
        let mut end = self.place().start;
        while let Some(token) = self.tokens.get(self.at + ahead)
            && matches!(token.kind, TokenKind::Uppercase | TokenKind::Lowercase)
            && token.place.start == end
        {
            end = token.place.end;
            ahead += 1;
        }
        self.peek_at(ahead) == TokenKind::Punctuation(b'(')
    }

    fn is_lambda(&self) -> bool {
        let mut ahead = 1;
        loop {
            match self.peek_at(ahead) {
                TokenKind::Lowercase | TokenKind::Underscore | TokenKind::Punctuation(b',') => ahead += 1,
                TokenKind::Punctuation(b')') => return self.peek_at(ahead + 1) == TokenKind::Arrow,
                _ => return false,
            }
        }
    }

    fn list(&mut self) -> Parsed<Expr> {
        let start = self.next().start;
        let mut values = Vec::new();
        // The original takes values without commas, up to the first comma.
        let is_end = |kind| matches!(kind, TokenKind::Punctuation(b',' | b']'));
        while !is_end(self.peek()) {
            values.push(self.value()?);
        }
        while self.take_sign(b',') {
            values.push(self.value()?);
        }
        self.expect(b']', "`,` or `]`")?;
        Ok(Expr { kind: ExprKind::List(values), place: self.since(start) })
    }

    fn map(&mut self) -> Parsed<Expr> {
        let start = self.next().start;
        let mut entries: Vec<(String, Expr)> = Vec::new();
        while !self.take_sign(b'}') {
            if self.peek() != TokenKind::String {
                return self.unexpected("a string as key, or `}`");
            }
            let key = self.string()?;
            self.next();
            self.expect(b':', "`:`")?;
            let value = self.value()?;
            match entries.iter_mut().find(|(found, _)| *found == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
            self.take_sign(b',');
        }
        Ok(Expr { kind: ExprKind::Map(entries), place: self.since(start) })
    }

    fn sum(&mut self) -> Parsed<Expr> {
        self.chain(Self::product, |operator| matches!(operator, Operator::Add | Operator::Sub))
    }

    fn product(&mut self) -> Parsed<Expr> {
        self.chain(Self::signed, |operator| matches!(operator, Operator::Mul | Operator::Div))
    }

    fn chain(
        &mut self,
        operand: impl Fn(&mut Self) -> Parsed<Expr>,
        is_mine: impl Fn(Operator) -> bool,
    ) -> Parsed<Expr> {
        let mut left = operand(self)?;
        let mut length = 0;
        while let TokenKind::Operator(operator) = self.peek()
            && is_mine(operator)
        {
            // Each makes the tree deeper by one.
            length += 1;
            if length > MAX_NESTING {
                return Err(Problem::new(&self.place(), "too long a chain of arithmetic"));
            }
            self.next();
            let right = operand(self)?;
            let place = left.place.start..right.place.end;
            left = Expr { kind: ExprKind::Math(Box::new(left), operator, Box::new(right)), place };
        }
        Ok(left)
    }

    fn signed(&mut self) -> Parsed<Expr> {
        let start = self.place().start;
        let sign = match self.peek() {
            TokenKind::Operator(Operator::Add) => Some(false),
            TokenKind::Operator(Operator::Sub) => Some(true),
            _ => None,
        };
        let Some(minus) = sign else { return self.operand() };
        self.next();
        let operand = self.operand()?;
        Ok(Expr { kind: ExprKind::Sign(minus, Box::new(operand)), place: self.since(start) })
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let place = self.place();
        let kind = match self.peek() {
            TokenKind::Int => {
                let number =
                    text::whole_number(self.text()).map_err(|message| Problem::new(&place, message))?;
                ExprKind::Int(number)
            }
            TokenKind::Float => match self.text().parse() {
                Ok(number) => ExprKind::Double(number),
                Err(_) => return self.unexpected("a number"),
            },
            TokenKind::Punctuation(b'(') => {
                return self.nested(|parser| {
                    parser.next();
                    let inner = parser.sum()?;
                    parser.expect(b')', "an operator or `)`")?;
                    Ok(Expr { kind: inner.kind, place: parser.since(place.start) })
                });
            }
            TokenKind::Uppercase if self.is_converter() => return self.converter(),
            TokenKind::Lowercase => return self.path(),
            TokenKind::String | TokenKind::Bytes | TokenKind::Bool(_) | TokenKind::Nil => {
                let message = format!("`{}` cannot be part of arithmetic", self.text());
                return Err(Problem::new(&place, message));
            }
            _ => return self.unexpected("a value"),
        };
        self.next();
        Ok(Expr { kind, place })
    }

    fn converter(&mut self) -> Parsed<Expr> {
        let Some((name, name_place)) = self.name() else { return self.unexpected("a converter") };
        let start = name_place.start;
        let call = self.call(name, name_place)?;
        let keys = self.keys()?;
        Ok(Expr { kind: ExprKind::Converter(Converter { call, keys }), place: self.since(start) })
    }

    fn path(&mut self) -> Parsed<Expr> {
        let start = self.place().start;
        if self.is_converter() {
            let place = self.name().map_or(start..start, |(_, place)| place);
            let problem = Problem::new(&place, "converter names must start with an uppercase letter");
            return Err(problem);
        }
        let mut segments = Vec::new();
        loop {
            if self.peek() != TokenKind::Lowercase {
                return self.unexpected("the name of a field, in lower case");
            }
            let name = self.text().to_owned();
            let place = self.next();
            let keys = self.keys()?;
            segments.push(Segment { name, keys, place });
            if !self.take_sign(b'.') {
                break;
            }
        }
        // `log.attributesX`: the tokens touch, and yet the second belongs to no rule.
        if self.peek() == TokenKind::Uppercase && self.place().start == self.since(start).end {
            return self.unexpected("a name in lower case");
        }
        Ok(Expr { kind: ExprKind::Path(Path { segments }), place: self.since(start) })
    }

    fn keys(&mut self) -> Parsed<Vec<Key>> {
        let mut keys = Vec::new();
        while self.take_sign(b'[') {
            let place = self.place();
            let (kind, next) = (self.peek(), self.peek_at(1));
            let value = match kind {
                TokenKind::String => {
                    let kind = ExprKind::String(self.string()?);
                    self.next();
                    Expr { kind, place }
                }
                // A number that is not all of the key is no key in the original.
                TokenKind::Int if next == TokenKind::Punctuation(b']') => self.operand()?,
                TokenKind::Int => {
                    self.next();
                    return self.unexpected("`]` after the number");
                }
                TokenKind::Bytes
                | TokenKind::Bool(_)
                | TokenKind::Nil
                | TokenKind::Punctuation(b'[' | b'{') => {
                    return self.unexpected("a string or a whole number as key");
                }
                _ => self.nested(Self::sum)?,
            };
            self.expect(b']', "`]`")?;
            keys.push(Key { value });
        }
        Ok(keys)
    }
}

fn describe(kind: &ExprKind) -> &'static str {
    match kind {
        ExprKind::Nil => "nil",
        ExprKind::Bool(_) => "a boolean",
        ExprKind::String(_) => "a string",
        ExprKind::Bytes(_) => "bytes",
        _ => "this",
    }
}

//! Tokens to a tree, by recursive descent.
//!
//! The grammar of the original is an ordered choice with backtracking. It is followed here without, but
//! for one place: what stands in parentheses may be arithmetic or a condition.

use crate::diagnostic::Problem;

use super::ast::{
    Argument, ArgumentValue, Call, Comparison, Condition, Converter, Expr, ExprKind, Key, Operator, Path,
    Place, Segment, Statement,
};
use super::lexer::{Token, TokenKind, tokens};
use super::text;

/// How deep parentheses, brackets and calls may nest.
const MAX_NESTING: usize = 64;

type Parsed<T> = Result<T, Problem>;

/// Reads an editor with an optional condition.
pub(crate) fn parse_statement(source: &str) -> Parsed<Statement> {
    let mut parser = Parser::new(source)?;
    let statement = parser.statement()?;
    parser.end("the end of the statement, or `where`")?;
    Ok(statement)
}

/// Reads a condition.
pub(crate) fn parse_condition(source: &str) -> Parsed<Condition> {
    let mut parser = Parser::new(source)?;
    let condition = parser.condition()?;
    parser.end("`and`, `or` or the end of the condition")?;
    Ok(condition)
}

/// Reads a value.
#[cfg(test)]
pub(crate) fn parse_value(source: &str) -> Parsed<Expr> {
    let mut parser = Parser::new(source)?;
    let value = parser.value()?;
    parser.end("an operator or the end of the expression")?;
    Ok(value)
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str) -> Parsed<Parser<'s>> {
        Ok(Parser { source, tokens: tokens(source)?, at: 0, nesting: 0 })
    }

    fn peek(&self) -> TokenKind {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> TokenKind {
        self.tokens.get(self.at + ahead).map_or(TokenKind::End, |token| token.kind)
    }

    fn place(&self) -> Place {
        self.tokens.get(self.at).map_or(self.source.len()..self.source.len(), |token| token.place.clone())
    }

    /// From the start of something to what was read last.
    fn since(&self, start: usize) -> Place {
        let end = self.at.checked_sub(1).map_or(start, |last| self.tokens[last].place.end);
        start..end.max(start)
    }

    fn text(&self) -> &'s str {
        &self.source[self.place()]
    }

    fn next(&mut self) -> Place {
        let place = self.place();
        self.at += 1;
        place
    }

    fn take(&mut self, kind: TokenKind) -> bool {
        let found = self.peek() == kind;
        self.at += usize::from(found);
        found
    }

    fn take_sign(&mut self, sign: u8) -> bool {
        self.take(TokenKind::Punctuation(sign))
    }

    fn unexpected<T>(&self, expected: &str) -> Parsed<T> {
        let place = self.place();
        let message = match self.peek() {
            TokenKind::End => format!("expected {expected}, but the text ends"),
            _ => format!("expected {expected}, found `{}`", &self.source[place.clone()]),
        };
        Err(Problem::new(&place, message))
    }

    fn expect(&mut self, sign: u8, expected: &str) -> Parsed<()> {
        match self.take_sign(sign) {
            true => Ok(()),
            false => self.unexpected(expected),
        }
    }

    fn end(&self, expected: &str) -> Parsed<()> {
        match self.peek() {
            TokenKind::End => Ok(()),
            _ => self.unexpected(expected),
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == MAX_NESTING {
            return Err(Problem::new(&self.place(), format!("nested more than {MAX_NESTING} levels deep")));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let Some((name, place)) = self.name() else {
            return self.unexpected("an editor such as `set`");
        };
        if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
            let problem =
                Problem::new(&place, format!("a statement begins with an editor; {name} is a converter"));
            return Err(problem.help(Some("editors begin with a lower-case letter".to_owned())));
        }
        let editor = self.call(name, place)?;
        if self.peek() == TokenKind::Punctuation(b'[') {
            return Err(Problem::new(&self.place(), "an editor gives no value that could be indexed"));
        }
        let has_condition = self.peek() == TokenKind::Lowercase && self.text() == "where";
        let condition = match has_condition {
            true => {
                self.next();
                Some(self.condition()?)
            }
            false => None,
        };
        Ok(Statement { editor, condition })
    }

    /// The name of a function or argument: words of either case, without space between them.
    fn name(&mut self) -> Option<(String, Place)> {
        let start = self.place().start;
        let mut end = start;
        while matches!(self.peek(), TokenKind::Uppercase | TokenKind::Lowercase)
            && (self.place().start == end || end == start)
        {
            end = self.next().end;
        }
        (end > start).then(|| (self.source[start..end].to_owned(), start..end))
    }

    /// What stands behind a function's name.
    fn call(&mut self, name: String, name_place: Place) -> Parsed<Call> {
        self.expect(b'(', &format!("`(` after {name}"))?;
        let arguments = self.nested(|parser| {
            let mut arguments = Vec::new();
            if parser.take_sign(b')') {
                return Ok(arguments);
            }
            loop {
                arguments.push(parser.argument()?);
                if !parser.take_sign(b',') {
                    break;
                }
            }
            parser.expect(b')', "`,` or `)`")?;
            Ok(arguments)
        })?;
        let place = self.since(name_place.start);
        Ok(Call { name, name_place, arguments, place })
    }

    fn argument(&mut self) -> Parsed<Argument> {
        let start = self.at;
        let name = match self.peek() {
            TokenKind::Lowercase => self.name().filter(|_| self.take(TokenKind::Equal)),
            _ => None,
        };
        if name.is_none() {
            self.at = start;
        }
        let value = match self.function_reference() {
            Some((name, place)) => ArgumentValue::Function(name, place),
            None => ArgumentValue::Value(self.value()?),
        };
        Ok(Argument { name, value })
    }

    /// A converter's name without a call.
    fn function_reference(&mut self) -> Option<(String, Place)> {
        let start = self.at;
        if self.peek() == TokenKind::Uppercase
            && let Some((name, place)) = self.name()
            && matches!(self.peek(), TokenKind::Punctuation(b',' | b')'))
            && self.at - start > 1
        {
            return Some((name, place));
        }
        self.at = start;
        None
    }

    fn condition(&mut self) -> Parsed<Condition> {
        let mut terms = vec![self.term()?];
        while self.take(TokenKind::Or) {
            terms.push(self.term()?);
        }
        Ok(single(terms, Condition::Or))
    }

    fn term(&mut self) -> Parsed<Condition> {
        let mut values = vec![self.boolean()?];
        while self.take(TokenKind::And) {
            values.push(self.boolean()?);
        }
        Ok(single(values, Condition::And))
    }

    fn boolean(&mut self) -> Parsed<Condition> {
        if self.take(TokenKind::Not) {
            if self.peek() == TokenKind::Not {
                let problem = Problem::new(&self.place(), "only one `not` can stand before a condition");
                return Err(problem.help(Some("use parentheses".to_owned())));
            }
            return Ok(Condition::Not(Box::new(self.positive()?)));
        }
        self.positive()
    }

    fn positive(&mut self) -> Parsed<Condition> {
        let start = self.at;
        if self.peek() != TokenKind::Punctuation(b'(') {
            return self.comparison();
        }
        match self.comparison() {
            Ok(comparison) => Ok(comparison),
            Err(first) => {
                self.at = start;
                let group = self.nested(|parser| {
                    parser.next();
                    let inner = parser.condition()?;
                    parser.expect(b')', "`and`, `or` or `)`")?;
                    Ok(inner)
                });
                // Of two ways to read it, the one that came further says what is missing.
                group.map_err(|second| if first.place.start > second.place.start { first } else { second })
            }
        }
    }

    fn comparison(&mut self) -> Parsed<Condition> {
        let left = self.value()?;
        if let TokenKind::Comparison(op) = self.peek() {
            self.next();
            let right = self.value()?;
            return Ok(Condition::Comparison(Box::new(Comparison { left, op, right })));
        }
        if self.peek() == TokenKind::Equal {
            return self.unexpected("a comparison such as `==`");
        }
        match left.kind {
            ExprKind::Bool(value) => Ok(Condition::Literal(value)),
            ExprKind::Converter(converter) => Ok(Condition::Converter(converter)),
            ExprKind::Path(_) => {
                let message = "a path alone is no condition: expected a comparison";
                let written = &self.source[left.place.clone()];
                Err(Problem::new(&left.place, message).help(Some(format!("write `{written} == true`"))))
            }
            _ => self.unexpected("a comparison such as `==`"),
        }
    }

    fn value(&mut self) -> Parsed<Expr> {
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

/// The only one, or all of them joined.
fn single(mut conditions: Vec<Condition>, join: impl Fn(Vec<Condition>) -> Condition) -> Condition {
    match conditions.len() {
        1 => conditions.swap_remove(0),
        _ => join(conditions),
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

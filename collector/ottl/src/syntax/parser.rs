//! Tokens to a tree, by recursive descent.
//!
//! The grammar of the original is an ordered choice with backtracking. It is followed here without, but
//! for one place: what stands in parentheses may be arithmetic or a condition.

mod values;

use crate::diagnostic::Problem;

use super::ast::{Argument, ArgumentValue, Call, Comparison, Condition, ExprKind, Place, Statement};
use super::lexer::{Token, TokenKind, tokens};

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
pub(crate) fn parse_value(source: &str) -> Parsed<super::ast::Expr> {
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
}

/// The only one, or all of them joined.
fn single(mut conditions: Vec<Condition>, join: impl Fn(Vec<Condition>) -> Condition) -> Condition {
    match conditions.len() {
        1 => conditions.swap_remove(0),
        _ => join(conditions),
    }
}

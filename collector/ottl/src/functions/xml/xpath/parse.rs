//! Reading expressions, by recursive descent over the grammar of the recommendation.

use super::{Axis, Expression, From, Function, Operator, Step, Test};

/// Parentheses and predicates within each other.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser { rest: text, depth: 0 };
    let expression = parser.expression()?;
    parser.skip_spaces();
    if parser.rest.is_empty() { Ok(expression) } else { Err(format!("unexpected {:?}", parser.rest)) }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

/// Binary operators from the loosest on; all of them group to the left.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("or", Operator::Or)],
    &[("and", Operator::And)],
    &[("!=", Operator::NotEqual), ("=", Operator::Equal)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("*", Operator::Multiply), ("div", Operator::Divide), ("mod", Operator::Modulo)],
];

impl<'a> Parser<'a> {
    fn expression(&mut self) -> Result<Expression, String> {
        if self.depth == MAX_DEPTH {
            return Err("too many parentheses within each other".into());
        }
        self.depth += 1;
        let expression = self.binary(0);
        self.depth -= 1;
        expression
    }

    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        self.skip_spaces();
        operators.iter().find_map(|&(text, operator)| {
            let rest = self.rest.strip_prefix(text)?;
            // A word ends where no name goes on.
            let is_word = text.starts_with(|character: char| character.is_ascii_alphabetic());
            if is_word && rest.starts_with(is_name_part) {
                return None;
            }
            self.rest = rest;
            Some(operator)
        })
    }

    fn unary(&mut self) -> Result<Expression, String> {
        let mut negative = false;
        while self.take("-") {
            negative = !negative;
        }
        let mut left = self.path()?;
        while self.take("|") {
            let right = self.path()?;
            left = Expression::Binary(Operator::Union, Box::new(left), Box::new(right));
        }
        Ok(if negative { Expression::Negate(Box::new(left)) } else { left })
    }

    fn path(&mut self) -> Result<Expression, String> {
        self.skip_spaces();
        let mut steps = Vec::new();
        let from = if self.rest.starts_with("//") {
            From::Root
        } else if self.take("/") {
            if !self.step_follows() {
                return Ok(Expression::Path { from: From::Root, steps });
            }
            steps.push(self.step()?);
            From::Root
        } else if let Some(primary) = self.primary()? {
            let predicates = self.predicates()?;
            let filtered = if predicates.is_empty() {
                primary
            } else {
                Expression::Filter(Box::new(primary), predicates)
            };
            self.skip_spaces();
            if !self.rest.starts_with('/') {
                return Ok(filtered);
            }
            From::Expression(Box::new(filtered))
        } else {
            steps.push(self.step()?);
            From::Context
        };
        loop {
            if self.take("//") {
                steps.push(Step { axis: Axis::DescendantOrSelf, test: Test::Node, predicates: Vec::new() });
            } else if !self.take("/") {
                break;
            }
            steps.push(self.step()?);
        }
        Ok(Expression::Path { from, steps })
    }

    /// A literal, a number, parentheses, or a call that is no test of nodes.
    fn primary(&mut self) -> Result<Option<Expression>, String> {
        self.skip_spaces();
        let Some(first) = self.rest.chars().next() else { return Err("unexpected end".into()) };
        if matches!(first, '"' | '\'') {
            let (text, rest) = self.rest[1..].split_once(first).ok_or("a text is not closed")?;
            self.rest = rest;
            return Ok(Some(Expression::Text(text.into())));
        }
        if first.is_ascii_digit()
            || (first == '.' && self.rest[1..].starts_with(|next: char| next.is_ascii_digit()))
        {
            let end =
                self.rest.find(|next: char| !next.is_ascii_digit() && next != '.').unwrap_or(self.rest.len());
            let number =
                self.rest[..end].parse().map_err(|_| format!("invalid number {:?}", &self.rest[..end]))?;
            self.rest = &self.rest[end..];
            return Ok(Some(Expression::Number(number)));
        }
        if self.take("(") {
            let inner = self.expression()?;
            self.expect(")")?;
            return Ok(Some(inner));
        }
        let before = self.rest;
        if let Some(name) = self.name()
            && !matches!(name, "node" | "text" | "comment" | "processing-instruction")
            && self.take("(")
        {
            return self.call(name).map(Some);
        }
        self.rest = before;
        Ok(None)
    }

    fn call(&mut self, name: &str) -> Result<Expression, String> {
        let (function, least, most) = function(name).ok_or_else(|| format!("unknown function {name}()"))?;
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.expression()?);
                if self.take(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        if !(least..=most).contains(&arguments.len()) {
            return Err(format!("{name}() does not take {} arguments", arguments.len()));
        }
        Ok(Expression::Call(function, arguments))
    }

    fn step_follows(&mut self) -> bool {
        self.skip_spaces();
        self.rest.starts_with(|next: char| is_name_start(next) || matches!(next, '.' | '@' | '*'))
    }

    fn step(&mut self) -> Result<Step, String> {
        self.skip_spaces();
        let abbreviated = |axis| Step { axis, test: Test::Node, predicates: Vec::new() };
        if self.take("..") {
            return Ok(abbreviated(Axis::Parent));
        }
        if self.take(".") {
            return Ok(abbreviated(Axis::Own));
        }
        let axis = if self.take("@") {
            Axis::Attribute
        } else {
            let before = self.rest;
            match self.name() {
                Some(name) if self.take("::") => axis(name).ok_or_else(|| format!("unknown axis {name}"))?,
                _ => {
                    self.rest = before;
                    Axis::Child
                }
            }
        };
        let test = self.test()?;
        Ok(Step { axis, test, predicates: self.predicates()? })
    }

    fn test(&mut self) -> Result<Test, String> {
        if self.take("*") {
            return Ok(Test::Any);
        }
        let name = self.name().ok_or_else(|| match self.rest {
            "" => "unexpected end, expected a step".to_owned(),
            rest => format!("expected a step at {rest:?}"),
        })?;
        if self.rest.starts_with(":*") {
            self.rest = &self.rest[2..];
            return Ok(Test::Prefix(name.into()));
        }
        let local = self.rest.strip_prefix(':').filter(|rest| rest.starts_with(is_name_start));
        if let Some(rest) = local {
            self.rest = rest;
            let local = self.name().unwrap_or_default();
            return Ok(Test::Name(format!("{name}:{local}")));
        }
        if !self.take("(") {
            return Ok(Test::Name(name.into()));
        }
        let test = match name {
            "node" => Test::Node,
            "text" => Test::Text,
            "comment" => Test::Comment,
            "processing-instruction" => Test::Instruction,
            _ => return Err(format!("{name}() cannot be a step")),
        };
        self.expect(")")?;
        Ok(test)
    }

    fn predicates(&mut self) -> Result<Vec<Expression>, String> {
        let mut predicates = Vec::new();
        while self.take("[") {
            predicates.push(self.expression()?);
            self.expect("]")?;
        }
        Ok(predicates)
    }

    fn name(&mut self) -> Option<&'a str> {
        self.skip_spaces();
        if !self.rest.starts_with(is_name_start) {
            return None;
        }
        let (name, rest) =
            self.rest.split_at(self.rest.find(|next| !is_name_part(next)).unwrap_or(self.rest.len()));
        self.rest = rest;
        Some(name)
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, text: &str) -> bool {
        self.skip_spaces();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        if self.take(text) { Ok(()) } else { Err(format!("expected {text:?} at {:?}", self.rest)) }
    }
}

fn is_name_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_name_part(character: char) -> bool {
    is_name_start(character) || character.is_numeric() || matches!(character, '-' | '.')
}

fn axis(name: &str) -> Option<Axis> {
    Some(match name {
        "ancestor" => Axis::Ancestor,
        "ancestor-or-self" => Axis::AncestorOrSelf,
        "attribute" => Axis::Attribute,
        "child" => Axis::Child,
        "descendant" => Axis::Descendant,
        "descendant-or-self" => Axis::DescendantOrSelf,
        "following" => Axis::Following,
        "following-sibling" => Axis::FollowingSibling,
        "parent" => Axis::Parent,
        "preceding" => Axis::Preceding,
        "preceding-sibling" => Axis::PrecedingSibling,
        "self" => Axis::Own,
        _ => return None,
    })
}

/// A function, and how many arguments it takes at least and at most.
fn function(name: &str) -> Option<(Function, usize, usize)> {
    Some(match name {
        "boolean" => (Function::Boolean, 1, 1),
        "ceiling" => (Function::Ceiling, 1, 1),
        "concat" => (Function::Concat, 2, usize::MAX),
        "contains" => (Function::Contains, 2, 2),
        "count" => (Function::Count, 1, 1),
        "ends-with" => (Function::EndsWith, 2, 2),
        "false" => (Function::False, 0, 0),
        "floor" => (Function::Floor, 1, 1),
        "last" => (Function::Last, 0, 0),
        "local-name" => (Function::LocalName, 0, 1),
        "lower-case" => (Function::LowerCase, 1, 1),
        "name" => (Function::Name, 0, 1),
        "normalize-space" => (Function::NormalizeSpace, 0, 1),
        "not" => (Function::Not, 1, 1),
        "number" => (Function::Number, 0, 1),
        "position" => (Function::Position, 0, 0),
        "round" => (Function::Round, 1, 1),
        "starts-with" => (Function::StartsWith, 2, 2),
        "string" => (Function::String, 0, 1),
        "string-length" => (Function::StringLength, 0, 1),
        "substring" => (Function::Substring, 2, 3),
        "substring-after" => (Function::SubstringAfter, 2, 2),
        "substring-before" => (Function::SubstringBefore, 2, 2),
        "sum" => (Function::Sum, 1, 1),
        "translate" => (Function::Translate, 3, 3),
        "true" => (Function::True, 0, 0),
        _ => return None,
    })
}

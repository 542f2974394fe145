//! XPath 1.0: the whole of its expressions, without variables and namespaces.
//!
//! A prefix is a part of a name here, as it is in the original. Evaluation counts the nodes that it looks
//! at and gives up at [`MAX_VISITS`], since predicates within predicates take more than linear time.

mod eval;
mod parse;

pub(super) use eval::Match;

use super::Document;
use crate::EvalError;

/// How many nodes one evaluation may look at.
pub(super) const MAX_VISITS: usize = 2_000_000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct XPath {
    expression: Expression,
}

impl XPath {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// Malformed expressions, and functions and axes that there are not.
    pub fn new(text: &str) -> Result<Self, EvalError> {
        let expression = parse::parse(text)
            .map_err(|problem| EvalError::new(format!("invalid xpath {text:?}: {problem}")))?;
        Ok(Self { expression })
    }

    /// The nodes that match, in the order of the document. An expression that is no node-set matches
    /// nothing.
    ///
    /// # Errors
    ///
    /// More than [`MAX_VISITS`] nodes to look at.
    pub(super) fn select(&self, document: &Document) -> Result<Vec<Match>, EvalError> {
        eval::select(&self.expression, document)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Binary(Operator, Box<Expression>, Box<Expression>),
    Negate(Box<Expression>),
    Text(String),
    Number(f64),
    Call(Function, Vec<Expression>),
    Path {
        from: From,
        steps: Vec<Step>,
    },
    /// An expression in parentheses, or a call, with predicates.
    Filter(Box<Expression>, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
    Union,
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq)]
enum From {
    Root,
    Context,
    Expression(Box<Expression>),
}

#[derive(Clone, Debug, PartialEq)]
struct Step {
    axis: Axis,
    test: Test,
    predicates: Vec<Expression>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Ancestor,
    AncestorOrSelf,
    Attribute,
    Child,
    Descendant,
    DescendantOrSelf,
    Following,
    FollowingSibling,
    Parent,
    Preceding,
    PrecedingSibling,
    Own,
}

/// Which nodes of an axis count.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// An element, or an attribute on its axis, of this name.
    Name(String),
    /// Any element or attribute.
    Any,
    /// One whose name has this prefix.
    Prefix(String),
    Node,
    Text,
    Comment,
    Instruction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Boolean,
    Ceiling,
    Concat,
    Contains,
    Count,
    EndsWith,
    False,
    Floor,
    Last,
    LocalName,
    LowerCase,
    Name,
    NormalizeSpace,
    Not,
    Number,
    Position,
    Round,
    StartsWith,
    String,
    StringLength,
    Substring,
    SubstringAfter,
    SubstringBefore,
    Sum,
    Translate,
    True,
}

#[cfg(test)]
mod tests {
    use super::super::get;
    use super::*;

    const TEXT: &str = "<r a=\"1\"><x id=\"1\">one</x><x id=\"2\">two<y k=\"v\">deep</y></x><!-- c --><z:w>ns</z:w><n>3</n><n>4</n></r>";

    fn found(path: &str) -> String {
        get(TEXT, &XPath::new(path).unwrap()).unwrap()
    }

    #[test]
    fn selects() {
        let cases = [
            ("/r/x[1]", "<x id=\"1\">one</x>"),
            ("//y", "<y k=\"v\">deep</y>"),
            ("/r/x[@id='2']/y/text()", "deep"),
            ("/r/x[last()]/@id", "2"),
            ("//x[y]/@id", "2"),
            ("//@k", "v"),
            ("/r/*[position()=4]", "<n>3</n>"),
            ("//z:w", "<z:w>ns</z:w>"),
            ("//z:*", "<z:w>ns</z:w>"),
            ("//y/..", "<x id=\"2\">two<y k=\"v\">deep</y></x>"),
            ("//y/ancestor::r/@a", "1"),
            ("//n[. > 3]", "<n>4</n>"),
            ("//n[.=3 or .='4'][2]", "<n>4</n>"),
            ("//x[contains(., 'we') or starts-with(text(), 'one')]/@id", "1"),
            ("//n[1] | //x[1]", "<x id=\"1\">one</x><n>3</n>"),
            ("/r/x[2]/following-sibling::n[1]", "<n>3</n>"),
            ("/r/n[2]/preceding-sibling::*[1]", "<n>3</n>"),
            ("//y/following::n", "<n>3</n><n>4</n>"),
            ("//n/preceding::y", "<y k=\"v\">deep</y>"),
            ("/r/child::x/attribute::id", "12"),
            ("/r[count(x) = 2]/@a", "1"),
            ("/r[sum(n) = 7 and not(q)]/@a", "1"),
            ("//x[string-length(.) = 3]/@id", "1"),
            ("(//n)[2]", "<n>4</n>"),
            ("//*[local-name() = 'w']", "<z:w>ns</z:w>"),
            ("//*[name() = 'z:w']", "<z:w>ns</z:w>"),
            ("//x[@id = 1 + 1]/@id", "2"),
            ("//n[. mod 2 = 0]", "<n>4</n>"),
            ("//n[-. = -3]", "<n>3</n>"),
            ("//x[normalize-space(substring(., 2)) = 'ne']/@id", "1"),
            ("//x[translate(., 'one', 'ONE') = 'ONE']/@id", "1"),
            ("//x[substring-before(., 'e') = 'on']/@id", "1"),
            ("//x[concat(@id, '-') = '2-']/@id", "2"),
            ("//y/ancestor-or-self::*/@k", "v"),
            ("/descendant::y", "<y k=\"v\">deep</y>"),
            ("//x[not(@id='1')]/y/self::node()", "<y k=\"v\">deep</y>"),
            ("//missing", ""),
            ("//x[boolean(y) = true()]/@id", "2"),
            ("//n[number(.) != 3]", "<n>4</n>"),
            ("//n[floor(. div 2) = 1]", "<n>3</n>"),
            ("r/n[2]", "<n>4</n>"),
            ("//n[ends-with(., '4')]", "<n>4</n>"),
            ("count(//n)", ""),
            ("//x[@id<=1]/@id", "1"),
            ("//div", ""),
            ("//x[round(1.5) = 2][1]/@id", "1"),
        ];
        for (path, expected) in cases {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    #[test]
    fn refuses() {
        for path in [
            "",
            "///",
            "/a[",
            "/a[]",
            "//",
            "/a/",
            "a b",
            "nope()",
            "count()",
            "@",
            "/a[1",
            "'open",
            "$v",
            "axis::a",
            "(",
            "a]",
            "a/@",
            "1 +",
            "!",
            "text(1)",
            &"(".repeat(1000),
        ] {
            assert!(XPath::new(path).is_err(), "{path}");
        }
    }

    #[test]
    fn visits_are_bounded() {
        let text = format!("<a>{}</a>", "<b/>".repeat(3000));
        let path = XPath::new("//*[count(//*[count(//*) > 0]) > 0]").unwrap();
        assert!(get(&text, &path).unwrap_err().message().contains("nodes"));
        assert!(get(&text, &XPath::new("//b[last()]").unwrap()).is_ok());
    }
}

//! What may stand at a place of the configuration.

use super::described::{Described, Written};
use super::references::Capability;

/// What may stand at a place. Beside it, a `${…}` may always stand for a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Whatever.
    Any,
    /// Nothing: a key that is known and not offered.
    Nothing,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer {
        /// The least.
        least: i128,
        /// The most.
        most: i128,
    },
    /// A number.
    Number {
        /// The least, where there is one.
        least: Option<f64>,
        /// The most, where there is one.
        most: Option<f64>,
    },
    /// A text.
    Text,
    /// A text that is never shown.
    Secret,
    /// Names with secret values: a map, or a list of `{name, value}`.
    SecretMap,
    /// A duration in Go's words.
    Duration,
    /// The id of a component: `type` or `type/name`.
    Id,
    /// One of these words.
    Words {
        /// The words.
        words: Vec<Word>,
        /// Upper and lower case count the same.
        any_case: bool,
    },
    /// A list; also a text with commas.
    List(Box<Shape>),
    /// Names of one's own with values.
    Map(Box<Shape>),
    /// The same, where nothing differs from the zero of it.
    Optional(Box<Shape>),
    /// Known keys.
    Section(Section),
    /// A section that takes `enabled`, and is off where that says so.
    Block {
        /// Its keys.
        of: Box<Shape>,
        /// On with all defaults when its key is there with nothing below it.
        present: bool,
    },
    /// Known keys, which depend on the word at one of them.
    Tagged {
        /// The type's name.
        name: &'static str,
        /// What it is.
        description: String,
        /// The key with the word.
        tag: &'static str,
        /// The words, and the keys that come with each.
        variants: Vec<(Word, Shape)>,
    },
    /// One of several forms.
    OneOf(Vec<Shape>),
}

/// A word that a setting takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// What it means.
    pub description: String,
    /// Other words for the same.
    pub aliases: Vec<&'static str>,
}

/// A set of known keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The type's name.
    pub name: &'static str,
    /// What it is.
    pub description: String,
    /// Other keys are refused.
    pub closed: bool,
    /// The keys, in the order of the type.
    pub keys: Vec<Key>,
}

/// A known key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Other names for it, which are deprecated.
    pub aliases: Vec<&'static str>,
    /// What it sets.
    pub description: String,
    /// What may stand there.
    pub shape: Shape,
    /// What stands for it where it is absent.
    pub default: Option<Written>,
    /// It must be there.
    pub required: bool,
    /// It names an extension that does this, unless what stands there is one of its words.
    pub names: Option<Capability>,
    /// How far it is offered.
    pub status: Status,
}

/// How far a key is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// In full.
    #[default]
    Offered,
    /// It is known, and refused where it asks for anything; says why.
    Unsupported(String),
    /// It is taken and changes nothing; says why.
    NoEffect(String),
    /// It is taken; says what to write instead.
    Deprecated(String),
}

impl Shape {
    /// One of these words.
    pub fn words(names: &[&'static str]) -> Shape {
        let words = names.iter().map(|name| Word::new(name, &[], &[])).collect();
        Shape::Words { words, any_case: false }
    }

    /// Sections that a word chooses from.
    pub fn tagged(
        name: &'static str,
        docs: &[&str],
        tag: &'static str,
        variants: Vec<(Word, Shape)>,
    ) -> Shape {
        Shape::Tagged { name, description: prose(docs), tag, variants }
    }

    /// The same, not below `bound`; for numbers.
    #[must_use]
    pub fn at_least(mut self, bound: impl Into<f64>) -> Shape {
        let bound = bound.into();
        match self.innermost() {
            Shape::Integer { least, .. } => *least = bound as i128,
            Shape::Number { least, .. } => *least = Some(bound),
            _ => {}
        }
        self
    }

    /// The same, not above `bound`; for numbers.
    #[must_use]
    pub fn at_most(mut self, bound: impl Into<f64>) -> Shape {
        let bound = bound.into();
        match self.innermost() {
            Shape::Integer { most, .. } => *most = bound as i128,
            Shape::Number { most, .. } => *most = Some(bound),
            _ => {}
        }
        self
    }

    fn innermost(&mut self) -> &mut Shape {
        match self {
            Shape::Optional(inner) => inner.innermost(),
            other => other,
        }
    }

    /// The section inside, whatever is around it.
    pub fn section(&self) -> Option<&Section> {
        match self {
            Shape::Section(section) => Some(section),
            Shape::Block { of, .. } | Shape::Optional(of) => of.section(),
            _ => None,
        }
    }
}

impl Shape {
    /// The paths of the sections that have a key of this name, without those inside lists and maps.
    pub(crate) fn places_of<'s>(
        &'s self,
        name: &str,
        path: &mut Vec<&'s str>,
        found: &mut Vec<Vec<&'s str>>,
    ) {
        let Some(section) = self.section() else { return };
        if section.keys.iter().any(|key| key.name == name || key.aliases.contains(&name)) {
            found.push(path.clone());
        }
        for key in &section.keys {
            path.push(key.name);
            key.shape.places_of(name, path, found);
            path.pop();
        }
    }
}

impl Word {
    /// A word and its doc comment.
    pub fn new(name: &'static str, docs: &[&str], aliases: &[&'static str]) -> Word {
        Word { name, description: prose(docs), aliases: aliases.to_vec() }
    }

    /// All words for it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

impl Section {
    /// A type's keys and its doc comment.
    pub fn new(name: &'static str, docs: &[&str], closed: bool, keys: Vec<Key>) -> Section {
        Section { name, description: prose(docs), closed, keys }
    }

    /// The keys of `T`; none if it is no section.
    pub fn keys_of<T: Described>() -> Vec<Key> {
        T::shape().section().map(|section| section.keys.clone()).unwrap_or_default()
    }
}

impl Key {
    /// A key and its doc comment.
    pub fn new(name: &'static str, shape: Shape, docs: &[&str]) -> Key {
        Key {
            name,
            aliases: Vec::new(),
            description: prose(docs),
            shape,
            default: None,
            required: false,
            names: None,
            status: Status::Offered,
        }
    }

    /// What stands for it where it is absent.
    #[must_use]
    pub fn with_default(mut self, default: Option<Written>) -> Key {
        self.default = default;
        self
    }

    /// Another name for it.
    #[must_use]
    pub fn alias(mut self, name: &'static str) -> Key {
        self.aliases.push(name);
        self
    }

    /// It must be there.
    #[must_use]
    pub fn required(mut self) -> Key {
        self.required = true;
        self.default = None;
        self
    }

    /// It names an extension that does this.
    #[must_use]
    pub fn naming(mut self, capability: Capability) -> Key {
        self.names = Some(capability);
        self
    }

    /// It must be there, unless its type can do without.
    #[must_use]
    pub fn required_unless_optional(self) -> Key {
        match self.shape {
            Shape::Optional(_) | Shape::Nothing => self,
            _ => self.required(),
        }
    }

    /// It is refused where it asks for anything.
    #[must_use]
    pub fn unsupported(mut self, why: impl Into<String>) -> Key {
        self.status = Status::Unsupported(why.into());
        self
    }

    /// It is taken and changes nothing.
    #[must_use]
    pub fn no_effect(mut self, why: impl Into<String>) -> Key {
        self.status = Status::NoEffect(why.into());
        self
    }

    /// It is taken, and something else should be written.
    #[must_use]
    pub fn deprecated(mut self, instead: impl Into<String>) -> Key {
        self.status = Status::Deprecated(instead.into());
        self
    }

    /// What it sets, and how far it is offered.
    pub fn full_description(&self) -> String {
        let status = match &self.status {
            Status::Offered => return self.description.clone(),
            Status::Unsupported(why) => format!("Not supported: {why}."),
            Status::NoEffect(why) => format!("Has no effect: {why}."),
            Status::Deprecated(instead) => format!("Deprecated: {instead}."),
        };
        if self.description.is_empty() { status } else { format!("{} {status}", self.description) }
    }
}

/// A doc comment as prose: lines joined, paragraphs kept, links to Rust items taken out.
fn prose(docs: &[&str]) -> String {
    let mut out = String::new();
    for line in docs.iter().flat_map(|lines| lines.split('\n')).map(str::trim) {
        if line.is_empty() {
            if !out.is_empty() && !out.ends_with("\n\n") {
                out += "\n\n";
            }
            continue;
        }
        if !out.is_empty() && !out.ends_with('\n') {
            out.push(' ');
        }
        out += line;
    }
    out.replace("[`", "`").replace("`]", "`").trim_end().to_owned()
}

//! The reference documentation of one component, as Markdown.

use std::fmt::Write as _;

use super::described::Written;
use super::shape::{Key, Section, Shape, Status, Word};

/// What a page says before its settings.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The heading.
    pub title: String,
    /// A line before everything else, for example the way back.
    pub breadcrumb: String,
    /// What there is to know at a glance: names and values.
    pub facts: Vec<(String, String)>,
}

/// The page of what has `shape`: a table of keys for each section.
pub fn reference_page(page: &Page, shape: &Shape) -> String {
    let mut out = format!(
        "<!-- Generated from the types that decode the settings: do not edit. -->\n\n{}\n\n# {}\n",
        page.breadcrumb, page.title
    );
    if let Some(section) = shape.section()
        && !section.description.is_empty()
    {
        let _ = write!(out, "\n{}\n", section.description);
    }
    if !page.facts.is_empty() {
        out += "\n| | |\n|---|---|\n";
        for (name, value) in &page.facts {
            let _ = writeln!(out, "| {name} | {value} |");
        }
    }
    out += "\n## Settings\n";
    let mut tables = Tables { out, open: Vec::new() };
    tables.shape("", shape);
    tables.out
}

/// Sections still to be written, in order.
struct Tables {
    out: String,
    open: Vec<(String, Shape)>,
}

impl Tables {
    fn shape(&mut self, path: &str, shape: &Shape) {
        self.one(path, shape);
        while !self.open.is_empty() {
            let (path, shape) = self.open.remove(0);
            let _ = write!(self.out, "\n### `{path}`\n");
            if let Some(section) = shape.section()
                && !section.description.is_empty()
            {
                let _ = write!(self.out, "\n{}\n", section.description);
            }
            // What lies deeper follows at once, so that a page reads like a configuration.
            let later = std::mem::take(&mut self.open);
            self.one(&path, &shape);
            self.open.extend(later);
        }
    }

    fn one(&mut self, path: &str, shape: &Shape) {
        match shape {
            Shape::Section(section) => self.section(path, section, false),
            Shape::Block { of, .. } => match of.section() {
                Some(section) => self.section(path, section, true),
                None => self.one(path, of),
            },
            Shape::Optional(of) | Shape::List(of) | Shape::Map(of) => self.one(path, of),
            Shape::Tagged { tag, variants, .. } => self.tagged(path, tag, variants),
            Shape::OneOf(choices) => {
                for choice in choices {
                    self.one(path, choice);
                }
            }
            _ => {}
        }
    }

    fn tagged(&mut self, path: &str, tag: &str, variants: &[(Word, Shape)]) {
        for (word, shape) in variants {
            let _ = write!(self.out, "\n**`{tag}: {}`** {}\n", word.name, word.description);
            if let Some(section) = shape.section().filter(|section| !section.keys.is_empty()) {
                self.section(path, section, false);
            }
        }
    }

    fn section(&mut self, path: &str, section: &Section, is_block: bool) {
        if section.keys.is_empty() && !is_block {
            self.out += "\nThere are none.\n";
            return;
        }
        self.out += "\n| Key | Type | Default | Description |\n|---|---|---|---|\n";
        if is_block {
            self.out += "| `enabled` | boolean | | `false` turns the block off. |\n";
        }
        for key in &section.keys {
            self.key(path, key);
        }
    }

    fn key(&mut self, path: &str, key: &Key) {
        let below = if path.is_empty() { key.name.to_owned() } else { format!("{path}::{}", key.name) };
        let unsupported = matches!(key.status, Status::Unsupported(_));
        let nested = inner(&key.shape).filter(|_| !unsupported);
        let name = match nested {
            Some(_) => format!("[`{}`](#{})", key.name, anchor(&below)),
            None => format!("`{}`", key.name),
        };
        let mut description = cell(&key.full_description());
        for alias in &key.aliases {
            let _ = write!(description, " Also `{alias}`, which is deprecated.");
        }
        description += &words_of(&key.shape);
        let default = match (&key.default, nested) {
            _ if key.required => "required".to_owned(),
            (None, Some(_)) if matches!(key.shape, Shape::Block { .. }) => "off".to_owned(),
            (Some(_), Some(_)) if matches!(key.shape, Shape::Block { .. }) => "on".to_owned(),
            (Some(Written::Array(items)), _) if items.is_empty() => "`[]`".to_owned(),
            (_, Some(_)) | (None, None) => String::new(),
            (Some(Written::String(text)), None) if text.is_empty() => "`\"\"`".to_owned(),
            (Some(Written::String(text)), None) => format!("`{text}`"),
            (Some(default), None) => format!("`{default}`"),
        };
        let kind = if unsupported { "–".to_owned() } else { type_of(&key.shape) };
        let _ = writeln!(self.out, "| {name} | {kind} | {default} | {description} |");
        if let Some(shape) = nested {
            self.open.push((below, shape.clone()));
        }
    }
}

/// The part of a shape that has keys of its own.
fn inner(shape: &Shape) -> Option<&Shape> {
    match shape {
        Shape::Section(section) => (!section.keys.is_empty()).then_some(shape),
        Shape::Block { .. } | Shape::Tagged { .. } => Some(shape),
        Shape::Optional(of) | Shape::List(of) | Shape::Map(of) => inner(of),
        Shape::OneOf(choices) => choices.iter().any(|choice| inner(choice).is_some()).then_some(shape),
        _ => None,
    }
}

fn type_of(shape: &Shape) -> String {
    match shape {
        Shape::Any => "any".into(),
        Shape::Nothing => "–".into(),
        Shape::Bool => "boolean".into(),
        Shape::Integer { least, most } => match (i64::try_from(*least), i64::try_from(*most)) {
            (Ok(i64::MIN), _) => "integer".into(),
            (Ok(least), Ok(most))
                if most < i64::from(u32::MAX) && i128::from(least) > i128::from(i32::MIN) =>
            {
                format!("integer, {least} to {most}")
            }
            (Ok(least @ 0..), _) => format!("integer, at least {least}"),
            _ => "integer".into(),
        },
        Shape::Number { least: Some(least), most: Some(most) } => format!("number, {least} to {most}"),
        Shape::Number { least: Some(least), .. } => format!("number, at least {least}"),
        Shape::Number { .. } => "number".into(),
        Shape::Text => "string".into(),
        Shape::Secret => "secret string".into(),
        Shape::SecretMap => "map of secret strings".into(),
        Shape::Duration => "duration".into(),
        Shape::Id => "component id".into(),
        Shape::Words { words, .. } => {
            words.iter().map(|word| format!("`{}`", quoted(word.name))).collect::<Vec<_>>().join(", ")
        }
        Shape::List(items) => format!("list of {}", plural(&type_of(items))),
        Shape::Map(values) => format!("map of {}", plural(&type_of(values))),
        Shape::Optional(of) => type_of(of),
        Shape::Section(_) => "section".into(),
        Shape::Block { .. } => "block".into(),
        Shape::Tagged { .. } => "section".into(),
        Shape::OneOf(choices) => {
            let mut names: Vec<String> = choices.iter().map(type_of).collect();
            names.dedup();
            names.join(" or ")
        }
    }
}

fn quoted(word: &str) -> &str {
    if word.is_empty() { "\"\"" } else { word }
}

fn plural(name: &str) -> String {
    match name {
        _ if name.starts_with('`') => format!("one of {name}"),
        "any" => "anything".into(),
        _ => match name.split_once(',') {
            Some((noun, rest)) => format!("{noun}s,{rest}"),
            None => format!("{name}s"),
        },
    }
}

/// What the words mean, where that is said.
fn words_of(shape: &Shape) -> String {
    match shape {
        Shape::Words { words, .. } if words.iter().any(|word| !word.description.is_empty()) => words
            .iter()
            .map(|word| format!("<br>`{}`: {}", quoted(word.name), cell(&word.description)))
            .collect(),
        Shape::Optional(of) | Shape::List(of) => words_of(of),
        _ => String::new(),
    }
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace("\n\n", "<br>").replace('\n', " ").replace('|', "\\|")
}

/// As GitHub makes anchors of headings: letters and digits kept, spaces as dashes, the rest dropped.
fn anchor(path: &str) -> String {
    path.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect::<String>().to_lowercase()
}

//! A resolved tree as text again: YAML as go-yaml indents it, or JSON. Secrets stay hidden unless asked for.

#[cfg(test)]
mod tests;

use crate::node::{Entry, Node, Value};
use crate::opaque::REDACTED;
use crate::path::KeyPath;
use crate::problems::Readings;
use crate::url_password::without_passwords;
use crate::yaml::scalar;
use std::collections::HashSet;

/// Whether secrets are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// As `[REDACTED]`.
    Hidden,
    /// As they are.
    Shown,
}

/// The tree as YAML. `readings` are those of the report into which all components were read. Where secrets are hidden, so is
/// what nobody could read (keys and types that are not known, maps and lists where none belong): that may be a misspelled
/// secret.
pub fn to_yaml(root: &Node, readings: &Readings, secrets: Secrets) -> String {
    let mut printer = Printer::new(readings, secrets);
    match printer.shape(root) {
        Shape::Scalar(scalar) => printer.out += &scalar,
        Shape::Map(entries) => printer.yaml_map(entries, 0, false),
        Shape::List(items) => printer.yaml_list(items, 0, false),
    }
    if !printer.out.ends_with('\n') {
        printer.out.push('\n');
    }
    printer.out
}

/// The tree as JSON; see [`to_yaml`].
pub fn to_json(root: &Node, readings: &Readings, secrets: Secrets) -> String {
    let mut printer = Printer::new(readings, secrets);
    printer.json(root, 0);
    printer.out.push('\n');
    printer.out
}

enum Shape<'a> {
    /// As it is written in YAML.
    Scalar(String),
    List(&'a [Node]),
    Map(&'a [Entry]),
}

struct Printer<'a> {
    secrets: Secrets,
    hidden: HashSet<&'a KeyPath>,
    texts: HashSet<&'a KeyPath>,
    path: KeyPath,
    out: String,
}

impl<'a> Printer<'a> {
    fn new(readings: &'a Readings, secrets: Secrets) -> Printer<'a> {
        let hidden = match secrets {
            Secrets::Hidden => readings.secrets.iter().chain(&readings.unread).collect(),
            Secrets::Shown => HashSet::new(),
        };
        let texts = readings.texts.iter().collect();
        Printer { secrets, hidden, texts, path: KeyPath::root(), out: String::new() }
    }

    /// The value as it was read: a secret, a text, or what it is.
    fn value<'n>(&self, node: &'n Node) -> std::borrow::Cow<'n, Value> {
        use std::borrow::Cow;
        if self.hidden.contains(&self.path) {
            return Cow::Owned(Value::String(REDACTED.into()));
        }
        if let (Secrets::Hidden, Value::String(text)) = (self.secrets, node.plain())
            && let Cow::Owned(text) = without_passwords(text)
        {
            return Cow::Owned(Value::String(text.into()));
        }
        match node.value() {
            Value::Expanded(expanded) if self.texts.contains(&self.path) => {
                Cow::Owned(Value::String(expanded.text.clone()))
            }
            _ => Cow::Borrowed(node.plain()),
        }
    }

    fn shape<'n>(&self, node: &'n Node) -> Shape<'n> {
        match (&*self.value(node), node.plain()) {
            (Value::List(_), Value::List(items)) => Shape::List(items),
            (Value::Map(_), Value::Map(map)) => Shape::Map(map.entries()),
            (value, _) => Shape::Scalar(yaml_scalar(value)),
        }
    }

    fn indent(&mut self, depth: usize, follows_dash: bool) {
        if !follows_dash {
            self.out.extend(std::iter::repeat_n(' ', depth));
        }
    }

    fn yaml_map(&mut self, entries: &[Entry], depth: usize, follows_dash: bool) {
        if entries.is_empty() {
            self.out += "{}\n";
        }
        for (index, entry) in entries.iter().enumerate() {
            self.indent(depth, follows_dash && index == 0);
            self.out += &yaml_text(&entry.key);
            self.out.push(':');
            let length = self.path.len();
            self.path.push(entry.key.clone());
            match self.shape(&entry.value) {
                Shape::Scalar(scalar) => {
                    self.out.push(' ');
                    self.out += &scalar;
                    self.out.push('\n');
                }
                Shape::Map([]) => self.out += " {}\n",
                Shape::List([]) => self.out += " []\n",
                Shape::Map(entries) => {
                    self.out.push('\n');
                    self.yaml_map(entries, deeper(depth), false);
                }
                Shape::List(items) => {
                    self.out.push('\n');
                    self.yaml_list(items, deeper(depth), false);
                }
            }
            self.path.truncate(length);
        }
    }

    fn yaml_list(&mut self, items: &[Node], depth: usize, follows_dash: bool) {
        if items.is_empty() {
            self.out += "[]\n";
        }
        for (index, item) in items.iter().enumerate() {
            self.indent(depth, follows_dash && index == 0);
            self.out += "- ";
            let length = self.path.len();
            self.path.push(index.to_string());
            match self.shape(item) {
                Shape::Scalar(scalar) => {
                    self.out += &scalar;
                    self.out.push('\n');
                }
                Shape::Map(entries) => self.yaml_map(entries, depth + 2, true),
                Shape::List(items) => self.yaml_list(items, depth + 2, true),
            }
            self.path.truncate(length);
        }
    }

    fn json(&mut self, node: &Node, depth: usize) {
        match (&*self.value(node), node.plain()) {
            (Value::List(_), Value::List(items)) => {
                self.json_all(
                    items.iter().enumerate().map(|(index, item)| (index.to_string(), item)),
                    ['[', ']'],
                    depth,
                );
            }
            (Value::Map(_), Value::Map(map)) => {
                let entries = map.entries().iter().map(|entry| (entry.key.to_string(), &entry.value));
                self.json_all(entries, ['{', '}'], depth);
            }
            (value, _) => self.out += &json_scalar(value),
        }
    }

    fn json_all<'n>(
        &mut self,
        children: impl Iterator<Item = (String, &'n Node)>,
        brackets: [char; 2],
        depth: usize,
    ) {
        self.out.push(brackets[0]);
        let mut any = false;
        for (key, child) in children {
            self.out += if any { ",\n" } else { "\n" };
            any = true;
            self.indent(depth + 2, false);
            if brackets[0] == '{' {
                self.out += &json_text(&key);
                self.out += ": ";
            }
            let length = self.path.len();
            self.path.push(key);
            self.json(child, depth + 2);
            self.path.truncate(length);
        }
        if any {
            self.out.push('\n');
            self.indent(depth, false);
        }
        self.out.push(brackets[1]);
    }
}

/// The next multiple of four, also from within an item of a list.
fn deeper(depth: usize) -> usize {
    (depth / 4 + 1) * 4
}

fn yaml_scalar(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) if value.is_nan() => ".nan".into(),
        Value::Float(value) if value.is_infinite() => if *value > 0.0 { ".inf" } else { "-.inf" }.into(),
        Value::Float(value) => format!("{value:?}"),
        Value::String(text) => yaml_text(text),
        _ => "null".into(),
    }
}

/// Without quotes only where nobody could read it as anything else.
fn yaml_text(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./:@$%()=+*, ".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || "_./$(".contains(c));
    let ends_well = !text.ends_with([' ', ':']);
    let plain = starts_well
        && ends_well
        && text.chars().all(safe)
        && !text.contains(": ")
        && !is_word_of_yaml_1_1(text)
        && matches!(scalar::resolve(text), Value::String(_));
    if plain { text.to_owned() } else { json_text(text) }
}

/// What older readers take for a boolean.
fn is_word_of_yaml_1_1(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn json_scalar(value: &Value) -> String {
    match value {
        Value::Float(value) if !value.is_finite() => json_text(&yaml_scalar(&Value::Float(*value))),
        Value::String(text) => json_text(text),
        value => yaml_scalar(value),
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

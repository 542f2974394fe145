use std::fmt::{self, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};

use super::LogLevel;
use super::scope::Scope;

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A number.
    Uint(u64),
    /// A number; one that JSON does not know is written as text.
    Float(f64),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by key, in order.
    Map(Vec<(String, Value)>),
}

/// One thing that was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When.
    pub time: SystemTime,
    /// How bad it is.
    pub level: LogLevel,
    /// Where in the program, as `crate/file.rs:line`.
    pub caller: Option<String>,
    /// The text.
    pub message: String,
    /// What belongs to it, in order.
    pub fields: Vec<(String, Value)>,
    /// How the program came there.
    pub stacktrace: Option<String>,
}

/// Fields that hold a component's identifier, by its kind.
const KINDS: [&str; 5] = ["receiver", "processor", "exporter", "connector", "extension"];

const ID: &str = "otelcol.component.id";
const KIND: &str = "otelcol.component.kind";

impl Record {
    /// The record of an event, said within `scope`.
    pub(super) fn of(event: &tracing::Event<'_>, time: SystemTime, scope: Scope) -> Record {
        let metadata = event.metadata();
        let mut visitor = Visitor::default();
        event.record(&mut visitor);
        let mut fields = scope.fields();
        // What the event says itself is more exact than where it was said, and may be about another.
        if let Some((_, id)) = visitor.fields.iter().find(|(key, _)| key == ID) {
            if fields.iter().any(|(key, value)| key == ID && value != id) {
                fields.clear();
            }
            fields.retain(|(key, _)| visitor.fields.iter().all(|(own, _)| own != key));
        }
        fields.extend(visitor.fields);
        Record {
            time,
            level: LogLevel::of(*metadata.level()),
            caller: metadata.file().map(|file| caller(metadata.target(), file, metadata.line())),
            message: visitor.message,
            fields,
            stacktrace: None,
        }
    }
}

/// The crate and the file below its `src`, since paths of a build machine help nobody.
fn caller(target: &str, file: &str, line: Option<u32>) -> String {
    let crate_name = target.split("::").next().unwrap_or(target);
    let file = file.rsplit_once("src/").map_or(file, |(_, below)| below);
    match line {
        Some(line) => format!("{crate_name}/{file}:{line}"),
        None => format!("{crate_name}/{file}"),
    }
}

#[derive(Default)]
struct Visitor {
    message: String,
    fields: Vec<(String, Value)>,
}

impl Visitor {
    /// A field that is named for a kind of component holds its identifier: it becomes otelcol's two.
    fn add(&mut self, name: &str, value: Value) {
        match value {
            Value::Text(id) if KINDS.contains(&name) => {
                self.fields.push((ID.to_owned(), Value::Text(id)));
                self.fields.push((KIND.to_owned(), Value::Text(name.to_owned())));
            }
            value => self.fields.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.add(field.name(), Value::Text(format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.add(field.name(), Value::Text(value.to_owned()));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), Value::Uint(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), Value::Int(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), Value::Bool(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            let _ = write!(text, ": {error}");
            source = error.source();
        }
        self.add(field.name(), Value::Text(text));
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::caller;

    #[test]
    fn callers_name_crate_and_file() {
        let found =
            caller("phoenix_engine::stage_node", "/build/collector/engine/src/stage_node.rs", Some(7));
        assert_eq!(found, "phoenix_engine/stage_node.rs:7");
        assert_eq!(caller("h2", "proto.rs", None), "h2/proto.rs");
    }
}

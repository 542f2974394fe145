//! What is told, in the form that was asked for.

use std::io::Write as _;

use phoenix_config::{Problems, Secrets};
use serde_json::Value;

use crate::args::Form;

/// Longest text of a cell.
const WIDEST: usize = 60;

/// A column: its title, and the key that it shows, with `/` between the parts.
pub(crate) type Column = (&'static str, &'static str);

/// Standard output.
pub(crate) struct Output {
    form: Form,
}

/// Whether whoever read the output has gone.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

impl Output {
    pub(crate) fn new(form: Form) -> Output {
        Output { form }
    }

    /// Whether people read it.
    pub(crate) fn is_table(&self) -> bool {
        self.form == Form::Table
    }

    /// A text as it is.
    pub(crate) fn text(&self, text: &str) -> anyhow::Result<()> {
        Ok(std::io::stdout().write_all(text.as_bytes())?)
    }

    /// A value in the form for programs.
    pub(crate) fn value(&self, value: &Value) -> anyhow::Result<()> {
        let text = match self.form {
            Form::Json => serde_json::to_string_pretty(value)? + "\n",
            Form::Table | Form::Yaml => yaml(value)?,
        };
        self.text(&text)
    }

    /// A line for people, or the value that it tells of.
    pub(crate) fn said(&self, value: &Value, line: &str) -> anyhow::Result<()> {
        if self.is_table() { self.text(&format!("{line}\n")) } else { self.value(value) }
    }

    /// Many items.
    pub(crate) fn items(&self, items: &[Value], columns: &[Column]) -> anyhow::Result<()> {
        if !self.is_table() {
            return self.value(&Value::from(items));
        }
        let rows = items.iter().map(|item| columns.iter().map(|(_, key)| cell(item, key)).collect());
        self.text(&table(columns, rows.collect()))
    }

    /// One item of many that come one after the other: a line for people and as JSON, a document as YAML.
    pub(crate) fn line(&self, item: &Value, columns: &[Column]) -> anyhow::Result<()> {
        let text = match self.form {
            Form::Json => format!("{item}\n"),
            Form::Yaml => format!("---\n{}", yaml(item)?),
            Form::Table => {
                let cells: Vec<String> = columns.iter().map(|(_, key)| cell(item, key)).collect();
                cells.join("  ") + "\n"
            }
        };
        self.text(&text)
    }
}

/// A value as YAML.
pub(crate) fn yaml(value: &Value) -> anyhow::Result<String> {
    let node = phoenix_config::parse_yaml("answer", &value.to_string())
        .map_err(|problems| anyhow::anyhow!("the answer cannot be written as YAML: {problems}"))?;
    Ok(phoenix_config::to_yaml(&node, Problems::new().readings(), Secrets::Shown))
}

fn cell(item: &Value, key: &str) -> String {
    let text = match item.pointer(&format!("/{key}")) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.replace('\n', " "),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Object(labels)) => {
            let pairs = labels.iter().map(|(key, value)| match value.as_str() {
                Some(text) => format!("{key}={text}"),
                None => format!("{key}={value}"),
            });
            pairs.collect::<Vec<_>>().join(",")
        }
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        Some(other) => other.to_string(),
    };
    let shown = if text.is_empty() { "-" } else { &text };
    match shown.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.to_owned(),
    }
}

fn table(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    let titles = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_aligned_and_long_cells_cut() {
        let item =
            json!({"name": "édge", "labels": {"a": "1", "b": "2"}, "well": true, "why": "x".repeat(99)});
        assert_eq!(cell(&json!({"may": ["view", "edit"]}), "may"), "view,edit");
        let columns =
            [("NAME", "name"), ("LABELS", "labels"), ("WELL", "well"), ("NONE", "no"), ("WHY", "why")];
        let row = columns.iter().map(|(_, key)| cell(&item, key)).collect();
        let long = "x".repeat(WIDEST);
        assert_eq!(
            table(&columns, vec![row]),
            format!("NAME  LABELS   WELL  NONE  WHY\nédge  a=1,b=2  yes   -     {long}…\n")
        );
    }

    #[test]
    fn answers_are_yaml_too() {
        let text = yaml(&json!({"a": ["x", {"b": "1"}], "t": "two\nlines"})).expect("YAML");
        assert!(text.contains("- b: \"1\"") && text.contains("- x"), "{text}");
    }
}

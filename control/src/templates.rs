//! Templates: texts of configurations with parameters that have types.
//!
//! `${param:NAME}` stands for a value. What is put in is checked first and holds no character that YAML gives a meaning,
//! so a value never becomes a key, a list or a comment. The result is kept as the text of a version, beside what it was
//! made from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::args;
use crate::audit::{self, Caller};
use crate::configurations::MAX_TEXT;
use crate::error::{Error, FieldProblem, Result};
use crate::etags::Seen;
use crate::ids::new_id;
use crate::principals::{check_name, snapshot};
use crate::store::record::{Record, find, find_seen, taken};
use crate::store::{Row, Tx};
use crate::time::rfc3339;

const OPEN: &str = "${param:";
/// Most parameters of a template, and longest value of one.
const MAX_PARAMETERS: usize = 100;
const MAX_VALUE: usize = 1000;

/// What a parameter can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// Letters, digits and `. _ - : / @ % + = ~`.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// A time such as `1m30s`.
    Duration,
    /// What is only known on the agent, secrets for example: `${env:NAME}`, `${file:PATH}` or `${agent:NAME}`.
    Reference,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// By which the text names it: letters, digits and `_`.
    pub name: String,
    /// What it can be.
    pub r#type: ParameterType,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its value where none is given; without, one must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only values that it can have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// The lowest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The highest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
}

/// A template.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Template {
    /// Identifier.
    pub id: String,
    /// Name, unique.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// YAML with `${param:NAME}` where values go.
    pub text: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// When it was made.
    pub created_at: String,
    /// Goes up with each change; the ETag.
    pub revision: i64,
}

/// A template as it is asked for.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTemplate {
    /// Name, unique.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 10000)]
    pub description: String,
    /// YAML with `${param:NAME}` where values go.
    pub text: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

/// What a text was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The template.
    pub id: String,
    /// Its revision.
    pub revision: i64,
    /// The values, defaults filled in.
    pub values: BTreeMap<String, Value>,
}

impl Record for Template {
    const TABLE: &'static str = "templates";
    const NOUN: &'static str = "template";
    const IS_TOLD_BY_REVISION: bool = true;
    const COLUMNS: &'static str = "id, name, description, text, parameters, created_at, revision";

    fn read(row: &Row) -> Result<Template> {
        let read = |error| Error::Internal(format!("a template in the database: {error}"));
        Ok(Template {
            id: row.text(0),
            name: row.text(1),
            description: row.text(2),
            text: row.text(3),
            parameters: serde_json::from_str(&row.text(4)).map_err(read)?,
            created_at: rfc3339(row.int(5)),
            revision: row.int(6),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_VALUE
        && text.chars().all(|c| c.is_alphanumeric() || "._-:/@%+=~".contains(c))
        && !text.ends_with(':')
}

/// What YAML reads as nothing at all.
fn is_null(text: &str) -> bool {
    matches!(text, "~" | "null" | "Null" | "NULL")
}

fn is_reference(text: &str) -> bool {
    let inside = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let parts = inside.and_then(|inside| inside.split_once(':'));
    parts.is_some_and(|(scheme, name)| ["env", "file", "agent"].contains(&scheme) && is_plain(name))
}

impl Parameter {
    /// The value as it stands in the text, or what it must be.
    fn written(&self, value: &Value) -> std::result::Result<String, String> {
        if !self.choices.is_empty() && !self.choices.contains(value) {
            return Err(format!("must be one of {}", snapshot(&self.choices)));
        }
        let in_range = |number: f64| {
            self.minimum.is_none_or(|low| number >= low) && self.maximum.is_none_or(|high| number <= high)
        };
        let range = || match (self.minimum, self.maximum) {
            (Some(low), Some(high)) => format!("must be {low} to {high}"),
            (Some(low), None) => format!("must be at least {low}"),
            (_, high) => format!("must be at most {}", high.unwrap_or_default()),
        };
        match (self.r#type, value) {
            (ParameterType::Boolean, Value::Bool(yes)) => Ok(yes.to_string()),
            (ParameterType::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {
                let is_fine = in_range(number.as_f64().unwrap_or_default());
                if is_fine { Ok(number.to_string()) } else { Err(range()) }
            }
            (ParameterType::Number, Value::Number(number)) => {
                let is_fine = in_range(number.as_f64().unwrap_or_default());
                if is_fine { Ok(number.to_string()) } else { Err(range()) }
            }
            (ParameterType::String, Value::String(text)) if is_plain(text) && !is_null(text) => Ok(text.clone()),
            (ParameterType::Duration, Value::String(text))
                if text.parse::<phoenix_config::GoDuration>().is_ok() =>
            {
                Ok(text.clone())
            }
            (ParameterType::Reference, Value::String(text)) if is_reference(text) => Ok(text.clone()),
            (ParameterType::Boolean, _) => Err("must be true or false".to_owned()),
            (ParameterType::Integer, _) => Err("must be a whole number".to_owned()),
            (ParameterType::Number, _) => Err("must be a number".to_owned()),
            (ParameterType::Duration, _) => Err("must be a duration such as 1m30s".to_owned()),
            (ParameterType::Reference, _) => {
                Err("must be ${env:NAME}, ${file:PATH} or ${agent:NAME}".to_owned())
            }
            (ParameterType::String, _) => {
                Err("must be a text of letters, digits and . _ - : / @ % + = ~, without a : at its end, and not null or ~"
                    .to_owned())
            }
        }
    }
}

/// The parts of a text: what stands before each parameter, its name; and the rest.
fn parts(text: &str) -> (Vec<(&str, &str)>, &str) {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((name, behind)) = after.split_once('}') else { break };
        parts.push((before, name));
        rest = behind;
    }
    (parts, rest)
}

fn check(new: &NewTemplate) -> Result<()> {
    check_name("name", &new.name)?;
    let mut problems = Vec::new();
    let mut wrong = |field: String, message: String| problems.push(FieldProblem::new(field, message));
    if new.text.len() > MAX_TEXT {
        wrong("text".into(), format!("must have at most {MAX_TEXT} bytes"));
    }
    if new.description.chars().count() > 10_000 {
        wrong("description".into(), "must have at most 10000 characters".into());
    }
    if new.parameters.len() > MAX_PARAMETERS {
        wrong("parameters".into(), format!("must be at most {MAX_PARAMETERS}"));
    }
    let used: BTreeSet<&str> = parts(&new.text).0.into_iter().map(|(_, name)| name).collect();
    let mut known = BTreeSet::new();
    for (index, parameter) in new.parameters.iter().enumerate() {
        let at = |key: &str| format!("parameters.{index}.{key}");
        let name = parameter.name.as_str();
        let fits = name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || !fits {
            wrong(at("name"), "must have 1 to 100 letters, digits or _".into());
        }
        if !known.insert(name) {
            wrong(at("name"), "is there twice".into());
        }
        if !used.contains(name) {
            wrong(at("name"), format!("the text has no {OPEN}{name}}}"));
        }
        let is_number = matches!(parameter.r#type, ParameterType::Integer | ParameterType::Number);
        if !is_number && (parameter.minimum.is_some() || parameter.maximum.is_some()) {
            wrong(at("minimum"), "minimum and maximum are for numbers".into());
        }
        let bare = Parameter { choices: Vec::new(), ..parameter.clone() };
        for choice in &parameter.choices {
            if let Err(why) = bare.written(choice) {
                wrong(at("choices"), why);
            }
        }
        if let Some(Err(why)) = parameter.default.as_ref().map(|value| parameter.written(value)) {
            wrong(at("default"), why);
        }
    }
    for name in used.difference(&known) {
        wrong("text".into(), format!("{OPEN}{name}}} is no parameter"));
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

impl Template {
    /// The text with these values, and what it was made from.
    ///
    /// # Errors
    /// Each value that is missing, unknown, or of another type.
    pub(crate) fn render(&self, values: &BTreeMap<String, Value>) -> Result<(String, Origin)> {
        let (mut problems, mut all, mut written) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let known: BTreeSet<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        for name in values.keys().filter(|name| !known.contains(name.as_str())) {
            problems.push(FieldProblem::new(format!("values.{name}"), "is no parameter of the template"));
        }
        for parameter in &self.parameters {
            let name = &parameter.name;
            let Some(value) = values.get(name).or(parameter.default.as_ref()) else {
                problems.push(FieldProblem::new(format!("values.{name}"), "is missing"));
                continue;
            };
            match parameter.written(value) {
                Ok(text) => {
                    written.insert(name.as_str(), text);
                    all.insert(name.clone(), value.clone());
                }
                Err(why) => problems.push(FieldProblem::new(format!("values.{name}"), why)),
            }
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let (parts, rest) = parts(&self.text);
        let mut text = String::with_capacity(self.text.len());
        for (before, name) in parts {
            text += before;
            text += written.get(name).map(String::as_str).unwrap_or_default();
        }
        text += rest;
        Ok((text, Origin { id: self.id.clone(), revision: self.revision, values: all }))
    }
}

pub(crate) fn create(tx: &mut dyn Tx, caller: &Caller, now: i64, new: &NewTemplate) -> Result<Template> {
    check(new)?;
    let id = new_id("tpl", now);
    tx.execute(
        "INSERT INTO templates (id, name, description, text, parameters, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)",
        args![&id, &new.name, &new.description, &new.text, snapshot(&new.parameters), now],
    )
    .map_err(taken::<Template>(&new.name))?;
    let made: Template = find(tx, &id)?;
    audit::record(tx, caller, now, "template.create", &id, "", &snapshot(&made))?;
    Ok(made)
}

/// Puts another in its place; versions that were made from it stay as they are.
pub(crate) fn replace(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    seen: &Seen,
    new: &NewTemplate,
) -> Result<Template> {
    check(new)?;
    let before: Template = find_seen(tx, id, seen)?;
    tx.execute(
        "UPDATE templates SET name = ?2, description = ?3, text = ?4, parameters = ?5, revision = revision + 1 WHERE id = ?1",
        args![id, &new.name, &new.description, &new.text, snapshot(&new.parameters)],
    )
    .map_err(taken::<Template>(&new.name))?;
    let after: Template = find(tx, id)?;
    audit::record(tx, caller, now, "template.change", id, &snapshot(&before), &snapshot(&after))?;
    Ok(after)
}

pub(crate) fn remove(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str, seen: &Seen) -> Result<()> {
    let before: Template = find_seen(tx, id, seen)?;
    tx.execute("DELETE FROM templates WHERE id = ?1", args![id])?;
    audit::record(tx, caller, now, "template.remove", id, &snapshot(&before), "")
}

#[cfg(test)]
mod tests;

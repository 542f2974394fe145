//! JSON Schema, draft 2020-12.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::shape::{Key, Section, Shape, Status, Word};
use crate::kind::Kind;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Go's durations; zero needs no unit.
const DURATION: &str = r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";
const SUBSTITUTION: &str = r"\$\{[^}]*\}";
/// What may follow a type in an id, or a signal in a pipeline's.
const NAME: &str = r"\s*(/.+)?$";

/// What a distribution knows of one type of component.
#[derive(Clone, Debug)]
pub struct ComponentShape {
    /// What it is.
    pub kind: Kind,
    /// Its type.
    pub name: &'static str,
    /// Deprecated names of it.
    pub aliases: Vec<&'static str>,
    /// Its settings.
    pub shape: Shape,
}

/// A type that is accepted and left out.
#[derive(Clone, Copy, Debug)]
pub struct IgnoredType {
    /// What it was.
    pub kind: Kind,
    /// Its type.
    pub name: &'static str,
    /// Why it is left out.
    pub why: &'static str,
}

/// The whole configuration of a distribution.
#[derive(Clone, Debug)]
pub struct Document {
    /// All components.
    pub components: Vec<ComponentShape>,
    /// Types that are accepted and left out.
    pub ignored: Vec<IgnoredType>,
    /// `service::telemetry`.
    pub telemetry: Shape,
}

impl Document {
    /// The schema of the whole configuration.
    pub fn to_json(&self) -> Value {
        let mut writer = Writer::default();
        let mut properties = Map::new();
        for kind in Kind::ALL {
            properties.insert(kind.section().into(), self.section(kind, &mut writer));
        }
        properties.insert("service".into(), self.service(&mut writer));
        let mut schema = json!({
            "$schema": DIALECT,
            "title": "Configuration of the Phoenix collector",
            "description": "Components by kind, and the service that runs them in pipelines. Any value may be, or hold, a `${…}`.",
            "type": "object",
            "properties": properties,
            "required": ["receivers", "exporters", "service"],
            "additionalProperties": false,
        });
        writer.finish(&mut schema);
        schema
    }

    /// The schema of one component's section.
    pub fn component_to_json(component: &ComponentShape) -> Value {
        let mut writer = Writer::default();
        let settings = writer.shape(&component.shape);
        let mut schema = json!({
            "$schema": DIALECT,
            "title": format!("Settings of the `{}` {}", component.name, component.kind),
            "anyOf": [settings, { "type": "null" }],
        });
        writer.finish(&mut schema);
        schema
    }

    fn section(&self, kind: Kind, writer: &mut Writer) -> Value {
        let mut patterns = Map::new();
        for component in self.components.iter().filter(|component| component.kind == kind) {
            let own = format!("{}.{}", kind.section(), component.name);
            let settings = writer.shape(&component.shape);
            let or_nothing = writer.or_nothing(settings);
            writer.definitions.insert(own.clone(), or_nothing);
            let reference = format!("#/$defs/{own}");
            patterns.insert(format!("^\\s*{}{NAME}", component.name), json!({ "$ref": reference }));
            for alias in &component.aliases {
                let settings = json!({
                    "$ref": reference,
                    "deprecated": true,
                    "description": format!("Deprecated name of `{}`.", component.name),
                });
                patterns.insert(format!("^\\s*{alias}{NAME}"), settings);
            }
        }
        for ignored in self.ignored.iter().filter(|ignored| ignored.kind == kind) {
            let any = json!({ "deprecated": true, "description": format!("Ignored: {}.", ignored.why) });
            patterns.insert(format!("^\\s*{}{NAME}", ignored.name), any);
        }
        let section = json!({
            "description": format!("The {}, each under its id: `type` or `type/name`.", kind.section()),
            "type": "object",
            "patternProperties": patterns,
            "additionalProperties": false,
        });
        writer.or_nothing(section)
    }

    fn service(&self, writer: &mut Writer) -> Value {
        let ids = |writer: &mut Writer, what: &str| {
            let mut list = writer.shape(&Shape::List(Box::new(Shape::Id)));
            describe(&mut list, what);
            list
        };
        let pipeline = json!({
            "type": "object",
            "properties": {
                "receivers": ids(writer, "Where data comes in; also connectors that begin this pipeline."),
                "processors": ids(writer, "What is done to the data, in this order."),
                "exporters": ids(writer, "Where data goes; also connectors that end this pipeline."),
            },
            "required": ["receivers", "exporters"],
            "additionalProperties": false,
        });
        let pipeline = writer.or_substitution(pipeline);
        writer.definitions.insert("pipeline".into(), pipeline);
        let mut telemetry = writer.shape(&self.telemetry);
        telemetry = writer.or_nothing(telemetry);
        describe(&mut telemetry, "The collector's own telemetry.");
        let pipelines = json!({
            "description": "The pipelines, each under its id: `signal` or `signal/name`.",
            "type": "object",
            "patternProperties": { (format!("^\\s*(traces|metrics|logs){NAME}")): { "$ref": "#/$defs/pipeline" } },
            "additionalProperties": false,
            "minProperties": 1,
        });
        let pipelines = writer.or_substitution(pipelines);
        let service = json!({
            "description": "What runs.",
            "type": "object",
            "properties": {
                "extensions": ids(writer, "The extensions that are started, in this order."),
                "pipelines": pipelines,
                "telemetry": telemetry,
            },
            "required": ["pipelines"],
            "additionalProperties": false,
        });
        writer.or_substitution(service)
    }
}

/// Adds a description, without hiding one that is there.
fn describe(schema: &mut Value, description: &str) {
    if let (Value::Object(map), false) = (schema, description.is_empty()) {
        map.insert("description".into(), description.into());
    }
}

/// Writes shapes, and collects what several of them refer to.
#[derive(Default)]
struct Writer {
    definitions: BTreeMap<String, Value>,
}

impl Writer {
    fn finish(self, schema: &mut Value) {
        let mut definitions: Map<String, Value> = self.definitions.into_iter().collect();
        let shared = json!({
            "substitution": {
                "description": "A reference to an environment variable, a file or another text.",
                "type": "string",
                "pattern": SUBSTITUTION,
            },
            "nothing": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/substitution" }] },
            "duration": {
                "description": "A number and a unit, or several: `200ms`, `1h30m`. A bare number is nanoseconds.",
                "anyOf": [
                    { "type": "string", "pattern": DURATION },
                    { "type": "number", "deprecated": true },
                    { "$ref": "#/$defs/substitution" },
                ],
            },
            "id": { "description": "The id of a component: `type` or `type/name`.", "type": "string", "minLength": 1 },
            "secret": { "description": "A text that is never shown.", "type": "string", "writeOnly": true },
            "secrets": {
                "description": "Names with values that are never shown: a map, or a list of `{name, value}`.",
                "anyOf": [
                    { "type": "object", "additionalProperties": { "$ref": "#/$defs/secret" } },
                    {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": { "name": { "type": "string" }, "value": { "$ref": "#/$defs/secret" } },
                            "required": ["name", "value"],
                            "additionalProperties": false,
                        },
                    },
                    { "$ref": "#/$defs/nothing" },
                ],
            },
        });
        if let Value::Object(shared) = shared {
            definitions.extend(shared);
        }
        if let Value::Object(map) = schema {
            map.insert("$defs".into(), definitions.into());
        }
    }

    fn or_substitution(&self, schema: Value) -> Value {
        any_of([schema, json!({ "$ref": "#/$defs/substitution" })])
    }

    /// Null keeps the default of what is no scalar.
    fn or_nothing(&self, schema: Value) -> Value {
        any_of([schema, json!({ "$ref": "#/$defs/nothing" })])
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Any => json!({}),
            Shape::Nothing => json!({ "type": "null" }),
            Shape::Bool => self.or_substitution(json!({ "type": "boolean" })),
            Shape::Integer { least, most } => {
                let mut schema = json!({ "type": "integer" });
                bound(&mut schema, "minimum", *least);
                bound(&mut schema, "maximum", *most);
                self.or_substitution(schema)
            }
            Shape::Number { least, most } => {
                let mut schema = json!({ "type": "number" });
                for (key, bound) in [("minimum", least), ("maximum", most)] {
                    if let Some(bound) = bound {
                        schema[key] = (*bound).into();
                    }
                }
                self.or_substitution(schema)
            }
            Shape::Text => json!({ "type": "string" }),
            Shape::Secret => json!({ "$ref": "#/$defs/secret", "writeOnly": true }),
            Shape::SecretMap => json!({ "$ref": "#/$defs/secrets" }),
            Shape::Duration => json!({ "$ref": "#/$defs/duration" }),
            Shape::Id => json!({ "$ref": "#/$defs/id" }),
            Shape::Words { words, any_case } => {
                let schema = words_schema(words, *any_case);
                self.or_nothing(schema)
            }
            Shape::List(items) => {
                let items = self.shape(items);
                any_of([
                    json!({ "type": "array", "items": items }),
                    json!({ "description": "Items with commas between them, or a substitution.", "type": "string" }),
                    json!({ "type": "null" }),
                ])
            }
            Shape::Map(values) => {
                let values = self.shape(values);
                self.or_nothing(json!({ "type": "object", "additionalProperties": values }))
            }
            Shape::Optional(inner) => {
                let inner = self.shape(inner);
                any_of([inner, json!({ "type": "null" })])
            }
            Shape::Section(section) => {
                let reference = self.define(section.name, |writer| writer.section(section, false));
                self.or_nothing(reference)
            }
            Shape::Block { of, .. } => {
                let reference = match of.section() {
                    Some(section) => {
                        let name = format!("{}.block", section.name);
                        self.define(&name, |writer| writer.section(section, true))
                    }
                    None => self.shape(of),
                };
                self.or_nothing(reference)
            }
            Shape::Tagged { name, description, tag, variants } => {
                let reference =
                    self.define(name, |writer| writer.tagged(description, tag, variants.as_slice()));
                self.or_nothing(reference)
            }
            Shape::OneOf(choices) => {
                let choices: Vec<Value> = choices.iter().map(|choice| self.shape(choice)).collect();
                any_of(choices)
            }
        }
    }

    /// A definition of its own, under this name or, if something else has it, the next that is free.
    fn define(&mut self, name: &str, write: impl FnOnce(&mut Writer) -> Value) -> Value {
        let schema = write(self);
        let mut unique = name.to_owned();
        let mut number = 2;
        while self.definitions.get(&unique).is_some_and(|other| *other != schema) {
            unique = format!("{name}{number}");
            number += 1;
        }
        let reference = format!("#/$defs/{unique}");
        self.definitions.insert(unique, schema);
        json!({ "$ref": reference })
    }

    fn section(&mut self, section: &Section, is_block: bool) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        if is_block {
            let mut enabled = self.or_substitution(json!({ "type": "boolean" }));
            describe(&mut enabled, "`false` turns the block off.");
            properties.insert("enabled".into(), enabled);
        }
        for key in &section.keys {
            let value = self.key(key);
            for alias in &key.aliases {
                let mut value = value.clone();
                value["deprecated"] = true.into();
                value["description"] = format!("Deprecated name of `{}`.", key.name).into();
                properties.insert((*alias).into(), value);
            }
            if key.required && key.aliases.is_empty() {
                required.push(key.name);
            }
            properties.insert(key.name.into(), value);
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() && !is_block {
            schema["required"] = required.into();
        }
        if section.closed {
            schema["additionalProperties"] = false.into();
        }
        describe(&mut schema, &section.description);
        schema
    }

    fn key(&mut self, key: &Key) -> Value {
        let mut schema = match &key.status {
            Status::Unsupported(_) => unsupported(key),
            _ => self.shape(&key.shape),
        };
        describe(&mut schema, &key.full_description());
        match &key.status {
            Status::Unsupported(why) => schema["x-phoenix-unsupported"] = why.as_str().into(),
            Status::NoEffect(why) => schema["x-phoenix-no-effect"] = why.as_str().into(),
            Status::Deprecated(_) => schema["deprecated"] = true.into(),
            Status::Offered => {}
        }
        if let (Some(default), false) = (&key.default, matches!(key.shape, Shape::Secret)) {
            schema["default"] = default.clone();
        }
        schema
    }

    fn tagged(&mut self, description: &str, tag: &str, variants: &[(Word, Shape)]) -> Value {
        let mut choices = Vec::new();
        for (word, shape) in variants {
            let Some(section) = shape.section() else { continue };
            let mut choice = self.section(section, false);
            let names: Vec<&str> = std::iter::once(word.name).chain(word.aliases.iter().copied()).collect();
            choice["properties"][tag] = json!({ "enum": names });
            let required = choice["required"].as_array().cloned().unwrap_or_default();
            choice["required"] =
                std::iter::once(Value::from(tag)).chain(required).collect::<Vec<Value>>().into();
            describe(&mut choice, &word.description);
            choices.push(choice);
        }
        let mut schema = json!({ "oneOf": choices });
        describe(&mut schema, description);
        schema
    }
}

/// What a key that is not supported takes: what asks for nothing.
fn unsupported(key: &Key) -> Value {
    match &key.shape {
        Shape::Nothing => json!({ "type": "null" }),
        Shape::Block { .. } => json!({
            "anyOf": [
                { "type": "null" },
                { "type": "object", "properties": { "enabled": { "const": false } }, "required": ["enabled"] },
            ],
        }),
        _ => match &key.default {
            Some(default) => json!({ "enum": [default, null] }),
            None => json!({ "enum": [null, "", false, 0, []] }),
        },
    }
}

fn words_schema(words: &[Word], any_case: bool) -> Value {
    let names = || words.iter().flat_map(|word| std::iter::once(word.name).chain(word.aliases.clone()));
    if any_case {
        // JSON Schema has no flag for case.
        let either = |c: char| match (c.to_ascii_lowercase(), c.to_ascii_uppercase()) {
            (lower, upper) if lower != upper => format!("[{lower}{upper}]"),
            _ => format!("\\{c}"),
        };
        let names: Vec<String> = names().map(|name| name.chars().map(either).collect()).collect();
        return json!({
            "type": "string",
            "pattern": format!("^({})$", names.join("|")),
            "examples": words.iter().map(|word| word.name).collect::<Vec<_>>(),
        });
    }
    let described = words.iter().any(|word| !word.description.is_empty() || !word.aliases.is_empty());
    if !described {
        return json!({ "enum": names().collect::<Vec<_>>() });
    }
    let mut choices = Vec::new();
    for word in words {
        choices.push(json!({ "const": word.name, "description": word.description }));
        for alias in &word.aliases {
            let description = format!("The same as `{}`.", word.name);
            choices.push(json!({ "const": alias, "deprecated": true, "description": description }));
        }
    }
    json!({ "oneOf": choices })
}

/// A bound that numbers of JSON can say; 64 bits beyond are no bound in practice.
fn bound(schema: &mut Value, key: &str, bound: i128) {
    if let Ok(bound) = i64::try_from(bound)
        && bound != i64::MIN
        && bound != i64::MAX
    {
        schema[key] = bound.into();
    }
}

/// One of these, with those that are choices themselves taken apart.
fn any_of(choices: impl IntoIterator<Item = Value>) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for choice in choices {
        let nested = match &choice {
            Value::Object(map) if map.len() == 1 => map.get("anyOf").and_then(Value::as_array).cloned(),
            _ => None,
        };
        for choice in nested.unwrap_or_else(|| vec![choice]) {
            if !all.contains(&choice) {
                all.push(choice);
            }
        }
    }
    json!({ "anyOf": all })
}

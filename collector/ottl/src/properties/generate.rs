//! Requests, statements, and things that look like statements.

use std::fmt;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::Event};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_bytes, put_message, put_uint};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;

pub(super) const KEYS: [&str; 4] = ["a", "b", "c", "http.route"];
const TEXTS: [&str; 4] = ["", "x", "selected", "a longer text that takes more than the others do"];

pub(super) fn value() -> impl Strategy<Value = Option<AnyValue>> {
    let scalar = prop_oneof![
        select(&TEXTS[..]).prop_map(|text| Value::StringValue(text.to_owned())),
        (-2i64..3).prop_map(Value::IntValue),
        select(&[0.0, 1.0, -0.5][..]).prop_map(Value::DoubleValue),
        any::<bool>().prop_map(Value::BoolValue),
        vec(any::<u8>(), 0..3).prop_map(Value::BytesValue),
    ];
    let any = |value| AnyValue { value: Some(value) };
    let list = vec(scalar.clone(), 0..3).prop_map(move |values| {
        Value::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() })
    });
    prop_oneof![
        1 => Just(None),
        8 => scalar.prop_map(move |value| Some(any(value))),
        1 => list.prop_map(move |value| Some(any(value))),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((select(&KEYS[..]), value()), 0..5).prop_map(|entries| {
        let mut attributes: Vec<KeyValue> = Vec::new();
        for (key, value) in entries {
            if !attributes.iter().any(|attribute| attribute.key == key) {
                // A value that is not there at all is the same as an empty one.
                let value = value.or(Some(AnyValue { value: None }));
                attributes.push(KeyValue { key: key.to_owned(), value, ..Default::default() });
            }
        }
        attributes
    })
}

prop_compose! {
    fn span()(
        name in select(&TEXTS[..]),
        kind in 0..6,
        attributes in attributes(),
        events in vec(attributes(), 0..3),
    ) -> Span {
        let event = |attributes| Event { name: "e".to_owned(), attributes, ..Event::default() };
        let events = events.into_iter().map(event).collect();
        Span { name: name.to_owned(), kind, attributes, events, span_id: vec![1; 8], ..Span::default() }
    }
}

prop_compose! {
    pub(super) fn request()(
        entries in vec((attributes(), vec(vec(span(), 1..4), 1..3)), 0..3),
    ) -> ExportTraceServiceRequest {
        let scope = |spans| ScopeSpans { spans, ..ScopeSpans::default() };
        let entry = |(attributes, scopes): (_, Vec<_>)| ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: scopes.into_iter().map(scope).collect(),
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest { resource_spans: entries.into_iter().map(entry).collect() }
    }
}

/// The request as nobody writes it, though it may come: the attributes behind the other fields, and in each span a
/// field that is unknown.
pub(super) fn unusual(request: &ExportTraceServiceRequest) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in &request.resource_spans {
        put_message(&mut out, 1, |out| {
            for scope in &entry.scope_spans {
                put_message(out, 2, |out| {
                    for span in &scope.spans {
                        put_message(out, 2, |out| {
                            put_uint(out, 99, 7);
                            let bytes = span.encode_to_vec();
                            let mut fields: Vec<_> = Fields::new(&bytes).collect();
                            fields.sort_by_key(|field| std::cmp::Reverse(field.number()));
                            fields.iter().for_each(|field| out.extend_from_slice(field.raw));
                            put_bytes(out, 98, b"unknown");
                        });
                    }
                });
            }
            put_bytes(out, 1, &entry.resource.as_ref().map(Message::encode_to_vec).unwrap_or_default());
        });
    }
    out
}

fn inner(body: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(body).filter(move |field| field.is_len(number)).map(|field| field.body)
}

pub(super) fn spans(request: &[u8]) -> Vec<&[u8]> {
    inner(request, 1).flat_map(|entry| inner(entry, 2)).flat_map(|scope| inner(scope, 2)).collect()
}

pub(super) fn name(span: &[u8]) -> &[u8] {
    inner(span, 5).last().unwrap_or(b"")
}

pub(super) fn unknown(span: &[u8]) -> Vec<&[u8]> {
    Fields::new(span).filter(|field| field.number() > 90).map(|field| field.raw).collect()
}

/// A literal of the language.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(&'static str),
    Int(i64),
    Bool(bool),
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => write!(f, "{text:?}"),
            Literal::Int(value) => write!(f, "{value}"),
            Literal::Bool(value) => write!(f, "{value}"),
        }
    }
}

/// A condition that the naive evaluator knows.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Is(&'static str, Literal, bool),
    OfResource(&'static str, Literal),
    Nil(&'static str, bool),
    Kind(i64),
    Name(&'static str),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |is_equal: &bool| if *is_equal { "==" } else { "!=" };
        let joined = |terms: &[Condition], by| {
            terms.iter().map(|term| format!("({term})")).collect::<Vec<_>>().join(by)
        };
        match self {
            Condition::Is(key, literal, is) => write!(f, "span.attributes[\"{key}\"] {} {literal}", sign(is)),
            Condition::OfResource(key, literal) => {
                write!(f, "(resource.attributes[\"{key}\"] == {literal} or false)")
            }
            Condition::Nil(key, is) => write!(f, "span.attributes[\"{key}\"] {} nil", sign(is)),
            Condition::Kind(kind) => write!(f, "span.kind >= {kind}"),
            Condition::Name(name) => write!(f, "span.name == {name:?}"),
            Condition::And(terms) => f.write_str(&joined(terms, " and ")),
            Condition::Or(terms) => f.write_str(&joined(terms, " or ")),
            Condition::Not(inner) => write!(f, "not ({inner})"),
        }
    }
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        select(&TEXTS[..]).prop_map(Literal::Text),
        (0i64..3).prop_map(Literal::Int),
        any::<bool>().prop_map(Literal::Bool),
    ]
}

pub(super) fn any_condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        4 => (select(&KEYS[..]), literal(), any::<bool>()).prop_map(|(key, value, is)| Condition::Is(key, value, is)),
        2 => (select(&KEYS[..]), literal()).prop_map(|(key, value)| Condition::OfResource(key, value)),
        1 => (select(&KEYS[..]), any::<bool>()).prop_map(|(key, is)| Condition::Nil(key, is)),
        1 => (0i64..6).prop_map(Condition::Kind),
        1 => select(&TEXTS[..]).prop_map(Condition::Name),
    ];
    leaf.prop_recursive(3, 16, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..6).prop_map(Condition::And),
            vec(inner.clone(), 2..6).prop_map(Condition::Or),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

/// An editor that the naive evaluator knows.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Set(&'static str, Literal),
    Copy(&'static str, &'static str),
    Delete(&'static str),
    Keep(Vec<&'static str>),
    Name(&'static str),
    Merge(Vec<(&'static str, Literal)>, bool),
    /// Of the resource, which later spans see.
    OfResource(&'static str, Literal),
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) edit: Edit,
    pub(super) condition: Condition,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.edit {
            Edit::Set(key, value) => write!(f, "set(span.attributes[\"{key}\"], {value})")?,
            Edit::Copy(to, from) => {
                write!(f, "set(span.attributes[\"{to}\"], span.attributes[\"{from}\"])")?;
            }
            Edit::OfResource(key, value) => write!(f, "set(resource.attributes[\"{key}\"], {value})")?,
            Edit::Delete(key) => write!(f, "delete_key(span.attributes, \"{key}\")")?,
            Edit::Keep(keys) => write!(f, "keep_keys(span.attributes, {keys:?})")?,
            Edit::Name(name) => write!(f, "set(span.name, {name:?})")?,
            Edit::Merge(entries, updates) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{key:?}: {value}")).collect();
                let how = if *updates { "upsert" } else { "insert" };
                write!(f, "merge_maps(span.attributes, {{{}}}, \"{how}\")", entries.join(", "))?;
            }
        }
        write!(f, " where ({})", self.condition)
    }
}

pub(super) fn any_statement() -> impl Strategy<Value = Statement> {
    let key = || select(&KEYS[..]);
    let edit = prop_oneof![
        3 => (key(), literal()).prop_map(|(key, value)| Edit::Set(key, value)),
        2 => (key(), key()).prop_map(|(to, from)| Edit::Copy(to, from)),
        1 => (key(), literal()).prop_map(|(key, value)| Edit::OfResource(key, value)),
        2 => key().prop_map(Edit::Delete),
        1 => vec(key(), 0..3).prop_map(Edit::Keep),
        1 => select(&TEXTS[..]).prop_map(Edit::Name),
        1 => (vec((key(), literal()), 0..3), any::<bool>()).prop_map(|(entries, updates)| Edit::Merge(entries, updates)),
    ];
    let condition = prop_oneof![Just(Condition::Kind(0)), any_condition()];
    (edit, condition).prop_map(|(edit, condition)| Statement { edit, condition })
}

/// Words of the language in any order, and calls that nearly fit.
pub(super) fn token_soup() -> impl Strategy<Value = String> {
    const WORDS: [&str; 60] = [
        "set(",
        "delete_key(",
        "keep_keys(",
        "append(",
        "flatten(",
        "limit(",
        "truncate_all(",
        "merge_maps(",
        "replace_pattern(",
        "replace_all_patterns(",
        "stringify_all(",
        "delete_index(",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".",
        ":",
        "=",
        "==",
        "!=",
        "<",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "and",
        "or",
        "not",
        "where",
        "nil",
        "true",
        "1",
        "2.5",
        "0xab",
        "\"a\"",
        "\"(\"",
        "name",
        "span",
        "attributes",
        "resource.attributes",
        "attributes[\"a\"]",
        "events",
        "status.code",
        "trace_state[\"k\"]",
        "cache[\"x\"]",
        "IsMatch(",
        "Concat(",
        "Len(",
        "Split(",
        "Trim(",
        "ParseJSON(",
        "SHA256",
        "SPAN_KIND_SERVER",
        "Substring(",
        "Coalesce(",
    ];
    let expr = prop_oneof![
        select(
            &[
                "1",
                "-2",
                "1.5",
                "\"x\"",
                "nil",
                "true",
                "[1, \"a\"]",
                "{\"k\": [1]}",
                "name",
                "kind",
                "attributes",
                "attributes[\"a\"]",
                "attributes[\"c\"][0]",
                "attributes[\"c\"][\"d\"]",
                "resource.attributes[\"b\"]",
                "trace_id",
                "span_id.string",
                "start_time",
                "events",
                "status",
                "status.message",
                "cache",
                "flags",
                "cache[\"x\"]",
                "trace_state[\"k\"]",
                "Now()",
                "UUID()",
                "otelcol.client.metadata[\"h\"]"
            ][..]
        )
        .prop_map(str::to_owned),
    ]
    .prop_recursive(3, 12, 3, |inner| {
        let function = select(
            &[
                "Len",
                "String",
                "Int",
                "Double",
                "Bool",
                "IsString",
                "IsList",
                "ParseJSON",
                "ToLowerCase",
                "Keys",
                "Values",
                "Sort",
                "Hex",
                "Duration",
                "TraceID",
                "Unix",
                "Format",
                "URL",
                "Log",
                "ParseXML",
                "UserAgent",
                "Base64Decode",
                "SHA1",
                "FNV",
                "Year",
                "Hours",
            ][..],
        );
        prop_oneof![
            (function, inner.clone()).prop_map(|(name, argument)| format!("{name}({argument})")),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| format!("Concat([{left}, {right}], \"-\")")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left} + {right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("Coalesce([{left}, {right}])")),
            (inner.clone(), inner).prop_map(|(left, right)| format!("IsMatch({left}, {right})")),
        ]
    });
    let target = select(
        &[
            "attributes",
            "attributes[\"a\"]",
            "attributes[\"n\"][\"m\"]",
            "attributes[\"l\"][1]",
            "name",
            "cache[\"x\"]",
            "resource.attributes",
            "resource.schema_url",
            "scope.name",
            "trace_state",
            "trace_state[\"k\"]",
            "status.code",
            "kind",
            "kind.string",
            "flags",
            "start_time",
            "trace_id.string",
            "events",
            "status",
        ][..],
    );
    let editor = select(
        &[
            "set({t}, {v})",
            "append({t}, {v})",
            "append({t}, values=[{v}, {v}])",
            "delete_key({t}, {v})",
            "flatten({t})",
            "flatten({t}, \"p\", 2, true)",
            "truncate_all({t}, 3)",
            "stringify_all({t})",
            "limit({t}, 1, [])",
            "merge_maps({t}, {v}, \"upsert\")",
            "keep_keys({t}, [{v}])",
            "delete_matching_keys({t}, \"a|b\")",
            "replace_pattern({t}, \"x\", \"y$0\")",
            "replace_all_patterns({t}, \"key\", \"^\", \"k.\")",
            "replace_match({t}, \"*\", {v})",
            "delete_index({t}, 0)",
            "replace_all_patterns({t}, \"value\", \"(.)\", \"$1\", SHA256, \"<%s>\")",
        ][..],
    );
    let fitting = (editor, target, expr.clone(), expr.clone(), expr).prop_map(
        |(editor, target, value, left, right)| {
            format!(
                "{} where {left} == {right} or true",
                editor.replace("{t}", target).replace("{v}", &value)
            )
        },
    );
    prop_oneof![
        1 => vec(select(&WORDS[..]), 0..14).prop_map(|words| words.join(" ")),
        4 => fitting,
    ]
}

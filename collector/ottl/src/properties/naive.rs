//! The same statements over decoded requests, one after the other, without any cleverness.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::generate::{Condition, Edit, Literal, Statement};

pub(super) struct Naive;

type Attributes = Vec<KeyValue>;

fn get<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

fn put(attributes: &mut Attributes, key: &str, value: Value) {
    let value = Some(AnyValue { value: Some(value) });
    match attributes.iter_mut().find(|attribute| attribute.key == key) {
        Some(attribute) => attribute.value = value,
        None => attributes.push(KeyValue { key: key.to_owned(), value, ..Default::default() }),
    }
}

fn literal(literal: &Literal) -> Value {
    match literal {
        Literal::Text(text) => Value::StringValue((*text).to_owned()),
        Literal::Int(value) => Value::IntValue(*value),
        Literal::Bool(value) => Value::BoolValue(*value),
    }
}

fn is(value: Option<&Value>, expected: &Literal) -> bool {
    match (value, expected) {
        (Some(Value::DoubleValue(value)), Literal::Int(expected)) => *value == *expected as f64,
        (Some(value), expected) => *value == literal(expected),
        (None, _) => false,
    }
}

impl Naive {
    fn holds(condition: &Condition, span: &Span, resource: &Attributes) -> bool {
        let all = |terms: &[Condition]| terms.iter().all(|term| Self::holds(term, span, resource));
        match condition {
            Condition::Is(key, value, is_equal) => is(get(&span.attributes, key), value) == *is_equal,
            Condition::OfResource(key, value) => is(get(resource, key), value),
            // Go holds no bytes as none at all.
            Condition::Nil(key, is_nil) => {
                get(&span.attributes, key).is_none_or(|value| *value == Value::BytesValue(vec![])) == *is_nil
            }
            Condition::Kind(kind) => i64::from(span.kind) >= *kind,
            Condition::Name(name) => span.name == *name,
            Condition::And(terms) => all(terms),
            Condition::Or(terms) => terms.iter().any(|term| Self::holds(term, span, resource)),
            Condition::Not(inner) => !Self::holds(inner, span, resource),
        }
    }

    fn edit(edit: &Edit, span: &mut Span, resource: &mut Attributes) {
        let attributes = &mut span.attributes;
        match edit {
            Edit::Set(key, value) => put(attributes, key, literal(value)),
            Edit::Copy(to, from) => {
                if let Some(value) = get(attributes, from).cloned() {
                    put(attributes, to, value);
                }
            }
            Edit::Delete(key) => {
                if let Some(index) = attributes.iter().position(|attribute| attribute.key == *key) {
                    attributes.swap_remove(index);
                }
            }
            Edit::Keep(keys) => attributes.retain(|attribute| keys.contains(&attribute.key.as_str())),
            Edit::OfResource(key, value) => put(resource, key, literal(value)),
            Edit::Name(name) => span.name = (*name).to_owned(),
            Edit::Merge(entries, updates) => {
                let mut source: Vec<(&str, &Literal)> = Vec::new();
                for (key, value) in entries {
                    match source.iter_mut().find(|(found, _)| found == key) {
                        Some(entry) => entry.1 = value,
                        None => source.push((key, value)),
                    }
                }
                for (key, value) in source {
                    if *updates || !attributes.iter().any(|attribute| attribute.key == key) {
                        put(attributes, key, literal(value));
                    }
                }
            }
        }
    }

    pub(super) fn run(statements: &[Statement], request: &mut ExportTraceServiceRequest) {
        for entry in &mut request.resource_spans {
            let Some(resource) = entry.resource.as_mut().map(|resource| &mut resource.attributes) else {
                continue;
            };
            for span in entry.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans) {
                for statement in statements {
                    if Self::holds(&statement.condition, span, resource) {
                        Self::edit(&statement.edit, span, resource);
                    }
                }
            }
        }
    }

    pub(super) fn count(condition: &Condition, request: &ExportTraceServiceRequest) -> usize {
        let mut count = 0;
        for entry in &request.resource_spans {
            let resource = entry.resource.clone().unwrap_or_default().attributes;
            for span in entry.scope_spans.iter().flat_map(|scope| &scope.spans) {
                count += usize::from(Self::holds(condition, span, &resource));
            }
        }
        count
    }
}

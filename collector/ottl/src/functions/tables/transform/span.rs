//! Functions of spans.

use std::borrow::Cow;

use crate::function::{Edit, Function, Kind, Parameter};
use crate::functions::span_name::{Attributes, Kind as SpanKind, VERSIONS, conventional};
use crate::run::{Arena, Datum, plain_text};
use crate::{Context, Contexts, EvalError};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_bytes, put_message};

const NAME: u32 = 5;
const KIND: u32 = 6;
const ATTRIBUTES: u32 = 9;

pub(super) const TABLE: &[Function] = &[Function::prepared_editor(
    "set_semconv_span_name",
    &[
        Parameter::new("semconv_version", Kind::LiteralString),
        Parameter::new("original_span_name_attribute", Kind::LiteralString).optional(),
    ],
    |literals| {
        let version = literals.str(0).unwrap_or_default();
        if !VERSIONS.contains(&version) {
            return Err(format!(
                "unsupported semconv version: {version}, supported versions: {}",
                VERSIONS.join(", ")
            ));
        }
        if literals.str(1) == Some("") {
            return Err("original_span_name_attribute cannot be an empty string".to_owned());
        }
        Ok(Box::new(set_name))
    },
)
.only_in(Contexts::of(&[Context::Span]))];

/// The attributes of an encoded span.
struct Encoded<'s>(&'s [u8]);

impl<'s> Encoded<'s> {
    fn value(&self, key: &str) -> Option<Datum<'s>> {
        let attributes = Fields::new(self.0).filter(|field| field.is_len(ATTRIBUTES));
        let body = |attribute: &'s [u8], number| {
            Fields::new(attribute).filter(|field| field.is_len(number)).last().map(|field| field.body)
        };
        let found = attributes
            .map(|field| field.body)
            .find(|attribute| body(attribute, 1).unwrap_or_default() == key.as_bytes())?;
        Some(Datum::read(body(found, 2).unwrap_or_default()))
    }
}

impl Attributes for Encoded<'_> {
    fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        let arena = Arena::default();
        let text = plain_text(&self.value(key)?, &arena).ok()?;
        Some(String::from_utf8_lossy(text).into_owned().into())
    }

    fn is_true(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Datum::Bool(true)))
    }
}

fn set_name(edit: &mut Edit<'_, '_>) -> Result<(), EvalError> {
    let span = edit.record();
    let kind = Fields::new(&span)
        .filter(|field| field.number() == KIND)
        .last()
        .map_or(0, |field| field.scalar as i64);
    let Some(name) = conventional(SpanKind::of(kind), &Encoded(&span)) else { return Ok(()) };
    let old =
        Fields::new(&span).filter(|field| field.is_len(NAME)).last().map_or(&[][..], |field| field.body);
    if old == name.as_bytes() {
        return Ok(());
    }
    let attribute = edit.call().opt_str(1);
    let mut out = Vec::with_capacity(span.len() + name.len() + 64);
    let mut rest: &[u8] = &span;
    let mut is_stored = false;
    while let Some((field, after)) = phoenix_pdata::wire::Field::read(rest) {
        let whole = &rest[..rest.len() - after.len()];
        rest = after;
        if field.is_len(NAME) {
            continue;
        }
        let key = || Fields::new(field.body).filter(|field| field.is_len(1)).last().map(|field| field.body);
        match attribute {
            Some(attribute)
                if field.is_len(ATTRIBUTES) && !is_stored && key() == Some(attribute.as_bytes()) =>
            {
                put_attribute(&mut out, attribute, old);
                is_stored = true;
            }
            _ => out.extend_from_slice(whole),
        }
    }
    put_bytes(&mut out, NAME, name.as_bytes());
    if let Some(attribute) = attribute.filter(|_| !is_stored) {
        put_attribute(&mut out, attribute, old);
    }
    edit.set_record(&out);
    Ok(())
}

fn put_attribute(out: &mut Vec<u8>, key: &str, text: &[u8]) {
    let mut value = Vec::new();
    put_bytes(&mut value, 1, text);
    put_message(out, ATTRIBUTES, |out| {
        put_bytes(out, 1, key.as_bytes());
        put_bytes(out, 2, &value);
    });
}

//! What becomes of the labels of a series.

use std::borrow::Cow;

use phoenix_attributes::{Pattern, as_text};
use phoenix_pdata::view::{AnyValue, Attributes, KeyValue, View as _, key_of};
use phoenix_pdata::write::{put_bytes, put_message};
use phoenix_series::{Fingerprint, Hasher};

use crate::config::{CapValues, NormalizeSettings};
use crate::pattern::{NamePattern, any};

/// One change of labels.
#[derive(Debug)]
pub(crate) enum Step {
    Drop(Box<[NamePattern]>),
    Keep(Box<[NamePattern]>),
    DropResource(Box<[NamePattern]>),
    KeepResource(Box<[NamePattern]>),
    Normalize(String, Normalization),
    Hash(String, u32),
    Cap { rule: String, settings: CapValues },
}

/// How values are made the same.
#[derive(Debug)]
pub(crate) enum Normalization {
    Regex(Pattern, String),
    Ids,
    Templates(Box<[String]>),
}

impl Normalization {
    /// What the settings say, which were checked.
    pub(crate) fn of(settings: &NormalizeSettings) -> Option<Normalization> {
        if settings.ids {
            return Some(Normalization::Ids);
        }
        if !settings.templates.is_empty() {
            return Some(Normalization::Templates(settings.templates.clone().into()));
        }
        let pattern = Pattern::new(&settings.regex).ok()?;
        Some(Normalization::Regex(pattern, settings.replacement.clone()))
    }
}

/// The labels of a series, as bodies of attributes.
#[derive(Debug, Default)]
pub(crate) struct Labels<'a> {
    pub(crate) point: Vec<Cow<'a, [u8]>>,
    pub(crate) resource: Vec<Cow<'a, [u8]>>,
    /// Whether the resource has others than before.
    pub(crate) resource_changed: bool,
}

impl<'a> Labels<'a> {
    pub(crate) fn new(point: &Attributes<'a>, resource: &Attributes<'a>) -> Labels<'a> {
        Labels {
            point: point.bodies().map(Cow::Borrowed).collect(),
            resource: resource.bodies().map(Cow::Borrowed).collect(),
            resource_changed: false,
        }
    }

    /// The value of a label, of the point before that of the resource.
    pub(crate) fn get(&self, key: &str) -> Option<AnyValue<'_>> {
        let all = self.point.iter().chain(&self.resource);
        all.into_iter().find(|body| key_of(body) == key.as_bytes()).map(|body| KeyValue::new(body).value())
    }

    /// Leaves out labels of the point whose key is (or is not) matched.
    pub(crate) fn retain_point(&mut self, patterns: &[NamePattern], keep: bool) {
        self.point.retain(|body| any(patterns, key_of(body)) == keep);
    }

    /// The same for the resource.
    pub(crate) fn retain_resource(&mut self, patterns: &[NamePattern], keep: bool) {
        let before = self.resource.len();
        self.resource.retain(|body| any(patterns, key_of(body)) == keep);
        self.resource_changed |= self.resource.len() != before;
    }

    /// Puts text in the place of the values that a label has, of the point and of the resource.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        set_in(&mut self.point, key, value);
        self.resource_changed |= set_in(&mut self.resource, key, value);
    }

    /// Puts text in the place of the value of a label of the point.
    pub(crate) fn set_point(&mut self, key: &str, value: &str) {
        set_in(&mut self.point, key, value);
    }

    /// The text of a label of the point, where it has it.
    pub(crate) fn point_text(&self, key: &str) -> Option<Vec<u8>> {
        let body = self.point.iter().find(|body| key_of(body) == key.as_bytes())?;
        Some(as_text(&KeyValue::new(body).value()).into_owned())
    }

    /// Carries out a step that needs nothing but the labels; false for one that needs more.
    pub(crate) fn apply(&mut self, step: &Step) -> bool {
        match step {
            Step::Drop(patterns) => self.retain_point(patterns, false),
            Step::Keep(patterns) => self.retain_point(patterns, true),
            Step::DropResource(patterns) => self.retain_resource(patterns, false),
            Step::KeepResource(patterns) => self.retain_resource(patterns, true),
            Step::Normalize(label, how) => {
                if let Some(text) = self.point_text(label) {
                    let normal = match how {
                        Normalization::Regex(pattern, by) => pattern.replace_all(&text, by).into_owned(),
                        Normalization::Ids => without_ids(&text),
                        Normalization::Templates(templates) => match fitting(templates, &text) {
                            Some(template) => template.as_bytes().to_vec(),
                            None => text.clone(),
                        },
                    };
                    if normal != text {
                        self.set_point(label, &String::from_utf8_lossy(&normal));
                    }
                }
            }
            Step::Hash(label, buckets) => {
                if let Some(text) = self.point_text(label) {
                    // Everybody who hashes the same value has the same bucket, so the seed is none.
                    let bucket = Hasher::new(0).bytes(&text).half() % u64::from((*buckets).max(1));
                    self.set_point(label, &bucket.to_string());
                }
            }
            Step::Cap { .. } => return false,
        }
        true
    }

    /// The fingerprints of both sets of labels.
    pub(crate) fn fingerprints(&self, hasher: &mut Hasher) -> (Fingerprint, Fingerprint) {
        let mut of = |bodies: &[Cow<'_, [u8]>]| {
            bodies.iter().fold(Fingerprint::default(), |sum, body| sum.plus(hasher.attribute(body)))
        };
        (of(&self.point), of(&self.resource))
    }

    /// The labels of the point, as fields of this number.
    pub(crate) fn encoded(&self, field: u32) -> Box<[u8]> {
        let mut out = Vec::with_capacity(self.point.iter().map(|body| body.len() + 4).sum());
        for body in &self.point {
            put_bytes(&mut out, field, body);
        }
        out.into()
    }
}

fn set_in(bodies: &mut [Cow<'_, [u8]>], key: &str, value: &str) -> bool {
    let mut found = false;
    for body in bodies.iter_mut().filter(|body| key_of(body) == key.as_bytes()) {
        *body = Cow::Owned(attribute(key, value));
        found = true;
    }
    found
}

/// The body of an attribute that holds text.
pub(crate) fn attribute(key: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + value.len() + 8);
    put_bytes(&mut out, 1, key.as_bytes());
    put_message(&mut out, 2, |out| put_bytes(out, 1, value.as_bytes()));
    out
}

/// The first template that a path fits.
fn fitting<'t>(templates: &'t [String], path: &[u8]) -> Option<&'t str> {
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let fits = |template: &&String| {
        let mut segments = path.split(|byte| *byte == b'/');
        for part in template.split('/') {
            let Some(segment) = segments.next() else { return false };
            if part == "*" {
                return true;
            }
            let is_open = part.starts_with('{') && part.ends_with('}');
            if if is_open { segment.is_empty() } else { segment != part.as_bytes() } {
                return false;
            }
        }
        segments.next().is_none()
    };
    templates.iter().find(fits).map(String::as_str)
}

/// A path whose segments that are numbers, UUIDs or hexadecimal numbers of 16 digits and more are `{id}`.
fn without_ids(path: &[u8]) -> Vec<u8> {
    let is_id = |segment: &[u8]| {
        let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
        let hex = segment.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
        let dashes = segment.iter().filter(|byte| **byte == b'-').count();
        !segment.is_empty()
            && (digits == segment.len()
                || hex == segment.len() && hex >= 16
                || segment.len() == 36 && hex == 32 && dashes == 4)
    };
    // A query is never part of the name of a route.
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut out = Vec::with_capacity(path.len());
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            out.push(b'/');
        }
        out.extend_from_slice(if is_id(segment) { b"{id}" } else { segment });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_the_first_template_that_they_fit() {
        let templates =
            ["/users/me", "/users/{id}", "/users/{id}/orders/{order}", "/static/*"].map(str::to_owned);
        let cases = [
            ("/users/me", Some("/users/me")),
            ("/users/7?page=2", Some("/users/{id}")),
            ("/users/7/orders/x-1", Some("/users/{id}/orders/{order}")),
            ("/users//orders/1", None),
            ("/users/7/orders", None),
            ("/static/css/a.css", Some("/static/*")),
            ("/static", None),
            ("", None),
        ];
        for (path, template) in cases {
            assert_eq!(fitting(&templates, path.as_bytes()), template, "{path}");
        }
    }

    #[test]
    fn segments_that_identify_something_become_the_same() {
        let cases = [
            ("/user/123/orders", "/user/{id}/orders"),
            ("/user/1f3870be274f6c49b3e31a0c6728957f", "/user/{id}"),
            ("/o/123e4567-e89b-12d3-a456-426614174000/x", "/o/{id}/x"),
            ("/beef/cafe", "/beef/cafe"),
            ("/v1/items?page=2", "/v1/items"),
            ("/", "/"),
            ("", ""),
        ];
        for (path, normal) in cases {
            assert_eq!(String::from_utf8_lossy(&without_ids(path.as_bytes())), normal, "{path}");
        }
    }
}

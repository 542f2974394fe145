//! Attributes of a stream before and after: label rules, and which of them stay.

use std::cell::OnceCell;

use phoenix_pdata::view::{AnyValue, Attributes, KeyValue, View as _, key_of};
use phoenix_pdata::write::{put_bytes, put_message, put_value_body};
use phoenix_series::{Fingerprint, Hasher};
use smallvec::SmallVec;

use crate::config::{LabelAction, LabelRule, Rule};
use crate::glob::Glob;

/// The attribute that says of which level of a hierarchy a series is.
const LEVEL: &[u8] = b"level";

/// An attribute on its own: its key, and the body of its value.
pub(crate) type Label = (Vec<u8>, Vec<u8>);

/// The attributes of a stream as they came. They are only copied for who changes or compares them.
pub(crate) struct Came<'a> {
    resource: Option<Attributes<'a>>,
    point: Attributes<'a>,
    labels: OnceCell<Labels>,
}

impl<'a> Came<'a> {
    pub(crate) fn new(resource: Option<Attributes<'a>>, point: Attributes<'a>) -> Came<'a> {
        Came { resource, point, labels: OnceCell::new() }
    }

    /// Those of the data point.
    pub(crate) fn point(&self) -> Attributes<'a> {
        self.point
    }

    pub(crate) fn labels(&self) -> &Labels {
        self.labels.get_or_init(|| Labels::read(self.resource, self.point))
    }
}

/// The attributes of a series as they go out, with their identities.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grouped {
    pub(crate) resource: Vec<u8>,
    pub(crate) resource_id: Fingerprint,
    pub(crate) point: Vec<u8>,
    pub(crate) point_id: Fingerprint,
}

/// The attributes of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) resource: Vec<Label>,
    pub(crate) point: Vec<Label>,
}

impl Labels {
    pub(crate) fn read(resource: Option<Attributes<'_>>, point: Attributes<'_>) -> Labels {
        let own = |attributes: Attributes<'_>| {
            let label = |attribute: phoenix_pdata::view::KeyValue<'_>| {
                let mut value = Vec::new();
                put_value_body(&mut value, &attribute.value());
                (attribute.key().as_bytes().to_vec(), value)
            };
            attributes.iter().map(label).collect()
        };
        Labels { resource: resource.map(own).unwrap_or_default(), point: own(point) }
    }

    fn find(&self, key: &[u8]) -> Option<&Label> {
        self.point.iter().chain(&self.resource).find(|(other, _)| other == key)
    }

    fn find_mut(&mut self, key: &[u8]) -> Option<&mut Label> {
        self.point.iter_mut().chain(&mut self.resource).find(|(other, _)| other == key)
    }

    fn remove(&mut self, key: &[u8]) {
        self.resource.retain(|(other, _)| other != key);
        self.point.retain(|(other, _)| other != key);
    }

    /// The value of an attribute as text.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.find(key.as_bytes()).map(|(_, value)| text(value))
    }

    fn set(&mut self, key: &str, value: &str) {
        let body = text_body(value);
        match self.find_mut(key.as_bytes()) {
            Some(label) => label.1 = body,
            None => self.point.push((key.as_bytes().to_vec(), body)),
        }
    }
}

/// The body of a text.
pub(crate) fn text_body(text: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_bytes(&mut body, 1, text.as_bytes());
    body
}

/// A value as people would write it; empty for lists, maps and nothing.
fn text(body: &[u8]) -> String {
    match AnyValue::new(body) {
        AnyValue::String(text) => text.to_string_lossy().into_owned(),
        AnyValue::Bool(value) => value.to_string(),
        AnyValue::Int(value) => value.to_string(),
        AnyValue::Double(value) => value.to_string(),
        _ => String::new(),
    }
}

/// The fields that hold the attributes, sorted by key, and their identity.
pub(crate) fn encode(labels: &mut [Label], field: u32, hasher: &Hasher) -> (Vec<u8>, Fingerprint) {
    labels.sort();
    encode_sorted(
        labels.iter().map(|(key, value)| (key, |out: &mut Vec<u8>| put_bytes(out, 2, value))),
        field,
        hasher,
    )
}

/// The same of attributes that are sorted: each a key, and what writes the field of its value.
fn encode_sorted<K: AsRef<[u8]>>(
    labels: impl Iterator<Item = (K, impl FnOnce(&mut Vec<u8>))>,
    field: u32,
    hasher: &Hasher,
) -> (Vec<u8>, Fingerprint) {
    let mut out = Vec::new();
    let mut identity = Fingerprint::default();
    let mut body = Vec::new();
    for (key, put_value) in labels {
        body.clear();
        put_bytes(&mut body, 1, key.as_ref());
        put_value(&mut body);
        identity = identity.plus(hasher.bytes(&body));
        put_bytes(&mut out, field, &body);
    }
    (out, identity)
}

/// What is done to attributes, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LabelChange {
    key: String,
    action: Action,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Rename(String),
    Map(Vec<(Glob, String)>, Option<String>),
    Bucket(Vec<f64>),
    Template(String),
    Drop,
}

impl LabelChange {
    fn new(rule: &LabelRule) -> LabelChange {
        let action = match rule.action {
            LabelAction::Rename => Action::Rename(rule.to.clone()),
            LabelAction::Map => {
                let globs = rule.values.iter().map(|(old, new)| (Glob::new(old), new.clone()));
                Action::Map(globs.collect(), rule.other.clone())
            }
            LabelAction::Bucket => Action::Bucket(rule.bounds.clone()),
            LabelAction::Template => Action::Template(rule.template.clone()),
            LabelAction::Drop => Action::Drop,
        };
        LabelChange { key: rule.key.clone(), action }
    }

    fn apply(&self, labels: &mut Labels) {
        let key = self.key.as_bytes();
        match &self.action {
            Action::Drop => labels.remove(key),
            Action::Rename(to) => {
                let Some((_, value)) = labels.find(key).cloned() else { return };
                // The new name may be taken: then what has it goes.
                labels.remove(to.as_bytes());
                if let Some(label) = labels.find_mut(key) {
                    *label = (to.as_bytes().to_vec(), value);
                }
            }
            Action::Map(values, other) => {
                let Some(old) = labels.text(&self.key) else { return };
                let found = values.iter().find(|(glob, _)| glob.is_match(old.as_bytes()));
                if let Some(new) = found.map(|(_, new)| new).or(other.as_ref()) {
                    labels.set(&self.key, new);
                }
            }
            Action::Bucket(bounds) => {
                let number = labels.text(&self.key).and_then(|text| text.parse::<f64>().ok());
                if let Some(number) = number.filter(|number| !number.is_nan()) {
                    labels.set(&self.key, &range(bounds, number));
                }
            }
            Action::Template(template) => {
                let value = fill(template, |key| labels.text(key).unwrap_or_default());
                labels.set(&self.key, &value);
            }
        }
    }
}

/// The range that a number is in, as text.
fn range(bounds: &[f64], number: f64) -> String {
    let above = bounds.partition_point(|bound| *bound < number);
    match (above.checked_sub(1).map(|below| bounds[below]), bounds.get(above)) {
        (None, Some(upper)) => format!("<={upper}"),
        (Some(lower), Some(upper)) => format!("{lower}-{upper}"),
        (Some(lower), None) => format!(">{lower}"),
        (None, None) => number.to_string(),
    }
}

/// Puts values in the place of `{key}`.
pub(crate) fn fill(template: &str, mut value: impl FnMut(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((key, after)) = after.split_once('}') else { break };
        out.push_str(before);
        out.push_str(&value(key));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What becomes of the attributes of the streams of a rule, at one of its levels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grouping {
    changes: Vec<LabelChange>,
    by: Option<Vec<Vec<u8>>>,
    without: Vec<Vec<u8>>,
    level: Option<String>,
    /// The attribute that tells replicas apart: it goes, before anything else.
    replica: Option<Vec<u8>>,
}

impl Grouping {
    /// One for each level of a rule, or one. `replica` is the attribute that tells replicas apart, where there are some.
    pub(crate) fn of(rule: &Rule, replica: Option<&str>) -> Vec<Grouping> {
        let replica = replica.map(|key| key.as_bytes().to_vec());
        let keys = |keys: &[String]| keys.iter().map(|key| key.as_bytes().to_vec()).collect::<Vec<_>>();
        let changes: Vec<_> = rule.labels.iter().map(LabelChange::new).collect();
        if rule.levels.is_empty() {
            let by = rule.by.as_ref().map(|by| keys(by));
            return vec![Grouping { changes, by, without: keys(&rule.without), level: None, replica }];
        }
        let level = |level: &crate::config::Level| Grouping {
            changes: changes.clone(),
            by: Some(keys(&level.by)),
            without: Vec::new(),
            level: Some(level.level.clone()),
            replica: replica.clone(),
        };
        rule.levels.iter().map(level).collect()
    }

    /// Whether every stream stays one on its own.
    pub(crate) fn keeps_identity(&self) -> bool {
        self.changes.is_empty() && self.by.is_none() && self.without.is_empty()
    }

    /// The attributes of a stream that go, or are changed, as they came.
    pub(crate) fn gone<'a>(&self, came: &Came<'a>) -> impl Iterator<Item = &'a [u8]> {
        let goes = |body: &&[u8]| {
            let key = key_of(body);
            !self.keeps(key) || self.changes.iter().any(|change| change.key.as_bytes() == key)
        };
        let resource = came.resource.into_iter().flat_map(|attributes| attributes.bodies());
        came.point.bodies().chain(resource).filter(goes)
    }

    /// Whether nothing of a stream goes.
    pub(crate) fn keeps_all(&self) -> bool {
        self.keeps_identity() && self.replica.is_none()
    }

    /// Whether the scope stays part of the identity.
    pub(crate) fn keeps_scope(&self) -> bool {
        self.by.is_none()
    }

    fn keeps(&self, key: &[u8]) -> bool {
        let has = |keys: &[Vec<u8>]| keys.iter().any(|other| other == key);
        if self.replica.as_deref() == Some(key) {
            return false;
        }
        match &self.by {
            Some(by) => has(by),
            None => !has(&self.without),
        }
    }

    /// What stays of the attributes of a stream, those of the data point in fields of this number.
    pub(crate) fn group(&self, came: &Came<'_>, field: u32, hasher: &Hasher) -> Grouped {
        let ((resource, resource_id), (point, point_id)) = if self.changes.is_empty() {
            let resource = came.resource.map(|attributes| self.encode_kept(attributes, None, 1, hasher));
            let level = self.level.as_deref();
            (resource.unwrap_or_default(), self.encode_kept(came.point, level, field, hasher))
        } else {
            let mut labels = came.labels().clone();
            self.apply(&mut labels);
            (encode(&mut labels.resource, 1, hasher), encode(&mut labels.point, field, hasher))
        };
        Grouped { resource, resource_id, point, point_id }
    }

    /// Encodes what stays of attributes that nothing changes, without a copy of any.
    fn encode_kept(
        &self,
        attributes: Attributes<'_>,
        level: Option<&str>,
        field: u32,
        hasher: &Hasher,
    ) -> (Vec<u8>, Fingerprint) {
        let stays = |body: &&[u8]| {
            let key = key_of(body);
            self.keeps(key) && !(self.level.is_some() && key == LEVEL)
        };
        let kept = attributes.bodies().filter(stays).map(|body| (key_of(body), KeyValue::new(body).value()));
        let mut kept: SmallVec<[(&[u8], AnyValue<'_>); 16]> = kept.collect();
        kept.extend(level.map(|level| (LEVEL, AnyValue::from(level))));
        kept.sort_by_key(|(key, _)| *key);
        let put =
            |value: AnyValue<'_>, out: &mut Vec<u8>| put_message(out, 2, |out| put_value_body(out, &value));
        encode_sorted(
            kept.into_iter().map(|(key, value)| (key, move |out: &mut Vec<u8>| put(value, out))),
            field,
            hasher,
        )
    }

    fn apply(&self, labels: &mut Labels) {
        self.replica.iter().for_each(|key| labels.remove(key));
        self.changes.iter().for_each(|change| change.apply(labels));
        let stays = |(key, _): &Label| self.keeps(key);
        labels.resource.retain(stays);
        labels.point.retain(stays);
        if let Some(level) = &self.level {
            labels.remove(LEVEL);
            labels.point.push((LEVEL.to_vec(), text_body(level)));
        }
    }
}

#[cfg(test)]
mod tests {
    use phoenix_pdata::view::{NumberPoint, Resource};
    use phoenix_pdata::write::put_attribute;

    use super::*;

    fn labels(resource: &[(&str, &str)], point: &[(&str, &str)]) -> Labels {
        let own = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), text_body(value))).collect()
        };
        Labels { resource: own(resource), point: own(point) }
    }

    fn grouped(rule: &str, before: &Labels) -> Vec<Labels> {
        let rule: Rule = serde_json::from_str(rule).expect("a rule");
        let apply = |grouping: Grouping| {
            let mut labels = before.clone();
            grouping.apply(&mut labels);
            labels
        };
        Grouping::of(&rule, None).into_iter().map(apply).collect()
    }

    #[test]
    fn attributes_stay_go_and_change() {
        let before = labels(&[("pod", "a-1"), ("node", "n")], &[("status", "503"), ("route", "/x")]);
        // (rule, resource and data point afterwards)
        let cases = [
            (r#"{"by": ["node", "route"]}"#, labels(&[("node", "n")], &[("route", "/x")])),
            (r#"{"without": ["pod", "status"]}"#, labels(&[("node", "n")], &[("route", "/x")])),
            (r#"{"by": []}"#, labels(&[], &[])),
            (
                r#"{"labels": [{"key": "status", "action": "map", "values": {"5??": "5xx"}, "other": "ok"}], "by": ["status"]}"#,
                labels(&[], &[("status", "5xx")]),
            ),
            (
                r#"{"labels": [{"key": "status", "action": "bucket", "bounds": [200, 500]}], "by": ["status"]}"#,
                labels(&[], &[("status", ">500")]),
            ),
            (
                r#"{"labels": [{"key": "pod", "to": "k8s.pod"}, {"key": "id", "action": "template", "template": "{k8s.pod}@{node}"}], "by": ["id"]}"#,
                labels(&[], &[("id", "a-1@n")]),
            ),
            (r#"{"labels": [{"key": "route", "action": "drop"}], "by": ["route"]}"#, labels(&[], &[])),
            (
                r#"{"labels": [{"key": "status", "to": "route"}], "by": ["route"]}"#,
                labels(&[], &[("route", "503")]),
            ),
        ];
        for (rule, after) in cases {
            assert_eq!(grouped(rule, &before), [after], "{rule}");
        }
        let levels = r#"{"levels": [{"level": "pod", "by": ["pod"]}, {"level": "node", "by": ["node"]}]}"#;
        let expected =
            [labels(&[("pod", "a-1")], &[("level", "pod")]), labels(&[("node", "n")], &[("level", "node")])];
        assert_eq!(grouped(levels, &before), expected);
    }

    #[test]
    fn what_is_grouped_without_copies_is_the_same_as_with_them() {
        let (mut resource, mut point) = (Vec::new(), Vec::new());
        for (key, value) in [("pod", "a-1"), ("level", "mine"), ("node", "n"), ("empty", "")] {
            put_attribute(&mut resource, 1, key, &value.into());
        }
        put_attribute(&mut point, 7, "status", &503.into());
        // The value before the key, and one that is nothing.
        put_message(&mut point, 7, |out| {
            put_bytes(out, 2, &[0x10, 1]);
            put_bytes(out, 1, b"ok");
        });
        put_attribute(&mut point, 7, "nothing", &AnyValue::Empty);
        let resource = Resource::new(&resource).attributes();
        let came = Came::new(Some(resource), NumberPoint::new(&point).attributes());
        let hasher = Hasher::new(7);
        for rule in [
            r#"{"by": ["status", "node", "ok", "nothing", "empty", "absent"]}"#,
            r#"{"without": ["pod"]}"#,
            r#"{"levels": [{"level": "pod", "by": ["pod", "level"]}, {"level": "all", "by": []}]}"#,
        ] {
            let rule: Rule = serde_json::from_str(rule).expect("a rule");
            for grouping in [None, Some("pod")].iter().flat_map(|replica| Grouping::of(&rule, *replica)) {
                let mut labels = came.labels().clone();
                grouping.apply(&mut labels);
                let (resource, resource_id) = encode(&mut labels.resource, 1, &hasher);
                let (point, point_id) = encode(&mut labels.point, 9, &hasher);
                let expected = Grouped { resource, resource_id, point, point_id };
                assert_eq!(grouping.group(&came, 9, &hasher), expected, "{rule:?}");
            }
        }
    }

    #[test]
    fn ranges_are_told_as_text() {
        let text = |number| range(&[10.0, 100.5], number);
        assert_eq!([text(-1.0), text(10.0), text(11.0), text(101.0)], ["<=10", "<=10", "10-100.5", ">100.5"]);
    }
}

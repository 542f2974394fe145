//! Which labels a series has.

use std::borrow::Cow;

use phoenix_pdata::view::{Attributes, Resource, Scope, Text};
use phoenix_series::Fingerprint;
use smallvec::SmallVec;

use super::{AHEAD, Family, Options, Sample, Sink, Translator};
use crate::labels::join;
use crate::{Extra, Kind, Label, LabelSet, text_of};

/// Room for the labels of most series.
const LABELS: usize = 24;
/// The attributes that `job` and `instance` are made of.
const IDENTIFYING: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

/// Where metrics come from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) resource: Option<Resource<'a>>,
    pub(super) scope: Option<Scope<'a>>,
    pub(super) schema_url: Text<'a>,
}

type Labels<'a> = Vec<Label<'a>>;

impl Translator {
    /// What the labels of a point are kept under; `key` is that of its origin. Senders write the attributes of a series
    /// alike every time: one hash of all their bytes does, and other bytes only make the labels once more.
    pub(super) fn key_of(&self, key: Fingerprint, attributes: &Attributes<'_>) -> Fingerprint {
        self.hasher.ordered([key, self.hasher.bytes(attributes.bytes())])
    }

    /// The labels that are kept under each of these. Each waits for memory, and in a loop of their own they wait together.
    pub(super) fn known_labels(&self, keys: &[Fingerprint]) -> SmallVec<[Option<LabelSet>; AHEAD]> {
        let known: SmallVec<[_; AHEAD]> = keys.iter().map(|key| self.labels.find(*key)).collect();
        known.iter().flatten().for_each(|labels| labels.fetch());
        // Only now: what counts references waits for all loads before it.
        known.into_iter().map(Option::<&LabelSet>::cloned).collect()
    }

    /// The labels of a point that were not among the known ones.
    pub(super) fn labels_of(
        &mut self,
        origin: &Origin<'_>,
        key: Fingerprint,
        attributes: &Attributes<'_>,
    ) -> LabelSet {
        let options = &self.options;
        self.labels.get(key, || of_point(options, origin, attributes))
    }

    /// One series for the resource, where something is known of it beside who it is.
    pub(super) fn target_info<S: Sink>(
        &mut self,
        resource: Option<Resource<'_>>,
        key: Fingerprint,
        time_ms: i64,
        sink: &mut S,
    ) {
        let Some(resource) = resource else { return };
        let of_service = of_service(&resource);
        let is_other = |key: Text<'_>| !IDENTIFYING.iter().any(|known| key == *known);
        if of_service.is_empty() || !resource.attributes().iter().any(|attribute| is_other(attribute.key())) {
            return;
        }
        let key = self.hasher.ordered([key, self.hasher.bytes(b"target_info")]);
        let options = &self.options;
        let labels = self.labels.get(key, || {
            let mut labels = named(options, &resource.attributes(), is_other);
            join(&mut labels);
            override_with(&mut labels, of_service);
            external(options, &mut labels);
            LabelSet::new(labels)
        });
        let name = self.options.naming.metric("target_info", "", Kind::Info);
        let help = "Target metadata";
        let family = Family { name: &name, kind: Kind::Info, help, unit: "", delta: false };
        let sample = Sample { value: 1.0, time_ms, start_ms: 0 };
        sink.sample(&family, "", &labels, Extra::None, sample, &[]);
    }
}

fn of_point(options: &Options, origin: &Origin<'_>, attributes: &Attributes<'_>) -> LabelSet {
    let mut labels;
    let resource = origin.resource;
    if let Some(resource) = resource.filter(|_| options.resource_labels) {
        let excludes = options.exclude_service_attributes;
        let is_wanted = |key: Text<'_>| !excludes || !IDENTIFYING.iter().any(|known| key == *known);
        labels = named(options, &resource.attributes(), is_wanted);
        // An attribute of the resource takes the place of the point's, as in the original.
        labels.extend(named(options, attributes, |key| {
            !is_wanted(key) || !resource.attributes().iter().any(|attribute| attribute.key() == key)
        }));
    } else {
        labels = named(options, attributes, |_| true);
    }
    join(&mut labels);
    if options.scope_labels {
        override_with(&mut labels, of_scope(options, origin));
    }
    if let Some(resource) = resource {
        override_with(&mut labels, of_service(&resource));
    }
    external(options, &mut labels);
    LabelSet::new(labels)
}

/// Attributes as labels, by their keys, so that values of one name are joined in that order.
fn named<'a>(
    options: &Options,
    attributes: &Attributes<'a>,
    is_wanted: impl Fn(Text<'_>) -> bool,
) -> Labels<'a> {
    let wanted = attributes.iter().filter(|attribute| is_wanted(attribute.key()));
    let mut labels: Labels<'a> = Vec::with_capacity(LABELS);
    labels.extend(wanted.map(|attribute| (attribute.key().to_string_lossy(), text_of(&attribute.value()))));
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, _) in &mut labels {
        *key = match std::mem::take(key) {
            Cow::Borrowed(key) => options.naming.label(key),
            Cow::Owned(key) => Cow::Owned(options.naming.label(&key).into_owned()),
        };
    }
    labels
}

/// Labels that win over those that are there.
fn override_with<'a>(labels: &mut Labels<'a>, with: Labels<'a>) {
    labels.retain(|(name, _)| !with.iter().any(|(other, _)| other == name));
    labels.extend(with);
}

fn external<'a>(options: &'a Options, labels: &mut Labels<'a>) {
    for (name, value) in &options.external_labels {
        if !labels.iter().any(|(other, _)| other == name) {
            labels.push((Cow::Borrowed(name), Cow::Borrowed(value)));
        }
    }
}

/// `job` and `instance`.
fn of_service<'a>(resource: &Resource<'a>) -> Labels<'a> {
    let attributes = resource.attributes();
    let text = |key: &str| attributes.get(key).map(|value| text_of(&value)).filter(|text| !text.is_empty());
    let mut labels = Labels::new();
    if let Some(name) = text("service.name") {
        let job = match text("service.namespace") {
            Some(namespace) => Cow::Owned(format!("{namespace}/{name}")),
            None => name,
        };
        labels.push((Cow::Borrowed("job"), job));
    }
    if let Some(instance) = text("service.instance.id") {
        labels.push((Cow::Borrowed("instance"), instance));
    }
    labels
}

fn of_scope<'a>(options: &Options, origin: &Origin<'a>) -> Labels<'a> {
    let mut labels = Labels::new();
    if let Some(scope) = origin.scope {
        let named = named(options, &scope.attributes(), |_| true);
        labels
            .extend(named.into_iter().map(|(name, value)| (Cow::Owned(format!("otel_scope_{name}")), value)));
        join(&mut labels);
        let own = [("otel_scope_name", scope.name()), ("otel_scope_version", scope.version())];
        let own = own.map(|(name, text)| (Cow::Borrowed(name), text.to_string_lossy()));
        override_with(&mut labels, own.into());
    }
    let url = origin.schema_url.to_string_lossy();
    override_with(&mut labels, vec![(Cow::Borrowed("otel_scope_schema_url"), url)]);
    labels.retain(|(_, value)| !value.is_empty());
    labels
}

//! What the three signals share: the entries for a resource and for a scope.

use std::fmt;

use crate::wire::Fields;

use super::{Attributes, Body, LogRecord, Many, Metric, Slot, Span, Text, View, view};

view! {
    /// What produced the telemetry.
    Resource {
        /// Its attributes.
        1 attributes: Attributes<'a>,
        /// How many attributes the sender dropped.
        2 dropped_attributes_count: u32,
        /// The entities that the resource is made of.
        3 entity_refs: Many<'a, EntityRef<'a>>,
    }
}

view! {
    /// Which attributes of a resource are those of an entity.
    EntityRef {
        /// The schema of the entity.
        1 schema_url: Text<'a>,
        /// Its type, for example `service`.
        2 kind: Text<'a>,
        /// The keys of the attributes that identify it.
        3 id_keys: Texts<'a>,
        /// The keys of the attributes that describe it.
        4 description_keys: Texts<'a>,
    }
}

view! {
    /// The library that recorded the telemetry.
    Scope {
        /// Its name.
        1 name: Text<'a>,
        /// Its version.
        2 version: Text<'a>,
        /// Its attributes.
        3 attributes: Attributes<'a>,
        /// How many attributes the sender dropped.
        4 dropped_attributes_count: u32,
    }
}

/// Texts of a `repeated` field, in order.
pub type Texts<'a> = Many<'a, Text<'a>>;

impl<'a> View<'a> for Text<'a> {
    fn new(body: &'a [u8]) -> Text<'a> {
        Text::new(body)
    }
}

/// A resource and what it produced, by scope. `R` is [`Span`], [`Metric`] or [`LogRecord`].
#[derive(Clone, Copy)]
pub struct ResourceEntry<'a, R> {
    raw: &'a [u8],
    resource: Body<'a>,
    scopes: Many<'a, ScopeEntry<'a, R>>,
    schema_url: Text<'a>,
}

/// A scope and its records.
#[derive(Clone, Copy)]
pub struct ScopeEntry<'a, R> {
    raw: &'a [u8],
    scope: Body<'a>,
    records: Many<'a, R>,
    schema_url: Text<'a>,
}

/// A resource and its spans.
pub type ResourceSpans<'a> = ResourceEntry<'a, Span<'a>>;
/// A resource and its metrics.
pub type ResourceMetrics<'a> = ResourceEntry<'a, Metric<'a>>;
/// A resource and its log records.
pub type ResourceLogs<'a> = ResourceEntry<'a, LogRecord<'a>>;
/// A scope and its spans.
pub type ScopeSpans<'a> = ScopeEntry<'a, Span<'a>>;
/// A scope and its metrics.
pub type ScopeMetrics<'a> = ScopeEntry<'a, Metric<'a>>;
/// A scope and its log records.
pub type ScopeLogs<'a> = ScopeEntry<'a, LogRecord<'a>>;

impl<'a, R: View<'a>> View<'a> for ResourceEntry<'a, R> {
    fn new(raw: &'a [u8]) -> Self {
        let mut view = ResourceEntry {
            raw,
            resource: Body::default(),
            scopes: Many::default(),
            schema_url: Text::default(),
        };
        for field in Fields::new(raw) {
            match field.number() {
                1 => view.resource.take(&field, raw),
                2 => view.scopes.take(&field, raw),
                3 => view.schema_url.take(&field, raw),
                _ => {}
            }
        }
        view
    }
}

impl<'a, R: View<'a>> ResourceEntry<'a, R> {
    /// The bytes of the entry, which also identify it to [`crate::Editor`].
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The resource.
    pub fn resource(&self) -> Option<Resource<'a>> {
        self.resource.into()
    }

    /// What it produced, by scope.
    pub fn scopes(&self) -> Many<'a, ScopeEntry<'a, R>> {
        self.scopes
    }

    /// The schema of the resource.
    pub fn schema_url(&self) -> Text<'a> {
        self.schema_url
    }
}

impl<'a, R: View<'a>> View<'a> for ScopeEntry<'a, R> {
    fn new(raw: &'a [u8]) -> Self {
        let mut view =
            ScopeEntry { raw, scope: Body::default(), records: Many::default(), schema_url: Text::default() };
        for field in Fields::new(raw) {
            match field.number() {
                1 => view.scope.take(&field, raw),
                2 => view.records.take(&field, raw),
                3 => view.schema_url.take(&field, raw),
                _ => {}
            }
        }
        view
    }
}

impl<'a, R: View<'a>> ScopeEntry<'a, R> {
    /// The bytes of the entry, which also identify it to [`crate::Editor`].
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The scope.
    pub fn scope(&self) -> Option<Scope<'a>> {
        self.scope.into()
    }

    /// The spans, metrics or log records.
    pub fn records(&self) -> Many<'a, R> {
        self.records
    }

    /// The schema of the scope and the records.
    pub fn schema_url(&self) -> Text<'a> {
        self.schema_url
    }
}

impl<'a, R: View<'a> + fmt::Debug> fmt::Debug for ResourceEntry<'a, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceEntry")
            .field("resource", &self.resource())
            .field("scopes", &self.scopes())
            .field("schema_url", &self.schema_url())
            .finish()
    }
}

impl<'a, R: View<'a> + fmt::Debug> fmt::Debug for ScopeEntry<'a, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeEntry")
            .field("scope", &self.scope())
            .field("records", &self.records())
            .field("schema_url", &self.schema_url())
            .finish()
    }
}

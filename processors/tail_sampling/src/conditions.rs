//! Conditions about single spans: evaluated once, as a span comes, and remembered as one bit of its trace.
//!
//! One walk over the fields of a span finds everything that any condition looks at. A condition that has held for a
//! trace is not evaluated for it again.

mod attribute;
mod special;
mod trace_state;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use phoenix_component::ObservedSpan;
use phoenix_ottl::SpanMatcher;
use phoenix_pdata::view::{AnyValue, KeyValue, View as _, key_of};
use phoenix_pdata::wire::Fields;
use phoenix_sampling::TraceState;

use crate::facts::{Bits, ConditionId, FieldId, NoteId, SamplingState, TraceFacts};
use crate::policies::extension::Asked;
use crate::policies::leaf::is_within;

pub(crate) use attribute::{AttributeTest, TextTest};
pub(crate) use special::FINGERPRINT;

/// The numbers of the fields of a span that matter.
mod field {
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT: u32 = 4;
    pub(super) const START: u32 = 7;
    pub(super) const END: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;
    pub(super) const STATUS_CODE: u32 = 3;
    pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
}

const STATUS_ERROR: u64 = 2;

/// A condition about a span. OTTL has its own way in: [`Conditions::add_ottl`].
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// The status is one of those whose bit is set: 1 unset, 2 ok, 4 error.
    Status { codes: u8 },
    /// An attribute of the span, or of its resource.
    Attribute { key: String, test: AttributeTest },
    /// A member of `tracestate` has one of these values.
    TraceState { key: String, values: Vec<String> },
    /// The W3C flag `sampled` is set.
    SampledFlag,
    /// The trace as far as it has come is of this duration, in milliseconds.
    PrefixLatency { from: i64, to: Option<i64> },
}

/// What is done with an attribute of one key.
#[derive(Debug, Default)]
struct Wanted {
    key: Box<[u8]>,
    tests: Vec<(ConditionId, AttributeTest)>,
    field: Option<FieldId>,
}

/// An OTTL condition.
#[derive(Debug)]
pub(crate) struct Ottl {
    pub(crate) matched: ConditionId,
    /// Set where it failed before it held.
    pub(crate) failed: ConditionId,
    pub(crate) matcher: SpanMatcher,
}

/// All conditions of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    count: u16,
    fields: u16,
    known: HashMap<String, ConditionId>,
    wanted: Vec<Wanted>,
    special: special::Special,
    /// Bit `n` is set where a wanted key has `n` bytes; longer ones share the last bit.
    lengths: u64,
    statuses: Vec<(ConditionId, u8)>,
    flags: Option<ConditionId>,
    trace_states: Vec<(ConditionId, String, Vec<String>)>,
    latencies: Vec<(ConditionId, i64, Option<i64>)>,
    /// Shared, so that sessions can stay open while the rest is used.
    ottl: Arc<Vec<Ottl>>,
    /// Policies of extensions, by [`NoteId`].
    observers: Vec<Arc<Asked>>,
    values: Interner,
}

/// What a resource says about all its spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfResource {
    pub(crate) bits: Bits,
    pub(crate) values: Vec<(FieldId, Arc<str>)>,
}

impl Conditions {
    fn next_id(&mut self) -> ConditionId {
        self.count += 1;
        ConditionId(self.count - 1)
    }

    /// Adds a condition, unless an equal one is there.
    pub(crate) fn add(&mut self, condition: Condition) -> ConditionId {
        let name = format!("{condition:?}");
        if let Some(id) = self.known.get(&name) {
            return *id;
        }
        let id = self.next_id();
        self.known.insert(name, id);
        match condition {
            Condition::Status { codes } => self.statuses.push((id, codes)),
            Condition::Attribute { key, test } => self.wanted(&key).tests.push((id, test)),
            Condition::TraceState { key, values } => self.trace_states.push((id, key, values)),
            Condition::SampledFlag => self.flags = Some(id),
            Condition::PrefixLatency { from, to } => self.latencies.push((id, from, to)),
        }
        id
    }

    /// Adds an OTTL condition, unless the one of that name is there: the conditions for that it held, and that it failed.
    pub(crate) fn add_ottl(&mut self, name: String, matcher: SpanMatcher) -> (ConditionId, ConditionId) {
        if let Some(matched) = self.known.get(&name) {
            return (*matched, ConditionId(matched.0 + 1));
        }
        let (matched, failed) = (self.next_id(), self.next_id());
        self.known.insert(name, matched);
        if let Some(ottl) = Arc::get_mut(&mut self.ottl) {
            ottl.push(Ottl { matched, failed, matcher });
        }
        (matched, failed)
    }

    /// Gathers the values of an attribute.
    pub(crate) fn add_field(&mut self, key: &str) -> FieldId {
        let next = FieldId(self.fields);
        if let Some(place) = self.special.place(key) {
            let field = *place.get_or_insert(next);
            self.fields += u16::from(field == next);
            return field;
        }
        let field = *self.wanted(key).field.get_or_insert(next);
        if field == next {
            self.fields += 1;
        }
        field
    }

    fn wanted(&mut self, key: &str) -> &mut Wanted {
        let index = match self.wanted.iter().position(|wanted| *wanted.key == *key.as_bytes()) {
            Some(index) => index,
            None => {
                self.lengths |= 1 << key.len().min(63);
                self.wanted.push(Wanted { key: key.as_bytes().into(), ..Wanted::default() });
                self.wanted.len() - 1
            }
        };
        &mut self.wanted[index]
    }

    /// Shows each span to the policy of an extension.
    pub(crate) fn add_observer(&mut self, policy: Arc<Asked>) -> NoteId {
        self.observers.push(policy);
        NoteId((self.observers.len() - 1) as u16)
    }

    /// How many policies of extensions there are.
    pub(crate) fn observers(&self) -> usize {
        self.observers.len()
    }

    /// Shows a span to the policies of extensions.
    pub(crate) fn show(&self, span: &ObservedSpan<'_>, facts: &mut TraceFacts) {
        let notes = facts.notes(self.observers.len());
        for (policy, note) in self.observers.iter().zip(notes) {
            policy.observe(span, note);
        }
    }

    pub(crate) fn ottl(&self) -> &Arc<Vec<Ottl>> {
        &self.ottl
    }

    /// What the resource whose encoded entry (without its scopes) this is says about all its spans.
    pub(crate) fn of_resource(&mut self, entry: &[u8]) -> OfResource {
        let mut found = OfResource::default();
        if self.wanted.is_empty() {
            return found;
        }
        let resource = Fields::new(entry).find(|field| field.is_len(1)).map_or(&[][..], |field| field.body);
        let mut seen = 0;
        for attribute in Fields::new(resource).filter(|field| field.is_len(field::RESOURCE_ATTRIBUTES)) {
            let Some(wanted) = find(&mut self.wanted, self.lengths, attribute.body, &mut seen) else {
                continue;
            };

            let value = KeyValue::new(attribute.body).value();
            for (id, test) in &mut wanted.tests {
                if test.holds(&value, true) {
                    found.bits.set(*id);
                }
            }
            if let Some(field) = wanted.field {
                with_text(&value, |text| found.values.push((field, self.values.intern(text))));
            }
        }
        found
    }

    /// Takes a span into what is known about its trace; not yet the conditions in OTTL.
    #[inline]
    pub(crate) fn observe(&mut self, span: &[u8], facts: &mut TraceFacts) {
        let (mut start, mut end, mut status, mut flags) = (0, 0, 0, 0);
        let mut has_parent = false;
        let mut state: &[u8] = &[];
        let mut seen = 0;
        for field in Fields::new(span) {
            match field.number() {
                field::ATTRIBUTES => {
                    if self.lengths != 0
                        && let Some(wanted) = find(&mut self.wanted, self.lengths, field.body, &mut seen)
                    {
                        observe_attribute(wanted, field.body, facts, &mut self.values);
                    }
                }
                field::TRACE_STATE => state = field.body,
                field::PARENT => has_parent = !field.body.is_empty(),
                field::START => start = field.scalar,
                field::END => end = field.scalar,
                field::STATUS => status = status_code(field.body),
                field::FLAGS => flags = field.scalar,
                _ => {}
            }
        }
        facts.spans += 1;
        facts.has_root |= !has_parent;
        facts.has_error |= status == STATUS_ERROR;
        facts.extend_to(start, end);
        for (id, codes) in &self.statuses {
            if status < 3 && codes >> status & 1 == 1 {
                facts.bits.set(*id);
            }
        }
        if let Some(id) = self.flags
            && flags & 1 == 1
        {
            facts.bits.set(id);
        }
        for (id, from, to) in &self.latencies {
            if !facts.bits.has(*id) && is_within(facts.prefix_millis(), *from, *to) {
                facts.bits.set(*id);
            }
        }
        if !state.is_empty() {
            self.observe_trace_state(state, facts);
        }
        if self.special.is_wanted() {
            let found = special::Found { is_root: !has_parent, is_error: status == STATUS_ERROR };
            let values = &mut self.values;
            self.special.observe(span, found, &mut |field, text| {
                facts.add_value(field, text, |text| values.intern(text));
            });
        }
    }

    fn observe_trace_state(&mut self, state: &[u8], facts: &mut TraceFacts) {
        for (id, key, values) in &self.trace_states {
            if !facts.bits.has(*id) {
                let value = trace_state::value_of(state, key.as_bytes());
                if value.is_some_and(|value| values.iter().any(|wanted| wanted.as_bytes() == value)) {
                    facts.bits.set(*id);
                }
            }
        }
        if facts.sampling.as_ref().is_none_or(|known| known.randomness.is_none()) {
            let stated = TraceState::read(state).ok().and_then(|state| state.randomness());
            if let Some(randomness) = stated {
                let known: &mut SamplingState = facts.sampling.get_or_insert_default();
                known.randomness = Some(randomness);
            }
        }
    }
}

/// Whether a span has failed.
pub(crate) fn is_error(span: &[u8]) -> bool {
    let status = Fields::new(span).filter(|field| field.number() == field::STATUS).last();
    status.is_some_and(|status| status_code(status.body) == STATUS_ERROR)
}

/// The code in the body of a status.
fn status_code(status: &[u8]) -> u64 {
    Fields::new(status).filter(|field| field.number() == field::STATUS_CODE).last().map_or(0, |f| f.scalar)
}

/// What is wanted of an attribute, if anything is. Of equal keys in one record the first counts.
#[inline]
fn find<'w>(
    wanted: &'w mut [Wanted],
    lengths: u64,
    attribute: &[u8],
    seen: &mut u64,
) -> Option<&'w mut Wanted> {
    let key = key_of(attribute);
    if lengths >> key.len().min(63) & 1 == 0 {
        return None;
    }
    let index = wanted.iter().position(|wanted| *wanted.key == *key)?;
    if index < 64 {
        let bit = 1 << index;
        if *seen & bit != 0 {
            return None;
        }
        *seen |= bit;
    }
    Some(&mut wanted[index])
}

fn observe_attribute(wanted: &mut Wanted, attribute: &[u8], facts: &mut TraceFacts, values: &mut Interner) {
    let is_open = wanted.tests.iter().any(|(id, _)| !facts.bits.has(*id));
    if !is_open && wanted.field.is_none() {
        return;
    }
    let value = KeyValue::new(attribute).value();
    for (id, test) in &mut wanted.tests {
        if !facts.bits.has(*id) && test.holds(&value, false) {
            facts.bits.set(*id);
        }
    }
    if let Some(field) = wanted.field {
        with_text(&value, |text| facts.add_value(field, text, |text| values.intern(text)));
    }
}

/// The text of a value that is a scalar.
fn with_text(value: &AnyValue<'_>, act: impl FnOnce(&str)) {
    match value {
        AnyValue::String(text) => act(&text.to_string_lossy()),
        AnyValue::Bool(value) => act(if *value { "true" } else { "false" }),
        AnyValue::Int(value) => act(&value.to_string()),
        AnyValue::Double(value) => act(&value.to_string()),
        _ => {}
    }
}

/// Gives equal texts one place.
#[derive(Debug, Default)]
struct Interner {
    texts: HashSet<Arc<str>>,
    /// Texts at which those that nobody holds are let go.
    sweep_at: usize,
}

impl Interner {
    const LEAST: usize = 1024;

    fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        if self.texts.len() >= self.sweep_at.max(Interner::LEAST) {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = 2 * self.texts.len();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }
}

#[cfg(test)]
mod tests;

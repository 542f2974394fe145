//! What is known about a trace that waits: gathered span by span, so that a decision reads no span again.

use std::sync::Arc;
use std::time::Duration;

use phoenix_sampling::{Randomness, Threshold};

/// Identifies a condition that is evaluated for every span; see [`crate::plan::Builder::condition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConditionId(pub(crate) u16);

/// Identifies an attribute whose values are gathered; see [`crate::plan::Builder::field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldId(pub(crate) u16);

/// Identifies what a policy of an extension notes for each trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NoteId(pub(crate) u16);

/// A set of conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    low: u64,
    /// Where there are more than 64 conditions.
    high: Option<Box<Words>>,
}

/// Behind a thin pointer, since hardly a trace has any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Words(Vec<u64>);

impl Words {
    fn grow(&mut self, len: usize) {
        if self.0.len() < len {
            self.0.resize(len, 0);
        }
    }
}

/// The same for values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(Vec<(FieldId, Arc<str>)>);

impl Bits {
    #[inline]
    pub(crate) fn has(&self, id: ConditionId) -> bool {
        let (word, bit) = (usize::from(id.0) / 64, id.0 % 64);
        match word {
            0 => self.low >> bit & 1 == 1,
            _ => {
                self.high.as_ref().and_then(|words| words.0.get(word - 1)).is_some_and(|w| w >> bit & 1 == 1)
            }
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, id: ConditionId) {
        let (word, bit) = (usize::from(id.0) / 64, id.0 % 64);
        if word == 0 {
            self.low |= 1 << bit;
            return;
        }
        let high = self.high.get_or_insert_default();
        high.grow(word);
        high.0[word - 1] |= 1 << bit;
    }

    #[inline]
    pub(crate) fn add(&mut self, other: &Bits) {
        self.low |= other.low;
        let Some(words) = &other.high else { return };
        let high = self.high.get_or_insert_default();
        high.grow(words.0.len());
        high.0.iter_mut().zip(&words.0).for_each(|(mine, theirs)| *mine |= theirs);
    }
}

/// Values of a trace that one field may have; more are left out.
const MOST_VALUES: usize = 100;

/// What `tracestate`, the processor itself and policies of extensions say about sampling, where they say anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct SamplingState {
    pub(crate) randomness: Option<Randomness>,
    /// The threshold by which it was let in while memory was short.
    pub(crate) admitted: Option<Threshold>,
    /// By [`NoteId`].
    pub(crate) notes: Vec<u64>,
}

/// What is known about a trace.
#[derive(Clone, Debug)]
pub struct TraceFacts {
    pub(crate) id: [u8; 16],
    /// When its first span came, in nanoseconds of monotonic time.
    pub(crate) first_seen: u64,
    pub(crate) min_start: u64,
    pub(crate) max_end: u64,
    pub(crate) bytes: u64,
    pub(crate) spans: u32,
    /// Which policies decide: those that were in force when it was first seen.
    pub(crate) generation: u32,
    pub(crate) has_root: bool,
    pub(crate) has_error: bool,
    /// A span without a start came.
    pub(crate) lacks_start: bool,
    pub(crate) bits: Bits,
    pub(crate) values: Option<Box<Values>>,
    pub(crate) sampling: Option<Box<SamplingState>>,
}

impl TraceFacts {
    pub(crate) fn new(id: [u8; 16], first_seen: Duration, generation: u32) -> TraceFacts {
        TraceFacts {
            id,
            first_seen: first_seen.as_nanos() as u64,
            min_start: 0,
            max_end: 0,
            bytes: 0,
            spans: 0,
            generation,
            has_root: false,
            has_error: false,
            lacks_start: false,
            bits: Bits::default(),
            values: None,
            sampling: None,
        }
    }

    /// The identifier; zeros for spans without one.
    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// When its first span came, in monotonic time.
    pub fn first_seen(&self) -> Duration {
        Duration::from_nanos(self.first_seen)
    }

    /// Spans so far.
    pub fn spans(&self) -> u64 {
        u64::from(self.spans)
    }

    /// Encoded bytes so far: spans, and the resources and scopes that came with them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a span without a parent was there.
    pub fn has_root(&self) -> bool {
        self.has_root
    }

    /// Whether a span with status error was there.
    pub fn has_error(&self) -> bool {
        self.has_error
    }

    /// From the first start to the last end in nanoseconds; negative where clocks are wrong. A span without a start began at 0,
    /// as for otelcol.
    pub fn duration_nanos(&self) -> i128 {
        let start = if self.lacks_start { 0 } else { self.min_start };
        i128::from(self.max_end) - i128::from(start)
    }

    /// The same in milliseconds, cut off as otelcol does.
    pub fn duration_millis(&self) -> i64 {
        (self.duration_nanos() / 1_000_000) as i64
    }

    /// The same as otelcol has it between two spans, which takes the next start for the first where that is 0.
    pub(crate) fn prefix_millis(&self) -> i64 {
        ((i128::from(self.max_end) - i128::from(self.min_start)) / 1_000_000) as i64
    }

    /// Takes a span's times in.
    #[inline]
    pub(crate) fn extend_to(&mut self, start: u64, end: u64) {
        self.lacks_start |= start == 0;
        if self.min_start == 0 || start < self.min_start {
            self.min_start = start;
        }
        self.max_end = self.max_end.max(end);
    }

    /// Whether a condition held for a span or resource.
    #[inline]
    pub fn matched(&self, condition: ConditionId) -> bool {
        self.bits.has(condition)
    }

    /// The distinct values of a field in order of appearance, at most 100 of them.
    pub fn values(&self, field: FieldId) -> impl Iterator<Item = &str> {
        let values = self.values.as_ref().map_or(&[][..], |values| &values.0[..]);
        values.iter().filter(move |(of, _)| *of == field).map(|(_, value)| &**value)
    }

    /// Notes a value, unless it is known or there are too many.
    pub(crate) fn add_value(&mut self, field: FieldId, value: &str, intern: impl FnOnce(&str) -> Arc<str>) {
        let mut count = 0;
        for (_, known) in self.values.iter().flat_map(|values| &values.0).filter(|(of, _)| *of == field) {
            if **known == *value {
                return;
            }
            count += 1;
        }
        if count < MOST_VALUES {
            self.values.get_or_insert_default().0.push((field, intern(value)));
        }
    }

    /// What a policy of an extension has noted.
    pub(crate) fn note(&self, id: NoteId) -> u64 {
        let notes = self.sampling.as_ref().map_or(&[][..], |state| &state.notes);
        notes.get(usize::from(id.0)).copied().unwrap_or_default()
    }

    /// The notes of `count` policies.
    pub(crate) fn notes(&mut self, count: usize) -> &mut [u64] {
        let notes = &mut self.sampling.get_or_insert_default().notes;
        if notes.len() < count {
            notes.resize(count, 0);
        }
        notes
    }

    /// The randomness of the trace: the first that a span states in `tracestate`, else the end of the identifier.
    pub fn randomness(&self) -> Randomness {
        let stated = self.sampling.as_ref().and_then(|state| state.randomness);
        stated.unwrap_or_else(|| Randomness::of_trace(&self.id))
    }

    /// The threshold by which the trace was let in while memory was short. None once it has an error: one that had not been
    /// let in would be from there on, so it stands for itself.
    pub fn admitted(&self) -> Option<Threshold> {
        self.sampling.as_ref().and_then(|state| state.admitted).filter(|_| !self.has_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_beyond_one_word() {
        let mut bits = Bits::default();
        for id in [0, 63, 64, 300] {
            assert!(!bits.has(ConditionId(id)));
            bits.set(ConditionId(id));
        }
        let mut sum = Bits::default();
        sum.set(ConditionId(70));
        sum.add(&bits);
        let found: Vec<u16> = (0..1000).filter(|id| sum.has(ConditionId(*id))).collect();
        assert_eq!(found, [0, 63, 64, 70, 300]);
    }

    #[test]
    fn a_trace_is_small() {
        assert!(size_of::<TraceFacts>() <= 96, "{}", size_of::<TraceFacts>());
    }

    #[test]
    fn values_are_distinct_and_bounded() {
        let mut facts = TraceFacts::new([1; 16], Duration::ZERO, 0);
        for value in ["a", "b", "a"] {
            facts.add_value(FieldId(1), value, |text| text.into());
        }
        assert_eq!(facts.values(FieldId(1)).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(facts.values(FieldId(0)).count(), 0);
        (0..1000).for_each(|n| facts.add_value(FieldId(1), &n.to_string(), |text| text.into()));
        assert_eq!(facts.values(FieldId(1)).count(), MOST_VALUES);
    }
}

//! Kept traces by their identifiers: what they have in common is held once, so that one takes 48 bytes and its place in the map.

use std::collections::HashMap;
use std::sync::Arc;

use phoenix_sampling::Threshold;

/// A kept trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The policy that kept it, and the part of it.
    pub(crate) policy: Arc<str>,
    pub(crate) part: Option<Arc<str>>,
    /// As [`crate::policy::Verdict::threshold`], not below the one of admission.
    pub(crate) threshold: Option<Threshold>,
    pub(crate) admitted: Option<Threshold>,
    /// The class of retention.
    pub(crate) class: Option<Arc<str>>,
    /// The trace was cut, and of the rest such a share stayed.
    pub(crate) truncation: Option<Threshold>,
    /// The number of the configuration whose policies decided.
    pub(crate) generation: u32,
    /// When the decision was made, in nanoseconds of monotonic time.
    pub(crate) decided_at: u64,
}

/// What many traces have in common.
#[derive(Debug)]
struct Kind {
    policy: Arc<str>,
    part: Option<Arc<str>>,
    class: Option<Arc<str>>,
    truncation: Option<Threshold>,
    generation: u32,
}

impl Kind {
    fn is_of(&self, kept: &Kept) -> bool {
        self.generation == kept.generation
            && self.truncation == kept.truncation
            && self.policy == kept.policy
            && self.part == kept.part
            && self.class == kept.class
    }
}

/// What a trace has for itself.
#[derive(Clone, Copy, Debug)]
struct Own {
    threshold: u64,
    admitted: u64,
    decided_at: u64,
    kind: u32,
}

/// No threshold.
const NONE: u64 = u64::MAX;

fn pack(threshold: Option<Threshold>) -> u64 {
    threshold.map_or(NONE, Threshold::bits)
}

fn unpack(bits: u64) -> Option<Threshold> {
    (bits != NONE).then(|| Threshold::new(bits))
}

/// Kept traces.
#[derive(Debug, Default)]
pub(super) struct KeptTraces {
    by_id: HashMap<[u8; 16], Own>,
    kinds: Vec<Kind>,
}

impl KeptTraces {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Bytes of the map: a place and a byte of control for each, of which a power of two is there and an eighth stays free.
    pub(super) fn bytes(&self) -> usize {
        let places = match self.by_id.capacity() {
            0 => 0,
            capacity => (capacity * 8 / 7).next_power_of_two(),
        };
        places * (size_of::<([u8; 16], Own)>() + 1)
    }

    fn kind_of(&mut self, kept: &Kept) -> u32 {
        // There are as many as policies with their parts, times the changes of settings since this began.
        let known = self.kinds.iter().rposition(|kind| kind.is_of(kept));
        let index = known.unwrap_or_else(|| {
            self.kinds.push(Kind {
                policy: kept.policy.clone(),
                part: kept.part.clone(),
                class: kept.class.clone(),
                truncation: kept.truncation,
                generation: kept.generation,
            });
            self.kinds.len() - 1
        });
        index as u32
    }

    pub(super) fn insert(&mut self, id: [u8; 16], kept: &Kept) {
        let own = Own {
            threshold: pack(kept.threshold),
            admitted: pack(kept.admitted),
            decided_at: kept.decided_at,
            kind: self.kind_of(kept),
        };
        self.by_id.insert(id, own);
    }

    fn kept(&self, own: Own) -> Option<Kept> {
        let kind = self.kinds.get(own.kind as usize)?;
        Some(Kept {
            policy: kind.policy.clone(),
            part: kind.part.clone(),
            threshold: unpack(own.threshold),
            admitted: unpack(own.admitted),
            class: kind.class.clone(),
            truncation: kind.truncation,
            generation: kind.generation,
            decided_at: own.decided_at,
        })
    }

    pub(super) fn get(&self, id: &[u8; 16]) -> Option<Kept> {
        self.kept(*self.by_id.get(id)?)
    }

    pub(super) fn remove(&mut self, id: &[u8; 16]) -> Option<Kept> {
        let own = self.by_id.remove(id)?;
        self.kept(own)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ([u8; 16], Kept)> {
        self.by_id.iter().filter_map(|(id, own)| Some((*id, self.kept(*own)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_put_in_and_takes_little() {
        let kept = |n: u32| Kept {
            policy: ["a", "b"][n as usize % 2].into(),
            part: n.is_multiple_of(3).then(|| "part".into()),
            threshold: (!n.is_multiple_of(5)).then(|| Threshold::new(u64::from(n))),
            admitted: n.is_multiple_of(7).then_some(Threshold::ALWAYS),
            class: n.is_multiple_of(2).then(|| "long".into()),
            truncation: n.is_multiple_of(4).then_some(Threshold::NEVER),
            generation: n / 50,
            decided_at: u64::from(n),
        };
        let mut traces = KeptTraces::default();
        (0..100_u32).for_each(|n| traces.insert(u128::from(n).to_be_bytes(), &kept(n)));
        for n in 0..100_u32 {
            assert_eq!(traces.get(&u128::from(n).to_be_bytes()), Some(kept(n)));
        }
        assert!(traces.kinds.len() <= 24, "{}", traces.kinds.len());
        assert_eq!(traces.remove(&3_u128.to_be_bytes()), Some(kept(3)));
        assert_eq!((traces.len(), traces.iter().count()), (99, 99));
        assert_eq!(size_of::<([u8; 16], Own)>(), 48);
    }
}

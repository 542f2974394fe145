//! What was decided, for spans that come late.
//!
//! Kept traces are remembered exactly, dropped ones by a fingerprint; kept ones are asked for first. Both remember at
//! least as many decisions as they were made for, in generations: the oldest goes when the youngest is full.

mod fingerprints;
mod kept;

use fingerprints::Fingerprints;
pub(crate) use kept::Kept;
use kept::KeptTraces;

/// What is remembered of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    Kept(Kept),
    Dropped,
    /// Nobody decided: it was not let in while memory was short.
    NotAdmitted,
}

/// The decisions of a shard.
pub(crate) struct Decided {
    young: KeptTraces,
    old: KeptTraces,
    most_kept: usize,
    most_dropped: usize,
    dropped: Fingerprints,
    /// Traces that were not let in; there only once there was one.
    refused: Option<Fingerprints>,
}

impl Decided {
    pub(crate) fn new(most_kept: u64, most_dropped: u64) -> Decided {
        let size = |most: u64| usize::try_from(most).unwrap_or(usize::MAX).max(1);
        Decided {
            young: KeptTraces::default(),
            old: KeptTraces::default(),
            most_kept: size(most_kept),
            most_dropped: size(most_dropped),
            dropped: Fingerprints::new(size(most_dropped)),
            refused: None,
        }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let refused = self.refused.as_ref().map_or(0, Fingerprints::bytes);
        self.young.bytes() + self.old.bytes() + self.dropped.bytes() + refused
    }

    /// Remembers another number of decisions from now on.
    pub(crate) fn resize(&mut self, most_kept: u64, most_dropped: u64) {
        let size = |most: u64| usize::try_from(most).unwrap_or(usize::MAX).max(1);
        self.most_kept = size(most_kept);
        self.most_dropped = size(most_dropped);
        self.dropped.resize(self.most_dropped);
        if let Some(refused) = &mut self.refused {
            refused.resize(self.most_dropped);
        }
    }

    /// Takes over what another one remembers of kept traces.
    pub(crate) fn join(&mut self, other: Decided) {
        for (id, kept) in other.old.iter().chain(other.young.iter()) {
            self.keep(id, kept);
        }
    }

    pub(crate) fn keep(&mut self, id: [u8; 16], kept: Kept) {
        if self.young.len() >= self.most_kept {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, &kept);
    }

    pub(crate) fn drop(&mut self, id: &[u8; 16]) {
        self.dropped.insert(id);
    }

    /// Remembers a trace that was not let in.
    pub(crate) fn refuse(&mut self, id: &[u8; 16]) {
        self.refused.get_or_insert_with(|| Fingerprints::new(self.most_dropped)).insert(id);
    }

    /// Reads of the large tables what recalling these traces reads, so that memory is waited for once.
    pub(crate) fn prepare_recall<'i>(&self, ids: impl Iterator<Item = &'i [u8; 16]>) {
        std::hint::black_box(ids.fold(false, |found, id| found ^ self.dropped.contains(id)));
    }

    /// The same for dropping them.
    pub(crate) fn prepare_drop<'i>(&self, ids: impl Iterator<Item = &'i [u8; 16]>) {
        std::hint::black_box(ids.fold(false, |found, id| found ^ self.dropped.is_young(id)));
    }

    /// What was decided about a trace. One that is asked for stays longer.
    pub(crate) fn recall(&mut self, id: &[u8; 16]) -> Option<Remembered> {
        if let Some(kept) = self.young.get(id) {
            return Some(Remembered::Kept(kept));
        }
        if let Some(kept) = self.old.remove(id) {
            self.keep(*id, kept.clone());
            return Some(Remembered::Kept(kept));
        }
        if self.dropped.contains(id) {
            return Some(Remembered::Dropped);
        }
        let is_refused = self.refused.as_ref().is_some_and(|refused| refused.contains(id));
        is_refused.then_some(Remembered::NotAdmitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(policy: &str) -> Kept {
        Kept {
            policy: policy.into(),
            part: None,
            threshold: None,
            admitted: None,
            class: None,
            truncation: None,
            generation: 0,
            decided_at: 0,
        }
    }

    #[test]
    fn kept_traces_are_remembered_as_long_as_promised_and_not_for_ever() {
        let mut decided = Decided::new(10, 10);
        for n in 0..100_u128 {
            decided.keep(n.to_be_bytes(), kept("p"));
            for back in 0..10.min(n) {
                let id = (n - back).to_be_bytes();
                assert!(decided.young.get(&id).or(decided.old.get(&id)).is_some(), "{n} {back}");
            }
        }
        assert!(decided.young.len() + decided.old.len() <= 20);
        assert_eq!(decided.recall(&0_u128.to_be_bytes()), None);
        assert_eq!(decided.recall(&99_u128.to_be_bytes()), Some(Remembered::Kept(kept("p"))));
    }

    #[test]
    fn what_was_not_let_in_is_told_apart_until_it_is_decided() {
        let mut decided = Decided::new(10, 10);
        decided.refuse(&[1; 16]);
        assert_eq!(decided.recall(&[1; 16]), Some(Remembered::NotAdmitted));
        decided.drop(&[1; 16]);
        assert_eq!(decided.recall(&[1; 16]), Some(Remembered::Dropped));
        assert_eq!(decided.recall(&[2; 16]), None);
    }

    #[test]
    fn a_kept_trace_is_never_taken_for_a_dropped_one() {
        let mut decided = Decided::new(10, 10);
        decided.drop(&[7; 16]);
        assert_eq!(decided.recall(&[7; 16]), Some(Remembered::Dropped));
        decided.keep([7; 16], kept("late"));
        assert_eq!(decided.recall(&[7; 16]), Some(Remembered::Kept(kept("late"))));
    }
}

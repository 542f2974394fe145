use crate::{Randomness, Threshold};

/// What a policy wants of a trace, with what is known about chance.
///
/// All policies see the same randomness `R` of the trace. A policy that keeps every trace of its kind wants it by
/// [`Threshold::ALWAYS`], one that a trace is nothing to by [`Threshold::NEVER`]; one that samples by a threshold between.
/// Thresholds depend on what the trace is and never on its `R`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// The trace is wanted where `R` is at least this.
    By(Threshold),
    /// Whether it is wanted hangs on something without a known probability: a rate limit, for example, or an inverted
    /// chance.
    Somehow(bool),
}

impl Vote {
    /// By a property of the trace, whatever its randomness.
    pub fn of(is_wanted: bool) -> Vote {
        Vote::By(if is_wanted { Threshold::ALWAYS } else { Threshold::NEVER })
    }

    /// Whether the trace is wanted.
    pub fn wants(self, randomness: Randomness) -> bool {
        match self {
            Vote::By(threshold) => threshold.keeps(randomness),
            Vote::Somehow(is_wanted) => is_wanted,
        }
    }

    /// The threshold with which it wants the trace, where there is one.
    pub fn threshold(self) -> Option<Threshold> {
        match self {
            Vote::By(threshold) => Some(threshold),
            Vote::Somehow(_) => None,
        }
    }

    /// The opposite. The opposite of a chance has no threshold that `tracestate` could hold.
    pub fn not(self, randomness: Randomness) -> Vote {
        match self {
            Vote::By(Threshold::ALWAYS) => Vote::of(false),
            Vote::By(Threshold::NEVER) => Vote::of(true),
            other => Vote::Somehow(!other.wants(randomness)),
        }
    }

    /// Wants the trace if at least `k` of `votes` do: all of them is *and*, one of them *or*.
    ///
    /// Of votes by threshold alone, `k` of them want what reaches the `k`-th lowest: *and* is the highest, *or* the
    /// lowest. Others cannot take away from that; where only they make it `k`, nothing is known of the probability.
    pub fn k_of(k: usize, votes: &[Vote], randomness: Randomness) -> Vote {
        let Some(rank) = k.checked_sub(1) else { return Vote::of(true) };
        if k > votes.len() {
            return Vote::of(false);
        }
        let wanted = votes.iter().filter(|vote| vote.wants(randomness)).count() >= k;
        let mut thresholds: Vec<Threshold> = votes.iter().filter_map(|vote| vote.threshold()).collect();
        let possible = thresholds.iter().filter(|threshold| **threshold != Threshold::NEVER).count();
        let unknown = votes.len() - thresholds.len();
        thresholds.sort_unstable();
        let certain = thresholds.get(rank).copied().unwrap_or(Threshold::NEVER);
        if unknown == 0 || certain.keeps(randomness) || possible + unknown < k {
            return Vote::By(certain);
        }
        Vote::Somehow(wanted)
    }
}

/// What a kept span is to state: the threshold with which it came, if any, raised by the one with which its trace was
/// kept.
///
/// Nothing is stated where that would be wrong: where the span's own threshold could not have kept it, and where the
/// trace was kept by something without a probability.
pub fn stated(
    incoming: Option<Threshold>,
    kept_by: Option<Threshold>,
    randomness: Randomness,
) -> Option<Threshold> {
    let kept_by = kept_by?;
    match incoming {
        Some(incoming) if !incoming.keeps(randomness) => None,
        Some(incoming) => Some(incoming.max(kept_by)),
        None => Some(kept_by),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOW: Threshold = Threshold::new(1 << 54);
    const HIGH: Threshold = Threshold::new(3 << 54);

    fn by(threshold: Threshold) -> Vote {
        Vote::By(threshold)
    }

    #[test]
    fn or_keeps_the_lowest_and_and_the_highest() {
        let r = Randomness::new(1 << 55);
        assert_eq!(Vote::k_of(1, &[by(HIGH), by(LOW)], r), by(LOW));
        assert_eq!(Vote::k_of(2, &[by(HIGH), by(LOW)], r), by(HIGH));
        assert_eq!(Vote::k_of(2, &[by(HIGH), by(LOW), Vote::of(true)], r), by(LOW));
        assert_eq!(
            Vote::k_of(1, &[by(HIGH), Vote::of(true)], r),
            Vote::of(true),
            "an error is kept, and counts once"
        );
        assert_eq!(Vote::k_of(2, &[by(LOW), Vote::of(false)], r), Vote::of(false));
        assert_eq!(Vote::k_of(0, &[], r), Vote::of(true));
        assert_eq!(Vote::k_of(1, &[], r), Vote::of(false));
    }

    #[test]
    fn what_only_a_limit_lets_through_has_no_probability() {
        let (low, high) = (Randomness::new(0), Randomness::MAX);
        let limit = Vote::Somehow(true);
        assert_eq!(Vote::k_of(1, &[by(HIGH), limit], low), limit);
        assert_eq!(Vote::k_of(1, &[by(HIGH), limit], high), by(HIGH), "would have been kept anyway");
        assert_eq!(Vote::k_of(2, &[by(HIGH), limit], high), limit);
        assert_eq!(
            Vote::k_of(2, &[Vote::of(false), limit], high),
            Vote::of(false),
            "whatever the limit says"
        );
        assert_eq!(by(LOW).not(high), Vote::Somehow(false));
        assert_eq!(Vote::of(true).not(high), Vote::of(false));
    }

    #[test]
    fn what_is_stated_is_never_lowered_and_never_wrong() {
        let r = Randomness::new(1 << 55);
        assert_eq!(stated(None, Some(LOW), r), Some(LOW));
        assert_eq!(stated(Some(LOW), Some(Threshold::ALWAYS), r), Some(LOW));
        assert_eq!(stated(Some(LOW), Some(HIGH), Randomness::MAX), Some(HIGH));
        assert_eq!(stated(Some(HIGH), Some(LOW), r), None, "it could not have been kept with that");
        assert_eq!(stated(Some(LOW), None, r), None, "kept by a limit: its probability is not known");
    }

    fn votes() -> impl Strategy<Value = Vec<Vote>> {
        let vote = prop_oneof![
            (0_u64..=16).prop_map(|part| Vote::By(Threshold::new(part << 52))),
            any::<bool>().prop_map(Vote::Somehow),
        ];
        prop::collection::vec(vote, 0..6)
    }

    proptest! {
        #[test]
        fn composition_wants_what_counting_says(votes in votes(), k in 0_usize..7, bits in any::<u64>()) {
            let randomness = Randomness::new(bits);
            let count = votes.iter().filter(|vote| vote.wants(randomness)).count();
            let vote = Vote::k_of(k, &votes, randomness);
            prop_assert_eq!(vote.wants(randomness), count >= k);
            prop_assert_eq!(vote.not(randomness).wants(randomness), count < k);
        }

        /// The threshold of a composition is the same for every randomness that it keeps: so it is a probability.
        #[test]
        fn thresholds_do_not_depend_on_randomness(votes in votes(), k in 0_usize..7) {
            let kept: Vec<Threshold> = (0..16).filter_map(|part| {
                let randomness = Randomness::new(part << 52);
                let vote = Vote::k_of(k, &votes, randomness);
                vote.threshold().filter(|_| vote.wants(randomness))
            }).collect();
            prop_assert!(kept.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", kept);
            if let Some(threshold) = kept.first() {
                let certain = (0..16).filter(|part| threshold.keeps(Randomness::new(part << 52))).count();
                prop_assert_eq!(certain, kept.len(), "as many as its probability says");
            }
        }
    }
}

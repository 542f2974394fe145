//! What became of the data points of a request, for the books.

use phoenix_component::Output;

use super::Aggregator;
use crate::stream::Events;

/// What became of the data points of a request.
#[derive(Default)]
pub(super) struct Tally {
    /// Taken out of the request, and not dropped.
    pub(super) absorbed: u64,
    pub(super) absorbed_bytes: u64,
    pub(super) dropped: Vec<(&'static str, u64)>,
    pub(super) events: Events,
    /// Whether a rule looked at some of it.
    pub(super) counts: bool,
}

impl Tally {
    pub(super) fn drop(&mut self, reason: &'static str) {
        match self.dropped.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.dropped.push((reason, 1)),
        }
    }
}

/// What becomes of a data point in the request that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Leaves,
    Stays,
}

impl Aggregator {
    pub(super) fn account(&mut self, tally: &Tally, out: &mut Output) {
        out.absorbed(tally.absorbed);
        self.absorbed.0 += tally.absorbed;
        self.absorbed.1 += tally.absorbed_bytes;
        for (reason, count) in &tally.dropped {
            out.dropped(reason, *count);
            let counter = match *reason {
                "not_finite" => &self.metrics.not_finite,
                "invalid" => &self.metrics.invalid,
                "duplicate" => &self.metrics.duplicate,
                "out_of_order" => &self.metrics.out_of_order,
                "stream_limit" => &self.metrics.stream_limit,
                "series_limit" => &self.metrics.series_limit,
                "cluster_limit" => &self.metrics.cluster_limit,
                _ => &self.metrics.late,
            };
            counter.add(*count);
        }
        self.account_events(tally.events);
    }

    pub(super) fn account_events(&self, events: Events) {
        self.metrics.resets.add(events.resets);
        self.metrics.gaps.add(events.gaps);
        self.metrics.overlaps.add(events.overlaps);
        self.metrics.unknown_starts.add(events.unknown_starts);
    }
}

//! How fast each stream of a series grows: its increase by the time between the data points that it is seen in, and not by the
//! length of the window. It needs a state for each stream, so it is only there where it is asked for.

use std::collections::BTreeMap;

/// One stream in the open window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// The time of the data point before the window, or of the first one that was seen.
    pub(crate) since: u64,
    pub(crate) last: u64,
    pub(crate) increase: f64,
}

/// All streams in the open window, by half of their fingerprints.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rates(pub(crate) BTreeMap<u64, Rate>);

impl Rates {
    /// Takes an increment between two data points of a stream; `before` is 0 for its first one, which nobody knows the time of.
    pub(crate) fn take(&mut self, stream: u64, before: u64, time: u64, increment: f64) {
        let since = if before == 0 { time } else { before.min(time) };
        let rate = self.0.entry(stream).or_insert(Rate { since, last: time, increase: 0.0 });
        rate.since = rate.since.min(since);
        rate.last = rate.last.max(time);
        if before != 0 {
            rate.increase += increment;
        }
    }

    /// The sum of what each grew in a second, and how many there are; none where nobody was seen twice.
    pub(crate) fn sum(&self) -> Option<(f64, usize)> {
        let of = |rate: &Rate| {
            let seconds = rate.last.saturating_sub(rate.since) as f64 / 1e9;
            (seconds > 0.0).then(|| rate.increase / seconds)
        };
        let all = self.0.values().filter_map(of);
        let (sum, count) = all.fold((0.0, 0), |(sum, count), rate| (sum + rate, count + 1));
        (count > 0).then_some((sum, count))
    }

    /// Bytes on the heap, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() * (size_of::<(u64, Rate)>() + 16)
    }
}

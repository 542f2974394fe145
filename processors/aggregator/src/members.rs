//! What each stream of a series did in a window, where windows alone do not tell it: how fast it grew between its data points, and
//! which value it had last where windows are put together of others. It takes a state for each stream, so it is only there where
//! it is asked for.

use std::collections::BTreeMap;

use phoenix_pdata::view::Number;
use phoenix_series::Total;

use crate::value::as_double;

/// One stream in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Member {
    /// The time of the data point before the window, or of the first one that was seen.
    pub(crate) since: u64,
    pub(crate) last: u64,
    pub(crate) says: Says,
}

/// What a stream says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Says {
    /// How much it grew.
    Increase(f64),
    /// Its last value.
    Level(Number),
    /// It ended, with a data point in the window before that or without.
    Ended { counts: bool },
}

/// All streams of a window, by half of their fingerprints.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Members(pub(crate) BTreeMap<u64, Member>);

impl Members {
    /// Takes an increment between two data points of a stream; `before` is 0 for its first one, which nobody knows the time of.
    pub(crate) fn grow(&mut self, stream: u64, before: u64, time: u64, increment: f64) {
        let since = if before == 0 { time } else { before.min(time) };
        let increase = if before == 0 { 0.0 } else { increment };
        self.add(stream, Member { since, last: time, says: Says::Increase(increase) });
    }

    /// Takes a level.
    pub(crate) fn level(&mut self, stream: u64, time: u64, value: Number) {
        self.add(stream, Member { since: time, last: time, says: Says::Level(value) });
    }

    /// The stream ended.
    pub(crate) fn end(&mut self, stream: u64, time: u64) {
        self.add(stream, Member { since: time, last: time, says: Says::Ended { counts: false } });
    }

    fn add(&mut self, stream: u64, other: Member) {
        self.0.entry(stream).and_modify(|member| member.merge(&other)).or_insert(other);
    }

    /// Adds another window of the same series. Each stream goes on where its last data point was, so what it grew over both, and
    /// how long that took, is the same as of one window.
    pub(crate) fn merge(&mut self, other: &Members) {
        other.0.iter().for_each(|(stream, member)| self.add(*stream, *member));
    }

    /// How many streams had data points.
    pub(crate) fn count(&self) -> usize {
        self.0.values().filter(|member| member.says != Says::Ended { counts: false }).count()
    }

    /// The sum of the last value of each, and how many there are.
    pub(crate) fn levels(&self) -> (Total, u64) {
        let (mut sum, mut count) = (Total::default(), 0);
        for member in self.0.values() {
            if let Says::Level(value) = member.says {
                sum.add(value);
                count += 1;
            }
        }
        (sum, count)
    }

    /// The sum of what each grew in a second, and how many there are; none where nobody was seen twice.
    pub(crate) fn rates(&self) -> Option<(f64, usize)> {
        let of = |member: &Member| {
            let Says::Increase(increase) = member.says else { return None };
            let seconds = member.last.saturating_sub(member.since) as f64 / 1e9;
            (seconds > 0.0).then(|| increase / seconds)
        };
        let all = self.0.values().filter_map(of);
        let (sum, count) = all.fold((0.0, 0), |(sum, count), rate| (sum + rate, count + 1));
        (count > 0).then_some((sum, count))
    }

    /// Bytes on the heap, roughly.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Members>() + self.0.len() * (size_of::<(u64, Member)>() + 16)
    }
}

impl Member {
    /// The same stream in both: increases add up, of levels the later one stays, and of two at one time the larger.
    fn merge(&mut self, other: &Member) {
        self.says = match (self.says, other.says) {
            (Says::Increase(mine), Says::Increase(theirs)) => Says::Increase(mine + theirs),
            (mine, Says::Ended { .. }) if other.last >= self.last => {
                Says::Ended { counts: mine != Says::Ended { counts: false } }
            }
            (Says::Ended { .. }, theirs) if other.last < self.last => {
                Says::Ended { counts: theirs != Says::Ended { counts: false } }
            }
            (Says::Level(mine), Says::Level(theirs)) if other.last == self.last => {
                let is_larger = as_double(theirs) > as_double(mine);
                Says::Level(if is_larger { theirs } else { mine })
            }
            (_, theirs) if other.last >= self.last => theirs,
            (mine, _) => mine,
        };
        self.since = self.since.min(other.since);
        self.last = self.last.max(other.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn windows_merge_into_what_one_window_of_their_length_says() {
        // (stream, before, time, increment)
        let points = [(1, 0, 5, 9.0), (1, 5, 10, 10.0), (2, 0, 12, 3.0), (1, 10, 15, 40.0), (2, 12, 20, 8.0)];
        let (mut whole, mut parts) = (Members::default(), [Members::default(), Members::default()]);
        for (stream, before, time, increment) in points {
            whole.grow(stream, before * S, time * S, increment);
            parts[usize::from(time > 10)].grow(stream, before * S, time * S, increment);
        }
        for order in [[0, 1], [1, 0]] {
            let mut merged = Members::default();
            order.iter().for_each(|part| merged.merge(&parts[*part]));
            assert_eq!(merged, whole);
        }
        assert_eq!(whole.rates(), Some((50.0 / 10.0 + 8.0 / 8.0, 2)));
        assert_eq!(parts[0].count(), 1);
    }

    #[test]
    fn the_last_level_of_each_stream_counts_and_none_once_it_ended() {
        let (mut earlier, mut later) = (Members::default(), Members::default());
        earlier.level(1, 5, Number::Int(7));
        earlier.level(1, 6, Number::Int(8));
        earlier.level(2, 6, Number::Int(100));
        earlier.level(3, 6, Number::Int(1));
        later.level(1, 11, Number::Int(2));
        later.end(2, 12);
        later.end(4, 12);
        for (mut first, second) in [(earlier.clone(), &later), (later.clone(), &earlier)] {
            first.merge(second);
            let (sum, count) = first.levels();
            assert_eq!((sum.value(), count, first.count()), (Number::Int(3), 2, 3));
        }
    }
}

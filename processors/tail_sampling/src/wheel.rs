//! When traces are due: a ring of ticks.
//!
//! Traces are entered and never taken out; what was decided meanwhile, or became due earlier, is recognised by the tick
//! that its entry says.

use std::collections::VecDeque;
use std::time::Duration;

use crate::buffer::Slot;

/// Time from one tick to the next.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// The farthest tick that can be entered, from the first: more than a day.
const MOST: u32 = 1 << 21;

/// The ring.
#[derive(Default)]
pub(crate) struct Wheel {
    /// The tick of the first list.
    first: u32,
    lists: VecDeque<Vec<Slot>>,
    /// Traces of the first list that were taken one by one.
    taken: usize,
    /// Lists before this tick are empty.
    empty_before: u32,
}

/// The first tick at or after a moment.
pub(crate) fn tick_after(moment: Duration) -> u32 {
    u32::try_from(moment.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u32::MAX - 1)
}

/// The last tick at or before a moment.
pub(crate) fn tick_before(moment: Duration) -> u32 {
    u32::try_from(moment.as_nanos() / TICK.as_nanos()).unwrap_or(u32::MAX - 1)
}

/// The moment of a tick.
pub(crate) fn moment_of(tick: u32) -> Duration {
    TICK * tick
}

impl Wheel {
    /// Enters a trace for a tick; returns the tick that it stands at, which is later where that one has passed.
    pub(crate) fn enter(&mut self, slot: Slot, tick: u32, now: u32) -> u32 {
        if self.lists.is_empty() {
            self.first = now.min(tick);
            self.taken = 0;
        }
        let tick = tick.clamp(self.first, self.first + MOST);
        let index = (tick - self.first) as usize;
        if index >= self.lists.len() {
            self.lists.resize_with(index + 1, Vec::new);
        }
        self.lists[index].push(slot);
        self.empty_before = self.empty_before.min(tick);
        tick
    }

    /// The first tick with traces.
    pub(crate) fn next(&mut self) -> Option<u32> {
        let skipped = self.empty_before.saturating_sub(self.first) as usize;
        let mut lists = self.lists.iter().enumerate().skip(skipped);
        let found = lists.find(|(_, list)| !list.is_empty()).map(|(index, _)| self.first + index as u32);
        self.empty_before = found.unwrap_or(self.first + self.lists.len() as u32);
        found
    }

    /// Takes the traces of the first tick that has any, not after `until`.
    pub(crate) fn take_due(&mut self, until: u32) -> Option<(u32, Vec<Slot>)> {
        while self.first <= until {
            let mut list = self.lists.pop_front()?;
            list.drain(..std::mem::take(&mut self.taken));
            let tick = self.first;
            self.first += 1;
            if !list.is_empty() {
                return Some((tick, list));
            }
        }
        None
    }

    /// Takes one of the traces that are due first, with the tick that it stands at.
    pub(crate) fn take_one(&mut self) -> Option<(u32, Slot)> {
        loop {
            let first = self.lists.front()?;
            match first.get(self.taken) {
                Some(slot) => {
                    let slot = *slot;
                    self.taken += 1;
                    return Some((self.first, slot));
                }
                None => {
                    self.lists.pop_front();
                    self.taken = 0;
                    self.first += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_come_in_the_order_of_ticks_and_never_early() {
        let mut wheel = Wheel::default();
        assert_eq!(wheel.next(), None);
        for (slot, tick) in [(1, 120), (2, 100), (3, 120), (4, 101)] {
            assert_eq!(wheel.enter(Slot(slot), tick, 99), tick);
        }
        assert_eq!(wheel.next(), Some(100));
        assert_eq!(wheel.next(), Some(100), "asking changes nothing");
        assert_eq!(wheel.take_due(99), None);
        assert_eq!(wheel.take_due(119), Some((100, vec![Slot(2)])));
        assert_eq!(wheel.take_due(119), Some((101, vec![Slot(4)])));
        assert_eq!(wheel.take_due(119), None);
        assert_eq!(wheel.enter(Slot(5), 7, 119), 120, "what is past is due next");
        assert_eq!(wheel.take_due(200), Some((120, vec![Slot(1), Slot(3), Slot(5)])));
        assert_eq!(wheel.take_due(200), None);
        assert_eq!(wheel.enter(Slot(6), 50, 300), 50, "an empty ring begins anywhere");
        assert_eq!(wheel.enter(Slot(7), 50, 300), 50);
        assert_eq!(wheel.next(), Some(50));
        assert_eq!(wheel.take_one(), Some((50, Slot(6))));
        assert_eq!(wheel.take_due(60), Some((50, vec![Slot(7)])));
        assert_eq!(wheel.take_one(), None);
    }

    #[test]
    fn moments_and_ticks() {
        assert_eq!(tick_after(Duration::from_millis(101)), 3);
        assert_eq!(tick_after(Duration::from_millis(100)), 2);
        assert_eq!(tick_before(Duration::from_millis(149)), 2);
        assert_eq!(moment_of(3), Duration::from_millis(150));
    }
}

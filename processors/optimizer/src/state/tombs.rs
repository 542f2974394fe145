//! Streams that were forgotten, with where they stood: one that comes back counts what it missed.
//!
//! Two generations, of which the older goes as a whole when the newer is full: a stream is remembered until at least half as many others
//! were forgotten after it as may be remembered.

use std::collections::HashMap;

use phoenix_series::{Fingerprint, Place};

use super::State;
use crate::accumulated::Accumulated;
use crate::series::{Goes, Last, Series};

/// Where a cumulative stream stood.
#[derive(Debug)]
struct Tomb {
    place: Place,
    last: Last,
}

/// Those of one processor.
#[derive(Debug, Default)]
pub(crate) struct Tombs {
    capacity: usize,
    newer: HashMap<Fingerprint, Tomb>,
    older: HashMap<Fingerprint, Tomb>,
    /// What their last values point at.
    heap: usize,
}

impl Tombs {
    /// At most so many; 0 for none.
    pub(super) fn new(capacity: usize) -> Tombs {
        Tombs { capacity, ..Tombs::default() }
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    pub(super) fn memory(&self) -> usize {
        let places = self.newer.capacity() + self.older.capacity();
        places * (size_of::<(Fingerprint, Tomb)>() + 1) * 8 / 7 + self.heap
    }

    /// Remembers a stream. Returns the latest start of those that are forgotten for it.
    fn put(&mut self, key: Fingerprint, tomb: Tomb) -> u64 {
        let mut start = 0;
        if self.newer.len() >= self.capacity.div_ceil(2) {
            let gone = std::mem::replace(&mut self.older, std::mem::take(&mut self.newer));
            for tomb in gone.into_values() {
                start = start.max(tomb.place.start);
                self.heap = self.heap.saturating_sub(tomb.last.memory());
            }
        }
        self.heap += tomb.last.memory();
        self.newer.insert(key, tomb);
        start
    }

    fn take(&mut self, key: Fingerprint) -> Option<Tomb> {
        let tomb = self.newer.remove(&key).or_else(|| self.older.remove(&key))?;
        self.heap = self.heap.saturating_sub(tomb.last.memory());
        Some(tomb)
    }

    /// A series that is seen again goes on where it stood.
    pub(super) fn resume(&mut self, key: Fingerprint, series: &mut Series) {
        if let Some(Tomb { place, last }) = self.take(key) {
            (series.place, series.last) = (place, last);
        }
    }
}

impl State {
    /// Remembers the cumulative streams that are about to be forgotten.
    pub(super) fn bury(&mut self, idle: u32) {
        if self.tombs.capacity == 0 || !self.ledger.has_room() {
            return;
        }
        let (now, outputs) = (self.now.seconds, &self.outputs);
        let counts = |goes: Goes| match goes {
            Goes::Into(slot) => outputs.get(slot).is_some_and(|output| {
                !output.is_delta()
                    && !matches!(output.value, Accumulated::Latest { .. } | Accumulated::Point(_))
            }),
            _ => false,
        };
        let idle = |series: &Series| now.saturating_sub(series.seen) >= idle;
        let going = self.series.iter().filter(|(_, series)| idle(series) && counts(series.goes));
        let going: Vec<_> = going.map(|(slot, _)| slot).collect();
        for slot in going {
            let key = self.series.key(slot);
            let Some((key, series)) = key.zip(self.series.get_mut(slot)) else { continue };
            let last = std::mem::take(&mut series.last);
            if last.is_some() {
                let start = self.tombs.put(key, Tomb { place: series.place, last });
                self.forgotten = self.forgotten.max(start.saturating_add(u64::from(start > 0)));
            }
        }
    }
}

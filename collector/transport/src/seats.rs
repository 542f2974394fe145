//! The places of a listener with few of them: where all are taken, whoever kept it waiting for longest makes room.
//!
//! A server beside the data path has to answer also while somebody opens connections and says nothing, or asks and never
//! reads: timeouts alone would let such connections hold all places until they pass.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// What becomes of a connection beyond the most that a listener has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It is closed at once.
    #[default]
    Refuse,
    /// It takes the place of the connection that has kept the server waiting for longest, if there is one.
    Evict,
}

/// The places, with who has them.
#[derive(Default)]
pub(crate) struct Seats {
    /// Counts what happens, so that the order of events needs no time.
    events: Arc<AtomicU64>,
    taken: Mutex<Vec<Arc<Seat>>>,
}

/// A place that a connection has.
pub(crate) struct Seat {
    events: Arc<AtomicU64>,
    /// The last event of the connection: it was made, a request began, was worked on, or ended.
    last: AtomicU64,
    /// Requests that the server is working on: what is left of those is up to the peer.
    at_work: AtomicUsize,
    evicted: Notify,
}

/// A place until it is dropped.
pub(crate) struct Seated {
    seats: Arc<Seats>,
    pub(crate) seat: Arc<Seat>,
}

/// A request that the server works on until this is dropped.
pub(crate) struct AtWork(Arc<Seat>);

impl Seats {
    /// A place among `most`, and whether another connection had to leave for it; none where the server is busy with
    /// every one.
    pub(crate) fn take(self: &Arc<Seats>, most: usize) -> Option<(Seated, bool)> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = taken.len() >= most;
        if is_full {
            let waiting = taken.iter().enumerate().filter(|(_, seat)| seat.at_work.load(Relaxed) == 0);
            let (longest, _) = waiting.min_by_key(|(_, seat)| seat.last.load(Relaxed))?;
            taken.swap_remove(longest).evicted.notify_one();
        }
        let seat = Arc::new(Seat {
            events: self.events.clone(),
            last: AtomicU64::new(self.events.fetch_add(1, Relaxed)),
            at_work: AtomicUsize::new(0),
            evicted: Notify::new(),
        });
        taken.push(seat.clone());
        Some((Seated { seats: self.clone(), seat }, is_full))
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
    }
}

impl Seat {
    /// Notes that a request began or ended.
    pub(crate) fn mark(&self) {
        self.last.store(self.events.fetch_add(1, Relaxed), Relaxed);
    }

    /// Notes that the server works on a request: nobody waits for the peer meanwhile.
    pub(crate) fn work(self: &Arc<Seat>) -> AtWork {
        self.at_work.fetch_add(1, Relaxed);
        AtWork(self.clone())
    }

    /// Waits until another connection has the place.
    pub(crate) async fn is_evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.mark();
        self.0.at_work.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_was_silent_for_longest_makes_room_and_nobody_who_is_served() {
        let seats = Arc::new(Seats::default());
        let take = || seats.take(3);
        let mut seated: Vec<Seated> = (0..3).map(|_| take().expect("room").0).collect();
        // The first asks, is worked for, and gets its answer: the second has been silent for longest.
        seated[0].seat.mark();
        drop(seated[0].seat.work());
        let (fourth, evicted) = take().expect("room is made");
        assert!(evicted);
        seated[1].seat.is_evicted().await;
        // The server works for the third, which would be next.
        let work = seated[2].seat.work();
        let (fifth, evicted) = take().expect("room is made");
        assert!(evicted);
        seated[0].seat.is_evicted().await;
        let others = (fourth.seat.work(), fifth.seat.work());
        assert!(take().is_none(), "it works for everybody");
        drop((work, others));
        assert!(take().is_some_and(|(_, evicted)| evicted));
        // Places that are left are there without anybody's leaving.
        seated.clear();
        drop((fourth, fifth));
        assert!(take().is_some_and(|(_, evicted)| !evicted));
    }
}

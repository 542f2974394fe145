//! One budget of bytes for everything that a collector holds.
//!
//! Memory is charged once, by the capacity of the buffer that is allocated, and the charge lives with
//! the buffer: [`Charge::attach`] ties it to the `Bytes`, whatever slices are taken of them. So data that
//! was admitted never waits for budget again, and what is released is released exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use crossbeam_utils::CachePadded;

use crate::buffers;

/// A share of memory, in bytes. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: AtomicUsize,
    used: CachePadded<AtomicUsize>,
    refused: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Budget {
        let used = CachePadded::new(AtomicUsize::new(0));
        Budget(Arc::new(Inner { limit: AtomicUsize::new(limit), used, refused: AtomicUsize::new(0) }))
    }

    /// A budget that never refuses: for tests, and for tools that hold one request at a time.
    pub fn unlimited() -> Budget {
        Budget::new(usize::MAX)
    }

    /// Bytes that may be held.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Relaxed)
    }

    /// Changes the limit; what is held already stays.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Relaxed);
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    /// How often a charge was refused.
    pub fn refusals(&self) -> usize {
        self.0.refused.load(Relaxed)
    }

    /// Charges `bytes`, or refuses and counts that where they would exceed the limit.
    pub fn try_charge(&self, bytes: usize) -> Option<Charge> {
        let mut charge = Charge { budget: self.clone(), bytes: 0 };
        charge.try_grow(bytes).then_some(charge)
    }

    /// Charges `bytes` whatever the limit: for work that frees memory, such as encoding and draining.
    pub fn charge_reserve(&self, bytes: usize) -> Charge {
        self.0.used.fetch_add(bytes, Relaxed);
        Charge { budget: self.clone(), bytes }
    }
}

/// Bytes charged to a budget; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: usize,
}

impl Charge {
    /// Bytes charged.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Charges `more` bytes on top; false, and nothing charged, where the budget has no room.
    pub fn try_grow(&mut self, more: usize) -> bool {
        let inner = &*self.budget.0;
        let before = inner.used.fetch_add(more, Relaxed);
        if before.checked_add(more).is_some_and(|after| after <= inner.limit.load(Relaxed)) {
            self.bytes += more;
            return true;
        }
        inner.used.fetch_sub(more, Relaxed);
        inner.refused.fetch_add(1, Relaxed);
        false
    }

    /// Gives `fewer` bytes back.
    pub fn shrink(&mut self, fewer: usize) {
        let fewer = fewer.min(self.bytes);
        self.budget.0.used.fetch_sub(fewer, Relaxed);
        self.bytes -= fewer;
    }

    /// Ties the charge to `buffer`: it is given back when the last slice of the result is dropped.
    pub fn attach(self, buffer: Vec<u8>) -> Bytes {
        if buffer.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(Charged { buffer, _charge: self })
    }

    /// Like [`attach`](Charge::attach), for bytes that somebody else allocated.
    pub fn attach_slice(self, slice: Bytes) -> Bytes {
        if slice.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(ChargedSlice { slice, _charge: self })
    }
}

struct ChargedSlice {
    slice: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for ChargedSlice {
    fn as_ref(&self) -> &[u8] {
        &self.slice
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Relaxed);
    }
}

struct Charged {
    buffer: Vec<u8>,
    _charge: Charge,
}

impl Drop for Charged {
    fn drop(&mut self) {
        buffers::give_back(std::mem::take(&mut self.buffer));
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_lives_as_long_as_the_last_slice() {
        let budget = Budget::new(100);
        let bytes = budget.try_charge(60).expect("room").attach(vec![7; 60]);
        let slice = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(budget.used(), 60);
        drop(slice);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_refused_charge_takes_nothing_and_is_counted() {
        let budget = Budget::new(100);
        let mut charge = budget.try_charge(60).expect("room");
        assert!(!charge.try_grow(41));
        assert!(budget.try_charge(usize::MAX).is_none());
        assert_eq!((budget.used(), budget.refusals()), (60, 2));
        assert!(charge.try_grow(40));
        charge.shrink(90);
        assert_eq!(budget.used(), 10);
        drop((charge, budget.charge_reserve(1000)));
        assert_eq!(budget.used(), 0);
    }
}

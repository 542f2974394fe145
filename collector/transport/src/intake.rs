//! Collects a request body into one buffer, charged as it arrives.
//!
//! A body that comes in one piece stays where the protocol has read it: that saves a copy, and the buffer
//! that a connection reads 32 KiB or more into is rarely more than twice as large.
//!
//! A peer that announces much and sends little costs little: the buffer starts small and doubles, and
//! only its last step goes to the announced length, so that a complete body fits exactly.

use bytes::Bytes;
use phoenix_component::{Budget, Charge, buffers};

/// What a body gets at once; larger ones must arrive first.
const FIRST_BYTES: usize = 128 * 1024;
/// From here on a body that came in one piece is kept where it lies; smaller ones could keep a buffer
/// alive that is much larger.
const WHOLE_BYTES: usize = 32 * 1024;

/// The budget has no room for more of this body.
#[derive(Debug)]
pub(crate) struct OverBudget;

pub(crate) struct Intake {
    buffer: Vec<u8>,
    charge: Charge,
    announced: Option<usize>,
    whole: Bytes,
}

impl Intake {
    /// `announced` is the length that the peer says the body has.
    pub(crate) fn new(budget: &Budget, announced: Option<usize>) -> Intake {
        Intake { buffer: Vec::new(), charge: budget.charge_reserve(0), announced, whole: Bytes::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.len() + self.whole.len()
    }

    /// Appends `piece`. Bytes beyond the announced length are the caller's to refuse.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), OverBudget> {
        let needed = self.buffer.len() + piece.len();
        if needed > self.buffer.capacity() {
            self.make_room(needed)?;
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    /// Like [`push`](Intake::push); a piece that is the whole body is kept without a copy. What else its
    /// buffer holds is not known, and charged as if it were as much again.
    pub(crate) fn push_bytes(&mut self, piece: Bytes) -> Result<(), OverBudget> {
        if self.announced == Some(piece.len()) && piece.len() >= WHOLE_BYTES {
            if !self.charge.try_grow(2 * piece.len()) {
                return Err(OverBudget);
            }
            self.whole = piece;
            return Ok(());
        }
        self.push(&piece)
    }

    /// A kept buffer for the whole body costs no memory that is not there already; a new one starts small.
    fn make_room(&mut self, needed: usize) -> Result<(), OverBudget> {
        let kept = self.announced.filter(|_| self.buffer.capacity() == 0).and_then(buffers::take);
        if let Some(kept) = kept.filter(|kept| kept.capacity() >= needed) {
            if !self.charge.try_grow(kept.capacity()) {
                return Err(OverBudget);
            }
            self.buffer = kept;
            return Ok(());
        }
        let roomy = needed.max(FIRST_BYTES.min(self.announced.unwrap_or(0))).max(2 * self.buffer.capacity());
        let capacity = self.announced.map_or(roomy, |announced| roomy.min(announced)).max(needed);
        if !self.charge.try_grow(capacity - self.buffer.capacity()) {
            return Err(OverBudget);
        }
        self.buffer.reserve_exact(capacity - self.buffer.len());
        Ok(())
    }

    /// Room for the next bytes, of which `left` are announced: all that is charged is there to be filled.
    pub(crate) fn room(&mut self, left: usize) -> Result<&mut Vec<u8>, OverBudget> {
        if self.buffer.len() == self.buffer.capacity() {
            self.make_room(self.buffer.len() + left.min(FIRST_BYTES))?;
        }
        Ok(&mut self.buffer)
    }

    /// The body; its charge lives with it.
    pub(crate) fn finish(mut self) -> Bytes {
        if !self.whole.is_empty() {
            return self.charge.attach_slice(self.whole);
        }
        let unused = self.buffer.capacity() - self.buffer.len();
        if unused > self.buffer.len() / 8 {
            self.buffer.shrink_to_fit();
            self.charge.shrink(unused);
        }
        self.charge.attach(self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_bodies_fit_exactly_and_grow_as_they_arrive() {
        let budget = Budget::new(1 << 20);
        let mut intake = Intake::new(&budget, Some(600_000));
        intake.push(&[1; 10]).unwrap();
        assert_eq!(budget.used(), FIRST_BYTES);
        for _ in 0..59_999 {
            intake.push(&[1; 10]).unwrap();
        }
        let body = intake.finish();
        assert_eq!((body.len(), budget.used()), (600_000, 600_000));
        drop(body);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let budget = Budget::new(1 << 20);
        let piece = Bytes::from(vec![1; 50_000]);
        let mut intake = Intake::new(&budget, Some(50_000));
        intake.push_bytes(piece.clone()).unwrap();
        assert_eq!((intake.len(), budget.used()), (50_000, 100_000));
        let body = intake.finish();
        assert_eq!(body.as_ptr(), piece.as_ptr());
        drop(body);
        assert_eq!(budget.used(), 0);

        let mut intake = Intake::new(&Budget::new(99_999), Some(50_000));
        assert!(intake.push_bytes(piece.clone()).is_err(), "charged for what it may keep alive");

        for (announced, piece) in [(Some(50_001), piece), (Some(100), Bytes::from(vec![1; 100]))] {
            let mut intake = Intake::new(&budget, announced);
            intake.push_bytes(piece.clone()).unwrap();
            assert_ne!(intake.finish().as_ptr(), piece.as_ptr(), "there is more to come, or too little");
        }
    }

    #[test]
    fn over_budget_is_an_error_that_gives_everything_back() {
        let budget = Budget::new(1000);
        let mut intake = Intake::new(&budget, None);
        intake.push(&[0; 900]).unwrap();
        assert!(intake.push(&[0; 200]).is_err());
        drop(intake);
        assert_eq!((budget.used(), budget.refusals()), (0, 1));
    }
}

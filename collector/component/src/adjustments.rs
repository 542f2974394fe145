//! How processors that keep to a target were adjusted, and why.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_config::ComponentId;
use serde::Serialize;

use crate::{Capabilities, Offer};

/// A change of how much is given up, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Adjustment {
    /// When, as Unix time.
    pub unix_nanos: u64,
    /// The class of rules whose level changed.
    pub class: String,
    /// The level before.
    pub from: u8,
    /// The level from now on.
    pub to: u8,
    /// The target that decided.
    pub target: &'static str,
    /// What was measured of it.
    pub measured: f64,
    /// What would be without any of it.
    pub demand: f64,
    /// Of the target.
    pub limit: f64,
    /// What is expected at the new level, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// The rules that are carried out from now on, or are not any more.
    pub rules: Vec<String>,
}

/// The latest adjustments of one processor; all its pipelines write into one book.
#[derive(Debug, Default)]
pub struct AdjustmentBook(Mutex<VecDeque<Adjustment>>);

impl AdjustmentBook {
    /// Adjustments that are remembered at most.
    pub const MEMORY: usize = 1024;

    /// The book of the processor `id`, open for as long as the offer is held.
    pub fn open(capabilities: &Capabilities, id: &ComponentId) -> (Arc<AdjustmentBook>, Offer) {
        let book = capabilities.find::<AdjustmentBook>(id).unwrap_or_default();
        let offer = capabilities.offer(id, book.clone());
        (book, offer)
    }

    /// Notes an adjustment; the oldest makes room.
    pub fn note(&self, adjustment: Adjustment) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= AdjustmentBook::MEMORY {
            entries.pop_front();
        }
        entries.push_back(adjustment);
    }

    /// The latest, the oldest first.
    pub fn all(&self) -> Vec<Adjustment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_in_order() {
        let book = AdjustmentBook::default();
        for number in 0..2000 {
            book.note(Adjustment {
                unix_nanos: number,
                class: "c".into(),
                from: 0,
                to: 1,
                target: "series",
                measured: 2.0,
                demand: 2.0,
                limit: 1.0,
                expected: None,
                rules: Vec::new(),
            });
        }
        let all = book.all();
        let ends = (all.first().map(|one| one.unix_nanos), all.last().map(|one| one.unix_nanos));
        assert_eq!((all.len(), ends), (AdjustmentBook::MEMORY, (Some(2000 - 1024), Some(1999))));
    }
}

//! What processors that make metrics cheaper did so far, rule by rule.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_config::ComponentId;
use phoenix_telemetry::Gauge;
use serde::Serialize;

use crate::{Capabilities, Offer};

/// Before and behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InOut {
    /// What came in.
    pub r#in: u64,
    /// What is left of it.
    pub out: u64,
}

impl InOut {
    /// The values of two gauges, which are never below zero.
    pub fn of_gauges(r#in: &Gauge, out: &Gauge) -> InOut {
        InOut { r#in: r#in.value().max(0).unsigned_abs(), out: out.value().max(0).unsigned_abs() }
    }
}

/// What one rule did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RuleSavings {
    /// Its name.
    pub rule: String,
    /// Whether it is carried out or only counted.
    pub mode: &'static str,
    /// Series that it matches now; in shadow `out` is what would be left.
    pub series: InOut,
    /// Data points since the start.
    pub points: InOut,
    /// Bytes of data points since the start.
    pub bytes: InOut,
    /// Points that ended.
    pub dropped: u64,
    /// Points that went into other series.
    pub folded: u64,
    /// Points that were over its limit.
    pub overflowed: u64,
    /// The largest measured error of a quantile, in millionths.
    pub quantile_error_ppm: u64,
    /// How good the data of its last window was, as a whole (`score`) and in parts, in millionths; none where that is not measured.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quality_ppm: BTreeMap<&'static str, u64>,
}

/// What a processor did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Savings {
    /// Data points since the start.
    pub points: InOut,
    /// Bytes of requests since the start, uncompressed.
    pub bytes: InOut,
    /// Series of which a state is kept.
    pub tracked: InOut,
    /// The rules in the order in which they run.
    pub rules: Vec<RuleSavings>,
}

/// What one processor did last, as it told at the end of its interval.
#[derive(Debug, Default)]
pub struct SavingsBook(Mutex<Savings>);

impl SavingsBook {
    /// The book of the processor `id`, open for as long as the offer is held.
    pub fn open(capabilities: &Capabilities, id: &ComponentId) -> (Arc<SavingsBook>, Offer) {
        let book = capabilities.find::<SavingsBook>(id).unwrap_or_default();
        let offer = capabilities.offer(id, book.clone());
        (book, offer)
    }

    /// Takes the place of what was told before.
    pub fn tell(&self, savings: Savings) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = savings;
    }

    /// What was told last.
    pub fn latest(&self) -> Savings {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_tells_what_was_told_last() {
        let (capabilities, id) = (Capabilities::default(), ComponentId::parse("optimizer").expect("a name"));
        let (book, _offer) = SavingsBook::open(&capabilities, &id);
        let savings = |points| Savings { points: InOut { r#in: points, out: 1 }, ..Savings::default() };
        book.tell(savings(10));
        let (successor, _offer) = SavingsBook::open(&capabilities, &id);
        successor.tell(savings(20));
        assert_eq!(book.latest(), savings(20), "all pipelines and successors write into one book");
    }
}

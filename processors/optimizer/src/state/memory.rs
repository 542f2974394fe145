//! What states take, charged to the collector's budget.

use phoenix_component::{Budget, Charge};

use super::State;
use crate::series::Series;

/// Without a setting, states take at most one part in so many of the budget: the rest is for data.
const SHARE_OF_BUDGET: usize = 2;

/// The account of one processor.
#[derive(Debug)]
pub(crate) struct Ledger {
    budget: Budget,
    /// 0 for a share of the budget.
    max_bytes: usize,
    charge: Charge,
    /// What states point at: labels and buckets.
    heap: usize,
}

impl Ledger {
    /// An account of at most so many bytes; 0 for half of the budget, whatever that is at the time.
    pub(crate) fn new(budget: Budget, max_bytes: u64) -> Ledger {
        let charge = budget.charge_reserve(0);
        Ledger { charge, budget, max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX), heap: 0 }
    }

    /// One with the same bounds, and nothing in it.
    pub(crate) fn successor(&self) -> Ledger {
        Ledger::new(self.budget.clone(), self.max_bytes as u64)
    }

    /// Other bounds.
    pub(super) fn set_bounds(&mut self, max_bytes: u64) {
        self.max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    }

    /// Whether another state may be made. What is there stays, since it could not be forgotten without a lie.
    pub(super) fn has_room(&self) -> bool {
        let most = if self.max_bytes > 0 { self.max_bytes } else { self.budget.limit() / SHARE_OF_BUDGET };
        self.charge.bytes() < most
    }

    /// Something with so many bytes of its own was made.
    pub(super) fn note(&mut self, bytes: usize) {
        self.heap = self.heap.saturating_add(bytes);
    }

    /// What is charged.
    pub(crate) fn bytes(&self) -> usize {
        self.charge.bytes()
    }

    /// Charges what there is, whatever the limit: it is there.
    fn settle(&mut self, tables: usize) {
        let bytes = tables.saturating_add(self.heap);
        if bytes < self.charge.bytes() {
            self.charge.shrink(self.charge.bytes() - bytes);
        } else if bytes > self.charge.bytes() {
            self.charge = self.budget.charge_reserve(bytes);
        }
    }
}

impl State {
    /// Charges what the tables have grown by.
    pub(crate) fn charge(&mut self) {
        let tables =
            self.series.memory() + self.tombs.memory() + self.outputs.memory() + self.limits.memory();
        self.ledger.settle(tables);
    }

    /// Finds what states point at, which between two times is only added to.
    pub(crate) fn weigh(&mut self) {
        let of = |series: &Series| series.last.memory();
        let of_series: usize = self.series.iter().map(|(_, series)| of(series)).sum();
        let of_outputs: usize = self
            .outputs
            .iter()
            .map(|(_, output)| {
                let exemplars: usize = output.exemplars.iter().map(|exemplar| exemplar.len()).sum();
                output.attributes.len() + output.value.memory() + exemplars
            })
            .sum();
        let parts: usize = self.parts.values().map(|part| part.len()).sum();
        self.ledger.heap = of_series + of_outputs + parts;
        self.charge();
    }
}

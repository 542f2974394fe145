//! What says that a record may leave the disk: it travels with the data, splits and joins as that does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use phoenix_storage::{Client, Weight};

/// The records that some data came of. Dropped without a word, they stay on the disk.
#[derive(Default)]
pub(crate) struct Receipt(Vec<Part>);

struct Part(Option<Arc<Slip>>);

/// One record; it is marked as done with the last part of it.
struct Slip {
    client: Arc<Client>,
    number: u64,
    weight: Weight,
    /// Some part of it was not dealt with.
    is_kept: AtomicBool,
}

impl Receipt {
    /// For data that is in memory alone.
    pub(crate) fn none() -> Receipt {
        Receipt::default()
    }

    pub(crate) fn of(client: &Arc<Client>, number: u64, weight: Weight) -> Receipt {
        let slip = Slip { client: client.clone(), number, weight, is_kept: AtomicBool::new(false) };
        Receipt(vec![Part(Some(Arc::new(slip)))])
    }

    /// Whether the data is on the disk.
    pub(crate) fn is_durable(&self) -> bool {
        !self.0.is_empty()
    }

    /// For a part of the same data.
    pub(crate) fn split(&self) -> Receipt {
        Receipt(self.0.iter().map(|part| Part(part.0.clone())).collect())
    }

    /// For data that became one with other data.
    pub(crate) fn join(&mut self, mut other: Receipt) {
        self.0.append(&mut other.0);
    }

    /// The data has been dealt with: delivered, or given up for good.
    pub(crate) fn complete(mut self) {
        self.0.iter_mut().for_each(|part| drop(part.0.take()));
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(slip) = &self.0 {
            slip.is_kept.store(true, Relaxed);
        }
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        if !self.is_kept.load(Relaxed) {
            self.client.mark(self.number, self.weight);
        }
    }
}

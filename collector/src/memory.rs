//! The memory of this process, with what its allocator keeps given back where memory is short.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use phoenix_component::{MemoryReader, SystemMemory};

/// Least time between two times that free memory is given back: it holds up whoever allocates meanwhile.
const REST: Duration = Duration::from_millis(250);

/// What limiters measure.
#[derive(Debug, Default)]
pub(crate) struct ProcessMemory {
    given_back: Mutex<Option<Instant>>,
}

impl MemoryReader for ProcessMemory {
    fn resident(&self) -> u64 {
        SystemMemory.resident()
    }

    fn total(&self) -> u64 {
        SystemMemory.total()
    }

    fn give_back_freed(&self) {
        let mut last = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= REST) {
            phoenix_residency::give_back_freed();
            *last = Some(Instant::now());
        }
    }
}

//! How many requests from outside are inside the collector right now.
//!
//! A stage that answers on delivery asks this: once half of the admitted requests wait for what it holds,
//! waiting longer would mostly keep them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::stage_node::StageNode;

#[derive(Clone, Default)]
pub(crate) struct Admission(Arc<State>);

#[derive(Default)]
struct State {
    admitted: AtomicUsize,
    /// Requests that wait in the open batches of stages, over all of them.
    waiting: AtomicUsize,
    stages: Mutex<Vec<Weak<StageNode>>>,
}

impl Admission {
    /// Counts a request in until the guard is dropped.
    pub(crate) fn enter(&self) -> Admitted {
        self.0.admitted.fetch_add(1, Ordering::AcqRel);
        Admitted(self.clone())
    }

    pub(crate) fn admitted(&self) -> usize {
        self.0.admitted.load(Ordering::Acquire)
    }

    /// Registers a stage that answers on delivery.
    pub(crate) fn watch(&self, stage: &Arc<StageNode>) {
        let mut stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.retain(|stage| stage.strong_count() > 0);
        stages.push(Arc::downgrade(stage));
    }

    pub(crate) fn add_waiting(&self, requests: usize) {
        self.0.waiting.fetch_add(requests, Ordering::AcqRel);
    }

    pub(crate) fn sub_waiting(&self, requests: usize) {
        self.0.waiting.fetch_sub(requests, Ordering::AcqRel);
    }

    /// Whether little is won by waiting longer: half of the admitted requests wait in open batches. (With all
    /// of them as the rule, one batch would be under way at a time and the cores idle in between; with a
    /// few, every request would go by itself.)
    pub(crate) fn all_wait(&self) -> bool {
        let waiting = self.0.waiting.load(Ordering::Acquire);
        waiting > 0 && 2 * waiting >= self.admitted()
    }
}

pub(crate) struct Admitted(Admission);

impl Drop for Admitted {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.admitted.fetch_sub(1, Ordering::AcqRel);
        if self.0.all_wait() {
            let stages: Vec<_> = state.stages.lock().unwrap_or_else(PoisonError::into_inner).clone();
            stages.iter().filter_map(Weak::upgrade).for_each(|stage| stage.run_waiting_shards());
        }
    }
}

//! One shard of a stage: its state, and what waits for it.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use phoenix_component::{Fragment, Stage};
use tokio::sync::Notify;

pub(super) struct Shard {
    pub(super) inbox: Mutex<VecDeque<Fragment>>,
    pub(super) reserved: AtomicUsize,
    pub(super) state: Mutex<Box<dyn Stage>>,
    /// Requests that wait in what the shard holds.
    pub(super) waiting: AtomicUsize,
    pub(super) held_items: AtomicUsize,
    pub(super) armed: Mutex<Option<Duration>>,
    pub(super) rearm: Notify,
}

impl Shard {
    pub(super) fn new(stage: Box<dyn Stage>) -> Shard {
        Shard {
            inbox: Mutex::default(),
            reserved: AtomicUsize::new(0),
            state: Mutex::new(stage),
            waiting: AtomicUsize::new(0),
            held_items: AtomicUsize::new(0),
            armed: Mutex::new(None),
            rearm: Notify::new(),
        }
    }

    pub(super) fn inbox(&self) -> MutexGuard<'_, VecDeque<Fragment>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn try_state(&self) -> Option<MutexGuard<'_, Box<dyn Stage>>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Box<dyn Stage>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The keys of one provider as they are known now, and the wish for newer ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use crate::jwks::KeySet;

/// Time for which a request waits for newer keys.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Keys(Arc<Inner>);

struct Inner {
    current: ArcSwapOption<KeySet>,
    /// Moves with every set that is other than the one before.
    generation: AtomicU64,
    /// Moves with every attempt to fetch, however it ends.
    attempts: watch::Sender<u64>,
    /// The last attempt to fetch failed.
    has_failed: AtomicBool,
    wanted: Notify,
    /// They come from the issuer, and not out of a file.
    are_fetched: bool,
}

impl Keys {
    /// Keys that are fetched, or (false) read.
    pub(crate) fn new(are_fetched: bool) -> Keys {
        let (attempts, _) = watch::channel(0);
        let inner = Inner {
            current: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            attempts,
            has_failed: AtomicBool::new(false),
            wanted: Notify::new(),
            are_fetched,
        };
        Keys(Arc::new(inner))
    }

    /// The set; none before the first was fetched.
    pub(crate) fn current(&self) -> Option<Arc<KeySet>> {
        self.0.current.load_full()
    }

    /// By which whoever keeps what keys have vouched for knows that they are others now.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Relaxed)
    }

    /// Puts a set in place.
    pub(crate) fn set(&self, keys: KeySet) {
        if self.current().is_none_or(|current| *current != keys) {
            self.0.current.store(Some(Arc::new(keys)));
            self.0.generation.fetch_add(1, Relaxed);
        }
    }

    /// An attempt to fetch has ended, with keys or (false) without.
    pub(crate) fn attempted(&self, is_fetched: bool) {
        self.0.has_failed.store(!is_fetched, Relaxed);
        self.0.attempts.send_modify(|attempts| *attempts += 1);
    }

    /// Waits until somebody wants newer keys.
    pub(crate) async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    /// Whether newer ones can be asked for.
    pub(crate) fn are_fetched(&self) -> bool {
        self.0.are_fetched
    }

    /// Whether there may be newer ones that could not be fetched.
    pub(crate) fn may_be_old(&self) -> bool {
        self.0.has_failed.load(Relaxed)
    }

    /// Asks for newer keys, and waits for an attempt to end.
    pub(crate) async fn renewed(&self) {
        let mut attempts = self.0.attempts.subscribe();
        attempts.mark_unchanged();
        self.0.wanted.notify_one();
        let _ = tokio::time::timeout(PATIENCE, attempts.changed()).await;
    }
}

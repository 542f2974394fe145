//! Something that is made of files, and made again when they change.
//!
//! Files are looked at when the thing is used: no task, and nothing to stop. Whoever comes while they are read
//! again takes the thing as it was; so does everybody where what was read is of no use.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use phoenix_component::files::{Fingerprint, fingerprint};
use tokio::time::Instant;

use super::TlsError;

/// Files that are looked at, at most this often; without an interval only when [`look_again`] says so.
pub(super) struct Watch {
    pub(super) files: Vec<PathBuf>,
    pub(super) interval: Option<Duration>,
}

/// How often [`look_again`] was called. Of the process, as the signal is that leads to it.
static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// Has the certificates, keys and authorities of all listeners and clients read again, where their files have changed:
/// each before its next handshake. Connections that are open stay as they are.
pub fn look_again() {
    ROUNDS.fetch_add(1, Ordering::AcqRel);
}

type Make<T> = dyn Fn() -> Result<T, TlsError> + Send + Sync;

pub(super) struct Reloading<T> {
    current: ArcSwap<T>,
    make: Arc<Make<T>>,
    watches: Vec<(Watch, Mutex<Looked>)>,
}

struct Looked {
    at: Instant,
    round: u64,
    seen: Fingerprint,
}

impl<T: Send + Sync + 'static> Reloading<T> {
    /// Makes the thing for the first time.
    pub(super) fn new(
        watches: Vec<Watch>,
        make: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Reloading<T>, TlsError> {
        let look = |watch: Watch| {
            // Before the files are read: what changes meanwhile is noticed.
            let round = ROUNDS.load(Ordering::Acquire);
            let looked = Looked { at: Instant::now(), round, seen: fingerprint(&watch.files) };
            (watch, Mutex::new(looked))
        };
        let watches = watches.into_iter().filter(|watch| !watch.files.is_empty()).map(look).collect();
        Ok(Reloading { current: ArcSwap::from_pointee(make()?), make: Arc::new(make), watches })
    }

    /// The thing, made of the files as they are; looked at as often as was asked.
    pub(super) async fn get(&self) -> Arc<T> {
        for (watch, looked) in &self.watches {
            let (now, round) = (Instant::now(), ROUNDS.load(Ordering::Acquire));
            let seen = {
                let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
                let age = now.saturating_duration_since(looked.at);
                if looked.round == round && watch.interval.is_none_or(|interval| age < interval) {
                    continue;
                }
                (looked.at, looked.round) = (now, round);
                looked.seen.clone()
            };
            let (files, make) = (watch.files.clone(), self.make.clone());
            let again = move || {
                let look = fingerprint(&files);
                let made = (look != seen && look.iter().all(Option::is_some)).then(|| make());
                made.map(|made| (look, made))
            };
            match crate::compression::off_the_runtime(again).await {
                Some((look, Ok(made))) => {
                    self.current.store(Arc::new(made));
                    looked.lock().unwrap_or_else(PoisonError::into_inner).seen = look;
                    tracing::info!(files = ?watch.files, "TLS files were read again");
                }
                Some((_, Err(error))) => {
                    let error = phoenix_component::StartError::because(error);
                    tracing::error!(%error, "TLS files could not be read again, those before stay");
                }
                None => {}
            }
        }
        self.current.load_full()
    }
}

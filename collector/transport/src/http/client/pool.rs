//! Idle connections of one core.

use std::collections::HashMap;

use super::exchange::Connection;
use super::{Arc, Destination, Duration, Mutex, Options, PoisonError, Target, Weak};
use tokio::time::Instant;

/// How often idle connections are looked at: nobody else notices that a server has closed one.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

type Key = (Target, bool);

/// Clones share it.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    idle: HashMap<Key, Vec<(Connection, Instant)>>,
    /// Whether a task looks after those that have been idle for too long.
    reaping: bool,
}

fn key(destination: &Destination) -> Key {
    (destination.target.clone(), destination.secure)
}

impl Pool {
    /// The connection that was used last, where there is one that is open still.
    pub(super) fn take(&self, destination: &Destination, idle: Option<Duration>) -> Option<Connection> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = state.idle.get_mut(&key(destination))?;
        if let Some(shared) = kept.iter().rev().find_map(|(connection, _)| connection.share()) {
            return Some(shared);
        }
        while let Some((mut connection, since)) = kept.pop() {
            if connection.is_open() && idle.is_none_or(|idle| since.elapsed() < idle) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request, unless there are enough.
    pub(super) fn keep(&self, destination: &Destination, connection: Connection, options: &Options) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = state.idle.entry(key(destination)).or_default();
        if kept.len() >= options.max_idle_per_host {
            kept.retain_mut(|(connection, _)| connection.is_open());
        }
        let shared_already = connection.is_h2() && kept.iter().any(|(kept, _)| kept.is_h2());
        if kept.len() >= options.max_idle_per_host || shared_already {
            return;
        }
        kept.push((connection, Instant::now()));
        if !std::mem::replace(&mut state.reaping, true) {
            tokio::spawn(reap(Arc::downgrade(&self.0), options.idle_timeout));
        }
    }
}

/// Closes connections that have been idle for `idle`, and those that their server has closed, until there
/// is none.
async fn reap(state: Weak<Mutex<State>>, idle: Option<Duration>) {
    let interval = idle.map_or(LOOK_INTERVAL, |idle| idle.min(LOOK_INTERVAL));
    loop {
        tokio::time::sleep(interval).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.idle.retain(|_, kept| {
            kept.retain_mut(|(connection, since)| {
                connection.is_open() && idle.is_none_or(|idle| since.elapsed() < idle)
            });
            !kept.is_empty()
        });
        if state.idle.is_empty() {
            state.reaping = false;
            return;
        }
    }
}

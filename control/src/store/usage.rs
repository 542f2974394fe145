//! How the database is used: what the metrics of the service say of it.

use std::time::Duration;

use phoenix_telemetry::{Counter, TimeCounter};

use super::postgres::Mode;
use crate::error::{Error, Result};

/// The pool of connections at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connections {
    /// As many as there may be.
    pub(crate) most: usize,
    /// Those that a transaction has.
    pub(crate) used: usize,
    /// Those that are open for the next one.
    pub(crate) idle: usize,
    /// Transactions that wait for one.
    pub(crate) waiting: usize,
}

/// Transactions of one mode.
#[derive(Clone)]
pub(crate) struct Transactions {
    pub(crate) all: Counter,
    /// Those that the database failed, rather than what they asked for.
    pub(crate) failed: Counter,
    /// With the wait for a connection, or for the writer before.
    pub(crate) time: TimeCounter,
}

impl Default for Transactions {
    fn default() -> Transactions {
        let (all, failed) = (Counter::detached(), Counter::detached());
        Transactions { all, failed, time: TimeCounter::detached() }
    }
}

/// Transactions since the start.
#[derive(Default)]
pub(crate) struct Usage {
    reads: Transactions,
    writes: Transactions,
    beside: Transactions,
}

impl Usage {
    pub(super) fn note<T>(&self, mode: Mode, took: Duration, done: &Result<T>) {
        let of = match mode {
            Mode::Read => &self.reads,
            Mode::Write => &self.writes,
            Mode::Beside => &self.beside,
        };
        of.all.add(1);
        of.time.add(took);
        if matches!(done, Err(Error::Unavailable(_) | Error::Internal(_))) {
            of.failed.add(1);
        }
    }

    /// Each mode by its name.
    pub(crate) fn by_mode(&self) -> [(&'static str, Transactions); 3] {
        [("read", self.reads.clone()), ("write", self.writes.clone()), ("beside", self.beside.clone())]
    }
}

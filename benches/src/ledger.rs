//! What a sink saw: counts, and if asked each record's number, once and only once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::kept::{self, KeptReport, KeptSpans};
use crate::signal::Signal;
use crate::wire::{self, Malformed};

/// Numbers beyond this are counted as foreign, so that the set takes at most 32 MiB.
const MAX_ID: u64 = 1 << 28;

/// Counts of everything that arrived.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    requests: AtomicU64,
    spans: AtomicU64,
    log_records: AtomicU64,
    data_points: AtomicU64,
    bytes: AtomicU64,
    malformed: AtomicU64,
    refused: AtomicU64,
    throttled: AtomicU64,
    /// When the first and the last accepted request were counted.
    accepted: Mutex<Option<(Instant, Instant)>>,
    first_at: OnceLock<SystemTime>,
    seen: Option<Mutex<SeenIds>>,
    kept: Option<Mutex<KeptSpans>>,
}

impl Ledger {
    /// An empty ledger; with `ids` it keeps the number of each record.
    pub(crate) fn new(ids: bool, wait_ms: Option<u64>) -> Ledger {
        let kept = wait_ms.map(|wait_ms| Mutex::new(KeptSpans::new(wait_ms)));
        Ledger { seen: ids.then(Mutex::default), kept, ..Ledger::default() }
    }

    /// Takes a request in.
    ///
    /// # Errors
    /// If the request is malformed; it is then counted as such and nothing else.
    pub(crate) fn record(&self, signal: Signal, body: &[u8]) -> Result<(), Malformed> {
        let items = wire::count(body, signal).inspect_err(|_| _ = self.malformed.fetch_add(1, Relaxed))?;
        if let Some(seen) = &self.seen {
            let mut ids = Vec::with_capacity(usize::try_from(items).unwrap_or_default());
            wire::each_id(body, signal, |offset| {
                ids.push(offset.map(|offset| wire::read_id(body, offset, signal)));
            })
            .inspect_err(|_| _ = self.malformed.fetch_add(1, Relaxed))?;
            let mut seen = seen.lock().expect("no holder of the set panics");
            for id in ids {
                seen.insert(id);
            }
        }
        if let Some(kept) = self.kept.as_ref().filter(|_| signal == Signal::Traces) {
            let now = kept::unix_nanos(SystemTime::now());
            let mut kept = kept.lock().expect("no holder of the spans panics");
            kept.record(body, now).inspect_err(|_| _ = self.malformed.fetch_add(1, Relaxed))?;
        }
        let now = Instant::now();
        self.first_at.get_or_init(SystemTime::now);
        self.accepted.lock().expect("no holder of the times panics").get_or_insert((now, now)).1 = now;
        self.requests.fetch_add(1, Relaxed);
        self.bytes.fetch_add(body.len() as u64, Relaxed);
        let counter = match signal {
            Signal::Traces => &self.spans,
            Signal::Logs => &self.log_records,
            Signal::Metrics => &self.data_points,
        };
        counter.fetch_add(items, Relaxed);
        Ok(())
    }

    /// Counts a request that the sink refused on purpose.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a request that the sink put off on purpose.
    pub(crate) fn throttle(&self) {
        self.throttled.fetch_add(1, Relaxed);
    }

    /// The counts so far.
    pub(crate) fn report(&self) -> SinkReport {
        let ids = self.seen.as_ref().map(|seen| seen.lock().expect("no holder of the set panics").report);
        let accepted = *self.accepted.lock().expect("no holder of the times panics");
        let busy = accepted.map(|(first, last)| last - first).unwrap_or_default();
        SinkReport {
            requests: self.requests.load(Relaxed),
            spans: self.spans.load(Relaxed),
            log_records: self.log_records.load(Relaxed),
            data_points: self.data_points.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            busy_us: u64::try_from(busy.as_micros()).unwrap_or(u64::MAX),
            first_at: self.first_at.get().copied(),
            ids,
            kept: self.kept.as_ref().map(|kept| kept.lock().expect("no holder of the spans panics").report()),
        }
    }
}

/// What a sink prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SinkReport {
    /// Requests that were accepted.
    pub(crate) requests: u64,
    pub(crate) spans: u64,
    pub(crate) log_records: u64,
    pub(crate) data_points: u64,
    /// Bytes of accepted messages, uncompressed.
    pub(crate) bytes: u64,
    /// Requests that could not be read.
    pub(crate) malformed: u64,
    /// Requests answered with UNAVAILABLE because the sink was told to.
    pub(crate) refused: u64,
    /// Requests answered with a delay because the sink was told to.
    pub(crate) throttled: u64,
    /// Microseconds from the first accepted request to the last.
    pub(crate) busy_us: u64,
    /// When the first accepted request was counted.
    #[serde(default)]
    pub(crate) first_at: Option<SystemTime>,
    /// Only with `--ids`.
    pub(crate) ids: Option<IdReport>,
    /// Only with `--wait-ms`.
    #[serde(default)]
    pub(crate) kept: Option<KeptReport>,
}

impl SinkReport {
    /// Records of all signals.
    pub(crate) fn items(&self) -> u64 {
        self.spans + self.log_records + self.data_points
    }

    /// Records per second from the first accepted request to the last, of which the first does not count; `None`
    /// if there were fewer than two.
    pub(crate) fn items_per_s(&self) -> Option<f64> {
        let counted = self.requests.checked_sub(1).filter(|counted| *counted > 0 && self.busy_us > 0)?;
        let items = self.items() as f64 * counted as f64 / self.requests as f64;
        Some(items / (self.busy_us as f64 / 1e6))
    }
}

/// How often the numbers of records came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdReport {
    /// Different numbers seen.
    pub(crate) distinct: u64,
    /// Records whose number had been seen before.
    pub(crate) duplicates: u64,
    /// Records without a number of the load's.
    pub(crate) foreign: u64,
}

/// A set of small numbers, one bit each.
#[derive(Debug, Default)]
struct SeenIds {
    words: Vec<u64>,
    report: IdReport,
}

impl SeenIds {
    fn insert(&mut self, id: Option<u64>) {
        let Some(id) = id.filter(|id| (1..=MAX_ID).contains(id)) else {
            self.report.foreign += 1;
            return;
        };
        let word = usize::try_from(id / 64).expect("bounded by MAX_ID");
        let bit = 1 << (id % 64);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if self.words[word] & bit == 0 {
            self.report.distinct += 1;
        } else {
            self.report.duplicates += 1;
        }
        self.words[word] |= bit;
    }
}

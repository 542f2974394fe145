//! What came since the last checkpoint, on disk: a request is answered once it is there.
//!
//! A record is a request as it came, with what decides about it beside its bytes: its number, the clock, and how far the
//! watermark had come. A start reads the checkpoint, then takes the requests behind it as they were taken before. Windows that
//! were let out since the checkpoint are let out again, with the same times.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use phoenix_component::{Ack, Refusal};
use phoenix_pdata::Payload;
use phoenix_storage::{AppendError, Client, Entry, Weight};
use phoenix_telemetry::Counter;

/// Raised whenever what is written changes its meaning.
const VERSION: u64 = 1;
/// Version, number, clock and watermark.
const HEADER: usize = 32;

/// What decides about a request beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) unix_nanos: u64,
    /// How far the watermark had come before it.
    pub(crate) watermark: u64,
}

/// Requests that are not part of a checkpoint yet. The numbers of requests go up by one.
pub(crate) struct Journal {
    client: Arc<Client>,
    /// The number of the last request that was handed over.
    last: u64,
    open: Open,
    metrics: JournalMetrics,
}

/// What is in the log and not done, oldest first. Clones mean the same log.
#[derive(Clone)]
pub(crate) struct Open {
    client: Arc<Client>,
    records: Arc<Mutex<VecDeque<Record>>>,
}

struct Record {
    request: u64,
    number: u64,
    weight: Weight,
}

/// What happens to the journal.
#[derive(Clone)]
pub(crate) struct JournalMetrics {
    pub(crate) written: Counter,
    pub(crate) failed: Counter,
    pub(crate) replayed: Counter,
}

impl Open {
    fn records(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to a request is part of a checkpoint.
    pub(crate) fn done_up_to(&self, request: u64) {
        let mut records = self.records();
        // The thread of the log pushes them in the order of their numbers.
        while records.front().is_some_and(|record| record.request <= request) {
            let Some(record) = records.pop_front() else { break };
            self.client.mark(record.number, record.weight);
        }
    }
}

impl Journal {
    pub(crate) fn new(client: Arc<Client>, metrics: JournalMetrics) -> Journal {
        let open = Open { client: client.clone(), records: Arc::default() };
        Journal { client, last: 0, open, metrics }
    }

    /// The number of the last request that was handed over.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// What is in it.
    pub(crate) fn open(&self) -> Open {
        self.open.clone()
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.client.bytes()
    }

    /// Whether both write the same log.
    pub(crate) fn is_same(&self, other: &Journal) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }

    /// Everything up to a request is elsewhere; what is in the log is of others.
    pub(crate) fn go_on_from(&mut self, request: u64) {
        self.replay(u64::MAX, |_, _| {});
        self.last = request;
    }

    /// Goes on where another stood.
    pub(crate) fn take_over(&mut self, old: Journal) {
        (self.last, self.open) = (old.last, old.open);
    }

    /// Writes a request. `ack` is resolved once it is on disk; else its sender sends it again, and what of it counts already is
    /// a repetition then.
    pub(crate) fn append(&mut self, moment: Moment, payload: Payload, items: u64, ack: Ack) {
        self.last += 1;
        let request = self.last;
        let mut header = [0; HEADER];
        for (place, value) in [VERSION, request, moment.unix_nanos, moment.watermark].into_iter().enumerate()
        {
            header[8 * place..8 * place + 8].copy_from_slice(&value.to_le_bytes());
        }
        let weight = Weight::of(items, payload.len() as u64);
        let body = std::iter::once(Bytes::copy_from_slice(&header)).chain(payload).collect();
        let (open, metrics) = (self.open.clone(), self.metrics.clone());
        self.client.append(Entry { weight, body }, move |outcome| match outcome {
            Ok(place) => {
                open.records().push_back(Record { request, number: place.number, weight });
                metrics.written.add(1);
                ack.resolve(Ok(()));
            }
            Err(error) => {
                metrics.failed.add(1);
                let text = format!("the increments cannot be written to the disk: {error}");
                ack.resolve(Err(match error {
                    AppendError::TooLarge { .. } => Refusal::permanent("too_large", text),
                    _ => Refusal::retryable("storage", text),
                }));
            }
        });
    }

    /// Hands over the requests behind a checkpoint, in order; those before it are done.
    pub(crate) fn replay(&mut self, after: u64, mut take: impl FnMut(Moment, Payload)) {
        self.last = after;
        let mut next = 0;
        loop {
            let chunk = match self.client.read(next, u64::MAX, Bytes::from) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(log = self.client.name(), %error, "a part of the increments cannot be read");
                    let Some(chunk) = self.client.give_up(next, u64::MAX) else { break };
                    chunk
                }
            };
            next = chunk.next;
            if chunk.lost.records > 0 {
                tracing::error!(
                    log = self.client.name(),
                    data_points = chunk.lost.items,
                    "increments were damaged and are lost"
                );
            }
            for record in chunk.records {
                let Some((request, moment)) = read_header(&record.body) else {
                    tracing::error!(log = self.client.name(), "a request of another version is left out");
                    self.client.mark(record.number, record.weight);
                    continue;
                };
                let (number, weight) = (record.number, record.weight);
                self.open.records().push_back(Record { request, number, weight });
                if request > self.last {
                    self.last = request;
                    self.metrics.replayed.add(1);
                    take(moment, Payload::from(record.body.slice(HEADER..)));
                }
            }
        }
        self.open.done_up_to(after);
    }
}

fn read_header(body: &[u8]) -> Option<(u64, Moment)> {
    let number =
        |place: usize| Some(u64::from_le_bytes(body.get(8 * place..8 * place + 8)?.try_into().ok()?));
    let (request, unix_nanos, watermark) = (number(1)?, number(2)?, number(3)?);
    (number(0)? == VERSION).then_some((request, Moment { unix_nanos, watermark }))
}

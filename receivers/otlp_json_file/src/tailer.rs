//! One look at every file, and all that is new in them, in rounds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use phoenix_component::{Batch, Budget, Charge, Outlets};
use phoenix_pdata::{Payload, Signal};
use tokio_util::sync::CancellationToken;

use crate::OtlpJsonFileConfig;
use crate::chunk::{self, CHUNK, Chunk, Line, Rules};
use crate::metrics::FileMetrics;
use crate::request::Request;
use crate::tracker::{Look, Table, Tracked};

/// How long a line waits before it is sent again, the first time and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long reading waits for memory.
const MEMORY_WAIT: Duration = Duration::from_millis(100);

/// How a tailer is stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// Nothing more is begun; what was sent is waited for.
    pub(crate) gently: CancellationToken,
    /// Nothing is waited for.
    pub(crate) now: CancellationToken,
}

/// Reads the files of one receiver.
pub(crate) struct Tailer {
    work: Arc<Work>,
    pub(crate) table: Table,
    /// Whether no round was made yet.
    first: bool,
    replay: bool,
    /// Files that are read in a round, and where the next round begins.
    most_in_round: usize,
    next: usize,
    at_a_time: usize,
}

/// What reading one file takes.
pub(crate) struct Work {
    id: String,
    look: Look,
    rules: Rules,
    outlets: Outlets,
    metrics: FileMetrics,
    budget: Budget,
    stop: Stop,
}

impl Tailer {
    /// # Errors
    /// A pattern that is none.
    pub(crate) fn new(
        id: &str,
        config: &OtlpJsonFileConfig,
        outlets: Outlets,
        metrics: FileMetrics,
        budget: Budget,
        stop: Stop,
    ) -> Result<Tailer, &'static str> {
        let at_a_time = (config.max_concurrent_files / 2).max(1);
        let flush_after = config.force_flush_period.as_duration();
        let work = Work {
            id: id.to_owned(),
            look: Look::new(config)?,
            rules: Rules {
                longest: config.max_log_size.0,
                flush_after: match config.replay_file {
                    true => Some(Duration::ZERO),
                    false => (!flush_after.is_zero()).then_some(flush_after),
                },
            },
            outlets,
            metrics,
            budget,
            stop,
        };
        Ok(Tailer {
            work: Arc::new(work),
            table: Table::default(),
            first: true,
            replay: config.replay_file,
            most_in_round: match config.max_batches {
                0 => usize::MAX,
                batches => batches.saturating_mul(at_a_time),
            },
            next: 0,
            at_a_time,
        })
    }

    /// Looks for files and sends what is new in them; returns once that is taken. `now` is monotonic.
    pub(crate) async fn round(&mut self, now: Duration, unix: SystemTime) {
        if self.replay {
            self.table = Table::default();
        }
        self.look(unix).await;
        let (mut reading, mut idle): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.table.tracked).into_iter().partition(Tracked::wants);
        if reading.len() > self.most_in_round {
            // In turns, so that each comes.
            let begin = self.next % reading.len();
            reading.rotate_left(begin);
            idle.extend(reading.drain(self.most_in_round..));
            self.next = begin + self.most_in_round;
        }
        let work = &self.work;
        let read = futures_util::stream::iter(reading)
            .map(|tracked| work.follow(tracked, now))
            .buffer_unordered(self.at_a_time);
        let read: Vec<_> = read.collect().await;
        self.table.tracked = idle;
        self.table.tracked.extend(read.into_iter().flatten());
        let open = self.table.retire(&self.work.look);
        self.work.metrics.open.set(open as i64);
        self.first = false;
    }

    async fn look(&mut self, unix: SystemTime) {
        let (mut table, first, work) = (std::mem::take(&mut self.table), self.first, self.work.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let looked = table.look(&work.look, first, unix);
            (table, looked)
        });
        // Only a runtime that ends does not answer.
        let Ok((table, looked)) = looked.await else { return };
        self.table = table;
        self.work.metrics.unreadable.add(looked.unreadable as u64);
        let receiver = &*self.work.id;
        if first && looked.matched == 0 {
            tracing::warn!(receiver, "no files match the configured criteria");
        }
        if first && looked.unreadable > 0 {
            tracing::warn!(
                receiver,
                files = looked.unreadable,
                "files cannot be read; the collector's user must be allowed to"
            );
        }
        if looked.too_many {
            tracing::warn!(receiver, "there are more files than can be followed; the others are left alone");
        }
    }
}

impl Work {
    /// Reads a file to its end, and gives it back; none where the runtime ends.
    async fn follow(self: &Arc<Work>, tracked: Tracked, now: Duration) -> Option<Tracked> {
        self.metrics.reading.add(1);
        let tracked = self.read_on(tracked, now).await;
        self.metrics.reading.add(-1);
        tracked
    }

    async fn read_on(self: &Arc<Work>, mut tracked: Tracked, now: Duration) -> Option<Tracked> {
        while !self.stop.gently.is_cancelled() {
            // Freed before a batch that holds on to memory makes the next one wait.
            let Some(charge) = self.charge(CHUNK.min(self.rules.longest)).await else { break };
            let work = self.clone();
            let read = tokio::task::spawn_blocking(move || {
                let wanted = Signal::ALL.map(|signal| work.outlets.of(signal).is_wired());
                let chunk = chunk::read(&mut tracked, work.rules, wanted, now);
                (tracked, chunk, charge)
            });
            let (read, chunk, _charge) = read.await.ok()?;
            tracked = read;
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    self.metrics.unreadable.add(1);
                    tracing::warn!(receiver = self.id, path = %tracked.path.display(), %error, "cannot read the file");
                    break;
                }
            };
            let more = chunk.more;
            if !self.deliver(&mut tracked, chunk).await || !more {
                break;
            }
        }
        Some(tracked)
    }

    /// Sends the lines of a chunk in order; false where that is stopped.
    async fn deliver(&self, tracked: &mut Tracked, chunk: Chunk) -> bool {
        let begin = tracked.offset;
        let (mut malformed, mut first_error) = (0, None);
        let mut finished = true;
        for Line { end, requests } in chunk.lines {
            match requests {
                Ok(requests) => {
                    self.metrics.unrouted.add(requests.unrouted);
                    for request in requests.found {
                        finished = finished && self.send(request).await;
                    }
                }
                Err(error) => {
                    malformed += 1;
                    first_error.get_or_insert((tracked.offset, error));
                }
            }
            if !finished {
                break;
            }
            let from = (tracked.offset - begin) as usize;
            tracked.advance(end, &chunk.bytes[from..(end - begin) as usize]);
        }
        if let Some((offset, error)) = first_error {
            self.metrics.malformed.add(malformed);
            tracing::warn!(
                receiver = self.id,
                path = %tracked.path.display(),
                offset,
                lines = malformed,
                error,
                "lines are no OTLP/JSON and are skipped"
            );
        }
        finished
    }

    /// Sends a request until it is taken or rejected for good; false where that is stopped.
    async fn send(&self, request: Request) -> bool {
        let Request { signal, payload, items } = request;
        let Some(charge) = self.charge(payload.len()).await else { return false };
        let bytes = charge.attach(Vec::from(payload.into_contiguous()));
        let batch = Batch::new(signal, Payload::from(bytes), items);
        let outlet = self.outlets.of(signal);
        let mut wait = FIRST_WAIT;
        loop {
            if !outlet.is_wired() {
                self.metrics.unrouted.add(1);
                return true;
            }
            let outcome = tokio::select! {
                outcome = outlet.send(batch.clone()) => outcome,
                () = self.stop.now.cancelled() => return false,
            };
            let refusal = match outcome {
                Ok(()) => {
                    self.metrics.accepted(signal, items);
                    return true;
                }
                Err(refusal) if refusal.is_retryable() => refusal,
                Err(refusal) => {
                    self.metrics.refused(signal, items);
                    tracing::warn!(receiver = self.id, %signal, items, error = %refusal, "the pipelines reject a request");
                    return true;
                }
            };
            self.metrics.retries.add(1);
            if !self.pause(refusal.delay().unwrap_or(wait)).await {
                return false;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Waits for room in the budget; none where that is stopped.
    async fn charge(&self, bytes: usize) -> Option<Charge> {
        loop {
            if let Some(charge) = self.budget.try_charge(bytes) {
                return Some(charge);
            }
            if !self.pause(MEMORY_WAIT).await {
                return None;
            }
        }
    }

    async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            () = self.stop.gently.cancelled() => false,
        }
    }
}

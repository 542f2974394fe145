//! Segments on disk: where spans wait that memory is too small for.
//!
//! Beyond a share of memory the segments that were filled last go to the log of a storage extension: what is in them is due last.
//! Conditions were evaluated when the spans came, so a trace that is dropped is never read; for one that is kept its segments come
//! back, each at most once.
//!
//! - Order of work: a shard freezes a segment and hands it over ([`Spill::write`]); a [`worker`] compresses it ([`block`]); the
//!   storage's thread writes it. Answers are taken by the shard when it is called next, and it never waits for one but at its end.
//! - Bound: `max_bytes` on disk, and a few segments under way for each shard. A disk that is full or fails leaves spans in memory.
//! - [`restore`]: what an earlier run has left.
//! - Elsewhere: when, and what becomes of traces, is `stage::spill`'s matter.

mod block;
mod metrics;
mod restore;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use phoenix_component::StartError;
use phoenix_storage::{Claim, Client, Entry, Place, Store, Weight, client_name};
use phoenix_telemetry::Metrics;

use crate::buffer::{Leased, Pool};
use crate::config::{OnShutdown, SpillConfig};

pub(crate) use block::{Directory, Waiting};
pub(crate) use metrics::SpillMetrics;
pub(crate) use restore::Part;
use restore::{Restore, Roster};
pub(crate) use worker::Worker;

/// Segments of a shard that are being written at the same time, and read.
const MOST_WRITING: usize = 16;
const MOST_READING: usize = 8;
/// How often a read is tried before its spans are given up.
const ATTEMPTS: u8 = 3;
/// How long a disk that fails is left alone, and one on which there is as much as may be.
const REST: Duration = Duration::from_secs(5);
const REST_OF_FULL: Duration = Duration::from_secs(1);
const REST_OF_READS: Duration = Duration::from_secs(1);
/// The longest that an end waits for the disk.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(60) };

/// When spans go to the disk, and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SpillRules {
    /// The fullness from which on.
    pub(crate) share: f64,
    max_bytes: u64,
    /// They stay there at an end.
    pub(crate) keeps: bool,
}

impl SpillRules {
    pub(crate) fn new(config: &SpillConfig) -> SpillRules {
        SpillRules {
            share: config.memory_share,
            max_bytes: config.max_bytes,
            keeps: config.on_shutdown == OnShutdown::Keep,
        }
    }
}

/// The disk of a processor, for all its shards.
pub(crate) struct Files {
    client: Arc<Client>,
    /// Says of what a run has left which records still waited.
    rosters: Arc<Client>,
    worker: Worker,
    /// Whoever has it works here; while settings change there are two.
    claim: Mutex<Option<Claim>>,
    restore: Restore,
    /// Bytes handed over and not written yet.
    under_way: Arc<AtomicU64>,
    pub(crate) metrics: SpillMetrics,
}

impl Files {
    /// Opens the logs of a processor in a pipeline. Blocks on the disk.
    pub(crate) fn open(
        store: &Store,
        (component, pipeline): (&str, &str),
        shards: usize,
        metrics: &Metrics,
        worker: Worker,
    ) -> Result<Arc<Files>, StartError> {
        let client = |what: &str| {
            let name = client_name(&format!("processor_{component}_{pipeline}_{what}"));
            store.client(&name).map_err(StartError::because)
        };
        let (client, rosters) = (client("spill")?, client("spill_open")?);
        let metrics = SpillMetrics::new(metrics, component, &client);
        let restore = Restore::new(shards, metrics.clone());
        let under_way = Arc::default();
        Ok(Arc::new(Files { client, rosters, worker, claim: Mutex::default(), restore, under_way, metrics }))
    }

    /// Whether nobody else works here.
    fn is_mine(&self) -> bool {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if claim.is_none() {
            *claim = self.client.try_claim();
            if claim.is_some() {
                self.restore.begin(&self.client, &self.rosters);
            }
        }
        claim.is_some()
    }

    fn is_same(&self, other: &Files) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }
}

enum Answer {
    Written(u64, Option<(Place, Weight)>),
    Read(u64, Option<Leased>),
}

/// What a shard has not heard yet.
#[derive(Default)]
struct Answers {
    list: Mutex<Vec<Answer>>,
    came: Condvar,
}

impl Answers {
    fn push(&self, answer: Answer) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
        self.came.notify_one();
    }

    fn take(&self) -> Vec<Answer> {
        std::mem::take(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is one; false where none comes.
    fn wait(&self) -> bool {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.came.wait_timeout_while(list, PATIENCE, |list| list.is_empty());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A segment that is elsewhere.
struct Away {
    segment: u32,
    /// Where it is, once it is there.
    place: Option<(Place, Weight)>,
    is_read: bool,
    failures: u8,
}

/// What became of a segment.
pub(crate) enum News {
    /// It is on the disk.
    Written(u32),
    /// It is not: its bytes are where they were.
    Failed(u32),
    /// Its bytes are back.
    Back(u32, Leased),
    /// They cannot be read.
    Lost(u32),
}

/// The disk, as a shard sees it.
pub(crate) struct Spill {
    files: Arc<Files>,
    shard: usize,
    pub(crate) rules: SpillRules,
    /// Nothing more goes there.
    is_over: bool,
    answers: Arc<Answers>,
    away: HashMap<u64, Away>,
    last_ticket: u64,
    writing: usize,
    reading: usize,
    /// When it is written to again, and read.
    rests_until: Duration,
    reads_from: Duration,
    /// Another disk that takes its place once nothing is on this one.
    successor: Option<Box<Spill>>,
}

impl Spill {
    pub(crate) fn new(files: Arc<Files>, shard: usize, rules: SpillRules) -> Spill {
        Spill {
            files,
            shard,
            rules,
            is_over: false,
            answers: Arc::default(),
            away: HashMap::new(),
            last_ticket: 0,
            writing: 0,
            reading: 0,
            rests_until: Duration::ZERO,
            reads_from: Duration::ZERO,
            successor: None,
        }
    }

    /// What goes on where `old` stood: that, if anything of it is on a disk.
    pub(crate) fn follow(new: Option<Spill>, old: Option<Spill>) -> Option<Spill> {
        let Some(mut old) = old else { return new };
        match new {
            Some(new) if new.files.is_same(&old.files) => {
                (old.rules, old.is_over) = (new.rules, false);
                Some(old)
            }
            new if old.away.is_empty() && old.writing == 0 => new,
            new => {
                (old.is_over, old.successor) = (true, new.map(Box::new));
                Some(old)
            }
        }
    }

    /// What takes its place, where nothing is left here.
    pub(crate) fn make_way(&mut self) {
        if self.is_over
            && self.away.is_empty()
            && let Some(next) = self.successor.take()
        {
            *self = *next;
        }
    }

    pub(crate) fn metrics(&self) -> &SpillMetrics {
        &self.files.metrics
    }

    /// Whether another segment may be handed over now.
    pub(crate) fn has_room(&mut self, bytes: usize, now: Duration) -> bool {
        if self.is_over || self.writing >= MOST_WRITING || now < self.rests_until || !self.files.is_mine() {
            return false;
        }
        let taken = self.files.client.bytes() + self.files.under_way.load(Relaxed) + bytes as u64;
        if taken > self.rules.max_bytes {
            self.files.metrics.full.add(1);
            self.rests_until = now + REST_OF_FULL;
            return false;
        }
        true
    }

    /// A name for the next segment.
    pub(crate) fn next_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Hands a segment over.
    pub(crate) fn write(
        &mut self,
        ticket: u64,
        segment: u32,
        memory: Arc<Leased>,
        (directory, spans): (Vec<u8>, u64),
    ) {
        self.away.insert(ticket, Away { segment, place: None, is_read: false, failures: 0 });
        self.writing += 1;
        let (client, answers) = (self.files.client.clone(), self.answers.clone());
        let (under_way, metrics) = (self.files.under_way.clone(), self.files.metrics.clone());
        let raw = memory.bytes.len() as u64;
        under_way.fetch_add(raw, Relaxed);
        self.files.worker.push(Box::new(move |codec| {
            let encoded = codec.encode(&directory, &memory.bytes);
            // Before the answer, so that whoever gets it has the only one.
            drop(memory);
            let Ok(block) = encoded else {
                metrics.write_failed.add(1);
                under_way.fetch_sub(raw, Relaxed);
                return answers.push(Answer::Written(ticket, None));
            };
            let weight = Weight::of(spans, block.len() as u64);
            client.append(Entry { weight, body: vec![block.into()] }, move |outcome| {
                match &outcome {
                    Ok(_) => metrics.written.add(raw),
                    Err(error) => {
                        metrics.write_failed.add(1);
                        tracing::warn!(%error, "tail_sampling cannot write to its disk: spans stay in memory");
                    }
                }
                under_way.fetch_sub(raw, Relaxed);
                answers.push(Answer::Written(ticket, outcome.ok().map(|place| (place, weight))));
            });
        }));
    }

    /// Asks for a segment back; false where that has to wait: too many are on their way, or the disk has just failed.
    pub(crate) fn fetch(&mut self, ticket: u64, pool: &Arc<Pool>, now: Duration) -> bool {
        let Some(away) = self.away.get_mut(&ticket) else { return true };
        let Some((place, weight)) = away.place else { return true };
        if away.is_read {
            return true;
        }
        if self.reading >= MOST_READING || now < self.reads_from {
            return false;
        }
        away.is_read = true;
        self.reading += 1;
        let (client, answers, pool) = (self.files.client.clone(), self.answers.clone(), pool.clone());
        let metrics = self.files.metrics.clone();
        self.files.worker.push(Box::new(move |codec| {
            let read = client.read_one(place, weight.bytes as usize);
            let segment = read.map_err(|error| error.to_string()).and_then(|block| {
                let (plain, begin) = codec.segment(&block).map_err(|error| format!("{error:?}"))?;
                Ok(pool.copy(&plain[begin..]))
            });
            match &segment {
                Ok(_) => metrics.reads.add(1),
                Err(error) => {
                    metrics.read_failed.add(1);
                    tracing::warn!(%error, "tail_sampling cannot read from its disk");
                }
            }
            answers.push(Answer::Read(ticket, segment.ok()));
        }));
        true
    }

    /// What became of segments since the last call.
    pub(crate) fn news(&mut self, now: Duration) -> Vec<News> {
        let mut news = Vec::new();
        for answer in self.answers.take() {
            match answer {
                Answer::Written(ticket, outcome) => {
                    self.writing -= 1;
                    match (self.away.get_mut(&ticket), outcome) {
                        (Some(away), Some(placed)) => {
                            away.place = Some(placed);
                            news.push(News::Written(away.segment));
                        }
                        (Some(away), None) => {
                            news.push(News::Failed(away.segment));
                            self.away.remove(&ticket);
                        }
                        // All of it was let go meanwhile.
                        (None, Some((place, weight))) => self.files.client.mark(place.number, weight),
                        (None, None) => {}
                    }
                    if outcome.is_none() {
                        self.rests_until = now + REST;
                    }
                }
                Answer::Read(ticket, bytes) => {
                    self.reading -= 1;
                    let Some(away) = self.away.get_mut(&ticket) else { continue };
                    match bytes {
                        Some(bytes) => {
                            news.push(News::Back(away.segment, bytes));
                            self.forget(ticket);
                        }
                        None if away.failures + 1 < ATTEMPTS => {
                            (away.is_read, away.failures) = (false, away.failures + 1);
                            self.reads_from = now + REST_OF_READS;
                        }
                        None => news.push(News::Lost(away.segment)),
                    }
                }
            }
        }
        news
    }

    /// Nothing of a segment is wanted any more.
    pub(crate) fn forget(&mut self, ticket: u64) {
        if let Some(Away { place: Some((place, weight)), .. }) = self.away.remove(&ticket) {
            self.files.client.mark(place.number, weight);
        }
    }

    /// Whether it waits for anything that comes without a call.
    pub(crate) fn is_busy(&self) -> bool {
        self.writing + self.reading > 0 || self.files.restore.is_under_way()
    }

    /// Bytes that are being written.
    pub(crate) fn writing(&self) -> usize {
        self.writing
    }

    /// Whether an earlier run's spans may still come: until it is known that there are none, or another instance works here.
    pub(crate) fn may_restore(&self) -> bool {
        !self.files.restore.is_done()
    }

    /// Waits for the next answer, where there will be one; at an end nothing rests. False where the disk does not answer.
    pub(crate) fn wait(&mut self) -> bool {
        self.reads_from = Duration::ZERO;
        self.writing + self.reading == 0 || self.answers.wait()
    }

    /// The disk does not answer: what has been asked for will not come. Those segments.
    pub(crate) fn give_up(&mut self) -> Vec<u32> {
        (self.writing, self.reading) = (0, 0);
        self.answers = Arc::default();
        self.away.values().filter(|away| away.place.is_some()).map(|away| away.segment).collect()
    }

    /// The next spans of an earlier run, if they have been read.
    pub(crate) fn next_part(&self) -> Option<Part> {
        if !self.files.is_mine() {
            return None;
        }
        let Files { restore, client, rosters, worker, .. } = &*self.files;
        restore.next(self.shard, client, rosters, worker)
    }

    /// At an end: waits until it is written what is done, or the next run would have it once more.
    pub(crate) fn flush(&self) {
        let (answer, answered) = std::sync::mpsc::channel();
        let client = self.files.client.clone();
        self.files.worker.push(Box::new(move |_| {
            client.when_written(move || {
                // Nobody may wait any more.
                let _ = answer.send(());
            });
        }));
        if answered.recv_timeout(PATIENCE).is_err() {
            tracing::warn!("the disk of tail_sampling does not answer: what was let out may come again");
        }
    }

    /// Leaves what is on the disk there: of each segment these records still wait. False where that cannot be noted.
    pub(crate) fn leave(&mut self, waits: impl Fn(u32) -> Vec<u64>) -> bool {
        let mut roster = Roster::default();
        for away in self.away.values() {
            if let Some((place, _)) = away.place {
                roster.add(place.number, waits(away.segment));
            }
        }
        self.away.clear();
        let until = self.files.client.held_below().1;
        let (answer, answered) = std::sync::mpsc::channel();
        let entry = Entry { weight: Weight::of(0, 0), body: vec![roster.encode(until).into()] };
        let rosters = self.files.rosters.clone();
        self.files.worker.push(Box::new(move |_| {
            rosters.append(entry, move |outcome| {
                // An error means that nobody waits any more.
                let _ = answer.send(outcome.is_ok());
            });
        }));
        answered.recv_timeout(PATIENCE).unwrap_or(false)
    }
}

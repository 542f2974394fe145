//! What an earlier run has left on the disk: read in order, dealt to the shards as requests, and done once they are taken in.
//!
//! After an orderly end a roster says which records of each block still waited; after a crash all of them count as waiting, so
//! that of a trace that had been let out parts may come once more.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use phoenix_pdata::{InvalidUtf8, Signal, check};
use phoenix_storage::{Client, Record, Weight};

use super::block::{Codec, Unreadable, VERSION, Waiting};
use super::metrics::SpillMetrics;
use super::worker::Worker;
use crate::partition::shard_of;

const MAGIC: [u8; 4] = *b"PhTR";
/// How often a read is tried before it is given up.
const ATTEMPTS: u8 = 3;

/// Spans of an earlier run for one shard.
pub(crate) struct Part {
    pub(crate) request: Bytes,
    pub(crate) spans: u64,
    /// The traces that they are of, more or less once each.
    pub(crate) waiting: Vec<Waiting>,
    block: Arc<Dealt>,
}

/// A block of which some parts are not taken in yet.
struct Dealt {
    client: Arc<Client>,
    number: u64,
    weight: Weight,
    left: AtomicUsize,
}

impl Part {
    /// It was taken in.
    pub(crate) fn done(self) {
        if self.block.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.block.client.mark(self.block.number, self.block.weight);
        }
    }
}

#[derive(Default)]
struct State {
    has_begun: bool,
    is_done: bool,
    is_reading: bool,
    failures: u8,
    next: u64,
    /// One behind the last block of the earlier run.
    until: u64,
    roster: Option<Roster>,
    parts: Vec<VecDeque<Part>>,
}

/// Reads for all shards of a processor.
pub(super) struct Restore {
    state: Arc<Mutex<State>>,
    metrics: SpillMetrics,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Restore {
    pub(super) fn new(shards: usize, metrics: SpillMetrics) -> Restore {
        let parts = (0..shards).map(|_| VecDeque::new()).collect();
        Restore { state: Arc::new(Mutex::new(State { parts, ..State::default() })), metrics }
    }

    /// The right to read is there.
    pub(super) fn begin(&self, client: &Client, rosters: &Client) {
        let mut state = lock(&self.state);
        let (held, until) = client.held_below();
        self.metrics.damaged(client.take_damage());
        state.has_begun = true;
        state.until = until;
        state.is_done = held.records == 0 && rosters.held().records == 0;
    }

    pub(super) fn is_done(&self) -> bool {
        lock(&self.state).is_done
    }

    pub(super) fn is_under_way(&self) -> bool {
        let state = lock(&self.state);
        state.has_begun && !state.is_done
    }

    /// The next part for a shard; where nobody has any, more is read.
    pub(super) fn next(
        &self,
        shard: usize,
        client: &Arc<Client>,
        rosters: &Arc<Client>,
        worker: &Worker,
    ) -> Option<Part> {
        let mut state = lock(&self.state);
        if let Some(part) = state.parts.get_mut(shard).and_then(VecDeque::pop_front) {
            return Some(part);
        }
        if state.is_done || state.is_reading || state.parts.iter().any(|parts| !parts.is_empty()) {
            return None;
        }
        state.is_reading = true;
        drop(state);
        let reader = Reader {
            state: self.state.clone(),
            client: client.clone(),
            rosters: rosters.clone(),
            metrics: self.metrics.clone(),
        };
        worker.push(Box::new(move |codec| reader.read_on(codec)));
        None
    }
}

struct Reader {
    state: Arc<Mutex<State>>,
    client: Arc<Client>,
    rosters: Arc<Client>,
    metrics: SpillMetrics,
}

impl Reader {
    /// Reads the next few blocks.
    fn read_on(&self, codec: &mut Codec) {
        let (next, until, failures) = {
            let state = lock(&self.state);
            (state.next, state.until, state.failures)
        };
        let roster = lock(&self.state).roster.take().unwrap_or_else(|| Roster::read(&self.rosters));
        let outcome = match self.client.read(next, until, Bytes::from) {
            Ok(chunk) => Ok(chunk),
            Err(error) if failures + 1 < ATTEMPTS => Err(error),
            Err(error) => {
                tracing::error!(%error, "what tail_sampling has left on its disk cannot be read, and is set aside");
                Ok(self.client.give_up(next, until))
            }
        };
        let chunk = match outcome {
            Ok(chunk) => chunk,
            Err(error) => {
                self.metrics.read_failed.add(1);
                tracing::warn!(%error, "tail_sampling cannot read from its disk, and tries again");
                let mut state = lock(&self.state);
                (state.is_reading, state.failures, state.roster) = (false, failures + 1, Some(roster));
                return;
            }
        };
        self.metrics.damaged(self.client.take_damage());
        let Some(chunk) = chunk else {
            Roster::forget(&self.rosters);
            let mut state = lock(&self.state);
            (state.is_done, state.is_reading) = (true, false);
            return;
        };
        self.metrics.lost.add(chunk.lost.items);
        let shards = lock(&self.state).parts.len();
        let mut dealt: Vec<(usize, Part)> = Vec::new();
        let mut foreign = None;
        for record in &chunk.records {
            match self.deal(record, &roster, shards, codec) {
                Ok(parts) => dealt.extend(parts),
                Err(unreadable) => {
                    self.metrics.unreadable.add(1);
                    self.metrics.lost.add(record.weight.items);
                    match unreadable {
                        Unreadable::Version(version) => foreign = Some((version, record.number)),
                        Unreadable::Damaged => self.client.mark(record.number, record.weight),
                    }
                }
            }
        }
        let mut next = chunk.next;
        if let Some((version, number)) = foreign {
            tracing::error!(
                version,
                known = VERSION,
                "spans that tail_sampling has left are of another version: set aside"
            );
            if let Some(rest) = self.client.give_up(number, until) {
                next = next.max(rest.next);
            }
            self.metrics.damaged(self.client.take_damage());
        }
        let mut state = lock(&self.state);
        for (shard, part) in dealt {
            state.parts[shard].push_back(part);
        }
        (state.next, state.failures, state.is_reading, state.roster) = (next, 0, false, Some(roster));
    }

    /// The parts of a block that still waits, by shard.
    fn deal(
        &self,
        record: &Record,
        roster: &Roster,
        shards: usize,
        codec: &mut Codec,
    ) -> Result<Vec<(usize, Part)>, Unreadable> {
        let block = codec.decode(&record.body)?;
        let mut requests = Vec::new();
        for shard in 0..shards {
            let is_wanted = |index: usize, waiting: &Waiting| {
                roster.waits(record.number, index) && shard_of(&waiting.id, shards as u64) == shard as u64
            };
            let (request, waiting) = block.request(is_wanted);
            if waiting.is_empty() {
                continue;
            }
            // Its checksum was right; what is in it is looked at all the same, as everything that comes from outside.
            let counts =
                check(Signal::Traces, &request, InvalidUtf8::Pass).map_err(|_| Unreadable::Damaged)?;
            let spans = counts.map(|counts| counts.items).ok_or(Unreadable::Damaged)?;
            requests.push((shard, request, spans as u64, waiting));
        }
        if requests.is_empty() {
            self.client.mark(record.number, record.weight);
        }
        let dealt = Arc::new(Dealt {
            client: self.client.clone(),
            number: record.number,
            weight: record.weight,
            left: AtomicUsize::new(requests.len()),
        });
        let part = |(shard, request, spans, waiting): (usize, Vec<u8>, u64, Vec<Waiting>)| {
            (shard, Part { request: request.into(), spans, waiting, block: dealt.clone() })
        };
        Ok(requests.into_iter().map(part).collect())
    }
}

/// Which records of which blocks still waited at an end.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Bits of records, by the number of their block.
    blocks: HashMap<u64, Vec<u64>>,
    /// It speaks of blocks below this number.
    until: u64,
}

impl Roster {
    pub(super) fn add(&mut self, block: u64, bits: Vec<u64>) {
        self.blocks.insert(block, bits);
    }

    fn waits(&self, block: u64, index: usize) -> bool {
        if block >= self.until {
            return true;
        }
        let bits = self.blocks.get(&block).and_then(|bits| bits.get(index / 64));
        bits.is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    pub(super) fn encode(&self, until: u64) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&until.to_le_bytes());
        for (block, bits) in &self.blocks {
            for long in [*block, bits.len() as u64].into_iter().chain(bits.iter().copied()) {
                out.extend_from_slice(&long.to_le_bytes());
            }
        }
        out
    }

    fn decode(&mut self, bytes: &[u8]) -> Option<()> {
        let preamble = [MAGIC, VERSION.to_le_bytes()].concat();
        let mut longs = bytes
            .strip_prefix(&preamble[..])?
            .chunks_exact(8)
            .map(|chunk| chunk.iter().rev().fold(0_u64, |long, byte| long << 8 | u64::from(*byte)));
        self.until = self.until.max(longs.next()?);
        while let Some(block) = longs.next() {
            let count = usize::try_from(longs.next()?).ok()?;
            let bits: Vec<u64> = longs.by_ref().take(count).collect();
            (bits.len() == count).then_some(())?;
            self.blocks.insert(block, bits);
        }
        Some(())
    }

    /// All that are in the log, together: each shard has written one. Without any, everything waits.
    fn read(client: &Client) -> Roster {
        let mut roster = Roster::default();
        let (_, until) = client.held_below();
        let mut next = 0;
        while let Ok(Some(chunk)) = client.read(next, until, Bytes::from) {
            for record in &chunk.records {
                if roster.decode(&record.body).is_none() {
                    tracing::warn!("a list of what waited cannot be read: what was let out may come again");
                    return Roster::default();
                }
            }
            next = chunk.next;
        }
        roster
    }

    /// What they speak of has been read.
    fn forget(client: &Arc<Client>) {
        let (_, until) = client.held_below();
        let mut next = 0;
        while let Ok(Some(chunk)) = client.read(next, until, Bytes::from) {
            chunk.records.iter().for_each(|record| client.mark(record.number, record.weight));
            next = chunk.next;
        }
    }
}

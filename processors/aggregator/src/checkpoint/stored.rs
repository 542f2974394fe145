//! A checkpoint in the log of a storage extension: a record for each part, and one that says that all are there. Then the records
//! of the state before it are done.
//!
//! Each record is checked by the log. Parts go there as they are collected, so that the log's thread has time for others in
//! between, and the state is never in memory twice.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use phoenix_storage::{Client, Entry, Weight};

use super::{MAGIC, Unreadable, VERSION, check_preamble, number_at};

/// Magic and version, what it is, the number of the state, and how many parts come before.
const HEADER: usize = MAGIC.len() + 4 + 4 + 8 + 8;
const PART: u32 = 0;
const END: u32 = 1;

/// The log, and what is in it.
pub(crate) struct Stored {
    client: Arc<Client>,
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    /// The number of the state that was begun last.
    begun: u64,
    /// Records that are not done.
    records: Vec<Record>,
}

#[derive(Clone, Copy)]
struct Record {
    state: u64,
    number: u64,
    weight: Weight,
}

/// A state that is being written.
pub(crate) struct Writing {
    stored: Arc<Stored>,
    state: u64,
    parts: u64,
    /// A part could not be written: the state will not be whole.
    has_failed: Arc<AtomicBool>,
}

impl Stored {
    pub(super) fn new(client: Arc<Client>) -> Stored {
        Stored { client, contents: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        self.client.name()
    }

    pub(super) fn is_same(&self, other: &Stored) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts of the last state that is whole.
    pub(super) fn read(&self) -> Result<Option<Vec<Bytes>>, Unreadable> {
        let mut contents = Contents::default();
        let (mut whole, mut problem, mut next) = (None, None, 0);
        let (mut state, mut parts) = (0, Vec::new());
        while let Some(chunk) = self.client.read(next, u64::MAX, Bytes::from)? {
            next = chunk.next;
            if chunk.lost.records > 0 {
                problem = Some(Unreadable::Damaged);
            }
            for record in chunk.records {
                if let Err(error) = check_preamble(&record.body) {
                    problem = Some(error);
                    continue;
                }
                let body = &record.body;
                let kind = body.get(12..16).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
                let (Some(kind), Some(of), Some(place)) = (kind, number_at(body, 16), number_at(body, 24))
                else {
                    problem = Some(Unreadable::Foreign);
                    continue;
                };
                let (number, weight) = (record.number, record.weight);
                contents.records.push(Record { state: of, number, weight });
                contents.begun = contents.begun.max(of);
                if of != state {
                    (state, parts) = (of, Vec::new());
                }
                // A part before it may be missing, where it was damaged.
                if kind == PART && place == parts.len() as u64 {
                    parts.push(record.body.slice(HEADER..));
                } else if kind == END && place == parts.len() as u64 {
                    (whole, problem) = (Some(std::mem::take(&mut parts)), None);
                }
            }
        }
        *self.contents() = contents;
        match (whole, problem) {
            // Of two states the later one may be of a later collector: then the older one is not the state.
            (_, Some(problem @ Unreadable::Version(_))) | (None, Some(problem)) => Err(problem),
            (whole, _) => Ok(whole),
        }
    }

    pub(super) fn begin(self: &Arc<Self>) -> Writing {
        let mut contents = self.contents();
        contents.begun += 1;
        Writing { stored: self.clone(), state: contents.begun, parts: 0, has_failed: Arc::default() }
    }
}

impl Writing {
    fn entry(&self, kind: u32, part: Vec<u8>) -> Entry {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&kind.to_le_bytes());
        header.extend_from_slice(&self.state.to_le_bytes());
        header.extend_from_slice(&self.parts.to_le_bytes());
        let weight = Weight::of(1, (HEADER + part.len()) as u64);
        Entry { weight, body: vec![Bytes::from(header), Bytes::from(part)] }
    }

    pub(super) fn push(&mut self, part: Vec<u8>) {
        let entry = self.entry(PART, part);
        self.parts += 1;
        let (weight, state) = (entry.weight, self.state);
        let (stored, has_failed) = (self.stored.clone(), self.has_failed.clone());
        self.stored.client.append(entry, move |outcome| match outcome {
            Ok(place) => stored.contents().records.push(Record { state, number: place.number, weight }),
            Err(_) => has_failed.store(true, Ordering::Release),
        });
    }

    pub(super) fn finish(self, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        let entry = self.entry(END, Vec::new());
        let (weight, state) = (entry.weight, self.state);
        let (stored, has_failed) = (self.stored.clone(), self.has_failed);
        self.stored.client.append(entry, move |outcome| {
            let has_failed = has_failed.load(Ordering::Acquire);
            let mut contents = stored.contents();
            if let Ok(place) = &outcome {
                contents.records.push(Record { state, number: place.number, weight });
            }
            // With a part missing it is the new one that goes, and the old one stays.
            let is_whole = outcome.is_ok() && !has_failed;
            let (gone, kept) = contents
                .records
                .drain(..)
                .partition::<Vec<_>, _>(|record| (record.state != state) == is_whole);
            contents.records = kept;
            drop(contents);
            gone.iter().for_each(|record| stored.client.mark(record.number, record.weight));
            done(match outcome {
                Ok(_) if has_failed => Err(io::Error::other("a part of it could not be written")),
                Ok(_) => Ok(()),
                Err(error) => Err(io::Error::other(error)),
            });
        });
    }
}

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::commit::{Answer, Commits};
use crate::{AppendError, Chunk, Damage, Entry, Log, Weight};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The log of one client of a directory, shared by the instances that follow each other.
pub struct Client {
    name: String,
    log: Mutex<Log>,
    commits: Arc<Commits>,
    reader: Arc<Semaphore>,
    /// One behind the last record that was answered for.
    answered: AtomicU64,
    /// Lets go of the directory after everything else.
    _store: Arc<dyn Send + Sync>,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub number: u64,
    /// One behind the record before it: the numbers in between are nobody's.
    pub after: u64,
    /// Where it begins in the file of its segment, for [`Client::read_one`].
    pub offset: u64,
}

/// The right to read a client's log: one at a time has it.
pub struct Claim(#[allow(dead_code, reason = "held, never asked")] OwnedSemaphorePermit);

impl Client {
    pub(crate) fn new(name: &str, log: Log, commits: Arc<Commits>, store: Arc<dyn Send + Sync>) -> Client {
        let (reader, answered) = (Arc::new(Semaphore::new(1)), AtomicU64::new(log.end()));
        Client { name: name.to_owned(), log: Mutex::new(log), commits, reader, answered, _store: store }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name in the directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is not done.
    pub fn held(&self) -> Weight {
        self.log().held()
    }

    /// What is not done, and one behind the last number that this covers.
    pub fn held_below(&self) -> (Weight, u64) {
        let log = self.log();
        (log.held(), log.end())
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.log().bytes()
    }

    /// What was damaged since the last call.
    pub fn take_damage(&self) -> Damage {
        self.log().take_damage()
    }

    /// Appends; `answer` is called by the thread of the directory, for one append after the other, with the place
    /// of the record. It must not block.
    pub fn append(
        self: &Arc<Self>,
        entry: Entry,
        answer: impl FnOnce(Result<Place, AppendError>) + Send + 'static,
    ) {
        self.commits.append(self.clone(), entry, Box::new(answer));
    }

    /// Notes that a record is done: it will not be read again, but after a crash that comes at once.
    pub fn mark(self: &Arc<Self>, number: u64, weight: Weight) {
        self.commits.mark(self.clone(), number, weight);
    }

    /// Calls back once everything that was handed over before is written; the thread of the directory does, so it must not
    /// block.
    pub fn when_written(&self, done: impl FnOnce() + Send + 'static) {
        self.commits.flush(Box::new(done));
    }

    /// Waits until everything that was handed over is written; a log of which all is done then takes no room.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        self.commits.flush(Box::new(move || {
            let _ = done.send(());
        }));
        // An error means that the store has ended: then everything is written.
        let _ = written.await;
        self.log().seal_if_done();
    }

    /// The right to read, if nobody has it.
    pub fn try_claim(&self) -> Option<Claim> {
        self.reader.clone().try_acquire_owned().ok().map(Claim)
    }

    /// The right to read, once nobody else has it.
    pub async fn claim(&self) -> Option<Claim> {
        self.reader.clone().acquire_owned().await.ok().map(Claim)
    }

    /// Reads the records from the number `from` on and below `until`, about a megabyte of them; none where
    /// there are no more. `own` makes shared bytes of the buffer. Blocks on the disk.
    ///
    /// # Errors
    /// Where the disk fails; see [`Client::give_up`].
    pub fn read(&self, from: u64, until: u64, own: impl Fn(Vec<u8>) -> Bytes) -> io::Result<Option<Chunk>> {
        let mut most = READ_BYTES;
        loop {
            let Some(plan) = self.log().plan_read(from, until, most) else { return Ok(None) };
            // The disk works without the lock: appends go on meanwhile.
            let bytes = match plan.load() {
                Ok(bytes) => own(bytes),
                // And so do marks: the last of its records may have been done.
                Err(_) if !self.log().has(&plan) => continue,
                Err(error) => return Err(error),
            };
            if let Some(chunk) = self.log().finish_read(&plan, &bytes) {
                return Ok(Some(chunk));
            }
            // A record that is larger, or damaged bytes. All of a segment is always enough.
            most = most.saturating_mul(8);
        }
    }

    /// Reads one record whose place an append told, with a body of `len` bytes, wherever it stands in the log. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// Where the disk fails, or the record is gone or damaged.
    pub fn read_one(&self, place: Place, len: usize) -> io::Result<Bytes> {
        let plan = self.log().plan_read_one(place.number, place.offset, len);
        let plan = plan.ok_or(io::ErrorKind::NotFound)?;
        let bytes = Bytes::from(plan.load()?);
        plan.only_record(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Gives up on the segment that [`Client::read`] cannot read: it is set aside, and what of it is not done
    /// is lost.
    pub fn give_up(&self, from: u64, until: u64) -> Option<Chunk> {
        let mut log = self.log();
        let plan = log.plan_read(from, until, 0)?;
        Some(log.give_up(&plan))
    }

    pub(crate) fn write(&self, appends: Vec<(Entry, Answer)>) {
        let (entries, answers): (Vec<Entry>, Vec<Answer>) = appends.into_iter().unzip();
        let outcomes = self.log().append_at(&entries);
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Only the thread that writes comes here.
            let outcome = outcome.map(|(number, offset)| Place {
                after: self.answered.swap(number + 1, Ordering::Relaxed),
                number,
                offset,
            });
            // One that panics must not end the thread that writes for everybody.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer(outcome)));
        }
    }

    pub(crate) fn write_marks(&self, marks: &[(u64, Weight)]) {
        if let Err(error) = self.log().mark(marks) {
            tracing::warn!(
                client = self.name,
                %error,
                "cannot note what has been delivered; it will be sent again after a restart"
            );
        }
    }
}

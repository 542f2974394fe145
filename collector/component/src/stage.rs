//! Components that hold state over time: batching, tail sampling, aggregation.
//!
//! A stage has two halves. [`Partition::prepare`] runs inline in the sender's task and names the shard of
//! each fragment; it may refuse, and then nothing has changed. [`Stage`] is one shard: plain synchronous
//! code with the time handed in, which owns no task, no channel and no clock.
//!
//! A stage is an ownership boundary. The engine reserves room on every shard that a request touches
//! before it hands over the first fragment, so a refusal leaves no half; once a fragment was ingested
//! it belongs to the collector, and what comes out is retried by the engine under the budget, never by
//! the sender. So a client's retry is never counted twice.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Ack, Batch, Refusal};

/// The time of a call, handed in by the engine; tests hand in what they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since an arbitrary start; never runs backwards. For timeouts.
    pub monotonic: Duration,
    /// Unix time in nanoseconds; may jump. For timestamps.
    pub unix_nanos: u64,
}

/// Data on its way into a shard, with the handle to say how it ended.
#[derive(Debug)]
pub struct Fragment {
    /// The data.
    pub batch: Batch,
    /// Who waits for it, if anybody.
    pub ack: Ack,
}

/// The inline half of a stage.
pub trait Partition: Send + Sync {
    /// Hands each fragment of `batch` to `emit` with the key of its shard: equal keys meet in one shard
    /// for as long as the number of shards stays.
    ///
    /// # Errors
    /// Why the batch cannot be taken at all; then nothing that was emitted is used.
    fn prepare(&self, batch: Batch, emit: &mut dyn FnMut(u64, Batch)) -> Result<(), Refusal>;
}

/// The partition of a stage with one shard: everything goes there whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unpartitioned;

impl Partition for Unpartitioned {
    fn prepare(&self, batch: Batch, emit: &mut dyn FnMut(u64, Batch)) -> Result<(), Refusal> {
        emit(0, batch);
        Ok(())
    }
}

/// What is held inside a component at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Spans, data points or log records.
    pub items: u64,
    /// Bytes.
    pub bytes: usize,
}

/// Whether a drain has more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything is out.
    Done,
    /// The output was full; call again.
    More,
}

/// What became of a predecessor's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "lost")]
pub enum Adoption {
    /// All of it goes on here.
    Kept,
    /// Some of it goes on here; the text says what is lost.
    Partly(String),
    /// None of it: the predecessor drains by itself.
    Rebuilt,
}

/// One shard of a stateful component. The engine calls it from one thread at a time.
///
/// Every call may put batches into `out` and should stop when [`Output::is_full`]; what is left stays
/// inside, and [`Stage::wake_at`] says when to come back (at once, where the output was full).
pub trait Stage: Send + Any {
    /// Takes a fragment. It cannot be refused any more: room was reserved before.
    fn ingest(&mut self, fragment: Fragment, now: Now, out: &mut Output);

    /// Does what is due at `now`.
    fn tick(&mut self, now: Now, out: &mut Output);

    /// Little is won by waiting for more: at least half of the requests that the collector has admitted wait
    /// in open batches, and few others can come before some of it is delivered. Only called where somebody
    /// waits.
    fn all_wait(&mut self, _now: Now, _out: &mut Output) {}

    /// Lets go of everything, since no more is to come.
    fn drain(&mut self, now: Now, out: &mut Output) -> Drained;

    /// The monotonic time at which `tick` is wanted next; none while there is nothing to wait for.
    fn wake_at(&self) -> Option<Duration>;

    /// What is inside now.
    fn held(&self) -> Held;

    /// Whether what it holds goes out once there is enough of it, as in a batch: then what is held tells how much is behind
    /// what the backend takes. Data that waits for its time says nothing of that.
    fn fills_up(&self) -> bool {
        true
    }

    /// Takes over the state of the shard that stood here under the former configuration. What it cannot
    /// use it must leave in `old` for that to drain.
    fn adopt(&mut self, _old: &mut dyn Stage) -> Adoption {
        Adoption::Rebuilt
    }

    /// For [`Stage::adopt`] of a successor.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// What a stage lets out during one call, and what became of the rest.
#[derive(Debug)]
pub struct Output {
    room: usize,
    batches: Vec<Fragment>,
    dropped: Vec<(&'static str, u64)>,
    absorbed: u64,
    produced: u64,
}

impl Output {
    /// An output that takes `room` batches before it is full.
    pub fn with_room(room: usize) -> Output {
        Output { room, batches: Vec::new(), dropped: Vec::new(), absorbed: 0, produced: 0 }
    }

    /// Whether the stage should stop and wait to be called again.
    pub fn is_full(&self) -> bool {
        self.batches.len() >= self.room
    }

    /// Lets a batch out. It is taken even when full: a stage may exceed the room by one call's work.
    pub fn send(&mut self, batch: Batch, ack: Ack) {
        self.batches.push(Fragment { batch, ack });
    }

    /// Records items that end here for `reason`, for example `sampled_out`.
    pub fn dropped(&mut self, reason: &'static str, items: u64) {
        self.dropped.push((reason, items));
    }

    /// Records items that went into others: an aggregate keeps them, though not as such.
    pub fn absorbed(&mut self, items: u64) {
        self.absorbed += items;
    }

    /// Records items that came into being here.
    pub fn produced(&mut self, items: u64) {
        self.produced += items;
    }

    /// The batches, in order.
    pub fn take_batches(&mut self) -> Vec<Fragment> {
        std::mem::take(&mut self.batches)
    }

    /// Items dropped so far, by reason.
    pub fn take_dropped(&mut self) -> Vec<(&'static str, u64)> {
        std::mem::take(&mut self.dropped)
    }

    /// Items absorbed and produced so far.
    pub fn take_transformed(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.absorbed), std::mem::take(&mut self.produced))
    }
}

/// When a sender hears that its data is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// As soon as the bytes are held.
    #[default]
    Held,
    /// When they were delivered.
    Delivered,
    /// When the stage resolves their handle, which it does soon, by itself: nothing waits in open batches for others.
    Resolved,
}

/// A stateful processor or connector as its factory makes it.
pub struct StageSpec {
    /// The inline half.
    pub partition: Arc<dyn Partition>,
    /// The shards, at least one.
    pub shards: Vec<Box<dyn Stage>>,
    /// When senders are answered.
    pub acknowledge: Acknowledge,
}

//! What a component is to the engine.

use std::any::Any;
use std::time::Duration;

use phoenix_config::PipelineId;
use phoenix_pdata::{Codings, Signal};
use tokio::time::Instant;

use crate::{Adoption, Batch, BoxFuture, Forwards, Held, Host, Now, Outlet, Refusal, StageSpec};

/// A component cannot start: what is wrong, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// With all causes, so that whoever prints a chain of sources does not say them twice.
    message: String,
}

impl StartError {
    /// An error with a text for the operator.
    pub fn new(message: impl Into<String>) -> StartError {
        StartError { message: message.into() }
    }

    /// An error whose cause says what is wrong.
    pub fn because(error: impl std::error::Error) -> StartError {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        StartError { message }
    }
}

/// What could not be delivered before a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Spans, data points or log records.
    pub items: u64,
    /// Requests or batches.
    pub requests: u64,
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, other: Lost) {
        self.items += other.items;
        self.requests += other.requests;
    }
}

/// Brings data in. One instance per identifier serves all its signals.
///
/// The engine first calls `bind`, while an earlier graph may still run, and `serve` once the new graph
/// is in place; either may be followed by `stop`.
pub trait Receiver: Send + Sync {
    /// Acquires what intake needs (leases, files, credentials), so that nothing can fail afterwards.
    fn bind<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>>;

    /// Takes over listeners and open connections of the receiver of the former configuration, as far as
    /// the settings allow; called before `serve`. What it does not take `old` ends when it is stopped.
    fn adopt(&self, _old: &dyn Receiver, _host: &Host) -> Adoption {
        Adoption::Rebuilt
    }

    /// Begins intake.
    fn serve(&self, host: &Host);

    /// Stops intake, lets requests under way finish until `deadline`, and says how many were cut off.
    fn stop(&self, deadline: Instant) -> BoxFuture<'_, Lost>;

    /// For `adopt` of a successor.
    fn as_any(&self) -> &dyn Any;
}

/// Changes or judges batches one by one, without memory of earlier ones.
pub trait Transform: Send + Sync {
    /// The batch as it goes on, or none where nothing of it is left. What it leaves out it records in
    /// `dropped`, by reason.
    ///
    /// # Errors
    /// Why the batch cannot pass.
    fn apply(&self, batch: Batch, dropped: &mut Dropped) -> Result<Option<Batch>, Refusal>;

    /// Whether it looks into payloads, as most do. Requests that came compressed may stay so on their way to
    /// an exporter that wants them as they came, where no transform between says yes.
    fn looks_inside(&self) -> bool {
        true
    }

    /// How often `check` is wanted, where it is.
    fn check_interval(&self) -> Option<Duration> {
        None
    }

    /// Looks after whatever changes with time.
    fn check(&self, _now: Now) {}

    /// The most bytes that the collector should hold by this component's settings.
    fn memory_limit(&self) -> Option<usize> {
        None
    }
}

impl<T: Transform + ?Sized> Transform for std::sync::Arc<T> {
    fn apply(&self, batch: Batch, dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        (**self).apply(batch, dropped)
    }

    fn looks_inside(&self) -> bool {
        (**self).looks_inside()
    }

    fn check_interval(&self) -> Option<Duration> {
        (**self).check_interval()
    }

    fn check(&self, now: Now) {
        (**self).check(now);
    }

    fn memory_limit(&self) -> Option<usize> {
        (**self).memory_limit()
    }
}

/// Items that a transform left out, by reason; and those that it made, or made one of.
#[derive(Debug, Default)]
pub struct Dropped {
    by_reason: Vec<(&'static str, u64)>,
    absorbed: u64,
    produced: u64,
}

impl Dropped {
    /// Records `items` that end here for `reason`.
    pub fn add(&mut self, reason: &'static str, items: u64) {
        self.by_reason.push((reason, items));
    }

    /// Records that `before` items became `after`.
    pub fn transformed(&mut self, before: u64, after: u64) {
        self.absorbed += before.saturating_sub(after);
        self.produced += after.saturating_sub(before);
    }

    /// What was left out since the last call.
    pub fn take(&mut self) -> std::vec::Drain<'_, (&'static str, u64)> {
        self.by_reason.drain(..)
    }

    /// Items absorbed into others and items that came into being, since the last call.
    pub fn take_transformed(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.absorbed), std::mem::take(&mut self.produced))
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.by_reason.is_empty() && self.absorbed == 0 && self.produced == 0
    }
}

/// A processor as its factory makes it.
pub enum Processor {
    /// Stateless, inline.
    Transform(std::sync::Arc<dyn Transform>),
    /// Stateful, run in shards.
    Stage(StageSpec),
}

/// Sends data out. One instance per identifier and signal, shared by all pipelines that name it.
pub trait Exporter: Send + Sync {
    /// Acquires what sending needs; called before any data comes.
    fn start<'a>(&'a self, _host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async { Ok(()) })
    }

    /// Takes a batch: delivered when this returns, or owned from then on (see `owns_accepted`).
    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Whether accepting is a commitment: with a queue, data is accepted before it is delivered. In a
    /// fan-out such branches are asked last, so that a retry of the sender repeats as little as possible.
    fn owns_accepted(&self) -> bool {
        false
    }

    /// The codings in which it sends on what came compressed ([`Payload::encoded`]), without a look inside.
    ///
    /// [`Payload::encoded`]: phoenix_pdata::Payload::encoded
    fn forwards(&self) -> Codings {
        Codings::NONE
    }

    /// What is accepted and not yet delivered.
    fn held(&self) -> Held {
        Held::default()
    }

    /// Takes over what the exporter of the former configuration holds.
    fn adopt(&self, _old: &dyn Exporter) -> Adoption {
        Adoption::Rebuilt
    }

    /// Delivers what is held until `deadline`, and says what could not be.
    fn drain(&self, deadline: Instant) -> BoxFuture<'_, Lost>;

    /// For `adopt` of a successor.
    fn as_any(&self) -> &dyn Any;
}

/// The pipelines that a connector feeds.
#[derive(Clone, Debug)]
pub struct ConnectorOutlets {
    /// All of them at once.
    pub all: Outlet,
    /// Each by its name, for connectors that choose.
    pub by_pipeline: Vec<(PipelineId, Outlet)>,
}

/// Exporter of some pipelines and receiver of others, without memory of earlier batches.
pub trait ConnectorFlow: Send + Sync {
    /// Takes a batch and sends on what comes of it.
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>>;

    /// What is wanted as it came, by one that sends on without a look inside: what its outlets want.
    fn forwards(&self) -> Forwards {
        Forwards::NOTHING
    }
}

/// A connector as its factory makes it.
pub enum Connector {
    /// Stateless, inline.
    Flow(std::sync::Arc<dyn ConnectorFlow>),
    /// With a queue: it takes data, holds it and ends as an exporter does, and delivers to its outlets.
    Queue(std::sync::Arc<dyn Exporter>),
    /// Stateful, run in shards; what comes out carries `output`.
    Stage {
        /// The stage.
        spec: StageSpec,
        /// The signal of what it lets out.
        output: Signal,
    },
}

/// Something beside the pipelines: health, storage, authentication.
pub trait Extension: Send + Sync {
    /// Starts it, before any component of a pipeline.
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>>;

    /// The most bytes that the collector should hold by this extension's settings.
    fn memory_limit(&self) -> Option<usize> {
        None
    }

    /// The pipelines run now, or (false) are about to stop.
    fn pipelines_ready(&self, _ready: bool) {}

    /// Stops it, after every component of a pipeline.
    fn stop(&self, deadline: Instant) -> BoxFuture<'_, ()>;
}

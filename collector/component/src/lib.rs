//! The contracts between the engine and the components, and what both are built on.
//!
//! - **Data**: a [`Batch`] is a validated request and a small header. It is taken or refused
//!   ([`Refusal`]); the answer travels back by return, or, where data is held, through an [`Ack`].
//! - **Components**: [`Receiver`], [`Transform`], [`Stage`], [`Exporter`], [`ConnectorFlow`] and
//!   [`Extension`], made by factories ([`factory`]) from parsed settings.
//! - **The host**: the [`Budget`] of bytes, the [`Cores`] with an I/O runtime each, the [`Leases`] of
//!   ports, [`Health`].
//!
//! A component sees neither the engine nor any other component.

mod ack;
mod adjustments;
mod admin_endpoint;
mod admission;
pub mod auth;
mod batch;
mod budget;
pub mod buffers;
mod capabilities;
mod change;
mod collector;
mod contracts;
mod cores;
pub mod cpu;
mod decisions;
pub mod exporter_counts;
mod factories;
pub mod factory;
pub mod files;
mod forwards;
pub mod harness;
mod health;
mod host;
mod leases;
mod legacy;
pub mod limiter;
mod memory;
mod outlet;
mod publication;
mod refusal;
mod sampling_policies;
mod savings;
mod stage;
mod taps;
mod touch;

pub use ack::{Ack, AckWait};
pub use adjustments::{Adjustment, AdjustmentBook};
pub use admin_endpoint::AdminEndpoint;
pub use admission::{Arrival, ClientKey, RequestLimiter};
pub use batch::{Batch, ClientInfo};
pub use budget::{Budget, Charge};
pub use capabilities::{Capabilities, Offer};
pub use change::{Change, Changes, Closing, ComponentChange, PipelineChanges, StateFate};
pub use collector::{
    ApplyAnswer, ApplyConditions, ChangeError, Collector, CollectorHandle, ComponentAdoption, ComponentBook,
    ComponentLoss, ComponentStatus, ConfigRequest, ConfigSource, DrainReport, DrainState, EffectiveConfig,
    FeatureGate, LogLevel, LogLevelState, OutsideSigns, PipelineStatus, PlanAnswer, TelemetryDestination,
    TelemetryDestinations,
};
pub use contracts::{
    Connector, ConnectorFlow, ConnectorOutlets, Dropped, Exporter, Extension, Lost, Processor, Receiver,
    StartError, Transform,
};
pub use cores::{ConnectionGuard, Core, CoreThreads, Cores};
pub use decisions::{DecisionBook, TraceDecision, trace_id};
pub use forwards::Forwards;
pub use health::{ComponentKey, Health, Status, StatusReporter, StatusSince};
pub use host::{BuildInfo, Host};
pub use leases::{Acceptor, LeaseError, Leases, ListenerLease};
pub use legacy::ignored_types;
pub use memory::{FakeMemory, MemoryReader, SystemMemory};
pub use outlet::{BoxFuture, Consumer, Outlet, Outlets};
pub use publication::{Publication, Slot};
pub use refusal::{Code, Refusal, UpstreamStatus};
pub use sampling_policies::{ObservedSpan, ObservedTrace, SamplingPolicies, SamplingPolicy, SamplingVote};
pub use savings::{InOut, RuleSavings, Savings, SavingsBook};
pub use stage::{
    Acknowledge, Adoption, Drained, Fragment, Held, Now, Output, Partition, Stage, StageSpec, Unpartitioned,
};
pub use taps::{Listening, Tap, TapPlace, TapPoint};
pub use touch::{Action, Outcome, Touch};

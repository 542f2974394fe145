//! Policies for tail sampling that extensions offer.
//!
//! A policy whose `type` is the identifier of an extension is that extension's: the extension is asked for it by
//! name, with what the configuration has below the key of that identifier. An extension offers itself by a
//! [`Publication`](crate::Publication) of this trait.
//!
//! Spans are not kept for a policy to read again: it sees each as it comes, and notes one number for the trace, with
//! which it decides when the trace is due.
//!
//! An extension whose policies keep the traces of some customers; its factory says
//! `offers: |_| vec![Capability::SamplingPolicies]`:
//!
//! ```
//! use std::any::Any;
//! use std::sync::Arc;
//!
//! use phoenix_component::factory::CreateContext;
//! use phoenix_component::{
//!     BoxFuture, Extension, Host, ObservedSpan, ObservedTrace, Publication, SamplingPolicies, SamplingPolicy,
//!     SamplingVote, Slot, StartError,
//! };
//! use phoenix_config::Kind;
//! use phoenix_pdata::view::AnyValue;
//! use serde_json::Value;
//!
//! struct Customers(Vec<String>);
//!
//! impl SamplingPolicy for Customers {
//!     fn observe(&self, span: &ObservedSpan<'_>, note: &mut u64) {
//!         if let Some(AnyValue::String(id)) = span.span.attributes().get("customer.id") {
//!             *note |= u64::from(self.0.iter().any(|customer| customer.as_bytes() == id.as_bytes()));
//!         }
//!     }
//!
//!     fn decide(&self, trace: &ObservedTrace<'_>) -> SamplingVote {
//!         if trace.note > 0 { SamplingVote::Sampled } else { SamplingVote::NotSampled }
//!     }
//!
//!     fn is_condition(&self) -> bool {
//!         true
//!     }
//!
//!     fn as_any(&self) -> &dyn Any {
//!         self
//!     }
//! }
//!
//! struct Offered;
//!
//! impl SamplingPolicies for Offered {
//!     /// `{name: vip, type: customers, customers: {ids: [a, b]}}`
//!     fn policy(&self, _name: &str, settings: &Value) -> Result<Box<dyn SamplingPolicy>, String> {
//!         let ids = serde_json::from_value(settings["ids"].clone()).map_err(|error| error.to_string())?;
//!         Ok(Box::new(Customers(ids)))
//!     }
//! }
//!
//! struct CustomersExtension(Publication<dyn SamplingPolicies>);
//!
//! impl CustomersExtension {
//!     fn new(cx: &CreateContext<'_>) -> CustomersExtension {
//!         let slot = cx.shared.get_or_make(Kind::Extension, cx.id, Slot::default);
//!         CustomersExtension(Publication::new(cx.id, slot, Arc::new(Offered)))
//!     }
//! }
//!
//! impl Extension for CustomersExtension {
//!     fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
//!         self.0.start(host);
//!         Box::pin(async { Ok(()) })
//!     }
//!
//!     fn pipelines_ready(&self, ready: bool) {
//!         self.0.pipelines_ready(ready);
//!     }
//!
//!     fn stop(&self, _deadline: tokio::time::Instant) -> BoxFuture<'_, ()> {
//!         self.0.stop();
//!         Box::pin(async {})
//!     }
//! }
//! ```

use std::any::Any;
use std::time::Duration;

use phoenix_pdata::view::{ResourceSpans, ScopeSpans, Span};
use serde_json::Value;

/// Makes policies.
pub trait SamplingPolicies: Send + Sync {
    /// The policy that is called `name`, with its settings: null where nothing is written. All shards of a processor, which
    /// work in parallel, share it.
    ///
    /// # Errors
    /// What is wrong with the settings: the processor does not start then.
    fn policy(&self, name: &str, settings: &Value) -> Result<Box<dyn SamplingPolicy>, String>;
}

/// Decides about traces.
pub trait SamplingPolicy: Send + Sync {
    /// Looks at a span as it comes. `note` is what the policy has noted for the span's trace: 0 at first. Spans come in any
    /// order, and each once; after a restart those of a trace that waited on disk come again, with 0 as the note.
    fn observe(&self, _span: &ObservedSpan<'_>, _note: &mut u64) {}

    /// The vote about a trace that is due.
    fn decide(&self, trace: &ObservedTrace<'_>) -> SamplingVote;

    /// Whether it goes by what a trace is alone: neither by chance nor by what came before. Then a trace that it keeps stands
    /// for itself; otherwise nobody knows for how many it stands, and nothing is written.
    fn is_condition(&self) -> bool {
        false
    }

    /// Goes on with the state of the policy of this name, before the settings of it or of its extension changed.
    fn adopt(&self, _old: &dyn SamplingPolicy) {}

    /// For [`SamplingPolicy::adopt`] of a successor.
    fn as_any(&self) -> &dyn Any;
}

/// A span, and what it stands in.
#[derive(Debug)]
pub struct ObservedSpan<'a> {
    /// Its resource, with all scopes that came with that.
    pub resource: ResourceSpans<'a>,
    /// Its scope, with all spans that came with that.
    pub scope: ScopeSpans<'a>,
    /// The span.
    pub span: Span<'a>,
}

/// A trace that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedTrace<'a> {
    /// Its identifier; zeros for spans without one.
    pub id: &'a [u8; 16],
    /// Spans that came.
    pub spans: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// From the first start to the last end, in nanoseconds; negative where clocks are wrong.
    pub duration_nanos: i128,
    /// A span without a parent came.
    pub has_root: bool,
    /// A span with status error came.
    pub has_error: bool,
    /// What the policy has noted.
    pub note: u64,
    /// The time of the decision: monotonic, and Unix time in nanoseconds.
    pub now: (Duration, u64),
}

/// What such a policy says about a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SamplingVote {
    /// Keep it.
    Sampled,
    /// No reason to keep it.
    NotSampled,
    /// Drop it, whatever others say.
    Dropped,
    /// It cannot tell, and why: this is counted, and has no part in the decision.
    Failed(String),
}

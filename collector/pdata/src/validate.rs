//! The door: nothing becomes a [`Payload`] from outside without having been scanned once.
//!
//! What [`validate`] accepts is what a protobuf decoder for these messages accepts, with three
//! differences: identifiers have their length or none (as in otelcol), text is judged by policy, and
//! values nest at most [`MAX_DEPTH`] deep.
//!
//! What it gives holds two invariants that everything else in this crate relies on:
//! - it decodes, at every level;
//! - a message that is not `repeated` occurs at most once, and so does a oneof whose members are, or may
//!   be, messages. Protobuf would have a reader merge them. Nobody writes such requests, so the rare one
//!   is rewritten here instead of being minded everywhere.

pub(crate) mod diagnose;
mod rewrite;
mod scan;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

use crate::{Payload, Signal};
use scan::Scan;

pub use crate::wire::MAX_DEPTH;

/// What to do about text that is not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InvalidUtf8 {
    /// Do not look, as otelcol does.
    #[default]
    Pass,
    /// Put U+FFFD in the place of what is invalid; the request is copied if there is any.
    Repair,
    /// Refuse the request.
    Reject,
}

impl InvalidUtf8 {
    /// Every policy.
    pub const ALL: [InvalidUtf8; 3] = [InvalidUtf8::Pass, InvalidUtf8::Repair, InvalidUtf8::Reject];

    /// The name in configurations: `pass`, `repair` or `reject`.
    pub const fn name(self) -> &'static str {
        match self {
            InvalidUtf8::Pass => "pass",
            InvalidUtf8::Repair => "repair",
            InvalidUtf8::Reject => "reject",
        }
    }

    /// The policy that `name` denotes in a configuration.
    pub fn from_name(name: &str) -> Option<InvalidUtf8> {
        InvalidUtf8::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

/// What a request holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Spans, log records or data points.
    pub items: u64,
    /// Bytes of the payload, after a rewrite if there was one.
    pub bytes: u64,
    /// Entries with a resource.
    pub resources: u64,
    /// Entries with a scope, over all resources.
    pub scopes: u64,
    /// Metrics, each with any number of data points; zero for other signals.
    pub metrics: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.items += other.items;
        self.bytes += other.bytes;
        self.resources += other.resources;
        self.scopes += other.scopes;
        self.metrics += other.metrics;
    }
}

/// Why a request was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{} at byte {offset}: {reason}", Named(.field))]
pub struct Malformed {
    /// The message that is malformed, for example `span event`.
    pub message: &'static str,
    /// Its field, if it is one that OTLP knows.
    pub field: Option<&'static str>,
    /// Where in the request: the first byte of the field, or of the invalid text.
    pub offset: usize,
    /// What is wrong.
    pub reason: Reason,
}

struct Named<'a>(&'a Option<&'static str>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

/// What is wrong with a malformed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A value or key goes beyond the end of its message.
    #[error("goes beyond the end of its message")]
    Truncated,
    /// A varint has more than ten bytes or 64 bits, or a key more than 32.
    #[error("integer is too long")]
    Overlong,
    /// A field has the number 0.
    #[error("field number 0")]
    FieldZero,
    /// A key has a wire type that does not exist.
    #[error("unknown wire type {0}")]
    UnknownWireType(u8),
    /// A field that OTLP knows has another wire type.
    #[error("wire type {found} instead of {expected}")]
    WireType {
        /// The wire type of the field in OTLP.
        expected: u8,
        /// The one that it had.
        found: u8,
    },
    /// A group ends that did not start, or under another number.
    #[error("group ends that did not start")]
    Group,
    /// More than [`MAX_DEPTH`] messages within each other.
    #[error("nested deeper than {MAX_DEPTH} messages")]
    TooDeep,
    /// A trace identifier that has neither 16 bytes nor none.
    #[error("invalid length for TraceID: {0} bytes")]
    TraceId(usize),
    /// A span identifier that has neither 8 bytes nor none.
    #[error("invalid length for SpanID: {0} bytes")]
    SpanId(usize),
    /// Packed numbers of eight bytes whose length is no multiple of eight.
    #[error("packed numbers end halfway")]
    Packed,
    /// Text that is not UTF-8, where that is refused.
    #[error("text is not UTF-8")]
    Utf8,
}

/// Checks the structure of a request in one pass and counts what is in it.
///
/// Unknown fields are accepted and stay. Shares `bytes`, unless the request has to be rewritten
/// (invalid text under [`InvalidUtf8::Repair`], or a message repeated that is not `repeated`): then it is
/// copied, and grows to at most three times its size. An empty request is valid.
///
/// # Errors
/// If the bytes are not a request of this signal, or hold text that the policy refuses.
pub fn validate(signal: Signal, bytes: Bytes, policy: InvalidUtf8) -> Result<(Payload, Counts), Malformed> {
    match policy {
        InvalidUtf8::Pass => run::<false>(signal, bytes, policy),
        InvalidUtf8::Repair | InvalidUtf8::Reject => run::<true>(signal, bytes, policy),
    }
}

/// Checks a request like [`validate()`] and leaves it where it is. None where it is valid and
/// [`validate()`] would rewrite it.
///
/// # Errors
/// If the bytes are not a request of this signal, or hold text that the policy refuses.
pub fn check(signal: Signal, bytes: &[u8], policy: InvalidUtf8) -> Result<Option<Counts>, Malformed> {
    match policy {
        InvalidUtf8::Pass => scanned::<false>(signal, bytes, policy),
        InvalidUtf8::Repair | InvalidUtf8::Reject => scanned::<true>(signal, bytes, policy),
    }
}

fn run<const TEXT: bool>(
    signal: Signal,
    bytes: Bytes,
    policy: InvalidUtf8,
) -> Result<(Payload, Counts), Malformed> {
    match scanned::<TEXT>(signal, &bytes, policy)? {
        Some(counts) => Ok((Payload::from(bytes), counts)),
        None => rewritten(signal, &bytes, policy == InvalidUtf8::Repair),
    }
}

/// What is in the request; none where it has to be rewritten.
#[inline(always)]
fn scanned<const TEXT: bool>(
    signal: Signal,
    bytes: &[u8],
    policy: InvalidUtf8,
) -> Result<Option<Counts>, Malformed> {
    let repair = policy == InvalidUtf8::Repair;
    let mut scan = Scan::<TEXT> { counts: Counts::default(), repair, rewrite: false };
    if scan.request(signal, bytes).is_none() {
        return Err(diagnose::diagnose(signal, bytes, TEXT && !repair));
    }
    let counts = Counts { bytes: bytes.len() as u64, ..scan.counts };
    Ok((!scan.rewrite).then_some(counts))
}

#[cold]
fn rewritten(signal: Signal, bytes: &[u8], repair: bool) -> Result<(Payload, Counts), Malformed> {
    let bytes = Bytes::from(rewrite::rewrite(signal, bytes, repair));
    let mut scan = Scan::<false> { counts: Counts::default(), repair: false, rewrite: false };
    if scan.request(signal, &bytes).is_none() {
        debug_assert!(false, "a rewrite broke a valid request");
        return Err(diagnose::diagnose(signal, &bytes, false));
    }
    let counts = Counts { bytes: bytes.len() as u64, ..scan.counts };
    Ok((Payload::from(bytes), counts))
}

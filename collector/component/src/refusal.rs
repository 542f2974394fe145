//! Why data was not taken, in the terms that every protocol and every queue understands.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// A gRPC status code, by its number (<https://grpc.io/docs/guides/status-codes/>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

impl Code {
    /// Success.
    pub const OK: Code = Code(0);
    /// The caller gave up.
    pub const CANCELLED: Code = Code(1);
    /// Not known, or not a status at all.
    pub const UNKNOWN: Code = Code(2);
    /// Malformed data; sending it again cannot help.
    pub const INVALID_ARGUMENT: Code = Code(3);
    /// The deadline passed first.
    pub const DEADLINE_EXCEEDED: Code = Code(4);
    /// No such thing.
    pub const NOT_FOUND: Code = Code(5);
    /// Authenticated, and not allowed.
    pub const PERMISSION_DENIED: Code = Code(7);
    /// A limit is reached.
    pub const RESOURCE_EXHAUSTED: Code = Code(8);
    /// Aborted, typically by a conflict.
    pub const ABORTED: Code = Code(10);
    /// Outside the valid range.
    pub const OUT_OF_RANGE: Code = Code(11);
    /// No such method.
    pub const UNIMPLEMENTED: Code = Code(12);
    /// A permanent failure of the server.
    pub const INTERNAL: Code = Code(13);
    /// Try again.
    pub const UNAVAILABLE: Code = Code(14);
    /// Data were lost.
    pub const DATA_LOSS: Code = Code(15);
    /// No valid credentials.
    pub const UNAUTHENTICATED: Code = Code(16);

    /// The name that gRPC libraries print, for example `Unavailable`.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "OK",
            1 => "Canceled",
            3 => "InvalidArgument",
            4 => "DeadlineExceeded",
            5 => "NotFound",
            6 => "AlreadyExists",
            7 => "PermissionDenied",
            8 => "ResourceExhausted",
            9 => "FailedPrecondition",
            10 => "Aborted",
            11 => "OutOfRange",
            12 => "Unimplemented",
            13 => "Internal",
            14 => "Unavailable",
            15 => "DataLoss",
            16 => "Unauthenticated",
            _ => "Unknown",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Data were not taken: whether trying again may help, after how long, and what to tell the sender.
///
/// It travels back by return from wherever it arose to the receiver, which maps it to its protocol, or
/// to the queue or stage that owns the data, which retries or gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    retryable: bool,
    delay: Option<Duration>,
    reason: &'static str,
    message: Cow<'static, str>,
    status: Option<Box<UpstreamStatus>>,
}

/// The status that a backend answered with, to be relayed to the sender as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Its code.
    pub code: Code,
    /// The serialized `google.rpc.Status`, or nothing.
    pub details: Bytes,
}

impl Refusal {
    /// Trying again cannot help. `reason` is the label under which it is counted, for example `malformed`.
    pub fn permanent(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { retryable: false, delay: None, reason, message: message.into(), status: None }
    }

    /// Trying again later may help.
    pub fn retryable(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { retryable: true, ..Refusal::permanent(reason, message) }
    }

    /// The sender should wait at least `delay` before it tries again.
    pub fn after(mut self, delay: Duration) -> Refusal {
        self.delay = Some(delay);
        self
    }

    /// The status that caused this, which receivers pass on verbatim.
    pub fn with_status(mut self, code: Code, details: Bytes) -> Refusal {
        self.status = Some(Box::new(UpstreamStatus { code, details }));
        self
    }

    /// Whether trying again may help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The least time to wait before trying again, where one is known.
    pub fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// The label under which the refusal is counted.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the backend said, where it was a backend that refused.
    pub fn status(&self) -> Option<&UpstreamStatus> {
        self.status.as_deref()
    }

    /// The gRPC code for the sender: the backend's own, else Unavailable or Internal as otelcol answers.
    pub fn code(&self) -> Code {
        match (&self.status, self.retryable) {
            (Some(status), _) => status.code,
            (None, true) => Code::UNAVAILABLE,
            (None, false) => Code::INTERNAL,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

use std::time::{Duration, Instant, SystemTime};

use super::{SpanContext, Tracer};
use crate::logs::Value;

/// On which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Neither.
    Internal,
    /// It answers.
    Server,
    /// It asks.
    Client,
}

/// A piece of work that is under way. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    pub(super) tracer: Tracer,
    pub(super) context: SpanContext,
    pub(super) parent: Option<SpanContext>,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) started: SystemTime,
    pub(super) began: Instant,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) left_out: u32,
    pub(super) error: Option<String>,
}

/// A piece of work that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedSpan {
    /// What was done.
    pub name: String,
    /// On which side of a call.
    pub kind: Kind,
    /// Where it stood.
    pub context: SpanContext,
    /// Under which it was done.
    pub parent: Option<SpanContext>,
    /// When it began.
    pub started: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// What belongs to it, in order.
    pub attributes: Vec<(&'static str, Value)>,
    /// Attributes beyond the limit.
    pub left_out: u32,
    /// Why it failed, where it did.
    pub error: Option<String>,
}

impl Span {
    /// What works under this span has as its parent.
    pub fn context(&self) -> SpanContext {
        self.context
    }

    /// Adds an attribute, within the limits.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if !self.context.sampled {
            return;
        }
        let (most, longest) = self.tracer.limits();
        if self.attributes.len() >= most {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let mut value = value.into();
        if let Value::Text(text) = &mut value
            && let Some((end, _)) = text.char_indices().nth(longest)
        {
            text.truncate(end);
        }
        self.attributes.push((key, value));
    }

    /// The work failed.
    pub fn fail(&mut self, reason: impl Into<String>) {
        if self.context.sampled {
            self.error = Some(reason.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if !self.context.sampled {
            return;
        }
        let finished = FinishedSpan {
            name: std::mem::take(&mut self.name),
            kind: self.kind,
            context: self.context,
            parent: self.parent,
            started: self.started,
            duration: self.began.elapsed(),
            attributes: std::mem::take(&mut self.attributes),
            left_out: self.left_out,
            error: self.error.take(),
        };
        self.tracer.finished(finished);
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        i64::try_from(number).map_or(Value::Uint(number), Value::Int)
    }
}

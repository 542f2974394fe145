//! Own traces of requests on their way: a span for the receiver, each processor and each exporter, with
//! otelcol's names. Where they are off each of these costs one branch.

use phoenix_component::{Batch, ComponentKey, Refusal, StatusReporter};
use phoenix_config::Kind;
use phoenix_pdata::Signal;
use phoenix_telemetry::traces::{Kind as Side, Span, Tracer};

/// A request enters the pipelines; what follows works under its span. None for data that comes out of a stage or a
/// connector, and where traces are off.
#[inline]
pub(crate) fn receiving(tracer: &Tracer, owner: &ComponentKey, batch: &mut Batch) -> Option<Box<Span>> {
    if !tracer.is_on() || owner.kind != Kind::Receiver {
        return None;
    }
    let what = match batch.signal {
        Signal::Traces => "TraceDataReceived",
        Signal::Metrics => "MetricsReceived",
        Signal::Logs => "LogsReceived",
    };
    let span = tracer.span(Side::Server, batch.trace, || format!("receiver/{}/{what}", owner.id))?;
    batch.trace = Some(span.context());
    Some(Box::new(span))
}

/// The pipelines answered.
pub(crate) fn received(mut span: Box<Span>, signal: Signal, items: u64, outcome: &Result<(), Refusal>) {
    let (accepted, refused) = match signal {
        Signal::Traces => ("accepted_spans", "refused_spans"),
        Signal::Metrics => ("accepted_metric_points", "refused_metric_points"),
        Signal::Logs => ("accepted_log_records", "refused_log_records"),
    };
    let taken = if outcome.is_ok() { items } else { 0 };
    span.set(accepted, taken);
    span.set(refused, items - taken);
    fail(&mut span, outcome.as_ref().err());
}

/// A processor begins.
#[inline]
pub(crate) fn processing(tracer: &Tracer, status: &StatusReporter, batch: &Batch) -> Option<Box<Span>> {
    if !tracer.is_on() {
        return None;
    }
    let name = || format!("processor/{}/{}", status.key().id, batch.signal);
    let mut span = tracer.span(Side::Internal, batch.trace, name)?;
    span.set("items.in", batch.items);
    Some(Box::new(span))
}

/// A processor ends.
#[inline]
pub(crate) fn processed(span: Option<Box<Span>>, result: &Result<Option<Batch>, Refusal>) {
    if let Some(mut span) = span {
        let left = result.as_ref().ok().and_then(Option::as_ref);
        span.set("items.out", left.map_or(0, |batch| batch.items));
        fail(&mut span, result.as_ref().err());
    }
}

/// An exporter begins; what it sends carries its span on.
#[inline]
pub(crate) fn exporting(tracer: &Tracer, status: &StatusReporter, batch: &mut Batch) -> Option<Box<Span>> {
    if !tracer.is_on() {
        return None;
    }
    let name = || format!("exporter/{}/{}", status.key().id, batch.signal);
    let span = tracer.span(Side::Internal, batch.trace, name)?;
    batch.trace = Some(span.context());
    Some(Box::new(span))
}

/// An exporter answered: the data is delivered, or held in its queue.
#[inline]
pub(crate) fn exported(span: Option<Box<Span>>, items: u64, outcome: &Result<(), Refusal>) {
    if let Some(mut span) = span {
        let sent = if outcome.is_ok() { items } else { 0 };
        span.set("items.sent", sent);
        span.set("items.failed", items - sent);
        fail(&mut span, outcome.as_ref().err());
    }
}

fn fail(span: &mut Span, refusal: Option<&Refusal>) {
    if let Some(refusal) = refusal {
        span.fail(refusal.message());
    }
}

//! Verbosity `detailed`: every field of every item.

mod metrics;

use std::fmt::{self, Write};

use phoenix_pdata::view::{
    Attributes, Event, Link, LogRecord, Many, Resource, ResourceEntry, ScopeEntry, Span, Text, View,
};
use phoenix_pdata::{Payload, Signal};

use crate::go;
use crate::value::Typed;

/// Writes a request, a line for each field.
pub(crate) fn write(out: &mut dyn Write, signal: Signal, payload: &Payload) -> fmt::Result {
    match signal {
        Signal::Traces => {
            write_entries(out, ["ResourceSpans", "ScopeSpans", "Span"], payload.resource_spans(), write_span)
        }
        Signal::Metrics => write_entries(
            out,
            ["ResourceMetrics", "ScopeMetrics", "Metric"],
            payload.resource_metrics(),
            metrics::write_metric,
        ),
        Signal::Logs => write_entries(
            out,
            ["ResourceLog", "ScopeLogs", "LogRecord"],
            payload.resource_logs(),
            write_record,
        ),
    }
}

fn write_entries<'a, R: View<'a> + 'a>(
    out: &mut dyn Write,
    [resource_name, scope_name, record_name]: [&str; 3],
    entries: impl Iterator<Item = ResourceEntry<'a, R>>,
    write_record: impl Fn(&mut dyn Write, R) -> fmt::Result,
) -> fmt::Result {
    for (index, entry) in entries.enumerate() {
        writeln!(out, "{resource_name} #{index}")?;
        writeln!(out, "Resource SchemaURL: {}", entry.schema_url())?;
        if let Some(resource) = entry.resource() {
            write_resource(out, &resource)?;
        }
        for (index, scope) in entry.scopes().iter().enumerate() {
            writeln!(out, "{scope_name} #{index}")?;
            write_scope(out, scope_name, &scope)?;
            for (index, record) in scope.records().iter().enumerate() {
                writeln!(out, "{record_name} #{index}")?;
                write_record(out, record)?;
            }
        }
    }
    Ok(())
}

fn write_resource(out: &mut dyn Write, resource: &Resource<'_>) -> fmt::Result {
    write_attributes(out, "Resource attributes:", "", resource.attributes())?;
    if resource.entity_refs().is_empty() {
        return Ok(());
    }
    writeln!(out, "Resource entity refs:")?;
    for (index, entity) in resource.entity_refs().iter().enumerate() {
        writeln!(out, "     -> Entity ref #{index}:")?;
        writeln!(out, "          -> Type: {}", entity.kind())?;
        if !entity.schema_url().is_empty() {
            writeln!(out, "          -> Schema URL: {}", entity.schema_url())?;
        }
        for (name, keys) in [("ID", entity.id_keys()), ("Description", entity.description_keys())] {
            if !keys.is_empty() {
                writeln!(out, "          -> {name} keys:")?;
                keys.iter().try_for_each(|key| writeln!(out, "               -> {key}"))?;
            }
        }
    }
    Ok(())
}

fn write_scope<'a, R: View<'a>>(out: &mut dyn Write, name: &str, entry: &ScopeEntry<'a, R>) -> fmt::Result {
    writeln!(out, "{name} SchemaURL: {}", entry.schema_url())?;
    let Some(scope) = entry.scope() else { return writeln!(out, "InstrumentationScope  ") };
    writeln!(out, "InstrumentationScope {} {}", scope.name(), scope.version())?;
    write_attributes(out, "InstrumentationScope attributes:", "", scope.attributes())
}

/// Attributes under a header, indented by `indent`; nothing where there are none.
fn write_attributes(
    out: &mut dyn Write,
    header: &str,
    indent: &str,
    attributes: Attributes<'_>,
) -> fmt::Result {
    if attributes.is_empty() {
        return Ok(());
    }
    writeln!(out, "{header}")?;
    for attribute in attributes {
        writeln!(out, "{indent}     -> {}: {}", attribute.key(), Typed(attribute.value()))?;
    }
    Ok(())
}

fn write_field(out: &mut dyn Write, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(out, "    {name:<15}: {value}")
}

fn write_span(out: &mut dyn Write, span: Span<'_>) -> fmt::Result {
    write_field(out, "Trace ID", go::Id(span.trace_id()))?;
    write_field(out, "Parent ID", go::Id(span.parent_span_id()))?;
    write_field(out, "ID", go::Id(span.span_id()))?;
    write_field(out, "Name", span.name())?;
    write_field(out, "Kind", span_kind(span.kind()))?;
    if !span.trace_state().is_empty() {
        write_field(out, "TraceState", span.trace_state())?;
    }
    write_field(out, "Start time", go::Time(span.start_time_unix_nano()))?;
    write_field(out, "End time", go::Time(span.end_time_unix_nano()))?;
    let status = span.status();
    write_field(out, "Status code", status_code(status.map_or(0, |status| status.code())))?;
    write_field(out, "Status message", status.map_or(Text::default(), |status| status.message()))?;
    write_field(out, "DroppedAttributesCount", span.dropped_attributes_count())?;
    write_field(out, "DroppedEventsCount", span.dropped_events_count())?;
    write_field(out, "DroppedLinksCount", span.dropped_links_count())?;
    write_attributes(out, "Attributes:", "", span.attributes())?;
    write_events(out, span.events())?;
    write_links(out, span.links())
}

/// Two colons, as otelcol has it.
const NESTED_ATTRIBUTES: &str = "     -> Attributes::";

fn write_events<'a>(out: &mut dyn Write, events: Many<'a, Event<'a>>) -> fmt::Result {
    if events.is_empty() {
        return Ok(());
    }
    writeln!(out, "Events:")?;
    for (index, event) in events.iter().enumerate() {
        writeln!(out, "SpanEvent #{index}")?;
        writeln!(out, "     -> Name: {}", event.name())?;
        writeln!(out, "     -> Timestamp: {}", go::Time(event.time_unix_nano()))?;
        writeln!(out, "     -> DroppedAttributesCount: {}", event.dropped_attributes_count())?;
        write_attributes(out, NESTED_ATTRIBUTES, "     ", event.attributes())?;
    }
    Ok(())
}

fn write_links<'a>(out: &mut dyn Write, links: Many<'a, Link<'a>>) -> fmt::Result {
    if links.is_empty() {
        return Ok(());
    }
    writeln!(out, "Links:")?;
    for (index, link) in links.iter().enumerate() {
        writeln!(out, "SpanLink #{index}")?;
        writeln!(out, "     -> Trace ID: {}", go::Id(link.trace_id()))?;
        writeln!(out, "     -> ID: {}", go::Id(link.span_id()))?;
        writeln!(out, "     -> TraceState: {}", link.trace_state())?;
        writeln!(out, "     -> DroppedAttributesCount: {}", link.dropped_attributes_count())?;
        write_attributes(out, NESTED_ATTRIBUTES, "     ", link.attributes())?;
    }
    Ok(())
}

fn write_record(out: &mut dyn Write, record: LogRecord<'_>) -> fmt::Result {
    writeln!(out, "ObservedTimestamp: {}", go::Time(record.observed_time_unix_nano()))?;
    writeln!(out, "Timestamp: {}", go::Time(record.time_unix_nano()))?;
    writeln!(out, "SeverityText: {}", record.severity_text())?;
    let severity = record.severity_number();
    writeln!(out, "SeverityNumber: {}({severity})", Severity(severity))?;
    if !record.event_name().is_empty() {
        writeln!(out, "EventName: {}", record.event_name())?;
    }
    writeln!(out, "Body: {}", Typed(record.body()))?;
    write_attributes(out, "Attributes:", "", record.attributes())?;
    writeln!(out, "Trace ID: {}", go::Id(record.trace_id()))?;
    writeln!(out, "Span ID: {}", go::Id(record.span_id()))?;
    writeln!(out, "Flags: {}", record.flags())
}

/// Numbers that are not known have no name.
fn span_kind(kind: i32) -> &'static str {
    match kind {
        0 => "Unspecified",
        1 => "Internal",
        2 => "Server",
        3 => "Client",
        4 => "Producer",
        5 => "Consumer",
        _ => "",
    }
}

fn status_code(code: i32) -> &'static str {
    match code {
        0 => "Unset",
        1 => "Ok",
        2 => "Error",
        _ => "",
    }
}

struct Severity(i32);

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 6] = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"];
        match self.0 {
            0 => f.write_str("Unspecified"),
            number @ 1..=24 => {
                let (name, step) = ((number - 1) / 4, (number - 1) % 4);
                f.write_str(NAMES[name as usize])?;
                if step > 0 { write!(f, "{}", step + 1) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_have_names_in_fours() {
        let names: Vec<_> = [0, 1, 2, 4, 5, 17, 21, 24, 25, -1].map(|n| Severity(n).to_string()).into();
        assert_eq!(
            names,
            ["Unspecified", "Trace", "Trace2", "Trace4", "Debug", "Error", "Fatal", "Fatal4", "", ""]
        );
    }
}

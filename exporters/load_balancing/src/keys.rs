//! What a record's key is, and the walk that finds it: as far out as the key allows, so that whole resources are
//! passed on unread where they are what is routed.

use phoenix_pdata::view::{
    AnyValue, Attributes, ExponentialPoint, HistogramPoint, LogRecord, Metric, NumberPoint, Resource, Scope,
    Span, SummaryPoint, View as _,
};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::{Deal, Signal};

use crate::config::RoutingKey;
use crate::identity::Identity;
use crate::keys::composite::Composite;

mod composite;

const NO_TRACE: [u8; 16] = [0; 16];

/// Deals records out by their keys; `place` says where a key goes.
pub(crate) struct ByKey<'a, P> {
    signal: Signal,
    key: RoutingKey,
    place: P,
    /// The key of log records that belong to no trace.
    random: [u8; 16],
    /// The last trace and where it goes: spans of a trace come in runs.
    last: Option<([u8; 16], usize)>,
    /// The resource, the scope and the metric around, of a stream.
    around: [Option<Identity>; 3],
    composite: Composite<'a>,
    buffer: Vec<u8>,
}

impl<'a, P: FnMut(&[u8]) -> usize> ByKey<'a, P> {
    /// `attributes` are those of [`RoutingKey::Attributes`]; `random` places log records that belong to no trace.
    pub(crate) fn new(
        signal: Signal,
        key: RoutingKey,
        attributes: &'a [String],
        random: u64,
        place: P,
    ) -> ByKey<'a, P> {
        let mut bytes = NO_TRACE;
        bytes[..8].copy_from_slice(&random.to_be_bytes());
        ByKey {
            signal,
            key,
            place,
            random: bytes,
            last: None,
            around: [None; 3],
            composite: Composite::new(attributes),
            buffer: Vec::new(),
        }
    }

    fn trace(&mut self, record: &[u8]) -> usize {
        let number = if self.signal == Signal::Traces { 1 } else { 9 };
        let id = Fields::new(record).find(|field| field.is_len(number)).map(|field| field.body);
        let id = id.and_then(|id| <[u8; 16]>::try_from(id).ok()).unwrap_or(NO_TRACE);
        if let Some((_, to)) = self.last.filter(|(last, _)| *last == id) {
            return to;
        }
        let is_random = id == NO_TRACE && self.signal == Signal::Logs;
        let to = (self.place)(if is_random { &self.random } else { &id });
        self.last = Some((id, to));
        to
    }

    fn composite(&mut self) -> usize {
        (self.place)(self.composite.key(&mut self.buffer))
    }

    fn complete(&mut self) -> Option<usize> {
        self.composite.is_complete().then(|| self.composite())
    }
}

impl<P: FnMut(&[u8]) -> usize> Deal for ByKey<'_, P> {
    fn resource(&mut self, resource: Option<Resource<'_>>) -> Option<usize> {
        let attributes = || resource.map(|resource| resource.attributes()).unwrap_or_default();
        match self.key {
            RoutingKey::TraceId | RoutingKey::Metric => None,
            RoutingKey::Service => {
                let name = attributes().get("service.name");
                Some((self.place)(match &name {
                    Some(AnyValue::String(name)) => name.as_bytes(),
                    _ => &[],
                }))
            }
            RoutingKey::Resource => {
                let key = Identity::of_resource(resource, &mut self.buffer).resource();
                Some((self.place)(key.as_bytes()))
            }
            RoutingKey::Stream => {
                self.around[0] = Some(Identity::of_resource(resource, &mut self.buffer));
                None
            }
            RoutingKey::Attributes => {
                self.composite.look(0, attributes(), |_, _| false);
                self.complete()
            }
        }
    }

    fn scope(&mut self, scope: Option<Scope<'_>>) -> Option<usize> {
        match self.key {
            RoutingKey::Stream => {
                self.around[1] = self.around[0].map(|resource| resource.scope(scope, &mut self.buffer));
                None
            }
            RoutingKey::Attributes => {
                let attributes = scope.map(|scope| scope.attributes()).unwrap_or_default();
                self.composite.look(1, attributes, |_, _| false);
                self.complete()
            }
            _ => None,
        }
    }

    fn record(&mut self, record: &[u8]) -> Option<usize> {
        match (self.key, self.signal) {
            (RoutingKey::TraceId, _) => Some(self.trace(record)),
            (RoutingKey::Metric, _) => Some((self.place)(Metric::new(record).name().as_bytes())),
            (RoutingKey::Stream, _) => {
                self.around[2] = self.around[1].map(|scope| scope.metric(&Metric::new(record)));
                None
            }
            (_, Signal::Metrics) => None,
            (_, Signal::Traces) => {
                let span = Span::new(record);
                self.composite.look(2, span.attributes(), |name, out| match name {
                    "span.name" => put(out, span.name().as_bytes()),
                    "span.kind" => put(out, kind(span.kind())),
                    _ => false,
                });
                Some(self.composite())
            }
            (_, Signal::Logs) => {
                let log = LogRecord::new(record);
                self.composite.look(2, log.attributes(), |name, out| match name {
                    "log.severity" => put(out, log.severity_text().as_bytes()),
                    "log.body" => {
                        composite::write_value(log.body(), out);
                        true
                    }
                    _ => false,
                });
                Some(self.composite())
            }
        }
    }

    fn point(&mut self, kind: u32, point: &[u8]) -> usize {
        let attributes: Attributes<'_> = match kind {
            5 | 7 => NumberPoint::new(point).attributes(),
            9 => HistogramPoint::new(point).attributes(),
            10 => ExponentialPoint::new(point).attributes(),
            _ => SummaryPoint::new(point).attributes(),
        };
        match self.around[2] {
            Some(metric) => {
                let key = metric.stream(attributes, &mut self.buffer);
                (self.place)(key.as_bytes())
            }
            None => {
                self.composite.look(2, attributes, |_, _| false);
                self.composite()
            }
        }
    }
}

fn put(out: &mut Vec<u8>, text: &[u8]) -> bool {
    out.extend_from_slice(text);
    true
}

/// The kind of a span, as Go prints it.
fn kind(kind: i32) -> &'static [u8] {
    match kind {
        1 => b"Internal",
        2 => b"Server",
        3 => b"Client",
        4 => b"Producer",
        5 => b"Consumer",
        _ => b"Unspecified",
    }
}

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, BoxFuture, ConnectorFlow, Outlet, Refusal, StartError};
use phoenix_ottl::{ConditionGroup, Context, Diagnostics, ErrorMode, MatchProgram, Record, sets};
use phoenix_pdata::view::{
    Attributes, Event, ExponentialPoint, HistogramPoint, LogRecord, Metric, NumberPoint, Resource, Scope,
    Span, SummaryPoint, View as _,
};
use phoenix_pdata::write::{put_attribute, put_bytes, put_message};
use phoenix_pdata::{Payload, Signal, count_items};
use phoenix_statements::Runner;

use crate::config::{CountConfig, CountSettings};
use crate::emit::{Counted, Point, put_resource};

/// The field of the attributes of a data point of a sum.
const ATTRIBUTES: u32 = 7;

/// A `count` connector of one signal.
#[derive(Debug)]
pub(crate) struct Counter {
    metrics: Vec<CountMetric>,
    /// By kind of record: the program that finds them all.
    kinds: Vec<(Context, MatchProgram)>,
    to: Outlet,
    runner: Runner,
}

/// A metric that counts.
#[derive(Debug)]
struct CountMetric {
    name: String,
    description: String,
    context: Context,
    program: MatchProgram,
    attributes: Vec<By>,
}

/// An attribute by which is counted.
#[derive(Debug)]
struct By {
    key: String,
    /// The body of the value, encoded.
    default: Option<Vec<u8>>,
}

/// The program that finds what a metric counts.
pub(crate) fn program(
    settings: &CountSettings,
    signal: Signal,
    context: Context,
) -> Result<MatchProgram, Diagnostics> {
    let group = ConditionGroup {
        context: Some(context),
        error_mode: ErrorMode::Propagate,
        // Without conditions everything counts.
        conditions: match settings.conditions.is_empty() {
            true => vec!["true".to_owned()],
            false => settings.conditions.clone(),
        },
    };
    MatchProgram::compile(signal, sets::CONDITIONS, &group)
}

impl Counter {
    pub(crate) fn new(
        config: &CountConfig,
        from: Signal,
        cx: &CreateContext<'_>,
        to: Outlet,
    ) -> Result<Counter, StartError> {
        let (mut metrics, mut kinds) = (Vec::new(), Vec::new());
        for (_, signal, context, counts) in config.lists() {
            if signal == from && !counts.is_empty() {
                let everything = program(&CountSettings::default(), signal, context);
                kinds.push((context, everything.map_err(StartError::because)?));
            }
            for (name, settings) in counts.iter().filter(|_| signal == from) {
                let attributes = settings.attributes.iter().map(|attribute| By {
                    key: attribute.key.clone(),
                    default: attribute.default_value.is_given().then(|| attribute.default_value.encoded()),
                });
                metrics.push(CountMetric {
                    name: name.clone(),
                    description: settings.description.clone(),
                    context,
                    program: program(settings, signal, context).map_err(StartError::because)?,
                    attributes: attributes.collect(),
                });
            }
        }
        let runner = Runner::new(&cx.host.metrics, "connector", &cx.id.to_string());
        Ok(Counter { metrics, kinds, to, runner })
    }

    /// The metrics for a request, or an empty payload where nothing was counted.
    fn count(&self, batch: &Batch) -> Result<Payload, Refusal> {
        self.runner.run(batch.client.as_deref(), |env| {
            let mut resources = Resources::default();
            for (context, everything) in &self.kinds {
                everything.each_match(&batch.payload, env, |record| {
                    resources.of(&record).saw(*context, times(*context, &record));
                })?;
            }
            for (index, metric) in self.metrics.iter().enumerate() {
                let mut scratch = Vec::new();
                metric.program.each_match(&batch.payload, env, |record| {
                    scratch.clear();
                    if metric.put_attributes(&record, &mut scratch) {
                        resources.of(&record).count(index, &scratch);
                    }
                })?;
            }
            Ok(Payload::from(bytes::Bytes::from(resources.encoded(&self.metrics, env.now_unix_nanos as u64))))
        })
    }
}

/// Counts by resource, in the order in which these came.
#[derive(Default)]
struct Resources(Vec<OfResource>);

struct OfResource {
    /// The body of the resource, and where it was: two that are equal are still two.
    body: Vec<u8>,
    place: usize,
    /// By metric, then by the encoded attributes.
    counts: BTreeMap<usize, BTreeMap<Vec<u8>, u64>>,
    /// From the first to the last time of its records, counted or not, by their kind; zero where they have none.
    times: Vec<(Context, (u64, u64))>,
}

impl Resources {
    fn of(&mut self, record: &Record<'_>) -> &mut OfResource {
        let place = record.resource.as_ptr().addr();
        let found = self.0.iter().rposition(|known| known.place == place && known.body == record.resource);
        let index = found.unwrap_or_else(|| {
            self.0.push(OfResource {
                body: record.resource.to_vec(),
                place,
                counts: BTreeMap::new(),
                times: Vec::new(),
            });
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    fn encoded(&self, metrics: &[CountMetric], now_unix_nanos: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for of_resource in self.0.iter().filter(|of_resource| !of_resource.counts.is_empty()) {
            let counted: Vec<Counted<'_>> = of_resource
                .counts
                .iter()
                .map(|(index, counts)| Counted {
                    name: &metrics[*index].name,
                    description: &metrics[*index].description,
                    times: of_resource
                        .times(metrics[*index].context)
                        .unwrap_or((now_unix_nanos, now_unix_nanos)),
                    points: counts
                        .iter()
                        .map(|(attributes, count)| Point { attributes, count: *count })
                        .collect(),
                })
                .collect();
            put_resource(&mut out, Resource::new(&of_resource.body), &counted);
        }
        out
    }
}

impl OfResource {
    fn count(&mut self, metric: usize, attributes: &[u8]) {
        let counts = self.counts.entry(metric).or_default();
        match counts.get_mut(attributes) {
            Some(count) => *count += 1,
            None => {
                counts.insert(attributes.to_vec(), 1);
            }
        }
    }

    fn saw(&mut self, context: Context, (first, last): (u64, u64)) {
        let index = self.times.iter().position(|(known, _)| *known == context).unwrap_or_else(|| {
            self.times.push((context, (0, 0)));
            self.times.len() - 1
        });
        let (_, known) = &mut self.times[index];
        for time in [first, last].into_iter().filter(|time| *time != 0) {
            *known = match *known {
                (0, _) => (time, time),
                (first, last) => (first.min(time), last.max(time)),
            };
        }
    }

    fn times(&self, context: Context) -> Option<(u64, u64)> {
        let found = self.times.iter().find(|(known, (first, _))| *known == context && *first != 0);
        found.map(|(_, times)| *times)
    }
}

impl CountMetric {
    /// Appends the attributes by which a record is counted; not where it lacks one.
    fn put_attributes(&self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        if self.attributes.is_empty() {
            return true;
        }
        let own = self.attributes_of(record);
        let (scope, resource) = (Scope::new(record.scope), Resource::new(record.resource));
        self.attributes.iter().all(|by| {
            let found = [own, Some(scope.attributes()), Some(resource.attributes())]
                .into_iter()
                .flatten()
                .find_map(|attributes| attributes.get(&by.key));
            match (found, &by.default) {
                (Some(value), _) => put_attribute(out, ATTRIBUTES, &by.key, &value),
                (None, Some(default)) => put_message(out, ATTRIBUTES, |out| {
                    put_bytes(out, 1, by.key.as_bytes());
                    put_bytes(out, 2, default);
                }),
                (None, None) => return false,
            }
            true
        })
    }

    /// The attributes of a record; metrics have none.
    fn attributes_of<'a>(&self, record: &Record<'a>) -> Option<Attributes<'a>> {
        let body = record.record;
        Some(match self.context {
            Context::Span => Span::new(body).attributes(),
            Context::SpanEvent => Event::new(body).attributes(),
            Context::Log => LogRecord::new(body).attributes(),
            Context::DataPoint => match data_kind(record.parent) {
                9 => HistogramPoint::new(body).attributes(),
                10 => ExponentialPoint::new(body).attributes(),
                11 => SummaryPoint::new(body).attributes(),
                _ => NumberPoint::new(body).attributes(),
            },
            _ => return None,
        })
    }
}

/// When a record was, from and to; zero where that is not known.
fn times(context: Context, record: &Record<'_>) -> (u64, u64) {
    match context {
        Context::Span => {
            let span = Span::new(record.record);
            (span.start_time_unix_nano(), span.end_time_unix_nano())
        }
        Context::SpanEvent => twice(Event::new(record.record).time_unix_nano()),
        Context::Log => twice(LogRecord::new(record.record).time_unix_nano()),
        // The time of a data point has one number in all kinds.
        Context::DataPoint if data_kind(record.parent) == 10 => {
            twice(ExponentialPoint::new(record.record).time_unix_nano())
        }
        Context::DataPoint => twice(NumberPoint::new(record.record).time_unix_nano()),
        _ => (0, 0),
    }
}

fn twice(time: u64) -> (u64, u64) {
    (time, time)
}

/// The number of the field that holds the data of a metric.
fn data_kind(metric: &[u8]) -> u32 {
    use phoenix_pdata::view::Data;
    match Metric::new(metric).data() {
        Some(Data::Histogram(_)) => 9,
        Some(Data::ExponentialHistogram(_)) => 10,
        Some(Data::Summary(_)) => 11,
        _ => 5,
    }
}

impl ConnectorFlow for Counter {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let payload = self.count(&batch)?;
            if payload.is_empty() {
                return Ok(());
            }
            let items = count_items(Signal::Metrics, &payload);
            self.to.send(Batch { signal: Signal::Metrics, payload, items, ..batch }).await
        })
    }
}

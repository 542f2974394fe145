//! Looks at requests, one after the other.

use std::collections::HashMap;

use phoenix_pdata::view::{AnyValue, KeyValue, Metric, Resource, View as _};
use phoenix_pdata::wire::Fields;
use phoenix_series::{Fingerprint, Hasher, Table};

use crate::metric::{MetricState, SeriesState};
use crate::point::{Point, Type};
use crate::report::Report;

/// A series that comes so long after the first of its metric is a new one: 60 s, in nanoseconds.
const SETTLED: u64 = 60_000_000_000;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Metrics; further ones are counted in the totals alone.
    pub metrics: usize,
    /// Labels of each metric, those of resources included.
    pub labels: usize,
    /// Series that have a state of their own, about 110 bytes each; further ones are counted by sketches.
    pub series: usize,
    /// Sketches of 4 KiB each, one for each count of more than 128.
    pub sketches: usize,
}

impl Default for Bounds {
    /// About 60 MiB at most.
    fn default() -> Bounds {
        Bounds { metrics: 10_000, labels: 48, series: 200_000, sketches: 8192 }
    }
}

/// What was seen so far.
#[derive(Debug)]
pub struct Survey {
    pub(crate) bounds: Bounds,
    hasher: Hasher,
    index: HashMap<Fingerprint, u32>,
    pub(crate) metrics: Vec<MetricState>,
    pub(crate) series: Table<SeriesState>,
    sketches: usize,
    /// Points of series without a state of their own.
    pub(crate) untracked_points: u64,
    /// Points of metrics beyond the bound.
    pub(crate) unknown_points: u64,
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
}

impl Survey {
    /// Begins; the seed keeps hashes from being guessed.
    pub fn new(bounds: Bounds, seed: u64) -> Survey {
        Survey {
            hasher: Hasher::new(seed),
            index: HashMap::new(),
            metrics: Vec::new(),
            series: Table::new(bounds.series),
            sketches: bounds.sketches,
            untracked_points: 0,
            unknown_points: 0,
            bytes: 0,
            requests: 0,
            bounds,
        }
    }

    /// Looks at a request of metrics, or at a piece of one.
    pub fn observe(&mut self, request: &[u8]) {
        self.requests += 1;
        self.bytes += request.len() as u64;
        for entry in Fields::new(request).filter(|field| field.is_len(1)) {
            let resource = Fields::new(entry.body).find(|field| field.is_len(1));
            let labels: Vec<(&[u8], Fingerprint)> = resource
                .map(|field| Resource::new(field.body).attributes())
                .iter()
                .flat_map(|attributes| attributes.bodies().collect::<Vec<_>>())
                .map(|body| (body, self.hasher.attribute(body)))
                .collect();
            for scope in Fields::new(entry.body).filter(|field| field.is_len(2)) {
                let about = Fields::new(scope.body).find(|field| field.is_len(1));
                let about = self.hasher.bytes(about.map_or(&[], |field| field.body));
                for metric in Fields::new(scope.body).filter(|field| field.is_len(2)) {
                    self.metric(&labels, about, metric.body);
                }
            }
        }
    }

    fn metric(&mut self, resource: &[(&[u8], Fingerprint)], scope: Fingerprint, body: &[u8]) {
        let metric = Metric::new(body);
        let Some(data) = metric.data() else { return };
        let of = Type::of(&data);
        let name = self.hasher.bytes(metric.name().as_bytes());
        let unit = self.hasher.bytes(metric.unit().as_bytes());
        let identity = self.hasher.ordered([name, unit, Fingerprint::from(u128::from(of.field()))]);
        let number = match self.index.get(&identity) {
            Some(number) => *number,
            None if self.metrics.len() >= self.bounds.metrics => {
                self.unknown_points += data.count() as u64;
                return;
            }
            None => {
                let number = u32::try_from(self.metrics.len()).unwrap_or(u32::MAX);
                self.index.insert(identity, number);
                self.metrics.push(MetricState::new(metric.name().as_bytes(), of));
                number
            }
        };
        if let Some(state) = self.metrics.get_mut(number as usize) {
            state.bytes += body.len() as u64;
            state.description_bytes += metric.description().as_bytes().len() as u64;
        }
        let group = self.hasher.ordered([identity, scope]);
        for data in Fields::new(body).filter(|field| field.is_len(of.field())) {
            for point in Fields::new(data.body).filter(|field| field.is_len(1)) {
                self.point(resource, group, number, &of.read(point.body));
            }
        }
    }

    fn point(
        &mut self,
        resource: &[(&[u8], Fingerprint)],
        group: Fingerprint,
        number: u32,
        point: &Point<'_>,
    ) {
        let value = point.value(&self.hasher);
        let mut around = Fingerprint::default();
        resource.iter().for_each(|(_, label)| around = around.plus(*label));
        let own = self.hasher.attributes(&point.attributes);
        let key = self.hasher.ordered([group, around, own]);
        let found = self.series.find(key);
        if let Some(series) = found.and_then(|slot| self.series.get_mut(slot)) {
            series.points = series.points.saturating_add(1);
            series.is_constant &= series.value == value;
            series.value = value;
            (series.first, series.last) = (series.first.min(point.time), series.last.max(point.time));
            series.course = course(&self.hasher, series.course, value, point.time);
        }
        let is_tracked = found.is_some() || {
            let state = SeriesState {
                metric: number,
                points: 1,
                first: point.time,
                last: point.time,
                value,
                course: course(&self.hasher, 0, value, point.time),
                is_constant: true,
            };
            self.series.insert(key, state).is_ok()
        };
        self.untracked_points += u64::from(!is_tracked);
        let Some(metric) = self.metrics.get_mut(number as usize) else { return };
        metric.points += 1;
        metric.exemplar_bytes += point.exemplar_bytes();
        (metric.first, metric.last) = (metric.first.min(point.time), metric.last.max(point.time));
        if found.is_some() {
            return;
        }
        metric.newcomers += u64::from(is_tracked && point.time.saturating_sub(metric.first) > SETTLED);
        // A new series, or one that has no state: what sketches were told once changes nothing.
        metric.noted += 1;
        metric.series.insert(key.half(), &mut self.sketches);
        for (body, label) in resource {
            let without = self.hasher.ordered([group, around.minus(*label), own]);
            note(metric, body, true, *label, without, self.bounds.labels, &mut self.sketches);
        }
        for body in point.attributes.bodies() {
            let label = self.hasher.attribute(body);
            let without = self.hasher.ordered([group, around, own.minus(label)]);
            note(metric, body, false, label, without, self.bounds.labels, &mut self.sketches);
        }
    }

    /// What there is to say, about so many of the heaviest metrics.
    pub fn report(&self, top: usize) -> Report {
        Report::of(self, top)
    }
}

fn note(
    metric: &mut MetricState,
    body: &[u8],
    on_resource: bool,
    value: Fingerprint,
    without: Fingerprint,
    most: usize,
    sketches: &mut usize,
) {
    let attribute = KeyValue::new(body);
    let Some(label) = metric.label(attribute.key().as_bytes(), on_resource, most) else { return };
    label.values.insert(value.half(), sketches);
    label.without.insert(without.half(), sketches);
    label.series += 1;
    label.identifiers += u64::from(looks_like_an_identifier(&attribute.value()));
}

/// A number, or a text with a part of at least eight hexadecimal digits of which one is a digit.
fn looks_like_an_identifier(value: &AnyValue<'_>) -> bool {
    match value {
        AnyValue::Int(number) => number.unsigned_abs() >= 1000,
        AnyValue::String(text) => text
            .as_bytes()
            .split(|byte| !byte.is_ascii_hexdigit())
            .any(|part| part.len() >= 8 && part.iter().any(u8::is_ascii_digit)),
        _ => false,
    }
}

fn course(hasher: &Hasher, before: u64, value: Fingerprint, time: u64) -> u64 {
    let now = Fingerprint::from(u128::from(before) << 64 | u128::from(time));
    hasher.ordered([now, value]).half()
}

//! From requests to samples.

mod labels;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use phoenix_pdata::Payload;
use phoenix_pdata::view::{
    Data, Exemplar as Sent, ExponentialPoint, HistogramPoint, Many, Metric, Number, NumberPoint,
    ResourceMetrics, SummaryPoint, Temporality,
};
use phoenix_series::{Fingerprint, Hasher, NO_RECORDED_VALUE, STALE_NAN};
use smallvec::SmallVec;

use crate::cache::Cache;
use crate::{Extra, Kind, Label, LabelSet, Naming, Native, number};

/// Characters that the labels of an exemplar may have, names and values together.
const MAX_EXEMPLAR_CHARS: usize = 128;
/// Label sets in a generation of the cache; there are at most two.
const MAX_LABEL_SETS: usize = 1 << 18;
/// Data points whose labels are looked for together.
const AHEAD: usize = 16;
/// Bounds and quantiles whose texts are kept; beyond, all are forgotten.
const MAX_NUMBERS: usize = 4096;
/// Names in a generation.
const MAX_NAMES: usize = 1 << 14;

/// What to make of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Names.
    pub naming: Naming,
    /// Labels of every series, unless it has them already.
    pub external_labels: Vec<(String, String)>,
    /// Whether attributes of the resource become labels.
    pub resource_labels: bool,
    /// Whether those that `job` and `instance` are made of do not.
    pub exclude_service_attributes: bool,
    /// Whether the scope becomes labels.
    pub scope_labels: bool,
    /// Whether there is a series `target_info` for each resource.
    pub target_info: bool,
    /// Whether there are series that say when others began (`_created`).
    pub created: bool,
    /// Whether counters and histograms may be deltas; the sink is told, and adds them up.
    pub deltas: bool,
}

/// A metric, as Prometheus knows it.
#[derive(Clone, Copy, Debug)]
pub struct Family<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// A description.
    pub help: &'a str,
    /// The unit as the sender writes it.
    pub unit: &'a str,
    /// Whether its values are deltas, which [`Options::deltas`] allows.
    pub delta: bool,
}

/// A value in time, in Unix milliseconds; a start of 0 is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The value.
    pub value: f64,
    /// When it held.
    pub time_ms: i64,
    /// Since when it counts.
    pub start_ms: i64,
}

impl Sample {
    /// Whether it says that its series ended.
    pub fn is_stale(&self) -> bool {
        self.value.to_bits() == STALE_NAN
    }
}

/// An example of the measurements in a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its labels.
    pub labels: LabelSet,
    /// Its value.
    pub value: f64,
    /// When it was measured, in Unix milliseconds.
    pub time_ms: i64,
}

/// What takes samples.
pub trait Sink {
    /// A sample of the series with the name of `family` and `suffix`, the labels and `extra`.
    fn sample(
        &mut self,
        family: &Family<'_>,
        suffix: &'static str,
        labels: &LabelSet,
        extra: Extra<'_>,
        sample: Sample,
        exemplars: &[Exemplar],
    );

    /// A native histogram.
    fn native(
        &mut self,
        family: &Family<'_>,
        labels: &LabelSet,
        histogram: &Native,
        time_ms: i64,
        exemplars: &[Exemplar],
    );

    /// All of a data point was handed over.
    fn point_ends(&mut self) {}
}

/// Translates requests. What it made of series and names it keeps.
#[derive(Debug)]
pub struct Translator {
    options: Options,
    hasher: Hasher,
    labels: Cache<LabelSet>,
    names: Cache<Arc<str>>,
    numbers: Numbers,
}

/// Bounds of buckets and quantiles as text: histograms of one kind have the same ones, and to write a number in its
/// fewest digits takes longer than the rest of a sample. Hashed with a key, since senders choose them.
#[derive(Debug, Default)]
struct Numbers {
    known: HashMap<u64, Arc<str>>,
    /// By their place in a point, those of the last one: that of the next mostly has the same there.
    last: Vec<(u64, Arc<str>)>,
}

impl Numbers {
    /// The text of the number at `place` in a point.
    fn text(&mut self, place: usize, value: f64) -> &str {
        let bits = value.to_bits();
        if self.last.get(place).is_none_or(|(last, _)| *last != bits) {
            if self.known.len() >= MAX_NUMBERS {
                self.known.clear();
            }
            let text = self.known.entry(bits).or_insert_with(|| number(value).into()).clone();
            // Places are asked for in their order; the bounds of a point are as many as fit in a request.
            self.last.truncate(MAX_NUMBERS);
            match self.last.get_mut(place) {
                Some(last) => *last = (bits, text),
                None => self.last.push((bits, text)),
            }
        }
        self.last.get(place).or(self.last.last()).map_or("", |(_, text)| text)
    }
}

/// The times of a point, and whether it says that its series ended.
#[derive(Clone, Copy)]
struct Moment {
    time_ms: i64,
    start_ms: i64,
    stale: bool,
}

impl Moment {
    fn new(start: u64, time: u64, flags: u32) -> Moment {
        let millis = |nanos: u64| (nanos / 1_000_000) as i64;
        Moment { time_ms: millis(time), start_ms: millis(start), stale: flags & NO_RECORDED_VALUE != 0 }
    }

    fn sample(self, value: f64) -> Sample {
        let value = if self.stale { f64::from_bits(STALE_NAN) } else { value };
        Sample { value, time_ms: self.time_ms, start_ms: self.start_ms }
    }
}

/// Where the points of a metric go.
struct Out<'a, S> {
    sink: &'a mut S,
    family: Family<'a>,
    created: bool,
    naming: &'a Naming,
    numbers: Numbers,
}

impl<S: Sink> Out<'_, S> {
    fn put(
        &mut self,
        suffix: &'static str,
        labels: &LabelSet,
        extra: Extra<'_>,
        sample: Sample,
        exemplars: &[Exemplar],
    ) {
        self.sink.sample(&self.family, suffix, labels, extra, sample, exemplars);
    }

    fn created(&mut self, labels: &LabelSet, at: Moment) {
        if self.created && at.start_ms != 0 {
            let sample = Sample { value: at.start_ms as f64, ..at.sample(0.0) };
            self.put("_created", labels, Extra::None, sample, &[]);
        }
    }
}

impl Translator {
    /// A translator; the seed keeps senders from aiming at each other's series.
    pub fn new(options: Options, seed: u64) -> Translator {
        Translator {
            options,
            hasher: Hasher::new(seed),
            labels: Cache::new(MAX_LABEL_SETS),
            names: Cache::new(MAX_NAMES),
            numbers: Numbers::default(),
        }
    }

    /// How often a generation of label sets was forgotten, since there were too many.
    pub fn forgotten(&self) -> u64 {
        self.labels.turns()
    }

    /// Hands what is in a request to `sink`. How many data points have no translation: sums and histograms that are
    /// not cumulative, native histograms beyond the scales that there are, metrics without data.
    pub fn translate<S: Sink>(&mut self, payload: &Payload, sink: &mut S) -> u64 {
        payload.resource_metrics().map(|resource| self.resource(&resource, sink)).sum()
    }

    fn resource<S: Sink>(&mut self, resource: &ResourceMetrics<'_>, sink: &mut S) -> u64 {
        let body = resource.resource();
        let of_resource = self.hasher.bytes(body.map_or(&[][..], |body| body.raw()));
        let (mut failed, mut latest) = (0, 0);
        for scope in resource.scopes() {
            let of_scope = match self.options.scope_labels {
                true => self.hasher.ordered([
                    self.hasher.bytes(scope.scope().map_or(&[][..], |scope| scope.raw())),
                    self.hasher.bytes(scope.schema_url().as_bytes()),
                ]),
                false => Fingerprint::default(),
            };
            let origin =
                labels::Origin { resource: body, scope: scope.scope(), schema_url: scope.schema_url() };
            let key = self.hasher.ordered([of_resource, of_scope]);
            for metric in scope.records() {
                failed += self.metric(&metric, &origin, key, &mut latest, sink);
            }
        }
        if self.options.target_info && latest > 0 {
            self.target_info(body, of_resource, latest, sink);
        }
        failed
    }

    fn metric<S: Sink>(
        &mut self,
        metric: &Metric<'_>,
        origin: &labels::Origin<'_>,
        key: Fingerprint,
        latest: &mut i64,
        sink: &mut S,
    ) -> u64 {
        let Some(data) = metric.data() else { return 0 };
        let is_cumulative = match &data {
            Data::Gauge(_) | Data::Summary(_) => true,
            Data::Sum(sum) => sum.aggregation_temporality() == Temporality::Cumulative,
            Data::Histogram(histogram) => histogram.aggregation_temporality() == Temporality::Cumulative,
            Data::ExponentialHistogram(histogram) => {
                histogram.aggregation_temporality() == Temporality::Cumulative
            }
        };
        let delta = match &data {
            Data::Sum(sum) => sum.is_monotonic() && sum.aggregation_temporality() == Temporality::Delta,
            Data::Histogram(histogram) => histogram.aggregation_temporality() == Temporality::Delta,
            Data::Gauge(_) | Data::Summary(_) | Data::ExponentialHistogram(_) => false,
        };
        let kind = match &data {
            Data::Sum(sum) if sum.is_monotonic() => Kind::Counter,
            Data::Gauge(_) | Data::Sum(_) => Kind::Gauge,
            Data::Histogram(_) | Data::ExponentialHistogram(_) => Kind::Histogram,
            Data::Summary(_) => Kind::Summary,
        };
        let name = self.name(metric, kind);
        if !(is_cumulative || delta && self.options.deltas) || name.is_empty() {
            return data.count() as u64;
        }
        let (help, unit) = (metric.description().to_string_lossy(), metric.unit().to_string_lossy());
        let family = Family { name: &name, kind, help: &help, unit: &unit, delta };
        let naming = &self.options.naming.clone();
        let numbers = std::mem::take(&mut self.numbers);
        let mut out = Out { sink, family, created: self.options.created, naming, numbers };
        let mut failed = 0;
        macro_rules! each {
            ($points:expr, $put:ident) => {{
                let mut points = $points.into_iter();
                loop {
                    let next: SmallVec<[_; AHEAD]> = points.by_ref().take(AHEAD).collect();
                    if next.is_empty() {
                        break;
                    }
                    let keys: SmallVec<[Fingerprint; AHEAD]> =
                        next.iter().map(|point| self.key_of(key, &point.attributes())).collect();
                    let known = self.known_labels(&keys);
                    for ((point, key), known) in next.iter().zip(keys).zip(known) {
                        let at =
                            Moment::new(point.start_time_unix_nano(), point.time_unix_nano(), point.flags());
                        let labels =
                            known.unwrap_or_else(|| self.labels_of(origin, key, &point.attributes()));
                        *latest = at.time_ms.max(*latest);
                        match $put(point, &labels, at, &mut out) {
                            true => out.sink.point_ends(),
                            false => failed += 1,
                        }
                    }
                }
            }};
        }
        match data {
            Data::Gauge(gauge) => each!(gauge.data_points(), put_number),
            Data::Sum(sum) => each!(sum.data_points(), put_number),
            Data::Histogram(histogram) => each!(histogram.data_points(), put_histogram),
            Data::ExponentialHistogram(histogram) => each!(histogram.data_points(), put_native),
            Data::Summary(summary) => each!(summary.data_points(), put_summary),
        }
        self.numbers = out.numbers;
        failed
    }

    fn name(&mut self, metric: &Metric<'_>, kind: Kind) -> Arc<str> {
        let key = self.hasher.ordered([
            self.hasher.bytes(metric.name().as_bytes()),
            self.hasher.bytes(metric.unit().as_bytes()),
            self.hasher.bytes(&[kind as u8]),
        ]);
        let naming = &self.options.naming;
        self.names.get(key, || {
            naming.metric(&metric.name().to_string_lossy(), &metric.unit().to_string_lossy(), kind).into()
        })
    }
}

fn put_number<S: Sink>(point: &NumberPoint<'_>, labels: &LabelSet, at: Moment, out: &mut Out<'_, S>) -> bool {
    let Some(value) = as_double(point.value()).or(at.stale.then_some(0.0)) else { return false };
    let counts = out.family.kind == Kind::Counter;
    let exemplars = if counts { exemplars_of(point.exemplars(), out.naming) } else { Vec::new() };
    out.put("", labels, Extra::None, at.sample(value), &exemplars);
    if counts {
        out.created(labels, at);
    }
    true
}

fn put_histogram<S: Sink>(
    point: &HistogramPoint<'_>,
    labels: &LabelSet,
    at: Moment,
    out: &mut Out<'_, S>,
) -> bool {
    if let Some(sum) = point.sum() {
        out.put("_sum", labels, Extra::None, at.sample(sum), &[]);
    }
    out.put("_count", labels, Extra::None, at.sample(point.count() as f64), &[]);
    let exemplars = exemplars_of(point.exemplars(), out.naming);
    let within = |low: f64, high: f64| -> Cow<'_, [Exemplar]> {
        match exemplars.is_empty() {
            true => Cow::Borrowed(&[]),
            false => exemplars.iter().filter(|one| one.value > low && one.value <= high).cloned().collect(),
        }
    };
    let (mut total, mut below) = (0_u64, f64::NEG_INFINITY);
    for (place, (bound, count)) in point.explicit_bounds().into_iter().zip(point.bucket_counts()).enumerate()
    {
        total = total.saturating_add(count);
        // A bound that is infinite is the bucket that comes below.
        if bound.is_infinite() && bound > 0.0 {
            break;
        }
        let sample = at.sample(total as f64);
        let Out { sink, family, numbers, .. } = out;
        let bucket = Extra::Bucket(numbers.text(place, bound));
        sink.sample(family, "_bucket", labels, bucket, sample, &within(below, bound));
        below = bound;
    }
    let sample = at.sample(point.count() as f64);
    out.put("_bucket", labels, Extra::Bucket("+Inf"), sample, &within(below, f64::INFINITY));
    out.created(labels, at);
    true
}

fn put_native<S: Sink>(
    point: &ExponentialPoint<'_>,
    labels: &LabelSet,
    at: Moment,
    out: &mut Out<'_, S>,
) -> bool {
    let Some(histogram) = Native::new(point) else { return false };
    let exemplars = exemplars_of(point.exemplars(), out.naming);
    out.sink.native(&out.family, labels, &histogram, at.time_ms, &exemplars);
    out.created(labels, at);
    true
}

fn put_summary<S: Sink>(
    point: &SummaryPoint<'_>,
    labels: &LabelSet,
    at: Moment,
    out: &mut Out<'_, S>,
) -> bool {
    out.put("_sum", labels, Extra::None, at.sample(point.sum()), &[]);
    out.put("_count", labels, Extra::None, at.sample(point.count() as f64), &[]);
    for (place, quantile) in point.quantile_values().into_iter().enumerate() {
        let Out { sink, family, numbers, .. } = out;
        let extra = Extra::Quantile(numbers.text(place, quantile.quantile()));
        sink.sample(family, "", labels, extra, at.sample(quantile.value()), &[]);
    }
    out.created(labels, at);
    true
}

fn as_double(value: Option<Number>) -> Option<f64> {
    Some(match value? {
        Number::Double(value) => value,
        Number::Int(value) => value as f64,
    })
}

/// Exemplars by their time. The identifiers of the trace come first; attributes go along where all of them fit.
fn exemplars_of(sent: Many<'_, Sent<'_>>, naming: &Naming) -> Vec<Exemplar> {
    let mut exemplars: Vec<Exemplar> = sent
        .iter()
        .filter_map(|sent| {
            let value = as_double(sent.value())?;
            let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let mut labels: Vec<Label<'_>> = vec![
                (Cow::Borrowed("trace_id"), Cow::Owned(hex(sent.trace_id()))),
                (Cow::Borrowed("span_id"), Cow::Owned(hex(sent.span_id()))),
            ];
            let attributes = sent.filtered_attributes().iter().map(|attribute| {
                let key = attribute.key().to_string_lossy();
                (Cow::Owned(naming.label(&key).into_owned()), crate::text_of(&attribute.value()))
            });
            let attributes: Vec<_> = attributes.collect();
            let chars = |(name, value): &Label<'_>| match value.is_empty() {
                true => 0,
                false => name.chars().count() + value.chars().count(),
            };
            let all = labels.iter().chain(&attributes).map(chars).sum::<usize>();
            if all <= MAX_EXEMPLAR_CHARS {
                labels.extend(attributes);
            }
            let time_ms = (sent.time_unix_nano() / 1_000_000) as i64;
            Some(Exemplar { labels: LabelSet::new(labels), value, time_ms })
        })
        .collect();
    exemplars.sort_by_key(|exemplar| exemplar.time_ms);
    exemplars
}

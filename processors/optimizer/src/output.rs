//! Series that are let out: what was added up, and how it is written.

use std::sync::Arc;

use phoenix_pdata::view::{Number, Temporality};
use phoenix_pdata::wire::{Fields, Wire};
use phoenix_pdata::write::{
    put_bytes, put_double, put_fixed64, put_key, put_message, put_sint32, put_uint, put_varint, varint_len,
};
use phoenix_series::{Explicit, Exponential, Fingerprint, MAX_BUCKETS, NO_RECORDED_VALUE, Slot, Total};

use crate::choice::Choices;
use crate::compress;
use crate::config::GaugeFunction;
use crate::kind::Kind;
use crate::rules::Plan;

/// The most exemplars of a point.
const MAX_EXEMPLARS: usize = 4;

/// What lies around the points of a metric of a resource; shared by its series.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Of resource, scope and metric; equal ones are written once.
    pub(crate) key: [Fingerprint; 3],
    /// The fields of the entry of the resource, but for its scopes.
    pub(crate) resource: Arc<[u8]>,
    /// The fields of the entry of the scope, but for its metrics.
    pub(crate) scope: Arc<[u8]>,
    /// The fields of the metric, but for its data.
    pub(crate) metric: Arc<[u8]>,
    pub(crate) kind: Kind,
}

impl Frame {
    /// The kind in which the points are written.
    pub(crate) fn written_kind(&self, converts: bool) -> Kind {
        match self.kind {
            Kind::Histogram { temporality } if converts => Kind::Exponential { temporality },
            kind => kind,
        }
    }
}

/// A series that is let out.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) frame: Arc<Frame>,
    pub(crate) plan: Arc<Plan>,
    /// As fields of a point.
    pub(crate) attributes: Box<[u8]>,
    pub(crate) value: Accumulated,
    /// From when it counts; of deltas, since when the next point does.
    pub(crate) start: u64,
    /// Whether `start` is known, which may be 0.
    pub(crate) is_started: bool,
    /// Of the latest contribution.
    pub(crate) time: u64,
    /// Of the last point that was let out.
    pub(crate) sent: u64,
    /// When its last contributor said that it ended; 0 while one goes on.
    pub(crate) ended: u64,
    /// How many series go into it and have not ended.
    pub(crate) live: u32,
    /// When it was last heard of.
    pub(crate) seen: u32,
    pub(crate) is_pending: bool,
    /// Whether nothing more is to come, so that what is left has to go out.
    pub(crate) is_last: bool,
    /// The values of capped labels that it holds.
    pub(crate) caps: Box<[(Fingerprint, u64)]>,
    /// Series that point at it.
    pub(crate) contributors: u32,
    /// The share of a limit in which it has a place.
    pub(crate) limit: Option<Slot>,
    /// Whether it lost its place: series that went into it go to the others.
    pub(crate) is_retired: bool,
    /// How much came since places were given the last time, and the average of that.
    pub(crate) heat: f32,
    pub(crate) score: f32,
    /// Encoded, with the labels that their point has no more.
    pub(crate) exemplars: Vec<Box<[u8]>>,
}

/// What was added up.
#[derive(Debug)]
pub(crate) enum Accumulated {
    /// Increments of counters since the start, or deltas since the last point.
    Sum { total: Total, has: bool },
    /// The latest values of the series that go into it; added up when it is let out.
    Latest { function: GaugeFunction, state: Level },
    /// Increments since the start, or deltas since the last point.
    Explicit(Option<Box<Explicit>>),
    /// Increments since the start, or deltas since the last point.
    Exponential(Option<Box<Exponential>>),
    /// The last point, as it came.
    Point(Vec<u8>),
}

/// An aggregate of latest values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    total: Total,
    count: u64,
    extreme: Option<(Number, u64)>,
}

fn as_double(number: Number) -> f64 {
    match number {
        Number::Int(value) => value as f64,
        Number::Double(value) => value,
    }
}

impl Level {
    /// Takes the latest value of a series into account.
    pub(crate) fn add(&mut self, function: GaugeFunction, number: Number, time: u64) {
        self.count += 1;
        let is_better = |old: Number, old_time: u64| match function {
            GaugeFunction::Min => as_double(number) < as_double(old),
            GaugeFunction::Max => as_double(number) > as_double(old),
            _ => time >= old_time,
        };
        if self.extreme.is_none_or(|(old, old_time)| is_better(old, old_time)) {
            self.extreme = Some((number, time));
        }
        self.total.add(number);
    }

    fn value(&self, function: GaugeFunction) -> Option<Number> {
        let extreme = self.extreme.map(|(number, _)| number)?;
        Some(match function {
            GaugeFunction::Last | GaugeFunction::Min | GaugeFunction::Max => extreme,
            GaugeFunction::Sum => self.total.value(),
            GaugeFunction::Avg => Number::Double(as_double(self.total.value()) / self.count as f64),
            GaugeFunction::Count => Number::Int(i64::try_from(self.count).unwrap_or(i64::MAX)),
        })
    }
}

impl Accumulated {
    /// What a series of this kind is added up in; none for those that cannot be.
    pub(crate) fn of(kind: Kind, gauges: Option<GaugeFunction>) -> Option<Accumulated> {
        let latest = |function| Some(Accumulated::Latest { function, state: Level::default() });
        match kind {
            Kind::Gauge => latest(gauges?),
            Kind::Sum { temporality: Temporality::Unspecified, .. }
            | Kind::Histogram { temporality: Temporality::Unspecified }
            | Kind::Exponential { temporality: Temporality::Unspecified }
            | Kind::Summary => None,
            Kind::Sum { monotonic: false, temporality: Temporality::Cumulative } => {
                latest(GaugeFunction::Sum)
            }
            Kind::Sum { .. } => Some(Accumulated::Sum { total: Total::default(), has: false }),
            Kind::Histogram { .. } => Some(Accumulated::Explicit(None)),
            Kind::Exponential { .. } => Some(Accumulated::Exponential(None)),
        }
    }
}

impl Output {
    pub(crate) fn is_delta(&self) -> bool {
        self.frame.kind.temporality() == Some(Temporality::Delta)
    }

    /// It counts more, by so much.
    pub(crate) fn heat(&mut self, by: f64) {
        if by.is_finite() && by > 0.0 {
            self.heat += by as f32;
        }
    }

    /// Notes that something came of a point at this time, whose interval began at `start`.
    pub(crate) fn touch(&mut self, start: u64, time: u64, seen: u32) {
        self.seen = seen;
        self.ended = 0;
        self.time = self.time.max(time);
        if self.is_delta() {
            let start = start.min(time).max(self.sent);
            self.start = if self.is_started { self.start.min(start) } else { start };
        }
        self.is_started = true;
    }

    /// Keeps an exemplar, with what its point is about to lose.
    pub(crate) fn keep_exemplar(&mut self, exemplar: &[u8], lost: &[&[u8]]) {
        let mut out =
            Vec::with_capacity(exemplar.len() + lost.iter().map(|body| body.len() + 4).sum::<usize>());
        out.extend_from_slice(exemplar);
        for body in lost {
            put_bytes(&mut out, 7, body);
        }
        if self.exemplars.len() == MAX_EXEMPLARS {
            self.exemplars.remove(0);
        }
        self.exemplars.push(out.into());
    }

    /// Adds what the same series has under a state that began later.
    pub(crate) fn take_in(&mut self, other: Output) {
        if other.is_started && other.is_delta() {
            let start = other.start.max(self.sent);
            self.start = if self.is_started { self.start.min(start) } else { start };
            self.is_started = true;
        }
        match (&mut self.value, other.value) {
            (Accumulated::Sum { total, has }, Accumulated::Sum { total: theirs, .. }) => {
                total.merge(&theirs);
                *has = true;
            }
            (Accumulated::Explicit(mine), Accumulated::Explicit(Some(mut theirs))) => match mine {
                Some(mine) => {
                    if mine.narrow(&theirs).is_err() {
                        // Without common bounds count and sum are what both can say together.
                        mine.without_buckets();
                        theirs.without_buckets();
                    }
                    let added = mine.add(&theirs);
                    debug_assert!(added.is_ok());
                }
                None => *mine = Some(theirs),
            },
            (Accumulated::Exponential(mine), Accumulated::Exponential(Some(theirs))) => match mine {
                Some(mine) => mine.merge(&theirs, MAX_BUCKETS),
                None => *mine = Some(theirs),
            },
            (Accumulated::Point(mine), Accumulated::Point(theirs)) if other.time >= self.time => {
                *mine = theirs
            }
            _ => {}
        }
        self.time = self.time.max(other.time);
        self.seen = self.seen.max(other.seen);
    }

    /// Whether there is something to let out; where not, it waits for a later time, unless that is `last`.
    pub(crate) fn is_ready(&self, last: bool) -> bool {
        let has = match &self.value {
            Accumulated::Sum { has, .. } => *has,
            Accumulated::Latest { function, state } => state.value(*function).is_some(),
            Accumulated::Explicit(value) => value.is_some(),
            Accumulated::Exponential(value) => value.is_some(),
            Accumulated::Point(body) => !body.is_empty(),
        };
        has && (self.time > self.sent || last && self.is_delta())
    }

    /// Writes what there is as points, fields 1 of the data, and begins the next interval. Returns how many there were.
    pub(crate) fn write(&mut self, last: bool, choices: &Choices, out: &mut Vec<u8>) -> u64 {
        let last = last || self.is_last;
        let mut points = 0;
        let converts = self.plan.converts();
        if self.is_ready(last) {
            // Deltas that came late and were not overtaken until the end still count.
            let time = self.time.max(self.sent.saturating_add(u64::from(self.sent != 0)));
            let kind = self.frame.written_kind(converts);
            let (start, attributes, exemplars) = (self.start.min(time), &self.attributes, &self.exemplars);
            let head = |out: &mut Vec<u8>| {
                if start != 0 && kind != Kind::Gauge {
                    put_fixed64(out, 2, start);
                }
                put_fixed64(out, 3, time);
            };
            let settings = self.plan.histograms.as_ref().map(|(_, settings)| settings);
            put_message(out, 1, |out| match &self.value {
                Accumulated::Point(body) => out.extend_from_slice(body),
                Accumulated::Sum { total, .. } => {
                    head(out);
                    put_number(out, total.value());
                    put_all(out, 5, exemplars);
                    out.extend_from_slice(attributes);
                }
                Accumulated::Latest { function, state } => {
                    head(out);
                    if let Some(number) = state.value(*function) {
                        put_number(out, number);
                    }
                    put_all(out, 5, exemplars);
                    out.extend_from_slice(attributes);
                }
                Accumulated::Explicit(Some(value)) if converts => {
                    let scale = settings.map_or(0, compress::scale_of);
                    let mut made = value.to_exponential(scale);
                    if let Some(settings) = settings {
                        compress::shrink(&mut made, settings);
                    }
                    head(out);
                    put_exponential(out, &made);
                    put_all(out, 11, exemplars);
                    out.extend_from_slice(attributes);
                }
                Accumulated::Explicit(Some(value)) => {
                    head(out);
                    let chosen = choices.of(self.frame.key[2], value);
                    match settings.and_then(|settings| compress::reduced(value, settings, chosen)) {
                        Some(reduced) => put_explicit(out, &reduced),
                        None => put_explicit(out, value),
                    }
                    put_all(out, 8, exemplars);
                    out.extend_from_slice(attributes);
                }
                Accumulated::Exponential(Some(value)) => {
                    head(out);
                    match settings {
                        Some(settings) => {
                            let mut shrunk = (**value).clone();
                            compress::shrink(&mut shrunk, settings);
                            put_exponential(out, &shrunk);
                        }
                        None => put_exponential(out, value),
                    }
                    put_all(out, 11, exemplars);
                    out.extend_from_slice(attributes);
                }
                Accumulated::Explicit(None) | Accumulated::Exponential(None) => {}
            });
            points += 1;
            self.sent = time;
            self.begin_again();
        }
        if self.ended > self.sent {
            let flags_field = match self.frame.kind {
                Kind::Gauge | Kind::Sum { .. } | Kind::Summary => 8,
                Kind::Histogram { .. } | Kind::Exponential { .. } => 10,
            };
            put_message(out, 1, |out| {
                if self.start != 0 && self.frame.kind != Kind::Gauge {
                    put_fixed64(out, 2, self.start.min(self.ended));
                }
                put_fixed64(out, 3, self.ended);
                out.extend_from_slice(&self.attributes);
                put_uint(out, flags_field, u64::from(NO_RECORDED_VALUE));
            });
            points += 1;
            (self.sent, self.ended) = (self.ended, 0);
        }
        self.is_pending = false;
        points
    }

    /// What was let out is not let out again, where points say what is new; a cumulative one goes on.
    fn begin_again(&mut self) {
        self.exemplars.clear();
        let is_delta = self.is_delta();
        self.is_started &= !is_delta;
        match &mut self.value {
            Accumulated::Sum { total, has } if is_delta => (*total, *has) = (Total::default(), false),
            Accumulated::Explicit(value) if is_delta => *value = None,
            Accumulated::Exponential(value) if is_delta => *value = None,
            Accumulated::Point(body) => body.clear(),
            Accumulated::Latest { state, .. } => *state = Level::default(),
            _ => {}
        }
    }
}

/// Writes entries of resources for outputs that are sorted by their frames. `points` writes those of one and says how many.
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
    pub(crate) points: u64,
    open: Option<([Fingerprint; 3], bool)>,
    scopes: Vec<u8>,
    metrics: Vec<u8>,
    data: Vec<u8>,
    frame: Option<Arc<Frame>>,
}

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer {
            out: Vec::new(),
            points: 0,
            open: None,
            scopes: Vec::new(),
            metrics: Vec::new(),
            data: Vec::new(),
            frame: None,
        }
    }

    /// Writes what an output has to say. Returns how many points and bytes that were.
    pub(crate) fn write(&mut self, output: &mut Output, last: bool, choices: &Choices) -> (u64, u64) {
        let key = (output.frame.key, output.plan.converts());
        if self.open.is_some_and(|open| open != key) {
            self.close(Some(key.0));
        }
        self.open = Some(key);
        self.frame = Some(output.frame.clone());
        let before = self.data.len();
        let points = output.write(last, choices, &mut self.data);
        self.points += points;
        let bytes = Fields::new(&self.data[before..]).map(|point| point.body.len() as u64).sum();
        (points, bytes)
    }

    /// Ends the metric that is open, and scope and resource where the next is of another.
    fn close(&mut self, next: Option<[Fingerprint; 3]>) {
        let (Some(frame), Some((key, converts))) = (self.frame.take(), self.open.take()) else { return };
        if !self.data.is_empty() {
            let kind = frame.written_kind(converts);
            let data = std::mem::take(&mut self.data);
            put_message(&mut self.metrics, 2, |out| {
                out.extend_from_slice(&frame.metric);
                put_message(out, kind.field(), |out| {
                    out.extend_from_slice(&data);
                    let temporality = match kind.temporality() {
                        Some(Temporality::Delta) => 1,
                        Some(Temporality::Cumulative) => 2,
                        _ => 0,
                    };
                    if temporality != 0 {
                        put_uint(out, 2, temporality);
                    }
                    if let Kind::Sum { monotonic: true, .. } = kind {
                        put_uint(out, 3, 1);
                    }
                });
            });
            self.data = data;
            self.data.clear();
        }
        let same_resource = next.is_some_and(|next| next[0] == key[0]);
        let same_scope = same_resource && next.is_some_and(|next| next[1] == key[1]);
        if !same_scope && !self.metrics.is_empty() {
            let metrics = std::mem::take(&mut self.metrics);
            put_message(&mut self.scopes, 2, |out| {
                out.extend_from_slice(&frame.scope);
                out.extend_from_slice(&metrics);
            });
        }
        if !same_resource && !self.scopes.is_empty() {
            let scopes = std::mem::take(&mut self.scopes);
            put_message(&mut self.out, 1, |out| {
                out.extend_from_slice(&frame.resource);
                out.extend_from_slice(&scopes);
            });
        }
    }

    /// Ends everything.
    pub(crate) fn finish(mut self) -> (Vec<u8>, u64) {
        self.close(None);
        (self.out, self.points)
    }
}

fn put_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Double(value) => put_double(out, 4, value),
        Number::Int(value) => put_fixed64(out, 6, value as u64),
    }
}

fn put_all(out: &mut Vec<u8>, field: u32, bodies: &[Box<[u8]>]) {
    for body in bodies {
        put_bytes(out, field, body);
    }
}

/// Writes the fields of a histogram, but for times and attributes.
pub(crate) fn put_explicit(out: &mut Vec<u8>, value: &Explicit) {
    put_fixed64(out, 4, value.count);
    if let Some(sum) = value.sum {
        put_double(out, 5, sum);
    }
    if !value.counts.is_empty() {
        put_key(out, 6, Wire::Len);
        put_varint(out, 8 * value.counts.len() as u64);
        value.counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
    }
    if !value.bounds.is_empty() {
        put_key(out, 7, Wire::Len);
        put_varint(out, 8 * value.bounds.len() as u64);
        value.bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
    }
    for (field, value) in [(11, value.min), (12, value.max)] {
        if let Some(value) = value {
            put_double(out, field, value);
        }
    }
}

/// Writes the fields of an exponential histogram, but for times and attributes.
pub(crate) fn put_exponential(out: &mut Vec<u8>, value: &Exponential) {
    put_fixed64(out, 4, value.count);
    if let Some(sum) = value.sum {
        put_double(out, 5, sum);
    }
    put_sint32(out, 6, value.scale);
    if value.zero_count > 0 {
        put_fixed64(out, 7, value.zero_count);
    }
    for (field, buckets) in [(8, &value.positive), (9, &value.negative)] {
        if buckets.counts.is_empty() {
            continue;
        }
        put_message(out, field, |out| {
            put_sint32(out, 1, buckets.offset as i32);
            put_key(out, 2, Wire::Len);
            put_varint(out, buckets.counts.iter().map(|count| varint_len(*count) as u64).sum());
            buckets.counts.iter().for_each(|count| put_varint(out, *count));
        });
    }
    for (field, value) in [(12, value.min), (13, value.max)] {
        if let Some(value) = value {
            put_double(out, field, value);
        }
    }
    if value.zero_threshold != 0.0 {
        put_double(out, 14, value.zero_threshold);
    }
}

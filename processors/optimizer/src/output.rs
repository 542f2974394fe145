//! Series that are let out: what was added up, and how it is written.

use std::sync::Arc;

use phoenix_pdata::view::Temporality;
use phoenix_pdata::write::{put_bytes, put_fixed64, put_message, put_uint};
use phoenix_series::{Fingerprint, NO_RECORDED_VALUE, Slot, Total};

use crate::accumulated::{Accumulated, Level, Merged};
use crate::choice::Choices;
use crate::compress;
use crate::encode::{put_all, put_explicit, put_exponential, put_number};
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
    /// In which the points are written.
    pub(crate) kind: Kind,
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
            (Accumulated::Exponential(mine), Accumulated::Exponential(theirs)) => mine.take_in(theirs),
            (Accumulated::Point(mine), Accumulated::Point(mut theirs)) if other.time >= self.time => {
                theirs.ended.splice(0..0, std::mem::take(&mut mine.ended));
                *mine = theirs;
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
            Accumulated::Exponential(value) => !value.is_empty(),
            Accumulated::Point(latest) => !latest.body.is_empty(),
        };
        has && (self.time > self.sent || last && self.is_delta())
    }

    /// Writes what there is as points, fields 1 of the data, and begins the next interval. Returns how many there were.
    pub(crate) fn write(&mut self, last: bool, choices: &Choices, out: &mut Vec<u8>) -> u64 {
        let last = last || self.is_last;
        let mut points = 0;
        if self.is_ready(last) {
            // Deltas that came late and were not overtaken until the end still count.
            let time = self.time.max(self.sent.saturating_add(u64::from(self.sent != 0)));
            let kind = self.frame.kind;
            let (start, attributes, exemplars) = (self.start.min(time), &self.attributes, &self.exemplars);
            let head = |out: &mut Vec<u8>| {
                if start != 0 && kind != Kind::Gauge {
                    put_fixed64(out, 2, start);
                }
                put_fixed64(out, 3, time);
            };
            let settings = self.plan.histograms.as_ref().map(|(_, settings)| settings);
            if let Accumulated::Point(latest) = &self.value {
                latest.ended.iter().for_each(|body| put_bytes(out, 1, body));
                points += latest.ended.len() as u64;
            }
            put_message(out, 1, |out| match &self.value {
                Accumulated::Point(latest) => out.extend_from_slice(&latest.body),
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
                Accumulated::Exponential(value) => {
                    head(out);
                    if let Some(mut total) = value.total() {
                        if let Some(settings) = settings {
                            compress::shrink(&mut total, settings);
                        }
                        put_exponential(out, &total);
                    }
                    put_all(out, 11, exemplars);
                    out.extend_from_slice(attributes);
                }
                Accumulated::Explicit(None) => {}
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
            Accumulated::Exponential(value) if is_delta => *value = Merged::default(),
            Accumulated::Point(latest) => {
                latest.body.clear();
                latest.ended.clear();
            }
            Accumulated::Latest { state, .. } => *state = Level::default(),
            _ => {}
        }
    }
}

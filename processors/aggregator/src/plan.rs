//! One rule at one of its levels: its series, how far its windows are closed, and what comes out of them.

mod closer;
mod quality;
mod shape;

use std::collections::HashMap;
use std::sync::Weak;

use phoenix_pdata::view::Number;
use phoenix_series::{Fingerprint, Slot, Table, Total};

use crate::config::Late;
use crate::emission::Emission;
use crate::metrics::RuleMetrics;
use crate::route::Pending;
use crate::series::{Frame, Head, Series};
use crate::stream::{Change, Events, Meaning};
use crate::value::Value;

use closer::Closer;

pub(crate) use quality::{PARTS, Quality};
pub(crate) use shape::Shape;

/// A rule at one of its levels.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What it is, so that its state is found again: rule and level.
    pub(crate) id: Fingerprint,
    pub(crate) shape: Shape,
    /// The first plan that groups streams as this one does.
    pub(crate) alike: u16,
    /// The plans whose windows end when those of this one do; none for sessions.
    pub(crate) pace: Option<u16>,
    pub(crate) table: Table<Series>,
    pub(crate) heads: HashMap<Fingerprint, Weak<Head>>,
    /// Series that were removed since heads were looked at.
    pub(crate) removed: usize,
    /// The end of the open window; 0 before the first data point.
    pub(crate) next_end: u64,
    /// Everything up to here was let out.
    pub(crate) closed: u64,
    /// Since when data points are seen: windows that begin before were not seen whole.
    pub(crate) began: u64,
    /// Up to when windows reach that were let out before their end.
    pub(crate) flushed: u64,
    /// Whether a series had something when windows were closed last.
    pub(crate) busy: bool,
    pub(crate) books: Books,
    /// Of the open window.
    pub(crate) quality: Quality,
    /// The largest error of an estimate in the windows that are let out now, where one was compared with the truth.
    pub(crate) error: Option<f64>,
    /// Streams that go here.
    pub(crate) streams: usize,
    /// Bytes of data points that were taken, and not counted yet.
    pub(crate) bytes_in: u64,
    pub(crate) metrics: RuleMetrics,
}

/// Increments of counters: `taken = let_out + dropped + those in open windows`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Books {
    pub(crate) taken: Total,
    pub(crate) let_out: Total,
    pub(crate) dropped: Total,
}

/// What became of a data point at one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    Late,
    Incompatible,
}

/// What a stream hands to a series with a data point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) time: u64,
    /// Since when a delta counts; 0 for all else, and where it is not known.
    pub(crate) start: u64,
    /// What happened to the stream with it.
    pub(crate) events: Events,
    /// The time of the data point before, and since when the stream goes there.
    pub(crate) before: u64,
    pub(crate) since: u64,
    pub(crate) meaning: Meaning,
    /// Whether the stream had ended.
    pub(crate) revives: bool,
    /// Half of its fingerprint.
    pub(crate) stream: u64,
}

/// Whether a rule corrects what such a change comes too late for.
fn is_corrected(change: &Change<'_>, late: Late) -> bool {
    late == Late::Correct && matches!(change, Change::Increment { .. })
}

impl Plan {
    pub(crate) fn new(id: Fingerprint, shape: Shape, metrics: RuleMetrics) -> Plan {
        Plan {
            id,
            shape,
            alike: 0,
            pace: None,
            table: Table::new(usize::MAX),
            heads: HashMap::new(),
            removed: 0,
            next_end: 0,
            closed: 0,
            began: 0,
            flushed: 0,
            busy: false,
            books: Books::default(),
            quality: Quality::default(),
            error: None,
            streams: 0,
            bytes_in: 0,
            metrics,
        }
    }

    /// The first data points were seen: from when on windows are looked at, and since when they are whole.
    pub(crate) fn begin(&mut self, earliest: u64, began: u64) {
        self.next_end = self.shape.end_of(earliest.max(1));
        self.closed = self.next_end - self.shape.step;
        self.began = began;
    }

    pub(crate) fn window_start(&self) -> u64 {
        self.next_end.saturating_sub(self.shape.step)
    }

    /// Takes a data point into a series.
    pub(crate) fn take(&mut self, slot: Slot, change: &Change<'_>, delivery: Delivery) -> Outcome {
        let window_start = self.window_start();
        let Some(series) = self.table.get_mut(slot) else { return Outcome::Taken };
        let carries = self.shape.carries(series.head.kind);
        if delivery.revives {
            series.live += 1;
        }
        let ends = matches!(change, Change::Ended { .. });
        if ends {
            series.live = series.live.saturating_sub(1);
            series.ended |= series.live == 0;
        }
        let increment = match change {
            Change::Increment { value: Value::Number(number), .. } => Some(*number),
            _ => None,
        };
        if let Some(number) = increment {
            self.books.taken.add(number);
        }
        self.metrics.points_in.add(u64::from(!ends));
        if !ends {
            self.quality.point((delivery.start, delivery.time), delivery.before, delivery.events);
        }
        let is_late = delivery.time <= self.closed;
        let within = is_late && self.closed - delivery.time <= self.shape.allowed_lateness;
        if is_late {
            self.quality.late += u64::from(!ends);
            let folds = match change {
                // Else the next data point of the stream would bring it, into the same window.
                Change::Increment { .. } if delivery.meaning == Meaning::Sums => true,
                Change::Increment { .. } => within,
                Change::Level { .. } => carries,
                Change::Summary(_) => false,
                Change::Baseline { .. } | Change::Ended { .. } => true,
            };
            if !folds {
                self.metrics.late_dropped.add(1);
                if let Some(number) = increment {
                    self.books.dropped.add(number);
                }
                return Outcome::Late;
            }
        }
        let corrects = within && is_corrected(change, self.shape.rule.late);
        if is_late && !ends {
            let counter = if corrects { &self.metrics.late_corrected } else { &self.metrics.late_folded };
            counter.add(1);
        }
        let before = if delivery.before > delivery.since { delivery.before } else { 0 };
        // One that fills a gap was overtaken: then its start is what was before.
        let grows_since = if before > delivery.time { delivery.start } else { before };
        let frame = Frame {
            time: delivery.time,
            before,
            member: (delivery.stream, grows_since),
            window_start,
            gap: self.shape.gap,
            carries,
            needs: self.shape.needs_of(series),
            max_scale: self.shape.rule.max_scale,
        };
        let taken = match corrects {
            true => {
                let end = self.shape.end_of(delivery.time);
                // So that it is let out even if nothing else comes.
                self.busy = true;
                series.correct(
                    end,
                    change,
                    Frame { window_start: end - self.shape.step, gap: self.shape.step, ..frame },
                )
            }
            false => series.take(change, frame),
        };
        match taken {
            Ok(()) => Outcome::Taken,
            Err(_) => {
                self.metrics.incompatible.add(1);
                if let Some(number) = increment {
                    self.books.dropped.add(number);
                }
                Outcome::Incompatible
            }
        }
    }

    /// Takes what several streams added to the open window.
    pub(crate) fn unite(&mut self, slot: Slot, pending: &Pending) {
        let Some(series) = self.table.get_mut(slot) else { return };
        let increment = pending.window.accumulator.total();
        if let Some(number) = increment {
            self.books.taken.add(number);
        }
        self.metrics.points_in.add(pending.quality.points);
        self.metrics.incompatible.add(pending.incompatible);
        self.quality.add(&pending.quality);
        if series.unite(pending, self.shape.rule.max_scale).is_err() {
            self.metrics.incompatible.add(pending.window.points);
            if let Some(number) = increment {
                self.books.dropped.add(number);
            }
        }
    }

    /// Whether the estimates of a series are compared with the truth: of one in a hundred, and of the first.
    pub(crate) fn samples(&self, key: Fingerprint) -> bool {
        self.table.is_empty() || key.half().is_multiple_of(100)
    }

    /// A level was held to the end of the window.
    pub(crate) fn hold(&mut self, slot: Slot, end: u64, since: u64, value: Number) {
        let start = end.saturating_sub(self.shape.step);
        if let Some(series) = self.table.get_mut(slot)
            && self.shape.needs(series.head.kind).time_weighted
        {
            series.window.hold_until(end, since, value, start);
            // Windows that are put together of this one need it.
            self.busy = true;
        }
    }

    /// A stream is forgotten; its level goes, if it was carried.
    pub(crate) fn leave(&mut self, slot: Slot, live: bool, level: Option<Number>) {
        self.streams = self.streams.saturating_sub(1);
        let Some(series) = self.table.get_mut(slot) else { return };
        series.streams = series.streams.saturating_sub(1);
        if live {
            series.live = series.live.saturating_sub(1);
        }
        if let Some(value) = level.filter(|_| self.shape.carries(series.head.kind))
            && let Some(level) = series.window.accumulator.level()
        {
            level.leave(value);
        }
    }

    /// Closes the window that ends at `end` for one series; `last` where it is let out before its end, as the last one.
    /// False where nothing of the series is left.
    pub(crate) fn close(&mut self, slot: Slot, end: u64, last: bool, emission: &mut Emission) -> bool {
        let Some(series) = self.table.get_mut(slot) else { return true };
        let mut closer = Closer {
            shape: &self.shape,
            began: self.began,
            books: &mut self.books,
            metrics: &self.metrics,
            emission,
            shown: Vec::new(),
            error: &mut self.error,
        };
        let flushed = closer.close(series, end, last);
        self.flushed = self.flushed.max(flushed);
        let empty = series.is_empty();
        self.busy |= !empty;
        !(empty && series.streams == 0)
    }

    /// Forgets heads that no series has any more, once there may be many of them.
    pub(crate) fn forget_heads(&mut self) {
        if self.removed > self.heads.len() / 4 {
            self.heads.retain(|_, head| head.strong_count() > 0);
            self.removed = 0;
        }
    }

    /// Shows how good the data of the window was, and begins anew.
    pub(crate) fn publish_quality(&mut self) {
        if let Some(error) = self.error.take() {
            self.metrics.query_error.set((error * 1e6).round().min(i64::MAX as f64) as i64);
        }
        self.metrics.bytes_in.add(std::mem::take(&mut self.bytes_in));
        if let Some(score) = std::mem::take(&mut self.quality).score() {
            for (gauge, share) in self.metrics.quality.iter().zip(score) {
                gauge.set((share * 1e6).round() as i64);
            }
        }
    }

    /// Shows the books of increments, rounded.
    pub(crate) fn publish_books(&self) {
        let whole = |total: &Total| match total.value() {
            Number::Int(value) => value,
            Number::Double(value) => value.round() as i64,
        };
        self.metrics.taken.set(whole(&self.books.taken));
        self.metrics.let_out.set(whole(&self.books.let_out));
        self.metrics.dropped.set(whole(&self.books.dropped));
    }
}

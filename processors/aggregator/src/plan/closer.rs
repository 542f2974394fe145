//! Lets windows out.

use phoenix_pdata::view::Number;
use phoenix_series::Exponential;

use super::shape::TIER_BITS;
use super::{Books, Shape};
use crate::accumulator::Accumulator;
use crate::config::{DeadBand, Function, Over, PartialWindows, WindowKind};
use crate::emission::{Emission, Stamp};
use crate::examples::{Chosen, Example};
use crate::kind::{Form, Kind};
use crate::metrics::RuleMetrics;
use crate::series::{Series, Session, Shown, Window};
use crate::value::as_double;

/// A window on its way out.
struct Closing<'a> {
    window: &'a Window,
    running: Option<&'a Accumulator>,
    tier: usize,
    /// Where the window begins, and where it ends or ended early.
    start: u64,
    end: u64,
    /// Since when what is cumulative counts.
    since: u64,
    partial: bool,
    /// It adds to a window that was let out: only what adds up is let out of it.
    corrects: bool,
    examples: &'a [Example],
}

/// Lets windows of a plan out.
pub(super) struct Closer<'a> {
    pub(super) shape: &'a Shape,
    pub(super) began: u64,
    pub(super) books: &'a mut Books,
    pub(super) metrics: &'a RuleMetrics,
    pub(super) emission: &'a mut Emission,
    /// What the series let out last, where there is a dead band.
    pub(super) shown: Vec<Shown>,
    /// The largest error of an estimate.
    pub(super) error: &'a mut Option<f64>,
}

impl Closer<'_> {
    /// Closes a window of a series. Returns up to when it covers if that is before its end.
    pub(super) fn close(&mut self, series: &mut Series, end: u64, last: bool) -> u64 {
        let has_band = self.shape.rule.dead_band.is_some();
        if let Some(more) = series.more.as_deref_mut().filter(|_| has_band) {
            self.shown = std::mem::take(&mut more.shown);
        }
        self.let_out_corrections(series);
        let flushed = self.close_window(series, end, last);
        if let Some(more) = series.more.as_deref_mut().filter(|_| has_band) {
            more.shown = std::mem::take(&mut self.shown);
        }
        flushed
    }

    /// Lets out what came of windows that were let out before.
    fn let_out_corrections(&mut self, series: &mut Series) {
        let corrections = series.more.as_deref_mut().map(|more| std::mem::take(&mut more.corrections));
        for (_, window) in corrections.unwrap_or_default() {
            if let Some(total) = window.accumulator.total() {
                self.books.let_out.add(total);
            }
            let (start, end) = (window.first, window.last);
            let closing = Closing {
                window: &window,
                running: None,
                tier: 0,
                start,
                end,
                since: start,
                partial: false,
                corrects: true,
                examples: &[],
            };
            self.write(series, &closing);
        }
    }

    fn close_window(&mut self, series: &mut Series, end: u64, last: bool) -> u64 {
        if self.shape.gap > 0 {
            self.close_sessions(series, end, last);
            return 0;
        }
        let examples = series.take_examples(|examples| examples.open.take_until(end));
        let carries = self.shape.carries(series.head.kind);
        let has_points = !series.window.is_empty();
        if let Some(total) = series.window.accumulator.total() {
            // Before the sum becomes part of other sums.
            self.books.let_out.add(total);
        }
        if has_points && self.keeps_running(series.head.kind) {
            // Both were added to one series before, so they go together.
            let _ = series.running.merge(&series.window.accumulator, self.shape.max_scale(0));
        }
        if self.shape.parts > 1 {
            self.close_part(series, end, last);
        } else if has_points {
            self.emit(series, &series.window, &examples, 0, end, last);
        } else if series.ended {
            self.emit_end(series, end);
        }
        series.ended = false;
        let mut flushed = if last { series.window.last } else { 0 };
        if let Some(more) = series.more.as_deref_mut().filter(|more| !more.tiers.is_empty()) {
            let _ = more.tiers[0].merge(&series.window, self.shape.max_scale(1));
        }
        self.lift_examples(series, examples, 0);
        for tier in 0..self.shape.tiers.len() {
            let due = last || end.is_multiple_of(self.shape.tiers[tier]);
            let Some(window) = series.more.as_deref_mut().map(|more| std::mem::take(&mut more.tiers[tier]))
            else {
                break;
            };
            let examples = match due {
                true => series.take_examples(|examples| match examples.tiers.get_mut(tier) {
                    Some(chosen) => chosen.take_until(u64::MAX),
                    None => Vec::new(),
                }),
                false => Vec::new(),
            };
            if due && !window.is_empty() {
                let tier_end = end.div_ceil(self.shape.tiers[tier]) * self.shape.tiers[tier];
                self.emit(series, &window, &examples, tier + 1, tier_end, last);
                flushed = flushed.max(if last { window.last } else { 0 });
            }
            let Some(more) = series.more.as_deref_mut() else { break };
            if due {
                if let Some(above) = more.tiers.get_mut(tier + 1) {
                    let _ = above.merge(&window, self.shape.max_scale(tier + 2));
                }
            } else {
                more.tiers[tier] = window;
            }
            self.lift_examples(series, examples, tier + 1);
        }
        series.window.reset(carries);
        flushed
    }

    /// Offers exemplars that were let out to the tier above.
    fn lift_examples(&self, series: &mut Series, examples: Vec<Example>, tier: usize) {
        if examples.is_empty() || tier >= self.shape.tiers.len() {
            return;
        }
        let tiers = &mut series.more.get_or_insert_default().examples.get_or_insert_default().tiers;
        if tiers.len() <= tier {
            tiers.resize_with(tier + 1, Chosen::default);
        }
        for example in examples {
            // All of a tier are of its open window.
            let dropped = tiers[tier].offer(Example { due: 0, ..example }, self.shape.rule.exemplars);
            self.metrics.exemplars_dropped.add(u64::from(dropped));
        }
    }

    fn keeps_running(&self, kind: Kind) -> bool {
        !matches!(kind, Kind::UpDownCounter)
            && self.shape.outputs[usize::from(kind.number())].iter().any(|(_, form)| form.is_cumulative())
    }

    /// Puts the closed part to those before it, and lets out the whole.
    fn close_part(&mut self, series: &mut Series, end: u64, last: bool) {
        let fresh = !series.window.is_empty();
        let Some(more) = series.more.as_deref_mut() else { return };
        more.parts.push_back(series.window.clone());
        while more.parts.len() > self.shape.parts {
            more.parts.pop_front();
        }
        let mut whole = Window::default();
        for part in &more.parts {
            let _ = whole.merge(part, self.shape.max_scale(0));
        }
        if more.parts.iter().all(Window::is_nothing) {
            more.parts.clear();
        }
        let lets_out = fresh || self.shape.rule.window == WindowKind::Hopping;
        if lets_out && !whole.is_empty() {
            self.emit(series, &whole, &[], 0, end, last);
        }
    }

    fn close_sessions(&mut self, series: &mut Series, end: u64, last: bool) {
        let Some(more) = series.more.as_deref_mut() else { return };
        let over = |session: &Session| last || session.window.last.saturating_add(self.shape.gap) <= end;
        let count = more.sessions.iter().take_while(|session| over(session)).count();
        let closed: Vec<Session> = more.sessions.drain(..count).collect();
        for Session { window: session, .. } in closed {
            let examples = series.take_examples(|examples| examples.open.take_before(session.last));
            if let Some(total) = session.accumulator.total() {
                self.books.let_out.add(total);
            }
            let open = last && session.last.saturating_add(self.shape.gap) > end;
            let closing = Closing {
                window: &session,
                running: None,
                tier: 0,
                start: session.first,
                end: session.last,
                since: session.first,
                partial: open || session.first < self.began,
                corrects: false,
                examples: &examples,
            };
            self.write(series, &closing);
        }
        series.ended = false;
    }

    fn emit(
        &mut self,
        series: &Series,
        window: &Window,
        examples: &[Example],
        tier: usize,
        end: u64,
        last: bool,
    ) {
        let length = match tier.checked_sub(1) {
            None => self.shape.step * self.shape.parts as u64,
            Some(index) => self.shape.tiers[index],
        };
        let begins = end.saturating_sub(length);
        let start = if self.began < end { begins.max(self.began) } else { begins };
        let ends = if last { window.last.max(start + 1).min(end) } else { end };
        let closing = Closing {
            window,
            running: Some(&series.running).filter(|running| !running.is_empty()),
            tier,
            start,
            end: ends,
            since: series.start.min(ends),
            partial: begins < self.began || ends < end,
            corrects: false,
            examples,
        };
        self.write(series, &closing);
    }

    /// The last stream of a series ended without a further data point.
    fn emit_end(&mut self, series: &Series, end: u64) {
        self.shown.clear();
        let outputs = &self.shape.outputs[usize::from(series.head.kind.number())];
        for (index, (_, form)) in outputs.iter().enumerate() {
            if matches!(form, Form::Gauge | Form::Sum { .. }) {
                let stamp = self.stamp(series, 0, end, false);
                self.emission
                    .add(&series.head, (index as u16) << TIER_BITS, false, |out| stamp.put_number(out, None));
                self.metrics.points_out.add(1);
            }
        }
    }

    fn stamp<'s>(&self, series: &'s Series, start: u64, time: u64, partial: bool) -> Stamp<'s> {
        Stamp {
            start,
            time,
            attributes: &series.attributes,
            attributes_field: series.head.kind.attributes_field(),
            examples: &[],
            labelled: partial && self.shape.partial == PartialWindows::Label,
        }
    }

    fn write(&mut self, series: &Series, closing: &Closing<'_>) {
        let kind = series.head.kind;
        let outputs = &self.shape.outputs[usize::from(kind.number())];
        let holds_back = self.holds_back(outputs, closing);
        for (index, (function, form)) in outputs.iter().enumerate() {
            let cumulative = form.is_cumulative();
            if closing.corrects && !form.adds_up() {
                continue;
            }
            if closing.partial && !cumulative {
                self.metrics.partial.add(1);
                if self.shape.partial == PartialWindows::Drop {
                    continue;
                }
            }
            // What is cumulative is as whole as it ever was.
            let partial = closing.partial && !cumulative;
            let start = if cumulative { closing.since } else { closing.start };
            let mut stamp = self.stamp(series, start, closing.end, partial);
            if form.is_cumulative() || form.adds_up() && !matches!(function, Function::Count) {
                stamp.examples = closing.examples;
            }
            let which = (index as u16) << TIER_BITS | closing.tier as u16;
            let value = match (cumulative, closing.running) {
                (true, Some(running)) => running,
                _ => &closing.window.accumulator,
            };
            let emission = &mut *self.emission;
            let (before, bytes_before) = (emission.len(), emission.bytes());
            match (form, value) {
                (Form::Explicit(_), Accumulator::Explicit(histogram)) => {
                    emission.add(&series.head, which, partial, |out| {
                        stamp.put_explicit(out, histogram, !cumulative)
                    });
                }
                (Form::Exponential(_), Accumulator::Exponential(histogram)) => {
                    emission.add(&series.head, which, partial, |out| {
                        stamp.put_exponential(out, histogram, !cumulative)
                    });
                }
                (Form::Exponential(_), Accumulator::Level(level)) => {
                    let histogram = level.moments.as_ref().and_then(|moments| moments.histogram.as_ref());
                    if let Some(histogram) = histogram {
                        emission.add(&series.head, which, partial, |out| {
                            stamp.put_exponential(out, histogram, true)
                        });
                    }
                }
                (Form::Summary, Accumulator::Summary(last)) => {
                    emission.add(&series.head, which, partial, |out| stamp.put_summary(out, &last.1));
                }
                (Form::Gauge | Form::Sum { .. }, value) => {
                    let seconds = closing.end.saturating_sub(closing.start) as f64 / 1e9;
                    let (over, carries) = (self.shape.rule.over, self.shape.carries(kind));
                    let number = evaluate(*function, value, closing.window, seconds, over, carries);
                    let is_gauge = *form == Form::Gauge;
                    if let Some(number) = number {
                        compare(self.error, *function, value, number);
                        let band = self.shape.rule.dead_band.as_ref().filter(|_| is_gauge);
                        let new = Shown { which, time: closing.end, value: as_double(number), calm: 0 };
                        let stays = match holds_back {
                            Some(all) => is_gauge && all,
                            None => {
                                band.is_some_and(|band| !leaves_band(band, &mut self.shown, new, [new.value]))
                            }
                        };
                        if stays {
                            self.metrics.held_back.add(1);
                            continue;
                        }
                        emission.add(&series.head, which, partial, |out| stamp.put_number(out, Some(number)));
                    } else if series.live == 0 && series.ended {
                        emission.add(&series.head, which, partial, |out| stamp.put_number(out, None));
                    }
                }
                _ => {}
            }
            if !stamp.examples.is_empty() {
                self.metrics.exemplars_kept.add(stamp.examples_within().count() as u64);
            }
            self.metrics.points_out.add((emission.len() - before) as u64);
            self.metrics.bytes_out.add((emission.bytes() - bytes_before) as u64);
        }
    }
}

impl Closer<'_> {
    /// Whether all gauges of a window are held back, where they go out together with an envelope: by the first of them, and
    /// by the smallest and the largest value. None where each of them goes by itself.
    fn holds_back(&mut self, outputs: &[(Function, Form)], closing: &Closing<'_>) -> Option<bool> {
        let band = self.shape.rule.dead_band.as_ref().filter(|band| band.envelope)?;
        let Accumulator::Level(level) = &closing.window.accumulator else { return None };
        let extent = level.extent.as_ref()?;
        let index = outputs.iter().position(|(_, form)| *form == Form::Gauge)?;
        let seconds = closing.end.saturating_sub(closing.start) as f64 / 1e9;
        let (function, over) = (outputs[index].0, self.shape.rule.over);
        let value = evaluate(function, &closing.window.accumulator, closing.window, seconds, over, false)?;
        let which = (index as u16) << TIER_BITS | closing.tier as u16;
        let new = Shown { which, time: closing.end, value: as_double(value), calm: 0 };
        let values = [new.value, as_double(extent.min), as_double(extent.max)];
        Some(!leaves_band(band, &mut self.shown, new, values))
    }
}

/// Compares an estimate with the truth, where the values were kept; the largest error stays.
fn compare(largest: &mut Option<f64>, function: Function, value: &Accumulator, estimate: Number) {
    let Accumulator::Level(level) = value else { return };
    let shadow = level.moments.as_ref().and_then(|moments| moments.shadow.as_ref());
    if let Some(error) = shadow.and_then(|shadow| shadow.error_of(function, as_double(estimate))) {
        *largest = Some(largest.map_or(error, |largest| largest.max(error)));
    }
}

/// Whether a gauge has to go out: one of its values left the dead band around what went out last, or that is long ago. Then it is
/// noted.
fn leaves_band(
    band: &DeadBand,
    shown: &mut Vec<Shown>,
    new: Shown,
    values: impl IntoIterator<Item = f64>,
) -> bool {
    let Some(last) = shown.iter_mut().find(|shown| shown.which == new.which) else {
        shown.push(new);
        return true;
    };
    let width = band.absolute.max(band.relative * last.value.abs());
    let due = new.time.saturating_sub(last.time) >= band.heartbeat.as_nanos().max(0) as u64;
    let is_calm = values.into_iter().all(|value| (value - last.value).abs() <= width);
    let calm = if is_calm { last.calm.saturating_add(1) } else { 0 };
    let leaves = due || calm <= band.calm_windows;
    if leaves {
        *last = new;
    }
    last.calm = calm;
    leaves
}

/// A quantile as far as buckets tell it, and never beyond the smallest and the largest value where they are known.
fn quantile(histogram: &Exponential, q: f64) -> Option<f64> {
    let value = histogram.quantile(q)?;
    let value = histogram.min.map_or(value, |min| value.max(min));
    Some(histogram.max.map_or(value, |max| value.min(max)))
}

/// The number that a function gives; none where there is none. `carries` where levels stay until they are replaced.
fn evaluate(
    function: Function,
    value: &Accumulator,
    window: &Window,
    seconds: f64,
    over: Over,
    carries: bool,
) -> Option<Number> {
    use Function::*;
    let double = |value: f64| value.is_finite().then_some(Number::Double(value));
    match (function, value) {
        (Count, _) => Some(Number::Int(window.points as i64)),
        (Series, _) => Some(Number::Int(window.streams() as i64)),
        (RateSum, _) => double(window.members.as_ref()?.rates()?.0),
        (RateAvg, _) => window.members.as_ref()?.rates().and_then(|(sum, all)| double(sum / all as f64)),
        (Sum | Increase | SumSamples | Total, Accumulator::Counter(total)) => Some(total.value()),
        (Rate, Accumulator::Counter(total)) => double(as_double(total.value()) / seconds),
        (Avg, Accumulator::Explicit(histogram)) => double(histogram.sum? / histogram.count as f64),
        (Avg, Accumulator::Exponential(histogram)) => double(histogram.sum? / histogram.count as f64),
        (Min, Accumulator::Explicit(histogram)) => double(histogram.min?),
        (Min, Accumulator::Exponential(histogram)) => double(histogram.min?),
        (Max, Accumulator::Explicit(histogram)) => double(histogram.max?),
        (Max, Accumulator::Exponential(histogram)) => double(histogram.max?),
        (Quantile(q), Accumulator::Explicit(histogram)) => double(histogram.quantile(q)?),
        (Quantile(q), Accumulator::Exponential(histogram)) => double(quantile(histogram, q)?),
        (function, Accumulator::Level(level)) => {
            let extent = level.extent.as_ref();
            let moments = level.moments.as_deref();
            // What the streams of a window say that is put together of others.
            let levels = window.members.as_ref().filter(|_| !carries).map(|members| members.levels());
            let (sum, series) = levels.unwrap_or((level.latest, level.series));
            match function {
                Sum => (series > 0).then(|| sum.value()),
                Last => extent.map(|extent| extent.last.1),
                First => extent.map(|extent| extent.first.1),
                Min => extent.map(|extent| extent.min),
                Max => extent.map(|extent| extent.max),
                Avg if over == Over::Series && series > 0 => double(as_double(sum.value()) / series as f64),
                SumSamples => moments.filter(|moments| moments.count > 0).map(|moments| moments.sum.value()),
                Avg => double(moments?.mean()?),
                TimeWeightedAvg => moments.filter(|moments| moments.weight > 0.0).map_or_else(
                    || extent.map(|extent| extent.last.1),
                    |moments| double(moments.weighted / moments.weight),
                ),
                Stddev => double(moments?.variance()?.sqrt()),
                Stdvar => double(moments?.variance()?),
                Unique => Some(Number::Int(moments?.unique.as_ref()?.count() as i64)),
                Quantile(q) => double(quantile(moments?.histogram.as_ref()?, q)?),
                _ => None,
            }
        }
        _ => None,
    }
}

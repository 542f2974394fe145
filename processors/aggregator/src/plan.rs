//! One rule at one of its levels: its series, how far its windows are closed, and what comes out of them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use phoenix_pdata::view::Number;
use phoenix_series::{Fingerprint, Slot, Table, Total};

use crate::accumulator::{Accumulator, Needs};
use crate::config::{Function, Over, PartialWindows, Rule, WindowKind};
use crate::emission::{Emission, Naming, Stamp};
use crate::glob::Glob;
use crate::kind::{Form, Kind};
use crate::labels::{Grouping, Labels, fill};
use crate::metrics::RuleMetrics;
use crate::series::{Frame, Head, More, Series, Window};
use crate::stream::{Change, Meaning};
use crate::value::{Value, as_double};

/// Kinds of metrics, by number.
const KINDS: usize = 11;
/// Tiers fit into the low bits of what an output is told apart by.
const TIER_BITS: u16 = 4;

/// What does not change while windows come and go.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) rule: Arc<Rule>,
    pub(crate) grouping: Grouping,
    /// How long a window is; how often sessions are looked at.
    pub(crate) step: u64,
    /// How many steps a window takes.
    parts: usize,
    gap: u64,
    tiers: Vec<u64>,
    outputs: [Vec<(Function, Form)>; KINDS],
    needs: [Needs; KINDS],
    partial: PartialWindows,
    /// How far behind a closed window an increment is still taken.
    allowed_lateness: u64,
    exclude: Vec<Glob>,
    names: Vec<Glob>,
    attributes: Vec<(String, Vec<Glob>, bool)>,
}

/// A rule at one of its levels.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What it is, so that its state is found again: rule and level.
    pub(crate) id: Fingerprint,
    pub(crate) shape: Shape,
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
    /// The time of the data point before, and since when the stream goes there.
    pub(crate) before: u64,
    pub(crate) since: u64,
    pub(crate) meaning: Meaning,
    /// Whether the stream had ended.
    pub(crate) revives: bool,
}

impl Shape {
    pub(crate) fn new(
        rule: Arc<Rule>,
        grouping: Grouping,
        partial: PartialWindows,
        allowed_lateness: u64,
    ) -> Shape {
        let nanos = |duration: phoenix_config::GoDuration| duration.as_nanos().max(0) as u64;
        let (interval, every, gap) = (nanos(rule.interval), nanos(rule.every), nanos(rule.gap));
        let (step, parts) = match rule.window {
            WindowKind::Tumbling => (interval, 1),
            WindowKind::Hopping | WindowKind::Sliding => (every, (interval / every.max(1)) as usize),
            WindowKind::Session => ((gap / 4).max(1_000_000_000), 1),
        };
        let globs =
            |patterns: &[String]| patterns.iter().map(|pattern| Glob::new(pattern)).collect::<Vec<_>>();
        let mut shape = Shape {
            step: step.max(1),
            parts,
            gap: if rule.window == WindowKind::Session { gap } else { 0 },
            tiers: rule.tiers.iter().map(|tier| nanos(tier.interval)).collect(),
            outputs: Default::default(),
            needs: [Needs::default(); KINDS],
            partial,
            allowed_lateness,
            exclude: globs(&rule.matches.exclude),
            names: globs(&rule.matches.names),
            attributes: rule
                .matches
                .attributes
                .iter()
                .map(|attribute| (attribute.key.clone(), globs(&attribute.values), attribute.not))
                .collect(),
            rule,
            grouping,
        };
        for kind in (0..KINDS as u8).filter_map(Kind::from_number) {
            let outputs = shape.outputs_of(kind);
            let has = |wanted: fn(&Function) -> bool| outputs.iter().any(|(function, _)| wanted(function));
            shape.needs[usize::from(kind.number())] = Needs {
                moments: has(|function| {
                    use Function::*;
                    matches!(function, Avg | Stddev | Stdvar | Unique | Histogram | Quantile(_))
                }),
                histogram: has(|function| matches!(function, Function::Histogram | Function::Quantile(_))),
                unique: has(|function| *function == Function::Unique),
                time_weighted: has(|function| *function == Function::TimeWeightedAvg),
            };
            shape.outputs[usize::from(kind.number())] = outputs;
        }
        shape
    }

    fn outputs_of(&self, kind: Kind) -> Vec<(Function, Form)> {
        let overlaps = self.overlaps() || self.gap > 0 && kind == Kind::UpDownCounter;
        let natural = kind.natural(self.grouping.keeps_identity(), overlaps);
        let functions = match self.rule.outputs.is_empty() {
            true => natural.into_iter().collect(),
            false => self.rule.outputs.clone(),
        };
        let form = |function| Some((function, kind.form(function, overlaps)?));
        functions.into_iter().filter_map(form).collect()
    }

    fn overlaps(&self) -> bool {
        self.rule.overlaps()
    }

    /// The kind of what comes out for a kind that comes in; none where the rule makes nothing of it.
    pub(crate) fn kind(&self, kind: Kind) -> Option<Kind> {
        use crate::config::TemporalityChoice::{Delta, Preserve};
        let tumbling = self.rule.window == WindowKind::Tumbling;
        let choice =
            if tumbling || self.rule.temporality != Preserve { self.rule.temporality } else { Delta };
        let kind = kind.with(choice);
        (!self.outputs[usize::from(kind.number())].is_empty()).then_some(kind)
    }

    /// Whether the rule takes metrics of this name.
    pub(crate) fn matches_name(&self, name: &[u8]) -> bool {
        (self.names.is_empty() || self.names.iter().any(|glob| glob.is_match(name)))
            && !self.exclude.iter().any(|glob| glob.is_match(name))
    }

    pub(crate) fn matches_kind(&self, kind: Kind) -> bool {
        let kinds = &self.rule.matches.kinds;
        kinds.is_empty() || kinds.iter().any(|wanted| kind.matches(*wanted))
    }

    pub(crate) fn matches_labels(&self, labels: &Labels) -> bool {
        self.attributes.iter().all(|(key, values, not)| {
            let found = labels.text(key).is_some_and(|text| {
                values.is_empty() || values.iter().any(|glob| glob.is_match(text.as_bytes()))
            });
            found != *not
        })
    }

    pub(crate) fn needs(&self, kind: Kind) -> Needs {
        self.needs[usize::from(kind.number())]
    }

    /// Whether levels stay until they are replaced.
    fn carries(&self, kind: Kind) -> bool {
        kind == Kind::UpDownCounter && self.gap == 0
    }

    /// What a new series needs beside its window.
    pub(crate) fn more(&self) -> Option<Box<More>> {
        (!self.tiers.is_empty() || self.parts > 1 || self.gap > 0).then(|| {
            let tiers = self.tiers.iter().map(|_| Window::default()).collect();
            Box::new(More { tiers, ..More::default() })
        })
    }

    fn max_scale(&self, tier: usize) -> i32 {
        let tiers = self.rule.tiers.iter().take(tier).filter_map(|tier| tier.max_scale);
        tiers.chain([self.rule.max_scale]).min().unwrap_or(self.rule.max_scale)
    }

    /// The end of the window that a time is in.
    pub(crate) fn end_of(&self, time: u64) -> u64 {
        time.div_ceil(self.step).max(1).saturating_mul(self.step)
    }

    fn interval_text(&self, tier: usize) -> String {
        let interval = match tier.checked_sub(1) {
            None => self.rule.interval,
            Some(index) => self.rule.tiers[index].interval,
        };
        // As people write it: 1m, not 1m0s.
        let text = interval.to_string();
        let text = if text.ends_with("m0s") { &text[..text.len() - 2] } else { &text };
        let text = if text.ends_with("h0m") { &text[..text.len() - 2] } else { text };
        text.to_owned()
    }

    /// How an output is called.
    pub(crate) fn naming(&self, head: &Head, which: u16) -> Naming {
        let (tier, output) = (usize::from(which & ((1 << TIER_BITS) - 1)), usize::from(which >> TIER_BITS));
        let (function, form) = self.outputs[usize::from(head.kind.number())][output];
        let name = String::from_utf8_lossy(&head.name);
        let plain = !self.overlaps()
            && matches!(function, Function::Sum | Function::Increase | Function::Total | Function::Last);
        let template = match (self.rule.name.as_str(), plain) {
            ("", true) => "{name}",
            ("", false) => "{name}.{output}",
            (template, _) => template,
        };
        let name = match template {
            // As it came, even if it is not UTF-8.
            "{name}" => head.name.to_vec(),
            template => fill(template, |key| match key {
                "name" => name.to_string(),
                "output" => function.to_string(),
                "interval" => self.interval_text(tier),
                _ => self.rule.id.clone(),
            })
            .into_bytes(),
        };
        let unit = match function {
            Function::Count => b"{datapoint}".to_vec(),
            Function::Series => b"{series}".to_vec(),
            Function::Unique => b"{value}".to_vec(),
            Function::Stdvar => Vec::new(),
            Function::Rate if head.unit.is_empty() => b"1/s".to_vec(),
            Function::Rate => [&*head.unit, b"/s"].concat(),
            _ => head.unit.to_vec(),
        };
        let interval = (!self.tiers.is_empty()).then(|| Arc::from(self.interval_text(tier)));
        Naming { form, name, unit, interval }
    }
}

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
}

impl Plan {
    pub(crate) fn new(id: Fingerprint, shape: Shape, metrics: RuleMetrics) -> Plan {
        Plan {
            id,
            shape,
            table: Table::new(usize::MAX),
            heads: HashMap::new(),
            removed: 0,
            next_end: 0,
            closed: 0,
            began: 0,
            flushed: 0,
            busy: false,
            books: Books::default(),
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
        if delivery.time <= self.closed {
            let folds = match change {
                // Else the next data point of the stream would bring it, into the same window.
                Change::Increment { .. } if delivery.meaning == Meaning::Sums => true,
                Change::Increment { .. } => self.closed - delivery.time <= self.shape.allowed_lateness,
                Change::Level { .. } => carries,
                Change::Summary(_) => false,
                Change::Baseline | Change::Ended { .. } => true,
            };
            if !folds {
                self.metrics.late_dropped.add(1);
                if let Some(number) = increment {
                    self.books.dropped.add(number);
                }
                return Outcome::Late;
            }
            self.metrics.late_folded.add(u64::from(!ends));
        }
        let frame = Frame {
            time: delivery.time,
            before: if delivery.before > delivery.since { delivery.before } else { 0 },
            window_start,
            gap: self.shape.gap,
            carries,
            needs: self.shape.needs[usize::from(series.head.kind.number())],
            max_scale: self.shape.rule.max_scale,
        };
        match series.take(change, frame) {
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

    /// A level was held to the end of the window.
    pub(crate) fn hold(&mut self, slot: Slot, end: u64, since: u64, value: Number) {
        let start = end.saturating_sub(self.shape.step);
        if let Some(series) = self.table.get_mut(slot)
            && self.shape.needs(series.head.kind).time_weighted
        {
            series.window.hold_until(end, since, value, start);
        }
    }

    /// A stream is forgotten; its level goes, if it was carried.
    pub(crate) fn leave(&mut self, slot: Slot, live: bool, level: Option<Number>) {
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

/// Lets windows of a plan out.
struct Closer<'a> {
    shape: &'a Shape,
    began: u64,
    books: &'a mut Books,
    metrics: &'a RuleMetrics,
    emission: &'a mut Emission,
}

impl Closer<'_> {
    /// Closes a window of a series. Returns up to when it covers if that is before its end.
    fn close(&mut self, series: &mut Series, end: u64, last: bool) -> u64 {
        if self.shape.gap > 0 {
            self.close_sessions(series, end, last);
            return 0;
        }
        let carries = self.shape.carries(series.head.kind);
        let has_points = !series.window.is_empty();
        if let Some(total) = series.window.accumulator.total() {
            // Before the sum becomes part of other sums.
            self.books.let_out.add(total);
        }
        if has_points && self.keeps_running(series.head.kind) {
            let running = series.running.get_or_insert_default();
            // Both were added to one series before, so they go together.
            let _ = running.merge(&series.window.accumulator, self.shape.max_scale(0));
        }
        if self.shape.parts > 1 {
            self.close_part(series, end, last);
        } else if has_points {
            self.emit(series, &series.window, 0, end, last);
        } else if series.ended {
            self.emit_end(series, end);
        }
        series.ended = false;
        let mut flushed = if last { series.window.last } else { 0 };
        if let Some(more) = series.more.as_deref_mut().filter(|more| !more.tiers.is_empty()) {
            let _ = more.tiers[0].merge(&series.window, self.shape.max_scale(1));
        }
        for tier in 0..self.shape.tiers.len() {
            let due = last || end.is_multiple_of(self.shape.tiers[tier]);
            let Some(window) = series.more.as_deref_mut().map(|more| std::mem::take(&mut more.tiers[tier]))
            else {
                break;
            };
            if due && !window.is_empty() {
                let tier_end = end.div_ceil(self.shape.tiers[tier]) * self.shape.tiers[tier];
                self.emit(series, &window, tier + 1, tier_end, last);
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
        }
        series.window.reset(carries);
        flushed
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
        if more.parts.iter().all(Window::is_empty) {
            more.parts.clear();
        }
        let lets_out = fresh || self.shape.rule.window == WindowKind::Hopping;
        if lets_out && !whole.is_empty() {
            self.emit(series, &whole, 0, end, last);
        }
    }

    fn close_sessions(&mut self, series: &mut Series, end: u64, last: bool) {
        let Some(more) = series.more.as_deref_mut() else { return };
        let over = |session: &Window| last || session.last.saturating_add(self.shape.gap) <= end;
        let count = more.sessions.iter().take_while(|session| over(session)).count();
        let closed: Vec<Window> = more.sessions.drain(..count).collect();
        for session in closed {
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
            };
            self.write(series, &closing);
        }
        series.ended = false;
    }

    fn emit(&mut self, series: &Series, window: &Window, tier: usize, end: u64, last: bool) {
        let length = match tier.checked_sub(1) {
            None => self.shape.step * self.shape.parts as u64,
            Some(index) => self.shape.tiers[index],
        };
        let begins = end.saturating_sub(length);
        let start = if self.began < end { begins.max(self.began) } else { begins };
        let ends = if last { window.last.max(start + 1).min(end) } else { end };
        let closing = Closing {
            window,
            running: series.running.as_deref(),
            tier,
            start,
            end: ends,
            since: series.start.min(ends),
            partial: begins < self.began || ends < end,
        };
        self.write(series, &closing);
    }

    /// The last stream of a series ended without a further data point.
    fn emit_end(&mut self, series: &Series, end: u64) {
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
            labelled: partial && self.shape.partial == PartialWindows::Label,
        }
    }

    fn write(&mut self, series: &Series, closing: &Closing<'_>) {
        let kind = series.head.kind;
        let outputs = &self.shape.outputs[usize::from(kind.number())];
        for (index, (function, form)) in outputs.iter().enumerate() {
            let cumulative = form.is_cumulative();
            if closing.partial && !cumulative {
                self.metrics.partial.add(1);
                if self.shape.partial == PartialWindows::Drop {
                    continue;
                }
            }
            // What is cumulative is as whole as it ever was.
            let partial = closing.partial && !cumulative;
            let start = if cumulative { closing.since } else { closing.start };
            let stamp = self.stamp(series, start, closing.end, partial);
            let which = (index as u16) << TIER_BITS | closing.tier as u16;
            let value = match (cumulative, closing.running) {
                (true, Some(running)) => running,
                _ => &closing.window.accumulator,
            };
            let emission = &mut *self.emission;
            let before = emission.len();
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
                (Form::Summary, Accumulator::Summary(_, point)) => {
                    emission.add(&series.head, which, partial, |out| stamp.put_summary(out, point));
                }
                (Form::Gauge | Form::Sum { .. }, value) => {
                    let seconds = closing.end.saturating_sub(closing.start) as f64 / 1e9;
                    let number = evaluate(*function, value, closing.window, seconds, self.shape.rule.over);
                    if let Some(number) = number {
                        emission.add(&series.head, which, partial, |out| stamp.put_number(out, Some(number)));
                    } else if series.live == 0 && series.ended {
                        emission.add(&series.head, which, partial, |out| stamp.put_number(out, None));
                    }
                }
                _ => {}
            }
            self.metrics.points_out.add((emission.len() - before) as u64);
        }
    }
}

/// The number that a function gives; none where there is none.
fn evaluate(
    function: Function,
    value: &Accumulator,
    window: &Window,
    seconds: f64,
    over: Over,
) -> Option<Number> {
    use Function::*;
    let double = |value: f64| value.is_finite().then_some(Number::Double(value));
    match (function, value) {
        (Count, _) => Some(Number::Int(window.points as i64)),
        (Series, _) => Some(Number::Int(window.series as i64)),
        (Sum | Increase | Total, Accumulator::Counter(total)) => Some(total.value()),
        (Rate, Accumulator::Counter(total)) => double(as_double(total.value()) / seconds),
        (Avg, Accumulator::Explicit(histogram)) => double(histogram.sum? / histogram.count as f64),
        (Avg, Accumulator::Exponential(histogram)) => double(histogram.sum? / histogram.count as f64),
        (Min, Accumulator::Explicit(histogram)) => double(histogram.min?),
        (Min, Accumulator::Exponential(histogram)) => double(histogram.min?),
        (Max, Accumulator::Explicit(histogram)) => double(histogram.max?),
        (Max, Accumulator::Exponential(histogram)) => double(histogram.max?),
        (Quantile(q), Accumulator::Explicit(histogram)) => double(histogram.quantile(q)?),
        (Quantile(q), Accumulator::Exponential(histogram)) => double(histogram.quantile(q)?),
        (function, Accumulator::Level(level)) => {
            let extent = level.extent.as_ref();
            let moments = level.moments.as_deref();
            match function {
                Sum => (level.series > 0).then(|| level.latest.value()),
                Last => extent.map(|extent| extent.last.1),
                First => extent.map(|extent| extent.first.1),
                Min => extent.map(|extent| extent.min),
                Max => extent.map(|extent| extent.max),
                Avg if over == Over::Series && level.series > 0 => {
                    double(as_double(level.latest.value()) / level.series as f64)
                }
                Avg => double(moments?.mean()?),
                TimeWeightedAvg => moments.filter(|moments| moments.weight > 0.0).map_or_else(
                    || extent.map(|extent| extent.last.1),
                    |moments| double(moments.weighted / moments.weight),
                ),
                Stddev => double(moments?.variance()?.sqrt()),
                Stdvar => double(moments?.variance()?),
                Unique => Some(Number::Int(moments?.unique.as_ref()?.count() as i64)),
                Quantile(q) => double(moments?.histogram.as_ref()?.quantile(q)?),
                _ => None,
            }
        }
        _ => None,
    }
}

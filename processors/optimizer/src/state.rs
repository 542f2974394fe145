//! The series that come in, the series that are let out, and how the ones lead to the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use phoenix_pdata::view::{AnyValue, Number};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_attribute, put_bytes, put_message};
use phoenix_series::{Distinct, Fingerprint, Hasher, Place as Instant, Slot, Table};

use crate::compress::Buffers;
use crate::config::{InitialValue, LimitScope, OptimizerConfig};
use crate::contribute::{Moment, contribute, end};
use crate::kind::{Kind, Reading, Value};
use crate::labels::{Labels, Step};
use crate::metrics::{OptimizerMetrics, Reason};
use crate::output::{Accumulated, Frame, Output};
use crate::rules::{Place, Plan, RuleSet, TopK};
use crate::series::{Goes, Last, OUTDATED, Series};
use crate::top_k::Ranking;

/// The attribute of the series that holds all others of a metric, as the SDKs write it.
const OVERFLOW: &str = "otel.metric.overflow";
/// The latest value of a series that fell silent counts for so many seconds, as in Prometheus.
const LOOKBACK: u32 = 300;
/// The most names whose unit is remembered.
const MAX_UNITS: usize = 100_000;

/// A metric that is walked, and what is around it.
#[derive(Clone, Debug)]
pub(crate) struct Around<'a> {
    pub(crate) place: Place<'a>,
    /// The bodies of the entries of its resource and its scope.
    pub(crate) resource_entry: &'a [u8],
    pub(crate) scope_entry: &'a [u8],
    /// Of resource, scope and metric, and of all three.
    pub(crate) keys: [Fingerprint; 3],
    pub(crate) group: Fingerprint,
    /// The rules that may mean its points.
    pub(crate) candidates: &'a [u16],
    /// Whether some series of the metric may become others.
    pub(crate) may_fold: bool,
    /// What the rules come to, where that is the same for all points.
    pub(crate) plan: Option<&'a Arc<Plan>>,
}

/// What becomes of a point.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It goes on, as this plan changes it.
    Passes(Option<Arc<Plan>>),
    /// It went into another.
    Absorbed,
    /// It ends here.
    Ends(&'static str),
}

/// Counted so far for a rule: how many different series it matched, and how many would be left.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) matched: Distinct,
    pub(crate) left: Distinct,
}

/// Everything that is remembered.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) hasher: Hasher,
    /// When the first point came, in Unix nanoseconds.
    birth: Option<u64>,
    /// Behind the start of every counter that was forgotten.
    forgotten: u64,
    initial: InitialValue,
    pub(crate) series: Table<Series>,
    pub(crate) outputs: Table<Output>,
    parts: HashMap<Fingerprint, Arc<[u8]>>,
    frames: HashMap<Fingerprint, Arc<Frame>>,
    plans: HashMap<Box<[u16]>, Arc<Plan>>,
    /// What rules in shadow would come to, by rule.
    shadows: HashMap<u16, Arc<Plan>>,
    limits: Table<usize>,
    caps: HashMap<Fingerprint, HashMap<u64, u32>>,
    units: HashMap<Fingerprint, Fingerprint>,
    /// By rule.
    pub(crate) rankings: HashMap<u16, Ranking>,
    ranked: u32,
    /// By rule: those that drop or are in shadow.
    pub(crate) counted: HashMap<u16, Seen>,
    /// Outputs that have something new, by how often they are let out.
    pub(crate) pending: Vec<(Duration, Vec<Slot>)>,
    interval: Duration,
    pub(crate) buffers: Buffers,
    now: Moment,
}

/// Where a series goes, and by what it was chosen.
struct Target {
    goes: Goes,
    group: Option<(u16, Slot)>,
    limit: Option<Slot>,
}

impl State {
    pub(crate) fn new(config: &OptimizerConfig, seed: u64) -> State {
        State {
            hasher: Hasher::new(seed),
            birth: None,
            forgotten: 0,
            initial: config.initial_value,
            series: Table::new(config.max_series),
            outputs: Table::new(config.max_series),
            parts: HashMap::new(),
            frames: HashMap::new(),
            plans: HashMap::new(),
            shadows: HashMap::new(),
            limits: Table::new(config.max_series),
            caps: HashMap::new(),
            units: HashMap::new(),
            rankings: HashMap::new(),
            ranked: 0,
            counted: HashMap::new(),
            pending: Vec::new(),
            interval: config.interval.as_duration(),
            buffers: Buffers::default(),
            now: Moment { horizon: 0, unix_nanos: 0, seconds: 0 },
        }
    }

    /// Goes on under other settings: what is known of series stays, what becomes of them is found anew.
    pub(crate) fn change(&mut self, config: &OptimizerConfig, old: &RuleSet, new: &RuleSet) {
        self.initial = config.initial_value;
        self.interval = config.interval.as_duration();
        self.series.set_capacity(config.max_series);
        self.outputs.set_capacity(config.max_series);
        self.limits.set_capacity(config.max_series);
        self.plans.clear();
        self.shadows.clear();
        self.counted.clear();
        let mut rankings = std::mem::take(&mut self.rankings);
        for (index, rule) in new.rules().iter().enumerate() {
            let before = old.rules().iter().position(|other| other.config.name == rule.config.name);
            let ranking = before.and_then(|before| rankings.remove(&(before as u16)));
            if let Some(ranking) = ranking
                && rule.config.top_k.as_ref() == Some(&ranking.settings)
            {
                self.rankings.insert(index as u16, ranking);
            }
        }
        self.series.retain(|_, series| {
            series.version = OUTDATED;
            series.group = None;
            true
        });
    }

    /// Takes over what came under a state that began later. Of what is cumulative the next points say everything
    /// again, and by increments since before; deltas and points that wait are put to those that are here.
    pub(crate) fn absorb(&mut self, newer: State) {
        let State { outputs, .. } = newer;
        for (key, output) in outputs.into_states() {
            let stands_alone = output.is_delta() || matches!(output.value, Accumulated::Point(_));
            if !stands_alone || !output.is_ready(true) {
                continue;
            }
            match self.outputs.find(key) {
                Some(slot) => {
                    if let Some(mine) = self.outputs.get_mut(slot) {
                        mine.take_in(output);
                    }
                    self.enqueue(slot);
                }
                None => {
                    let orphan = Output {
                        is_pending: false,
                        live: 0,
                        contributors: 0,
                        limit: None,
                        caps: Box::default(),
                        ..output
                    };
                    if let Ok(slot) = self.outputs.insert(key, orphan) {
                        self.enqueue(slot);
                    }
                }
            }
        }
    }

    /// Notes the time of what follows.
    pub(crate) fn at(&mut self, unix_nanos: u64, seconds: u32) {
        let birth = *self.birth.get_or_insert(unix_nanos);
        let horizon = match self.initial {
            InitialValue::Auto => birth.max(self.forgotten),
            InitialValue::Keep => self.forgotten,
            InitialValue::Drop => u64::MAX,
        };
        self.now = Moment { horizon, unix_nanos, seconds };
    }

    /// What a set of rules comes to; the same for equal sets.
    pub(crate) fn plan(&mut self, rules: &RuleSet, matched: &[u16]) -> Arc<Plan> {
        if let Some(plan) = self.plans.get(matched) {
            return plan.clone();
        }
        let plan = Plan::of(rules, matched);
        self.plans.insert(matched.into(), plan.clone());
        plan
    }

    /// Whether a unit may go: no other metric of this name has another one.
    pub(crate) fn unit_may_go(&mut self, name: &[u8], unit: &[u8]) -> bool {
        let (name, unit) = (self.hasher.bytes(name), self.hasher.bytes(unit));
        match self.units.get(&name) {
            Some(first) => *first == unit,
            None if self.units.len() >= MAX_UNITS => false,
            None => {
                self.units.insert(name, unit);
                true
            }
        }
    }

    fn key(&mut self, around: &Around<'_>, reading: &Reading<'_>) -> Fingerprint {
        let attributes = self.hasher.attributes(&reading.attributes);
        self.hasher.ordered([around.group, attributes])
    }

    /// Counts a point for a rule whose series have no state.
    pub(crate) fn count(&mut self, rule: u16, around: &Around<'_>, reading: &Reading<'_>) {
        let key = self.key(around, reading);
        self.counted.entry(rule).or_default().matched.insert(key.half());
    }

    /// Finds out what becomes of a point, and does it.
    pub(crate) fn point(
        &mut self,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
        metrics: &OptimizerMetrics,
    ) -> Fate {
        let kind = around.place.kind;
        let untouched = around.plan.is_some_and(|plan| !plan.tracks(kind));
        if untouched && !around.may_fold {
            return Fate::Passes(around.plan.cloned());
        }
        let key = self.key(around, reading);
        let found = self.series.find(key);
        if untouched && found.is_none() && self.outputs.find(key).is_none() {
            return Fate::Passes(around.plan.cloned());
        }
        let slot = match found {
            Some(slot) => slot,
            None => match self.admit(key, around, reading, rules) {
                Ok(slot) => slot,
                Err(plan) => return self.untracked(key, plan, around, reading, metrics),
            },
        };
        self.refresh(slot, key, around, reading, rules);
        let at = self.now;
        let (Some(series), outputs) = (self.series.get_mut(slot), &mut self.outputs) else {
            return Fate::Passes(None);
        };
        series.seen = at.seconds;
        let plan = &series.plan;
        for rule in plan.rules.iter().chain(&plan.shadow) {
            if let Some(of_rule) = metrics.rules.get(usize::from(*rule)) {
                of_rule.matched.add(1);
            }
        }
        for rule in &plan.shadow {
            self.counted.entry(*rule).or_default().matched.insert(key.half());
        }
        if let Some(rule) = plan.drop {
            if let Some(of_rule) = metrics.rules.get(usize::from(rule)) {
                of_rule.dropped.add(1);
            }
            return Fate::Ends("optimized_away");
        }
        let target = match series.goes {
            Goes::Into(target) => target,
            // What passes must not have the identity of what is let out.
            Goes::On if around.may_fold && outputs.find(key).is_some() => {
                series.version = OUTDATED;
                self.refresh(slot, key, around, reading, rules);
                return self.point_again(slot, around, reading, metrics);
            }
            Goes::On => return quiet(series, reading, kind, metrics),
            Goes::Unmerged => {
                metrics.ignored(Reason::NotMergeable);
                return Fate::Passes(Some(series.plan.clone()));
            }
            Goes::Nowhere => {
                metrics.ignored(Reason::GaugeOverflow);
                return Fate::Ends(Reason::GaugeOverflow.name());
            }
        };
        self.add_to_output(slot, target, around, reading, metrics)
    }

    /// The series turned out to go into an output.
    fn point_again(
        &mut self,
        slot: Slot,
        around: &Around<'_>,
        reading: &Reading<'_>,
        metrics: &OptimizerMetrics,
    ) -> Fate {
        match self.series.get(slot).map(|series| series.goes) {
            Some(Goes::Into(target)) => self.add_to_output(slot, target, around, reading, metrics),
            _ => Fate::Passes(None),
        }
    }

    fn add_to_output(
        &mut self,
        slot: Slot,
        target: Slot,
        around: &Around<'_>,
        reading: &Reading<'_>,
        metrics: &OptimizerMetrics,
    ) -> Fate {
        let (kind, at) = (around.place.kind, self.now);
        let (Some(series), Some(output)) = (self.series.get_mut(slot), self.outputs.get_mut(target)) else {
            return Fate::Passes(None);
        };
        for rule in &series.plan.rules {
            if let Some(of_rule) = metrics.rules.get(usize::from(*rule)) {
                of_rule.folded.add(1);
            }
        }
        output.seen = at.seconds;
        if reading.is_stale() {
            end(series, output, reading, &at);
            if output.ended != 0 {
                self.enqueue(target);
            }
            return Fate::Absorbed;
        }
        match contribute(series, output, reading, kind, &at, &mut self.buffers) {
            Ok(effect) => {
                if let Accumulated::Point(body) = &mut output.value {
                    body.clear();
                    crate::edit::point(&series.plan, kind, reading, &mut self.buffers, body);
                } else if !series.plan.drop_exemplars {
                    keep_exemplars(output, reading);
                }
                if effect.is_reset {
                    metrics.resets.add(1);
                }
                if effect.is_ahead {
                    metrics.ignored(Reason::Ahead);
                }
                if let (Some(group), Some(metric)) = (series.group, series.ranks)
                    && let Some(top_k) = &series.plan.top_k
                    && let Some(ranking) = self.rankings.get_mut(&top_k.rule)
                {
                    ranking.weigh(group, metric, effect.weight);
                }
                self.enqueue(target);
                Fate::Absorbed
            }
            Err(Reason::NotMergeable) => {
                metrics.ignored(Reason::NotMergeable);
                let plan = series.plan.clone();
                self.leave(slot);
                if let Some(series) = self.series.get_mut(slot) {
                    series.goes = Goes::Unmerged;
                }
                Fate::Passes(Some(plan))
            }
            Err(reason) => {
                metrics.ignored(reason);
                Fate::Ends(reason.name())
            }
        }
    }

    /// Notes that an output has something to say.
    fn enqueue(&mut self, slot: Slot) {
        let Some(output) = self.outputs.get_mut(slot) else { return };
        if std::mem::replace(&mut output.is_pending, true) {
            return;
        }
        let interval = output.plan.interval.unwrap_or(self.interval);
        match self.pending.iter_mut().find(|(other, _)| *other == interval) {
            Some((_, slots)) => slots.push(slot),
            None => self.pending.push((interval, vec![slot])),
        }
    }

    /// Makes the state of a series that was not seen before.
    ///
    /// # Errors
    /// There is no room; what would become of it.
    fn admit(
        &mut self,
        key: Fingerprint,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
    ) -> Result<Slot, Arc<Plan>> {
        let plan = self.plan_of(around, reading, rules);
        for index in &plan.shadow {
            let alone =
                self.shadows.entry(*index).or_insert_with(|| Plan::alone(rules, *index).into()).clone();
            let left = self.projected(&alone, around, reading);
            let counted = self.counted.entry(*index).or_default();
            if let Some(left) = left {
                counted.left.insert(left.half());
            }
        }
        let series = Series {
            plan: plan.clone(),
            goes: Goes::On,
            group: None,
            limit: None,
            version: OUTDATED,
            seen: self.now.seconds,
            place: Instant::default(),
            last: Last::None,
            is_live: false,
            ranks: None,
        };
        self.series.insert(key, series).map_err(|_| plan)
    }

    fn plan_of(&mut self, around: &Around<'_>, reading: &Reading<'_>, rules: &RuleSet) -> Arc<Plan> {
        if let Some(plan) = around.plan {
            return plan.clone();
        }
        let matched = rules.about_point(around.candidates, &around.place, &reading.attributes, reading.body);
        self.plan(rules, &matched)
    }

    /// The identity that a series would have under a plan, as far as labels alone say; none where it would end.
    fn projected(&mut self, plan: &Plan, around: &Around<'_>, reading: &Reading<'_>) -> Option<Fingerprint> {
        if plan.drop.is_some() {
            return None;
        }
        let mut labels = Labels::new(&reading.attributes, &around.place.resource_attributes);
        for step in &plan.steps {
            labels.apply(step);
        }
        let (point, resource) = labels.fingerprints(&mut self.hasher);
        let group = self.hasher.ordered([resource, around.keys[1], around.keys[2]]);
        Some(self.hasher.ordered([group, point]))
    }

    /// Looks anew where a series goes, if what that depends on has changed.
    fn refresh(
        &mut self,
        slot: Slot,
        key: Fingerprint,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
    ) {
        let Some(series) = self.series.get(slot) else { return };
        let is_current =
            series.version == self.ranked || series.plan.top_k.is_none() && series.version != OUTDATED;
        if is_current {
            return;
        }
        let was_outdated = series.version == OUTDATED;
        let plan = if was_outdated { self.plan_of(around, reading, rules) } else { series.plan.clone() };
        self.leave(slot);
        let target = self.target(key, &plan, around, reading, false);
        let ranks = target
            .group
            .and_then(|(rule, _)| self.rankings.get(&rule)?.metric(around.place.metric.name().as_bytes()));
        if let Goes::Into(output) = target.goes
            && let Some(output) = self.outputs.get_mut(output)
        {
            output.contributors += 1;
            // Series whose increments go elsewhere from now on still go on.
            output.live += u32::from(self.series.get(slot).is_some_and(|series| series.is_live));
        }
        let version = self.ranked;
        if let Some(series) = self.series.get_mut(slot) {
            series.plan = plan;
            series.goes = target.goes;
            series.group = target.group.map(|(_, group)| group);
            series.limit = target.limit;
            series.ranks = ranks;
            series.version = version;
        }
    }

    /// Takes a series out of where it goes.
    fn leave(&mut self, slot: Slot) {
        let Some(series) = self.series.get_mut(slot) else { return };
        if let Some(limit) = series.limit.take()
            && let Some(count) = self.limits.get_mut(limit)
        {
            *count = count.saturating_sub(1);
        }
        if let Goes::Into(output) = std::mem::replace(&mut series.goes, Goes::On)
            && let Some(output) = self.outputs.get_mut(output)
        {
            output.contributors = output.contributors.saturating_sub(1);
            output.live = output.live.saturating_sub(u32::from(series.is_live));
        }
    }

    /// A series for whose state there is no room: deltas are added up all the same, what needs to know the point
    /// before ends here, and what the rules leave alone goes on.
    fn untracked(
        &mut self,
        key: Fingerprint,
        plan: Arc<Plan>,
        around: &Around<'_>,
        reading: &Reading<'_>,
        metrics: &OptimizerMetrics,
    ) -> Fate {
        if plan.drop.is_some() {
            return Fate::Ends("optimized_away");
        }
        let (kind, at) = (around.place.kind, self.now);
        if !plan.folds(kind) && plan.limit.is_none() {
            return Fate::Passes(Some(plan));
        }
        let mut stranger = Series {
            plan: plan.clone(),
            goes: Goes::On,
            group: None,
            limit: None,
            version: OUTDATED,
            seen: at.seconds,
            place: Instant::default(),
            last: Last::None,
            is_live: true,
            ranks: None,
        };
        let is_delta = kind.temporality() == Some(phoenix_pdata::view::Temporality::Delta);
        // Without a state of its own nobody can tell when it goes: it counts as one over the limit.
        let target = self.target(key, &plan, around, reading, true);
        match target.goes {
            Goes::Into(slot) if is_delta && !reading.is_stale() => {
                let Some(output) = self.outputs.get_mut(slot) else { return Fate::Passes(Some(plan)) };
                match contribute(&mut stranger, output, reading, kind, &at, &mut self.buffers) {
                    Ok(_) => {
                        self.enqueue(slot);
                        Fate::Absorbed
                    }
                    Err(Reason::NotMergeable) => {
                        metrics.ignored(Reason::NotMergeable);
                        Fate::Passes(Some(plan))
                    }
                    Err(reason) => {
                        metrics.ignored(reason);
                        Fate::Ends(reason.name())
                    }
                }
            }
            Goes::Unmerged => Fate::Passes(Some(plan)),
            _ => {
                metrics.ignored(Reason::Untracked);
                Fate::Ends(Reason::Untracked.name())
            }
        }
    }

    /// Where a series goes under a plan. `over` takes it for one over the limit, whatever that is.
    fn target(
        &mut self,
        key: Fingerprint,
        plan: &Arc<Plan>,
        around: &Around<'_>,
        reading: &Reading<'_>,
        over: bool,
    ) -> Target {
        let kind = around.place.kind;
        let on = |goes| Target { goes, group: None, limit: None };
        if plan.drop.is_some() {
            return on(Goes::On);
        }
        let mergeable = Accumulated::of(kind, plan.gauges).is_some();
        if plan.folds(kind) && !mergeable {
            return on(Goes::Unmerged);
        }
        let mut labels = Labels::new(&reading.attributes, &around.place.resource_attributes);
        let mut caps = Vec::new();
        for step in &plan.steps {
            if !labels.apply(step) {
                self.cap(step, &mut labels, around, &mut caps);
            }
        }
        let group = self.top(plan, &mut labels);
        let (point, resource) = labels.fingerprints(&mut self.hasher);
        let mut keys = [resource, around.keys[1], around.keys[2]];
        let mut to = self.ordered(keys, point);
        let folds = plan.folds(kind) || self.outputs.find(key).is_some();
        let mut limit = None;
        if let Some((rule, most, scope)) = &plan.limit
            && self.outputs.find(to).is_none()
        {
            limit = self.admission(*rule, *most, *scope, keys, over);
            if limit.is_none() {
                if !mergeable {
                    return Target { goes: Goes::Nowhere, group, limit: None };
                }
                labels.point = vec![overflow_attribute().into()];
                if *scope == LimitScope::Metric {
                    labels.resource_changed |= !labels.resource.is_empty();
                    labels.resource.clear();
                }
                let (point, resource) = labels.fingerprints(&mut self.hasher);
                keys[0] = resource;
                to = self.ordered(keys, point);
                return self.output_for(
                    to,
                    plan,
                    around,
                    &labels,
                    keys,
                    Accumulated::of(kind, plan.gauges),
                    group,
                    None,
                    Vec::new(),
                );
            }
        }
        if folds {
            let value = Accumulated::of(kind, plan.gauges);
            return self.output_for(to, plan, around, &labels, keys, value, group, limit, caps);
        }
        if plan.interval.is_some() {
            let is_delta = kind.temporality() == Some(phoenix_pdata::view::Temporality::Delta);
            let value = match Accumulated::of(kind, plan.gauges) {
                Some(value) if is_delta || plan.converts() => value,
                _ => Accumulated::Point(Vec::new()),
            };
            return self.output_for(to, plan, around, &labels, keys, Some(value), group, limit, caps);
        }
        Target { goes: Goes::On, group, limit }
    }

    fn ordered(&self, keys: [Fingerprint; 3], point: Fingerprint) -> Fingerprint {
        let group = self.hasher.ordered(keys);
        self.hasher.ordered([group, point])
    }

    /// Counts one more series of a metric, if the limit allows it.
    fn admission(
        &mut self,
        rule: u16,
        most: usize,
        scope: LimitScope,
        keys: [Fingerprint; 3],
        over: bool,
    ) -> Option<Slot> {
        if over {
            return None;
        }
        let rule = self.hasher.bytes(&rule.to_le_bytes());
        let of = match scope {
            LimitScope::Resource => self.hasher.ordered([rule, keys[0], keys[1], keys[2]]),
            LimitScope::Metric => self.hasher.ordered([rule, keys[2]]),
        };
        let slot = match self.limits.find(of) {
            Some(slot) => slot,
            None => self.limits.insert(of, 0).ok()?,
        };
        let count = self.limits.get_mut(slot)?;
        (*count < most).then(|| {
            *count += 1;
            slot
        })
    }

    /// Lets a value of a capped label stay if there is room for it.
    fn cap(
        &mut self,
        step: &Step,
        labels: &mut Labels<'_>,
        around: &Around<'_>,
        caps: &mut Vec<(Fingerprint, u64)>,
    ) {
        let Step::Cap { rule, settings } = step else { return };
        let Some(text) = labels.point_text(&settings.label) else { return };
        if text == settings.other.as_bytes() {
            return;
        }
        let (rule, label) =
            (self.hasher.bytes(rule.as_bytes()), self.hasher.bytes(settings.label.as_bytes()));
        let name = self.hasher.bytes(around.place.metric.name().as_bytes());
        let of = self.hasher.ordered([rule, label, name]);
        let value = self.hasher.bytes(&text).half();
        let values = self.caps.entry(of).or_default();
        if values.contains_key(&value) || values.len() < settings.limit {
            values.entry(value).or_insert(0);
            caps.push((of, value));
        } else {
            labels.set_point(&settings.label, &settings.other);
        }
    }

    /// Finds the group of a series, and puts it to the others where it is none of the heaviest.
    fn top(&mut self, plan: &Plan, labels: &mut Labels<'_>) -> Option<(u16, Slot)> {
        let TopK { rule, settings, others } = plan.top_k.as_ref()?;
        let mut parts = Vec::new();
        let mut has_any = false;
        for label in &settings.labels {
            let value = labels.get(label);
            has_any |= value.is_some();
            let mut bytes = Vec::new();
            phoenix_pdata::write::put_value_body(&mut bytes, &value.unwrap_or(AnyValue::Empty));
            parts.extend_from_slice(&u128::from(self.hasher.bytes(&bytes)).to_le_bytes());
        }
        if !has_any {
            return None;
        }
        let key = self.hasher.bytes(&parts);
        let ranking = self.rankings.entry(*rule).or_insert_with(|| Ranking::new(settings.clone()));
        let group = ranking.group(key, self.now.seconds);
        if !group.is_some_and(|group| ranking.is_member(group)) {
            for label in &settings.labels {
                labels.set(label, &settings.other);
            }
            let spared = |body: &[u8]| {
                let key = phoenix_pdata::view::key_of(body);
                settings.labels.iter().any(|label| label.as_bytes() == key)
                    || !crate::pattern::any(others, key)
            };
            labels.point.retain(|body| spared(body));
            let before = labels.resource.len();
            labels.resource.retain(|body| spared(body));
            labels.resource_changed |= labels.resource.len() != before;
        }
        group.map(|group| (*rule, group))
    }

    /// The output with this identity, made where there is none.
    #[allow(clippy::too_many_arguments)]
    fn output_for(
        &mut self,
        key: Fingerprint,
        plan: &Arc<Plan>,
        around: &Around<'_>,
        labels: &Labels<'_>,
        keys: [Fingerprint; 3],
        value: Option<Accumulated>,
        group: Option<(u16, Slot)>,
        limit: Option<Slot>,
        caps: Vec<(Fingerprint, u64)>,
    ) -> Target {
        let slot = match (self.outputs.find(key), value) {
            (Some(slot), _) => Some(slot),
            (None, None) => None,
            (None, Some(value)) => {
                let frame = self.frame(plan, around, labels, keys);
                let caps: Box<[_]> = caps.into();
                for (of, value) in &caps {
                    *self.caps.entry(*of).or_default().entry(*value).or_insert(0) += 1;
                }
                let output = Output {
                    attributes: labels.encoded(frame.written_kind(plan.converts()).attributes_field()),
                    frame,
                    plan: plan.clone(),
                    value,
                    start: 0,
                    is_started: false,
                    time: 0,
                    sent: 0,
                    ended: 0,
                    live: 0,
                    seen: self.now.seconds,
                    is_pending: false,
                    is_last: false,
                    caps,
                    contributors: 0,
                    limit,
                    exemplars: Vec::new(),
                };
                self.outputs.insert(key, output).map_err(|output| self.release(&output)).ok()
            }
        };
        match slot {
            Some(slot) => Target { goes: Goes::Into(slot), group, limit: None },
            // As many outputs as there may be: the series keeps its own.
            None => Target { goes: Goes::Unmerged, group, limit: None },
        }
    }

    /// Gives back what an output had taken of limits.
    fn release(&mut self, output: &Output) {
        release(output, &mut self.limits, &mut self.caps);
    }

    /// What lies around the points of an output; the same for all that are equal.
    fn frame(
        &mut self,
        plan: &Plan,
        around: &Around<'_>,
        labels: &Labels<'_>,
        keys: [Fingerprint; 3],
    ) -> Arc<Frame> {
        let edits = [plan.drop_description, plan.drop_unit, plan.drop_metadata].map(u8::from);
        let edits = self.hasher.bytes(&edits);
        let key = self.hasher.ordered([keys[0], keys[1], keys[2], edits]);
        if let Some(frame) = self.frames.get(&key) {
            return frame.clone();
        }
        let mut resource = Vec::new();
        for field in Fields::new(around.resource_entry).filter(|field| field.number() != 2) {
            if field.is_len(1) && labels.resource_changed {
                put_message(&mut resource, 1, |out| {
                    for body in &labels.resource {
                        put_bytes(out, 1, body);
                    }
                    // References to entities name attributes that may be gone.
                    for inner in Fields::new(field.body).filter(|inner| !matches!(inner.number(), 1 | 3)) {
                        out.extend_from_slice(inner.raw);
                    }
                });
            } else {
                resource.extend_from_slice(field.raw);
            }
        }
        let mut scope = Vec::new();
        for field in Fields::new(around.scope_entry).filter(|field| field.number() != 2) {
            scope.extend_from_slice(field.raw);
        }
        let unit_goes = plan.drop_unit
            && self.unit_may_go(around.place.metric.name().as_bytes(), around.place.metric.unit().as_bytes());
        let mut metric = Vec::new();
        for field in Fields::new(around.place.metric.raw()) {
            let goes = match field.number() {
                2 => plan.drop_description,
                3 => unit_goes,
                12 => plan.drop_metadata,
                number => number == around.place.kind.field(),
            };
            if !goes {
                metric.extend_from_slice(field.raw);
            }
        }
        let frame = Arc::new(Frame {
            key: keys,
            resource: self.part(resource),
            scope: self.part(scope),
            metric: self.part(metric),
            kind: around.place.kind,
        });
        self.frames.insert(key, frame.clone());
        frame
    }

    fn part(&mut self, bytes: Vec<u8>) -> Arc<[u8]> {
        self.parts.entry(self.hasher.bytes(&bytes)).or_insert_with(|| bytes.into()).clone()
    }

    /// Adds up the latest values of what goes into gauges and into sums that may fall.
    pub(crate) fn add_up_levels(&mut self) {
        let mut any = false;
        self.outputs.retain(|_, output| {
            if let Accumulated::Latest { state, .. } = &mut output.value {
                *state = Default::default();
                any = true;
            }
            true
        });
        if !any {
            return;
        }
        let now = self.now.seconds;
        for (_, series) in self.series.iter() {
            if let (Goes::Into(slot), Last::Number(number), true) =
                (series.goes, &series.last, series.is_live)
                && now.saturating_sub(series.seen) <= LOOKBACK
                && let Some(output) = self.outputs.get_mut(slot)
                && let Accumulated::Latest { function, state } = &mut output.value
            {
                state.add(*function, *number, series.place.time);
            }
        }
    }

    /// Ranks groups anew.
    pub(crate) fn rank(&mut self) {
        let mut changed = false;
        for ranking in self.rankings.values_mut() {
            changed |= ranking.rank(self.now.seconds);
        }
        if changed {
            self.ranked = if self.ranked >= OUTDATED - 1 { 0 } else { self.ranked + 1 };
        }
    }

    /// Forgets what was idle for so many seconds. Returns outputs that still have something to say.
    pub(crate) fn forget(&mut self, idle: u32) -> Vec<Slot> {
        let (now, forgotten) = (self.now.seconds, &mut self.forgotten);
        let (outputs, limits) = (&mut self.outputs, &mut self.limits);
        self.series.retain(|_, series| {
            if now.saturating_sub(series.seen) < idle {
                return true;
            }
            if !matches!(series.last, Last::None) {
                *forgotten = (*forgotten).max(series.place.start.saturating_add(1));
            }
            if let Some(limit) = series.limit
                && let Some(count) = limits.get_mut(limit)
            {
                *count = count.saturating_sub(1);
            }
            if let Goes::Into(slot) = series.goes
                && let Some(output) = outputs.get_mut(slot)
            {
                output.contributors = output.contributors.saturating_sub(1);
                output.live = output.live.saturating_sub(u32::from(series.is_live));
            }
            false
        });
        let mut last_words = Vec::new();
        let (limits, caps) = (&mut self.limits, &mut self.caps);
        self.outputs.retain(|slot, output| {
            if now.saturating_sub(output.seen) < idle || output.contributors > 0 || output.is_pending {
                return true;
            }
            if output.is_ready(true) && output.is_delta() && !output.is_last {
                (output.is_last, output.is_pending) = (true, true);
                last_words.push(slot);
                return true;
            }
            release(output, limits, caps);
            false
        });
        self.limits.retain(|_, count| *count > 0);
        self.caps.retain(|_, values| {
            values.retain(|_, outputs| *outputs > 0);
            !values.is_empty()
        });
        self.frames.retain(|_, frame| Arc::strong_count(frame) > 1);
        self.parts.retain(|_, part| Arc::strong_count(part) > 1);
        last_words
    }
}

fn release(output: &Output, limits: &mut Table<usize>, caps: &mut HashMap<Fingerprint, HashMap<u64, u32>>) {
    if let Some(limit) = output.limit
        && let Some(count) = limits.get_mut(limit)
    {
        *count = count.saturating_sub(1);
    }
    for (of, value) in &output.caps {
        if let Some(outputs) = caps.get_mut(of).and_then(|values| values.get_mut(value)) {
            *outputs = outputs.saturating_sub(1);
        }
    }
}

/// The body of the attribute of the series that holds all others.
fn overflow_attribute() -> Vec<u8> {
    let mut field = Vec::new();
    put_attribute(&mut field, 1, OVERFLOW, &AnyValue::Bool(true));
    Fields::new(&field).next().map_or(Vec::new(), |field| field.body.to_vec())
}

/// Keeps the exemplars of a point that goes into another, with the labels that it has no more.
fn keep_exemplars(output: &mut Output, reading: &Reading<'_>) {
    if reading.exemplars.is_empty() {
        return;
    }
    let stay: Vec<&[u8]> = Fields::new(&output.attributes).map(|field| field.body).collect();
    let lost: Vec<Vec<u8>> =
        reading.attributes.bodies().filter(|body| !stay.contains(body)).map(<[u8]>::to_vec).collect();
    let lost: Vec<&[u8]> = lost.iter().map(Vec::as_slice).collect();
    for exemplar in reading.exemplars.bodies() {
        output.keep_exemplar(exemplar, &lost);
    }
}

/// Whether a gauge that goes on says anything new.
fn quiet(series: &mut Series, reading: &Reading<'_>, kind: Kind, metrics: &OptimizerMetrics) -> Fate {
    let passes = Fate::Passes(Some(series.plan.clone()));
    let Some((rule, band)) = &series.plan.dead_band else { return passes };
    let Value::Number(Some(number)) = reading.value else { return passes };
    if kind != Kind::Gauge {
        return passes;
    }
    if reading.is_stale() {
        series.last = Last::None;
        return passes;
    }
    let value = match number {
        Number::Int(value) => value as f64,
        Number::Double(value) => value,
    };
    if let Last::Number(Number::Double(last)) = series.last {
        // What is late is not compared with what came after it.
        let silent = reading.time.checked_sub(series.place.time);
        let within = (value - last).abs() <= band.absolute.max(band.relative * last.abs()) || value == last;
        let heartbeat = band.heartbeat.as_duration().as_nanos();
        if within && silent.is_some_and(|silent| u128::from(silent) < heartbeat) {
            if let Some(of_rule) = metrics.rules.get(usize::from(*rule)) {
                of_rule.dropped.add(1);
            }
            return Fate::Ends("dead_band");
        }
    }
    if reading.time >= series.place.time {
        series.last = Last::Number(Number::Double(value));
        series.place = Instant { start: reading.start, time: reading.time };
    }
    passes
}

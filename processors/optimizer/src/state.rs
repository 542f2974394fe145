//! The series that come in, the series that are let out, and how the ones lead to the others.

mod admission;
mod follow;
mod limits;
mod memory;
mod outputs;
mod points;
mod rebalance;
mod rounds;
mod shadow;
mod target;
mod tombs;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use phoenix_series::{Fingerprint, Hasher, Slot, Table};

use crate::accumulated::Accumulated;
use crate::choice::Choices;
use crate::compress::Buffers;
use crate::config::{InitialValue, OptimizerConfig};
use crate::contribute::Moment;
use crate::kind::Kind;
use crate::output::{Frame, Output};
use crate::rule_counts::RuleCounts;
use crate::rules::{Place, Plan, RuleSet};
use crate::series::{Goes, OUTDATED, Series};
use crate::top_k::Ranking;
use limits::Limits;
pub(crate) use memory::Ledger;
use shadow::Seen;
use tombs::Tombs;

/// The most names whose unit is remembered.
const MAX_UNITS: usize = 100_000;

/// What a metric is told from others by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) kind: Kind,
    /// By name, unit and kind.
    pub(crate) metric: Fingerprint,
    /// By resource and scope as well.
    pub(crate) group: Fingerprint,
}

/// A metric that is walked, and what is around it.
#[derive(Clone, Debug)]
pub(crate) struct Around<'a> {
    pub(crate) place: Place<'a>,
    /// The bodies of the entries of its resource and its scope.
    pub(crate) resource_entry: &'a [u8],
    pub(crate) scope_entry: &'a [u8],
    /// Of resource and scope.
    pub(crate) keys: [Fingerprint; 2],
    /// As it comes in.
    pub(crate) form: Form,
    /// As it goes on where it is converted.
    pub(crate) converted: Form,
    /// The rules that may mean its points.
    pub(crate) candidates: &'a [u16],
    /// Whether some series of the metric may become others.
    pub(crate) may_fold: bool,
    /// What the rules come to, where that is the same for all points.
    pub(crate) plan: Option<&'a Arc<Plan>>,
}

impl Form {
    /// The identity of a series with these attributes.
    pub(crate) fn series(&self, attributes: Fingerprint) -> Fingerprint {
        series_in(self.group, attributes)
    }
}

/// The identity of a series of a metric of a resource and scope. Both parts are fingerprints under one seed, so that their sum is as
/// hard to hit as either; it is made for each point.
pub(crate) fn series_in(group: Fingerprint, attributes: Fingerprint) -> Fingerprint {
    group.plus(attributes)
}

impl Around<'_> {
    /// As what the metric goes on under a plan.
    pub(crate) fn form_under(&self, plan: &Plan) -> &Form {
        if plan.converts() { &self.converted } else { &self.form }
    }
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
    /// Series that were forgotten.
    tombs: Tombs,
    pub(crate) outputs: Table<Output>,
    parts: HashMap<Fingerprint, Arc<[u8]>>,
    frames: HashMap<Fingerprint, Arc<Frame>>,
    plans: HashMap<Box<[u16]>, Arc<Plan>>,
    /// What rules in shadow would come to, by rule.
    shadows: HashMap<u16, Arc<Plan>>,
    /// Rules whose level is not reached.
    resting: Vec<u16>,
    limits: Limits,
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
    pub(crate) ledger: Ledger,
    pub(crate) counts: RuleCounts,
    pub(crate) choices: Choices,
    pub(crate) now: Moment,
}

/// Where a series goes, and by what it was chosen.
struct Target {
    goes: Goes,
    group: Option<(u16, Slot)>,
    limit: Option<Slot>,
    /// Whether that is because of a limit.
    is_over: bool,
}

/// How a series stands under a limit when it is looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// It gets no place, whether or not there is one.
    is_over: bool,
    /// A place was promised to it.
    is_promised: bool,
    /// What it counted so far is in another series, so that its own begins now.
    is_counted: bool,
}

impl State {
    pub(crate) fn new(config: &OptimizerConfig, seed: u64, ledger: Ledger) -> State {
        State {
            hasher: Hasher::new(seed),
            birth: None,
            forgotten: 0,
            initial: config.initial_value,
            series: Table::new(config.max_series),
            tombs: Tombs::new(config.tombstones),
            outputs: Table::new(config.max_series),
            parts: HashMap::new(),
            frames: HashMap::new(),
            plans: HashMap::new(),
            shadows: HashMap::new(),
            resting: Vec::new(),
            limits: Limits::new(config.max_series),
            caps: HashMap::new(),
            units: HashMap::new(),
            rankings: HashMap::new(),
            ranked: 0,
            counted: HashMap::new(),
            pending: Vec::new(),
            interval: config.interval.as_duration(),
            buffers: Buffers::default(),
            ledger,
            counts: RuleCounts::default(),
            choices: Choices::default(),
            now: Moment { horizon: 0, unix_nanos: 0, seconds: 0 },
        }
    }

    /// Goes on under other settings: what is known of series stays, what becomes of them is found anew.
    pub(crate) fn change(&mut self, config: &OptimizerConfig, old: &RuleSet, new: &RuleSet) {
        self.initial = config.initial_value;
        self.interval = config.interval.as_duration();
        self.ledger.set_bounds(config.max_bytes);
        self.series.set_capacity(config.max_series);
        self.tombs.set_capacity(config.tombstones);
        self.outputs.set_capacity(config.max_series);
        self.limits.set_capacity(config.max_series);
        self.others_counted();
        self.plans.clear();
        self.shadows.clear();
        self.counted.clear();
        self.resting.clear();
        let mut rankings = std::mem::take(&mut self.rankings);
        for rule in new.rules() {
            let before = old.rules().iter().find(|other| other.config.name == rule.config.name);
            let Some((before, top_k)) = before.zip(rule.config.top_k.as_ref()) else { continue };
            if let Entry::Occupied(ranking) = rankings.entry(before.ranking)
                && top_k.ranks_like(&ranking.get().settings)
            {
                self.rankings.insert(rule.ranking, ranking.remove());
            }
        }
        self.series.retain(|_, series| {
            series.version = OUTDATED;
            series.group = None;
            true
        });
    }

    /// From now on all rules but these are carried out: what becomes of each series is found anew.
    pub(crate) fn rest(&mut self, resting: Vec<u16>) {
        self.others_counted();
        self.resting = resting;
        self.series.retain(|_, series| {
            series.version = OUTDATED;
            true
        });
    }

    /// What went on as it was until now may be aggregated from now on: what it said so far was said already.
    fn others_counted(&mut self) {
        if self.birth.is_some() {
            self.forgotten = self.forgotten.max(self.now.unix_nanos);
        }
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
                        is_retired: false,
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

    /// Whether nothing is known that time would do something to.
    pub(crate) fn is_idle(&self) -> bool {
        self.series.is_empty() && self.outputs.is_empty() && !self.choices.is_open()
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
        let awake: Vec<u16>;
        let matched = match self.resting.is_empty() {
            true => matched,
            false => {
                awake = matched.iter().filter(|rule| !self.resting.contains(rule)).copied().collect();
                &awake
            }
        };
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
}

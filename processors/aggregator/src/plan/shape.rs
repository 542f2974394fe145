//! What a plan makes of what comes in: which data points it takes, in what windows, and how what comes out is called.

use std::sync::Arc;

use phoenix_pdata::view::Temporality;

use crate::accumulator::Needs;
use crate::config::{Function, Over, PartialWindows, Rule, TemporalityChoice, WindowKind};
use crate::emission::Naming;
use crate::glob::Glob;
use crate::kind::{Form, KINDS, Kind};
use crate::labels::{Came, Grouping, fill};
use crate::series::{Head, More, Series, Window};

/// Tiers fit into the low bits of what an output is told apart by.
pub(super) const TIER_BITS: u16 = 4;

/// What does not change while windows come and go.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) rule: Arc<Rule>,
    pub(crate) grouping: Grouping,
    /// How long a window is; how often sessions are looked at.
    pub(crate) step: u64,
    /// How many steps a window takes.
    pub(super) parts: usize,
    pub(super) gap: u64,
    pub(super) tiers: Vec<u64>,
    pub(super) outputs: [Vec<(Function, Form)>; KINDS],
    pub(super) needs: [Needs; KINDS],
    pub(super) partial: PartialWindows,
    /// How far behind a closed window an increment is still taken.
    pub(super) allowed_lateness: u64,
    exclude: Vec<Glob>,
    names: Vec<Glob>,
    attributes: Vec<(String, Vec<Glob>, bool)>,
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
                    matches!(function, Avg | SumSamples | Stddev | Stdvar | Unique | Histogram | Quantile(_))
                }),
                histogram: has(|function| matches!(function, Function::Histogram | Function::Quantile(_))),
                unique: has(|function| *function == Function::Unique),
                time_weighted: has(|function| *function == Function::TimeWeightedAvg),
                members: shape.has_members(kind, outputs.iter().map(|(function, _)| *function)),
                shadow: has(|function| matches!(function, Function::Unique | Function::Quantile(_))),
            };
            shape.outputs[usize::from(kind.number())] = outputs;
        }
        shape
    }

    fn outputs_of(&self, kind: Kind) -> Vec<(Function, Form)> {
        let overlaps = self.overlaps() || self.gap > 0 && kind == Kind::UpDownCounter;
        let natural = kind.natural(self.grouping.keeps_identity(), overlaps);
        let mut functions = match self.rule.outputs.is_empty() {
            true => natural.into_iter().collect(),
            false => self.rule.outputs.clone(),
        };
        if self.rule.has_envelope() && kind == Kind::Gauge && !functions.is_empty() {
            for bound in [Function::Min, Function::Max] {
                if !functions.contains(&bound) {
                    functions.push(bound);
                }
            }
        }
        let is_cumulative = self.rule.temporality == TemporalityChoice::Cumulative;
        let form = |function| {
            let form = match kind.form(function, overlaps)? {
                // Of values of gauges nothing came that would say how it relates in time.
                Form::Exponential(_) if kind == Kind::Gauge && is_cumulative => {
                    Form::Exponential(Temporality::Cumulative)
                }
                form => form,
            };
            Some((function, form))
        };
        functions.into_iter().filter_map(form).collect()
    }

    /// Whether windows know what each stream did in them: what is asked for is about how fast each grew, or windows are put
    /// together of others and it is about each stream once.
    fn has_members(&self, kind: Kind, mut functions: impl Iterator<Item = Function>) -> bool {
        let is_put_together = self.parts > 1 || !self.tiers.is_empty() || self.gap > 0;
        let levels = matches!(kind, Kind::Gauge | Kind::UpDownCounter) && !self.carries(kind);
        functions.any(|function| match function {
            Function::RateSum | Function::RateAvg => true,
            Function::Series => is_put_together,
            Function::Sum => is_put_together && levels,
            Function::Avg => is_put_together && levels && self.rule.over == Over::Series,
            _ => false,
        })
    }

    /// Whether each stream counts by itself in windows of some kind.
    pub(crate) fn counts_members(&self) -> bool {
        self.needs.iter().any(|needs| needs.members)
    }

    /// Whether windows end when their series does.
    pub(crate) fn has_sessions(&self) -> bool {
        self.gap > 0
    }

    pub(super) fn overlaps(&self) -> bool {
        self.rule.overlaps()
    }

    /// The kind of what comes out for a kind that comes in; none where the rule makes nothing of it.
    pub(crate) fn kind(&self, kind: Kind) -> Option<Kind> {
        use crate::config::TemporalityChoice::{Delta, Preserve};
        // Unless what comes out depends on how what comes in relates in time, both go into one series: it has one writer.
        let depends = self.rule.outputs.is_empty() || self.rule.outputs.contains(&Function::Sum);
        let choice = match self.rule.temporality {
            Preserve if !depends || self.rule.window != WindowKind::Tumbling => Delta,
            choice => choice,
        };
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

    pub(crate) fn matches_labels(&self, came: &Came<'_>) -> bool {
        self.attributes.iter().all(|(key, values, not)| {
            let found = came.labels().text(key).is_some_and(|text| {
                values.is_empty() || values.iter().any(|glob| glob.is_match(text.as_bytes()))
            });
            found != *not
        })
    }

    pub(crate) fn needs(&self, kind: Kind) -> Needs {
        self.needs[usize::from(kind.number())]
    }

    /// What the windows of a series need.
    #[inline]
    pub(super) fn needs_of(&self, series: &Series) -> Needs {
        let needs = self.needs(series.head.kind);
        Needs { shadow: needs.shadow && series.is_sample, ..needs }
    }

    /// How many exemplars a window of this kind keeps.
    pub(crate) fn examples(&self, kind: Kind) -> usize {
        match kind {
            Kind::Counter { .. } | Kind::Explicit(_) | Kind::Exponential(_) if !self.overlaps() => {
                self.rule.exemplars
            }
            _ => 0,
        }
    }

    /// Whether levels stay until they are replaced.
    pub(super) fn carries(&self, kind: Kind) -> bool {
        kind == Kind::UpDownCounter && self.gap == 0
    }

    /// What a new series needs beside its window.
    pub(crate) fn more(&self) -> Option<Box<More>> {
        let has_band = self.rule.dead_band.is_some();
        (!self.tiers.is_empty() || self.parts > 1 || self.gap > 0 || has_band).then(|| {
            let tiers = self.tiers.iter().map(|_| Window::default()).collect();
            Box::new(More { tiers, ..More::default() })
        })
    }

    pub(super) fn max_scale(&self, tier: usize) -> i32 {
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
            Function::Rate | Function::RateSum | Function::RateAvg if head.unit.is_empty() => b"1/s".to_vec(),
            Function::Rate | Function::RateSum | Function::RateAvg => [&*head.unit, b"/s"].concat(),
            _ => head.unit.to_vec(),
        };
        let interval = (!self.tiers.is_empty()).then(|| Arc::from(self.interval_text(tier)));
        Naming { form, name, unit, interval }
    }
}

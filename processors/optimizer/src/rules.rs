//! Rules, compiled: which of them are about a metric, a resource, a point; and what they come to together.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use phoenix_attributes::as_text;
use phoenix_ottl::{Env, MatchProgram};
use phoenix_pdata::Payload;
use phoenix_pdata::view::{Attributes, Metric, Scope, Temporality, View as _};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_bytes, put_message};

use crate::config::{
    DeadBand, GaugeFunction, HistogramSettings, LimitSeries, Mode, RuleConfig, TemporalityName, TopKSettings,
};
use crate::kind::Kind;
use crate::labels::{Normalization, Step};
use crate::pattern::{NamePattern, any};

/// What rules are sorted by, in the order in which they run.
pub(crate) fn order(rule: &RuleConfig) -> (Reverse<i32>, Reverse<u8>, Reverse<u32>, String) {
    let names = NamePattern::all(&rule.matches.metrics);
    let specificity = names.iter().map(NamePattern::specificity).max().unwrap_or(0);
    (Reverse(rule.priority), Reverse(rule.at_level), Reverse(specificity), rule.name.clone())
}

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) config: RuleConfig,
    /// The rule by whose number its groups are ranked: rules of several levels that differ by how many groups stay go by one ranking,
    /// so that another level takes or gives places and turns nothing over.
    pub(crate) ranking: u16,
    names: Box<[NamePattern]>,
    excluded: Box<[NamePattern]>,
    scopes: Box<[NamePattern]>,
    resource: Box<[(String, NamePattern)]>,
    scope_attributes: Box<[(String, NamePattern)]>,
    attributes: Box<[(String, NamePattern)]>,
    condition: Option<MatchProgram>,
}

/// All rules that run, in order.
#[derive(Debug)]
pub(crate) struct RuleSet {
    rules: Vec<Rule>,
}

/// What lies around a metric: the bodies of the messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) resource: &'a [u8],
    pub(crate) resource_attributes: Attributes<'a>,
    pub(crate) scope: &'a [u8],
    pub(crate) scope_name: &'a [u8],
    pub(crate) metric: Metric<'a>,
    pub(crate) kind: Kind,
}

fn matches_all(patterns: &[(String, NamePattern)], attributes: &Attributes<'_>) -> bool {
    patterns.iter().all(|(key, pattern)| {
        attributes.get(key).is_some_and(|value| pattern.matches(as_text(&value).as_ref()))
    })
}

impl Rule {
    fn new(config: RuleConfig) -> Rule {
        let patterns = |map: &std::collections::BTreeMap<String, String>| {
            map.iter()
                .filter_map(|(key, text)| Some((key.clone(), NamePattern::new(text).ok()?)))
                .collect::<Box<[_]>>()
        };
        let matches = &config.matches;
        Rule {
            names: NamePattern::all(&matches.metrics),
            excluded: NamePattern::all(&matches.exclude_metrics),
            scopes: NamePattern::all(&matches.scopes),
            resource: patterns(&matches.resource),
            scope_attributes: patterns(&matches.scope_attributes),
            attributes: patterns(&matches.attributes),
            condition: config.condition().ok().flatten(),
            ranking: 0,
            config,
        }
    }

    fn means_metric(&self, metric: &Metric<'_>, kind: Kind) -> bool {
        let name = metric.name().as_bytes();
        let matches = &self.config.matches;
        let temporality = match matches.temporality {
            None => true,
            Some(TemporalityName::Delta) => kind.temporality() == Some(Temporality::Delta),
            Some(TemporalityName::Cumulative) => kind.temporality() == Some(Temporality::Cumulative),
        };
        (self.names.is_empty() || any(&self.names, name))
            && !any(&self.excluded, name)
            && (matches.types.is_empty() || matches.types.contains(&kind.metric_type()))
            && (matches.units.is_empty() || matches.units.iter().any(|unit| metric.unit() == unit.as_str()))
            && temporality
    }

    fn means_place(&self, place: &Place<'_>) -> bool {
        (self.scopes.is_empty() || any(&self.scopes, place.scope_name))
            && matches_all(&self.resource, &place.resource_attributes)
            && (self.scope_attributes.is_empty()
                || matches_all(&self.scope_attributes, &Scope::new(place.scope).attributes()))
    }

    /// Whether it takes a look at each series.
    pub(crate) fn asks_points(&self) -> bool {
        !self.attributes.is_empty() || self.condition.is_some()
    }

    fn means_point(&self, place: &Place<'_>, attributes: &Attributes<'_>, point: &[u8]) -> bool {
        matches_all(&self.attributes, attributes)
            && self.condition.as_ref().is_none_or(|condition| holds(condition, place, point))
    }
}

/// Evaluates a condition for one point, in a request that has nothing else.
fn holds(condition: &MatchProgram, place: &Place<'_>, point: &[u8]) -> bool {
    let mut request = Vec::with_capacity(place.resource.len() + place.scope.len() + point.len() + 256);
    put_message(&mut request, 1, |out| {
        put_bytes(out, 1, place.resource);
        put_message(out, 2, |out| {
            put_bytes(out, 1, place.scope);
            put_message(out, 2, |out| {
                let data = place.kind.field();
                for field in Fields::new(place.metric.raw()) {
                    if field.number() != data {
                        out.extend_from_slice(field.raw);
                        continue;
                    }
                    put_message(out, data, |out| {
                        for inner in Fields::new(field.body).filter(|inner| inner.number() != 1) {
                            out.extend_from_slice(inner.raw);
                        }
                        put_bytes(out, 1, point);
                    });
                }
            });
        });
    });
    let payload = Payload::from(Bytes::from(request));
    let env = Env { now_unix_nanos: 0, random: &|| 0, client: &(), report: &() };
    let mut found = false;
    // Errors are ignored by the program: a condition that fails does not hold.
    let asked = condition.each_match(&payload, &env, |_| found = true);
    asked.is_ok() && found
}

impl RuleSet {
    pub(crate) fn new(configured: Vec<RuleConfig>) -> RuleSet {
        let mut configured: Vec<RuleConfig> =
            configured.into_iter().filter(|rule| rule.mode != Mode::Off).collect();
        configured.sort_by_cached_key(order);
        let mut rules: Vec<Rule> = configured.into_iter().map(Rule::new).collect();
        for index in 0..rules.len() {
            let like = (0..index).find(|earlier| ranks_alike(&rules[*earlier].config, &rules[index].config));
            rules[index].ranking = like.unwrap_or(index) as u16;
        }
        RuleSet { rules }
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules that may be about points of a metric, by its name, type and unit.
    pub(crate) fn about_metric(&self, metric: &Metric<'_>, kind: Kind) -> Box<[u16]> {
        let matching = self.rules.iter().enumerate().filter(|(_, rule)| rule.means_metric(metric, kind));
        matching.map(|(index, _)| index as u16).collect()
    }

    /// Of these rules those whose resource and scope are meant.
    pub(crate) fn about_place(&self, candidates: &[u16], place: &Place<'_>) -> Vec<u16> {
        let means =
            |index: &&u16| self.rules.get(usize::from(**index)).is_some_and(|rule| rule.means_place(place));
        candidates.iter().filter(means).copied().collect()
    }

    /// Of these rules those that mean a point.
    pub(crate) fn about_point(
        &self,
        candidates: &[u16],
        place: &Place<'_>,
        attributes: &Attributes<'_>,
        point: &[u8],
    ) -> Vec<u16> {
        let means = |index: &&u16| {
            let rule = self.rules.get(usize::from(**index));
            rule.is_some_and(|rule| rule.means_point(place, attributes, point))
        };
        candidates.iter().filter(means).copied().collect()
    }

    /// Whether one of these rules takes a look at each series.
    pub(crate) fn asks_points(&self, candidates: &[u16]) -> bool {
        candidates.iter().any(|index| self.rules.get(usize::from(*index)).is_some_and(Rule::asks_points))
    }

    /// Whether a series of a metric may become another, or have the identity of one that others become; `candidates` are the
    /// rules about it.
    pub(crate) fn may_fold(&self, metric: &Metric<'_>, kind: Kind, candidates: &[u16]) -> bool {
        let any = |candidates: &[u16], holds: fn(&RuleConfig) -> bool| {
            let rules = candidates.iter().filter_map(|index| self.rules.get(usize::from(*index)));
            rules.into_iter().any(|rule| rule.config.mode == Mode::Enforce && holds(&rule.config))
        };
        let folds = |rule: &RuleConfig| rule.aggregates() || rule.limit_series.is_some();
        let converts =
            |rule: &RuleConfig| rule.histograms.as_ref().is_some_and(|settings| settings.to_exponential);
        // Explicit histograms that become exponential meet those that are.
        any(candidates, folds)
            || match kind {
                Kind::Histogram { .. } => {
                    any(candidates, converts) && any(&self.about_metric(metric, kind.converted()), folds)
                }
                Kind::Exponential { temporality } => {
                    let explicit = self.about_metric(metric, Kind::Histogram { temporality });
                    any(&explicit, converts) && any(&explicit, folds)
                }
                _ => false,
            }
    }
}

/// Whether two rules rank the same groups of the same series. Only one of them is in force at a time: the first.
fn ranks_alike(a: &RuleConfig, b: &RuleConfig) -> bool {
    let both = a.top_k.as_ref().zip(b.top_k.as_ref());
    both.is_some_and(|(a, b)| a.ranks_like(b))
        && a.matches == b.matches
        && [a, b].iter().all(|rule| rule.mode == Mode::Enforce)
}

/// Which groups keep their series, by which ranking.
#[derive(Debug)]
pub(crate) struct TopK {
    pub(crate) ranking: u16,
    pub(crate) settings: TopKSettings,
    /// Attributes that the series of the others do not have.
    pub(crate) others: Box<[NamePattern]>,
}

/// How many series there may be, by which rule.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) rule: u16,
    /// Of the rule: what it counted goes on under other settings.
    pub(crate) name: String,
    pub(crate) settings: LimitSeries,
}

/// What a set of rules comes to, for the series that they match.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Those that are carried out, in order.
    pub(crate) rules: Vec<u16>,
    /// Those that are only counted.
    pub(crate) shadow: Vec<u16>,
    /// The rule by which the series end here.
    pub(crate) drop: Option<u16>,
    /// How labels change.
    pub(crate) steps: Vec<Step>,
    pub(crate) gauges: Option<GaugeFunction>,
    pub(crate) top_k: Option<TopK>,
    pub(crate) limit: Option<Arc<Limit>>,
    pub(crate) interval: Option<Duration>,
    pub(crate) dead_band: Option<(u16, DeadBand)>,
    pub(crate) histograms: Option<(u16, HistogramSettings)>,
    pub(crate) drop_exemplars: bool,
    pub(crate) drop_description: bool,
    pub(crate) drop_unit: bool,
    pub(crate) drop_metadata: bool,
}

impl Plan {
    /// Puts rules together: the first to say something about what a series has once is the one that counts.
    pub(crate) fn of(set: &RuleSet, matched: &[u16]) -> Arc<Plan> {
        let mut plan = Plan::default();
        for index in matched {
            let Some(rule) = set.rules.get(usize::from(*index)) else { continue };
            let config = &rule.config;
            if config.mode == Mode::Shadow {
                plan.shadow.push(*index);
                continue;
            }
            plan.rules.push(*index);
            plan.add(*index, rule);
            if config.keep || config.drop {
                break;
            }
        }
        Arc::new(plan)
    }

    /// What a shadow rule would come to, were it alone.
    pub(crate) fn alone(set: &RuleSet, index: u16) -> Plan {
        let mut plan = Plan::default();
        if let Some(rule) = set.rules.get(usize::from(index)) {
            plan.add(index, rule);
        }
        plan
    }

    fn add(&mut self, index: u16, rule: &Rule) {
        let config = &rule.config;
        if config.drop {
            self.drop = Some(index);
            return;
        }
        if !config.drop_labels.is_empty() {
            self.steps.push(Step::Drop(NamePattern::all(&config.drop_labels)));
        }
        if let Some(keep) = &config.keep_labels {
            self.steps.push(Step::Keep(NamePattern::all(keep)));
        }
        if !config.drop_resource_labels.is_empty() {
            self.steps.push(Step::DropResource(NamePattern::all(&config.drop_resource_labels)));
        }
        if let Some(keep) = &config.keep_resource_labels {
            self.steps.push(Step::KeepResource(NamePattern::all(keep)));
        }
        for settings in &config.normalize {
            let how = Normalization::of(settings);
            self.steps.extend(how.map(|how| Step::Normalize(settings.label.clone(), how)));
        }
        for buckets in &config.hash_buckets {
            self.steps.push(Step::Hash(buckets.label.clone(), buckets.buckets));
        }
        for cap in &config.cap_values {
            self.steps.push(Step::Cap { rule: config.name.clone(), settings: cap.clone() });
        }
        self.gauges = self.gauges.or(config.gauges);
        if self.top_k.is_none() {
            self.top_k = config.top_k.clone().map(|settings| {
                let others = NamePattern::all(&settings.drop_for_others);
                TopK { ranking: rule.ranking, settings, others }
            });
        }
        if self.limit.is_none() {
            self.limit = config
                .limit_series
                .clone()
                .map(|settings| Arc::new(Limit { rule: index, name: config.name.clone(), settings }));
        }
        if self.interval.is_none() && config.interval.is_positive() {
            self.interval = Some(config.interval.as_duration());
        }
        if self.dead_band.is_none() {
            self.dead_band = config.dead_band.clone().map(|band| (index, band));
        }
        if self.histograms.is_none() {
            self.histograms = config.histograms.clone().map(|histograms| (index, histograms));
        }
        self.drop_exemplars |= config.drop_exemplars;
        self.drop_description |= config.drop_description;
        self.drop_unit |= config.drop_unit;
        self.drop_metadata |= config.drop_metadata;
    }

    /// Whether series become others.
    pub(crate) fn folds(&self) -> bool {
        !self.steps.is_empty() || self.top_k.is_some()
    }

    /// Whether a state is kept for each series of this kind.
    pub(crate) fn tracks(&self, kind: Kind) -> bool {
        self.folds()
            || self.limit.is_some()
            || self.interval.is_some()
            || self.dead_band.is_some() && kind == Kind::Gauge
            || !self.shadow.is_empty()
    }

    /// Whether explicit histograms become exponential.
    pub(crate) fn converts(&self) -> bool {
        self.histograms.as_ref().is_some_and(|(_, settings)| settings.to_exponential)
    }

    /// Whether points that pass are changed.
    pub(crate) fn edits_points(&self) -> bool {
        self.drop_exemplars || self.histograms.is_some()
    }

    /// Whether anything is done to what is around the points.
    pub(crate) fn edits_metric(&self) -> bool {
        self.drop_description || self.drop_unit || self.drop_metadata
    }
}

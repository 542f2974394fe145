//! Where a series goes under a plan.

use std::sync::Arc;

use phoenix_pdata::view::AnyValue;
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::put_attribute;
use phoenix_series::{Fingerprint, Slot};

use super::{Admissions, Around, State, Target};
use crate::config::{LimitScope, LimitSeries};
use crate::kind::Reading;
use crate::labels::{Labels, Step};
use crate::output::Accumulated;
use crate::rules::{Plan, TopK};
use crate::series::Goes;
use crate::top_k::Ranking;

/// The attribute of the series that holds all others of a metric, as the SDKs write it.
const OVERFLOW: &str = "otel.metric.overflow";

impl State {
    /// Where a series goes under a plan. `over` takes it for one over the limit, whatever that is.
    pub(super) fn target(
        &mut self,
        key: Fingerprint,
        plan: &Arc<Plan>,
        around: &Around<'_>,
        reading: &Reading<'_>,
        over: bool,
    ) -> Target {
        let kind = around.place.kind;
        let on = |goes| Target { goes, group: None, limit: None, is_over: false };
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
        if let Some((rule, settings)) = &plan.limit
            && self.outputs.find(to).is_none()
        {
            limit = self.admission(*rule, settings, keys, over);
            if limit.is_none() {
                if !mergeable {
                    return Target { goes: Goes::Nowhere, group, limit: None, is_over: true };
                }
                labels.point = vec![overflow_attribute().into()];
                if settings.per == LimitScope::Metric {
                    labels.resource_changed |= !labels.resource.is_empty();
                    labels.resource.clear();
                }
                let (point, resource) = labels.fingerprints(&mut self.hasher);
                keys[0] = resource;
                to = self.ordered(keys, point);
                let target = self.output_for(
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
                return Target { is_over: true, ..target };
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
        Target { goes: Goes::On, group, limit, is_over: false }
    }

    pub(super) fn ordered(&self, keys: [Fingerprint; 3], point: Fingerprint) -> Fingerprint {
        let group = self.hasher.ordered(keys);
        self.hasher.ordered([group, point])
    }

    /// Counts one more series of a metric, if the limit allows it.
    pub(super) fn admission(
        &mut self,
        rule: u16,
        settings: &LimitSeries,
        keys: [Fingerprint; 3],
        over: bool,
    ) -> Option<Slot> {
        if over {
            return None;
        }
        let rule = self.hasher.bytes(&rule.to_le_bytes());
        let of = match settings.per {
            LimitScope::Resource => self.hasher.ordered([rule, keys[0], keys[1], keys[2]]),
            LimitScope::Metric => self.hasher.ordered([rule, keys[2]]),
        };
        let slot = match self.limits.find(of) {
            Some(slot) => slot,
            None => {
                let tokens = f64::from(settings.new_per_minute);
                self.limits.insert(of, Admissions { count: 0, tokens, at: self.now.seconds }).ok()?
            }
        };
        let now = self.now.seconds;
        self.limits.get_mut(slot)?.admit(settings, now).then_some(slot)
    }

    /// Lets a value of a capped label stay if there is room for it.
    pub(super) fn cap(
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
    pub(super) fn top(&mut self, plan: &Plan, labels: &mut Labels<'_>) -> Option<(u16, Slot)> {
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
}

/// The body of the attribute of the series that holds all others.
fn overflow_attribute() -> Vec<u8> {
    let mut field = Vec::new();
    put_attribute(&mut field, 1, OVERFLOW, &AnyValue::Bool(true));
    Fields::new(&field).next().map_or(Vec::new(), |field| field.body.to_vec())
}

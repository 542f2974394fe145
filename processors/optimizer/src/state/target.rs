//! Where a series goes under a plan.

use std::sync::Arc;

use phoenix_attributes::as_text;
use phoenix_pdata::view::{AnyValue, Temporality};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::put_attribute;
use phoenix_series::{Fingerprint, Hasher, Slot};

use super::{Around, Standing, State, Target, series_in};
use crate::accumulated::{Accumulated, Latest};
use crate::config::LimitScope;
use crate::kind::Reading;
use crate::labels::{Labels, Step};
use crate::rules::{Limit, Plan, TopK};
use crate::series::Goes;
use crate::top_k::Ranking;

/// The attribute of the series that holds all others of a metric, as the SDKs write it.
const OVERFLOW: &str = "otel.metric.overflow";

impl State {
    /// Where a series goes under a plan.
    pub(super) fn target(
        &mut self,
        key: Fingerprint,
        plan: &Arc<Plan>,
        around: &Around<'_>,
        reading: &Reading<'_>,
        standing: Standing,
    ) -> Target {
        let (kind, written) = (around.place.kind, around.form_under(plan).kind);
        let on = |goes| Target { goes, group: None, limit: None, is_over: false };
        if plan.drop.is_some() {
            return on(Goes::On);
        }
        let mergeable = Accumulated::of(written, plan.gauges).is_some();
        if plan.folds() && !mergeable {
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
        let mut keys = [resource, around.keys[1], around.form_under(plan).metric];
        let mut to = self.ordered(keys, point);
        let is_counted =
            standing.is_counted && mergeable && kind.temporality() == Some(Temporality::Cumulative);
        let own = self.key_under(plan, key, around, reading);
        let folds = plan.folds() || is_counted || self.outputs.find(own).is_some();
        let mut limit = None;
        if let Some(settings) = &plan.limit
            && self.has_no_place(to)
        {
            limit = self.share(settings, &labels, keys);
            let now = self.now.seconds;
            let has_place = !standing.is_over
                && limit.is_some_and(|share| self.limits.take(share, standing.is_promised, now));
            if !has_place {
                if !mergeable {
                    return Target { goes: Goes::Nowhere, group, limit, is_over: true };
                }
                labels.point = vec![overflow_attribute().into()];
                if settings.settings.per != LimitScope::Resource {
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
                    Accumulated::of(written, plan.gauges),
                    group,
                    None,
                    Vec::new(),
                );
                return Target { limit, is_over: true, ..target };
            }
        }
        if folds {
            let value = Accumulated::of(written, plan.gauges);
            return self.output_for(to, plan, around, &labels, keys, value, group, limit, caps);
        }
        if plan.interval.is_some() {
            let is_delta = kind.temporality() == Some(Temporality::Delta);
            let value = match Accumulated::of(written, plan.gauges) {
                Some(value) if is_delta || plan.converts() => value,
                _ => Accumulated::Point(Latest::default()),
            };
            return self.output_for(to, plan, around, &labels, keys, Some(value), group, limit, caps);
        }
        Target { goes: Goes::On, group, limit, is_over: false }
    }

    /// Whether no series of this identity is let out, or one that lost its place.
    fn has_no_place(&self, to: Fingerprint) -> bool {
        let output = self.outputs.find(to).and_then(|slot| self.outputs.get(slot));
        output.is_none_or(|output| output.is_retired)
    }

    pub(super) fn ordered(&self, keys: [Fingerprint; 3], point: Fingerprint) -> Fingerprint {
        series_in(self.hasher.ordered(keys), point)
    }

    /// The share of a limit that a series belongs to, by the labels that it would have.
    fn share(&mut self, limit: &Arc<Limit>, labels: &Labels<'_>, keys: [Fingerprint; 3]) -> Option<Slot> {
        let tenant = match limit.settings.tenant.as_str() {
            "" => None,
            label => Some(labels.get(label).map_or_else(Vec::new, |value| as_text(&value).into_owned())),
        };
        self.limits.share(limit, keys, tenant.as_deref(), &self.hasher, self.now.seconds)
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
        let top_k = plan.top_k.as_ref()?;
        let key = top_k.group(labels, &self.hasher)?;
        let ranking = self.rankings.entry(top_k.ranking);
        let ranking = ranking.or_insert_with(|| Ranking::new(top_k.settings.clone()));
        ranking.keep(top_k.settings.k, self.now.seconds);
        let group = ranking.group(key, self.now.seconds);
        if !group.is_some_and(|group| ranking.is_member(group)) {
            top_k.put_to_others(labels);
        }
        group.map(|group| (top_k.ranking, group))
    }
}

impl TopK {
    /// The group of a series; none where it has none of the labels.
    pub(super) fn group(&self, labels: &Labels<'_>, hasher: &Hasher) -> Option<Fingerprint> {
        let mut parts = Vec::new();
        let mut has_any = false;
        for label in &self.settings.labels {
            let value = labels.get(label);
            has_any |= value.is_some();
            let mut bytes = Vec::new();
            phoenix_pdata::write::put_value_body(&mut bytes, &value.unwrap_or(AnyValue::Empty));
            parts.extend_from_slice(&u128::from(hasher.bytes(&bytes)).to_le_bytes());
        }
        has_any.then(|| hasher.bytes(&parts))
    }

    /// Gives a series the labels of those whose group is none of the heaviest.
    pub(super) fn put_to_others(&self, labels: &mut Labels<'_>) {
        let settings = &self.settings;
        for label in &settings.labels {
            labels.set(label, &settings.other);
        }
        let spared = |body: &[u8]| {
            let key = phoenix_pdata::view::key_of(body);
            settings.labels.iter().any(|label| label.as_bytes() == key)
                || !crate::pattern::any(&self.others, key)
        };
        labels.point.retain(|body| spared(body));
        let before = labels.resource.len();
        labels.resource.retain(|body| spared(body));
        labels.resource_changed |= labels.resource.len() != before;
    }
}

/// The body of the attribute of the series that holds all others.
fn overflow_attribute() -> Vec<u8> {
    let mut field = Vec::new();
    put_attribute(&mut field, 1, OVERFLOW, &AnyValue::Bool(true));
    Fields::new(&field).next().map_or(Vec::new(), |field| field.body.to_vec())
}

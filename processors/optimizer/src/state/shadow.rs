//! What rules in shadow would leave: counted from series that come for the first time, with nothing done to any.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use phoenix_series::{Distinct, Fingerprint, Hasher};

use super::{Around, State, series_in};
use crate::config::{CapValues, LimitScope};
use crate::kind::Reading;
use crate::labels::{Labels, Step};
use crate::rules::{Limit, Plan, RuleSet, TopK};

/// The bytes of a place, with what a set keeps free.
const PLACE: usize = 2 * size_of::<u64>();

/// What was seen of a rule: how many different series it matched, and how many would be left.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) matched: Distinct,
    pub(crate) left: Distinct,
    /// Who has a place under a bound of the rule (values of a label, groups, series), by what the bound is for. Who came first
    /// has one for good: how many would have one is what is asked for, and not who.
    places: HashMap<Fingerprint, HashSet<u64>>,
    held: usize,
}

impl Seen {
    /// Whether somebody has a place among `most`.
    fn has_place(&mut self, of: Fingerprint, who: Fingerprint, most: usize) -> bool {
        let places = self.places.entry(of).or_default();
        let who = who.half();
        if places.contains(&who) {
            return true;
        }
        let has = places.len() < most && places.insert(who);
        self.held += usize::from(has);
        has
    }

    /// Takes note of a series under the plan that the rule alone would come to. Returns how many bytes more are kept.
    fn note(
        &mut self,
        plan: &Plan,
        around: &Around<'_>,
        reading: &Reading<'_>,
        hasher: &mut Hasher,
    ) -> usize {
        if plan.drop.is_some() {
            return 0;
        }
        let before = self.held;
        let mut labels = Labels::new(&reading.attributes, &around.place.resource_attributes);
        for step in &plan.steps {
            if !labels.apply(step)
                && let Step::Cap { settings, .. } = step
            {
                self.cap(settings, around, &mut labels, hasher);
            }
        }
        if let Some(top_k) = &plan.top_k {
            self.top(top_k, &mut labels, hasher);
        }
        let (point, resource) = labels.fingerprints(hasher);
        let keys = [resource, around.keys[1], around.form.metric];
        let group = hasher.ordered(keys);
        let mut left = series_in(group, point);
        if let Some(limit) = &plan.limit {
            let (pool, others) = pool(limit, keys, group);
            if !self.has_place(pool, left, limit.settings.limit) {
                left = others;
            }
        }
        self.left.insert(left.half());
        (self.held - before) * PLACE
    }

    fn cap(&mut self, settings: &CapValues, around: &Around<'_>, labels: &mut Labels<'_>, hasher: &Hasher) {
        let text = labels.point_text(&settings.label).filter(|text| text != settings.other.as_bytes());
        let Some(text) = text else { return };
        let name = hasher.bytes(around.place.metric.name().as_bytes());
        let of = hasher.ordered([hasher.bytes(settings.label.as_bytes()), name]);
        if !self.has_place(of, hasher.bytes(&text), settings.limit) {
            labels.set_point(&settings.label, &settings.other);
        }
    }

    fn top(&mut self, top_k: &TopK, labels: &mut Labels<'_>, hasher: &Hasher) {
        if let Some(group) = top_k.group(labels, hasher)
            && !self.has_place(Fingerprint::default(), group, top_k.settings.k)
        {
            top_k.put_to_others(labels);
        }
    }
}

/// What a limit is for, and the series of those over it.
fn pool(limit: &Limit, keys: [Fingerprint; 3], group: Fingerprint) -> (Fingerprint, Fingerprint) {
    match limit.settings.per {
        LimitScope::Resource => (group, group),
        LimitScope::Metric => (keys[2], keys[2]),
        LimitScope::Rule => (Fingerprint::default(), keys[2]),
    }
}

impl State {
    /// Counts a series that was not seen before for the rules in shadow that match it.
    pub(super) fn project(
        &mut self,
        plan: &Plan,
        around: &Around<'_>,
        reading: &Reading<'_>,
        rules: &RuleSet,
    ) {
        for index in &plan.shadow {
            let alone =
                self.shadows.entry(*index).or_insert_with(|| Arc::new(Plan::alone(rules, *index))).clone();
            let seen = self.counted.entry(*index).or_default();
            let bytes = seen.note(&alone, around, reading, &mut self.hasher);
            self.ledger.note(bytes);
        }
    }
}

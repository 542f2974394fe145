//! Where a stream goes: looked up once, when it comes first or after the rules changed.

use std::sync::Arc;

use phoenix_pdata::view::Attributes;
use phoenix_pdata::write::{put_bytes, put_value_body};
use phoenix_series::{Fingerprint, Slot};
use smallvec::SmallVec;

use super::Aggregator;
use crate::intake::{Origin, Point};
use crate::kind::Kind;
use crate::labels::{Came, Grouped, encode};
use crate::series::{Head, Series};
use crate::stream::{Stream, Target};
use crate::value::Value;

/// Series that take what there is no room for, beyond the limit: one for each metric of a rule.
const MOST_OVERFLOWS: usize = 1000;
/// The attribute of such a series.
const OVERFLOW: &str = "otel.metric.overflow";
/// The name of the scope where several go into one.
const SCOPE: &str = "phoenix.aggregator";

/// A place that was looked up for a stream: rules that group alike share it.
struct Placed {
    grouping: u16,
    kind: Kind,
    place: Place,
    head_id: Fingerprint,
    key: Fingerprint,
}

/// Resource, scope and attributes of a series, encoded, with their identities.
struct Place {
    resource: Vec<u8>,
    resource_id: Fingerprint,
    attributes: Vec<u8>,
    attributes_id: Fingerprint,
    /// Whether scope and schemas are those of the stream.
    keeps_scope: bool,
}

impl Aggregator {
    /// The state of a stream, with where it goes under the rules of now; none where no rule takes it and there is no room
    /// to remember that.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn resolve<'a>(
        &mut self,
        known: Option<Slot>,
        key: Fingerprint,
        origin: &Origin<'a>,
        rules: u64,
        attributes: Attributes<'a>,
        attributes_id: Fingerprint,
        point: &impl Point<'a>,
    ) -> Result<Option<Slot>, &'static str> {
        let Some(meaning) = origin.kind.meaning() else { return Ok(None) };
        if known.is_none() && self.streams.is_full() {
            // Who goes to no rule anyway passes.
            let wanted = self.targets(origin, rules, attributes, attributes_id, point)?;
            return if wanted.is_empty() { Ok(None) } else { Err("stream_limit") };
        }
        let found = self.targets(origin, rules, attributes, attributes_id, point)?;
        let slot = match known {
            Some(slot) => slot,
            None => match self.streams.insert(key, Stream::new(meaning)) {
                Ok(slot) => slot,
                Err(_) => return Err("stream_limit"),
            },
        };
        match (known, &mut self.capturing) {
            (Some(slot), _) => self.preserve(slot),
            (None, Some(capturing)) => capturing.capture.new_stream(slot),
            _ => {}
        }
        self.metrics.streams.set(self.streams.len() as i64);
        let Some(stream) = self.streams.get_mut(slot) else { return Ok(None) };
        let before = std::mem::take(&mut stream.targets);
        let level = stream.level().map(|(_, value)| value);
        for gone in before.iter().filter(|old| !found.contains(&(old.plan, old.slot))) {
            self.plans[usize::from(gone.plan)].leave(gone.slot, !stream.ended, level);
        }
        let since = stream.newest();
        let target = |(plan, slot): &(u16, Slot)| {
            let old = before.iter().find(|old| (old.plan, old.slot) == (*plan, *slot));
            if let Some(old) = old {
                return old;
            }
            self.plans[usize::from(*plan)].streams += 1;
            if let Some(series) = self.plans[usize::from(*plan)].table.get_mut(*slot) {
                series.streams += 1;
                series.live += u32::from(!stream.ended);
            }
            Target { plan: *plan, slot: *slot, since }
        };
        stream.targets = found.iter().map(target).collect();
        stream.generation = self.generation;
        let former = stream.route.take();
        let targets: SmallVec<[Target; 8]> = stream.targets.iter().collect();
        self.leave_route(former);
        let route = self.route_of(meaning, &targets);
        if let Some(stream) = self.streams.get_mut(slot) {
            stream.route = route;
        }
        Ok(Some(slot))
    }

    /// The series that a stream goes to.
    fn targets<'a>(
        &mut self,
        origin: &Origin<'a>,
        rules: u64,
        attributes: Attributes<'a>,
        attributes_id: Fingerprint,
        point: &impl Point<'a>,
    ) -> Result<Vec<(u16, Slot)>, &'static str> {
        let came = Came::new(origin.resource.map(|resource| resource.attributes()), attributes);
        let mut places: SmallVec<[Placed; 2]> = SmallVec::new();
        // Histograms must go together with those that are there.
        let histogram = match origin.kind {
            Kind::Explicit(_) => point.value(&mut self.pool).ok(),
            _ => None,
        };
        let (mut targets, mut full) = (Vec::new(), false);
        for index in 0..self.plans.len() {
            let shape = &self.plans[index].shape;
            let wanted = rules & 1 << index.min(63) != 0
                && (index < 63 || shape.matches_name(origin.metric.name().as_bytes()))
                && shape.matches_kind(origin.kind)
                && shape.matches_labels(&came);
            let Some(kind) = shape.kind(origin.kind).filter(|_| wanted) else { continue };
            let grouping = self.plans[index].alike;
            let known = places.iter().position(|placed| (placed.grouping, placed.kind) == (grouping, kind));
            let known = known.unwrap_or_else(|| {
                let place = self.place(index, &came, origin, kind, attributes_id);
                let (head_id, key) = self.keys(origin, kind, &place);
                places.push(Placed { grouping, kind, place, head_id, key });
                places.len() - 1
            });
            match self.series_at(index, origin, &places[known], histogram.as_ref()) {
                Found::At(slot) => targets.push((index as u16, slot)),
                Found::Full => full = true,
                Found::Incompatible => self.plans[index].metrics.incompatible.add(1),
            }
        }
        if let Some(histogram) = histogram {
            self.pool.give_back(histogram);
        }
        if targets.is_empty() && full { Err("series_limit") } else { Ok(targets) }
    }

    fn place(
        &mut self,
        plan: usize,
        came: &Came<'_>,
        origin: &Origin<'_>,
        kind: Kind,
        attributes_id: Fingerprint,
    ) -> Place {
        let grouping = &self.plans[plan].shape.grouping;
        if grouping.keeps_all() {
            let mut encoded = Vec::new();
            for attribute in came.point().bodies() {
                put_bytes(&mut encoded, kind.attributes_field(), attribute);
            }
            return Place {
                resource: origin.resource.map_or_else(Vec::new, |resource| resource.raw().to_vec()),
                resource_id: origin.resource_id,
                attributes: encoded,
                attributes_id,
                keeps_scope: true,
            };
        }
        let keeps_scope = grouping.keeps_scope();
        let Grouped { resource, resource_id, point, point_id } =
            grouping.group(came, kind.attributes_field(), &self.hasher);
        Place { resource, resource_id, attributes: point, attributes_id: point_id, keeps_scope }
    }

    fn series_at(
        &mut self,
        plan: usize,
        origin: &Origin<'_>,
        placed: &Placed,
        histogram: Option<&Value>,
    ) -> Found {
        let Placed { kind, ref place, head_id, key, .. } = *placed;
        self.plans[plan].quality.streams += 1;
        if let Some(slot) = self.plans[plan].table.find(key) {
            return self.compatible(plan, slot, histogram);
        }
        if self.series < self.settings.max_series {
            self.series += 1;
            self.metrics.series.set(self.series as i64);
            let found = self.insert(plan, origin, kind, place, head_id, key);
            return match found {
                Found::At(slot) => self.compatible(plan, slot, histogram),
                other => other,
            };
        }
        self.plans[plan].metrics.overflow.add(1);
        self.plans[plan].quality.overflows += 1;
        // Levels of different streams have nothing in common.
        if matches!(kind, Kind::Gauge | Kind::UpDownCounter | Kind::Summary) {
            return Found::Full;
        }
        let mut yes = Vec::new();
        put_value_body(&mut yes, &true.into());
        let mut label = [(OVERFLOW.as_bytes().to_vec(), yes)];
        let (attributes, attributes_id) = encode(&mut label, kind.attributes_field(), &self.hasher);
        let place = Place {
            resource: Vec::new(),
            resource_id: Fingerprint::default(),
            attributes,
            attributes_id,
            keeps_scope: false,
        };
        let (head_id, key) = self.keys(origin, kind, &place);
        match self.plans[plan].table.find(key) {
            Some(slot) => self.compatible(plan, slot, histogram),
            None if self.overflows >= MOST_OVERFLOWS => Found::Full,
            None => {
                self.overflows += 1;
                self.insert(plan, origin, kind, &place, head_id, key)
            }
        }
    }

    fn compatible(&mut self, plan: usize, slot: Slot, histogram: Option<&Value>) -> Found {
        let series = self.plans[plan].table.get_mut(slot);
        let takes = histogram.is_none_or(|value| series.is_none_or(|series| series.join(value)));
        if takes { Found::At(slot) } else { Found::Incompatible }
    }

    /// The identities of the head and of the series.
    fn keys(&mut self, origin: &Origin<'_>, kind: Kind, place: &Place) -> (Fingerprint, Fingerprint) {
        let scope = if place.keeps_scope { origin.scope_id } else { Fingerprint::default() };
        let metric = self.identities.metric(&self.hasher, &origin.metric, kind);
        let head = self.hasher.ordered([place.resource_id, scope, metric]);
        (head, self.hasher.ordered([head, place.attributes_id]))
    }

    fn insert(
        &mut self,
        plan: usize,
        origin: &Origin<'_>,
        kind: Kind,
        place: &Place,
        head_id: Fingerprint,
        key: Fingerprint,
    ) -> Found {
        let existing = self.plans[plan].heads.get(&head_id).and_then(|head| head.upgrade());
        let head = match existing {
            Some(head) => head,
            None => {
                let head = Arc::new(self.head(origin, kind, place, head_id));
                self.plans[plan].heads.insert(head_id, Arc::downgrade(&head));
                head
            }
        };
        let is_sample = self.plans[plan].samples(key);
        let mut series = Series::new(head, place.attributes.as_slice().into(), self.plans[plan].shape.more());
        series.is_sample = is_sample;
        let Ok(slot) = self.plans[plan].table.insert(key, series) else { return Found::Full };
        if let Some(capturing) = &mut self.capturing {
            capturing.capture.new_series(plan, slot);
        }
        Found::At(slot)
    }

    fn head(&mut self, origin: &Origin<'_>, kind: Kind, place: &Place, key: Fingerprint) -> Head {
        let own = |bytes: &[u8]| -> Box<[u8]> { bytes.into() };
        let mut scope = Vec::new();
        match (place.keeps_scope, origin.scope) {
            (true, Some(kept)) => scope.extend_from_slice(kept.raw()),
            (true, None) => {}
            (false, _) => put_bytes(&mut scope, 1, SCOPE.as_bytes()),
        }
        let schema = |schema: phoenix_pdata::view::Text<'_>| {
            if place.keeps_scope { own(schema.as_bytes()) } else { Box::default() }
        };
        Head {
            id: self.next_head(),
            key,
            resource: place.resource.as_slice().into(),
            resource_schema: schema(origin.resource_schema),
            scope: scope.into(),
            scope_schema: schema(origin.scope_schema),
            name: own(origin.metric.name().as_bytes()),
            description: own(origin.metric.description().as_bytes()),
            unit: own(origin.metric.unit().as_bytes()),
            kind,
        }
    }
}

/// What was found for a stream.
enum Found {
    At(Slot),
    /// There is no room.
    Full,
    /// Its histograms have no bounds in common with those that are there.
    Incompatible,
}

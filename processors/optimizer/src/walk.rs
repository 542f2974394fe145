//! The way of a request through the rules: what they leave alone is copied as it is.

use std::collections::HashMap;
use std::sync::Arc;

use phoenix_pdata::Rewriter;
use phoenix_pdata::view::{Attributes, Data, Metric, Resource, Scope, Text, View as _};
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_bytes, put_message};
use phoenix_series::{Fingerprint, Hasher};

use crate::compress::{self, Compressed, Learned};
use crate::edit;
use crate::kind::{Kind, Reading};
use crate::metrics::{OptimizerMetrics, Reason};
use crate::rules::{Place, Plan, RuleSet};
use crate::state::{Around, Fate, Form, State};

/// The most metrics and groups that are remembered; beyond, all are looked at anew.
const MAX_REMEMBERED: usize = 1 << 17;
/// The error of one histogram in so many is measured.
const MEASURED: u64 = 16;

/// What is remembered of metrics, by identity. A cache: what is forgotten is found again.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// By name, unit and kind.
    metrics: HashMap<Fingerprint, Arc<Candidates>>,
    /// By resource, scope and metric.
    groups: HashMap<Fingerprint, Group>,
    histograms: u64,
}

/// The rules that may mean points of a metric.
#[derive(Debug)]
struct Candidates {
    rules: Box<[u16]>,
    may_fold: bool,
}

/// The points of a metric of one resource and scope.
#[derive(Clone, Debug)]
struct Group {
    /// What becomes of all of them, where that does not depend on the point.
    plan: Option<Arc<Plan>>,
    /// The rules that may mean some.
    candidates: Arc<[u16]>,
    may_fold: bool,
    /// What becomes of the metric itself.
    header: Arc<Plan>,
    /// As what it goes on where it is converted.
    converted: Form,
}

/// What became of the points of a request.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) absorbed: u64,
    pub(crate) dropped: Vec<(&'static str, u64)>,
}

impl Tally {
    fn ends(&mut self, reason: &'static str, points: u64) {
        match self.dropped.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, count)) => *count += points,
            None => self.dropped.push((reason, points)),
        }
    }

    /// Points that do not go on.
    pub(crate) fn gone(&self) -> u64 {
        self.absorbed + self.dropped.iter().map(|(_, points)| points).sum::<u64>()
    }
}

/// One walk.
pub(crate) struct Walk<'s> {
    pub(crate) state: &'s mut State,
    pub(crate) remembered: &'s mut Remembered,
    pub(crate) rules: &'s RuleSet,
    pub(crate) metrics: &'s OptimizerMetrics,
    pub(crate) tally: Tally,
}

/// An entry of a resource or of a scope, with its identity once that was asked for.
struct Entry<'a> {
    body: &'a [u8],
    key: Option<Fingerprint>,
}

impl Walk<'_> {
    /// Goes through a piece of a request; none where nothing changes.
    pub(crate) fn piece(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let mut rewriter = Rewriter::new(piece);
        for entry in Fields::new(piece).filter(|field| field.is_len(1)) {
            rewriter.enter(&entry);
            let mut resource = Entry { body: entry.body, key: None };
            let (mut scopes, mut left) = (0, 0);
            for scope in Fields::new(entry.body).filter(|field| field.is_len(2)) {
                scopes += 1;
                left += u64::from(self.scope(&mut rewriter, &mut resource, &scope));
            }
            // What came empty stays.
            if scopes > 0 && left == 0 { rewriter.leave_and_remove() } else { rewriter.leave() }
        }
        rewriter.finish()
    }

    fn scope<'a>(
        &mut self,
        rewriter: &mut Rewriter<'a>,
        resource: &mut Entry<'a>,
        scope: &Field<'a>,
    ) -> bool {
        rewriter.enter(scope);
        let mut entry = Entry { body: scope.body, key: None };
        let (mut metrics, mut left) = (0, 0);
        for metric in Fields::new(scope.body).filter(|field| field.is_len(2)) {
            metrics += 1;
            left += u64::from(self.metric(rewriter, resource, &mut entry, &metric));
        }
        let stays = metrics == 0 || left > 0;
        if stays {
            rewriter.leave()
        } else {
            rewriter.leave_and_remove()
        }
        stays
    }

    /// Whether anything is left of the metric.
    fn metric<'a>(
        &mut self,
        rewriter: &mut Rewriter<'a>,
        resource: &mut Entry<'a>,
        scope: &mut Entry<'a>,
        field: &Field<'a>,
    ) -> bool {
        let metric = Metric::new(field.body);
        let Some(data) = metric.data() else { return true };
        let kind = Kind::of(&data);
        let key = metric_key(&self.state.hasher, &metric, kind);
        let candidates = match self.remembered.metrics.get(&key) {
            Some(candidates) => candidates.clone(),
            None => {
                self.state.counts.verdict();
                let rules = self.rules.about_metric(&metric, kind);
                let may_fold = self.rules.may_fold(&metric, kind, &rules);
                let candidates = Arc::new(Candidates { rules, may_fold });
                make_room(&mut self.remembered.metrics);
                self.remembered.metrics.insert(key, candidates.clone());
                candidates
            }
        };
        if candidates.rules.is_empty() && !candidates.may_fold {
            return true;
        }
        let keys = [self.resource_key(resource), self.scope_key(scope)];
        let form = Form { kind, metric: key, group: self.state.hasher.ordered([keys[0], keys[1], key]) };
        let resource_body = first(resource.body);
        let scope_body = first(scope.body);
        let place = Place {
            resource: resource_body.unwrap_or_default(),
            resource_attributes: resource_body
                .map_or_else(Attributes::default, |body| Resource::new(body).attributes()),
            scope: scope_body.unwrap_or_default(),
            scope_name: scope_body.map_or(&[], |body| Scope::new(body).name().as_bytes()),
            metric,
            kind,
        };
        let group = match self.remembered.groups.get(&form.group) {
            Some(group) => group.clone(),
            None => {
                let group = self.group(&candidates, &place, keys, form);
                make_room(&mut self.remembered.groups);
                self.remembered.groups.insert(form.group, group.clone());
                group
            }
        };
        let around = Around {
            place,
            resource_entry: resource.body,
            scope_entry: scope.body,
            keys,
            form,
            converted: group.converted,
            candidates: &group.candidates,
            may_fold: group.may_fold,
            plan: group.plan.as_ref(),
        };
        self.points(rewriter, field, &data, &around, &group.header)
    }

    fn group(
        &mut self,
        candidates: &Candidates,
        place: &Place<'_>,
        keys: [Fingerprint; 2],
        form: Form,
    ) -> Group {
        self.state.counts.verdict();
        let meant = self.rules.about_place(&candidates.rules, place);
        let plan = (!self.rules.asks_points(&meant)).then(|| self.state.plan(self.rules, &meant));
        // Rules that look at points say nothing about the metric: the settings see to that.
        let plain: Vec<u16> =
            meant.iter().copied().filter(|index| !self.rules.asks_points(&[*index])).collect();
        let header = match &plan {
            Some(plan) => plan.clone(),
            None => self.state.plan(self.rules, &plain),
        };
        let converted = match form.kind.converted() {
            kind if kind == form.kind => form,
            kind => {
                let hasher = &self.state.hasher;
                let metric = metric_key(hasher, &place.metric, kind);
                Form { kind, metric, group: hasher.ordered([keys[0], keys[1], metric]) }
            }
        };
        Group { plan, candidates: meant.into(), may_fold: candidates.may_fold, header, converted }
    }

    fn resource_key(&mut self, entry: &mut Entry<'_>) -> Fingerprint {
        *entry.key.get_or_insert_with(|| {
            let attributes = first(entry.body).map(|body| Resource::new(body).attributes());
            attributes
                .map_or_else(Fingerprint::default, |attributes| self.state.hasher.attributes(&attributes))
        })
    }

    fn scope_key(&mut self, entry: &mut Entry<'_>) -> Fingerprint {
        *entry.key.get_or_insert_with(|| {
            let schema = Fields::new(entry.body).filter(|field| field.is_len(3)).last();
            let schema = Text::new(schema.map_or(&[], |field| field.body));
            let scope = first(entry.body).map(Scope::new);
            let attributes = scope.map_or_else(Attributes::default, |scope| scope.attributes());
            let attributes = self.state.hasher.attributes(&attributes);
            let text =
                |text: Option<Text<'_>>| self.state.hasher.bytes(text.map_or(&[], |text| text.as_bytes()));
            let parts = [
                text(scope.map(|scope| scope.name())),
                text(scope.map(|scope| scope.version())),
                text(Some(schema)),
                attributes,
            ];
            self.state.hasher.ordered(parts)
        })
    }

    fn points<'a>(
        &mut self,
        rewriter: &mut Rewriter<'a>,
        field: &Field<'a>,
        data: &Data<'_>,
        around: &Around<'_>,
        header: &Plan,
    ) -> bool {
        let kind = around.place.kind;
        if let Some(plan) = around.plan {
            if let Some(rule) = plan.drop {
                self.drop_all(rule, plan, field, data, around);
                rewriter.remove(field);
                return false;
            }
            if !plan.tracks(kind) && !around.may_fold {
                let (points, bytes) = (data.count() as u64, bytes_of(field, kind));
                self.state.counts.matched(&plan.rules, points, bytes);
                if !plan.edits_points() && !plan.edits_metric() {
                    self.state.counts.left(&plan.rules, points, bytes);
                    return true;
                }
            }
        }
        if header.converts() && matches!(kind, Kind::Histogram { .. }) && data.count() > 0 {
            return self.convert(rewriter, field, around, header);
        }
        rewriter.enter(field);
        let (mut came, mut left) = (0_u64, 0_u64);
        for part in Fields::new(field.body) {
            if !part.is_len(kind.field()) {
                if self.goes(&part, header, around) {
                    rewriter.remove(&part);
                }
                continue;
            }
            rewriter.enter(&part);
            for point in Fields::new(part.body).filter(|part| part.is_len(1)) {
                came += 1;
                let reading = kind.read(point.body);
                let Some(plan) = self.passes(around, &reading) else {
                    rewriter.remove(&point);
                    continue;
                };
                left += 1;
                let edited = self.edited(&reading, around, plan.as_deref());
                if let Some(plan) = &plan {
                    let bytes = edited.as_ref().map_or(reading.body.len(), Vec::len);
                    self.state.counts.left(&plan.rules, 1, bytes as u64);
                }
                if let Some(edited) = edited {
                    rewriter.replace(&point, |out| out.extend_from_slice(&edited));
                }
            }
            rewriter.leave();
        }
        let stays = left > 0 || came == 0;
        if stays {
            rewriter.leave()
        } else {
            rewriter.leave_and_remove()
        }
        stays
    }

    /// Whether a point goes on, and under which plan.
    fn passes(&mut self, around: &Around<'_>, reading: &Reading<'_>) -> Option<Option<Arc<Plan>>> {
        match self.state.point(around, reading, self.rules, self.metrics) {
            Fate::Passes(plan) => return Some(plan),
            Fate::Absorbed => self.tally.absorbed += 1,
            Fate::Ends(reason) => self.tally.ends(reason, 1),
        }
        None
    }

    /// A point that goes on, with what the plan changes in it; none where that is nothing.
    fn edited(&mut self, reading: &Reading<'_>, around: &Around<'_>, plan: Option<&Plan>) -> Option<Vec<u8>> {
        let plan = plan.filter(|plan| plan.edits_points())?;
        let kind = around.place.kind;
        let mut edited = Vec::new();
        if let Some((rule, settings)) = &plan.histograms {
            let measure = self.is_measured();
            let State { buffers, choices, now, .. } = &mut *self.state;
            let mut learned = Learned { choices, metric: around.form.metric, now: now.seconds };
            match compress::point(kind, reading, settings, buffers, &mut learned, measure, &mut edited) {
                Compressed::Unchanged => edited.clear(),
                Compressed::Written(error) => self.measured(*rule, error),
                Compressed::Malformed => {
                    edited.clear();
                    self.metrics.ignored(Reason::Malformed);
                }
            }
        }
        if plan.drop_exemplars && !reading.exemplars.is_empty() {
            let mut without = Vec::new();
            let body = if edited.is_empty() { reading.body } else { &edited[..] };
            edit::without_exemplars(body, kind, &mut without);
            edited = without;
        }
        (!edited.is_empty()).then_some(edited)
    }

    /// A metric whose explicit histograms become exponential: those that do are another metric, beside those that a rule keeps as
    /// they are. What is no histogram ends here.
    fn convert<'a>(
        &mut self,
        rewriter: &mut Rewriter<'a>,
        field: &Field<'a>,
        around: &Around<'_>,
        header: &Plan,
    ) -> bool {
        let (mut head, mut rest) = (Vec::new(), Vec::new());
        let (mut kept, mut converted) = (Vec::new(), Vec::new());
        for part in Fields::new(field.body) {
            if !part.is_len(around.place.kind.field()) {
                if !self.goes(&part, header, around) {
                    head.extend_from_slice(part.raw);
                }
                continue;
            }
            for inner in Fields::new(part.body) {
                if !inner.is_len(1) {
                    rest.extend_from_slice(inner.raw);
                    continue;
                }
                let reading = around.place.kind.read(inner.body);
                let Some(Some(plan)) = self.passes(around, &reading) else { continue };
                if !plan.converts() {
                    let edited = self.edited(&reading, around, Some(&plan));
                    let body = edited.as_deref().unwrap_or(inner.body);
                    put_bytes(&mut kept, 1, body);
                    self.state.counts.left(&plan.rules, 1, body.len() as u64);
                } else if let Some(body) = self.converted(&reading, &plan) {
                    put_bytes(&mut converted, 1, &body);
                    self.state.counts.left(&plan.rules, 1, body.len() as u64);
                } else {
                    self.metrics.ignored(Reason::Malformed);
                    self.tally.ends(Reason::Malformed.name(), 1);
                }
            }
        }
        rewriter.replace_field(field, |out| {
            for (number, points) in
                [(around.form.kind.field(), &kept), (around.converted.kind.field(), &converted)]
            {
                if points.is_empty() {
                    continue;
                }
                put_message(out, field.number(), |out| {
                    out.extend_from_slice(&head);
                    put_message(out, number, |out| {
                        out.extend_from_slice(points);
                        out.extend_from_slice(&rest);
                    });
                });
            }
        });
        !kept.is_empty() || !converted.is_empty()
    }

    /// The body of a point that becomes exponential; none where it is no histogram.
    fn converted(&mut self, reading: &Reading<'_>, plan: &Plan) -> Option<Vec<u8>> {
        let (rule, settings) = plan.histograms.as_ref()?;
        let measure = self.is_measured();
        let mut body = Vec::new();
        let buffers = &mut self.state.buffers;
        let error =
            compress::converted(reading, settings, buffers, measure, !plan.drop_exemplars, &mut body)?;
        self.measured(*rule, error);
        Some(body)
    }

    /// Whether the error of the next histogram is measured.
    fn is_measured(&mut self) -> bool {
        self.remembered.histograms += 1;
        self.remembered.histograms % MEASURED == 1
    }

    /// The largest error so far is shown.
    fn measured(&self, rule: u16, error: Option<f64>) {
        if let (Some(error), Some(of_rule)) = (error, self.metrics.rules.get(usize::from(rule))) {
            let ppm = (error * 1e6).round() as i64;
            if ppm > of_rule.quantile_error.value() {
                of_rule.quantile_error.set(ppm);
            }
        }
    }

    /// Whether a field around the points is left out.
    fn goes(&mut self, part: &Field<'_>, plan: &Plan, around: &Around<'_>) -> bool {
        let metric = &around.place.metric;
        match part.number() {
            2 => plan.drop_description,
            3 => plan.drop_unit && self.state.unit_may_go(metric.name().as_bytes(), metric.unit().as_bytes()),
            12 => plan.drop_metadata,
            _ => false,
        }
    }

    /// All points of a metric end here.
    fn drop_all(&mut self, rule: u16, plan: &Plan, field: &Field<'_>, data: &Data<'_>, around: &Around<'_>) {
        let points = data.count() as u64;
        let kind = around.place.kind;
        self.state.counts.matched(&plan.rules, points, bytes_of(field, kind));
        self.state.counts.dropped(rule, points);
        self.tally.ends("optimized_away", points);
        for part in Fields::new(field.body).filter(|part| part.is_len(kind.field())) {
            for point in Fields::new(part.body).filter(|part| part.is_len(1)) {
                self.state.count(rule, around, &kind.read(point.body));
                for shadow in &plan.shadow {
                    self.state.count(*shadow, around, &kind.read(point.body));
                }
            }
        }
    }
}

/// The identity of a metric.
fn metric_key(hasher: &Hasher, metric: &Metric<'_>, kind: Kind) -> Fingerprint {
    let [field, temporality, monotonic] = kind.code();
    let code = u128::from(field) << 16 | u128::from(temporality) << 8 | u128::from(monotonic);
    hasher.ordered([
        hasher.bytes(metric.name().as_bytes()),
        hasher.bytes(metric.unit().as_bytes()),
        Fingerprint::from(code),
    ])
}

/// The bytes of the points of a metric.
fn bytes_of(field: &Field<'_>, kind: Kind) -> u64 {
    let parts = Fields::new(field.body).filter(|part| part.is_len(kind.field()));
    let points = parts.flat_map(|part| Fields::new(part.body)).filter(|part| part.is_len(1));
    points.map(|point| point.body.len() as u64).sum()
}

/// The body of the message in field 1.
fn first(body: &[u8]) -> Option<&[u8]> {
    Fields::new(body).find(|field| field.is_len(1)).map(|field| field.body)
}

fn make_room<T>(map: &mut HashMap<Fingerprint, T>) {
    if map.len() >= MAX_REMEMBERED {
        map.clear();
    }
}

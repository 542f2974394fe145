//! Takes requests apart: which metrics rules want, and what of a request is left.

use phoenix_component::{Batch, Now, Output};
use phoenix_pdata::{Editor, Payload, view};

use super::Aggregator;
use super::tally::{Fate, Tally};
use crate::intake::{Origin, Point, each_point, earliest};
use crate::kind::Kind;

/// Names whose rules are remembered.
const MOST_NAMES: usize = 65_536;

/// What became of a batch.
pub(super) struct Consumed {
    /// What no rule took.
    pub(super) rest: Option<Batch>,
    /// Whether some of it is part of the state.
    pub(super) counts: bool,
}

impl Aggregator {
    /// Takes what rules match out of a batch.
    pub(super) fn consume(&mut self, batch: Batch, now: Now, out: &mut Output) -> Consumed {
        let mut tally = Tally::default();
        if !self.begun {
            self.begin(&batch.payload);
        }
        let mut rest = Payload::default();
        let (mut is_cut, mut items) = (false, 0);
        for piece in batch.payload.clone() {
            let mut editor = Editor::new(&piece);
            let stayed = self.consume_piece(&piece, now, &mut tally, &mut editor);
            items += stayed;
            if editor.is_unchanged() {
                rest.append(Payload::from(piece));
                continue;
            }
            is_cut = true;
            if stayed > 0
                && let Some(edited) = editor.finish()
            {
                rest.append(Payload::from(bytes::Bytes::from(edited)));
            }
        }
        self.account(&tally, out);
        let counts = tally.counts;
        if !is_cut {
            return Consumed { rest: Some(batch), counts };
        }
        Consumed { rest: (items > 0).then(|| Batch { payload: rest, items: items as u64, ..batch }), counts }
    }

    /// From the first data points: where windows begin.
    pub(super) fn begin(&mut self, payload: &Payload) {
        let mut first: Option<(u64, u64)> = None;
        let metrics =
            payload.resource_metrics().flat_map(|entry| entry.scopes()).flat_map(|scope| scope.records());
        for metric in metrics {
            let Some(data) = metric.data() else { continue };
            let Some(kind) = Kind::of(&data) else { continue };
            if let Some((time, began)) = earliest(data, kind)
                && self.plans.iter().any(|plan| plan.shape.matches_name(metric.name().as_bytes()))
            {
                let known = first.unwrap_or((u64::MAX, u64::MAX));
                first = Some((known.0.min(time), known.1.min(began)));
            }
        }
        let Some((time, began)) = first else { return };
        self.begun = true;
        let earliest = time.saturating_sub(self.watermark.out_of_order());
        self.horizon = u64::MAX;
        for plan in &mut self.plans {
            plan.begin(earliest, began);
            self.horizon = self.horizon.min(plan.shape.end_of(time) - plan.shape.step);
        }
        self.align();
    }

    /// Takes what rules match out of a piece. Returns how many data points stay.
    fn consume_piece<'a>(
        &mut self,
        piece: &'a [u8],
        now: Now,
        tally: &mut Tally,
        editor: &mut Editor<'a>,
    ) -> usize {
        let mut stayed = 0;
        // What leaves of something of which not all does. A change counts for less than one around it, so none is noted twice.
        let (mut scopes, mut metrics, mut points) = (Vec::new(), Vec::new(), Vec::new());
        for entry in view::resource_metrics(piece) {
            let (resource, schema) = (entry.resource(), entry.schema_url());
            let member = resource.map(|resource| self.member_of(resource.attributes())).unwrap_or_default();
            let resource_id = self.identities.resource(
                &mut self.hasher,
                resource,
                schema,
                member.replica.unwrap_or_default(),
            );
            let partition = self.watermark.partition(resource_id);
            let mut of_resource = Part::default();
            scopes.clear();
            for scope_entry in entry.scopes() {
                let (scope, scope_schema) = (scope_entry.scope(), scope_entry.schema_url());
                let scope_id = self.identities.scope(&mut self.hasher, scope, scope_schema);
                let mut of_scope = Part::default();
                metrics.clear();
                for metric in scope_entry.records() {
                    let Some((data, kind, rules)) = self.wanted(&metric) else {
                        of_scope.stays(metric.data().map_or(0, |data| data.count()));
                        continue;
                    };
                    let metric_id = self.identities.metric(&self.hasher, &metric, kind);
                    let origin = Origin {
                        resource,
                        resource_schema: schema,
                        resource_id,
                        member,
                        scope,
                        scope_schema,
                        scope_id,
                        metric,
                        kind,
                        id: self.hasher.ordered([resource_id, scope_id, metric_id]),
                    };
                    let mut of_metric = Part::default();
                    points.clear();
                    each_point!(data, |point| {
                        match self.take(&origin, rules, partition, point, now, tally) {
                            Fate::Leaves => points.push(Point::raw(&point)),
                            Fate::Stays => of_metric.stays(1),
                        }
                    });
                    of_metric.leaves |= !points.is_empty();
                    of_scope.ends(of_metric, metric.raw(), &mut metrics, &points, editor);
                }
                of_resource.ends(of_scope, scope_entry.raw(), &mut scopes, &metrics, editor);
            }
            if of_resource.goes() {
                editor.remove(entry.raw());
            } else {
                scopes.iter().for_each(|scope| _ = editor.remove(scope));
            }
            stayed += of_resource.stayed;
        }
        stayed
    }

    /// The data points of a metric and the rules that take its name and kind; none where no rule does.
    fn wanted<'a>(&mut self, metric: &view::Metric<'a>) -> Option<(view::Data<'a>, Kind, u64)> {
        let name = metric.name().as_bytes();
        let key = self.hasher.bytes(name);
        let rules = match self.names.get(&key) {
            Some(rules) => *rules,
            None => {
                let mut rules = 0;
                for (index, plan) in self.plans.iter().enumerate() {
                    // Levels beyond the 64th plan share its bit: they are looked at again.
                    rules |= u64::from(plan.shape.matches_name(name)) << index.min(63);
                }
                if self.names.len() >= MOST_NAMES {
                    self.names.clear();
                }
                self.names.insert(key, rules);
                rules
            }
        };
        if rules == 0 {
            return None;
        }
        let data = metric.data()?;
        let kind = Kind::of(&data)?;
        let rules = rules & self.kinds[usize::from(kind.number())];
        (rules != 0).then_some((data, kind, rules))
    }
}

/// What became of a part of a request: of a metric, a scope or a resource.
#[derive(Default)]
struct Part {
    /// Data points that stay.
    stayed: usize,
    /// Whether something in it stays, be it without data points.
    keeps: bool,
    leaves: bool,
}

impl Part {
    fn stays(&mut self, points: usize) {
        self.stayed += points;
        self.keeps = true;
    }

    /// Whether all of it leaves.
    fn goes(&self) -> bool {
        self.leaves && !self.keeps
    }

    /// A part of it ended, in which `inside` leaves: either it goes as a whole, and is noted in `whole`, or what leaves of it
    /// is removed.
    fn ends<'a>(
        &mut self,
        part: Part,
        raw: &'a [u8],
        whole: &mut Vec<&'a [u8]>,
        inside: &[&'a [u8]],
        editor: &mut Editor<'a>,
    ) {
        self.leaves |= part.leaves;
        self.keeps |= !part.goes();
        self.stayed += part.stayed;
        if part.goes() {
            whole.push(raw);
        } else {
            inside.iter().for_each(|raw| _ = editor.remove(raw));
        }
    }
}

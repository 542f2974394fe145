//! Takes requests apart: which metrics rules want, and what of a request is left.

use phoenix_component::{Batch, Now, Output};
use phoenix_pdata::{Editor, Payload, Signal, count_items, prune, view};

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
        let mut is_cut = false;
        for piece in batch.payload.clone() {
            let mut editor = Editor::new(&piece);
            let mut stayed = 0;
            self.consume_piece(&piece, now, &mut tally, &mut editor, &mut stayed);
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
        let payload = prune(Signal::Metrics, rest);
        let items = count_items(Signal::Metrics, &payload);
        Consumed { rest: (items > 0).then(|| Batch { payload, items, ..batch }), counts }
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
    }

    pub(super) fn consume_piece<'a>(
        &mut self,
        piece: &'a [u8],
        now: Now,
        tally: &mut Tally,
        editor: &mut Editor<'a>,
        stayed: &mut usize,
    ) {
        for entry in view::resource_metrics(piece) {
            let (resource, schema) = (entry.resource(), entry.schema_url());
            let resource_id = self.identities.resource(&mut self.hasher, resource, schema);
            let partition = self.watermark.partition(resource_id);
            for scope_entry in entry.scopes() {
                let (scope, scope_schema) = (scope_entry.scope(), scope_entry.schema_url());
                let scope_id = self.identities.scope(&mut self.hasher, scope, scope_schema);
                for metric in scope_entry.records() {
                    let Some((data, kind, rules)) = self.wanted(&metric) else {
                        *stayed += metric.data().map_or(0, |data| data.count());
                        continue;
                    };
                    let metric_id = self.identities.metric(&self.hasher, &metric, kind);
                    let origin = Origin {
                        resource,
                        resource_schema: schema,
                        resource_id,
                        scope,
                        scope_schema,
                        scope_id,
                        metric,
                        kind,
                        id: self.hasher.ordered([resource_id, scope_id, metric_id]),
                    };
                    let (mut total, mut left) = (0, 0);
                    each_point!(data, |point| {
                        total += 1;
                        let fate = self.take(&origin, rules, partition, point, now, tally);
                        if fate == Fate::Leaves {
                            left += 1;
                            editor.remove(Point::raw(&point));
                        }
                    });
                    if left == total {
                        // Within what goes as a whole no other change counts.
                        editor.remove(metric.raw());
                    }
                    *stayed += total - left;
                }
            }
        }
    }

    /// The data points of a metric and the rules that take its name; none where no rule does.
    pub(super) fn wanted<'a>(&mut self, metric: &view::Metric<'a>) -> Option<(view::Data<'a>, Kind, u64)> {
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
        Some((data, Kind::of(&data)?, rules))
    }
}

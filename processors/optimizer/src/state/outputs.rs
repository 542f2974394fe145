//! The series that are let out, and what lies around their points.

use std::sync::Arc;

use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_bytes, put_message};
use phoenix_series::{Fingerprint, Slot};

use super::rounds::release;
use super::{Around, State, Target};
use crate::accumulated::Accumulated;
use crate::labels::Labels;
use crate::output::{Frame, Output};
use crate::rules::Plan;
use crate::series::Goes;

impl State {
    /// The output with this identity, made where there is none.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn output_for(
        &mut self,
        key: Fingerprint,
        plan: &Arc<Plan>,
        around: &Around<'_>,
        labels: &Labels<'_>,
        keys: [Fingerprint; 3],
        value: Option<Accumulated>,
        group: Option<(u16, Slot)>,
        limit: Option<Slot>,
        caps: Vec<(Fingerprint, u64)>,
    ) -> Target {
        let slot = match (self.outputs.find(key), value) {
            (Some(slot), _) => {
                if let Some(output) = self.outputs.get_mut(slot)
                    && output.is_retired
                {
                    // It has a place again, and goes on where it was.
                    (output.is_retired, output.limit) = (false, limit);
                }
                Some(slot)
            }
            (None, None) => None,
            (None, Some(value)) => {
                let frame = self.frame(plan, around, labels, keys);
                let caps: Box<[_]> = caps.into();
                for (of, value) in &caps {
                    *self.caps.entry(*of).or_default().entry(*value).or_insert(0) += 1;
                }
                let output = Output {
                    attributes: labels.encoded(frame.kind.attributes_field()),
                    frame,
                    plan: plan.clone(),
                    value,
                    start: 0,
                    is_started: false,
                    time: 0,
                    sent: 0,
                    ended: 0,
                    live: 0,
                    seen: self.now.seconds,
                    is_pending: false,
                    is_last: false,
                    caps,
                    contributors: 0,
                    limit,
                    is_retired: false,
                    heat: 0.0,
                    score: 0.0,
                    exemplars: Vec::new(),
                };
                self.ledger.note(output.attributes.len());
                self.outputs.insert(key, output).map_err(|output| self.release(&output)).ok()
            }
        };
        match slot {
            Some(slot) => Target { goes: Goes::Into(slot), group, limit: None, is_over: false },
            // As many outputs as there may be: the series keeps its own.
            None => Target { goes: Goes::Unmerged, group, limit: None, is_over: false },
        }
    }

    /// Gives back what an output had taken of limits.
    fn release(&mut self, output: &Output) {
        release(output, &mut self.limits, &mut self.caps);
    }

    /// What lies around the points of an output; the same for all that are equal.
    fn frame(
        &mut self,
        plan: &Plan,
        around: &Around<'_>,
        labels: &Labels<'_>,
        keys: [Fingerprint; 3],
    ) -> Arc<Frame> {
        let edits = [plan.drop_description, plan.drop_unit, plan.drop_metadata].map(u8::from);
        let edits = self.hasher.bytes(&edits);
        let key = self.hasher.ordered([keys[0], keys[1], keys[2], edits]);
        if let Some(frame) = self.frames.get(&key) {
            return frame.clone();
        }
        let mut resource = Vec::new();
        for field in Fields::new(around.resource_entry).filter(|field| field.number() != 2) {
            if field.is_len(1) && labels.resource_changed {
                put_message(&mut resource, 1, |out| {
                    for body in &labels.resource {
                        put_bytes(out, 1, body);
                    }
                    // References to entities name attributes that may be gone.
                    for inner in Fields::new(field.body).filter(|inner| !matches!(inner.number(), 1 | 3)) {
                        out.extend_from_slice(inner.raw);
                    }
                });
            } else {
                resource.extend_from_slice(field.raw);
            }
        }
        let mut scope = Vec::new();
        for field in Fields::new(around.scope_entry).filter(|field| field.number() != 2) {
            scope.extend_from_slice(field.raw);
        }
        let unit_goes = plan.drop_unit
            && self.unit_may_go(around.place.metric.name().as_bytes(), around.place.metric.unit().as_bytes());
        let mut metric = Vec::new();
        for field in Fields::new(around.place.metric.raw()) {
            let goes = match field.number() {
                2 => plan.drop_description,
                3 => unit_goes,
                12 => plan.drop_metadata,
                number => number == around.place.kind.field(),
            };
            if !goes {
                metric.extend_from_slice(field.raw);
            }
        }
        let frame = Arc::new(Frame {
            key: keys,
            resource: self.part(resource),
            scope: self.part(scope),
            metric: self.part(metric),
            kind: around.form_under(plan).kind,
        });
        self.frames.insert(key, frame.clone());
        frame
    }

    fn part(&mut self, bytes: Vec<u8>) -> Arc<[u8]> {
        self.parts.entry(self.hasher.bytes(&bytes)).or_insert_with(|| bytes.into()).clone()
    }
}

//! Keeps the exemplars of data points for the series that they go to.

use phoenix_series::Slot;

use super::Aggregator;
use crate::examples::Example;
use crate::intake::{Origin, Point};
use crate::labels::Came;

impl Aggregator {
    /// Offers the exemplars of a data point that was taken to all of its series.
    pub(super) fn keep_examples<'a>(&mut self, slot: Slot, origin: &Origin<'a>, point: impl Point<'a>) {
        let Some(stream) = self.streams.get(slot) else { return };
        let came = Came::new(origin.resource.map(|resource| resource.attributes()), point.attributes());
        let time = point.place().time;
        for target in stream.targets.iter() {
            let plan = &mut self.plans[usize::from(target.plan)];
            let shape = &plan.shape;
            let most = shape.examples(origin.kind);
            let Some(series) = plan.table.get_mut(target.slot).filter(|_| most > 0) else { continue };
            // What is late counts in the window that is open.
            let due = shape.end_of(time.max(plan.closed.saturating_add(1)));
            for exemplar in point.exemplars().iter() {
                let bucket = point.bucket_of(exemplar.value());
                let example = Example::read(exemplar, bucket, (time, due), &came, &shape.grouping);
                let kept = &mut series.more.get_or_insert_default().examples.get_or_insert_default().open;
                if example.is_none_or(|example| kept.offer(example, most)) {
                    plan.metrics.exemplars_dropped.add(1);
                }
            }
        }
    }
}

//! Series that go on as they are under a limit that may take their place away: what they said is noted, so that nothing is
//! counted twice from then on, and nothing is lost.

use phoenix_pdata::view::Temporality;
use phoenix_series::{Place, Step, difference};

use crate::compress::Buffers;
use crate::contribute::Moment;
use crate::increments::{Cumulative, since};
use crate::kind::{Kind, Reading, Value, as_double};
use crate::series::{Last, Series};

/// Notes what a point says that goes on, and how much its series counts by that.
/// The first point counts as it would in an aggregate: in full only where the stream began behind the horizon.
pub(super) fn follow(
    series: &mut Series,
    reading: &Reading<'_>,
    kind: Kind,
    at: &Moment,
    buffers: &mut Buffers,
) {
    if reading.is_stale() {
        return;
    }
    let (next, horizon) = (at.place_of(reading).0, at.horizon);
    let is_delta = kind.temporality() == Some(Temporality::Delta);
    let heat = match (kind, reading.value) {
        (Kind::Sum { .. }, Value::Number(Some(number))) if is_delta => as_double(number).abs(),
        (Kind::Sum { monotonic: true, .. }, Value::Number(Some(number))) => {
            if !(as_double(number).is_finite() && as_double(number) >= 0.0) {
                return;
            }
            let heat = match series.last {
                Last::Number(last) => match series.place.step(next, as_double(number) < as_double(last)) {
                    Step::Next => as_double(difference(number, last)),
                    Step::Reset => as_double(number),
                    Step::UnknownReset => 0.0,
                    Step::Duplicate | Step::OutOfOrder => return,
                },
                _ if next.counts_from_zero(horizon) => as_double(number),
                _ => 0.0,
            };
            (series.last, series.place) = (Last::Number(number), next);
            heat
        }
        (Kind::Histogram { .. }, Value::Histogram(point)) => {
            let read = &mut buffers.explicit;
            if !read.read(&point) || !is_delta && !advance(series, read, next, horizon) {
                return;
            }
            read.count as f64
        }
        (Kind::Exponential { .. }, Value::Exponential(point)) => {
            let read = &mut buffers.exponential;
            if !read.read(&point) || !is_delta && !advance(series, read, next, horizon) {
                return;
            }
            read.count as f64
        }
        // Gauges have no amount; what is sent more often counts more.
        _ => 1.0,
    };
    series.heat(heat);
}

/// Leaves in `read` what came since the last point, which it takes the place of; false where it is not newer.
fn advance<H: Cumulative>(series: &mut Series, read: &mut H, next: Place, horizon: u64) -> bool {
    let step = since(read, &mut series.last, series.place, next, next.counts_from_zero(horizon));
    if matches!(step, Step::Duplicate | Step::OutOfOrder) {
        return false;
    }
    series.place = next;
    true
}

//! Changes of points that go on.

use phoenix_pdata::wire::Fields;

use crate::compress::{self, Buffers, Compressed, Learned};
use crate::kind::{Kind, Reading};
use crate::rules::Plan;

/// Writes the body of a point as a plan wants it, whether or not that changes anything.
pub(crate) fn point(
    plan: &Plan,
    kind: Kind,
    reading: &Reading<'_>,
    buffers: &mut Buffers,
    learned: &mut Learned<'_>,
    out: &mut Vec<u8>,
) {
    let compressed = plan
        .histograms
        .as_ref()
        .map(|(_, settings)| compress::point(kind, reading, settings, buffers, learned, false, out));
    if !matches!(compressed, Some(Compressed::Written(_))) {
        out.clear();
        out.extend_from_slice(reading.body);
    }
    if plan.drop_exemplars && !reading.exemplars.is_empty() {
        let whole = std::mem::take(out);
        without_exemplars(&whole, kind, out);
    }
}

/// Copies the fields of a point, but for its exemplars.
pub(crate) fn without_exemplars(body: &[u8], kind: Kind, out: &mut Vec<u8>) {
    let exemplars = kind.exemplars_field();
    for field in Fields::new(body).filter(|field| Some(field.number()) != exemplars) {
        out.extend_from_slice(field.raw);
    }
}

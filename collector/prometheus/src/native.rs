//! Exponential histograms as native histograms.

use phoenix_pdata::view::ExponentialPoint;
use phoenix_pdata::wire::Wire;
use phoenix_pdata::write::{put_double, put_key, put_message, put_sint32, put_uint, put_varint};
use phoenix_series::{Buckets, Exponential, NO_RECORDED_VALUE, STALE_NAN};

/// The largest scale of a native histogram.
const MAX_SCALE: i32 = 8;
/// The smallest.
const MIN_SCALE: i32 = -4;
/// The width of the bucket of zero where the sender names none, as the original has it.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Empty buckets that are written as such before a new span begins.
const MAX_GAP: i64 = 2;

/// A native histogram: spans of buckets, and the difference of each count to the one before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Native {
    schema: i32,
    count: u64,
    sum: f64,
    zero_count: u64,
    zero_threshold: f64,
    positive: Layout,
    negative: Layout,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Layout {
    /// How far each span is from the end of the one before, and its length.
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
}

impl Native {
    /// Translates a point: beyond scale 8 it is scaled down. None where the scale is below -4, which native
    /// histograms do not have, or where the point is no histogram.
    pub fn new(point: &ExponentialPoint<'_>) -> Option<Native> {
        if point.flags() & NO_RECORDED_VALUE != 0 {
            return Some(Native { count: STALE_NAN, sum: f64::from_bits(STALE_NAN), ..Native::default() });
        }
        let mut histogram = Exponential::default();
        if !histogram.read(point) || histogram.scale < MIN_SCALE {
            return None;
        }
        histogram.downscale_to(MAX_SCALE);
        let threshold = histogram.zero_threshold;
        Some(Native {
            schema: histogram.scale,
            count: histogram.count,
            sum: histogram.sum.unwrap_or(0.0),
            zero_count: histogram.zero_count,
            zero_threshold: if threshold == 0.0 { ZERO_THRESHOLD } else { threshold },
            positive: Layout::new(&mut histogram.positive)?,
            negative: Layout::new(&mut histogram.negative)?,
        })
    }

    /// Whether it says that its series ended.
    pub fn is_stale(&self) -> bool {
        self.sum.to_bits() == STALE_NAN
    }

    /// How many values it holds.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of them.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Appends a `prometheus.Histogram` in field `number`; both versions of remote write have the same.
    pub fn put(&self, out: &mut Vec<u8>, number: u32, time_ms: i64) {
        put_message(out, number, |out| {
            put_uint(out, 1, self.count);
            put_double(out, 3, self.sum);
            put_sint32(out, 4, self.schema);
            put_double(out, 5, self.zero_threshold);
            put_uint(out, 6, self.zero_count);
            self.negative.put(out, 8, 9);
            self.positive.put(out, 11, 12);
            put_uint(out, 15, time_ms as u64);
        });
    }
}

impl Layout {
    /// None where an index or a count is beyond what there is room for.
    fn new(buckets: &mut Buckets) -> Option<Layout> {
        buckets.trim();
        let mut layout = Layout::default();
        let mut end: Option<i64> = None;
        let mut last = 0_i64;
        // Native histograms name buckets by their upper bound, exponential ones by the lower.
        for (index, count) in (buckets.offset + 1..).zip(&buckets.counts).filter(|(_, count)| **count > 0) {
            let gap = end.map_or(index, |end| index - end);
            match layout.spans.last_mut() {
                Some((_, length)) if gap <= MAX_GAP => {
                    *length += gap as u32 + 1;
                    for _ in 0..gap {
                        layout.deltas.push(-last);
                        last = 0;
                    }
                }
                _ => layout.spans.push((i32::try_from(gap).ok()?, 1)),
            }
            let count = i64::try_from(*count).ok()?;
            layout.deltas.push(count - last);
            last = count;
            end = Some(index + 1);
        }
        Some(layout)
    }

    fn put(&self, out: &mut Vec<u8>, spans: u32, deltas: u32) {
        for (offset, length) in &self.spans {
            put_message(out, spans, |out| {
                put_sint32(out, 1, *offset);
                put_uint(out, 2, u64::from(*length));
            });
        }
        if self.deltas.is_empty() {
            return;
        }
        let mut packed = Vec::new();
        self.deltas.iter().for_each(|delta| put_varint(&mut packed, (delta << 1 ^ delta >> 63) as u64));
        put_key(out, deltas, Wire::Len);
        put_varint(out, packed.len() as u64);
        out.extend_from_slice(&packed);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint;
    use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets as Sent;
    use phoenix_pdata::view::View as _;
    use prost::Message as _;

    use super::*;

    fn native(scale: i32, offset: i32, counts: &[u64], flags: u32) -> Option<Native> {
        let sent = ExponentialHistogramDataPoint {
            scale,
            flags,
            count: counts.iter().sum::<u64>() + 3,
            zero_count: 3,
            sum: Some(5.0),
            positive: Some(Sent { offset, bucket_counts: counts.to_vec() }),
            ..Default::default()
        };
        Native::new(&ExponentialPoint::new(&sent.encode_to_vec()))
    }

    #[test]
    fn buckets_become_spans_and_differences() {
        // Index 0 of an exponential histogram is (1, base], which native histograms call 1.
        let found = native(0, 0, &[2, 3, 0, 0, 1, 0, 0, 0, 4], 0).unwrap();
        assert_eq!(found.positive.spans, [(1, 5), (3, 1)]);
        assert_eq!(found.positive.deltas, [2, 1, -3, 0, 1, 3]);
        assert_eq!((found.count, found.zero_count, found.zero_threshold), (13, 3, 1e-128));
        let found = native(0, -3, &[0, 1], 0).unwrap();
        assert_eq!((found.positive.spans, found.positive.deltas), (vec![(-1, 1)], vec![1]));
    }

    #[test]
    fn what_is_too_fine_is_scaled_down_and_what_is_too_coarse_is_none() {
        // (((i - 1) >> 2) + 1): the indexes -3 to 4 become -1, 0, 1 and 2.
        let found = native(10, -4, &[1; 8], 0).unwrap();
        assert_eq!((found.schema, found.positive.spans), (8, vec![(0, 2)]));
        assert_eq!(found.positive.deltas, [4, 0]);
        assert_eq!(native(-5, 0, &[1], 0), None);
        let stale = native(0, 0, &[1], 1).unwrap();
        assert_eq!((stale.count, stale.sum.to_bits()), (STALE_NAN, STALE_NAN));
    }
}

//! Explicit histograms as exponential ones.

use super::Explicit;
use crate::mapping::{index_of, lower_bound};
use crate::{Buckets, Exponential};

/// The most buckets of either sign that a conversion makes, whatever bounds came.
const MOST_MADE: i64 = 4096;

/// Where the measurements of a bucket go. Whichever it is, counts stay exact, and a bucket that has more later has no less
/// anywhere: a cumulative stream stays one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// All to the middle of its bounds, by ratio: few buckets. A value is off by at most `√(hi / lo) - 1`, and by what the scale
    /// adds ([`relative_error`](crate::relative_error)).
    #[default]
    Geometric,
    /// All to its upper bound: no quantile is told too low.
    Upper,
    /// To all buckets between its bounds, evenly by ratio: the closest where measurements are smooth, and the most buckets.
    LogSplit,
    /// To all buckets between its bounds, evenly by value, as quantiles of explicit histograms are read: what they say stays, within
    /// what the scale adds.
    LinearSplit,
}

impl Explicit {
    /// The same as an exponential histogram of this scale, or of the highest that takes at most 4,096 buckets between its bounds.
    ///
    /// Buckets without two bounds of one sign go whole: the first to its upper bound, the last just above its lower, one
    /// around zero to the bucket of zero.
    pub fn to_exponential(&self, scale: i32, placement: Placement) -> Exponential {
        let scale = self.scale_within(scale);
        let mut made = Exponential {
            scale,
            count: self.count,
            sum: self.sum,
            min: self.min,
            max: self.max,
            ..Exponential::default()
        };
        if self.counts.is_empty() {
            made.zero_count = self.count;
            return made;
        }
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let lower = bucket.checked_sub(1).map(|index| self.bounds[index]);
            let upper = self.bounds.get(bucket).copied();
            let (buckets, low, high) = match (lower, upper) {
                (Some(lower), Some(upper)) if lower > 0.0 => (&mut made.positive, lower, upper),
                (Some(lower), Some(upper)) if upper < 0.0 => (&mut made.negative, -upper, -lower),
                _ => {
                    match alone(scale, lower, upper) {
                        (0, zero) => {
                            made.zero_count += count;
                            made.zero_threshold = made.zero_threshold.max(zero);
                        }
                        (1, at) => made.positive.add(index_of(scale, at), *count),
                        (_, at) => made.negative.add(index_of(scale, at), *count),
                    }
                    continue;
                }
            };
            match placement {
                Placement::Geometric => buckets.add(index_of(scale, low.sqrt() * high.sqrt()), *count),
                Placement::Upper => {
                    let upper = if upper == Some(high) { high } else { low };
                    buckets.add(index_of(scale, upper), *count);
                }
                Placement::LogSplit => {
                    // In powers of two, of which bounds of buckets are simple ones.
                    let (from, width) = (low.log2(), high.log2() - low.log2());
                    let step = (-f64::from(scale)).exp2();
                    split(buckets, scale, (low, high), *count, |index| (index as f64 * step - from) / width);
                }
                Placement::LinearSplit => {
                    let width = high - low;
                    let share = |index| (lower_bound(scale, index) - low) / width;
                    split(buckets, scale, (low, high), *count, share);
                }
            }
        }
        made
    }

    /// The scale, lowered until the bounds lie at most [`MOST_MADE`] buckets apart. It depends on the bounds alone, so that a stream
    /// keeps its scale.
    fn scale_within(&self, scale: i32) -> i32 {
        let positive = || self.bounds.iter().filter(|bound| **bound > 0.0);
        let negative = || self.bounds.iter().filter(|bound| **bound < 0.0);
        let ends =
            [positive().next().zip(positive().next_back()), negative().next_back().zip(negative().next())];
        let apart = |scale: i32| {
            let span = |(near, far): (&f64, &f64)| index_of(scale, far.abs()) - index_of(scale, near.abs());
            // One beyond the last bound, and both ends.
            ends.into_iter().flatten().map(span).max().unwrap_or(0) + 3
        };
        let mut scale = scale;
        while apart(scale) > MOST_MADE {
            scale -= 1;
        }
        scale
    }
}

/// The sign of a bucket that has not two bounds of one sign, and where it goes: the absolute value, or the threshold of zero.
fn alone(scale: i32, lower: Option<f64>, upper: Option<f64>) -> (i8, f64) {
    let above = |bound: f64| {
        let next = index_of(scale, bound) + 1;
        lower_bound(scale, next + 1).min(f64::MAX)
    };
    match (lower, upper) {
        (None, Some(upper)) if upper > 0.0 => (1, upper),
        (None, Some(upper)) if upper < 0.0 => (-1, above(-upper)),
        (None, _) => (0, 0.0),
        (Some(lower), None) if lower > 0.0 => (1, above(lower)),
        (Some(lower), None) if lower < 0.0 => (-1, -lower),
        (Some(_), None) => (1, f64::MIN_POSITIVE),
        (Some(0.0), Some(upper)) => (1, upper),
        (Some(lower), Some(0.0)) => (-1, -lower),
        (Some(lower), Some(upper)) => (0, upper.max(-lower)),
    }
}

/// Spreads the measurements of a bucket over those between its bounds; `share` says which share of them lies below the lower
/// bound of a bucket.
///
/// The n-th measurement goes where the n-th number of van der Corput's sequence lies between the bounds. So each has a place that
/// it keeps when more come, unlike with rounded shares, of which one can fall while the whole grows; and below no bound are there more
/// or fewer than its share by over `log2(n) / 3 + 1` (Béjian and Faure, 1977).
fn split(buckets: &mut Buckets, scale: i32, (low, high): (f64, f64), count: u64, share: impl Fn(i64) -> f64) {
    let mut index = index_of(scale, low);
    if lower_bound(scale, index + 1) <= low {
        // The bound itself belongs to the bucket below.
        index += 1;
    }
    let last = index_of(scale, high);
    let mut placed = 0;
    while index < last {
        let below = first_below(count, share(index + 1)).max(placed);
        if below > placed {
            buckets.add(index, below - placed);
        }
        placed = below;
        index += 1;
    }
    if count > placed {
        buckets.add(last, count - placed);
    }
}

/// How many of the first `count` numbers of van der Corput's sequence, which are whole numbers with their binary digits mirrored
/// behind the point, lie below a share.
fn first_below(count: u64, share: f64) -> u64 {
    const DIGITS: u32 = 53;
    if share >= 1.0 {
        return count;
    }
    let share = (share.max(0.0) * f64::from(DIGITS).exp2()) as u64;
    let (mut below, mut prefix) = (0, 0_u64);
    for digit in 0..DIGITS {
        if share >> (DIGITS - 1 - digit) & 1 == 1 {
            // Those that share all digits before, and have a zero where the share has a one.
            if count > prefix {
                below += ((count - prefix - 1) >> (digit + 1)) + 1;
            }
            prefix |= 1 << digit;
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_share_are_those_of_the_sequence() {
        let mirrored = |number: u64| (number.reverse_bits() >> 11) as f64 / 53_f64.exp2();
        for count in [0, 1, 2, 3, 7, 64, 100] {
            for share in [0.0, 0.1, 1.0 / 3.0, 0.5, 0.75, 0.999, 1.0] {
                let expected = (0..count).filter(|number| mirrored(*number) < share).count();
                assert_eq!(first_below(count, share), expected as u64, "{count} {share}");
            }
        }
        assert_eq!(first_below(u64::MAX, 0.5), 1 << 63);
    }
}

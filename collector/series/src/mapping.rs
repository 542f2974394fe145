//! The bounds of exponential buckets: bucket `i` of a scale holds `(base^i, base^(i+1)]`, `base = 2^(2^-scale)`.

/// The least scale that is of use: two buckets hold all numbers.
const MIN_SCALE: i32 = -10;
/// The largest scale of the SDKs.
const MAX_SCALE: i32 = 20;

/// The base of a scale.
pub fn base(scale: i32) -> f64 {
    (-f64::from(scale)).exp2().exp2()
}

/// The bound below a bucket, which is the one above the bucket before it. 0 or infinite beyond the range of numbers.
pub fn lower_bound(scale: i32, index: i64) -> f64 {
    if scale <= 0 {
        // Exact: a power of two.
        let exponent = (index << (-scale).min(20)).clamp(-2000, 2000);
        return (exponent as f64).exp2();
    }
    let whole = index >> scale;
    let rest = index & ((1 << scale) - 1);
    (rest as f64 / f64::from(scale).exp2()).exp2() * (whole.clamp(-2000, 2000) as f64).exp2()
}

/// The bucket of a positive finite number. What is below the least normal number goes where that goes.
pub fn index_of(scale: i32, value: f64) -> i64 {
    let value = value.max(f64::MIN_POSITIVE);
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i64 - 1023;
    let is_power = bits & ((1 << 52) - 1) == 0;
    if scale <= 0 {
        return (exponent - i64::from(is_power)) >> (-scale).min(20);
    }
    if is_power {
        return (exponent << scale) - 1;
    }
    let mut index = (value.ln() * f64::from(scale).exp2() * std::f64::consts::LOG2_E).floor() as i64;
    // Rounding can put a number beside its bucket, by one.
    if lower_bound(scale, index) >= value {
        index -= 1;
    } else if lower_bound(scale, index + 1) < value {
        index += 1;
    }
    index
}

/// How far an estimate within a bucket of this scale can be off, as a share of the value: `(base - 1) / (base + 1)`,
/// for the estimate `2 lo hi / (lo + hi)`.
pub fn relative_error(scale: i32) -> f64 {
    let base = base(scale);
    if base.is_infinite() { 1.0 } else { (base - 1.0) / (base + 1.0) }
}

/// The least scale whose buckets keep to a relative error.
pub fn least_scale(error: f64) -> i32 {
    (MIN_SCALE..=MAX_SCALE).find(|scale| relative_error(*scale) <= error).unwrap_or(MAX_SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_the_buckets_of_the_specification() {
        let values = [0.1, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 100.0, 1000.0];
        let cases: [(i32, [i64; 12]); 5] = [
            (3, [-27, -9, -4, -1, 4, 7, 12, 15, 18, 26, 53, 79]),
            (0, [-4, -2, -1, -1, 0, 0, 1, 1, 2, 3, 6, 9]),
            (-1, [-2, -1, -1, -1, 0, 0, 0, 0, 1, 1, 3, 4]),
            (-2, [-1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 1, 2]),
            (
                20,
                [
                    -3_483_295, -1_048_577, -435_199, -1, 613_377, 1_048_575, 1_661_953, 2_097_151,
                    2_434_718, 3_483_294, 6_966_588, 10_449_882,
                ],
            ),
        ];
        for (scale, indexes) in cases {
            assert_eq!(values.map(|value| index_of(scale, value)), indexes, "scale {scale}");
        }
    }

    #[test]
    fn a_number_lies_within_the_bounds_of_its_bucket() {
        for scale in -10..=12 {
            for step in -3000..3000 {
                let value = (f64::from(step) / 7.0).exp2();
                let index = index_of(scale, value);
                let (lower, upper) = (lower_bound(scale, index), lower_bound(scale, index + 1));
                assert!(lower < value && value <= upper, "{value} in {lower}..{upper}, scale {scale}");
            }
        }
        assert_eq!(index_of(0, f64::MAX), 1023);
        assert_eq!(index_of(0, 5e-324), index_of(0, f64::MIN_POSITIVE));
    }

    #[test]
    fn scales_have_their_errors() {
        for (scale, percent) in
            [(8, 0.135), (6, 0.542), (5, 1.083), (3, 4.330), (2, 8.643), (0, 33.333), (-2, 88.235)]
        {
            assert!((relative_error(scale) * 100.0 - percent).abs() < 0.001, "scale {scale}");
        }
        assert_eq!(least_scale(0.09), 2);
        assert_eq!(least_scale(0.01), 6);
        assert_eq!(least_scale(1.0), -10);
        assert_eq!(least_scale(0.0), 20);
    }
}

//! `probabilistic`: keeps a share of all traces.

use std::any::Any;

use phoenix_sampling::Threshold;

use crate::config::{ProbabilisticConfig, Randomness};
use crate::facts::TraceFacts;
use crate::plan::Builder;
use crate::policy::{Foreseen, Moment, Policy, Verdict, Vote};

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
const DEFAULT_SALT: &str = "default-hash-seed";

/// 64-bit FNV-1a, which otelcol hashes identifiers with.
fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// The largest hash that is kept: the whole part of (2⁶⁴ − 1) × `percentage` / 100, computed with a mantissa of 64 bits
/// as Go's `big.Float` does. None where nothing is kept.
fn largest_kept(percentage: f64) -> Option<u64> {
    let ratio = percentage / 100.0;
    if ratio.is_nan() || ratio <= 0.0 {
        return None;
    }
    if ratio >= 1.0 {
        return Some(u64::MAX);
    }
    let bits = ratio.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    // ratio = mantissa × 2^power
    let (mantissa, power) =
        if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let product = u128::from(u64::MAX) * u128::from(mantissa);
    let width = 128 - product.leading_zeros() as i32;
    // Round to 64 bits, half to even.
    let surplus = width - 64;
    let (mut rounded, mut power) = (product, power);
    if surplus > 0 {
        let (half, rest) = (1_u128 << (surplus - 1), product & ((1_u128 << surplus) - 1));
        rounded = product >> surplus;
        if rest > half || rest == half && rounded & 1 == 1 {
            rounded += 1;
        }
        power += surplus;
    }
    let whole = if power >= 0 {
        rounded << power.min(63)
    } else if power > -128 {
        rounded >> -power
    } else {
        0
    };
    Some(u64::try_from(whole).unwrap_or(u64::MAX))
}

/// Keeps traces whose hash is small.
struct Hashed {
    salted: u64,
    largest: Option<u64>,
}

impl Policy for Hashed {
    fn decide(&mut self, trace: &TraceFacts, _: Moment) -> Verdict {
        let keep = self.largest.is_some_and(|largest| fnv(self.salted, trace.id()) <= largest);
        // The hash is not the randomness of `tracestate`, so its threshold says nothing there.
        Verdict::uncertain(Vote::keep_if(keep))
    }

    fn foresee(&self, _: &TraceFacts) -> Foreseen {
        Foreseen::Chooses
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Keeps traces whose randomness is large.
struct Consistent(Threshold);

impl Policy for Consistent {
    fn decide(&mut self, trace: &TraceFacts, _: Moment) -> Verdict {
        Verdict::by(self.0, trace.randomness())
    }

    fn foresee(&self, _: &TraceFacts) -> Foreseen {
        Foreseen::Chooses
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Hexadecimal digits that a threshold has: all of them.
const PRECISION: u32 = 14;

pub(crate) fn build(
    builder: &mut Builder<'_>,
    config: &ProbabilisticConfig,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let percentage = config.sampling_percentage;
    if percentage.is_nan() {
        builder.problems().error(&format!("{key}::sampling_percentage"), "must be a number");
        return None;
    }
    Some(match builder.randomness {
        Randomness::FnvCompat => {
            let salt = if config.hash_salt.is_empty() { DEFAULT_SALT } else { &config.hash_salt };
            Box::new(Hashed { salted: fnv(OFFSET, salt.as_bytes()), largest: largest_kept(percentage) })
        }
        Randomness::W3c => {
            let never = if percentage >= 100.0 { Threshold::ALWAYS } else { Threshold::NEVER };
            Box::new(Consistent(Threshold::of_probability(percentage / 100.0, PRECISION).unwrap_or(never)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [u128; 5] = [
        0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        0x5b8e_fff7_9803_8103_d269_b633_813f_c60c,
        1,
        u128::MAX,
    ];

    #[test]
    fn thresholds_are_those_of_otelcol() {
        let cases = [
            (0.1, 0x0041_8937_4bc6_a7ef),
            (1.0, 0x028f_5c28_f5c2_8f5f),
            (5.0, 0x0ccc_cccc_cccc_ccff),
            (10.0, 0x1999_9999_9999_99ff),
            (25.0, 0x3fff_ffff_ffff_ffff),
            (33.33, 0x5553_2617_c1bd_a3ff),
            (50.0, 0x7fff_ffff_ffff_ffff),
            (75.0, 0xbfff_ffff_ffff_ffff),
            (99.9, 0xffbe_76c8_b439_5fff),
            (100.0, u64::MAX),
            (1e300, u64::MAX),
        ];
        for (percentage, expected) in cases {
            assert_eq!(largest_kept(percentage), Some(expected), "{percentage}: {expected:x}");
        }
        assert_eq!(largest_kept(0.0), None);
        assert_eq!(largest_kept(-5.0), None);
        assert_eq!(largest_kept(f64::MIN_POSITIVE), Some(0));
    }

    #[test]
    fn hashes_are_those_of_otelcol() {
        let expected = [
            (0xdbcf_64d5_420f_4cad, 0x4436_c849_27ca_fe40),
            (0xa545_33ba_2e49_70b5, 0x2db6_dedb_4b4a_c00c),
            (0x95f1_76d2_91b1_d3f7, 0x906a_4f6a_1ec6_0d42),
            (0xe195_35ee_d1bb_aa8a, 0xbc92_0788_b6c0_59e3),
            (0x17be_c373_9634_fe2d, 0x7486_8575_0437_be20),
        ];
        for (id, (default, s2)) in IDS.into_iter().zip(expected) {
            let hash = |salt: &str| fnv(fnv(OFFSET, salt.as_bytes()), &id.to_be_bytes());
            assert_eq!((hash(DEFAULT_SALT), hash("s2")), (default, s2), "{id:x}");
        }
    }
}

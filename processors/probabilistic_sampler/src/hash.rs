//! The hash of mode `hash_seed`: 32-bit FNV-1a, of which 14 bits decide.

use phoenix_sampling::Randomness;

const OFFSET: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// The buckets that a hash falls into.
pub(crate) const BUCKETS: u32 = 1 << 14;

/// A hash that has taken its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeded(u32);

impl Seeded {
    pub(crate) fn new(seed: u32) -> Seeded {
        Seeded(fnv(OFFSET, &seed.to_le_bytes()))
    }

    /// The randomness that some bytes have: 14 bits of the hash on top, in the reverse order of the buckets, then what
    /// is left of it, mixed, then the bucket.
    pub(crate) fn randomness(self, bytes: &[u8]) -> Randomness {
        let hash = fnv(self.0, bytes);
        let bucket = u64::from(hash & (BUCKETS - 1));
        let rest = u64::from(hash >> 18);
        let mixed = rest ^ rest << 10;
        Randomness::new((u64::from(BUCKETS) - 1 - bucket) << 42 | mixed << 14 | bucket)
    }
}

fn fnv(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn randomness_is_that_of_otelcol() {
        // (identifier, randomness with seed 0)
        let cases = [
            (0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10, "976837c4f25a25"),
            (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, "fdc80d0b42008d"),
            (0x5b8e_fff7_9803_8103_d269_b633_813f_c60c, "a480091545d6df"),
            (1_u128, "74f42e348fe2c2"),
            (u128::MAX, "aae80a44919545"),
        ];
        for (id, expected) in cases {
            let digits = Seeded::new(0).randomness(&id.to_be_bytes()).digits();
            assert_eq!(String::from_utf8_lossy(digits.as_bytes()), expected, "{id:032x}");
        }
        assert_eq!(fnv(Seeded::new(22).0, &1_u128.to_be_bytes()), 0x793d_ed30);
    }
}

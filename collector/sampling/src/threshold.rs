use crate::Digits;

/// One more than the largest randomness.
pub(crate) const ALL: u64 = 1 << 56;

/// The randomness of a trace: 56 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Randomness(u64);

impl Randomness {
    /// The one that every threshold but [`Threshold::NEVER`] keeps.
    pub const MAX: Randomness = Randomness(ALL - 1);

    /// From the lower 56 bits.
    pub fn new(bits: u64) -> Randomness {
        Randomness(bits & (ALL - 1))
    }

    /// That of a trace identifier: its last seven bytes.
    pub fn of_trace(id: &[u8; 16]) -> Randomness {
        let [_, _, _, _, _, _, _, _, low @ ..] = *id;
        Randomness::new(u64::from_be_bytes(low))
    }

    /// Reads exactly 14 hexadecimal digits.
    pub fn read(text: &[u8]) -> Option<(Digits, Randomness)> {
        let (digits, value) = Digits::read(text).filter(|_| text.len() == Digits::MOST)?;
        Some((digits, Randomness(value)))
    }

    /// Its 14 digits.
    pub fn digits(self) -> Digits {
        Digits::all_of(self.0)
    }

    /// Its 56 bits.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// What randomness has to reach for a span to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u64);

impl Threshold {
    /// Keeps everything.
    pub const ALWAYS: Threshold = Threshold(0);
    /// Keeps nothing.
    pub const NEVER: Threshold = Threshold(ALL);
    /// The least probability that can be expressed.
    pub const LEAST_PROBABILITY: f64 = 1.0 / ALL as f64;

    /// From 56 bits; more is [`Threshold::NEVER`].
    pub const fn new(bits: u64) -> Threshold {
        Threshold(if bits < ALL { bits } else { ALL })
    }

    /// Its bits, from which [`Threshold::new`] makes it again.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Reads up to 14 hexadecimal digits; those that are left out at the end are zeros.
    pub fn read(text: &[u8]) -> Option<(Digits, Threshold)> {
        Digits::read(text).map(|(digits, value)| (digits, Threshold(value)))
    }

    /// The threshold for a probability, rounded to `precision` significant hexadecimal digits; none where the
    /// probability is beyond the range of 2⁻⁵⁶ to 1.
    ///
    /// Digits count from the first that says something: zeros, or `f`s, in front come on top.
    pub fn of_probability(probability: f64, precision: u32) -> Option<Threshold> {
        if !(Threshold::LEAST_PROBABILITY..=1.0).contains(&probability) {
            return None;
        }
        if probability == 1.0 {
            return Some(Threshold::ALWAYS);
        }
        let leading = (-exponent(probability) / 4).max(-exponent(1.0 - probability) / 4);
        let digits = precision.saturating_add_signed(leading).min(Digits::MOST as u32);
        let exact = ALL - (probability * ALL as f64).round() as u64;
        let dropped = 4 * (Digits::MOST as u32 - digits);
        if dropped == 0 {
            return Some(Threshold(exact));
        }
        Some(Threshold((exact + (1 << (dropped - 1))) >> dropped << dropped))
    }

    /// The threshold that keeps one in `rate`, in full precision; everything where that is one or less.
    pub fn of_rate(rate: f64) -> Threshold {
        Threshold::of_probability(1.0 / rate.max(1.0), Digits::MOST as u32).unwrap_or(Threshold::NEVER)
    }

    /// The probability with which it keeps.
    pub fn probability(self) -> f64 {
        (ALL - self.0) as f64 / ALL as f64
    }

    /// How many something stands for that was kept with it; infinite for [`Threshold::NEVER`], which keeps nothing.
    pub fn adjusted_count(self) -> f64 {
        ALL as f64 / (ALL - self.0) as f64
    }

    /// Whether it keeps what has this randomness.
    #[inline]
    pub fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    /// Its digits, as few as say it; [`Threshold::NEVER`] has none.
    pub fn digits(self) -> Digits {
        if self == Threshold::NEVER { Digits::default() } else { Digits::all_of(self.0).trimmed() }
    }
}

/// The `e` for which a positive number is `f × 2^e` with `f` from a half to below one.
fn exponent(value: f64) -> i32 {
    (value.to_bits() >> 52 & 0x7ff) as i32 - 1022
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digits(probability: f64, precision: u32) -> String {
        let threshold = Threshold::of_probability(probability, precision).expect("in range");
        String::from_utf8_lossy(threshold.digits().as_bytes()).into_owned()
    }

    #[test]
    fn probabilities_have_the_digits_of_the_specification() {
        // (one in, digits by precision 3, 4, 5, 14)
        let cases = [
            (2.0, ["8"; 4]),
            (16.0, ["f"; 4]),
            (3.0, ["aab", "aaab", "aaaab", "aaaaaaaaaaaaac"]),
            (5.0, ["ccd", "cccd", "ccccd", "cccccccccccccc"]),
            (10.0, ["e66", "e666", "e6666", "e6666666666666"]),
            (100.0, ["fd71", "fd70a", "fd70a4", "fd70a3d70a3d71"]),
            (1000.0, ["ffbe7", "ffbe77", "ffbe76d", "ffbe76c8b43958"]),
            (10_000.0, ["fff972", "fff9724", "fff97247", "fff972474538ef"]),
            (1_000_000.0, ["ffffef4", "ffffef39", "ffffef391", "ffffef39085f4a"]),
        ];
        for (one_in, expected) in cases {
            let found = [3, 4, 5, 14].map(|precision| digits(1.0 / one_in, precision));
            assert_eq!(found, expected, "1 in {one_in}");
        }
    }

    #[test]
    fn percentages_of_32_bits_have_the_digits_of_the_go_collector() {
        let cases = [
            (0.1, "ffbe77"),
            (1.0, "fd70a"),
            (5.0, "f3333"),
            (10.0, "e666"),
            (15.3, "d8d5"),
            (25.0, "c"),
            (33.3, "aac1"),
            (99.9, "004189"),
        ];
        for (percentage, expected) in cases {
            assert_eq!(digits(f64::from(percentage as f32) / 100.0, 4), expected, "{percentage} %");
        }
        assert_eq!(digits(f64::from(15.3_f32) / 100.0, 14), "d8d4fdeb851eb8");
        assert_eq!(digits(0.153, 14), "d8d4fdf3b645a2");
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(digits(1.0, 4), "0");
        assert_eq!(Threshold::of_probability(1.1, 4), None);
        assert_eq!(Threshold::of_probability(f64::NAN, 4), None);
        assert_eq!(Threshold::of_probability(Threshold::LEAST_PROBABILITY / 2.0, 4), None);
        assert!(
            Threshold::of_probability(Threshold::LEAST_PROBABILITY, 4).expect("least").keeps(Randomness::MAX)
        );
        assert!(!Threshold::NEVER.keeps(Randomness::MAX));
        assert_eq!(Threshold::NEVER.digits().as_bytes(), b"");
        assert_eq!(Threshold::read(b"c").map(|(_, threshold)| threshold.probability()), Some(0.25));
        assert_eq!(Threshold::read(b"123456789abcdef"), None);
        assert_eq!(Randomness::read(b"ce929d0e0e473"), None);
        assert_eq!(Randomness::read(b"ce929d0e0e473g"), None);
    }

    proptest! {
        #[test]
        fn digits_read_as_what_they_were_made_of(bits in 0..ALL) {
            let threshold = Threshold::new(bits);
            prop_assert_eq!(Threshold::read(threshold.digits().as_bytes()).map(|(_, read)| read), Some(threshold));
            let randomness = Randomness::new(bits);
            prop_assert_eq!(Randomness::read(randomness.digits().as_bytes()).map(|(_, read)| read), Some(randomness));
        }
    }
}

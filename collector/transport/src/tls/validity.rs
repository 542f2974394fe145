//! When a certificate is valid: the little of X.509 (RFC 5280) that stands before and in that field.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// From when and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: Moment,
    pub(super) not_after: Moment,
}

/// Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

impl Validity {
    /// Reads it out of a certificate in DER; none where that is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Validity> {
        let (mut outer, _) = element(certificate, SEQUENCE)?;
        let (mut inner, _) = element(outer, SEQUENCE).map(|(inner, rest)| {
            outer = rest;
            (inner, rest)
        })?;
        if inner.first() == Some(&VERSION) {
            (_, inner) = element(inner, VERSION)?;
        }
        // Serial number, algorithm, issuer.
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            (_, inner) = element(inner, tag)?;
        }
        let (times, _) = element(inner, SEQUENCE)?;
        let (not_before, rest) = Moment::read(times)?;
        let (not_after, _) = Moment::read(rest)?;
        Some(Validity { not_before, not_after })
    }
}

/// The content of the element of that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(*first),
        0x81..=0x84 => {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (*found == tag).then_some((content, rest))
}

impl Moment {
    pub(super) fn now() -> Moment {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
    }

    fn read(der: &[u8]) -> Option<(Moment, &[u8])> {
        let tag = *der.first()?;
        let (text, rest) = element(der, tag)?;
        let digits = text.strip_suffix(b"Z")?;
        let number = |from: usize, to: usize| -> Option<i64> {
            std::str::from_utf8(digits.get(from..to)?).ok()?.parse().ok()
        };
        let (year, at) = match (tag, digits.len()) {
            (UTC_TIME, 12) => {
                let year = number(0, 2)?;
                (if year < 50 { 2000 + year } else { 1900 + year }, 2)
            }
            (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
            _ => return None,
        };
        let part = |index: usize| number(at + 2 * index, at + 2 * index + 2);
        let (month, day) = (part(0)?, part(1)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let seconds = part(2)? * 3600 + part(3)? * 60 + part(4)?;
        Some((Moment(days(year, month, day) * 86_400 + seconds), rest))
    }
}

/// Days since 1970 in the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// As RFC 3339 has it.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, second) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let shifted = day + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(["x".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().expect("made")).expect("signed").der().to_vec()
    }

    #[test]
    fn times_are_read_out_of_certificates() {
        for (from, until) in
            [((1999, 12, 31), (2049, 2, 28)), ((1975, 1, 1), (2000, 2, 29)), ((2024, 3, 1), (4096, 1, 1))]
        {
            let validity = Validity::of(&certificate(from, until)).expect("a certificate");
            let text = |(year, month, day): (i32, u8, u8)| format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
            assert_eq!(validity.not_before.to_string(), text(from));
            assert_eq!(validity.not_after.to_string(), text(until));
        }
        assert_eq!(Moment(1_800_000_000).to_string(), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn what_is_no_certificate_has_none() {
        let good = certificate((2020, 1, 1), (2030, 1, 1));
        for end in 0..good.len() {
            assert!(Validity::of(&good[..end]).is_none(), "{end}");
        }
        for at in 0..good.len() {
            for byte in [0, 0x30, 0x80, 0x84, 0xff] {
                let mut changed = good.clone();
                changed[at] = byte;
                let _ = Validity::of(&changed);
            }
        }
    }
}

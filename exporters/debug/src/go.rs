//! Numbers, times and identifiers as Go's standard library prints them.

use std::fmt;

/// A number as `%v` prints it: the shortest digits, with an exponent below 1e-4 and from 1e6 (or as many
/// digits as six) on.
pub(crate) struct General(pub(crate) f64);

/// A number as `%f` prints it: six decimals.
pub(crate) struct Fixed(pub(crate) f64);

/// A number as `encoding/json` and ECMAScript print it: with an exponent below 1e-6 and from 1e21 on. It must
/// be finite.
pub(crate) struct Json(pub(crate) f64);

impl fmt::Display for General {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = special(self.0) {
            return f.write_str(name);
        }
        let scientific = format!("{:e}", self.0);
        match scientific.split_once('e') {
            Some((digits, exponent)) if self.0 != 0.0 => {
                let exponent: i32 = exponent.parse().unwrap_or(0);
                if (-4..6).contains(&exponent) {
                    return write!(f, "{}", self.0);
                }
                let sign = if exponent < 0 { '-' } else { '+' };
                write!(f, "{digits}e{sign}{:02}", exponent.unsigned_abs())
            }
            _ => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match special(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "{:.6}", self.0),
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size == 0.0 || (1e-6..1e21).contains(&size) {
            return write!(f, "{}", self.0);
        }
        let scientific = format!("{:e}", self.0);
        match scientific.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => write!(f, "{digits}e+{exponent}"),
            _ => f.write_str(&scientific),
        }
    }
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        value if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// A Unix time in nanoseconds as `time.Time` prints itself in UTC. Go takes it for signed, so the upper half
/// of the range lies before 1970.
pub(crate) struct Time(pub(crate) u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0 as i64;
        let (seconds, fraction) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_date(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )?;
        if fraction > 0 {
            write!(f, ".{}", format!("{fraction:09}").trim_end_matches('0'))?;
        }
        f.write_str(" +0000 UTC")
    }
}

/// Year, month and day of a number of days since 1970, in the proleptic Gregorian calendar. After Howard
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A trace or span identifier: hexadecimal, and nothing where all of it is zero.
pub(crate) struct Id<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_printed_as_go_does() {
        for line in include_str!("../tests/data/go-formats.txt").lines() {
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("float"), Some(bits), Some(expected)) => {
                    let value = f64::from_bits(u64::from_str_radix(bits, 16).expect("hexadecimal"));
                    let json = if value.is_finite() { Json(value).to_string() } else { "-".to_owned() };
                    assert_eq!(format!("{} {} {json}", General(value), Fixed(value)), expected, "{line}");
                }
                (Some("time"), Some(nanos), Some(expected)) => {
                    assert_eq!(Time(nanos.parse().expect("a number")).to_string(), expected);
                }
                _ => panic!("unknown line {line:?}"),
            }
        }
    }

    #[test]
    fn identifiers_of_zeros_are_empty() {
        assert_eq!(Id(&[0; 16]).to_string(), "");
        assert_eq!(Id(&[0, 0xab]).to_string(), "00ab");
    }
}

//! Durations as Go writes them: `1h30m`, `200ms`, `1.5s`.

#[cfg(test)]
mod tests;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The name under which [`GoDuration`] announces itself to a deserializer.
pub(crate) const NAME: &str = "$phoenix::GoDuration";

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000 * MICROSECOND;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// A duration with the text form and the range of Go's `time.Duration`: whole nanoseconds, up to some 292 years
/// either way.
///
/// Reads text such as `1h30m`. A bare number is taken as nanoseconds, as otelcol does, with a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoDuration(i64);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form number, unit, number, unit…
    #[error("invalid duration {0:?}: write a number and a unit, for example `200ms`, `5s` or `1h30m`")]
    Syntax(String),
    /// A number without a unit.
    #[error("missing unit in duration {0:?}: one of ns, us, ms, s, m, h")]
    MissingUnit(String),
    /// A unit that Go does not know.
    #[error("unknown unit {unit:?} in duration {text:?}: one of ns, us, ms, s, m, h")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than some 292 years.
    #[error("duration {0:?} is out of range")]
    Range(String),
}

impl GoDuration {
    /// No time at all.
    pub const ZERO: GoDuration = GoDuration(0);

    /// A number of nanoseconds, which may be negative.
    pub const fn from_nanos(nanos: i64) -> GoDuration {
        GoDuration(nanos)
    }

    /// A number of milliseconds.
    pub const fn from_millis(millis: u32) -> GoDuration {
        GoDuration(millis as i64 * MILLISECOND)
    }

    /// A number of seconds.
    pub const fn from_secs(secs: u32) -> GoDuration {
        GoDuration(secs as i64 * SECOND)
    }

    /// In nanoseconds; may be negative.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// As a standard duration; zero if negative.
    pub const fn as_duration(self) -> Duration {
        if self.0 <= 0 { Duration::ZERO } else { Duration::from_nanos(self.0 as u64) }
    }

    /// Whether it is exactly zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is longer than zero.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether it is shorter than zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl From<GoDuration> for Duration {
    fn from(duration: GoDuration) -> Duration {
        duration.as_duration()
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<GoDuration, DurationError> {
        let syntax = || DurationError::Syntax(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(GoDuration::ZERO);
        }
        if rest.is_empty() {
            return Err(syntax());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (part, after) = Part::take(rest).ok_or_else(syntax)?;
            let (unit, after) =
                after.split_at(after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len()));
            let scale = match unit {
                "ns" => 1,
                "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
                "ms" => MILLISECOND,
                "s" => SECOND,
                "m" => MINUTE,
                "h" => HOUR,
                "" => return Err(DurationError::MissingUnit(text.to_owned())),
                _ => return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }),
            };
            total += part.times(scale).ok_or_else(|| DurationError::Range(text.to_owned()))?;
            rest = after;
        }
        let signed = if negative { -total } else { total };
        i64::try_from(signed).map(GoDuration).map_err(|_| DurationError::Range(text.to_owned()))
    }
}

/// Digits, a point, digits.
struct Part<'a> {
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Part<'a> {
    fn take(text: &'a str) -> Option<(Part<'a>, &'a str)> {
        let (whole, rest) = digits(text);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => digits(rest),
            None => ("", rest),
        };
        let empty = whole.is_empty() && fraction.is_empty();
        (!empty).then_some((Part { whole, fraction }, rest))
    }

    /// The nanoseconds of this many units, without the part of a nanosecond; `None` if out of range.
    fn times(&self, scale: i64) -> Option<i128> {
        let whole: i128 = if self.whole.is_empty() { 0 } else { self.whole.parse().ok()? };
        let mut nanos = whole.checked_mul(i128::from(scale)).filter(|nanos| *nanos <= 1 << 64)?;
        let mut unit = i128::from(scale) << 32;
        let mut fraction = 0;
        for digit in self.fraction.bytes() {
            unit /= 10;
            fraction += unit * i128::from(digit - b'0');
        }
        // The rounding of the division above is at most one part in 2^32 per digit.
        nanos += (fraction + (1 << 20)) >> 32;
        Some(nanos)
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// As Go prints it: `1h30m0s`, `1.5s`, `200ms`, `0s`.
impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let (scale, unit) = match nanos {
            0 => return f.write_str("0s"),
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (MICROSECOND as u64, "\u{b5}s"),
            1_000_000..1_000_000_000 => (MILLISECOND as u64, "ms"),
            _ => (SECOND as u64, "s"),
        };
        let mut rest = nanos;
        if unit == "s" {
            let (hours, minutes) = (nanos / HOUR as u64, nanos / MINUTE as u64 % 60);
            if hours > 0 {
                write!(f, "{hours}h")?;
            }
            if hours > 0 || minutes > 0 {
                write!(f, "{minutes}m")?;
            }
            rest = nanos % MINUTE as u64;
        }
        write!(f, "{}", rest / scale)?;
        let fraction = rest % scale;
        if fraction > 0 {
            let width = scale.ilog10() as usize;
            let digits = format!("{fraction:0width$}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str(unit)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GoDuration, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, DurationVisitor)
    }
}

struct DurationVisitor;

impl<'de> Visitor<'de> for DurationVisitor {
    type Value = GoDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `200ms` or `1h30m`")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<GoDuration, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<GoDuration, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, nanos: i64) -> Result<GoDuration, E> {
        Ok(GoDuration(nanos))
    }

    fn visit_u64<E: Error>(self, nanos: u64) -> Result<GoDuration, E> {
        i64::try_from(nanos).map(GoDuration).map_err(|_| E::custom(DurationError::Range(nanos.to_string())))
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

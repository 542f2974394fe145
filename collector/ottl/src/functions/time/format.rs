//! How a time is written: the directives of `strptime` that otelcol knows, and what they print.

use std::fmt::Write as _;

use super::calendar::Calendar;
use crate::{EvalError, Time};

/// A format, read once.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub(super) items: Vec<Item>,
    pub(super) ends_with_z: bool,
}

/// A part of a format.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Text(String),
    Year,
    ShortYear,
    Month(Padding),
    Day(Padding),
    MonthName,
    ShortMonthName,
    WeekdayName,
    ShortWeekdayName,
    Hour,
    HalfDayHour(Padding),
    Minute,
    Second,
    /// A point or comma with up to so many digits behind it.
    Fraction {
        separator: char,
        digits: usize,
    },
    /// Whether it is morning, in capitals or not.
    Noon {
        capitals: bool,
    },
    Abbreviation,
    Offset(OffsetForm),
}

/// What stands before a number of one digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    Zero,
    Space,
    None,
}

/// How a distance from UTC is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OffsetForm {
    /// `Z` or `+0700`.
    ZOrMinutes,
    /// `+070000`.
    Seconds,
    /// `+07`.
    Hours,
    /// `+07:00`.
    ColonMinutes,
    /// `+07:00:00`.
    ColonSeconds,
}

impl Layout {
    /// Reads a format.
    ///
    /// # Errors
    ///
    /// An empty format, digits, unknown directives, and fractions of seconds that do not follow a point
    /// or a comma.
    pub fn new(format: &str) -> Result<Self, EvalError> {
        if format.is_empty() {
            return Err(EvalError::new("format cannot be empty"));
        }
        if format.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err(EvalError::new(format!("invalid format {format:?}: it must not have digits")));
        }
        let mut layout = Self { items: Vec::new(), ends_with_z: format.ends_with('Z') };
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                layout.text(character);
                continue;
            }
            let directive = characters.next().ok_or_else(|| {
                EvalError::new(format!("invalid format {format:?}: nothing follows the last %"))
            })?;
            layout.directive(directive).map_err(|problem| {
                EvalError::new(format!("invalid format {format:?}: %{directive} {problem}"))
            })?;
        }
        Ok(layout)
    }

    fn text(&mut self, character: char) {
        match self.items.last_mut() {
            Some(Item::Text(text)) => text.push(character),
            _ => self.items.push(Item::Text(character.into())),
        }
    }

    fn directive(&mut self, directive: char) -> Result<(), &'static str> {
        use Padding::{None, Space, Zero};
        let item = match directive {
            'Y' => Item::Year,
            'y' => Item::ShortYear,
            'm' => Item::Month(Zero),
            'o' => Item::Month(Space),
            'q' => Item::Month(None),
            'b' | 'h' => Item::ShortMonthName,
            'B' => Item::MonthName,
            'd' => Item::Day(Zero),
            'e' => Item::Day(Space),
            'g' => Item::Day(None),
            'a' => Item::ShortWeekdayName,
            'A' => Item::WeekdayName,
            'H' => Item::Hour,
            'I' => Item::HalfDayHour(Zero),
            'l' => Item::HalfDayHour(None),
            'p' => Item::Noon { capitals: true },
            'P' => Item::Noon { capitals: false },
            'M' => Item::Minute,
            'S' => Item::Second,
            'L' => return self.fraction(3),
            'f' => return self.fraction(6),
            's' => return self.fraction(9),
            'Z' => Item::Abbreviation,
            'z' => Item::Offset(OffsetForm::ZOrMinutes),
            'w' => Item::Offset(OffsetForm::Seconds),
            'i' => Item::Offset(OffsetForm::Hours),
            'j' => Item::Offset(OffsetForm::ColonMinutes),
            'k' => Item::Offset(OffsetForm::ColonSeconds),
            'D' | 'x' => return self.all("%m/%d/%Y"),
            'F' => return self.all("%Y-%m-%d"),
            'T' | 'X' => return self.all("%H:%M:%S"),
            'r' => return self.all("%I:%M:%S %P"),
            'R' => return self.all("%H:%M"),
            'c' => return self.all("%a %b %d %H:%M:%S %Y"),
            'n' => return self.literal('\n'),
            't' => return self.literal('\t'),
            '%' => return self.literal('%'),
            _ => return Err("is not a directive"),
        };
        self.items.push(item);
        Ok(())
    }

    fn literal(&mut self, character: char) -> Result<(), &'static str> {
        self.text(character);
        Ok(())
    }

    /// Adds what a directive stands for.
    fn all(&mut self, format: &str) -> Result<(), &'static str> {
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            match (character, characters.clone().next()) {
                ('%', Some(directive)) => {
                    characters.next();
                    self.directive(directive)?;
                }
                _ => self.text(character),
            }
        }
        Ok(())
    }

    /// Takes the point or comma before a fraction out of the text, since it goes where the fraction is zero.
    fn fraction(&mut self, digits: usize) -> Result<(), &'static str> {
        const MISPLACED: &str = "must follow a point or a comma";
        let Some(Item::Text(text)) = self.items.last_mut() else { return Err(MISPLACED) };
        let separator = text.pop().filter(|last| matches!(last, '.' | ',')).ok_or(MISPLACED)?;
        if text.is_empty() {
            self.items.pop();
        }
        self.items.push(Item::Fraction { separator, digits });
        Ok(())
    }

    /// Writes a time in its own zone.
    pub fn format(&self, time: &Time) -> String {
        let at = Calendar::of(time);
        let mut out = String::new();
        for item in &self.items {
            item.format(&at, &mut out);
        }
        out
    }
}

impl Item {
    fn format(&self, at: &Calendar, out: &mut String) {
        let half_day_hour = if at.hour.is_multiple_of(12) { 12 } else { at.hour % 12 };
        // A string takes every write.
        let _ = match self {
            Self::Text(text) => out.write_str(text),
            Self::Year if at.year < 0 => write!(out, "-{:04}", -at.year),
            Self::Year => write!(out, "{:04}", at.year),
            Self::ShortYear => write!(out, "{:02}", at.year.rem_euclid(100)),
            Self::Month(padding) => padding.write(out, at.month),
            Self::Day(padding) => padding.write(out, at.day),
            Self::MonthName => out.write_str(MONTHS[usize::from(at.month - 1)]),
            Self::ShortMonthName => out.write_str(&MONTHS[usize::from(at.month - 1)][..3]),
            Self::WeekdayName => out.write_str(WEEKDAYS[usize::from(at.weekday)]),
            Self::ShortWeekdayName => out.write_str(&WEEKDAYS[usize::from(at.weekday)][..3]),
            Self::Hour => write!(out, "{:02}", at.hour),
            Self::HalfDayHour(padding) => padding.write(out, half_day_hour),
            Self::Minute => write!(out, "{:02}", at.minute),
            Self::Second => write!(out, "{:02}", at.second),
            Self::Fraction { separator, digits } => {
                let fraction = format!("{:09}", at.nanosecond);
                let fraction = fraction[..*digits].trim_end_matches('0');
                if fraction.is_empty() { Ok(()) } else { write!(out, "{separator}{fraction}") }
            }
            Self::Noon { capitals: true } => out.write_str(if at.hour < 12 { "AM" } else { "PM" }),
            Self::Noon { capitals: false } => out.write_str(if at.hour < 12 { "am" } else { "pm" }),
            Self::Abbreviation if at.abbreviation.is_empty() => {
                let form =
                    if at.offset_seconds % 3600 == 0 { OffsetForm::Hours } else { OffsetForm::ZOrMinutes };
                form.write(out, at.offset_seconds)
            }
            Self::Abbreviation => out.write_str(&at.abbreviation),
            Self::Offset(OffsetForm::ZOrMinutes) if at.offset_seconds == 0 => out.write_str("Z"),
            Self::Offset(form) => form.write(out, at.offset_seconds),
        };
    }
}

impl Padding {
    fn write(self, out: &mut String, number: u8) -> std::fmt::Result {
        match self {
            Self::Zero => write!(out, "{number:02}"),
            Self::Space => write!(out, "{number:2}"),
            Self::None => write!(out, "{number}"),
        }
    }
}

impl OffsetForm {
    fn write(self, out: &mut String, offset_seconds: i32) -> std::fmt::Result {
        let sign = if offset_seconds < 0 { '-' } else { '+' };
        let magnitude = offset_seconds.unsigned_abs();
        let (hours, minutes, seconds) = (magnitude / 3600, magnitude / 60 % 60, magnitude % 60);
        match self {
            Self::ZOrMinutes => write!(out, "{sign}{hours:02}{minutes:02}"),
            Self::Seconds => write!(out, "{sign}{hours:02}{minutes:02}{seconds:02}"),
            Self::Hours => write!(out, "{sign}{hours:02}"),
            Self::ColonMinutes => write!(out, "{sign}{hours:02}:{minutes:02}"),
            Self::ColonSeconds => write!(out, "{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        }
    }
}

/// Months in English; the first three letters are the short form.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Days of the week in English, from Sunday on; the first three letters are the short form.
pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Writes a time as RFC 3339 does, with as many digits of the second as it has.
pub fn rfc3339_nano(time: &Time) -> String {
    let at = Calendar::of(time);
    let mut out = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    );
    Item::Fraction { separator: '.', digits: 9 }.format(&at, &mut out);
    if at.offset_seconds == 0 {
        out.push('Z');
    } else {
        let _ = OffsetForm::ColonMinutes.write(&mut out, at.offset_seconds);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zone;
    use crate::functions::time::calendar::{fixed, zone_named};

    fn format(nanos: i64, zone: Zone, format: &str) -> String {
        Layout::new(format).unwrap().format(&Time { unix_nanos: nanos.into(), zone })
    }

    const AT: i64 = 1_700_000_000_123_456_789;

    #[test]
    fn directives() {
        let cases = [
            ("%Y-%m-%dT%H:%M:%SZ", "2023-11-14T22:13:20Z"),
            ("%a %b %e %I:%M:%S.%L %p", "Tue Nov 14 10:13:20.123 PM"),
            ("%A, %B %d %y", "Tuesday, November 14 23"),
            ("%o|%q|%g|%l|%P", "11|11|14|10|pm"),
            ("%S,%f|%S.%s", "20,123456|20.123456789"),
            ("%Z %z %w %i %j %k", "UTC Z +000000 +00 +00:00 +00:00:00"),
            ("%D %x %F", "11/14/2023 11/14/2023 2023-11-14"),
            ("%T %X %R", "22:13:20 22:13:20 22:13"),
            ("%r", "10:13:20 pm"),
            ("%c", "Tue Nov 14 22:13:20 2023"),
            ("%n%t%%%h", "\n\t%Nov"),
        ];
        for (directives, expected) in cases {
            assert_eq!(format(AT, Zone::Utc, directives), expected, "{directives}");
        }
        let first = 1_704_067_205_000_000_000; // 2024-01-01T00:00:05Z
        assert_eq!(format(first, Zone::Utc, "%o/%e %l %p|%S.%L|"), " 1/ 1 12 AM|05|");
        assert_eq!(format(first + 100_000_000, Zone::Utc, "%S.%L"), "05.1");
        assert_eq!(format(first + 999_999, Zone::Utc, "%S.%L"), "05");
    }

    #[test]
    fn zones() {
        let new_york = zone_named("America/New_York").unwrap();
        assert_eq!(format(AT, new_york, "%H %Z %z %j"), "17 EST -0500 -05:00");
        assert_eq!(format(AT, fixed(12_345, None), "%H:%M %Z %w %k"), "01:39 +0325 +032545 +03:25:45");
        assert_eq!(format(AT, fixed(7200, None), "%Z"), "+02");
    }

    #[test]
    fn rfc_3339() {
        let at = |zone| Time { unix_nanos: AT.into(), zone };
        assert_eq!(rfc3339_nano(&at(Zone::Utc)), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(rfc3339_nano(&at(fixed(-3600, None))), "2023-11-14T21:13:20.123456789-01:00");
        assert_eq!(rfc3339_nano(&Time::utc(0)), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn refuses() {
        for format in ["", "%Q", "2006", "%", "%Y %", "%L", "%S%f", "%S.x%s", "%é"] {
            assert!(Layout::new(format).is_err(), "{format}");
        }
    }
}

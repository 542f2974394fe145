//! Reading a time by a format. The rules are those of Go's `time.Parse`, as otelcol uses it.

use super::calendar::{self, days_in, days_of};
use super::format::{Item, Layout, MONTHS, OffsetForm, WEEKDAYS};
use super::locale::Locale;
use super::{Calendar, NANOS_PER_SECOND};
use crate::{EvalError, Time, Zone};

/// How times are read: a format, and what it leaves open.
#[derive(Clone, Debug)]
pub struct Reader {
    layout: Layout,
    location: Option<Zone>,
    locale: Option<&'static Locale>,
}

impl Reader {
    /// Takes a format, the zone of times that name none (else UTC for formats that end with `Z`, or the
    /// machine's), and the language of names (else English).
    ///
    /// # Errors
    ///
    /// Bad formats, and unknown zones and languages.
    pub fn new(format: &str, location: Option<&str>, locale: Option<&str>) -> Result<Self, EvalError> {
        let location = location.filter(|name| !name.is_empty()).map(|name| {
            calendar::zone_named(name).ok_or_else(|| EvalError::new(format!("unknown time zone {name}")))
        });
        let locale = locale.filter(|tag| !tag.is_empty()).map(|tag| {
            Locale::named(tag).ok_or_else(|| EvalError::new(format!("unsupported locale {tag:?}")))
        });
        Ok(Self {
            layout: Layout::new(format)?,
            location: location.transpose()?,
            locale: locale.transpose()?.flatten(),
        })
    }

    /// Reads a time. `now` says which year is meant where the text has none: the current one, or the one
    /// before if that would be more than seven days ahead.
    ///
    /// # Errors
    ///
    /// An empty text, one that does not fit, fields beyond their range, and unknown abbreviations of zones.
    pub fn parse(&self, text: &str, now: &Time) -> Result<Time, EvalError> {
        if text.is_empty() {
            return Err(EvalError::new("time cannot be an empty string"));
        }
        let mut fields = Fields::default();
        let mut rest = text;
        for (position, item) in self.layout.items.iter().enumerate() {
            let fraction_follows = matches!(self.layout.items.get(position + 1), Some(Item::Fraction { .. }));
            rest = fields.read(item, rest, fraction_follows, self.locale).map_err(|problem| {
                EvalError::new(format!("cannot parse {text:?} as time: {problem} at {rest:?}"))
            })?;
        }
        if !rest.is_empty() {
            return Err(EvalError::new(format!("cannot parse {text:?} as time: extra text {rest:?}")));
        }
        self.assemble(fields, now)
            .map_err(|problem| EvalError::new(format!("cannot parse {text:?} as time: {problem}")))
    }

    fn assemble(&self, fields: Fields, now: &Time) -> Result<Time, String> {
        let (month, day) = (fields.month.unwrap_or(1), fields.day.unwrap_or(1));
        // Go checks the day of a date without a year against year 0, which is a leap year.
        if day < 1 || day > days_in(fields.year.unwrap_or(0), month) {
            return Err("day out of range".into());
        }
        let hour = match fields.afternoon {
            Some(true) if fields.hour < 12 => fields.hour + 12,
            Some(false) if fields.hour == 12 => 0,
            _ => fields.hour,
        };
        let of_day = i64::from(hour) * 3600 + i64::from(fields.minute) * 60 + i64::from(fields.second);
        let zone = self.zone(fields.zone)?;
        let at = |year: i64| {
            let wall = days_of(year, month, day) * 86_400 + of_day;
            let seconds = calendar::to_utc(&zone, wall);
            i128::from(seconds) * NANOS_PER_SECOND + i128::from(fields.nanosecond)
        };
        // As in Go, a year of 0 is one that was not given.
        let unix_nanos = match fields.year.filter(|&year| year > 0) {
            Some(year) => at(year),
            None => {
                const SEVEN_DAYS: i128 = 7 * 86_400 * NANOS_PER_SECOND;
                let year = Calendar::of(now).year;
                let this_year = at(year);
                if this_year > now.unix_nanos + SEVEN_DAYS { at(year - 1) } else { this_year }
            }
        };
        Ok(Time { unix_nanos, zone })
    }

    /// The zone that a text names; or else the one to assume.
    fn zone(&self, written: Written) -> Result<Zone, String> {
        let assumed = || match &self.location {
            Some(zone) => zone.clone(),
            None if self.layout.ends_with_z => Zone::Utc,
            None => Zone::Local,
        };
        Ok(match written {
            Written::Nothing => assumed(),
            Written::Utc => Zone::Utc,
            Written::Offset(seconds) => calendar::fixed(seconds, None),
            Written::Abbreviation(name) => {
                let location = assumed();
                // An abbreviation that the location has in winter or in summer.
                let january_and_july = [1_704_067_200, 1_719_792_000];
                let known = january_and_july.into_iter().map(|at| calendar::offset_at(&location, at));
                match known.into_iter().find(|(_, abbreviation)| *abbreviation == name) {
                    Some((offset, _)) => calendar::fixed(offset, Some(&name)),
                    None => calendar::zone_named(&name).ok_or_else(|| format!("unknown time zone {name}"))?,
                }
            }
        })
    }
}

/// What a text says about its zone.
#[derive(Debug, Default)]
enum Written {
    #[default]
    Nothing,
    Utc,
    Offset(i32),
    Abbreviation(String),
}

#[derive(Debug, Default)]
struct Fields {
    year: Option<i64>,
    month: Option<u8>,
    day: Option<u8>,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
    afternoon: Option<bool>,
    zone: Written,
}

impl Fields {
    /// Reads one item from the beginning of a text, and gives what follows.
    fn read<'t>(
        &mut self,
        item: &Item,
        text: &'t str,
        fraction_follows: bool,
        locale: Option<&'static Locale>,
    ) -> Result<&'t str, String> {
        let rest = match item {
            Item::Text(literal) => skip(text, literal)?,
            Item::Year => {
                let (year, rest) = digits(text, 4, 4)
                    .or_else(|| digits(text, 2, 2).map(|(year, rest)| (century(year), rest)))
                    .ok_or("expected a year")?;
                self.year = Some(year.into());
                rest
            }
            Item::ShortYear => {
                let (year, rest) = digits(text, 2, 2).ok_or("expected two digits of a year")?;
                self.year = Some(century(year).into());
                rest
            }
            Item::Month(_) => number(text, 1..=12, "month", |month| self.month = Some(month))?,
            Item::Day(_) => number(text, 0..=31, "day", |day| self.day = Some(day))?,
            Item::MonthName | Item::ShortMonthName => {
                let long = *item == Item::MonthName;
                let (index, rest) = match locale {
                    Some(locale) => locale.month(text, long),
                    None => english(text, &MONTHS, long),
                }
                .ok_or("expected the name of a month")?;
                self.month = Some(index as u8 + 1);
                rest
            }
            Item::WeekdayName | Item::ShortWeekdayName => {
                let long = *item == Item::WeekdayName;
                let found = match locale {
                    Some(locale) => locale.weekday(text, long),
                    None => english(text, &WEEKDAYS, long),
                };
                found.ok_or("expected the name of a day")?.1
            }
            Item::Hour => number(text, 0..=23, "hour", |hour| self.hour = hour)?,
            Item::HalfDayHour(_) => number(text, 0..=12, "hour", |hour| self.hour = hour)?,
            Item::Minute => number(text, 0..=59, "minute", |minute| self.minute = minute)?,
            Item::Second => {
                let rest = number(text, 0..=59, "second", |second| self.second = second)?;
                // A fraction may follow even if the format has none.
                if fraction_follows { rest } else { self.fraction(rest) }
            }
            Item::Fraction { .. } => self.fraction(text),
            Item::Noon { .. } => {
                let half = text.get(..2).ok_or("expected AM or PM")?;
                self.afternoon = Some(match half.to_ascii_uppercase().as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return Err("expected AM or PM".into()),
                });
                &text[2..]
            }
            Item::Abbreviation => {
                let (zone, rest) = abbreviation(text).ok_or("expected the abbreviation of a zone")?;
                self.zone = zone;
                rest
            }
            Item::Offset(form) => {
                let (zone, rest) = offset(text, *form).ok_or("expected a distance from UTC")?;
                self.zone = zone;
                rest
            }
        };
        Ok(rest)
    }

    /// Reads a point or comma and any number of digits, of which nine count; or nothing.
    fn fraction<'t>(&mut self, text: &'t str) -> &'t str {
        let Some(fraction) = text.strip_prefix(['.', ',']) else { return text };
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return text;
        }
        let counted = &fraction[..length.min(9)];
        self.nanosecond = format!("{counted:0<9}").parse().unwrap_or(0);
        &fraction[length..]
    }
}

/// Two digits of a year: from 69 on they mean the last century.
fn century(year: u16) -> u16 {
    if year >= 69 { 1900 + year } else { 2000 + year }
}

/// Reads between `least` and `most` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<(u16, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let number = text[..count].parse().ok().filter(|_| count >= least)?;
    Some((number, &text[count..]))
}

/// Reads one or two digits behind any spaces.
fn number<'t>(
    text: &'t str,
    range: std::ops::RangeInclusive<u8>,
    name: &str,
    set: impl FnOnce(u8),
) -> Result<&'t str, String> {
    let (number, rest) = digits(text.trim_start_matches(' '), 1, 2)
        .ok_or_else(|| format!("expected a number for the {name}"))?;
    let number = number as u8;
    if !range.contains(&number) {
        return Err(format!("{name} out of range"));
    }
    set(number);
    Ok(rest)
}

/// Skips literal text; a run of spaces stands for a run of any length.
fn skip<'t>(mut text: &'t str, literal: &str) -> Result<&'t str, String> {
    let mut literal = literal;
    while let Some(character) = literal.chars().next() {
        if character == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return Err("expected a space".into());
            }
            literal = literal.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(character).ok_or_else(|| format!("expected {character:?}"))?;
            literal = &literal[character.len_utf8()..];
        }
    }
    Ok(text)
}

/// Finds an English name, whatever its case: the long one, or its first three letters.
fn english<'t>(text: &'t str, names: &[&str], long: bool) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if long { name } else { &name[..3] };
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| (index, &text[name.len()..]))
    })
}

/// Reads `UTC`, three to five capitals of which long ones end in `T`, `GMT+3`, or a sign and hours.
fn abbreviation(text: &str) -> Option<(Written, &str)> {
    if let Some(rest) = text.strip_prefix("UTC") {
        return Some((Written::Utc, rest));
    }
    for special in ["ChST", "MeST"] {
        if let Some(rest) = text.strip_prefix(special) {
            return Some((Written::Abbreviation(special.into()), rest));
        }
    }
    if text.starts_with(['+', '-']) {
        let (hours, rest) = signed_hours(text)?;
        return Some((Written::Offset(hours * 3600), rest));
    }
    if let Some(rest) = text.strip_prefix("GMT") {
        return Some(match signed_hours(rest) {
            Some((hours, rest)) => (Written::Offset(hours * 3600), rest),
            None => (Written::Abbreviation("GMT".into()), rest),
        });
    }
    let length = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    let name = &text[..length];
    let is_zone = match length {
        3 => true,
        4 => name.ends_with('T') || name == "WITA",
        5 => name.ends_with('T'),
        _ => false,
    };
    is_zone.then(|| (Written::Abbreviation(name.into()), &text[length..]))
}

fn signed_hours(text: &str) -> Option<(i32, &str)> {
    let (hours, rest) = digits(text.strip_prefix(['+', '-'])?, 1, 2)?;
    let hours = i32::from(hours);
    (hours < 24).then(|| (if text.starts_with('-') { -hours } else { hours }, rest))
}

/// Reads a distance from UTC. The common form also takes a colon, or hours alone.
fn offset(text: &str, form: OffsetForm) -> Option<(Written, &str)> {
    if form == OffsetForm::ZOrMinutes
        && let Some(rest) = text.strip_prefix('Z')
    {
        return Some((Written::Utc, rest));
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, mut rest) = digits(text.strip_prefix(['+', '-'])?, 2, 2)?;
    let mut part = |colon: bool| {
        let after = if colon { rest.strip_prefix(':')? } else { rest };
        let (number, after) = digits(after, 2, 2)?;
        rest = after;
        (number < 60).then_some(i32::from(number))
    };
    let (minutes, seconds) = match form {
        OffsetForm::Hours => (0, 0),
        OffsetForm::ZOrMinutes => (part(true).or_else(|| part(false)).unwrap_or(0), 0),
        OffsetForm::ColonMinutes => (part(true)?, 0),
        OffsetForm::Seconds => (part(false)?, part(false)?),
        OffsetForm::ColonSeconds => (part(true)?, part(true)?),
    };
    let hours = i32::from(hours);
    (hours <= 24).then_some((Written::Offset(sign * (hours * 3600 + minutes * 60 + seconds)), rest))
}

#[cfg(test)]
mod tests;

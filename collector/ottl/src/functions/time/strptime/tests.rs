use super::*;
use crate::functions::time::format::rfc3339_nano;

/// 2024-03-01T00:00:00Z.
const NOW: i64 = 1_709_251_200_000_000_000;

fn read(text: &str, format: &str, location: Option<&str>) -> Result<String, EvalError> {
    let time = Reader::new(format, location, None)?.parse(text, &Time::utc(NOW))?;
    Ok(rfc3339_nano(&Time { zone: Zone::Utc, ..time }))
}

#[test]
fn reads() {
    let utc = Some("UTC");
    let cases = [
        ("2024-02-29T12:30:00Z", "%Y-%m-%dT%H:%M:%SZ", None, "2024-02-29T12:30:00Z"),
        ("29/Feb/2024:12:30:45 +0200", "%d/%b/%Y:%H:%M:%S %z", None, "2024-02-29T10:30:45Z"),
        ("2024-01-15 08:00:00", "%Y-%m-%d %H:%M:%S", Some("America/New_York"), "2024-01-15T13:00:00Z"),
        ("2024-07-04 1:05:09.25 PM", "%Y-%m-%d %l:%M:%S.%f %p", utc, "2024-07-04T13:05:09.25Z"),
        ("2024-01-15 08:00:00.123456789123", "%F %T", utc, "2024-01-15T08:00:00.123456789Z"),
        ("2024-01-15 08:00:00", "%F %T.%L", utc, "2024-01-15T08:00:00Z"),
        ("1/2/24", "%D", utc, "2024-01-02T00:00:00Z"),
        ("JANUARY  5 2024", "%B %e %Y", utc, "2024-01-05T00:00:00Z"),
        ("Mon Jan 01 15:04:05 2024", "%c", utc, "2024-01-01T15:04:05Z"),
        ("12:30 AM", "%I:%M %p", utc, "2024-01-01T00:30:00Z"),
        ("Mar 7", "%b %d", utc, "2024-03-07T00:00:00Z"),
        ("Mar 9", "%b %d", utc, "2023-03-09T00:00:00Z"),
        ("Dec 31 23:59:59", "%b %d %H:%M:%S", utc, "2023-12-31T23:59:59Z"),
        ("2024-01-01 00:00:00 EST", "%F %T %Z", Some("America/New_York"), "2024-01-01T05:00:00Z"),
        ("2024-07-01 00:00:00 EDT", "%F %T %Z", Some("America/New_York"), "2024-07-01T04:00:00Z"),
        ("2024-01-01 00:00:00 UTC", "%F %T %Z", Some("America/New_York"), "2024-01-01T00:00:00Z"),
        ("2024-01-01 00:00:00 GMT+3", "%F %T %Z", utc, "2023-12-31T21:00:00Z"),
        ("2024-01-01 00:00:00 CET", "%F %T %Z", utc, "2023-12-31T23:00:00Z"),
        ("2024-01-01T00:00:00+01:30", "%FT%T%z", utc, "2023-12-31T22:30:00Z"),
        ("2024-01-01T00:00:00-05", "%FT%T%z", utc, "2024-01-01T05:00:00Z"),
        ("2024-01-01T00:00:00Z", "%FT%T%z", Some("America/New_York"), "2024-01-01T00:00:00Z"),
        ("2024-01-01 00 +07:00:30", "%F %H %k", utc, "2023-12-31T16:59:30Z"),
        ("99", "%y", utc, "1999-01-01T00:00:00Z"),
        ("68", "%y", utc, "2068-01-01T00:00:00Z"),
        ("2024", "%Y", utc, "2024-01-01T00:00:00Z"),
        ("0001-01-01", "%F", utc, "0001-01-01T00:00:00Z"),
    ];
    for (text, format, location, expected) in cases {
        assert_eq!(read(text, format, location).unwrap(), expected, "{text} {format}");
    }
}

#[test]
fn refuses() {
    for (text, format) in [
        ("2024", "%Y-%m"),
        ("", "%Y"),
        ("2024-13-01", "%F"),
        ("2023-02-29", "%F"),
        ("2024-02-30", "%F"),
        ("2024-01-00", "%F"),
        ("10:61", "%H:%M"),
        ("24:00", "%H:%M"),
        ("13 PM", "%I %p"),
        ("2024-01-01x", "%F"),
        ("2024 ", "%Y"),
        ("Foo", "%b"),
        ("1 XM", "%I %p"),
        ("1 p", "%I %p"),
        ("2024-01-01 PST", "%F %Z"),
        ("2024-01-01 abc", "%F %Z"),
        ("2024-01-01 +1", "%F %z"),
        ("2024-01-01 +0161", "%F %w"),
        ("x", "%d"),
        ("2024-01-01T00:00:00é", "%FT%T%z"),
    ] {
        assert!(read(text, format, Some("UTC")).is_err(), "{text} {format}");
    }
    for (format, location, locale) in [
        ("%Q", None, None),
        ("%F", Some("Mars/Olympus"), None),
        ("%F", None, Some("tlh")),
        ("%F", None, Some("!")),
    ] {
        assert!(Reader::new(format, location, locale).is_err());
    }
}

#[test]
fn other_languages() {
    let read = |text: &str, locale: &str| {
        let time = Reader::new("%d %B %Y", Some("UTC"), Some(locale))?.parse(text, &Time::utc(NOW))?;
        Ok::<_, EvalError>(rfc3339_nano(&time))
    };
    for (text, locale) in [
        ("03 March 2024", "en"),
        ("03 mars 2024", "fr"),
        ("03 März 2024", "de-DE"),
        ("03 MARÇO 2024", "pt-BR"),
        ("3 марта 2024", "ru"),
        ("03 3月 2024", "ja"),
    ] {
        assert_eq!(read(text, locale).unwrap(), "2024-03-03T00:00:00Z", "{text}");
    }
    assert!(read("03 March 2024", "fr").is_err());
}

//! Records as text, in the shapes that zap gives them.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Encoding, Record, Value};

/// One record as a line (or, with a stack trace in console encoding, several). `context` comes before the
/// record's own fields.
pub(super) fn encode(encoding: Encoding, record: &Record, context: &[(String, Value)]) -> String {
    let mut out = String::with_capacity(256);
    let time = timestamp(record.time);
    let fields = || context.iter().chain(&record.fields);
    match encoding {
        Encoding::Json => {
            let _ = write!(out, "{{\"level\":\"{}\",\"ts\":\"{time}\"", record.level);
            if let Some(caller) = &record.caller {
                out.push_str(",\"caller\":");
                quote(&mut out, caller);
            }
            out.push_str(",\"msg\":");
            quote(&mut out, &record.message);
            for (key, value) in fields() {
                out.push(',');
                quote(&mut out, key);
                out.push(':');
                value.write(&mut out, false);
            }
            if let Some(trace) = &record.stacktrace {
                out.push_str(",\"stacktrace\":");
                quote(&mut out, trace);
            }
            out.push('}');
        }
        Encoding::Console => {
            let _ = write!(out, "{time}\t{}", record.level);
            if let Some(caller) = &record.caller {
                let _ = write!(out, "\t{caller}");
            }
            let _ = write!(out, "\t{}", record.message);
            for (index, (key, value)) in fields().enumerate() {
                out.push_str(if index == 0 { "\t{" } else { ", " });
                quote(&mut out, key);
                out.push_str(": ");
                value.write(&mut out, true);
            }
            if fields().next().is_some() {
                out.push('}');
            }
            if let Some(trace) = &record.stacktrace {
                let _ = write!(out, "\n{}", trace.trim_end());
            }
        }
    }
    out.push('\n');
    out
}

impl Value {
    /// Writes the value as JSON, with spaces after `:` and `,` or without.
    pub fn write(&self, out: &mut String, spaced: bool) {
        let comma = if spaced { ", " } else { "," };
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Int(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Uint(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Float(value) if value.is_finite() => {
                let _ = write!(out, "{value}");
            }
            Value::Float(value) => {
                let _ = write!(out, "\"{value}\"");
            }
            Value::Text(text) => quote(out, text),
            Value::List(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { comma });
                    value.write(out, spaced);
                }
                out.push(']');
            }
            Value::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { comma });
                    quote(out, key);
                    out.push_str(if spaced { ": " } else { ":" });
                    value.write(out, spaced);
                }
                out.push('}');
            }
        }
    }
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(&mut out, text);
    out
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// UTC in ISO 8601 with milliseconds, as zap writes it. Civil-date arithmetic after Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
pub(super) fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = ((since.as_secs() / 86_400) as i64, since.as_secs() % 86_400);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::logs::LogLevel;

    #[test]
    fn timestamps_are_utc_with_milliseconds() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_760_000_000_250_000_000, "2025-10-09T08:53:20.250Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_999_000_000, "2100-02-28T23:59:59.999Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn strings_are_quoted_as_json() {
        assert_eq!(quoted("a\"b\\c\n\u{1}"), r#""a\"b\\c\n\u0001""#);
    }

    #[test]
    fn records_have_the_shapes_of_zap() {
        let record = Record {
            time: UNIX_EPOCH,
            level: LogLevel::Warn,
            caller: Some("phoenix_engine/engine.rs:7".to_owned()),
            message: "it\tfailed".to_owned(),
            fields: vec![("error".to_owned(), "no".into()), ("items".to_owned(), Value::Uint(3))],
            stacktrace: Some("here\nthere\n".to_owned()),
        };
        let resource = Value::Map(vec![
            ("service.name".to_owned(), "phoenix".into()),
            ("ratio".to_owned(), Value::Float(0.5)),
            ("all".to_owned(), Value::List(vec![Value::Bool(true), Value::Null, Value::Int(-1)])),
        ]);
        let context = [("resource".to_owned(), resource)];
        assert_eq!(
            encode(Encoding::Json, &record, &context),
            concat!(
                r#"{"level":"warn","ts":"1970-01-01T00:00:00.000Z","caller":"phoenix_engine/engine.rs:7","#,
                r#""msg":"it\tfailed","resource":{"service.name":"phoenix","ratio":0.5,"all":[true,null,-1]},"#,
                r#""error":"no","items":3,"stacktrace":"here\nthere\n"}"#,
                "\n"
            )
        );
        assert_eq!(
            encode(Encoding::Console, &record, &context),
            concat!(
                "1970-01-01T00:00:00.000Z\twarn\tphoenix_engine/engine.rs:7\tit\tfailed\t",
                r#"{"resource": {"service.name": "phoenix", "ratio": 0.5, "all": [true, null, -1]}, "#,
                r#""error": "no", "items": 3}"#,
                "\nhere\nthere\n"
            )
        );
        let plain = Record { caller: None, fields: Vec::new(), stacktrace: None, ..record };
        assert_eq!(encode(Encoding::Console, &plain, &[]), "1970-01-01T00:00:00.000Z\twarn\tit\tfailed\n");
    }
}

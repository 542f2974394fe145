//! Logs to standard error, in the two encodings of `otelcol`: `console` and `json`.

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Tab-separated time, level and message, then the fields as JSON.
    #[default]
    Console,
    /// One JSON object per line.
    Json,
}

/// Changes the logger after it was installed.
#[derive(Clone)]
pub struct LogHandle {
    level: reload::Handle<LevelFilter, tracing_subscriber::Registry>,
    levels: std::sync::Arc<std::sync::Mutex<Levels>>,
    encoding: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

/// What is configured, and what holds instead for a while.
#[derive(Clone, Copy)]
struct Levels {
    configured: LevelFilter,
    forced: Option<LevelFilter>,
}

impl LogHandle {
    /// The level now, and the one that is configured.
    pub fn levels(&self) -> (LevelFilter, LevelFilter) {
        let levels = *self.levels.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (levels.forced.unwrap_or(levels.configured), levels.configured)
    }

    /// Puts a level in the place of the configured one until it is taken away again (none), whatever is
    /// configured meanwhile.
    pub fn force(&self, level: Option<LevelFilter>) {
        self.change(|levels| levels.forced = level);
    }

    fn change(&self, change: impl FnOnce(&mut Levels)) {
        let mut levels = self.levels.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut levels);
        // Fails only when the subscriber is gone, and then there is nobody to tell.
        let _ = self.level.reload(levels.forced.unwrap_or(levels.configured));
    }

    /// Sets the lowest level that is written, and how.
    pub fn set(&self, level: LevelFilter, encoding: Encoding) {
        self.change(|levels| levels.configured = level);
        self.encoding.store(encoding == Encoding::Json, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Installs the process's logger, at level info and in console encoding. Later calls change nothing and
/// return a handle without effect.
pub fn install() -> LogHandle {
    let (filter, level) = reload::Layer::new(LevelFilter::INFO);
    let encoding = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let format = RecordFormat { json: encoding.clone() };
    let layer = tracing_subscriber::fmt::layer().event_format(format).with_writer(std::io::stderr);
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(layer));
    let levels = Levels { configured: LevelFilter::INFO, forced: None };
    LogHandle { level, levels: std::sync::Arc::new(std::sync::Mutex::new(levels)), encoding }
}

struct RecordFormat {
    json: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl<S, N> FormatEvent<S, N> for RecordFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut record = Record::default();
        event.record(&mut record);
        let time = timestamp(SystemTime::now());
        let level = level_name(*event.metadata().level());
        if self.json.load(std::sync::atomic::Ordering::Relaxed) {
            write!(out, "{{\"level\":\"{level}\",\"ts\":\"{time}\",\"msg\":{}", quoted(&record.message))?;
            for (key, value) in &record.fields {
                write!(out, ",{}:{value}", quoted(key))?;
            }
            return writeln!(out, "}}");
        }
        write!(out, "{time}\t{level}\t{}", record.message)?;
        for (index, (key, value)) in record.fields.iter().enumerate() {
            write!(out, "{}{}: {value}", if index == 0 { "\t{" } else { ", " }, quoted(key))?;
        }
        if !record.fields.is_empty() {
            out.write_char('}')?;
        }
        writeln!(out)
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// The message and the fields of one event; the values are already JSON.
#[derive(Default)]
struct Record {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.push((field.name(), quoted(&format!("{value:?}"))));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.fields.push((field.name(), quoted(value)));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), value.to_string()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            let _ = write!(text, ": {error}");
            source = error.source();
        }
        self.fields.push((field.name(), quoted(&text)));
    }
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
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
    out
}

/// UTC in ISO 8601 with milliseconds, as zap writes it. Civil-date arithmetic after Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
fn timestamp(at: SystemTime) -> String {
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
    use super::*;
    use std::time::Duration;

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
}

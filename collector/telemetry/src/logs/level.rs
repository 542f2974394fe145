use std::fmt;
use std::str::FromStr;

/// How bad it is, by zap's names. Phoenix itself writes records of the first four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// For those who look for a mistake.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What may need attention.
    Warn,
    /// What failed.
    Error,
    /// zap's: a mistake in the program.
    DPanic,
    /// zap's: the record before a panic.
    Panic,
    /// zap's: the record before the process ends.
    Fatal,
}

impl LogLevel {
    /// All, from the least bad.
    pub const ALL: [LogLevel; 7] = [
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
        LogLevel::DPanic,
        LogLevel::Panic,
        LogLevel::Fatal,
    ];

    /// The name in configurations and records.
    pub const fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::DPanic => "dpanic",
            LogLevel::Panic => "panic",
            LogLevel::Fatal => "fatal",
        }
    }

    pub(super) fn of(level: tracing::Level) -> LogLevel {
        match level {
            tracing::Level::ERROR => LogLevel::Error,
            tracing::Level::WARN => LogLevel::Warn,
            tracing::Level::INFO => LogLevel::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => LogLevel::Debug,
        }
    }

    /// The level as a number, for atomics.
    pub(super) fn index(self) -> u8 {
        self as u8
    }

    pub(super) fn from_index(index: u8) -> LogLevel {
        LogLevel::ALL.get(usize::from(index)).copied().unwrap_or(LogLevel::Fatal)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No level has that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLevel(pub String);

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = LogLevel::ALL.iter().map(|level| level.name()).collect();
        write!(f, "unrecognized level {:?}: it is one of {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownLevel {}

impl FromStr for LogLevel {
    type Err = UnknownLevel;

    /// Reads the name in any case; nothing is `info`, and `warning` is `warn`, as for zap.
    fn from_str(text: &str) -> Result<LogLevel, UnknownLevel> {
        if text.is_empty() {
            return Ok(LogLevel::Info);
        }
        if text.eq_ignore_ascii_case("warning") {
            return Ok(LogLevel::Warn);
        }
        let known = LogLevel::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::LogLevel;

    #[test]
    fn names_are_read_as_zap_reads_them() {
        let read = |text: &str| text.parse::<LogLevel>().ok();
        for level in LogLevel::ALL {
            assert_eq!(read(level.name()), Some(level));
            assert_eq!(read(&level.name().to_uppercase()), Some(level));
        }
        assert_eq!((read(""), read("Warning")), (Some(LogLevel::Info), Some(LogLevel::Warn)));
        assert_eq!((read("trace"), read("warn ")), (None, None));
    }
}

//! The edge to `tracing`: where events become records, and where the clocks are read.

use std::backtrace::Backtrace;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, span};

use super::handle::Logger;
use super::{LogHandle, LogLevel, LogOptions, Record, Scope};

/// Libraries whose own records below `warn` say more of them than of the collector.
const QUIET: [&str; 9] =
    ["h2", "hyper", "hyper_util", "mio", "rustls", "tokio_util", "tonic", "tower", "want"];

/// Installs the process's logger, with the default options. Later calls change nothing and return a
/// handle without effect.
pub fn install() -> LogHandle {
    let handle = LogHandle::default();
    let subscriber = LogSubscriber { logger: handle.logger() };
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        // Standard error needs no opening; without a thread to write to it there is nobody to tell.
        let _ = handle.apply(LogOptions::default());
    }
    handle
}

pub(super) struct LogSubscriber {
    pub(super) logger: Arc<Logger>,
}

impl Subscriber for LogSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !metadata.is_event() {
            return Interest::never();
        }
        let (level, own) = (self.logger.possible(), level_of(metadata));
        match level {
            (lowest, _) if own.is_none_or(|own| own < lowest) => Interest::never(),
            (_, true) => Interest::sometimes(),
            (_, false) => Interest::always(),
        }
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        use tracing::level_filters::LevelFilter;
        Some(match self.logger.possible().0 {
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::DPanic | LogLevel::Panic | LogLevel::Fatal => LevelFilter::OFF,
        })
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let now = self.logger.now();
        if self.logger.expired(now) {
            tracing::callsite::rebuild_interest_cache();
        }
        metadata.is_event() && level_of(metadata).is_some_and(|level| self.logger.writes(level, now))
    }

    fn event(&self, event: &Event<'_>) {
        let level = LogLevel::of(*event.metadata().level());
        let mut record = Record::of(event, SystemTime::now(), Scope::current());
        if self.logger.wants_stacktrace(level) {
            record.stacktrace = Some(Backtrace::force_capture().to_string());
        }
        self.logger.write(record, self.logger.now());
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The level of what is worth a record at all.
fn level_of(metadata: &Metadata<'_>) -> Option<LogLevel> {
    if *metadata.level() == tracing::Level::TRACE {
        return None;
    }
    let level = LogLevel::of(*metadata.level());
    let library = metadata.target().split("::").next().unwrap_or_default();
    (level >= LogLevel::Warn || !QUIET.contains(&library)).then_some(level)
}

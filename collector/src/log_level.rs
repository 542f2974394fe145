//! A log level that holds for a time and then goes away by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phoenix_component::{LogLevel, LogLevelState};
use phoenix_telemetry::logs::LogHandle;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing_subscriber::filter::LevelFilter;

/// The level of the log. Clones share it.
#[derive(Clone)]
pub(crate) struct LogLevels(Arc<Inner>);

struct Inner {
    logs: LogHandle,
    runtime: Handle,
    /// When the forced level ends, and the task that ends it.
    forced: Mutex<Option<(Instant, AbortHandle)>>,
}

impl LogLevels {
    pub(crate) fn new(logs: LogHandle, runtime: Handle) -> LogLevels {
        LogLevels(Arc::new(Inner { logs, runtime, forced: Mutex::default() }))
    }

    pub(crate) fn state(&self) -> LogLevelState {
        let (level, configured) = self.0.logs.levels();
        let forced = self.0.forced.lock().unwrap_or_else(PoisonError::into_inner);
        let left = forced.as_ref().map(|(until, _)| until.saturating_duration_since(Instant::now()));
        LogLevelState {
            level: name(level),
            configured: name(configured),
            reverts_in_seconds: left.map(|left| left.as_secs_f64().ceil() as u64),
        }
    }

    /// Forces a level for a time, or (none) lets the configured one hold again.
    pub(crate) fn set(&self, level: Option<(LogLevel, Duration)>) -> LogLevelState {
        {
            let mut forced = self.0.forced.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, end)) = forced.take() {
                end.abort();
            }
            self.0.logs.force(level.map(|(level, _)| filter(level)));
            if let Some((_, time)) = level {
                let (inner, until) = (self.0.clone(), Instant::now() + time);
                let end = self.0.runtime.spawn(async move {
                    tokio::time::sleep_until(until).await;
                    *inner.forced.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    inner.logs.force(None);
                    tracing::info!("the log level is as configured again");
                });
                *forced = Some((until, end.abort_handle()));
            }
        }
        match level {
            Some((level, time)) => {
                tracing::info!(level = level.name(), seconds = time.as_secs(), "log level set for a time");
            }
            None => tracing::info!("the log level is as configured again"),
        }
        self.state()
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

fn name(level: LevelFilter) -> LogLevel {
    match level {
        LevelFilter::TRACE | LevelFilter::DEBUG => LogLevel::Debug,
        LevelFilter::INFO => LogLevel::Info,
        LevelFilter::WARN => LogLevel::Warn,
        _ => LogLevel::Error,
    }
}

#[cfg(test)]
mod tests {
    use phoenix_telemetry::logs::{self, Encoding};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_level_ends_by_itself_and_outlives_a_reload() {
        let logs = logs::install();
        let levels = LogLevels::new(logs.clone(), Handle::current());
        let told =
            |level, configured, reverts_in_seconds| LogLevelState { level, configured, reverts_in_seconds };
        assert_eq!(levels.state(), told(LogLevel::Info, LogLevel::Info, None));
        let minute = Duration::from_secs(60);
        assert_eq!(
            levels.set(Some((LogLevel::Debug, minute))),
            told(LogLevel::Debug, LogLevel::Info, Some(60))
        );
        tokio::time::sleep(minute / 2).await;
        logs.set(LevelFilter::WARN, Encoding::Console);
        assert_eq!(levels.state(), told(LogLevel::Debug, LogLevel::Warn, Some(30)));
        // Set again: the first end does not cut the second short.
        levels.set(Some((LogLevel::Error, minute)));
        tokio::time::sleep(minute - Duration::from_secs(1)).await;
        assert_eq!(levels.state(), told(LogLevel::Error, LogLevel::Warn, Some(1)));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(levels.state(), told(LogLevel::Warn, LogLevel::Warn, None));
        levels.set(Some((LogLevel::Debug, minute)));
        assert_eq!(levels.set(None), told(LogLevel::Warn, LogLevel::Warn, None));
    }
}

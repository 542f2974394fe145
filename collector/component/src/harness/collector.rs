//! A collector for extensions that show or change the running one.

use std::time::{Duration, SystemTime};

use crate::{
    ApplyAnswer, ApplyConditions, BoxFuture, ChangeError, Collector, ComponentBook, ConfigRequest,
    EffectiveConfig, FeatureGate, LogLevel, LogLevelState, PipelineStatus, PlanAnswer,
};

/// A collector that is as it is told, and that nobody can change.
#[derive(Clone, Debug)]
pub struct FakeCollector {
    /// When it began to run.
    pub started: SystemTime,
    /// The pipelines that it runs.
    pub pipelines: Vec<PipelineStatus>,
    /// The configuration that it runs.
    pub config: EffectiveConfig,
    /// Its feature gates.
    pub feature_gates: Vec<FeatureGate>,
    /// Whether it would be another process, which does not run.
    pub is_outside: bool,
}

impl Default for FakeCollector {
    fn default() -> FakeCollector {
        FakeCollector {
            started: SystemTime::UNIX_EPOCH,
            pipelines: Vec::new(),
            config: EffectiveConfig::default(),
            feature_gates: Vec::new(),
            is_outside: false,
        }
    }
}

fn unavailable<T: Send + 'static>() -> BoxFuture<'static, Result<T, ChangeError>> {
    Box::pin(async { Err(ChangeError::Unavailable("a test".into())) })
}

impl Collector for FakeCollector {
    fn started(&self) -> SystemTime {
        self.started
    }

    fn pipelines(&self) -> Vec<PipelineStatus> {
        self.pipelines.clone()
    }

    fn effective_config(&self) -> EffectiveConfig {
        self.config.clone()
    }

    fn books(&self) -> BoxFuture<'_, Vec<ComponentBook>> {
        Box::pin(async { Vec::new() })
    }

    fn feature_gates(&self) -> Vec<FeatureGate> {
        self.feature_gates.clone()
    }

    fn is_this_process(&self) -> bool {
        !self.is_outside
    }

    fn plan(&self, _: ConfigRequest) -> BoxFuture<'_, Result<PlanAnswer, ChangeError>> {
        unavailable()
    }

    fn apply(
        &self,
        _: ConfigRequest,
        _: ApplyConditions,
        _: Duration,
    ) -> BoxFuture<'_, Result<ApplyAnswer, ChangeError>> {
        unavailable()
    }

    fn log_level(&self) -> LogLevelState {
        LogLevelState { level: LogLevel::Info, configured: LogLevel::Info, reverts_in_seconds: None }
    }

    fn set_log_level(&self, _: Option<(LogLevel, Duration)>) -> LogLevelState {
        self.log_level()
    }
}

//! What the server is told: everything at first, then what has changed.

use std::collections::BTreeMap;

use phoenix_component::{ComponentKey, PipelineStatus, Status, StatusSince};
use phoenix_opamp::{
    AgentConfigMap, AgentDescription, AgentToServer, AvailableComponents, ComponentDetails, ComponentHealth,
    ConnectionSettingsStatus, CustomCapabilities, EffectiveConfig, RemoteConfigStatus, RemoteConfigStatuses,
    Set, agent, components_hash,
};

use crate::config::Capabilities;

/// What there is to tell at one moment.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) description: AgentDescription,
    pub(crate) health: ComponentHealth,
    /// YAML, secrets hidden.
    pub(crate) effective: String,
    pub(crate) remote: RemoteConfigStatus,
    pub(crate) connection: ConnectionSettingsStatus,
}

/// Composes messages, and remembers what was told.
pub(crate) struct Reporter {
    pub(crate) uid: [u8; 16],
    capabilities: Set,
    reports: Capabilities,
    components: AvailableComponents,
    custom: Vec<String>,
    sequence: u64,
    told: Option<State>,
}

/// The bits of what this agent can do; `durable` where it keeps credentials.
pub(crate) fn capabilities(reports: &Capabilities, durable: bool) -> Set {
    Set(agent::REPORTS_STATUS)
        .with(agent::ACCEPTS_REMOTE_CONFIG | agent::REPORTS_REMOTE_CONFIG, reports.accepts_remote_config)
        .with(agent::REPORTS_EFFECTIVE_CONFIG, reports.reports_effective_config)
        .with(agent::REPORTS_HEALTH, reports.reports_health)
        .with(agent::REPORTS_HEARTBEAT, reports.reports_heartbeat)
        .with(agent::REPORTS_AVAILABLE_COMPONENTS, reports.reports_available_components)
        .with(agent::ACCEPTS_OPAMP_CONNECTION_SETTINGS, durable)
        .with(agent::ACCEPTS_RESTART_COMMAND, reports.accepts_restart_command)
        .with(agent::REPORTS_OWN_METRICS, reports.reports_own_metrics)
        .with(agent::REPORTS_OWN_TRACES, reports.reports_own_traces)
        .with(agent::REPORTS_OWN_LOGS, reports.reports_own_logs)
        .with(agent::REPORTS_CONNECTION_SETTINGS_STATUS, reports.reports_connection_settings_status)
}

/// The components of this binary, by kind.
pub(crate) fn available(kinds: &[(phoenix_config::Kind, Vec<&'static str>)]) -> AvailableComponents {
    let details = |names: &Vec<&'static str>| ComponentDetails {
        metadata: Vec::new(),
        sub_component_map: names
            .iter()
            .map(|name| ((*name).to_owned(), ComponentDetails::default()))
            .collect(),
    };
    let components = kinds.iter().map(|(kind, names)| (kind.section().to_owned(), details(names))).collect();
    let mut available = AvailableComponents { components, hash: Vec::new() };
    available.hash = components_hash(&available);
    available
}

/// How the collector is: pipelines with their components, and extensions.
pub(crate) fn health(
    report: &[(ComponentKey, StatusSince)],
    pipelines: &[PipelineStatus],
    started_unix_nanos: u64,
) -> ComponentHealth {
    let of = |key: &ComponentKey| report.iter().find(|(known, _)| known == key).map(|(_, since)| since);
    let component = |since: &StatusSince| ComponentHealth {
        healthy: since.status == Status::Ok,
        start_time_unix_nano: started_unix_nanos,
        last_error: since.status.error().unwrap_or_default().to_owned(),
        status: since.status.name().to_owned(),
        status_time_unix_nano: unix_nanos(since.since),
        component_health_map: BTreeMap::new(),
    };
    let above = |below: BTreeMap<String, ComponentHealth>| {
        let worst = below.values().filter(|health| !health.healthy).max_by_key(|health| rank(&health.status));
        ComponentHealth {
            healthy: worst.is_none(),
            start_time_unix_nano: started_unix_nanos,
            last_error: worst.map(|health| health.last_error.clone()).unwrap_or_default(),
            status: worst.map_or_else(|| Status::Ok.name().to_owned(), |health| health.status.clone()),
            status_time_unix_nano: below
                .values()
                .map(|health| health.status_time_unix_nano)
                .max()
                .unwrap_or(0),
            component_health_map: below,
        }
    };
    let mut parts = BTreeMap::new();
    for pipeline in pipelines {
        let named = |key: &ComponentKey| Some((format!("{}:{}", key.kind, key.id), component(of(key)?)));
        parts.insert(
            format!("pipeline:{}", pipeline.id),
            above(pipeline.components().filter_map(named).collect()),
        );
    }
    let extensions = report.iter().filter(|(key, _)| key.kind == phoenix_config::Kind::Extension);
    let extensions: BTreeMap<_, _> =
        extensions.map(|(key, since)| (format!("extension:{}", key.id), component(since))).collect();
    if !extensions.is_empty() {
        parts.insert("extensions".to_owned(), above(extensions));
    }
    above(parts)
}

/// The worse, the higher.
fn rank(status: &str) -> u8 {
    match status {
        "StatusFatalError" => 4,
        "StatusPermanentError" => 3,
        "StatusRecoverableError" => 2,
        _ => 1,
    }
}

pub(crate) fn unix_nanos(at: std::time::SystemTime) -> u64 {
    let since = at.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What became of a remote configuration.
pub(crate) fn status(
    hash: &[u8],
    status: RemoteConfigStatuses,
    error: impl Into<String>,
) -> RemoteConfigStatus {
    RemoteConfigStatus {
        last_remote_config_hash: hash.to_vec(),
        status: status.into(),
        error_message: error.into(),
    }
}

impl Reporter {
    pub(crate) fn new(
        uid: [u8; 16],
        reports: Capabilities,
        durable: bool,
        components: AvailableComponents,
        custom: Vec<String>,
    ) -> Reporter {
        let capabilities = capabilities(&reports, durable);
        Reporter { uid, capabilities, reports, components, custom, sequence: 0, told: None }
    }

    /// A message with nothing but who it is from: a heartbeat.
    pub(crate) fn heartbeat(&mut self) -> AgentToServer {
        self.sequence += 1;
        AgentToServer {
            instance_uid: self.uid.to_vec(),
            sequence_num: self.sequence,
            capabilities: self.capabilities.0,
            ..AgentToServer::default()
        }
    }

    /// Everything.
    pub(crate) fn full(&mut self, state: &State) -> AgentToServer {
        self.told = None;
        let mut message = self.changes(state).unwrap_or_else(|| self.heartbeat());
        message.custom_capabilities = Some(CustomCapabilities { capabilities: self.custom.clone() });
        if self.reports.reports_available_components {
            let hash = self.components.hash.clone();
            message.available_components =
                Some(AvailableComponents { hash, ..AvailableComponents::default() });
        }
        message
    }

    /// What has changed since the last message; none where nothing has.
    pub(crate) fn changes(&mut self, state: &State) -> Option<AgentToServer> {
        // Each second: nothing is copied where nothing has changed.
        if self.told.as_ref() == Some(state) {
            return None;
        }
        let told = self.told.replace(state.clone());
        let is_new = |same: &dyn Fn(&State) -> bool| told.as_ref().is_none_or(|told| !same(told));
        let description = is_new(&|told| told.description == state.description);
        let health = self.reports.reports_health && is_new(&|told| told.health == state.health);
        let effective =
            self.reports.reports_effective_config && is_new(&|told| told.effective == state.effective);
        let remote = self.reports.accepts_remote_config
            && state.remote != RemoteConfigStatus::default()
            && is_new(&|told| told.remote == state.remote);
        let connection = self.reports.reports_connection_settings_status
            && state.connection != ConnectionSettingsStatus::default()
            && is_new(&|told| told.connection == state.connection);
        if !(description || health || effective || remote || connection) {
            return None;
        }
        let mut message = self.heartbeat();
        message.agent_description = description.then(|| state.description.clone());
        message.health = health.then(|| state.health.clone());
        message.effective_config = effective
            .then(|| EffectiveConfig { config_map: Some(AgentConfigMap::single("", &state.effective)) });
        message.remote_config_status = remote.then(|| state.remote.clone());
        message.connection_settings_status = connection.then(|| state.connection.clone());
        Some(message)
    }

    /// Every component that there is.
    pub(crate) fn all_components(&mut self) -> AgentToServer {
        let mut message = self.heartbeat();
        message.available_components = Some(self.components.clone());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter() -> Reporter {
        let reports = Capabilities { accepts_remote_config: true, ..Capabilities::default() };
        Reporter::new(
            [1; 16],
            reports,
            true,
            available(&[(phoenix_config::Kind::Receiver, vec!["otlp"])]),
            Vec::new(),
        )
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let (mut reporter, mut state) = (reporter(), State::default());
        let full = reporter.full(&state);
        assert!(full.agent_description.is_some() && full.health.is_some() && full.effective_config.is_some());
        assert!(full.remote_config_status.is_none(), "none was offered");
        assert!(
            full.available_components.as_ref().is_some_and(|components| components.components.is_empty())
        );
        assert_eq!(reporter.changes(&state), None);
        state.remote = status(&[1], RemoteConfigStatuses::Applying, "");
        let delta = reporter.changes(&state).expect("a change");
        assert_eq!(delta.sequence_num, 2, "no number is left out");
        assert!(
            delta.remote_config_status.is_some()
                && delta.health.is_none()
                && delta.agent_description.is_none()
        );
        state.connection = crate::connection::status(&[2], RemoteConfigStatuses::Applied, "");
        let delta = reporter.changes(&state).expect("a change");
        assert!(delta.connection_settings_status.is_some() && delta.remote_config_status.is_none());
        state.health.healthy = true;
        assert!(reporter.changes(&state).expect("a change").health.is_some());
        let again = reporter.full(&state);
        assert!(again.agent_description.is_some() && again.remote_config_status.is_some());
        assert!(!reporter.all_components().available_components.expect("told").components.is_empty());
    }

    #[test]
    fn what_is_not_to_be_told_is_not() {
        let reports = Capabilities {
            reports_effective_config: false,
            reports_health: false,
            reports_available_components: false,
            reports_connection_settings_status: false,
            ..Capabilities::default()
        };
        assert_eq!(capabilities(&reports, false).0, agent::REPORTS_STATUS | agent::REPORTS_HEARTBEAT);
        let mut reporter = Reporter::new([1; 16], reports, false, AvailableComponents::default(), Vec::new());
        let full = reporter.full(&State::default());
        assert!(
            full.health.is_none() && full.effective_config.is_none() && full.available_components.is_none()
        );
    }
}

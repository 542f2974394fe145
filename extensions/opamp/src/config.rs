use std::collections::BTreeMap;

use http::Uri;
use phoenix_config::{
    Capability, ComponentId, Described, GoDuration, OpaqueMap, PresentBlock, Problems, Settings,
};
use phoenix_transport::settings::TlsClientSettings;
use serde::Deserialize;

/// Settings of the `opamp` extension: the original's keys and, behind them, those of Phoenix.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OpampConfig {
    /// The server, over one of the two transports.
    pub server: Server,
    /// The identity of this agent, a UUID; one that is made and kept in `storage` without.
    pub instance_uid: String,
    /// What is told of this agent.
    pub agent_description: AgentDescription,
    /// What the server may know and do.
    pub capabilities: Capabilities,
    /// The process that supervises this one: without it the collector delivers what it holds and ends. 0 is none.
    pub ppid: i64,
    /// How often that process is looked for.
    pub ppid_poll_interval: GoDuration,
    /// Where identity, credential and the last good configuration are kept.
    pub storage: Storage,
    /// For how long the collector must be well with a remote configuration; else it goes back to the one before.
    pub grace_period: GoDuration,
}

impl Default for OpampConfig {
    fn default() -> OpampConfig {
        OpampConfig {
            server: Server::default(),
            instance_uid: String::new(),
            agent_description: AgentDescription::default(),
            capabilities: Capabilities::default(),
            ppid: 0,
            ppid_poll_interval: GoDuration::from_secs(5),
            storage: Storage::default(),
            grace_period: GoDuration::from_secs(10),
        }
    }
}

/// The server, over one of the transports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Over WebSocket.
    pub ws: PresentBlock<WebSocketServer>,
    /// Over plain HTTP, by asking from time to time.
    pub http: PresentBlock<HttpServer>,
    /// As JSON over plain HTTP, with a request that waits for what the server has to say.
    pub long_poll: PresentBlock<LongPollServer>,
}

/// A server of Phoenix, as JSON over plain HTTP.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LongPollServer {
    /// `http://host:4320/v1/opamp` or `https://…`.
    pub endpoint: String,
    /// TLS.
    pub tls: TlsClientSettings,
    /// What is sent with each request, for example `Authorization`.
    pub headers: OpaqueMap,
    /// The extension that adds credentials to each request; it must be named in `service::extensions` too.
    #[described(names = Capability::ClientAuth)]
    pub auth: String,
    /// How long a request waits at the server; what is between cuts off later than this.
    pub wait: GoDuration,
}

impl Default for LongPollServer {
    fn default() -> LongPollServer {
        LongPollServer {
            endpoint: String::new(),
            tls: TlsClientSettings::default(),
            headers: OpaqueMap::default(),
            auth: String::new(),
            wait: GoDuration::from_secs(25),
        }
    }
}

/// A server over WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocketServer {
    /// `ws://host:4320/v1/opamp` or `wss://…`.
    pub endpoint: String,
    /// TLS.
    pub tls: TlsClientSettings,
    /// What is sent with the request, for example `Authorization`.
    pub headers: OpaqueMap,
    /// The extension that adds credentials to each request; it must be named in `service::extensions` too.
    #[described(names = Capability::ClientAuth)]
    pub auth: String,
}

/// A server over plain HTTP.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServer {
    /// `http://host:4320/v1/opamp` or `https://…`.
    pub endpoint: String,
    /// TLS.
    pub tls: TlsClientSettings,
    /// What is sent with each request, for example `Authorization`.
    pub headers: OpaqueMap,
    /// The extension that adds credentials to each request; it must be named in `service::extensions` too.
    #[described(names = Capability::ClientAuth)]
    pub auth: String,
    /// How often to ask.
    pub polling_interval: GoDuration,
}

impl Default for HttpServer {
    fn default() -> HttpServer {
        HttpServer {
            endpoint: String::new(),
            tls: TlsClientSettings::default(),
            headers: OpaqueMap::default(),
            auth: String::new(),
            polling_interval: GoDuration::from_secs(30),
        }
    }
}

/// What is told of this agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AgentDescription {
    /// Attributes that say more than who it is; servers take them as labels.
    pub non_identifying_attributes: BTreeMap<String, String>,
    /// Whether the attributes of `service::telemetry::resource` are among them.
    pub include_resource_attributes: bool,
}

/// What the server may know and do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// It is told the effective configuration, secrets hidden.
    pub reports_effective_config: bool,
    /// It is told how every component is.
    pub reports_health: bool,
    /// It is told which components this binary has.
    pub reports_available_components: bool,
    /// It hears from this agent regularly, as often as it wishes.
    pub reports_heartbeat: bool,
    /// It may have the collector deliver what it holds and begin again as the same process.
    pub accepts_restart_command: bool,
    /// It hears what became of connection settings that it offered: credentials, own telemetry.
    pub reports_connection_settings_status: bool,
    /// It may say where own metrics are sent besides, over OTLP.
    pub reports_own_metrics: bool,
    /// It may say where own traces are sent besides.
    pub reports_own_traces: bool,
    /// It may say where own logs are sent besides.
    pub reports_own_logs: bool,
    /// It may change the configuration, which is laid under the files that the collector was started with.
    pub accepts_remote_config: bool,
    /// It may ask for diagnostics, a dry run of a configuration, a tap of a pipeline, a log level for a time, a reload and a
    /// restart.
    pub accepts_tasks: bool,
}

impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities {
            reports_effective_config: true,
            reports_health: true,
            reports_available_components: true,
            reports_heartbeat: true,
            accepts_restart_command: false,
            reports_connection_settings_status: true,
            reports_own_metrics: false,
            reports_own_traces: false,
            reports_own_logs: false,
            accepts_remote_config: false,
            accepts_tasks: false,
        }
    }
}

/// Where identity, credential and the last good configuration are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// A folder; made for the collector's user alone where it is missing. Without one nothing outlives the process, and
    /// no credential is taken from the server.
    pub directory: String,
}

fn check_endpoint(key: &str, endpoint: &str, schemes: [&str; 2], problems: &mut Problems) {
    let parsed = endpoint.parse::<Uri>().ok();
    let fits = parsed.as_ref().is_some_and(|url| {
        url.host().is_some_and(|host| !host.is_empty())
            && url.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
    });
    let message = format!("must be a URL with {}:// or {}://", schemes[0], schemes[1]);
    problems.require(fits, &format!("{key}::endpoint"), message);
}

fn check_auth(key: &str, authenticator: &str, problems: &mut Problems) {
    if !authenticator.is_empty()
        && let Err(error) = ComponentId::parse(authenticator)
    {
        problems.error(&format!("{key}::auth"), format!("{authenticator:?} is no identifier: {error}"));
    }
}

/// The bytes of a UUID.
pub(crate) fn parse_uid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

impl Settings for OpampConfig {
    fn validate(&self, problems: &mut Problems) {
        if let Some(long_poll) = self.server.long_poll.get() {
            check_endpoint("server::long_poll", &long_poll.endpoint, ["http", "https"], problems);
            problems.within("server::long_poll::tls", |problems| long_poll.tls.validate(problems));
            check_auth("server::long_poll", &long_poll.auth, problems);
            let fits =
                (1..=55).contains(&long_poll.wait.as_duration().as_secs()) && !long_poll.wait.is_negative();
            problems.require(fits, "server::long_poll::wait", "must be between 1s and 55s");
        }
        match (self.server.ws.get(), self.server.http.get()) {
            (Some(_), _) | (_, Some(_)) if self.server.long_poll.get().is_some() => {
                problems.error("server", "only one of `ws`, `http` and `long_poll` can be set");
            }
            (None, None) if self.server.long_poll.get().is_some() => {}
            (Some(ws), None) => {
                check_endpoint("server::ws", &ws.endpoint, ["ws", "wss"], problems);
                problems.within("server::ws::tls", |problems| ws.tls.validate(problems));
                check_auth("server::ws", &ws.auth, problems);
            }
            (None, Some(http)) => {
                check_endpoint("server::http", &http.endpoint, ["http", "https"], problems);
                problems.within("server::http::tls", |problems| http.tls.validate(problems));
                check_auth("server::http", &http.auth, problems);
                let fits = http.polling_interval.as_duration().as_millis() >= 100;
                problems.require(fits, "server::http::polling_interval", "must be at least 100ms");
            }
            (Some(_), Some(_)) => {
                problems.error("server", "only one of `ws`, `http` and `long_poll` can be set")
            }
            (None, None) => problems.error("server", "one of `ws`, `http` and `long_poll` must be set"),
        }
        let uid = &self.instance_uid;
        problems.require(uid.is_empty() || parse_uid(uid).is_some(), "instance_uid", "must be a UUID");
        let is_process = (0..=i64::from(i32::MAX)).contains(&self.ppid);
        problems.require(is_process, "ppid", "must be the number of a process, or 0");
        let interval = self.ppid_poll_interval.as_duration();
        let fits = !self.ppid_poll_interval.is_negative() && !interval.is_zero();
        problems.require(fits, "ppid_poll_interval", "must be longer than zero");
        let grace = self.grace_period.as_duration().as_secs();
        problems.require(
            !self.grace_period.is_negative() && grace <= 600,
            "grace_period",
            "must be between 0s and 10m",
        );
        if self.capabilities.accepts_remote_config && self.storage.directory.is_empty() {
            problems.warn_with_help(
                "storage::directory",
                "without it a remote configuration does not outlive the process",
                "set a folder that stays, for example /var/lib/phoenix-collector/opamp",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_reported_at_their_keys() {
        // (settings, keys that the errors name)
        let cases: [(&str, &[&str]); 14] = [
            (r#"{"server": {"long_poll": {"endpoint": "https://x"}}}"#, &[]),
            (
                r#"{"server": {"long_poll": {"endpoint": "ws://x", "wait": "0s"}, "ws": {"endpoint": "ws://x"}}}"#,
                &["server::long_poll::endpoint", "server::long_poll::wait", "server"],
            ),
            (r#"{"server": {"ws": {"endpoint": "ws://x:4320/v1/opamp"}}}"#, &[]),
            (r#"{"server": {"http": {"endpoint": "https://x/v1/opamp"}}}"#, &[]),
            (r#"{"server": {"ws": {"endpoint": "ws://x", "auth": "oauth2client/a"}}}"#, &[]),
            (r#"{"server": {"http": {"endpoint": "http://x", "auth": "/"}}}"#, &["server::http::auth"]),
            (
                r#"{"server": {"long_poll": {"endpoint": "http://x", "auth": "a/"}}}"#,
                &["server::long_poll::auth"],
            ),
            (r#"{}"#, &["server"]),
            (r#"{"server": {"ws": {"endpoint": "ws://x"}, "http": {"endpoint": "http://x"}}}"#, &["server"]),
            (r#"{"server": {"ws": {"endpoint": "http://x"}}}"#, &["server::ws::endpoint"]),
            (r#"{"server": {"ws": {"endpoint": "x:4320"}}}"#, &["server::ws::endpoint"]),
            (
                r#"{"server": {"ws": {"endpoint": "wss://x"}}, "instance_uid": "one", "ppid": -7, "ppid_poll_interval": "0s"}"#,
                &["instance_uid", "ppid", "ppid_poll_interval"],
            ),
            (
                r#"{"server": {"http": {"endpoint": "http://x", "polling_interval": "1ms"}}}"#,
                &["server::http::polling_interval"],
            ),
            (
                r#"{"server": {"ws": {"endpoint": "wss://x"}}, "capabilities": {"accepts_restart_command": true}, "grace_period": "1h"}"#,
                &["grace_period"],
            ),
        ];
        for (settings, keys) in cases {
            let config: OpampConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), keys, "{settings}");
        }
        assert_eq!(parse_uid("00000000-0000-7000-8000-000000000001").map(|uid| uid[6]), Some(0x70));
    }
}

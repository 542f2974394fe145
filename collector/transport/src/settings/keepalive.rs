use phoenix_config::{Described, GoDuration};
use serde::Deserialize;
use std::time::Duration;

use crate::grpc::{client, server};

/// A duration of the settings that means never where it is zero.
pub(super) fn unless_zero(duration: GoDuration) -> Option<Duration> {
    duration.is_positive().then(|| duration.as_duration())
}

/// When connections of clients are pinged and closed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ServerKeepalive {
    /// When connections are pinged and closed.
    pub server_parameters: ServerParameters,
    /// How often clients may ping.
    pub enforcement_policy: EnforcementPolicy,
}

/// When connections are pinged and closed; zero is gRPC's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ServerParameters {
    /// Closes connections without calls after this time; 0 is never.
    pub max_connection_idle: GoDuration,
    /// Closes every connection after this time, give or take a tenth; 0 is never.
    pub max_connection_age: GoDuration,
    /// Time for calls to end after that; 0 is for ever.
    pub max_connection_age_grace: GoDuration,
    /// Pings quiet connections after this time; 0 is 2 h.
    pub time: GoDuration,
    /// Closes those that stay quiet for this long; 0 is 20 s.
    pub timeout: GoDuration,
}

/// How often clients may ping.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct EnforcementPolicy {
    /// Least time between pings; 0 is 5 m.
    pub min_time: GoDuration,
    /// Allows pings while there is no call.
    pub permit_without_stream: bool,
}

impl ServerKeepalive {
    pub(super) fn apply(&self, options: &mut server::Options) {
        let (parameters, policy) = (&self.server_parameters, &self.enforcement_policy);
        options.max_connection_idle = unless_zero(parameters.max_connection_idle);
        options.max_connection_age = unless_zero(parameters.max_connection_age);
        options.max_connection_age_grace = unless_zero(parameters.max_connection_age_grace);
        let set = |option: &mut Duration, value| *option = unless_zero(value).unwrap_or(*option);
        set(&mut options.keepalive_time, parameters.time);
        set(&mut options.keepalive_timeout, parameters.timeout);
        set(&mut options.min_ping_interval, policy.min_time);
        options.pings_without_streams = policy.permit_without_stream;
    }
}

/// Pings on connections that are silent.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ClientKeepalive {
    /// Pings quiet connections after this time, at least 10 s.
    pub time: GoDuration,
    /// Gives them up when they stay quiet for this long.
    pub timeout: GoDuration,
    /// Pings also while there is no call.
    pub permit_without_stream: bool,
}

impl Default for ClientKeepalive {
    fn default() -> ClientKeepalive {
        let ten_seconds = GoDuration::from_millis(10_000);
        ClientKeepalive { time: ten_seconds, timeout: ten_seconds, permit_without_stream: false }
    }
}

impl ClientKeepalive {
    /// As the client wants it.
    pub fn options(&self) -> client::Keepalive {
        let or_ten = |duration| unless_zero(duration).unwrap_or(Duration::from_secs(10));
        client::Keepalive {
            time: or_ten(self.time),
            timeout: or_ten(self.timeout),
            permit_without_stream: self.permit_without_stream,
        }
    }
}

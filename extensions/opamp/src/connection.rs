//! What a server says of connections: the interval of heartbeats, a credential, where own telemetry goes.

use std::time::Duration;

use http::Uri;
use phoenix_component::{TelemetryDestination, TelemetryDestinations};
use phoenix_config::Opaque;
use phoenix_opamp::{
    AgentDescription, ConnectionSettingsOffers, ConnectionSettingsStatus, OpampConnectionSettings,
    RemoteConfigStatuses, TelemetryConnectionSettings,
};
use tokio::sync::mpsc;

use crate::agent::{Agent, News};
use crate::config::Capabilities;

/// Longest interval of heartbeats.
pub(crate) const LONGEST_HEARTBEAT: Duration = Duration::from_secs(24 * 3600);

/// What became of the settings with this hash.
pub(crate) fn status(
    hash: &[u8],
    status: RemoteConfigStatuses,
    error: impl Into<String>,
) -> ConnectionSettingsStatus {
    ConnectionSettingsStatus {
        last_connection_settings_hash: hash.to_vec(),
        status: status.into(),
        error_message: error.into(),
    }
}

/// Where own telemetry goes with an offer: what it leaves out stays as it was, and what this agent does not send is not
/// looked at.
fn destinations(
    before: &TelemetryDestinations,
    offers: &ConnectionSettingsOffers,
    reports: &Capabilities,
    description: &AgentDescription,
) -> TelemetryDestinations {
    let mut wanted = before.clone();
    for (offer, takes, place) in [
        (&offers.own_metrics, reports.reports_own_metrics, &mut wanted.metrics),
        (&offers.own_traces, reports.reports_own_traces, &mut wanted.traces),
        (&offers.own_logs, reports.reports_own_logs, &mut wanted.logs),
    ] {
        if let (Some(offer), true) = (offer, takes) {
            *place = destination(offer);
        }
    }
    let is_any = wanted.metrics.is_some() || wanted.traces.is_some() || wanted.logs.is_some();
    let identity = description.identifying_attributes.iter();
    let identity = identity.filter_map(|known| Some((known.key.clone(), known.value.as_ref()?.as_label()?)));
    wanted.resource = if is_any { identity.collect() } else { Vec::new() };
    wanted
}

fn destination(offer: &TelemetryConnectionSettings) -> Option<TelemetryDestination> {
    let headers = offer.headers.iter().flat_map(|headers| &headers.headers);
    let headers = headers.map(|header| (header.key.clone(), Opaque::new(header.value.clone()))).collect();
    let endpoint = offer.destination_endpoint.clone();
    (!endpoint.is_empty()).then_some(TelemetryDestination { endpoint, headers })
}

/// Whether an offer leaves the agent where it is: it names no server, or this one, whatever the transport.
fn is_same_server(offered: &str, own: &Uri) -> bool {
    let place = |url: &Uri| {
        let is_secure = matches!(url.scheme_str(), Some("wss" | "https"));
        let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Some((is_secure, url.host()?.to_ascii_lowercase(), port))
    };
    offered.is_empty() || offered.parse().is_ok_and(|url| place(&url).is_some() && place(&url) == place(own))
}

impl Agent {
    /// Takes what it can of an offer, and says what became of it: at once, or once that is known.
    pub(crate) fn connection(&mut self, offers: &ConnectionSettingsOffers, news: &mpsc::Sender<News>) {
        let hash = offers.hash.clone();
        let taken = offers.opamp.as_ref().map_or(Ok(()), |opamp| self.opamp_connection(opamp));
        if let Err(error) = taken {
            tracing::error!(error, "connection settings of the server were not taken");
            self.state.connection = status(&hash, RemoteConfigStatuses::Failed, error);
            return;
        }
        let reports = &self.config.capabilities;
        let wanted = destinations(&self.destinations, offers, reports, &self.state.description);
        if wanted != self.destinations {
            self.state.connection = status(&hash, RemoteConfigStatuses::Applying, "");
            let (collector, news) = (self.collector.clone(), news.clone());
            tokio::spawn(async move {
                let outcome = collector.send_telemetry(wanted.clone()).await;
                let _ = news.send(News::Telemetry { hash, wanted, outcome }).await;
            });
            return;
        }
        let applied = match self.has_rotated {
            // Until the new credential was shown.
            true => RemoteConfigStatuses::Applying,
            false => RemoteConfigStatuses::Applied,
        };
        self.state.connection = status(&hash, applied, "");
    }

    /// Own telemetry goes elsewhere now, or why not.
    pub(crate) fn telemetry_sent(
        &mut self,
        hash: &[u8],
        wanted: TelemetryDestinations,
        outcome: Result<(), String>,
    ) {
        self.state.connection = match outcome {
            Ok(()) => {
                tracing::info!("own telemetry goes where the server wants it");
                self.destinations = wanted;
                status(hash, RemoteConfigStatuses::Applied, "")
            }
            Err(error) => {
                tracing::error!(error, "own telemetry does not go where the server wants it");
                status(hash, RemoteConfigStatuses::Failed, error)
            }
        };
    }

    /// The server took the new credential, or it did not.
    pub(crate) fn credential_shown(&mut self, outcome: Result<(), &str>) {
        let connection = &mut self.state.connection;
        if connection.status == i32::from(RemoteConfigStatuses::Applying) {
            let hash = std::mem::take(&mut connection.last_connection_settings_hash);
            *connection = match outcome {
                Ok(()) => status(&hash, RemoteConfigStatuses::Applied, ""),
                Err(error) => status(&hash, RemoteConfigStatuses::Failed, error),
            };
        }
    }

    /// Takes the interval of heartbeats, and a credential of its own where it can keep one.
    fn opamp_connection(&mut self, opamp: &OpampConnectionSettings) -> Result<(), String> {
        if self.config.capabilities.reports_heartbeat {
            let every = Duration::from_secs(opamp.heartbeat_interval_seconds).min(LONGEST_HEARTBEAT);
            self.heartbeat = Some(every).filter(|every| !every.is_zero());
        }
        if !is_same_server(&opamp.destination_endpoint, &self.server.url) {
            return Err("another server is set in the collector's own files only".to_owned());
        }
        let headers = opamp.headers.iter().flat_map(|headers| &headers.headers);
        let mut credentials = headers.filter(|header| header.key.eq_ignore_ascii_case("authorization"));
        let Some(header) = credentials.next().filter(|_| self.folder.is_durable()) else { return Ok(()) };
        let credential = Opaque::new(header.value.clone());
        let kept = self.folder.keep_credential(&credential);
        kept.map_err(|error| format!("the credential could not be kept and is not used: {error}"))?;
        if let Some(former) = self.credential.replace(credential) {
            if let Err(error) = self.folder.keep_former(&former) {
                tracing::warn!(%error, "the former credential could not be kept");
            }
            self.former = Some(former);
            self.has_rotated = true;
        }
        self.has_new_credential = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use phoenix_opamp::{Header, Headers, KeyValue};

    use super::*;

    fn offer(endpoint: &str) -> Option<TelemetryConnectionSettings> {
        let header = Header { key: "api-key".to_owned(), value: "x".to_owned() };
        let headers = Some(Headers { headers: vec![header] });
        Some(TelemetryConnectionSettings { destination_endpoint: endpoint.to_owned(), headers })
    }

    #[test]
    fn an_offer_may_name_the_server_that_it_comes_from_and_no_other() {
        let own: Uri = "wss://control.example.com/v1/opamp".parse().expect("a URL");
        for (offered, is_same) in [
            ("", true),
            ("wss://control.example.com:443/v1/opamp", true),
            ("https://Control.example.com/", true),
            ("ws://control.example.com/v1/opamp", false),
            ("wss://control.example.com:4320/v1/opamp", false),
            ("wss://evil.example.com/v1/opamp", false),
            ("/v1/opamp", false),
            ("no URL", false),
        ] {
            assert_eq!(is_same_server(offered, &own), is_same, "{offered}");
        }
    }

    #[test]
    fn own_telemetry_goes_where_it_may_and_what_is_left_out_stays() {
        let reports =
            Capabilities { reports_own_metrics: true, reports_own_logs: true, ..Capabilities::default() };
        let identifying_attributes = vec![KeyValue::text("service.instance.id", "the-uid")];
        let who = AgentDescription { identifying_attributes, ..AgentDescription::default() };
        let both = ConnectionSettingsOffers {
            own_metrics: offer("http://a/v1/metrics"),
            own_traces: offer("http://a/v1/traces"),
            ..ConnectionSettingsOffers::default()
        };
        let first = destinations(&TelemetryDestinations::default(), &both, &reports, &who);
        let metrics = first.metrics.as_ref().expect("a place");
        assert_eq!(
            (metrics.endpoint.as_str(), metrics.headers[0].0.as_str()),
            ("http://a/v1/metrics", "api-key")
        );
        assert_eq!((&first.traces, &first.logs), (&None, &None), "traces are not sent");
        assert_eq!(first.resource, [("service.instance.id".to_owned(), "the-uid".to_owned())]);
        let more =
            ConnectionSettingsOffers { own_logs: offer("http://b"), ..ConnectionSettingsOffers::default() };
        let second = destinations(&first, &more, &reports, &who);
        assert_eq!((&second.metrics, second.logs.is_some()), (&first.metrics, true));
        let ends = ConnectionSettingsOffers { own_metrics: offer(""), own_logs: offer(""), ..more };
        assert_eq!(destinations(&second, &ends, &reports, &who), TelemetryDestinations::default());
    }
}

//! Where the agents of a group send what they say of themselves, besides where their own files say.

use std::collections::BTreeMap;

use phoenix_opamp::{ConnectionSettingsOffers, Header, Headers, Set, TelemetryConnectionSettings, agent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::error::{Error, FieldProblem, Result};
use crate::ids::sha256;

/// Most headers of a place, and longest text of one.
const MAX_HEADERS: usize = 20;
const MAX_TEXT: usize = 4096;
/// What is shown of a value: headers are secrets.
const HIDDEN: &str = "(hidden)";

/// Where own telemetry goes; what is left out goes nowhere besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnTelemetry {
    /// Own metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Place>,
    /// Own traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<Place>,
    /// Own logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<Place>,
}

/// A backend that takes OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// A URL with its path: `https://otel.example.com/v1/metrics`.
    #[schema(max_length = 4096)]
    pub endpoint: String,
    /// What is sent with each request. Values are not shown again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderValue>,
}

/// The value of a header, which is kept and sent, and never shown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct HeaderValue(String);

impl Serialize for HeaderValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl OwnTelemetry {
    fn places(&self) -> [(&'static str, u64, Option<&Place>); 3] {
        [
            ("metrics", agent::REPORTS_OWN_METRICS, self.metrics.as_ref()),
            ("traces", agent::REPORTS_OWN_TRACES, self.traces.as_ref()),
            ("logs", agent::REPORTS_OWN_LOGS, self.logs.as_ref()),
        ]
    }

    /// # Errors
    /// Where it cannot be, each mistake at its field.
    pub(crate) fn check(&self) -> Result<()> {
        let mut problems = Vec::new();
        for (signal, _, place) in self.places() {
            let Some(place) = place else { continue };
            let mut refuse = |field: String, message: &str| {
                problems.push(FieldProblem::new(format!("own_telemetry.{signal}.{field}"), message));
            };
            let url: Option<axum::http::Uri> = place.endpoint.parse().ok();
            let is_url = url.is_some_and(|url| {
                matches!(url.scheme_str(), Some("http" | "https"))
                    && url.host().is_some_and(|host| !host.is_empty())
            });
            if !is_url || place.endpoint.len() > MAX_TEXT {
                refuse(
                    "endpoint".to_owned(),
                    "must be a URL with http:// or https://, of at most 4096 bytes",
                );
            }
            if place.headers.len() > MAX_HEADERS {
                refuse("headers".to_owned(), "must be at most 20");
            }
            for (name, HeaderValue(value)) in &place.headers {
                let can_be_sent = axum::http::HeaderName::from_bytes(name.as_bytes()).is_ok()
                    && axum::http::HeaderValue::from_str(value).is_ok();
                if !can_be_sent || name.len() > MAX_TEXT || value.len() > MAX_TEXT {
                    refuse(
                        format!("headers.{name}"),
                        "must be a header that can be sent, of at most 4096 bytes",
                    );
                } else if value == HIDDEN {
                    refuse(format!("headers.{name}"), "must be the value itself, which is not shown");
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }

    /// As it is kept, with the values of headers.
    pub(crate) fn stored(&self) -> String {
        let mut all = serde_json::Map::new();
        for (signal, _, place) in self.places() {
            if let Some(place) = place {
                let headers: BTreeMap<&String, &String> =
                    place.headers.iter().map(|(name, HeaderValue(value))| (name, value)).collect();
                all.insert(signal.to_owned(), json!({"endpoint": place.endpoint, "headers": headers}));
            }
        }
        Value::from(all).to_string()
    }

    /// What an agent that can do `capabilities` is offered, with the hash that it is known by; none where it sends nothing
    /// of its own. A place that is not set is offered as nowhere, so that what was set before ends.
    pub(crate) fn offer(&self, capabilities: Set) -> Option<ConnectionSettingsOffers> {
        let mut offers = ConnectionSettingsOffers::default();
        let mut is_any = false;
        for (signal, bit, place) in self.places() {
            if !capabilities.has(bit) {
                continue;
            }
            is_any = true;
            let settings = place.map(settings).unwrap_or_default();
            *match signal {
                "metrics" => &mut offers.own_metrics,
                "traces" => &mut offers.own_traces,
                _ => &mut offers.own_logs,
            } = Some(settings);
        }
        offers.hash = sha256(format!("{offers:?}")).into_bytes();
        is_any.then_some(offers)
    }
}

fn settings(place: &Place) -> TelemetryConnectionSettings {
    let header = |(name, HeaderValue(value)): (&String, &HeaderValue)| Header {
        key: name.clone(),
        value: value.clone(),
    };
    TelemetryConnectionSettings {
        destination_endpoint: place.endpoint.clone(),
        headers: Some(Headers { headers: place.headers.iter().map(header).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> OwnTelemetry {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn values_of_headers_are_kept_and_not_shown() {
        let told =
            read(r#"{"metrics": {"endpoint": "https://x/v1/metrics", "headers": {"api-key": "secret"}}}"#);
        assert!(!json!(told).to_string().contains("secret"));
        assert_eq!(read(&told.stored()), told);
        assert_eq!(read(&OwnTelemetry::default().stored()), OwnTelemetry::default());
    }

    #[test]
    fn an_agent_is_offered_what_it_sends() {
        let told = read(
            r#"{"metrics": {"endpoint": "https://x/m", "headers": {"a": "b"}}, "logs": {"endpoint": "http://y"}}"#,
        );
        assert_eq!(told.offer(Set(agent::REPORTS_STATUS)), None);
        let offer =
            told.offer(Set(agent::REPORTS_OWN_METRICS | agent::REPORTS_OWN_TRACES)).expect("an offer");
        assert_eq!(
            offer.own_metrics.as_ref().map(|to| to.destination_endpoint.as_str()),
            Some("https://x/m")
        );
        assert_eq!(offer.own_traces, Some(TelemetryConnectionSettings::default()), "nowhere");
        assert_eq!((&offer.own_logs, &offer.opamp), (&None, &None));
        let other = OwnTelemetry::default().offer(Set(agent::REPORTS_OWN_METRICS)).expect("an offer");
        assert_ne!(other.hash, offer.hash);
    }

    #[test]
    fn mistakes_are_named() {
        let told = read(
            r#"{"metrics": {"endpoint": "x:4318"}, "traces": {"endpoint": "http://x", "headers": {"a b": "c", "d": "e\n", "f": "(hidden)"}}}"#,
        );
        let Err(Error::Invalid(problems)) = told.check() else { panic!("it was taken") };
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        let of = |header: &str| format!("own_telemetry.traces.headers.{header}");
        assert_eq!(fields, ["own_telemetry.metrics.endpoint", &of("a b"), &of("d"), &of("f")]);
        assert!(serde_json::from_str::<OwnTelemetry>(r#"{"profiles": {}}"#).is_err());
    }
}

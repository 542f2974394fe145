//! Own telemetry that goes elsewhere besides, as somebody from outside wants it: an OpAMP server.

use std::time::Duration;

use phoenix_component::{TelemetryDestination, TelemetryDestinations};

use super::ServiceTelemetry;
use super::metrics::{OtlpTarget, PushTarget, ReaderPlan};
use super::otlp::Processor;

/// As OpAMP has it.
const METRICS_EVERY: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);

impl ServiceTelemetry {
    /// The same, sent elsewhere besides. What own files turn off stays off.
    ///
    /// # Errors
    /// What cannot be, in words.
    pub(crate) fn with(&self, to: &TelemetryDestinations) -> Result<ServiceTelemetry, String> {
        let mut all = self.clone();
        if let Some(to) = &to.metrics {
            if all.metrics.level == phoenix_telemetry::Level::None {
                return Err("service::telemetry::metrics::level is none here".to_owned());
            }
            let target = OtlpTarget {
                over_http: true,
                endpoint: url(to, "metrics")?,
                headers: to.headers.clone(),
                certificate: String::new(),
                client_certificate: String::new(),
                client_key: String::new(),
                gzip: true,
                timeout: TIMEOUT,
            };
            let to = PushTarget::Otlp(target);
            all.metrics.readers.push(ReaderPlan::Push { interval: METRICS_EVERY, timeout: TIMEOUT, to });
        }
        if let Some(to) = &to.traces {
            if all.traces.is_off() {
                return Err("service::telemetry::traces::level is none here".to_owned());
            }
            all.traces.processors.push(Processor::to(url(to, "traces")?, &to.headers));
        }
        if let Some(to) = &to.logs {
            all.logs.processors.push(Processor::to(url(to, "logs")?, &to.headers));
        }
        if *to != TelemetryDestinations::default() {
            all.resource.default_to(&to.resource);
        }
        Ok(all)
    }
}

/// A URL of a host, with the usual path where it has none.
pub(super) fn url(to: &TelemetryDestination, signal: &str) -> Result<String, String> {
    let wrong = || format!("{:?} is no URL with http:// or https://, to send own {signal} to", to.endpoint);
    let uri: http::Uri = to.endpoint.parse().map_err(|_| wrong())?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if !has_host || !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong());
    }
    Ok(match uri.path() {
        "/" => format!("{}/v1/{signal}", to.endpoint.trim_end_matches('/')),
        _ => to.endpoint.clone(),
    })
}

#[cfg(test)]
mod tests {
    use phoenix_config::Opaque;

    use super::*;

    fn to(endpoint: &str) -> Option<TelemetryDestination> {
        let headers = vec![("api-key".to_owned(), Opaque::new("x"))];
        Some(TelemetryDestination { endpoint: endpoint.to_owned(), headers })
    }

    #[test]
    fn destinations_come_besides_what_is_set() {
        let own = ServiceTelemetry::default();
        let nothing = own.with(&TelemetryDestinations::default()).expect("possible");
        assert_eq!(nothing, own);
        let wanted = TelemetryDestinations {
            metrics: to("http://backend:4318/own/metrics"),
            traces: to("https://backend:4318"),
            logs: to("http://backend:4318/"),
            resource: vec![("service.instance.id".to_owned(), "the-uid".to_owned())],
        };
        let all = own.with(&wanted).expect("possible");
        assert_eq!(all.metrics.readers.len(), own.metrics.readers.len() + 1);
        let text = format!("{all:?}");
        for part in
            ["/own/metrics", "https://backend:4318/v1/traces", "http://backend:4318/v1/logs", "the-uid"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("Opaque(\"x\")"), "{text}");
    }

    #[test]
    fn what_cannot_be_is_said() {
        for endpoint in ["backend:4318", "ftp://backend", "/v1/logs", ""] {
            let wanted = TelemetryDestinations { logs: to(endpoint), ..TelemetryDestinations::default() };
            assert!(ServiceTelemetry::default().with(&wanted).is_err(), "{endpoint}");
        }
        let mut off = ServiceTelemetry::default();
        off.metrics.level = phoenix_telemetry::Level::None;
        let wanted = TelemetryDestinations { metrics: to("http://x"), ..TelemetryDestinations::default() };
        assert!(off.with(&wanted).is_err_and(|why| why.contains("none")));
    }
}

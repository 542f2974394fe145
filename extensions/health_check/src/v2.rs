//! The second version: the status of the collector, of pipelines and components, over HTTP and gRPC.

use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Response, StatusCode, request};
use phoenix_component::{Code, Host, Status as ComponentStatus};
use phoenix_transport::grpc::Status;
use phoenix_transport::grpc::server::{Call, UnaryService};
use phoenix_transport::http::server::{HttpService, Request};
use phoenix_transport::http::side;
use serde_json::{Map, Value};

use crate::status::{self, Aggregate};
use crate::{ComponentHealth, StatusHttp, rfc3339};

/// What both protocols look at.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) host: Host,
    pub(crate) health: ComponentHealth,
    /// When this extension was made.
    pub(crate) started: SystemTime,
}

impl Source {
    fn aggregate(&self, asked: &str) -> Option<Aggregate> {
        let pipelines = self.host.collector.get().map(|collector| collector.pipelines());
        let report = self.host.health.report();
        let whole = status::of_collector(&report, &pipelines.unwrap_or_default(), &self.health);
        status::scope(whole, asked)
    }

    fn started(&self) -> SystemTime {
        self.host.collector.get().map_or(self.started, |collector| collector.started())
    }
}

/// Status and configuration over HTTP.
pub(crate) struct StatusService {
    pub(crate) source: Source,
    pub(crate) settings: StatusHttp,
}

#[derive(Clone, Copy)]
pub(crate) enum Route {
    Status,
    Config,
}

impl HttpService for StatusService {
    type Route = Route;

    fn route(&self, head: &request::Parts) -> Result<Route, Response<Bytes>> {
        let path = head.uri.path();
        let StatusHttp { status, config, .. } = &self.settings;
        let route = match path {
            _ if status.enabled && path == status.path => Route::Status,
            _ if config.enabled && path == config.path => Route::Config,
            _ => return Err(side::text(StatusCode::NOT_FOUND, "404 page not found\n")),
        };
        side::only(head, &[Method::GET, Method::HEAD])?;
        Ok(route)
    }

    fn call(&self, route: Route, request: Request) -> impl Future<Output = Response<Bytes>> + Send {
        let answer = match route {
            Route::Status => self.status(&request.head),
            Route::Config => self.config(),
        };
        std::future::ready(answer)
    }
}

impl StatusService {
    fn status(&self, head: &request::Parts) -> Response<Bytes> {
        let asked = side::query(head, "pipeline").unwrap_or_default();
        let Some(found) = self.source.aggregate(&asked) else {
            return side::text(StatusCode::NOT_FOUND, "");
        };
        let verbose = side::query(head, "verbose").is_some_and(|value| value != "false");
        let mut body = described(&found, &self.source.health, verbose);
        body.insert("start_time".to_owned(), rfc3339::format(self.source.started()).into());
        side::answer(code(&found, &self.source.health), "application/json", Value::Object(body).to_string())
    }

    fn config(&self) -> Response<Bytes> {
        match self.source.host.collector.get().map(|collector| collector.effective_config()) {
            Some(config) if !config.json.is_empty() => {
                side::answer(StatusCode::OK, "application/json", config.json.to_string())
            }
            _ => side::text(StatusCode::SERVICE_UNAVAILABLE, ""),
        }
    }
}

/// otelcol's codes.
fn code(found: &Aggregate, health: &ComponentHealth) -> StatusCode {
    if !found.is_healthy(health) {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    match found.status {
        Some(ComponentStatus::Ok | ComponentStatus::Recoverable(_) | ComponentStatus::Permanent(_)) => {
            StatusCode::OK
        }
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn described(found: &Aggregate, health: &ComponentHealth, verbose: bool) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("healthy".to_owned(), found.is_healthy(health).into());
    let name = found.status.as_ref().map_or("StatusNone", ComponentStatus::name);
    body.insert("status".to_owned(), name.into());
    if let Some(error) = found.status.as_ref().and_then(ComponentStatus::error) {
        body.insert("error".to_owned(), error.into());
    }
    let since =
        if found.since == UNIX_EPOCH { "0001-01-01T00:00:00Z".into() } else { rfc3339::format(found.since) };
    body.insert("status_time".to_owned(), since.into());
    if verbose && !found.parts.is_empty() {
        let parts = found.parts.iter();
        let parts = parts.map(|(key, part)| (key.clone(), Value::Object(described(part, health, true))));
        body.insert("components".to_owned(), Value::Object(parts.collect()));
    }
    body
}

/// `grpc.health.v1.Health`: `Check`. `Watch` is answered Unimplemented, which clients take for "ask again".
pub(crate) struct HealthService(pub(crate) Source);

const CHECK: &str = "/grpc.health.v1.Health/Check";
const SERVING: &[u8] = &[0x08, 1];
const NOT_SERVING: &[u8] = &[0x08, 2];

impl UnaryService for HealthService {
    type Method = ();

    fn resolve(&self, path: &str) -> Option<()> {
        (path == CHECK).then_some(())
    }

    fn call(&self, (): (), call: Call) -> impl Future<Output = Result<Bytes, Status>> + Send {
        std::future::ready(self.check(&call.message))
    }
}

impl HealthService {
    fn check(&self, message: &[u8]) -> Result<Bytes, Status> {
        let service = service_of(message)
            .ok_or_else(|| Status::new(Code::INVALID_ARGUMENT, "not a HealthCheckRequest"))?;
        match self.0.aggregate(service) {
            None => Err(Status::new(Code::NOT_FOUND, "Service not found.")),
            Some(found) if found.is_serving(&self.0.health) => Ok(Bytes::from_static(SERVING)),
            Some(_) => Ok(Bytes::from_static(NOT_SERVING)),
        }
    }
}

/// The name in a `HealthCheckRequest`: field 1, the last where it is repeated; other fields are passed over.
fn service_of(mut message: &[u8]) -> Option<&str> {
    let mut service = "";
    while !message.is_empty() {
        let (key, rest) = varint(message)?;
        let (field, wire) = (key >> 3, key & 7);
        message = match wire {
            0 => varint(rest)?.1,
            1 => rest.get(8..)?,
            5 => rest.get(4..)?,
            2 => {
                let (length, rest) = varint(rest)?;
                let length = usize::try_from(length).ok()?;
                let value = rest.get(..length)?;
                if field == 1 {
                    service = std::str::from_utf8(value).ok()?;
                }
                &rest[length..]
            }
            _ => return None,
        };
    }
    Some(service)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_health_names_its_service() {
        for (message, service) in [
            (&b""[..], Some("")),
            (b"\x0a\x06traces", Some("traces")),
            (b"\x10\x01\x0a\x01a\x0a\x01b", Some("b")),
            (b"\x0a\x07traces", None),
            (b"\x0a", None),
            (b"\x0a\x01\xff", None),
            (b"\x0f", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(service_of(message), service, "{message:?}");
        }
    }
}

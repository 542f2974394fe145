//! What is answered to which request.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode, request};
use phoenix_component::{
    Adjustment, AdjustmentBook, ApplyConditions, ChangeError, Collector, ComponentStatus, ConfigRequest,
    DecisionBook, Host, LogLevel, PipelineStatus, Savings, SavingsBook, TraceDecision,
};
use phoenix_transport::http::server::{BodyError, HttpService, Request};
use phoenix_transport::http::side;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::guard::Guard;

/// The longest that a change waits for the end of what it replaces.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The longest that a log level may hold.
const LONGEST_LEVEL: Duration = Duration::from_secs(24 * 3600);

/// The service of one listener.
pub(crate) struct AdminService {
    pub(crate) guard: Guard,
    pub(crate) host: Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Index,
    Version,
    Status,
    Config,
    Books,
    Gates,
    Plan,
    Apply,
    LogLevel,
    Decisions,
    Adjustments,
    Savings,
}

const ROUTES: [(&str, Route, &[Method], &str); 12] = [
    ("/", Route::Index, &[Method::GET], "this list"),
    ("/v1/version", Route::Version, &[Method::GET], "what runs"),
    ("/v1/status", Route::Status, &[Method::GET], "status of every component and pipeline"),
    ("/v1/config", Route::Config, &[Method::GET], "effective configuration, secrets hidden"),
    ("/v1/books", Route::Books, &[Method::GET], "in, out, dropped and held, by component"),
    ("/v1/feature-gates", Route::Gates, &[Method::GET], "feature gates"),
    ("/v1/plan", Route::Plan, &[Method::POST], "what a configuration would change"),
    ("/v1/apply", Route::Apply, &[Method::POST], "changes the configuration"),
    (
        "/v1/log-level",
        Route::LogLevel,
        &[Method::GET, Method::PUT, Method::DELETE],
        "level of the log, for a time",
    ),
    ("/v1/decisions", Route::Decisions, &[Method::GET], "what samplers decided about ?trace_id=…"),
    ("/v1/adjustments", Route::Adjustments, &[Method::GET], "how optimizers kept to their targets, and why"),
    ("/v1/savings", Route::Savings, &[Method::GET], "what optimizers and aggregators saved, rule by rule"),
];

/// What is wrong, as JSON.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorText<'a>,
}

#[derive(Serialize)]
struct ErrorText<'a> {
    code: &'a str,
    message: &'a str,
}

/// An error for a program and for people.
pub(crate) fn refusal(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    json(status, &ErrorBody { error: ErrorText { code, message } })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    match serde_json::to_vec(body) {
        Ok(mut body) => {
            body.push(b'\n');
            side::answer(status, "application/json", body)
        }
        Err(error) => side::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

#[derive(Serialize)]
struct VersionBody {
    command: &'static str,
    description: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct StatusBody {
    version: &'static str,
    started_unix_nanos: u64,
    uptime_seconds: u64,
    healthy: bool,
    config: ConfigState,
    components: Vec<ComponentStatus>,
    pipelines: Vec<PipelineStatus>,
}

#[derive(Serialize)]
struct ConfigState {
    hash: String,
    from_sources: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_unix_nanos: Option<u64>,
}

#[derive(Serialize)]
struct DecisionsBody {
    /// Samplers that were asked.
    samplers: usize,
    decisions: Vec<SamplerDecision>,
}

#[derive(Serialize)]
struct SamplerDecision {
    processor: String,
    #[serde(flatten)]
    decision: TraceDecision,
}

#[derive(Serialize)]
struct AdjustmentsBody {
    optimizers: Vec<Adjusted>,
}

#[derive(Serialize)]
struct Adjusted {
    processor: String,
    /// The oldest first.
    adjustments: Vec<Adjustment>,
}

#[derive(Serialize)]
struct SavingsBody {
    optimizers: Vec<Saved>,
    aggregators: Vec<Saved>,
}

#[derive(Serialize)]
struct Saved {
    processor: String,
    #[serde(flatten)]
    savings: Savings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyBody {
    #[serde(default)]
    config: ConfigRequest,
    #[serde(default)]
    conditions: ApplyConditions,
    #[serde(default = "default_wait")]
    wait_seconds: u64,
}

fn default_wait() -> u64 {
    35
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelBody {
    level: LogLevel,
    for_seconds: u64,
}

fn unix_nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl HttpService for AdminService {
    type Route = Route;

    fn route(&self, head: &request::Parts) -> Result<Route, Response<Bytes>> {
        let Some((_, route, methods, _)) = ROUTES.iter().find(|(path, ..)| *path == head.uri.path()) else {
            return Err(refusal(StatusCode::NOT_FOUND, "not_found", "no such path; GET / lists them"));
        };
        side::only(head, methods).map_err(|plain| {
            let mut refused = refusal(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                &format!("{} is not allowed here", head.method),
            );
            if let Some(allow) = plain.headers().get(http::header::ALLOW) {
                refused.headers_mut().insert(http::header::ALLOW, allow.clone());
            }
            refused
        })?;
        Ok(*route)
    }

    fn call(&self, route: Route, request: Request) -> impl Future<Output = Response<Bytes>> + Send {
        self.answer(route, request)
    }
}

impl AdminService {
    async fn answer(&self, route: Route, request: Request) -> Response<Bytes> {
        let Request { head, peer, body, .. } = request;
        if let Err(refused) = self.guard.admit(&head, peer) {
            tracing::warn!(%peer, path = head.uri.path(), status = refused.status().as_u16(), "a request to the administration was refused");
            return refused;
        }
        let Some(collector) = self.host.collector.get() else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the collector is starting");
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => return bad_body(&error),
        };
        match (route, head.method.clone()) {
            (Route::Index, _) => side::text(StatusCode::OK, index()),
            (Route::Version, _) => json(StatusCode::OK, &self.version()),
            (Route::Status, _) => json(StatusCode::OK, &self.status(&**collector)),
            (Route::Config, _) => config(&**collector, &head),
            (Route::Books, _) => json(StatusCode::OK, &collector.books().await),
            (Route::Gates, _) => json(StatusCode::OK, &collector.feature_gates()),
            (Route::Plan, _) => match parse::<ConfigRequest>(&head, &body) {
                Ok(request) => outcome(collector.plan(request).await, &head, |plan| plan.changes.to_string()),
                Err(refused) => refused,
            },
            (Route::Apply, _) => match parse::<ApplyBody>(&head, &body) {
                Ok(request) => {
                    tracing::info!(%peer, sources = ?request.config.sources, "a change was asked for");
                    let wait = Duration::from_secs(request.wait_seconds).min(LONGEST_WAIT);
                    let applied = collector.apply(request.config, request.conditions, wait).await;
                    outcome(applied, &head, |applied| applied.plan.changes.to_string())
                }
                Err(refused) => refused,
            },
            (Route::Decisions, _) => self.decisions(&head),
            (Route::Adjustments, _) => self.adjustments(),
            (Route::Savings, _) => self.savings(),
            (Route::LogLevel, Method::PUT) => match parse::<LevelBody>(&head, &body) {
                Ok(LevelBody { level, for_seconds }) => {
                    let time = Duration::from_secs(for_seconds);
                    if time.is_zero() || time > LONGEST_LEVEL {
                        return refusal(
                            StatusCode::BAD_REQUEST,
                            "bad_request",
                            "`for_seconds` must be between 1 and 86400: a level reverts by itself",
                        );
                    }
                    json(StatusCode::OK, &collector.set_log_level(Some((level, time))))
                }
                Err(refused) => refused,
            },
            (Route::LogLevel, Method::DELETE) => json(StatusCode::OK, &collector.set_log_level(None)),
            (Route::LogLevel, _) => json(StatusCode::OK, &collector.log_level()),
        }
    }

    fn version(&self) -> VersionBody {
        let build = &self.host.build;
        VersionBody { command: build.command, description: build.description, version: build.version }
    }

    /// What each sampler decided about a trace, if that was lately.
    fn decisions(&self, head: &request::Parts) -> Response<Bytes> {
        let Some(trace_id) = side::query(head, "trace_id").as_deref().and_then(phoenix_component::trace_id)
        else {
            return refusal(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "`trace_id` must be 32 hexadecimal digits",
            );
        };
        let books = self.host.capabilities.all::<DecisionBook>();
        let decisions = books.iter().filter_map(|(id, book)| {
            Some(SamplerDecision { processor: id.to_string(), decision: book.find(&trace_id)? })
        });
        json(StatusCode::OK, &DecisionsBody { samplers: books.len(), decisions: decisions.collect() })
    }

    /// How each processor with targets was adjusted lately.
    fn adjustments(&self) -> Response<Bytes> {
        let books = self.host.capabilities.all::<AdjustmentBook>();
        let adjusted = |(id, book): &(_, Arc<AdjustmentBook>)| Adjusted {
            processor: ToString::to_string(id),
            adjustments: book.all(),
        };
        json(StatusCode::OK, &AdjustmentsBody { optimizers: books.iter().map(adjusted).collect() })
    }

    /// What each optimizer saved, as it told at the end of its interval.
    fn savings(&self) -> Response<Bytes> {
        let books = self.host.capabilities.all::<SavingsBook>();
        let saved = |(id, book): &(_, Arc<SavingsBook>)| Saved {
            processor: ToString::to_string(id),
            savings: book.latest(),
        };
        let (aggregators, optimizers): (Vec<_>, Vec<_>) =
            books.iter().partition(|(id, _)| id.type_name() == "aggregator");
        let told = |books: Vec<&_>| books.into_iter().map(saved).collect();
        json(StatusCode::OK, &SavingsBody { optimizers: told(optimizers), aggregators: told(aggregators) })
    }

    fn status(&self, collector: &dyn Collector) -> StatusBody {
        let report = self.host.health.report();
        let config = collector.effective_config();
        let started = collector.started();
        StatusBody {
            version: self.host.build.version,
            started_unix_nanos: unix_nanos(started),
            uptime_seconds: started.elapsed().unwrap_or_default().as_secs(),
            healthy: report.iter().all(|(_, since)| since.status == phoenix_component::Status::Ok),
            config: ConfigState {
                hash: config.hash.to_string(),
                from_sources: config.from_sources,
                since_unix_nanos: config.since.map(unix_nanos),
            },
            components: report
                .into_iter()
                .map(|(key, since)| ComponentStatus::new(key, &since.status, since.since))
                .collect(),
            pipelines: collector.pipelines(),
        }
    }
}

fn index() -> String {
    let line = |(path, _, methods, what): &(&str, Route, &[Method], &str)| {
        let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
        format!("{:<16} {path:<18} {what}\n", methods.join(", "))
    };
    ROUTES.iter().map(line).collect()
}

fn config(collector: &dyn Collector, head: &request::Parts) -> Response<Bytes> {
    let config = collector.effective_config();
    match side::query(head, "format").as_deref() {
        None | Some("yaml") => side::answer(StatusCode::OK, "application/yaml", config.yaml.to_string()),
        Some("json") => side::answer(StatusCode::OK, "application/json", config.json.to_string()),
        Some(_) => refusal(StatusCode::BAD_REQUEST, "bad_request", "`format` must be `yaml` or `json`"),
    }
}

fn bad_body(error: &BodyError) -> Response<Bytes> {
    let (status, code) = match error {
        BodyError::TooLarge | BodyError::SnappyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        BodyError::UnsupportedEncoding(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
        BodyError::OverBudget { .. } => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        BodyError::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout"),
        BodyError::Corrupt(_) | BodyError::Interrupted => (StatusCode::BAD_REQUEST, "bad_request"),
    };
    refusal(status, code, &error.to_string())
}

/// The body as JSON; an empty one is an empty object. Only declared JSON is read, which no form of a web page
/// can send.
// One answer for each request is moved once.
#[allow(clippy::result_large_err)]
fn parse<T: DeserializeOwned>(head: &request::Parts, body: &Bytes) -> Result<T, Response<Bytes>> {
    let declared = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !declared.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send `Content-Type: application/json`",
        ));
    }
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    let unexpected = |why: &dyn std::fmt::Display| {
        refusal(StatusCode::BAD_REQUEST, "bad_request", &format!("the body is not what is expected: {why}"))
    };
    // serde would read `[]` as an object without keys: a change that nobody asked for.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(unexpected(&"a list instead of an object"));
    }
    serde_json::from_slice(body).map_err(|error| unexpected(&error))
}

/// What was planned or done, as JSON or, where that is preferred, as text; or why not.
fn outcome<T: Serialize>(
    outcome: Result<T, ChangeError>,
    head: &request::Parts,
    text: impl FnOnce(&T) -> String,
) -> Response<Bytes> {
    let wants_text = head.headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/"));
    let error = match outcome {
        Ok(done) if wants_text => return side::text(StatusCode::OK, text(&done) + "\n"),
        Ok(done) => return json(StatusCode::OK, &done),
        Err(error) => error,
    };
    let (status, code) = match &error {
        ChangeError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ChangeError::StateLoss(_) => (StatusCode::CONFLICT, "state_loss"),
        ChangeError::Moved { .. } => (StatusCode::PRECONDITION_FAILED, "moved"),
        ChangeError::Build(_) => (StatusCode::CONFLICT, "build"),
        ChangeError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        ChangeError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let mut refused = match &error {
        ChangeError::StateLoss(plan) => json(
            status,
            &serde_json::json!({"error": {"code": code, "message": error.to_string()}, "plan": plan}),
        ),
        _ => refusal(status, code, &error.to_string()),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    refused
}

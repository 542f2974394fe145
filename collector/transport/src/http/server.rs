//! An HTTP server for requests that are collected whole.
//!
//! HTTP/1.1 and HTTP/2: by ALPN with TLS, by the first bytes without. The requests of an HTTP/1.1
//! connection run within its task. Bodies are charged to the budget as they arrive, decompressed, and
//! handed over together with whatever went wrong with them, so that the service words the answer.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Response, StatusCode, request};
use phoenix_component::auth::Identity;
use phoenix_component::{Budget, Code, Cores, ListenerLease};

use super::cors::Cors;
use crate::compression::{DecodeError, Encoding};
use crate::encoded::{EncodedBody, Undecodable};
use crate::listen::{Drain, Protocol, Server};
use crate::metrics::ServerMetrics;
use crate::running;
use crate::seats::WhenFull;
use crate::socket::{Peer, Socket};
use crate::tls::TlsAcceptor;
use crate::{Charged, Gate};

mod body;
mod connection;
mod serve;

/// One request, complete.
#[derive(Debug)]
pub struct Request {
    /// Method, target and headers.
    pub head: request::Parts,
    /// Where it comes from.
    pub peer: Peer,
    /// Who sent it, where the gate asked an authenticator.
    pub identity: Option<Arc<Identity>>,
    /// To whom it is charged: told how many items it has.
    pub charged: Charged,
    /// The decompressed body, charged to the budget, or why there is none.
    pub body: Result<Bytes, BodyError>,
    /// The body as it came, instead of `body`, where it came compressed and the service
    /// [wants that](HttpService::takes_encoded).
    pub encoded: Option<EncodedBody>,
}

/// Why a body was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than the limit, on the wire or decompressed.
    #[error("http: request body too large")]
    TooLarge,
    /// A snappy block that says that it is larger than the limit.
    #[error("snappy: decoded size exceeds max request body size")]
    SnappyTooLarge,
    /// A `Content-Encoding` that is unknown or not allowed.
    #[error("unsupported Content-Encoding: {0}")]
    UnsupportedEncoding(String),
    /// Not what its encoding says.
    #[error("{0}")]
    Corrupt(String),
    /// The budget has no room for it; the client may try again after the delay.
    #[error("data refused due to high memory usage")]
    OverBudget {
        /// How long to wait.
        delay: Duration,
    },
    /// It did not arrive in time.
    #[error("the request body did not arrive in time")]
    Timeout,
    /// The client stopped in the middle.
    #[error("unexpected EOF")]
    Interrupted,
}

impl From<Undecodable> for BodyError {
    fn from(undecodable: Undecodable) -> BodyError {
        match undecodable.error {
            DecodeError::TooLarge { .. } if undecodable.encoding == Encoding::Snappy => {
                BodyError::SnappyTooLarge
            }
            DecodeError::TooLarge { .. } => BodyError::TooLarge,
            DecodeError::Budget => BodyError::OverBudget { delay: undecodable.over_budget_delay },
            error @ DecodeError::Corrupt { .. } => BodyError::Corrupt(error.to_string()),
        }
    }
}

/// A request that the gate did not let pass, as its sender hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status of the answer.
    pub status: StatusCode,
    /// The code that means the same over gRPC.
    pub code: Code,
    /// The text.
    pub message: Cow<'static, str>,
    /// After how long to come again, where that may help; the answer says so in `Retry-After`.
    pub delay: Option<Duration>,
}

/// What a server does.
pub trait HttpService: Send + Sync + 'static {
    /// One of the things that it offers.
    type Route: Copy + Send + Sync + 'static;

    /// What `head` asks for, before the body is read.
    ///
    /// # Errors
    /// The answer, where it is refused without a look at the body.
    // The answer is moved once, into the connection's task: boxing it would cost every route.
    #[allow(clippy::result_large_err)]
    fn route(&self, head: &request::Parts) -> Result<Self::Route, Response<Bytes>>;

    /// Whether the service wants the body of a request as it came, compressed in `encoding`.
    fn takes_encoded(&self, route: Self::Route, encoding: Encoding) -> bool {
        let _ = (route, encoding);
        false
    }

    /// Words the answer to a request that the gate did not let pass.
    fn refuse(&self, head: &request::Parts, refused: &Refused) -> Response<Bytes> {
        let _ = head;
        let mut response = Response::new(Bytes::from(format!("{}\n", refused.message)));
        *response.status_mut() = refused.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    /// Answers a request. It is dropped where the client goes away; a panic fails this request alone.
    fn call(&self, route: Self::Route, request: Request) -> impl Future<Output = Response<Bytes>> + Send;
}

/// Limits and times of a server. A `Duration` that is `None` means never.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest body in bytes, on the wire and again decompressed.
    pub max_body_bytes: usize,
    /// The encodings that are decoded; none means that bodies are handed over as they come.
    pub encodings: Option<Vec<Encoding>>,
    /// Cross-origin requests.
    pub cors: Option<Cors>,
    /// Set on every answer.
    pub response_headers: HeaderMap,
    /// For a request with its body.
    pub read_timeout: Option<Duration>,
    /// For the head of a request.
    pub read_header_timeout: Option<Duration>,
    /// From the head of a request to the end of its answer.
    pub write_timeout: Option<Duration>,
    /// Between requests.
    pub idle_timeout: Option<Duration>,
    /// Whether a connection serves more than one request.
    pub keep_alives: bool,
    /// Connections at a time.
    pub max_connections: usize,
    /// What becomes of those beyond.
    pub when_full: WhenFull,
    /// A request whose body does not go on for this long is refused, whatever the other times say.
    pub body_idle_timeout: Duration,
    /// The delay that clients hear when the budget is exhausted, or a limiter refuses.
    pub over_budget_delay: Duration,
    /// Asked before a request is read.
    pub gate: Gate,
}

impl Default for Options {
    /// otelcol's defaults for OTLP, with a bound where it has none.
    fn default() -> Options {
        Options {
            max_body_bytes: 20 << 20,
            encodings: Some(Encoding::ALL.to_vec()),
            cors: None,
            response_headers: HeaderMap::new(),
            read_timeout: None,
            read_header_timeout: None,
            write_timeout: None,
            idle_timeout: None,
            keep_alives: true,
            max_connections: 16_384,
            when_full: WhenFull::Refuse,
            body_idle_timeout: Duration::from_secs(30),
            over_budget_delay: Duration::from_secs(1),
            gate: Gate::default(),
        }
    }
}

type Shared<S> = running::Shared<S, Options>;
type Current<S> = running::Current<S, Options>;
/// Changes a server while its connections stay open.
pub type Reconfigure<S> = running::Reconfigure<S, Options>;

/// Starts to serve `service` on `lease`. Needs no runtime: connections run on `cores`.
///
/// # Errors
/// Where the process has no file descriptor left.
pub fn start<S: HttpService>(
    lease: &ListenerLease,
    tls: Option<TlsAcceptor>,
    service: S,
    options: Options,
    cores: &Cores,
    budget: &Budget,
    metrics: ServerMetrics,
) -> io::Result<Server> {
    Ok(start_reconfigurable(lease, tls, service, options, cores, budget, metrics)?.0)
}

/// Starts like [`start`], with a handle to change service and options while connections stay open.
///
/// # Errors
/// Where the process has no file descriptor left.
pub fn start_reconfigurable<S: HttpService>(
    lease: &ListenerLease,
    tls: Option<TlsAcceptor>,
    service: S,
    options: Options,
    cores: &Cores,
    budget: &Budget,
    metrics: ServerMetrics,
) -> io::Result<(Server, Reconfigure<S>)> {
    if let Some(http) = &metrics.http {
        http.set_secure(tls.is_some());
    }
    let (cores, budget) = (cores.clone(), budget.clone());
    let most = (options.max_connections, options.when_full);
    running::start(lease, tls, most, Shared { service: Arc::new(service), options, budget, cores, metrics })
}

impl<S: HttpService> Protocol for Current<S> {
    fn serve(self: Arc<Self>, socket: Socket, peer: Peer, drain: Drain) -> impl Future<Output = ()> + Send {
        connection::serve(self, socket, peer, drain)
    }
}

//! A unary gRPC server.
//!
//! The requests of a connection are polled within the connection's own task, so none of them costs a
//! task or a wake-up. Once a request is complete and its core is behind, its handling goes to an idle
//! core. Bodies are collected into one buffer of their exact size and charged to the budget as they
//! arrive; what is refused is answered by a status that says why, and counted by reason.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request;
use phoenix_component::auth::Identity;
use phoenix_component::{Budget, Cores, ListenerLease};

use super::Status;
use crate::compression::Encoding;
use crate::encoded::EncodedBody;
use crate::listen::{Drain, Protocol, Server};
use crate::metrics::ServerMetrics;
use crate::running;
use crate::seats::WhenFull;
use crate::socket::{Peer, Socket};
use crate::tls::TlsAcceptor;
use crate::{Charged, Gate};

mod body;
mod call;
mod calls;
mod connection;
mod lifecycle;

/// One request, complete and decompressed.
#[derive(Debug)]
pub struct Call {
    /// The message; its memory is charged to the budget until the last slice is dropped.
    pub message: Bytes,
    /// The message as it came, instead of `message`, where it came compressed and the service
    /// [wants that](UnaryService::takes_encoded).
    pub encoded: Option<EncodedBody>,
    /// The target, whose authority is `:authority`, and the headers, metadata among them.
    pub head: Arc<request::Parts>,
    /// Where it comes from.
    pub peer: Peer,
    /// Who sent it, where the gate asked an authenticator.
    pub identity: Option<Arc<Identity>>,
    /// To whom it is charged: told how many items it has.
    pub charged: Charged,
    /// When the client gives up. The handler should end by then; a little later it is ended.
    pub deadline: Option<tokio::time::Instant>,
}

/// What a server does.
pub trait UnaryService: Send + Sync + 'static {
    /// One of the methods that it offers.
    type Method: Copy + Send + Sync + 'static;

    /// The method at `path`, for example `/package.Service/Method`; none is answered Unimplemented.
    fn resolve(&self, path: &str) -> Option<Self::Method>;

    /// Whether the service wants the message of a request as it came, compressed in `encoding`.
    fn takes_encoded(&self, method: Self::Method, encoding: Encoding) -> bool {
        let _ = (method, encoding);
        false
    }

    /// Whether the method brings data, and so has to pass the gate.
    fn brings_data(&self, method: Self::Method) -> bool {
        let _ = method;
        true
    }

    /// Answers a request. It is dropped where the client cancels; a panic fails this request alone.
    ///
    /// # Errors
    /// The status that the client gets.
    fn call(&self, method: Self::Method, call: Call) -> impl Future<Output = Result<Bytes, Status>> + Send;
}

/// Limits and times of a server. A `Duration` that is `None` means never.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Largest message, decompressed, in bytes.
    pub max_message_bytes: usize,
    /// Streams of one connection at a time.
    pub max_concurrent_streams: u32,
    /// Largest header list in bytes.
    pub max_header_list_bytes: u32,
    /// Connections at a time.
    pub max_connections: usize,
    /// What becomes of those beyond.
    pub when_full: WhenFull,
    /// A connection without streams is told to go after this time.
    pub max_connection_idle: Option<Duration>,
    /// Every connection is told to go after this time, give or take a tenth.
    pub max_connection_age: Option<Duration>,
    /// After which it is cut off.
    pub max_connection_age_grace: Option<Duration>,
    /// Quiet connections are pinged after this time.
    pub keepalive_time: Duration,
    /// And cut off when they stay quiet for this long.
    pub keepalive_timeout: Duration,
    /// Clients may ping this often.
    pub min_ping_interval: Duration,
    /// Also while they have no stream.
    pub pings_without_streams: bool,
    /// A request whose body does not go on for this long is refused.
    pub body_idle_timeout: Duration,
    /// The delay that clients hear when the budget is exhausted, or a limiter refuses.
    pub over_budget_delay: Duration,
    /// Asked before a request is read.
    pub gate: Gate,
}

impl Default for Options {
    /// The defaults of gRPC-Go, with a bound where it has none.
    fn default() -> Options {
        Options {
            max_message_bytes: 4 << 20,
            max_concurrent_streams: 10_000,
            max_header_list_bytes: 16 << 10,
            max_connections: 16_384,
            when_full: WhenFull::Refuse,
            max_connection_idle: None,
            max_connection_age: None,
            max_connection_age_grace: None,
            keepalive_time: Duration::from_secs(2 * 3600),
            keepalive_timeout: Duration::from_secs(20),
            min_ping_interval: Duration::from_secs(5 * 60),
            pings_without_streams: false,
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
pub fn start<S: UnaryService>(
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
pub fn start_reconfigurable<S: UnaryService>(
    lease: &ListenerLease,
    tls: Option<TlsAcceptor>,
    service: S,
    options: Options,
    cores: &Cores,
    budget: &Budget,
    metrics: ServerMetrics,
) -> io::Result<(Server, Reconfigure<S>)> {
    let (cores, budget) = (cores.clone(), budget.clone());
    let most = (options.max_connections, options.when_full);
    running::start(lease, tls, most, Shared { service: Arc::new(service), options, budget, cores, metrics })
}

impl<S: UnaryService> Protocol for Current<S> {
    fn serve(self: Arc<Self>, socket: Socket, peer: Peer, drain: Drain) -> impl Future<Output = ()> + Send {
        connection::serve(self, socket, peer, drain)
    }
}

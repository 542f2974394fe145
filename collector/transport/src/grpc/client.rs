//! A unary gRPC client.
//!
//! Every core has connections of its own, made on first use, so that an export stays on the core where it
//! began. Messages go out in the pieces in which they come. A request that the server certainly did not
//! process is sent once more on another connection.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use phoenix_component::auth::ClientAuth;
use phoenix_component::{Budget, ClientInfo, Code, Cores, Slot};

use super::Status;
use crate::compression::{Compressor, Encoding};
use crate::endpoint::Target;
use crate::payload::Payload;
use crate::proxy::Proxy;
use crate::tls::TlsConnector;

mod backoff;
mod call;
mod channel;
mod connect;

use channel::Channel;

/// How calls are spread over the addresses of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balancer {
    /// One connection to each address, in turn.
    #[default]
    RoundRobin,
    /// One connection, to the first address that answers.
    PickFirst,
}

/// Pings of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence after which a ping is sent; at least 10 s, as in gRPC.
    pub time: Duration,
    /// Silence after the ping for which the connection is given up.
    pub timeout: Duration,
    /// Pings also while there is no call.
    pub permit_without_stream: bool,
}

/// How a client connects and what it sends with every call.
#[derive(Clone)]
pub struct Options {
    /// Where to.
    pub target: Target,
    /// TLS, or plaintext.
    pub tls: Option<TlsConnector>,
    /// `:authority`, where it is not the target's.
    pub authority: Option<String>,
    /// The `user-agent` header.
    pub user_agent: String,
    /// Metadata of every call.
    pub metadata: HeaderMap,
    /// How messages are compressed.
    pub compressor: Compressor,
    /// Compressed messages are charged to its reserve.
    pub budget: Budget,
    /// How calls are spread.
    pub balancer: Balancer,
    /// Calls wait for a connection until their deadline, instead of failing with the first failed attempt.
    pub wait_for_ready: bool,
    /// Pings, or none.
    pub keepalive: Option<Keepalive>,
    /// Largest answer in bytes.
    pub max_response_bytes: usize,
    /// What connections go through.
    pub proxy: Option<Proxy>,
    /// Calls fail until [`Client::authorize_with`] was called: nothing goes out without the credentials that are
    /// configured.
    pub needs_auth: bool,
}

impl Options {
    /// Plaintext to `target`, without compression.
    pub fn new(target: Target) -> Options {
        Options {
            target,
            tls: None,
            authority: None,
            user_agent: concat!("phoenix/", env!("CARGO_PKG_VERSION")).to_owned(),
            metadata: HeaderMap::new(),
            compressor: Compressor::new(Encoding::Identity, 0),
            budget: Budget::unlimited(),
            balancer: Balancer::default(),
            wait_for_ready: false,
            keepalive: None,
            max_response_bytes: 4 << 20,
            proxy: None,
            needs_auth: false,
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A text that goes into every request is no header value, or the authority is none.
    #[error("{what} {text:?} cannot be sent")]
    Text {
        /// What it is.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// Credentials would go over the wire for everybody to read.
    #[error("the credentials require transport level security: use TLS, or a Unix socket")]
    Plaintext,
}

/// A client. Cloning shares its connections; they close when the last clone is dropped and their calls
/// have ended.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    cores: Cores,
    channels: Vec<Arc<Channel>>,
    config: Arc<Config>,
}

/// What calls and connections need to know.
struct Config {
    options: Options,
    authority: http::uri::Authority,
    scheme: http::uri::Scheme,
    /// The headers of every call.
    headers: HeaderMap,
    /// What adds credentials.
    auth: OnceLock<Arc<Slot<dyn ClientAuth>>>,
}

impl Config {
    /// What is connected to: the target, or the proxy before it.
    fn dialled(&self) -> &Target {
        self.options.proxy.as_ref().map_or(&self.options.target, Proxy::target)
    }
}

/// A method, prepared for many calls.
#[derive(Clone, Debug)]
pub struct Method(Uri);

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

impl Client {
    /// A client that connects on first use.
    ///
    /// # Errors
    /// Where the authority or the user agent cannot be sent.
    pub fn new(mut options: Options, cores: &Cores) -> Result<Client, ClientError> {
        let text = |what, text: &str| ClientError::Text { what, text: text.to_owned() };
        let authority = options.authority.clone().unwrap_or_else(|| options.target.authority());
        let authority = authority.parse().map_err(|_| text("authority", &authority))?;
        let mut headers = options.metadata.clone();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let agent = HeaderValue::from_str(&options.user_agent);
        headers.insert(USER_AGENT, agent.map_err(|_| text("user agent", &options.user_agent))?);
        options.compressor = options.compressor.in_grpc();
        match options.compressor.encoding() {
            Encoding::Identity => {}
            // Its name of HTTP is not known in gRPC.
            Encoding::SnappyFramed => {
                headers.insert(GRPC_ENCODING, HeaderValue::from_static("snappy"));
            }
            encoding => {
                headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding.name()));
            }
        }
        let scheme = if options.tls.is_some() { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP };
        let config = Arc::new(Config { options, authority, scheme, headers, auth: OnceLock::new() });
        let channels = (0..cores.count()).map(|_| Arc::new(Channel::new(config.clone()))).collect();
        Ok(Client(Arc::new(Shared { cores: cores.clone(), channels, config })))
    }

    /// From now on `auth` adds credentials to every call. The first one counts.
    ///
    /// # Errors
    /// Where they must not be sent without TLS, and there is none.
    pub fn authorize_with(&self, auth: Arc<Slot<dyn ClientAuth>>) -> Result<(), ClientError> {
        let options = &self.0.config.options;
        let is_open = options.tls.is_none() && !matches!(options.target, Target::Unix(_));
        if is_open && auth.get().is_some_and(|auth| auth.needs_tls()) {
            return Err(ClientError::Plaintext);
        }
        self.0.config.auth.get_or_init(|| auth);
        Ok(())
    }

    /// Prepares calls of the method at `path`, for example `/package.Service/Method`.
    ///
    /// # Panics
    /// If `path` is no path: it is part of a program, not of data.
    pub fn method(&self, path: &'static str) -> Method {
        let config = &self.0.config;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(config.scheme.clone());
        parts.authority = Some(config.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static(path));
        Method(Uri::from_parts(parts).expect("all parts are there"))
    }

    /// Sends `message` and returns the answer's message. `timeout` covers everything, connecting and
    /// compression included, and the server hears of it; `metadata` comes on top of the client's own, which
    /// wins. Dropping the future cancels the call.
    ///
    /// # Errors
    /// The server's status, or one that says why there is none.
    pub async fn call(
        &self,
        method: &Method,
        message: Payload,
        timeout: Option<Duration>,
        metadata: &HeaderMap,
    ) -> Result<Bytes, Status> {
        self.call_for(method, message, timeout, metadata, None).await
    }

    /// The same for data of `client`, which some credentials depend on.
    ///
    /// # Errors
    /// Those of [`call`](Client::call), and that there are no credentials.
    pub async fn call_for(
        &self,
        method: &Method,
        message: Payload,
        timeout: Option<Duration>,
        metadata: &HeaderMap,
        client: Option<&ClientInfo>,
    ) -> Result<Bytes, Status> {
        let channel = &self.0.channels[self.0.cores.current_index()];
        let call = call::call(channel, &self.0.config, method, message, timeout, metadata, client);
        match timeout {
            None => call.await,
            Some(timeout) => tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| {
                let text = format!("no answer from {} within {timeout:?}", self.0.config.options.target);
                Err(Status::new(Code::DEADLINE_EXCEEDED, text))
            }),
        }
    }
}

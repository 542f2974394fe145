//! An HTTP client: one request at a time on connections that are kept for the next. Data is posted; what
//! others publish is got.
//!
//! Every core has a pool of its own. A request that finds its pooled connection closed before any byte
//! of an answer came is sent once more, on a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{StatusCode, Uri};
use phoenix_component::auth::ClientAuth;
use phoenix_component::{Budget, ClientInfo, Cores, Refusal, Slot};
use tokio::sync::Semaphore;

use crate::compression::{Compressor, Encoding};
use crate::endpoint::{EndpointError, Target};
use crate::payload::Payload;
use crate::proxy::{Proxies, Proxy};
use crate::tls::TlsConnector;

mod chunked;
mod cookies;
mod exchange;
mod head;
mod http1;
mod pool;
mod redirect;
mod stream;

use cookies::Jar;
use exchange::Connection;
use head::{Headers, RequestHead, Verb};
use pool::Pool;

pub use exchange::ExchangeError;
pub use http1::Http1Error;
pub use stream::Stream;

/// The `Host` of requests over Unix sockets.
const UNIX_HOST: &str = "localhost";

/// Socket and path of a URL over a Unix socket; the path is `/` where none is named.
pub fn unix_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("unix://")?;
    Some(match rest.find(":/") {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, "/"),
    })
}

/// Bytes of an answer that are read; the rest is cut off.
pub const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// How a client connects and what it sends with every request.
#[derive(Clone)]
pub struct Options {
    /// For `https://` endpoints.
    pub tls: Option<TlsConnector>,
    /// For a whole request; none is no limit.
    pub timeout: Option<Duration>,
    /// Headers of every request; `Host` replaces the endpoint's.
    pub headers: HeaderMap,
    /// The `User-Agent`.
    pub user_agent: String,
    /// How bodies are compressed.
    pub compressor: Compressor,
    /// Compressed bodies are charged to its reserve.
    pub budget: Budget,
    /// Idle connections to keep for each host, on each core.
    pub max_idle_per_host: usize,
    /// How long they are kept; none is for ever.
    pub idle_timeout: Option<Duration>,
    /// Connections to each host over all cores; none is no limit.
    pub max_connections_per_host: Option<usize>,
    /// A connection serves one request.
    pub disable_keep_alives: bool,
    /// What connections go through.
    pub proxies: Proxies,
    /// Whether cookies are kept and sent back.
    pub keep_cookies: bool,
    /// Pings of HTTP/2 connections: the silence after which one is sent, and the one after that for which
    /// the connection is given up.
    pub http2_pings: Option<(Duration, Duration)>,
    /// Requests fail until [`Client::authorize_with`] was called: nothing goes out without the credentials that are
    /// configured.
    pub needs_auth: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tls: None,
            timeout: None,
            headers: HeaderMap::new(),
            user_agent: concat!("phoenix/", env!("CARGO_PKG_VERSION")).to_owned(),
            compressor: Compressor::new(Encoding::Identity, 0),
            budget: Budget::unlimited(),
            max_idle_per_host: 100,
            idle_timeout: Some(Duration::from_secs(90)),
            max_connections_per_host: None,
            disable_keep_alives: false,
            proxies: Proxies::default(),
            keep_cookies: false,
            http2_pings: None,
            needs_auth: false,
        }
    }
}

/// Why a client or a destination cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an absolute URL of `http` or `https`.
    #[error("invalid endpoint {url:?}: {reason}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header cannot be sent.
    #[error("the user agent {0:?} cannot be sent")]
    UserAgent(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It took too long.
    #[error("failed to make an HTTP request: no answer from {target} within {timeout:?}")]
    Timeout {
        /// To whom.
        target: Target,
        /// The limit.
        timeout: Duration,
    },
    /// No connection.
    #[error("failed to make an HTTP request: cannot connect to {target}: {source}")]
    Connect {
        /// To whom.
        target: Target,
        /// Why not.
        source: std::io::Error,
    },
    /// The connection broke, or what came over it is no HTTP.
    #[error("failed to make an HTTP request: {target}: {source}")]
    Exchange {
        /// With whom.
        target: Target,
        /// What happened.
        source: ExchangeError,
    },
    /// The server names another place, which cannot be gone to.
    #[error("failed to make an HTTP request: {target} redirects: {reason}")]
    Redirect {
        /// Who redirects.
        target: Target,
        /// Why that is not followed.
        reason: String,
    },
    /// There are no credentials to send it with.
    #[error("failed to make an HTTP request: {0}")]
    Unauthorized(#[source] Refusal),
    /// The body could not be compressed.
    #[error("cannot compress the request: {0}")]
    Compress(#[source] std::io::Error),
}

impl SendError {
    /// What the sender of the data is told: whatever kept the server from answering may pass.
    pub fn into_refusal(self) -> Refusal {
        let reason = match &self {
            SendError::Timeout { .. } => "timeout",
            SendError::Connect { .. } => "connect",
            SendError::Exchange { .. } => "exchange",
            SendError::Redirect { .. } => "redirect",
            SendError::Unauthorized(refusal) => return refusal.clone(),
            SendError::Compress(_) => return Refusal::permanent("compress", self.to_string()),
        };
        Refusal::retryable(reason, self.to_string())
    }
}

/// What the sender of data is told whose delivery took longer than it may, in otelcol's words.
pub fn timed_out() -> Refusal {
    Refusal::retryable("timeout", "failed to make an HTTP request: context deadline exceeded")
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// At most [`MAX_RESPONSE_BYTES`] of the body.
    pub body: Bytes,
}

/// A URL to send to, prepared for many requests.
#[derive(Clone, Debug)]
pub struct Destination {
    uri: Uri,
    target: Target,
    secure: bool,
    host: HeaderValue,
    proxy: Option<Proxy>,
    /// Another host than the one that was configured: it does not get to see credentials.
    is_foreign: bool,
}

/// A client. Cloning shares its pools.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    cores: Cores,
    options: Options,
    headers: HeaderMap,
    pools: Vec<Pool>,
    limits: Mutex<HashMap<Target, Arc<Semaphore>>>,
    cookies: Option<Jar>,
    /// What adds credentials.
    auth: OnceLock<Arc<Slot<dyn ClientAuth>>>,
}

impl Client {
    /// A client that connects on first use.
    ///
    /// # Errors
    /// Where the user agent cannot be sent.
    pub fn new(options: Options, cores: &Cores) -> Result<Client, ClientError> {
        let mut headers = options.headers.clone();
        if !headers.contains_key(USER_AGENT) {
            let agent = HeaderValue::from_str(&options.user_agent)
                .map_err(|_| ClientError::UserAgent(options.user_agent.clone()))?;
            headers.insert(USER_AGENT, agent);
        }
        // Answers are small: nothing is gained by compressing them.
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        if options.compressor.encoding() != Encoding::Identity {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(options.compressor.encoding().name()));
        }
        let pools = (0..cores.count()).map(|_| Pool::default()).collect();
        let cookies = options.keep_cookies.then(Jar::default);
        let (cores, limits) = (cores.clone(), Mutex::default());
        let auth = OnceLock::new();
        let shared = Shared { cores, options, headers, pools, limits, cookies, auth };
        Ok(Client(Arc::new(shared)))
    }

    /// From now on `auth` adds credentials to every request. The first one counts.
    pub fn authorize_with(&self, auth: Arc<Slot<dyn ClientAuth>>) {
        self.0.auth.get_or_init(|| auth);
    }

    /// Prepares requests to `url`: of `http`, of `https`, or `unix://PATH:/PATH` for a Unix socket and what is
    /// asked for there.
    ///
    /// # Errors
    /// Where it is no absolute URL of these.
    pub fn destination(&self, url: &str) -> Result<Destination, ClientError> {
        if let Some((socket, path)) = unix_url(url) {
            let wrong = |reason: String| ClientError::Url { url: url.to_owned(), reason };
            let uri = format!("http://{UNIX_HOST}{path}").parse();
            let uri = uri.map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
            let target = match socket {
                "" => return Err(wrong(EndpointError::UnixPath.to_string())),
                socket => Target::Unix(socket.into()),
            };
            let host = self.0.headers.get(HOST).cloned();
            let host = host.unwrap_or_else(|| HeaderValue::from_static(UNIX_HOST));
            return Ok(Destination { uri, target, secure: false, host, proxy: None, is_foreign: false });
        }
        let mut destination = read_url(url, self.0.headers.get(HOST))?;
        destination.proxy =
            self.0.options.proxies.proxy_for(&destination.target, destination.secure).cloned();
        Ok(destination)
    }

    /// Posts `body`, compressed as configured. `headers` come on top of the client's own, which win.
    ///
    /// # Errors
    /// Where there is no answer; any answer, whatever its status, is no error.
    pub async fn post(
        &self,
        destination: &Destination,
        headers: &HeaderMap,
        body: Payload,
    ) -> Result<Response, SendError> {
        self.post_for(destination, headers, body, None).await
    }

    /// The same for data of `client`, which some credentials depend on.
    ///
    /// # Errors
    /// Those of [`post`](Client::post), and that there are no credentials.
    pub async fn post_for(
        &self,
        destination: &Destination,
        headers: &HeaderMap,
        body: Payload,
        client: Option<&ClientInfo>,
    ) -> Result<Response, SendError> {
        let work = self.post_without_limit(destination, headers, body, client);
        match self.0.options.timeout {
            None => work.await,
            Some(timeout) => tokio::time::timeout(timeout, work)
                .await
                .unwrap_or_else(|_| Err(SendError::Timeout { target: destination.target.clone(), timeout })),
        }
    }

    async fn post_without_limit(
        &self,
        destination: &Destination,
        headers: &HeaderMap,
        body: Payload,
        client: Option<&ClientInfo>,
    ) -> Result<Response, SendError> {
        let shared = &*self.0;
        let authorized = shared.authorize(headers, client).await.map_err(SendError::Unauthorized)?;
        let headers = Headers { added: headers, authorized: authorized.as_ref() };
        let body = crate::compression::encode(shared.options.compressor, body, &shared.options.budget)
            .await
            .map_err(SendError::Compress)?;
        self.exchange_or_follow(Verb::Post, destination, headers, body).await
    }

    /// Gets what `destination` publishes.
    ///
    /// # Errors
    /// Where there is no answer; any answer, whatever its status, is no error.
    pub async fn get(&self, destination: &Destination, headers: &HeaderMap) -> Result<Response, SendError> {
        let headers = Headers { added: headers, authorized: None };
        let work = self.exchange_or_follow(Verb::Get, destination, headers, Payload::default());
        match self.0.options.timeout {
            None => work.await,
            Some(timeout) => tokio::time::timeout(timeout, work)
                .await
                .unwrap_or_else(|_| Err(SendError::Timeout { target: destination.target.clone(), timeout })),
        }
    }

    async fn exchange_or_follow(
        &self,
        verb: Verb,
        destination: &Destination,
        headers: Headers<'_>,
        body: Payload,
    ) -> Result<Response, SendError> {
        let response = self.exchange(verb, destination, headers, body.clone()).await?;
        if redirect::is_to_be_repeated(response.status) {
            return Box::pin(self.follow(verb, destination, headers, body, response)).await;
        }
        Ok(response)
    }

    /// Goes where `response` says, for as long as answers say so.
    async fn follow(
        &self,
        verb: Verb,
        first: &Destination,
        headers: Headers<'_>,
        body: Payload,
        mut response: Response,
    ) -> Result<Response, SendError> {
        let mut at = first.clone();
        for _ in 0..redirect::MAX_REDIRECTS {
            let Some(url) = redirect::location(&at.uri, &response.headers) else { return Ok(response) };
            let wrong = |reason: String| SendError::Redirect { target: at.target.clone(), reason };
            let mut next = read_url(&url, None).map_err(|error| wrong(error.to_string()))?;
            if at.secure && !next.secure {
                return Err(wrong("from https to http, which would show the data".to_owned()));
            }
            next.proxy = self.0.options.proxies.proxy_for(&next.target, next.secure).cloned();
            next.is_foreign = at.is_foreign || redirect::is_foreign(first.target.host(), next.target.host());
            response = self.exchange(verb, &next, headers, body.clone()).await?;
            if !redirect::is_to_be_repeated(response.status) {
                return Ok(response);
            }
            at = next;
        }
        let reason = format!("stopped after {} redirects", redirect::MAX_REDIRECTS);
        Err(SendError::Redirect { target: at.target, reason })
    }

    async fn exchange(
        &self,
        verb: Verb,
        destination: &Destination,
        headers: Headers<'_>,
        body: Payload,
    ) -> Result<Response, SendError> {
        let shared = &*self.0;
        let _permit = shared.permit(&destination.target).await;
        let pool = &shared.pools[shared.cores.current_index()];
        let mut fresh_only = false;
        loop {
            let kept = if fresh_only { None } else { pool.take(destination, shared.options.idle_timeout) };
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(destination, &shared.options)
                    .await
                    .map_err(|source| SendError::Connect { target: destination.target.clone(), source })?,
            };
            match connection.exchange(&RequestHead { shared, destination, headers, verb }, body.clone()).await
            {
                Ok((response, reusable)) => {
                    if reusable && !shared.options.disable_keep_alives {
                        pool.keep(destination, connection, &shared.options);
                    }
                    if let Some(jar) = &shared.cookies {
                        jar.keep(destination, &response.headers, SystemTime::now());
                    }
                    return Ok(response);
                }
                // Closed by the server while it lay in the pool: nothing came back.
                Err(error) if was_kept && error.is_stale() => fresh_only = true,
                Err(source) => {
                    return Err(SendError::Exchange { target: destination.target.clone(), source });
                }
            }
        }
    }
}

impl Shared {
    /// All headers with credentials among them, where there is somebody who adds them.
    async fn authorize(
        &self,
        added: &HeaderMap,
        client: Option<&ClientInfo>,
    ) -> Result<Option<HeaderMap>, Refusal> {
        let absent = || Refusal::retryable("auth", "the authenticator is not running");
        let slot = match self.auth.get() {
            Some(slot) => slot,
            None if self.options.needs_auth => return Err(absent()),
            None => return Ok(None),
        };
        let auth = slot.get().ok_or_else(absent)?;
        let mut headers = self.headers.clone();
        for (name, value) in added.iter().filter(|(name, _)| !self.headers.contains_key(*name)) {
            headers.append(name.clone(), value.clone());
        }
        auth.authorize(&mut headers, client).await?;
        Ok(Some(headers))
    }

    async fn permit(&self, target: &Target) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let limit = self.options.max_connections_per_host?;
        let semaphore = {
            let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
            limits.entry(target.clone()).or_insert_with(|| Arc::new(Semaphore::new(limit))).clone()
        };
        // The semaphore is never closed.
        semaphore.acquire_owned().await.ok()
    }
}

/// Reads an absolute URL; `host` is the `Host` header, where it is not the URL's.
fn read_url(url: &str, host: Option<&HeaderValue>) -> Result<Destination, ClientError> {
    let wrong = |reason: String| ClientError::Url { url: url.to_owned(), reason };
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
    let secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong("it must begin with http:// or https://".to_owned())),
    };
    let authority = uri.authority().ok_or_else(|| wrong("it has no host".to_owned()))?;
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let target = Target::parse_host(host_and_port, if secure { 443 } else { 80 })
        .map_err(|error: EndpointError| wrong(error.to_string()))?;
    let host = match host {
        Some(host) => host.clone(),
        None => HeaderValue::from_str(host_and_port).map_err(|error| wrong(error.to_string()))?,
    };
    Ok(Destination { uri, target, secure, host, proxy: None, is_foreign: false })
}

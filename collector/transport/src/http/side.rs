//! Servers beside the data path: health, administration, diagnostics.
//!
//! They run on the control runtime's thread, with few connections, small bodies and a budget of their own,
//! so that they answer while the data path is busy or its budget is exhausted. Where all connections are taken, the one
//! that has kept the server waiting for longest makes room: whoever asks is answered, however many are silent.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Response, StatusCode, request};
use phoenix_component::{Budget, Cores, Host, ListenerLease, StartError};
use tokio::time::Instant;

use super::server::{self, HttpService, Options, Request};
use crate::listen::Server;
use crate::metrics::ServerMetrics;
use crate::seats::WhenFull;
use crate::settings::HttpServerSettings;
use crate::tls::TlsAcceptor;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 128;
/// Bytes of request bodies held at once.
const BUDGET_BYTES: usize = 64 << 20;
/// For the head of a request, where the settings say nothing.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// For an answer to be taken, where the settings say nothing: a reader that is slower is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// A service whose type is forgotten: the machinery of connections is compiled once for all side servers,
/// not once for each, a quarter of a megabyte of code each time. `route` is asked again by `call`, which costs
/// nothing where so few requests come.
trait Answer: Send + Sync {
    #[allow(clippy::result_large_err)]
    fn refuses(&self, head: &request::Parts) -> Result<(), Response<Bytes>>;

    fn answer(&self, request: Request) -> Pin<Box<dyn Future<Output = Response<Bytes>> + Send + '_>>;
}

impl<S: HttpService> Answer for S {
    fn refuses(&self, head: &request::Parts) -> Result<(), Response<Bytes>> {
        self.route(head).map(drop)
    }

    fn answer(&self, request: Request) -> Pin<Box<dyn Future<Output = Response<Bytes>> + Send + '_>> {
        match self.route(&request.head) {
            Ok(route) => Box::pin(self.call(route, request)),
            Err(refusal) => Box::pin(std::future::ready(refusal)),
        }
    }
}

struct Erased(Arc<dyn Answer>);

impl HttpService for Erased {
    type Route = ();

    fn route(&self, head: &request::Parts) -> Result<(), Response<Bytes>> {
        self.0.refuses(head)
    }

    async fn call(&self, (): (), request: Request) -> Response<Bytes> {
        self.0.answer(request).await
    }
}

/// A server beside the data path: started once, stopped once. Stopping one that never ran is no error.
#[derive(Default)]
pub struct SideServer(Mutex<Option<(ListenerLease, Server)>>);

impl SideServer {
    /// The options of such a server: those of the settings, with bounds where they have none.
    pub fn options(settings: &HttpServerSettings) -> Options {
        let options = settings.options();
        Options {
            max_connections: MAX_CONNECTIONS,
            when_full: WhenFull::Evict,
            read_header_timeout: options.read_header_timeout.or(Some(HEADER_TIMEOUT)),
            write_timeout: options.write_timeout.or(Some(WRITE_TIMEOUT)),
            ..options
        }
    }

    /// Listens as `settings` say and answers with `service`; `id` names it in the metrics of connections and
    /// refusals.
    ///
    /// # Errors
    /// Where the endpoint cannot be had, TLS does not work, or the authenticator does not run.
    pub fn start<S: HttpService>(
        &self,
        settings: &HttpServerSettings,
        options: Options,
        service: S,
        id: &str,
        host: &Host,
    ) -> Result<(), StartError> {
        let lease = settings.listen(&host.leases).map_err(StartError::because)?;
        let tls = settings.tls().map_err(StartError::because)?;
        let options = Options { gate: settings.gate(&host.capabilities)?, ..options };
        self.start_on(lease, tls, options, service, id, host)
    }

    /// Answers on a listener that was leased already.
    ///
    /// # Errors
    /// Where the process has no file descriptor left.
    pub fn start_on<S: HttpService>(
        &self,
        lease: ListenerLease,
        tls: Option<TlsAcceptor>,
        options: Options,
        service: S,
        id: &str,
        host: &Host,
    ) -> Result<(), StartError> {
        let metrics = ServerMetrics::new(&host.metrics, id, "http");
        let (cores, budget) = (Cores::of(host.control.clone()), Budget::new(BUDGET_BYTES));
        let server = server::start(&lease, tls, Erased(Arc::new(service)), options, &cores, &budget, metrics)
            .map_err(StartError::because)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((lease, server));
        Ok(())
    }

    /// Where it listens, while it does; none for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().and_then(|(lease, _)| lease.local_addr())
    }

    /// Stops listening at once, and lets requests under way end until `deadline`. Connections that wait for
    /// a request are closed soon: no client loses anything by that.
    pub async fn stop(&self, deadline: Instant) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((lease, server)) = running else { return };
        drop(lease);
        let patience = deadline.saturating_duration_since(Instant::now());
        server.close(patience).await;
    }
}

/// An answer with a body of that type.
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Plain text.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    answer(status, "text/plain; charset=utf-8", body)
}

/// Refuses a method that is none of `allowed`, which must be in upper case.
///
/// # Errors
/// The answer, where it is another.
#[allow(clippy::result_large_err)]
pub fn only(head: &request::Parts, allowed: &[Method]) -> Result<(), Response<Bytes>> {
    if allowed.contains(&head.method) {
        return Ok(());
    }
    let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, format!("{} is not allowed here\n", head.method));
    if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
        refusal.headers_mut().insert(ALLOW, names);
    }
    Err(refusal)
}

/// The value of `key` in the query, percent-decoded; the first where it is repeated.
pub fn query(head: &request::Parts, key: &str) -> Option<String> {
    let query = head.uri.query()?;
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Declares the settings of a server beside the data path: the keys of an HTTP listener with a default
/// endpoint, keys of its own, and `http()`, which gives the listener's block.
#[macro_export]
macro_rules! side_server_settings {
    ($(#[$doc:meta])* pub struct $name:ident at $endpoint:literal { $($(#[$own_doc:meta])* pub $own:ident: $own_type:ty = $own_default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, phoenix_config::Described)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// `host:port`, or the path of a Unix socket.
            pub endpoint: String,
            /// TCP or Unix.
            pub transport: $crate::settings::Transport,
            /// TLS; plaintext without.
            pub tls: phoenix_config::Block<$crate::settings::TlsServerSettings>,
            /// Cross-origin requests.
            pub cors: phoenix_config::PresentBlock<$crate::settings::Cors>,
            /// Largest body in bytes; 0 is 20 MiB.
            pub max_request_body_size: i64,
            /// Of no use here.
            pub include_metadata: bool,
            /// Set on every answer.
            pub response_headers: phoenix_config::OpaqueMap,
            /// Encodings of bodies that are decoded.
            pub compression_algorithms: Option<Vec<String>>,
            /// For a request with its body; 0 is no limit.
            pub read_timeout: phoenix_config::GoDuration,
            /// For the head of a request.
            pub read_header_timeout: phoenix_config::GoDuration,
            /// From the head of a request to the end of its answer; 0 is a minute.
            pub write_timeout: phoenix_config::GoDuration,
            /// Between requests; 0 is no limit.
            pub idle_timeout: phoenix_config::GoDuration,
            /// Whether a connection serves more than one request.
            pub keep_alives_enabled: bool,
            /// The extension that checks credentials; it must be named in `service::extensions` too.
            pub auth: phoenix_config::Block<$crate::settings::HttpAuthSettings>,
            /// Memory limiters that are asked before a request is read.
            #[described(unsupported = $crate::settings::NO_LIMITER)]
            pub middlewares: Vec<serde::de::IgnoredAny>,
            $($(#[$own_doc])* pub $own: $own_type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                let block = $crate::settings::HttpServerSettings::default();
                Self {
                    endpoint: $endpoint.to_owned(),
                    transport: block.transport,
                    tls: block.tls,
                    cors: block.cors,
                    max_request_body_size: block.max_request_body_size,
                    include_metadata: block.include_metadata,
                    response_headers: block.response_headers,
                    compression_algorithms: block.compression_algorithms,
                    read_timeout: block.read_timeout,
                    read_header_timeout: phoenix_config::GoDuration::from_secs(60),
                    write_timeout: block.write_timeout,
                    idle_timeout: block.idle_timeout,
                    keep_alives_enabled: block.keep_alives_enabled,
                    auth: block.auth,
                    middlewares: Vec::new(),
                    $($own: $own_default,)*
                }
            }
        }

        impl $name {
            /// The listener's part of the settings.
            pub fn http(&self) -> $crate::settings::HttpServerSettings {
                $crate::settings::HttpServerSettings {
                    endpoint: self.endpoint.clone(),
                    transport: self.transport,
                    tls: self.tls.clone(),
                    cors: self.cors.clone(),
                    max_request_body_size: self.max_request_body_size,
                    include_metadata: self.include_metadata,
                    response_headers: self.response_headers.clone(),
                    compression_algorithms: self.compression_algorithms.clone(),
                    read_timeout: self.read_timeout,
                    read_header_timeout: self.read_header_timeout,
                    write_timeout: self.write_timeout,
                    idle_timeout: self.idle_timeout,
                    keep_alives_enabled: self.keep_alives_enabled,
                    auth: self.auth.clone(),
                    middlewares: Vec::new(),
                }
            }

            /// Reports what is wrong with the listener's part.
            pub fn validate_listener(&self, problems: &mut phoenix_config::Problems) {
                self.http().validate(problems);
                $crate::settings::refuse_limiters(problems, &self.middlewares);
            }

            /// Whether the listener is the same one as that of `other`.
            pub fn listens_as(&self, other: &Self) -> bool {
                self.endpoint == other.endpoint && self.transport == other.transport && self.tls == other.tls
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let head = |uri: &str| http::Request::get(uri).body(()).expect("a request").into_parts().0;
        assert_eq!(
            query(&head("/x?a=1&pipeline=traces%2Fa+b&verbose"), "pipeline"),
            Some("traces/a b".into())
        );
        assert_eq!(query(&head("/x?a=1&verbose"), "verbose"), Some(String::new()));
        assert_eq!(query(&head("/x?a=%zz%"), "a"), Some("%zz%".into()));
        assert_eq!(query(&head("/x"), "a"), None);
    }
}

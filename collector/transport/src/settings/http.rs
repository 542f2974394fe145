use std::time::Duration;

use phoenix_component::{Capabilities, Host, LeaseError, Leases, ListenerLease, StartError};
use phoenix_config::{Block, Described, GoDuration, OpaqueMap, PresentBlock, Problems, Settings};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::grpc::{DEFAULT_WRITE_BUFFER_BYTES, client_buffers, listen, unix_path};
use super::keepalive::unless_zero;
use super::{
    AuthSettings, Compression, CompressionParams, HttpAuthSettings, Middleware, TlsClientSettings,
    TlsServerSettings, Transport,
};
use super::{WITH_EXTENSIONS, refuse_any};
use crate::Gate;
use crate::compression::{Compressor, Encoding};
use crate::http::{client, cors, server};
use crate::proxy::{Proxies, Proxy, ProxyError};
use crate::tls::{Alpn, TlsAcceptor, TlsConnector, TlsError};

const DEFAULT_BODY_BYTES: usize = 20 << 20;

/// Cross-origin requests: which pages of other origins may send.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins that may send; `*` stands for any run of characters. None turns it off.
    pub allowed_origins: Vec<String>,
    /// Headers that they may send.
    pub allowed_headers: Vec<String>,
    /// Headers that they may read.
    pub exposed_headers: Vec<String>,
    /// Seconds for which a preflight holds.
    pub max_age: u32,
}

/// `cookies` of a client: on where it is written as a map, with no keys of its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Cookies {}

/// Declares an HTTP listener's settings with keys of its own.
#[macro_export]
macro_rules! http_server_settings {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$own_doc:meta])* pub $own:ident: $own_type:ty = $own_default:expr,)* }) => {
        $crate::client_settings! {
            $(#[$doc])* pub struct $name http $crate::settings::HttpServerSettings {
                endpoint: String, transport: $crate::settings::Transport,
                tls: phoenix_config::Block<$crate::settings::TlsServerSettings>,
                cors: phoenix_config::PresentBlock<$crate::settings::Cors>,
                max_request_body_size: i64, include_metadata: bool,
                response_headers: phoenix_config::OpaqueMap,
                compression_algorithms: Option<Vec<String>>,
                read_timeout: phoenix_config::GoDuration, read_header_timeout: phoenix_config::GoDuration,
                write_timeout: phoenix_config::GoDuration, idle_timeout: phoenix_config::GoDuration,
                keep_alives_enabled: bool,
                auth: phoenix_config::Block<$crate::settings::HttpAuthSettings>,
                middlewares: Vec<$crate::settings::Middleware>,
            } { $($(#[$own_doc])* pub $own: $own_type = $own_default,)* }
        }
    };
}

/// Declares settings with the keys of an HTTP client and some more, and `http()`, which gives the block.
#[macro_export]
macro_rules! http_client_settings {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$own_doc:meta])* pub $own:ident: $own_type:ty = $own_default:expr,)* }) => {
        $crate::client_settings! {
            $(#[$doc])* pub struct $name http $crate::settings::HttpClientBlock {
                endpoint: String, proxy_url: String, tls: $crate::settings::TlsClientSettings,
                read_buffer_size: i64, write_buffer_size: i64, timeout: phoenix_config::GoDuration,
                headers: phoenix_config::OpaqueMap,
                auth: phoenix_config::Block<$crate::settings::AuthSettings>,
                compression: $crate::settings::Compression,
                compression_params: $crate::settings::CompressionParams,
                max_idle_conns: i64, max_idle_conns_per_host: i64, max_conns_per_host: i64,
                idle_conn_timeout: phoenix_config::GoDuration, disable_keep_alives: bool,
                force_attempt_http2: bool, http2_read_idle_timeout: phoenix_config::GoDuration,
                http2_ping_timeout: phoenix_config::GoDuration,
                cookies: phoenix_config::Block<$crate::settings::Cookies>,
                middlewares: Vec<serde::de::IgnoredAny>,
            } { $($(#[$own_doc])* pub $own: $own_type = $own_default,)* }
        }
    };
}

/// Declares a block with its defaults and the constructor that the macros above use.
macro_rules! block {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize, Described)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            /// The fields in their order.
            #[doc(hidden)]
            #[allow(clippy::too_many_arguments)]
            pub fn from_fields($($field: $type,)*) -> $name {
                $name { $($field,)* }
            }
        }
    };
}

block! {
    /// An HTTP listener (`confighttp.ServerConfig`), with the defaults of the OTLP receiver.
    HttpServerSettings {
        /// `host:port`, or the path of a Unix socket.
        endpoint: String = "localhost:4318".to_owned(),
        /// TCP or Unix.
        transport: Transport = Transport::Tcp,
        /// TLS; plaintext without.
        tls: Block<TlsServerSettings> = Block::off(),
        /// Cross-origin requests.
        cors: PresentBlock<Cors> = PresentBlock::off(),
        #[described(min = 0)]
        /// Largest body in bytes, on the wire and decompressed; 0 is 20 MiB.
        max_request_body_size: i64 = 0,
        /// Hands the request's headers to the pipeline.
        include_metadata: bool = false,
        /// Set on every answer.
        response_headers: OpaqueMap = OpaqueMap::default(),
        /// Encodings that are decoded, instead of all; `""` is none; an empty list turns decoding off.
        compression_algorithms: Option<Vec<String>> = None,
        /// For a request with its body; 0 is no limit.
        read_timeout: GoDuration = GoDuration::ZERO,
        /// For the head of a request; 0 is no limit.
        read_header_timeout: GoDuration = GoDuration::ZERO,
        /// From the head of a request to the end of its answer; 0 is no limit.
        write_timeout: GoDuration = GoDuration::ZERO,
        /// Between requests; 0 is no limit.
        idle_timeout: GoDuration = GoDuration::ZERO,
        /// Whether a connection serves more than one request.
        keep_alives_enabled: bool = true,
        /// The extension that checks credentials.
        auth: Block<HttpAuthSettings> = Block::off(),
        /// Limiters that are asked before a request is read.
        middlewares: Vec<Middleware> = Vec::new(),
    }
}

impl Settings for HttpServerSettings {
    fn validate(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            // Not an error, as in otelcol: it may be a variable that is only set where this runs.
            problems.warn_with_help("endpoint", "is empty; the start will fail", "write `host:port`");
        }
        unix_path(problems, self.transport, &self.endpoint);
        problems.require(self.max_request_body_size >= 0, "max_request_body_size", "must not be negative");
        for name in self.compression_algorithms.iter().flatten() {
            let known = Encoding::parse(name).is_some();
            problems.require(
                known,
                "compression_algorithms",
                format!("unsupported compression type {name:?}"),
            );
        }
        if let Some(cors) = self.cors.get()
            && cors.allowed_origins.is_empty()
            && !cors.allowed_headers.is_empty()
        {
            problems.warn("cors.allowed_headers", "has no effect without `allowed_origins`");
        }
        problems
            .within("response_headers", |problems| super::validate_names(&self.response_headers, problems));
        if let Some(tls) = self.tls.get() {
            problems.within("tls", |problems| tls.validate(problems));
        }
        if let Some(auth) = self.auth.get() {
            problems.within("auth", |problems| auth.validate(problems));
        }
        super::middleware::validate(&self.middlewares, problems);
    }
}

impl HttpServerSettings {
    /// What `auth` and `middlewares` name.
    ///
    /// # Errors
    /// Where one of them is no extension that runs.
    pub fn gate(&self, capabilities: &Capabilities) -> Result<Gate, StartError> {
        let gate = super::middleware::gate(&self.middlewares, capabilities)?;
        Ok(match self.auth.get() {
            Some(auth) => gate.with_auth(auth.server(capabilities)?, auth.request_params.clone()),
            None => gate,
        })
    }

    /// As the server wants it.
    pub fn options(&self) -> server::Options {
        let names = self.compression_algorithms.as_ref();
        let encodings = match names {
            None => Some(Encoding::ALL.to_vec()),
            Some(names) if names.is_empty() => None,
            Some(names) => Some(names.iter().filter_map(|name| Encoding::parse(name)).collect()),
        };
        let cors = self.cors.get().and_then(|cors| {
            let age = std::time::Duration::from_secs(u64::from(cors.max_age));
            cors::Cors::new(&cors.allowed_origins, &cors.allowed_headers, &cors.exposed_headers, age)
        });
        server::Options {
            max_body_bytes: match usize::try_from(self.max_request_body_size) {
                Ok(bytes @ 1..) => bytes,
                _ => DEFAULT_BODY_BYTES,
            },
            encodings,
            cors,
            response_headers: super::header_map(&self.response_headers),
            read_timeout: unless_zero(self.read_timeout),
            read_header_timeout: unless_zero(self.read_header_timeout),
            write_timeout: unless_zero(self.write_timeout),
            idle_timeout: unless_zero(self.idle_timeout),
            keep_alives: self.keep_alives_enabled,
            ..server::Options::default()
        }
    }

    /// Leases the listener.
    ///
    /// # Errors
    /// Where the endpoint cannot be had.
    pub fn listen(&self, leases: &Leases) -> Result<ListenerLease, LeaseError> {
        listen(leases, self.transport, &self.endpoint)
    }

    /// TLS of the listener, where there is one.
    ///
    /// # Errors
    /// Where certificate or key are not usable.
    pub fn tls(&self) -> Result<Option<TlsAcceptor>, TlsError> {
        self.tls.get().map(|tls| TlsAcceptor::new(tls, Alpn::H2OrHttp1)).transpose()
    }
}

block! {
    /// An HTTP client (`confighttp.ClientConfig`), with the defaults of the OTLP exporter.
    HttpClientBlock {
        /// The base URL.
        endpoint: String = String::new(),
        /// The proxy for everything, in the place of those that the environment names.
        proxy_url: String = String::new(),
        /// TLS, for URLs that say `https`.
        tls: TlsClientSettings = TlsClientSettings::default(),
        /// Bytes to read at once.
        #[described(no_effect = "buffers are sized by need")]
        read_buffer_size: i64 = 0,
        /// Bytes to write at once.
        #[described(no_effect = "buffers are sized by need")]
        write_buffer_size: i64 = DEFAULT_WRITE_BUFFER_BYTES,
        /// For a whole request; 0 is no limit.
        timeout: GoDuration = GoDuration::from_millis(30_000),
        /// Headers of every request; `Host` replaces the endpoint's.
        headers: OpaqueMap = OpaqueMap::default(),
        /// The extension that adds credentials.
        auth: Block<AuthSettings> = Block::off(),
        /// How bodies are compressed.
        compression: Compression = Compression(Encoding::Gzip),
        /// Its level.
        compression_params: CompressionParams = CompressionParams::default(),
        /// Idle connections to keep; 0 is no limit.
        max_idle_conns: i64 = 100,
        /// Idle connections to keep for each host; 0 is as many as `max_idle_conns` allows.
        max_idle_conns_per_host: i64 = 0,
        /// Connections to each host; 0 is no limit.
        max_conns_per_host: i64 = 0,
        /// How long idle connections are kept; 0 is for ever.
        idle_conn_timeout: GoDuration = GoDuration::from_millis(90_000),
        /// A connection serves one request.
        disable_keep_alives: bool = false,
        /// Offers HTTP/2 in the TLS handshake.
        force_attempt_http2: bool = true,
        /// Silence on HTTP/2 connections after which a ping is sent; 0 is never.
        http2_read_idle_timeout: GoDuration = GoDuration::ZERO,
        /// Silence after the ping for which the connection is given up; 0 is 15 s.
        http2_ping_timeout: GoDuration = GoDuration::ZERO,
        /// Cookies that the server sets are sent back to it.
        cookies: Block<Cookies> = Block::off(),
        /// Extensions that requests go through.
        #[described(unsupported = WITH_EXTENSIONS)]
        middlewares: Vec<IgnoredAny> = Vec::new(),
    }
}

impl HttpClientBlock {
    /// How bodies are compressed.
    pub fn compressor(&self) -> Compressor {
        self.compression.compressor(&self.compression_params)
    }

    /// The client's options in the running collector. Reads certificates, and the proxies that the
    /// environment names.
    ///
    /// # Errors
    /// Where the TLS material or a proxy is not usable.
    pub fn options(&self, host: &Host) -> Result<client::Options, TlsError> {
        let alpn = if self.force_attempt_http2 { Alpn::H2OrHttp1 } else { Alpn::Http1 };
        let positive = |number: i64| usize::try_from(number).ok().filter(|number| *number > 0);
        let idle = [self.max_idle_conns_per_host, self.max_idle_conns].into_iter().filter_map(positive).min();
        let per_core = |limit: usize| limit.div_ceil(host.cores.count());
        let ping_timeout = unless_zero(self.http2_ping_timeout).unwrap_or(DEFAULT_PING_TIMEOUT);
        let wrong = |error: ProxyError| TlsError::Settings(error.to_string());
        Ok(client::Options {
            tls: Some(TlsConnector::new(&self.tls, alpn)?),
            timeout: unless_zero(self.timeout),
            headers: super::header_map(&self.headers),
            user_agent: host.build.user_agent(),
            compressor: self.compressor(),
            budget: host.budget.clone(),
            max_idle_per_host: idle.map_or(usize::MAX, per_core),
            idle_timeout: unless_zero(self.idle_conn_timeout),
            max_connections_per_host: positive(self.max_conns_per_host),
            disable_keep_alives: self.disable_keep_alives,
            proxies: match self.proxy_url.as_str() {
                "" => Proxies::from_environment().map_err(wrong)?,
                url => Proxies::only(Proxy::parse(url).map_err(wrong)?),
            },
            keep_cookies: self.cookies.is_on(),
            http2_pings: unless_zero(self.http2_read_idle_timeout).map(|silence| (silence, ping_timeout)),
            needs_auth: self.auth.is_on(),
        })
    }
}

/// As Go's client has it.
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Reports what is wrong with the client's part of a component's settings.
pub fn validate_http_client(block: &HttpClientBlock, problems: &mut Problems) {
    if !block.proxy_url.is_empty()
        && let Err(error) = Proxy::parse(&block.proxy_url)
    {
        problems.error_with_help("proxy_url", error.to_string(), "for example `http://proxy:3128`");
    }
    for (key, value) in [
        ("timeout", block.timeout),
        ("idle_conn_timeout", block.idle_conn_timeout),
        ("http2_read_idle_timeout", block.http2_read_idle_timeout),
        ("http2_ping_timeout", block.http2_ping_timeout),
    ] {
        problems.require(!value.is_negative(), key, format!("'{key}' must be non-negative"));
    }
    for (key, value) in [
        ("max_idle_conns", block.max_idle_conns),
        ("max_idle_conns_per_host", block.max_idle_conns_per_host),
        ("max_conns_per_host", block.max_conns_per_host),
    ] {
        problems.require(value >= 0, key, format!("'{key}' must be non-negative"));
    }
    client_buffers(problems, block.read_buffer_size, block.write_buffer_size);
    block.compression.validate(&block.compression_params, problems);
    super::validate_headers(&block.headers, problems);
    let host = block.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    if let Some((name, value)) = host
        && value.reveal().parse::<::http::uri::Authority>().is_err()
    {
        problems.error(&format!("headers::{name}"), "the value is no host");
    }
    problems.within("tls", |problems| block.tls.validate(problems));
    if let Some(auth) = block.auth.get() {
        problems.within("auth", |problems| auth.validate(problems));
    }
    refuse_any(problems, "middlewares", &block.middlewares, WITH_EXTENSIONS);
}

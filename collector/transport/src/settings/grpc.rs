use ::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use phoenix_component::{Capabilities, Host, LeaseError, Leases, ListenerLease, StartError};
use phoenix_config::{Block, Described, GoDuration, OpaqueMap, Problems, Settings};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{
    AuthSettings, ClientKeepalive, Compression, GrpcAuthSettings, Middleware, ServerKeepalive,
    TlsClientSettings, TlsServerSettings,
};
use super::{Transport, WITH_EXTENSIONS, refuse_any};
use crate::Gate;
use crate::compression::{Compressor, Encoding};
use crate::endpoint::{Scheme, Target};
use crate::grpc::client::{Balancer, Options};
use crate::grpc::server;
use crate::proxy::Proxies;
use crate::tls::{Alpn, TlsConnector, TlsError};

/// How connections are made: of no use to a listener.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Dialer {
    /// Time to connect.
    #[described(no_effect = "a listener does not connect")]
    pub timeout: GoDuration,
}

/// A gRPC listener (`configgrpc.ServerConfig`), with the defaults of the OTLP receiver.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcServerSettings {
    /// `host:port`, or the path of a Unix socket.
    pub endpoint: String,
    /// TCP or Unix.
    pub transport: Transport,
    /// How connections are made.
    #[described(no_effect = "a listener makes none")]
    pub dialer: Dialer,
    /// TLS; plaintext without.
    pub tls: Block<TlsServerSettings>,
    /// Largest message in MiB, decompressed; 0 is 4.
    #[described(min = 0, max = 4095)]
    pub max_recv_msg_size_mib: i64,
    /// Streams of one connection at a time; 0 is the library's bound.
    pub max_concurrent_streams: u32,
    /// Bytes to read at once.
    #[described(min = 0, no_effect = "buffers are sized by need")]
    pub read_buffer_size: i64,
    /// Bytes to write at once.
    #[described(min = 0, no_effect = "buffers are sized by need")]
    pub write_buffer_size: i64,
    /// When connections are pinged and closed.
    pub keepalive: ServerKeepalive,
    /// Hands the request's metadata to the pipeline.
    pub include_metadata: bool,
    /// Answers `grpc.health.v1.Health/Check` on the listener, for whoever looks there. Not in otelcol.
    pub health: bool,
    /// The extension that checks credentials.
    pub auth: Block<GrpcAuthSettings>,
    /// Limiters that are asked before a request is read.
    pub middlewares: Vec<Middleware>,
}

impl Default for GrpcServerSettings {
    fn default() -> GrpcServerSettings {
        GrpcServerSettings {
            endpoint: "localhost:4317".to_owned(),
            transport: Transport::Tcp,
            dialer: Dialer::default(),
            tls: Block::off(),
            max_recv_msg_size_mib: 0,
            max_concurrent_streams: 0,
            read_buffer_size: 524_288,
            write_buffer_size: 0,
            keepalive: ServerKeepalive::default(),
            include_metadata: false,
            health: false,
            auth: Block::off(),
            middlewares: Vec::new(),
        }
    }
}

impl Settings for GrpcServerSettings {
    fn validate(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            // Not an error, as in otelcol: it may be a variable that is only set where this runs.
            problems.warn_with_help("endpoint", "is empty; the start will fail", "write `host:port`");
        }
        unix_path(problems, self.transport, &self.endpoint);
        buffers(problems, self.read_buffer_size, self.write_buffer_size);
        let fits = (0..=4095).contains(&self.max_recv_msg_size_mib);
        problems.require(fits, "max_recv_msg_size_mib", "must be between 0 and 4095");
        if let Some(tls) = self.tls.get() {
            problems.within("tls", |problems| tls.validate(problems));
        }
        if let Some(auth) = self.auth.get() {
            problems.within("auth", |problems| auth.validate(problems));
        }
        super::middleware::validate(&self.middlewares, problems);
    }
}

/// Reports a Unix socket without a path, and one whose path is longer than the system takes.
pub(super) fn unix_path(problems: &mut Problems, transport: Transport, endpoint: &str) {
    /// `sun_path` has 108 bytes, the last of which is zero.
    const LONGEST: usize = 107;
    let path = match (transport, endpoint.strip_prefix("unix://")) {
        (_, Some("")) => return problems.error("endpoint", "unix socket path cannot be empty"),
        (_, Some(path)) => path,
        (Transport::Unix, None) => endpoint,
        (Transport::Tcp, None) => return,
    };
    let text = format!("the path of a Unix socket has at most {LONGEST} bytes, this one has {}", path.len());
    problems.require(path.len() <= LONGEST, "endpoint", text);
}

pub(super) fn buffers(problems: &mut Problems, read: i64, write: i64) {
    problems.require(read >= 0, "read_buffer_size", format!("invalid read_buffer_size value: {read}"));
    problems.require(write >= 0, "write_buffer_size", format!("invalid write_buffer_size value: {write}"));
}

/// Of clients, which otelcol gives buffers of that size.
pub(super) fn client_buffers(problems: &mut Problems, read: i64, write: i64) {
    buffers(problems, read, write);
    for (key, size, usual) in
        [("read_buffer_size", read, 0), ("write_buffer_size", write, DEFAULT_WRITE_BUFFER_BYTES)]
    {
        if size >= 0 && size != usual {
            problems.warn(key, format!("`{key}` has no effect: buffers follow what there is to send"));
        }
    }
}

/// What otelcol's OTLP exporters ask for.
pub(super) const DEFAULT_WRITE_BUFFER_BYTES: i64 = 524_288;

/// Leases the listener of an endpoint: `host:port`, or the path of a Unix socket where the transport says so
/// or `unix://` stands before it.
pub(super) fn listen(
    leases: &Leases,
    transport: Transport,
    endpoint: &str,
) -> Result<ListenerLease, LeaseError> {
    match (transport, endpoint.strip_prefix("unix://")) {
        (_, Some(path)) => leases.listen_unix(path.as_ref()),
        (Transport::Unix, None) => leases.listen_unix(endpoint.as_ref()),
        (Transport::Tcp, None) => leases.listen_tcp(endpoint),
    }
}

impl GrpcServerSettings {
    /// What `auth` and `middlewares` name.
    ///
    /// # Errors
    /// Where one of them is no extension that runs.
    pub fn gate(&self, capabilities: &Capabilities) -> Result<Gate, StartError> {
        let gate = super::middleware::gate(&self.middlewares, capabilities)?;
        Ok(match self.auth.get() {
            Some(auth) => gate.with_auth(auth.server(capabilities)?, Vec::new()),
            None => gate,
        })
    }

    /// As the server wants it.
    pub fn options(&self) -> server::Options {
        let mut options = server::Options::default();
        if let Ok(mib @ 1..) = usize::try_from(self.max_recv_msg_size_mib) {
            options.max_message_bytes = mib << 20;
        }
        if self.max_concurrent_streams > 0 {
            options.max_concurrent_streams = self.max_concurrent_streams;
        }
        self.keepalive.apply(&mut options);
        options
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
    pub fn tls(&self) -> Result<Option<crate::tls::TlsAcceptor>, TlsError> {
        self.tls.get().map(|tls| crate::tls::TlsAcceptor::new(tls, Alpn::H2)).transpose()
    }
}

/// The keys of a gRPC client (`configgrpc.ClientConfig`). A component with keys of its own repeats the
/// fields with [`grpc_client_settings`](crate::grpc_client_settings).
#[derive(Clone, Debug, PartialEq, Described)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcClientBlock {
    /// Where to: `host:port`, also with `http://`, `https://` or `dns:///` before it, or `unix://path`.
    #[described(required)]
    pub endpoint: String,
    /// How messages are compressed.
    #[described(shape = phoenix_config::Shape::words(&["gzip", "snappy", "zstd", "none", ""]))]
    pub compression: Compression,
    /// TLS, which is on unless it says `insecure`.
    pub tls: TlsClientSettings,
    /// Pings on connections that are silent.
    pub keepalive: Block<ClientKeepalive>,
    /// Bytes to read at once.
    #[described(min = 0, no_effect = "buffers are sized by need")]
    pub read_buffer_size: i64,
    /// Bytes to write at once.
    #[described(min = 0, no_effect = "buffers are sized by need")]
    pub write_buffer_size: i64,
    /// Waits for a connection instead of failing with the first failed attempt.
    pub wait_for_ready: bool,
    /// Metadata of every call.
    pub headers: OpaqueMap,
    /// How calls are spread over the endpoint's addresses.
    #[described(words("round_robin", "pick_first", ""))]
    pub balancer_name: String,
    /// `:authority`, where it is not the endpoint's.
    pub authority: String,
    /// The `user-agent`, where it is not the collector's.
    pub user_agent: String,
    /// The extension that adds credentials.
    pub auth: Block<AuthSettings>,
    /// Extensions that requests go through.
    #[described(unsupported = WITH_EXTENSIONS)]
    pub middlewares: Vec<IgnoredAny>,
}

impl Default for GrpcClientBlock {
    fn default() -> GrpcClientBlock {
        GrpcClientBlock {
            endpoint: String::new(),
            compression: Compression(Encoding::Gzip),
            tls: TlsClientSettings::default(),
            keepalive: Block::off(),
            read_buffer_size: 0,
            write_buffer_size: DEFAULT_WRITE_BUFFER_BYTES,
            wait_for_ready: false,
            headers: OpaqueMap::default(),
            balancer_name: "round_robin".to_owned(),
            authority: String::new(),
            user_agent: String::new(),
            auth: Block::off(),
            middlewares: Vec::new(),
        }
    }
}

/// Declares settings with the keys of a gRPC client and some more, and `grpc()`, which gives the block.
#[macro_export]
macro_rules! grpc_client_settings {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$own_doc:meta])* pub $own:ident: $own_type:ty = $own_default:expr,)* }) => {
        $crate::client_settings! {
            $(#[$doc])* pub struct $name grpc $crate::settings::GrpcClientBlock {
                endpoint: String, compression: $crate::settings::Compression,
                tls: $crate::settings::TlsClientSettings,
                keepalive: phoenix_config::Block<$crate::settings::ClientKeepalive>,
                read_buffer_size: i64, write_buffer_size: i64, wait_for_ready: bool,
                headers: phoenix_config::OpaqueMap, balancer_name: String, authority: String,
                user_agent: String, auth: phoenix_config::Block<$crate::settings::AuthSettings>,
                middlewares: Vec<serde::de::IgnoredAny>,
            } { $($(#[$own_doc])* pub $own: $own_type = $own_default,)* }
        }
    };
}

/// What [`grpc_client_settings`](crate::grpc_client_settings) and
/// [`http_client_settings`](crate::http_client_settings) are made of.
#[macro_export]
macro_rules! client_settings {
    ($(#[$doc:meta])* pub struct $name:ident $method:ident $block:ty { $($field:ident: $type:ty,)* }
     { $($(#[$own_doc:meta])* pub $own:ident: $own_type:ty = $own_default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(#[doc = concat!("`", stringify!($field), "` of the shared block.")] pub $field: $type,)*
            // What is said of them, attributes of `Described` included, stands at `Own`.
            $(#[doc = concat!("`", stringify!($own), "`, a key of the component.")] pub $own: $own_type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                let block = <$block>::default();
                Self { $($field: block.$field,)* $($own: $own_default,)* }
            }
        }

        // The keys of the block are described there, the others here.
        const _: () = {
            $(#[$doc])*
            #[derive(phoenix_config::Described)]
            #[serde(deny_unknown_fields, default)]
            struct Own { $($(#[$own_doc])* $own: $own_type,)* }

            impl Default for Own {
                fn default() -> Self {
                    Self { $($own: $own_default,)* }
                }
            }

            impl phoenix_config::Described for $name {
                fn shape() -> phoenix_config::Shape {
                    let mut keys = phoenix_config::Section::keys_of::<$block>();
                    keys.extend(phoenix_config::Section::keys_of::<Own>());
                    let own = <Own as phoenix_config::Described>::shape();
                    let docs = own.section().map_or("", |section| section.description.as_str());
                    let section = phoenix_config::Section::new(stringify!($name), &[docs], true, keys);
                    phoenix_config::Shape::Section(section)
                }

                fn written(&self) -> Option<phoenix_config::Written> {
                    phoenix_config::written_section([
                        $((stringify!($field), phoenix_config::Described::written(&self.$field)),)*
                        $((stringify!($own), phoenix_config::Described::written(&self.$own)),)*
                    ])
                }
            }
        };

        impl $name {
            /// The client's part of the settings.
            pub fn $method(&self) -> $block {
                // Some fields are `Copy`, others are not.
                #[allow(clippy::clone_on_copy)]
                let block = <$block>::from_fields($(self.$field.clone(),)*);
                block
            }
        }
    };
}

impl GrpcClientBlock {
    /// The fields in their order.
    #[doc(hidden)]
    #[allow(clippy::too_many_arguments)]
    pub fn from_fields(
        endpoint: String,
        compression: Compression,
        tls: TlsClientSettings,
        keepalive: Block<ClientKeepalive>,
        read_buffer_size: i64,
        write_buffer_size: i64,
        wait_for_ready: bool,
        headers: OpaqueMap,
        balancer_name: String,
        authority: String,
        user_agent: String,
        auth: Block<AuthSettings>,
        middlewares: Vec<IgnoredAny>,
    ) -> GrpcClientBlock {
        GrpcClientBlock {
            endpoint,
            compression,
            tls,
            keepalive,
            read_buffer_size,
            write_buffer_size,
            wait_for_ready,
            headers,
            balancer_name,
            authority,
            user_agent,
            auth,
            middlewares,
        }
    }

    fn balancer(&self) -> Option<Balancer> {
        match self.balancer_name.as_str() {
            "round_robin" => Some(Balancer::RoundRobin),
            // What gRPC does where nothing is asked for.
            "pick_first" | "" => Some(Balancer::PickFirst),
            _ => None,
        }
    }

    /// How messages are compressed.
    pub fn compressor(&self) -> Compressor {
        Compressor::new(self.compression.0.in_grpc(), 0)
    }

    /// The client's options in the running collector. Reads certificates, and the proxies that the
    /// environment names.
    ///
    /// # Errors
    /// Where the endpoint, the TLS material or a proxy is not usable; [`validate_grpc_client`] says most of
    /// that sooner.
    pub fn options(&self, host: &Host) -> Result<Options, TlsError> {
        let wrong = |error: crate::endpoint::EndpointError| TlsError::Settings(error.to_string());
        let (scheme, target) = Target::parse_grpc(&self.endpoint).map_err(wrong)?;
        let tls = match scheme != Scheme::Https && self.tls.is_plaintext() {
            true => None,
            false => Some(TlsConnector::new(&self.tls, Alpn::H2)?),
        };
        let proxies = Proxies::from_environment().map_err(|error| TlsError::Settings(error.to_string()))?;
        let user_agent = match self.user_agent.as_str() {
            "" => host.build.user_agent(),
            own => own.to_owned(),
        };
        Ok(Options {
            tls,
            authority: Some(self.authority.clone()).filter(|authority| !authority.is_empty()),
            user_agent,
            metadata: metadata(&self.headers),
            compressor: self.compressor(),
            budget: host.budget.clone(),
            balancer: self.balancer().unwrap_or_default(),
            wait_for_ready: self.wait_for_ready,
            keepalive: self.keepalive.get().map(ClientKeepalive::options),
            // As gRPC libraries do it, whether there is TLS or not.
            proxy: proxies.proxy_for(&target, true).cloned(),
            needs_auth: self.auth.is_on(),
            ..Options::new(target)
        })
    }
}

/// Headers as gRPC metadata: values of names that end in `-bin` are sent in base64.
fn metadata(headers: &OpaqueMap) -> HeaderMap {
    headers.iter().filter_map(|(name, value)| metadatum(name, value.reveal()).ok()).collect()
}

fn metadatum(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = name.to_ascii_lowercase();
    match name.ends_with("-bin") {
        true => super::header(&name, &STANDARD_NO_PAD.encode(value)),
        false => super::header(&name, value),
    }
}

/// Reports what is wrong with the client's part of a component's settings.
pub fn validate_grpc_client(block: &GrpcClientBlock, problems: &mut Problems) {
    if let Err(error) = Target::parse_grpc(&block.endpoint) {
        problems.error("endpoint", error.to_string());
    }
    let offered = [Encoding::Identity, Encoding::Gzip, Encoding::Snappy, Encoding::Zstd];
    let encoding = block.compression.0;
    problems.require(
        offered.contains(&encoding),
        "compression",
        format!("unsupported compression type {:?}", encoding.name()),
    );
    let unknown = format!("invalid balancer_name: {}", block.balancer_name);
    problems.require(block.balancer().is_some(), "balancer_name", unknown);
    client_buffers(problems, block.read_buffer_size, block.write_buffer_size);
    problems.within("headers", |problems| {
        for (name, value) in block.headers.iter() {
            if let Err(message) = metadatum(name, value.reveal()) {
                problems.error(name, message);
            }
        }
    });
    let is_authority = block.authority.parse::<::http::uri::Authority>().is_ok();
    problems.require(
        block.authority.is_empty() || is_authority,
        "authority",
        format!("{:?} is no authority", block.authority),
    );
    let is_sendable = HeaderValue::from_str(&block.user_agent).is_ok();
    problems.require(is_sendable, "user_agent", "the text cannot be sent in a header");
    if let Some(keepalive) = block.keepalive.get() {
        problems.within("keepalive", |problems| keepalive.validate(problems));
    }
    problems.within("tls", |problems| block.tls.validate(problems));
    if let Some(auth) = block.auth.get() {
        problems.within("auth", |problems| auth.validate(problems));
    }
    refuse_any(problems, "middlewares", &block.middlewares, WITH_EXTENSIONS);
}

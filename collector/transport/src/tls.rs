//! TLS for every listener and client, over rustls with ring.
//!
//! Certificates and keys that are named in the settings are read when a component is built, so that a
//! mistake shows before anything runs, with the file's name, and again at a handshake once the interval that is
//! set has passed, or somebody has asked for it, and they have changed. The system's authorities are read on the first connection that needs
//! them: most collectors never do, and they take megabytes.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::sync::OnceCell;

use crate::ahead::Ahead;
use crate::settings::{Material, TlsClientSettings, TlsServerSettings};
use crate::socket::{Plain, Socket};

mod choices;
mod material;
mod pem;
mod reload;
#[cfg(test)]
mod tests;
mod validity;
mod verify;

pub(crate) use choices::{CurveChoice, SuiteChoice, Version};
use material::{certificates, private_key};
pub use reload::look_again;
use reload::{Reloading, Watch};

/// The protocol to agree on in the handshake, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2 only: gRPC.
    H2,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2, else HTTP/1.1.
    H2OrHttp1,
}

impl Alpn {
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Alpn::H2 => &[b"h2"],
            Alpn::Http1 => &[b"http/1.1"],
            Alpn::H2OrHttp1 => &[b"h2", b"http/1.1"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {what} {path:?}")]
    Read {
        /// Which setting named it.
        what: &'static str,
        /// Its path.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The text is not what it should be.
    #[error("{what} {origin}: {reason}")]
    Content {
        /// Which setting it is.
        what: &'static str,
        /// The file, or that it was written out.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// The parts do not fit together.
    #[error("{0}")]
    Settings(String),
}

/// Bytes that a client's session may hold until the socket takes them: what [`crate::io`] writes at once.
const CLIENT_BUFFER_BYTES: usize = 320 * 1024;
/// How often the authorities of clients are looked at, where they are to be read again.
const CLIENT_CA_INTERVAL: Duration = Duration::from_secs(1);

/// The server's side. Cloning shares it.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<Reloading<ServerConfig>>);

impl TlsAcceptor {
    /// Reads certificate, key and authorities, and does so again as the settings say. Connections that are open
    /// stay as they are.
    ///
    /// # Errors
    /// Where a file cannot be read, does not hold what it should, or the parts do not fit together.
    pub fn new(settings: &TlsServerSettings, alpn: Alpn) -> Result<TlsAcceptor, TlsError> {
        let mut watches = vec![settings.material().watch(Some(&settings.client_ca_file))];
        if settings.client_ca_file_reload && !settings.client_ca_file.is_empty() {
            let files = vec![settings.client_ca_file.clone().into()];
            watches.push(Watch { files, interval: Some(CLIENT_CA_INTERVAL) });
        }
        let settings = settings.clone();
        Ok(TlsAcceptor(Arc::new(Reloading::new(watches, move || server_config(&settings, alpn))?)))
    }

    /// What a handshake is made with now, for listeners that are not this crate's.
    pub async fn config(&self) -> Arc<ServerConfig> {
        self.0.get().await
    }

    pub(crate) async fn accept(&self, plain: Plain) -> io::Result<Socket> {
        let acceptor = tokio_rustls::TlsAcceptor::from(self.0.get().await);
        let stream = acceptor.accept(Ahead::new(plain)).await?;
        Ok(Socket::Tls(Box::new(stream.into())))
    }
}

fn server_config(settings: &TlsServerSettings, alpn: Alpn) -> Result<ServerConfig, TlsError> {
    let material = settings.material();
    let provider = choices::provider(&material)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&choices::versions(&material)?)
        .map_err(|error| TlsError::Settings(error.to_string()))?;
    let builder = if settings.client_ca_file.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        material::add_file(&mut roots, "client_ca_file", &settings.client_ca_file)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .map_err(|error| TlsError::Settings(error.to_string()))?;
        builder.with_client_cert_verifier(verifier)
    };
    let certificate = certificates("cert_file", material.certificate)?;
    let key = private_key("key_file", material.key)?;
    let mut config = builder.with_single_cert(certificate, key).map_err(material::pair_error(&material))?;
    config.alpn_protocols = alpn.names();
    Ok(config)
}

/// The client's side. Cloning shares it.
#[derive(Clone)]
pub struct TlsConnector(Arc<Connector>);

struct Connector {
    sessions: Reloading<Sessions>,
    server_name: Option<ServerName<'static>>,
}

/// What connections begin with. The configuration waits for the first one, where it needs the system's
/// authorities.
struct Sessions {
    parts: Parts,
    config: OnceCell<Arc<ClientConfig>>,
}

/// All that a configuration is built from.
struct Parts {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static rustls::SupportedProtocolVersion>,
    roots: RootCertStore,
    system_roots: bool,
    skip_verify: bool,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    alpn: Alpn,
}

impl TlsConnector {
    /// Reads authorities, certificate and key, and does so again as the settings say. The system's authorities
    /// wait for the first connection.
    ///
    /// # Errors
    /// Where a file cannot be read, does not hold what it should, or the parts do not fit together.
    pub fn new(settings: &TlsClientSettings, alpn: Alpn) -> Result<TlsConnector, TlsError> {
        let server_name = match settings.server_name_override.as_str() {
            "" => None,
            name => Some(server_name(name).map_err(|error| TlsError::Settings(error.to_string()))?),
        };
        let watches = vec![settings.material().watch(None)];
        let settings = settings.clone();
        let make = move || {
            let parts = Parts::read(&settings, alpn)?;
            // Shows a pair that does not match now, and not on the first connection.
            parts.build(RootCertStore::empty()).map_err(material::pair_error(&settings.material()))?;
            Ok(Sessions { parts, config: OnceCell::new() })
        };
        Ok(TlsConnector(Arc::new(Connector { sessions: Reloading::new(watches, make)?, server_name })))
    }

    /// Shakes hands with `host`, a name or an address.
    pub(crate) async fn connect(&self, plain: Plain, host: &str) -> io::Result<Socket> {
        let sessions = self.0.sessions.get().await;
        let config = sessions.config.get_or_try_init(|| build(sessions.clone())).await?;
        let name = match &self.0.server_name {
            Some(name) => name.clone(),
            None => server_name(host)?,
        };
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        let large =
            |session: &mut rustls::ClientConnection| session.set_buffer_limit(Some(CLIENT_BUFFER_BYTES));
        let stream = connector.connect_with(name, Ahead::new(plain), large).await?;
        Ok(Socket::Tls(Box::new(stream.into())))
    }
}

async fn build(sessions: Arc<Sessions>) -> io::Result<Arc<ClientConfig>> {
    let build = move || {
        let parts = &sessions.parts;
        let mut roots = parts.roots.clone();
        if parts.system_roots && !parts.skip_verify {
            let system = system_roots();
            roots.extend(system.roots.iter().cloned());
            if roots.is_empty() {
                return Err(io::Error::other(
                    "the system has no certificate authorities; set `ca_file` or install ca-certificates",
                ));
            }
        }
        parts.build(roots).map_err(io::Error::other)
    };
    Ok(Arc::new(crate::compression::off_the_runtime(build).await?))
}

impl Parts {
    fn read(settings: &TlsClientSettings, alpn: Alpn) -> Result<Parts, TlsError> {
        let material = settings.material();
        let mut roots = RootCertStore::empty();
        if material.ca.is_set() {
            material::add_roots(&mut roots, "ca_file", material.ca)?;
        }
        let identity = match material.certificate.is_set() {
            true => Some((
                certificates("cert_file", material.certificate)?,
                private_key("key_file", material.key)?,
            )),
            false => None,
        };
        Ok(Parts {
            provider: choices::provider(&material)?,
            versions: choices::versions(&material)?,
            system_roots: material.include_system_roots || !material.ca.is_set(),
            skip_verify: settings.insecure_skip_verify,
            roots,
            identity,
            alpn,
        })
    }

    fn build(&self, roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&self.versions)?;
        let builder = if self.skip_verify {
            builder.dangerous().with_custom_certificate_verifier(verify::anything(&self.provider))
        } else {
            builder.with_root_certificates(roots)
        };
        let mut config = match &self.identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.names();
        Ok(config)
    }
}

impl Material<'_> {
    /// The files that are looked at again after the interval that is set, if one is; `more` is another of them.
    fn watch(&self, more: Option<&str>) -> Watch {
        let files = [self.ca.file, self.certificate.file, self.key.file].into_iter().chain(more);
        let files = files.filter(|file| !file.is_empty()).map(Into::into).collect();
        Watch { files, interval: self.reload_interval }
    }
}

fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{host:?} is no server name")))
}

/// The system's authorities, read once. Those that cannot be understood are passed over, as others do.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (_, ignored) = roots.add_parsable_certificates(found.certs);
        if ignored > 0 || !found.errors.is_empty() {
            tracing::debug!(ignored, errors = ?found.errors, "some system certificates were passed over");
        }
        roots
    })
}

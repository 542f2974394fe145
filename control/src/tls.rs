//! Listeners with TLS of their own, and where requests come from.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use phoenix_transport::settings::TlsServerSettings;
use phoenix_transport::tls::{Alpn, TlsAcceptor};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;

use crate::error::{Error, Result};

/// Handshakes that go on at the same time; further connections wait in the kernel.
const HANDSHAKES: usize = 256;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After an error of the listener itself, for example too many open files.
const REST: Duration = Duration::from_millis(100);
/// How often the files are looked at, with a handshake: certificates are renewed without a restart.
const RELOAD_SECONDS: u32 = 60;

/// Certificate and key of the listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file of the certificate, with those that sign it behind it.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// PEM file of the authorities of agents' certificates; set, every agent must show one.
    pub agent_ca: Option<PathBuf>,
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl TlsFiles {
    /// What the API's listener takes connections with; for agents `with_clients`.
    pub(crate) fn acceptor(&self, with_clients: bool) -> Result<TlsAcceptor> {
        let settings = TlsServerSettings {
            cert_file: text(&self.certificate),
            key_file: text(&self.key),
            client_ca_file: self.agent_ca.as_deref().filter(|_| with_clients).map(text).unwrap_or_default(),
            client_ca_file_reload: true,
            reload_interval: phoenix_config::GoDuration::from_secs(RELOAD_SECONDS),
            ..TlsServerSettings::default()
        };
        TlsAcceptor::new(&settings, Alpn::Http1).map_err(|error| Error::Unavailable(format!("TLS: {error}")))
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

/// Connections whose handshake is done: a slow client holds nobody up.
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    local: SocketAddr,
    accepting: JoinHandle<()>,
}

impl TlsListener {
    pub(crate) fn new(plain: TcpListener, local: SocketAddr, acceptor: TlsAcceptor) -> TlsListener {
        let (done, ready) = mpsc::channel(HANDSHAKES);
        TlsListener { ready, local, accepting: tokio::spawn(accept(plain, acceptor, done)) }
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    plain: TcpListener,
    acceptor: TlsAcceptor,
    done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    while let Ok(turn) = turns.clone().acquire_owned().await {
        let (stream, peer) = match plain.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let (acceptor, done) = (acceptor.clone(), done.clone());
        tokio::spawn(async move {
            let _turn = turn;
            // Answers are small and awaited.
            let _ = stream.set_nodelay(true);
            let shaken =
                async { tokio_rustls::TlsAcceptor::from(acceptor.config().await).accept(stream).await };
            match tokio::time::timeout(PATIENCE, shaken).await {
                // Where the listener is gone, so is the connection.
                Ok(Ok(stream)) => drop(done.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The task that accepts ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

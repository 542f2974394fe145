//! Accepting connections and dealing them to the cores; draining them at the end.
//!
//! One task accepts for each endpoint; each connection becomes a task on the core that has the fewest.
//! Draining stops the accepting, tells every connection to finish what it has begun, and after a
//! deadline cuts the rest off and reports it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use phoenix_component::{Acceptor, Cores, ListenerLease};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, watch};

use crate::metrics::ServerMetrics;
use crate::seats::{AtWork, Seat, Seats, WhenFull};
use crate::socket::{Peer, Plain, Socket};
use crate::tls::TlsAcceptor;

/// Time for a client to finish the TLS handshake.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Rest after the process ran out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Most connections that are taken out of the backlog when the accepting ends: more than the kernel keeps there.
const MOST_BACKLOG: usize = 65_536;
/// Time for connections to end once they were cut off.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// What a connection must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Finish what was begun, take nothing new.
    Draining,
    /// The deadline of the drain is near: idle connections close too.
    Closing,
    /// End at once.
    Aborting,
}

/// How a connection learns of the phase, and how it is counted.
#[derive(Clone)]
pub(crate) struct Drain {
    phase: watch::Receiver<Phase>,
    live: Arc<Live>,
    /// The connection's place, where connections make room for each other.
    seat: Option<Arc<Seat>>,
}

#[derive(Default)]
struct Live {
    connections: AtomicUsize,
    seats: Arc<Seats>,
    requests: AtomicUsize,
    changed: Notify,
}

/// Counts a connection or a request until dropped.
pub(crate) struct LiveGuard {
    live: Arc<Live>,
    request: bool,
    seat: Option<Arc<Seat>>,
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        if let Some(seat) = &self.seat {
            seat.mark();
        }
        if self.request {
            self.live.requests.fetch_sub(1, Relaxed);
        } else if self.live.connections.fetch_sub(1, Relaxed) == 1 {
            self.live.changed.notify_one();
        }
    }
}

impl Drain {
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the phase is `wanted` or a later one.
    pub(crate) fn reaches(&self, wanted: Phase) -> Reached<impl Future<Output = ()> + use<>> {
        let mut phase = self.phase.clone();
        let seen = self.phase.clone();
        // The sender is gone only when the server was dropped: then everything ends.
        let wait = async move { drop(phase.wait_for(|now| *now >= wanted).await) };
        Reached { seen, wait: Box::pin(wait), armed: false }
    }

    pub(crate) fn request(&self) -> LiveGuard {
        self.live.requests.fetch_add(1, Relaxed);
        if let Some(seat) = &self.seat {
            seat.mark();
        }
        LiveGuard { live: self.live.clone(), request: true, seat: self.seat.clone() }
    }

    /// Notes, until dropped, that the server works on a request instead of waiting for the peer.
    pub(crate) fn at_work(&self) -> Option<AtWork> {
        self.seat.as_ref().map(Seat::work)
    }

    fn connection(&self) -> LiveGuard {
        self.live.connections.fetch_add(1, Relaxed);
        LiveGuard { live: self.live.clone(), request: false, seat: None }
    }
}

/// Waits for a phase, and costs one load when it is polled for another reason: a connection polls it with
/// every request. Belongs to one task, whose waker it keeps.
pub(crate) struct Reached<F> {
    seen: watch::Receiver<Phase>,
    wait: Pin<Box<F>>,
    armed: bool,
}

impl<F: Future<Output = ()>> Future for Reached<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.armed && matches!(self.seen.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        self.armed = true;
        self.wait.as_mut().poll(cx)
    }
}

/// What a drain had to cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aborted {
    /// Connections that were still open at the deadline.
    pub connections: usize,
    /// Requests that were still being answered.
    pub requests: usize,
}

/// A server that runs. Dropping it cuts everything off; [`Server::drain`] is the gentle end.
pub struct Server {
    phase: watch::Sender<Phase>,
    drain: Drain,
    local_addr: Option<SocketAddr>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Aborting);
        self.accepting.abort();
    }
}

impl Server {
    /// The address that it listens on; none for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.drain.live.connections.load(Relaxed)
    }

    /// Stops accepting, closes connections that wait for a request, and lets those under way finish for at
    /// most `timeout`: for servers whose clients simply ask again. What a client has sent before is served, also the
    /// beginning of a request.
    pub async fn close(mut self, timeout: Duration) {
        self.phase.send_replace(Phase::Closing);
        let _ = (&mut self.accepting).await;
        let _ = tokio::time::timeout(timeout, self.until_empty()).await;
    }

    /// Stops accepting, lets what was begun finish for at most `timeout`, then cuts off what is left.
    pub async fn drain(mut self, timeout: Duration) -> Aborted {
        let deadline = tokio::time::Instant::now() + timeout;
        self.phase.send_replace(Phase::Draining);
        // The acceptor takes what waits in the backlog, so that nobody who has connected is reset.
        let _ = (&mut self.accepting).await;
        // Idle keep-alive connections close somewhat before the end: until then a request may come.
        let closing = deadline - timeout / 10;
        if tokio::time::timeout_at(closing, self.until_empty()).await.is_ok() {
            return Aborted::default();
        }
        self.phase.send_replace(Phase::Closing);
        if tokio::time::timeout_at(deadline, self.until_empty()).await.is_ok() {
            return Aborted::default();
        }
        let live = &self.drain.live;
        let aborted =
            Aborted { connections: live.connections.load(Relaxed), requests: live.requests.load(Relaxed) };
        self.phase.send_replace(Phase::Aborting);
        let _ = tokio::time::timeout(ABORT_GRACE, self.until_empty()).await;
        aborted
    }

    async fn until_empty(&self) {
        loop {
            let changed = self.drain.live.changed.notified();
            if self.connections() == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// A protocol: what is done with each connection.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// Serves one connection until it ends.
    fn serve(self: Arc<Self>, socket: Socket, peer: Peer, drain: Drain) -> impl Future<Output = ()> + Send;
}

/// What the accepting needs to know.
pub(crate) struct Listen {
    pub(crate) cores: Cores,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Connections open at a time.
    pub(crate) max_connections: usize,
    /// What becomes of those beyond.
    pub(crate) when_full: WhenFull,
    pub(crate) metrics: ServerMetrics,
}

/// Starts to accept on `lease`.
pub(crate) fn start<P: Protocol>(
    lease: &ListenerLease,
    listen: Listen,
    protocol: Arc<P>,
) -> io::Result<Server> {
    let acceptor = lease.acceptor()?;
    let (phase, receiver) = watch::channel(Phase::Serving);
    let drain = Drain { phase: receiver, live: Arc::default(), seat: None };
    let core = listen.cores.iter().next().expect("there is at least one core");
    let accepting = core.spawn(accept_all(acceptor, listen.clone_for_accepting(), protocol, drain.clone()));
    Ok(Server { phase, drain, local_addr: lease.local_addr(), accepting })
}

impl Listen {
    fn clone_for_accepting(&self) -> Arc<Listen> {
        Arc::new(Listen {
            cores: self.cores.clone(),
            tls: self.tls.clone(),
            max_connections: self.max_connections,
            when_full: self.when_full,
            metrics: self.metrics.clone(),
        })
    }
}

enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A socket on its way from one runtime to another.
enum Accepted {
    Tcp(std::net::TcpStream, SocketAddr),
    Unix(std::os::unix::net::UnixStream),
}

impl Bound {
    fn new(acceptor: Acceptor) -> io::Result<Bound> {
        Ok(match acceptor {
            Acceptor::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Bound::Tcp(TcpListener::from_std(listener)?)
            }
            Acceptor::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Bound::Unix(UnixListener::from_std(listener)?)
            }
        })
    }

    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Bound::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Accepted::Tcp(stream.into_std()?, peer)
            }
            Bound::Unix(listener) => Accepted::Unix(listener.accept().await?.0.into_std()?),
        })
    }

    /// Takes whoever has connected by now, so that nobody is reset. The kernel is asked: the runtime may not have heard
    /// of the last of them yet.
    fn take_backlog(self, mut take: impl FnMut(Accepted)) {
        let Ok(listener) = self.into_std() else { return };
        for _ in 0..MOST_BACKLOG {
            match accept_now(&listener) {
                Ok(accepted) => take(accepted),
                Err(error) if is_of_the_peer(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn into_std(self) -> io::Result<Acceptor> {
        Ok(match self {
            Bound::Tcp(listener) => Acceptor::Tcp(listener.into_std()?),
            Bound::Unix(listener) => Acceptor::Unix(listener.into_std()?),
        })
    }
}

/// Accepts who is there, without waiting.
fn accept_now(listener: &Acceptor) -> io::Result<Accepted> {
    Ok(match listener {
        Acceptor::Tcp(listener) => {
            let (stream, peer) = listener.accept()?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Accepted::Tcp(stream, peer)
        }
        Acceptor::Unix(listener) => {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(true)?;
            Accepted::Unix(stream)
        }
    })
}

impl Accepted {
    fn on_this_runtime(self) -> io::Result<(Plain, Peer)> {
        Ok(match self {
            Accepted::Tcp(stream, peer) => (Plain::Tcp(TcpStream::from_std(stream)?), Peer::Tcp(peer)),
            Accepted::Unix(stream) => {
                let stream = UnixStream::from_std(stream)?;
                let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                (Plain::Unix(stream), Peer::Unix { uid })
            }
        })
    }
}

async fn accept_all<P: Protocol>(acceptor: Acceptor, listen: Arc<Listen>, protocol: Arc<P>, drain: Drain) {
    let bound = match Bound::new(acceptor) {
        Ok(bound) => bound,
        Err(error) => {
            tracing::error!(%error, "cannot accept connections");
            return;
        }
    };
    let mut draining = std::pin::pin!(drain.reaches(Phase::Draining));
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = bound.accept() => accepted,
            () = &mut draining => return bound.take_backlog(|accepted| deal(accepted, &listen, &protocol, &drain)),
        };
        match accepted {
            Ok(accepted) => deal(accepted, &listen, &protocol, &drain),
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_REST) => {}
                    () = &mut draining => {
                        return bound.take_backlog(|accepted| deal(accepted, &listen, &protocol, &drain));
                    }
                }
            }
        }
    }
}

/// Errors of a connection that was gone before it was accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}

fn deal<P: Protocol>(accepted: Accepted, listen: &Arc<Listen>, protocol: &Arc<P>, drain: &Drain) {
    let place = match listen.when_full {
        WhenFull::Refuse => {
            (drain.live.connections.load(Relaxed) < listen.max_connections).then_some((None, false))
        }
        WhenFull::Evict => {
            let taken = drain.live.seats.take(listen.max_connections);
            taken.map(|(seated, evicted)| (Some(seated), evicted))
        }
    };
    let Some((seated, evicted)) = place else {
        // Closing at once tells the client sooner than silence.
        listen.metrics.refused("connections");
        return;
    };
    if evicted {
        listen.metrics.refused("evicted");
    }
    listen.metrics.connections.add(1);
    let seat = seated.as_ref().map(|seated| seated.seat.clone());
    let (live, protocol, listen) = (drain.connection(), protocol.clone(), listen.clone());
    let drain = Drain { seat: seat.clone(), ..drain.clone() };
    let cores = listen.cores.clone();
    let core = cores.least_connections();
    let on_core = core.connection();
    core.spawn(async move {
        let _guards = (live, on_core, seated);
        let Ok((plain, peer)) = accepted.on_this_runtime() else { return };
        let serve = async {
            let socket = match &listen.tls {
                None => Socket::Plain(plain),
                Some(tls) => match secure(tls, plain, &drain).await {
                    Ok(socket) => socket,
                    Err(reason) => {
                        listen.metrics.refused("tls");
                        tracing::debug!(%peer, reason, "tls handshake failed");
                        return;
                    }
                },
            };
            let aborted = drain.clone();
            tokio::select! {
                () = protocol.serve(socket, peer, drain) => {}
                () = aborted.reaches(Phase::Aborting) => {}
            }
        };
        match seat {
            None => serve.await,
            Some(seat) => tokio::select! {
                () = serve => {}
                () = seat.is_evicted() => {}
            },
        }
    });
}

async fn secure(tls: &TlsAcceptor, plain: Plain, drain: &Drain) -> Result<Socket, String> {
    let handshake = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(plain));
    tokio::select! {
        outcome = handshake => match outcome {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err("timeout".to_owned()),
        },
        () = drain.reaches(Phase::Aborting) => Err("shutdown".to_owned()),
    }
}

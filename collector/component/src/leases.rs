//! Ports, sockets and directories belong to the engine, which leases them across generations of the
//! graph: a receiver that is rebuilt with other settings gets the same listening socket as the one that
//! still runs, so no connection attempt is ever refused in between.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// The table of what is leased. Clones share it.
#[derive(Clone, Default, Debug)]
pub struct Leases(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    tcp: HashMap<String, Weak<TcpSocket>>,
    unix: HashMap<PathBuf, Weak<UnixSocket>>,
    shared: HashMap<(PathBuf, TypeId), Weak<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table(tcp: {:?}, unix: {:?}, {} paths)", self.tcp, self.unix, self.shared.len())
    }
}

#[derive(Debug)]
struct TcpSocket(TcpListener);

#[derive(Debug)]
struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Which socket it is that stands at the path.
    identity: Option<(u64, u64)>,
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // What somebody else put there meanwhile is theirs; gone already is as good.
        if self.identity.is_some() && self.identity == socket_at(&self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Device and inode of the socket at `path`; none where there is none, or something else.
fn socket_at(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    metadata.file_type().is_socket().then(|| (metadata.dev(), metadata.ino()))
}

/// Whether nobody listens any more on the socket at `path`.
fn is_stale(path: &Path) -> bool {
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    socket_at(path).is_some() && UnixStream::connect(path).is_err_and(refused)
}

/// A listening socket that may be shared with an earlier or a later generation. It is closed when the
/// last of them lets go.
#[derive(Clone, Debug)]
pub struct ListenerLease(Socket);

#[derive(Clone, Debug)]
enum Socket {
    Tcp(Arc<TcpSocket>),
    Unix(Arc<UnixSocket>),
}

/// A socket to accept from: a duplicate of the leased one, in non-blocking mode.
#[derive(Debug)]
pub enum Acceptor {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix domain socket.
    Unix(UnixListener),
}

/// Why a listener could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The text is no `host:port`.
    #[error("cannot resolve {endpoint:?}, which should be host:port")]
    Resolve {
        /// What was asked for.
        endpoint: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else has it, or it is not ours to have.
    #[error("cannot listen on {endpoint}: {}", advice(source))]
    Bind {
        /// What was asked for.
        endpoint: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "the address is in use; stop the process that holds it (`ss -lxtnp` names it) or change `endpoint`"
        }
        std::io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, sockets a directory to write in"
        }
        std::io::ErrorKind::NotFound => "the directory of the socket does not exist",
        std::io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        _ => "the system refuses",
    }
}

impl Leases {
    /// The listener on `endpoint` (`host:port`; an empty host means every interface), bound on first use.
    ///
    /// # Errors
    /// Where the name does not resolve or the address cannot be bound.
    pub fn listen_tcp(&self, endpoint: &str) -> Result<ListenerLease, LeaseError> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = table.tcp.get(endpoint).and_then(Weak::upgrade) {
            return Ok(ListenerLease(Socket::Tcp(socket)));
        }
        let socket = Arc::new(TcpSocket(bind_tcp(endpoint)?));
        // Port 0 means any free port, each time another.
        if !endpoint.ends_with(":0") {
            table.tcp.insert(endpoint.to_owned(), Arc::downgrade(&socket));
        }
        Ok(ListenerLease(Socket::Tcp(socket)))
    }

    /// The listener on the Unix socket at `path`, bound on first use, with the permissions that the process's
    /// mask leaves. A socket there on which nobody listens is replaced; any other file stays.
    ///
    /// # Errors
    /// Where it cannot be bound, or a process listens on it.
    pub fn listen_unix(&self, path: &Path) -> Result<ListenerLease, LeaseError> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = table.unix.get(path).and_then(Weak::upgrade) {
            return Ok(ListenerLease(Socket::Unix(socket)));
        }
        let refused = |source| LeaseError::Bind { endpoint: path.display().to_string(), source };
        if is_stale(path) {
            std::fs::remove_file(path).map_err(refused)?;
        }
        let listener = UnixListener::bind(path).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let identity = socket_at(path);
        let socket = Arc::new(UnixSocket { listener, path: path.to_owned(), identity });
        table.unix.insert(path.to_owned(), Arc::downgrade(&socket));
        Ok(ListenerLease(Socket::Unix(socket)))
    }

    /// What a path belongs to, for example a file that is written: whoever asks for the same path and type
    /// gets the same, made on first use and given up with the last of them. `make` must not block.
    pub fn share<T: Any + Send + Sync>(&self, path: &Path, make: impl FnOnce() -> T) -> Arc<T> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (path.to_owned(), TypeId::of::<T>());
        let found = table.shared.get(&key).and_then(Weak::upgrade);
        if let Some(shared) = found.and_then(|shared| shared.downcast().ok()) {
            return shared;
        }
        table.shared.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(make());
        let weak: Weak<T> = Arc::downgrade(&shared);
        table.shared.insert(key, weak);
        shared
    }
}

fn bind_tcp(endpoint: &str) -> Result<TcpListener, LeaseError> {
    let resolve = |source| LeaseError::Resolve { endpoint: endpoint.to_owned(), source };
    let refused = |source| LeaseError::Bind { endpoint: endpoint.to_owned(), source };
    let host_and_port = match endpoint.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => endpoint.to_owned(),
    };
    let mut outcome = Err(resolve(std::io::ErrorKind::NotFound.into()));
    for address in host_and_port.to_socket_addrs().map_err(resolve)? {
        match bind_address(address) {
            Ok(listener) => return Ok(listener),
            // The first address is the one that people mean.
            Err(source) if outcome.is_err() => outcome = Err(refused(source)),
            Err(_) => {}
        }
    }
    // Machines without IPv6 still have every interface of IPv4.
    match endpoint.strip_prefix(':') {
        Some(port) => bind_tcp(&format!("0.0.0.0:{port}")),
        None => outcome,
    }
}

fn bind_address(address: SocketAddr) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl ListenerLease {
    /// A socket to accept from.
    ///
    /// # Errors
    /// Where the process has no file descriptor left.
    pub fn acceptor(&self) -> std::io::Result<Acceptor> {
        match &self.0 {
            Socket::Tcp(socket) => socket.0.try_clone().map(Acceptor::Tcp),
            Socket::Unix(socket) => socket.listener.try_clone().map(Acceptor::Unix),
        }
    }

    /// The address that it listens on; none for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Socket::Tcp(socket) => socket.0.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_share_a_socket_until_the_last_lets_go() {
        let leases = Leases::default();
        let free = leases.listen_tcp("127.0.0.1:0").expect("bound").local_addr().expect("tcp").to_string();
        let first = leases.listen_tcp(&free).expect("bound");
        let second = leases.listen_tcp(&free).expect("shared");
        assert!(Leases::default().listen_tcp(&free).is_err(), "another table has no claim to it");
        drop(first);
        std::net::TcpStream::connect(&free).expect("still listening");
        drop(second);
        assert!(std::net::TcpStream::connect(&free).is_err(), "closed with the last lease");
    }

    #[test]
    fn what_belongs_to_a_path_is_shared_until_the_last_lets_go() {
        let leases = Leases::default();
        let first = leases.share(Path::new("/a"), || 1);
        let second = leases.share(Path::new("/a"), || 2);
        assert_eq!((*second, *leases.share(Path::new("/b"), || 3)), (1, 3));
        assert_eq!(*leases.share(Path::new("/a"), || "another type"), "another type");
        drop((first, second));
        assert_eq!(*leases.share(Path::new("/a"), || 4), 4);
    }

    #[test]
    fn an_address_in_use_says_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
        let endpoint = taken.local_addr().expect("bound").to_string();
        let message = Leases::default().listen_tcp(&endpoint).expect_err("taken").to_string();
        assert!(message.contains(&endpoint) && message.contains("in use"), "{message}");
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let path = std::env::temp_dir().join(format!("phoenix-lease-{}.sock", std::process::id()));
        drop(UnixListener::bind(&path).expect("bound"));
        let lease = Leases::default().listen_unix(&path).expect("stale file replaced");
        assert!(Leases::default().listen_unix(&path).is_err(), "somebody listens");
        drop(lease);
        assert!(!path.exists());
        std::fs::write(&path, "not a socket").expect("written");
        let message = Leases::default().listen_unix(&path).expect_err("in the way").to_string();
        assert!(message.contains("in use") && path.exists(), "{message}");
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn a_socket_that_somebody_else_put_in_place_is_left_alone() {
        let path = std::env::temp_dir().join(format!("phoenix-lease-other-{}.sock", std::process::id()));
        let lease = Leases::default().listen_unix(&path).expect("bound");
        std::fs::remove_file(&path).expect("removed");
        let _other = UnixListener::bind(&path).expect("bound");
        drop(lease);
        assert!(path.exists());
        std::fs::remove_file(&path).expect("removed");
    }
}

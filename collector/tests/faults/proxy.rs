//! A network of which one can say how it breaks: passes connections on, until it is told otherwise.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// What becomes of connections, those that are there included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing goes either way.
    Hang,
    /// Every piece takes so long.
    Slow(Duration),
    /// They end with a reset, whatever comes.
    Reset,
    /// They end, and nobody listens.
    Refuse,
    /// The server's half ends; what the client sends is read and lost.
    HalfClose,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
}

impl Proxy {
    /// Listens at `address` (any port where that is 0) and passes on to `target`, until it is dropped.
    pub(crate) async fn start(address: SocketAddr, target: SocketAddr) -> Proxy {
        let listener = listen(address);
        let address = listener.local_addr().expect("bound");
        let (fault, faults) = watch::channel(Fault::None);
        tokio::spawn(serve(Some(listener), address, target, faults));
        Proxy { address, fault }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("set");
    socket.bind(address).expect("bound");
    socket.listen(1024).expect("listens")
}

async fn serve(
    mut listener: Option<TcpListener>,
    address: SocketAddr,
    target: SocketAddr,
    mut faults: watch::Receiver<Fault>,
) {
    loop {
        let fault = *faults.borrow_and_update();
        if fault == Fault::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = Some(listen(address));
        }
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The proxy is gone.
            changed = faults.changed() => if changed.is_err() { return },
            accepted = accept => if let Ok((client, _)) = accepted {
                tokio::spawn(carry(client, target, faults.clone()));
            },
        }
    }
}

/// Carries one connection. None at its end.
async fn carry(mut client: TcpStream, target: SocketAddr, mut faults: watch::Receiver<Fault>) -> Option<()> {
    let mut server = TcpStream::connect(target).await.ok()?;
    let (mut out, mut back) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut is_half_closed = false;
    loop {
        let fault = *faults.borrow_and_update();
        match fault {
            Fault::Reset => {
                client.set_zero_linger().ok()?;
                return None;
            }
            Fault::Refuse => return None,
            Fault::Hang => {
                faults.changed().await.ok()?;
                continue;
            }
            Fault::HalfClose if !is_half_closed => {
                client.shutdown().await.ok()?;
                is_half_closed = true;
            }
            _ => {}
        }
        if is_half_closed {
            if client.read(&mut out).await.ok()? == 0 {
                return None;
            }
            continue;
        }
        let delay = if let Fault::Slow(delay) = fault { delay } else { Duration::ZERO };
        tokio::select! {
            changed = faults.changed() => changed.ok()?,
            read = client.read(&mut out) => {
                let read = read.ok().filter(|read| *read > 0)?;
                tokio::time::sleep(delay).await;
                server.write_all(&out[..read]).await.ok()?;
            }
            read = server.read(&mut back) => {
                let read = read.ok().filter(|read| *read > 0)?;
                tokio::time::sleep(delay).await;
                client.write_all(&back[..read]).await.ok()?;
            }
        }
    }
}

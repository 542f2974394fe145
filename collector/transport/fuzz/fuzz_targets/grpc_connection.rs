//! Any bytes behind the preface of HTTP/2: the server answers or hangs up, no handler sees what is no message, and
//! nothing stays charged.
#![no_main]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use phoenix_component::{Budget, CoreThreads, Cores, Leases, ListenerLease};
use phoenix_transport::grpc::Status;
use phoenix_transport::grpc::server::{self, Call, Options, UnaryService};
use phoenix_transport::{Server, ServerMetrics};

struct Echo;

impl UnaryService for Echo {
    type Method = ();

    fn resolve(&self, path: &str) -> Option<()> {
        path.starts_with('/').then_some(())
    }

    async fn call(&self, (): (), call: Call) -> Result<Bytes, Status> {
        Ok(call.message)
    }
}

struct Running {
    address: SocketAddr,
    budget: Budget,
    metrics: ServerMetrics,
    _kept: (ListenerLease, Server, CoreThreads),
}

static RUNNING: LazyLock<Running> = LazyLock::new(|| {
    let (cores, threads) = Cores::start(1).expect("a thread");
    let lease = Leases::default().listen_tcp("127.0.0.1:0").expect("a port");
    let (budget, metrics) = (Budget::new(64 << 20), ServerMetrics::detached());
    let server = server::start(&lease, None, Echo, Options::default(), &cores, &budget, metrics.clone());
    let address = lease.local_addr().expect("TCP");
    Running { address, budget, metrics, _kept: (lease, server.expect("started"), threads) }
});

fuzz_target!(|data: &[u8]| {
    let running = &*RUNNING;
    let mut stream = TcpStream::connect(running.address).expect("somebody accepts");
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
    let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").and_then(|()| stream.write_all(data));
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
    drop(stream);
    assert_eq!(running.metrics.refusals("panic"), 0);
    assert!(running.budget.used() <= 64 << 20);
});

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::backend::Backend;
use crate::binary::{CommandLine, Running, collector, free_port, shell};
use crate::books;
use crate::proxy::{Fault, Proxy};
use crate::scene::{Load, closes, telemetry};
use crate::setting;

/// Several backends, each behind a network of its own, and a collector in front.
struct Fleet {
    backends: Vec<Backend>,
    proxies: Vec<Proxy>,
    port: u16,
    folder: TempDir,
    next: Arc<AtomicU64>,
    /// Where own metrics are.
    metrics: u16,
    /// Changes of the configuration so far.
    swaps: AtomicU64,
}

const FAULTS: [Fault; 5] =
    [Fault::Hang, Fault::Slow(Duration::from_millis(5)), Fault::Reset, Fault::Refuse, Fault::HalfClose];

/// Nothing is given up, and a backend that hangs is found out soon. What waits in the end is little enough for a slow machine:
/// who sends more hears that the queue is full, and comes again.
const SENDING: &str = "
      timeout: 400ms
      compression: none
      tls: {insecure: true}
      retry_on_failure: {initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 0s}
      sending_queue:
        sizer: bytes
        queue_size: 10000000
        batch: {flush_timeout: 20ms, min_size: 100, max_size: 400}";

impl Fleet {
    /// At these addresses; at ports that are free where theirs is 0.
    async fn new(addresses: &[SocketAddr]) -> Fleet {
        let (mut backends, mut proxies) = (Vec::new(), Vec::new());
        for address in addresses {
            let backend = Backend::start().await;
            proxies.push(Proxy::start(*address, backend.address()).await);
            backends.push(backend);
        }
        let folder = TempDir::new().expect("a folder");
        let (port, metrics) = (free_port(), free_port());
        Fleet { backends, proxies, port, folder, next: Arc::default(), metrics, swaps: AtomicU64::new(0) }
    }

    async fn of(count: usize) -> Fleet {
        Fleet::new(&vec![SocketAddr::from(([127, 0, 0, 1], 0)); count]).await
    }

    fn write(&self, exporter: &str) -> PathBuf {
        let path = self.folder.path().join("config.yaml");
        let text = format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}'}}}}}}}}
exporters:
{exporter}
service:
  {}
  pipelines:
    traces: {{receivers: [otlp], exporters: [under_test]}}
",
            self.port,
            telemetry(self.metrics)
        )
        .replace(
            "under_test]",
            if exporter.contains("load_balancing") { "load_balancing]" } else { "otlp_grpc]" },
        );
        let beside = path.with_extension("new");
        std::fs::write(&beside, text).expect("written");
        std::fs::rename(beside, &path).expect("renamed");
        path
    }

    /// Settings of the exporter: others after each change.
    fn sending(&self) -> String {
        let turn = self.swaps.load(Ordering::Relaxed) % 10;
        SENDING.replace("timeout: 400ms", &format!("timeout: {}ms", 400 + turn))
    }

    /// Changes the exporter of a collector that runs, as `write` writes it.
    fn swap(&self, collector: &Running, write: impl FnOnce(&Fleet) -> PathBuf) {
        let turn = self.swaps.fetch_add(1, Ordering::Relaxed) as usize;
        write(self);
        collector.signal("HUP");
        collector.wait_for_log_count("configuration applied", turn + 1);
    }

    /// The first so many backends behind `load_balancing`.
    fn balanced(&self, count: usize) -> PathBuf {
        let names: Vec<String> =
            self.proxies[..count].iter().map(|proxy| format!("'{}'", proxy.address())).collect();
        let resolver = format!("static: {{hostnames: [{}]}}", names.join(", "));
        self.resolved(&resolver)
    }

    fn resolved(&self, resolver: &str) -> PathBuf {
        let sending = self.sending().replace("\n      ", "\n        ");
        self.write(&format!(
            "  load_balancing:\n    resolver:\n      {resolver}\n    protocol:\n      otlp:{sending}"
        ))
    }

    /// The first backend behind `otlp_grpc`.
    fn single(&self) -> PathBuf {
        let sending = self.sending().replace("\n      ", "\n    ");
        self.write(&format!("  otlp_grpc:\n    endpoint: '{}'{sending}", self.proxies[0].address()))
    }

    fn command(path: &std::path::Path) -> CommandLine {
        collector().arg(format!("--config={}", path.display()))
    }

    fn load(&self, clients: usize) -> Load {
        Load::start(self.port, clients, &self.next)
    }

    fn heal(&self) {
        self.proxies.iter().for_each(|proxy| proxy.set(Fault::None));
    }

    /// The accounting over all backends.
    async fn closes(&self, accepted: BTreeSet<u64>) {
        let came = || {
            let mut all: HashMap<u64, u32> = HashMap::new();
            for (span, count) in self.backends.iter().flat_map(Backend::spans) {
                *all.entry(span).or_default() += count;
            }
            all
        };
        closes(came, accepted, self.next.load(Ordering::Relaxed)).await;
        books::close(self.metrics);
    }
}

/// How a client of HTTP/2 begins, with settings that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Files that this process may have open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1_024)
}

/// Whether the peer has ended a connection; what it has sent is passed over.
fn is_closed(connection: &tokio::net::TcpStream) -> bool {
    let mut bytes = [0; 1_024];
    loop {
        match connection.try_read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

async fn millis(count: u64) {
    tokio::time::sleep(Duration::from_millis(count)).await;
}

/// How often everything is done: once in the short form.
fn rounds() -> u64 {
    setting("FAULTS_ROUNDS", 1).div_ceil(20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_behind_each_fault() {
    let fleet = Fleet::of(1).await;
    let collector = Fleet::command(&fleet.single()).start_with_metrics();
    let load = fleet.load(4);
    for fault in (0..rounds()).flat_map(|_| FAULTS) {
        fleet.proxies[0].set(fault);
        millis(150).await;
        fleet.swap(&collector, Fleet::single);
        millis(150).await;
        fleet.heal();
        millis(200).await;
    }
    let accepted = load.stop().await;
    fleet.closes(accepted).await;
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_backend_of_several_behind_each_fault() {
    let fleet = Fleet::of(3).await;
    let collector = Fleet::command(&fleet.balanced(3)).start_with_metrics();
    let load = fleet.load(8);
    for (index, fault) in (0..rounds()).flat_map(|_| FAULTS).enumerate() {
        fleet.proxies[index % 3].set(fault);
        millis(250).await;
        fleet.heal();
        millis(50).await;
    }
    let accepted = load.stop().await;
    fleet.closes(accepted).await;
    assert!(fleet.backends.iter().all(|backend| !backend.spans().is_empty()), "each had a share");
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_flap_while_the_configuration_changes() {
    let fleet = Fleet::of(4).await;
    let collector = Fleet::command(&fleet.balanced(4)).start_with_metrics();
    let load = fleet.load(8);
    for round in 0..12 * rounds() as usize {
        let fault = FAULTS[round % FAULTS.len()];
        for step in 0..6 {
            fleet.proxies[(round + step) % 4].set(if step % 2 == 0 { fault } else { Fault::None });
            millis(20).await;
        }
        if round % 3 == 0 {
            // A backend leaves, or comes back.
            fleet.swap(&collector, |fleet| fleet.balanced(if round % 2 == 0 { 3 } else { 4 }));
        }
    }
    fleet.heal();
    let accepted = load.stop().await;
    fleet.closes(accepted).await;
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_backends_at_once_and_back() {
    let fleet = Fleet::of(3).await;
    let collector = Fleet::command(&fleet.balanced(3)).start_with_metrics();
    let load = fleet.load(4);
    for fault in (0..rounds()).flat_map(|_| [Fault::Refuse, Fault::Hang, Fault::Reset]) {
        fleet.proxies.iter().for_each(|proxy| proxy.set(fault));
        millis(200).await;
        fleet.swap(&collector, |fleet| fleet.balanced(3));
        millis(200).await;
        fleet.heal();
        millis(100).await;
    }
    let accepted = load.stop().await;
    fleet.closes(accepted).await;
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_whose_addresses_change() {
    let port = free_port();
    let addresses = [2, 3, 4].map(|last| SocketAddr::from(([127, 0, 0, last], port)));
    let fleet = Fleet::new(&addresses).await;
    let hosts = fleet.folder.path().join("hosts");
    let resolves_to = |lasts: &[u8]| {
        let lines: String = lasts.iter().map(|last| format!("127.0.0.{last} second-tier.test\n")).collect();
        // In place: the mount is of the file.
        std::fs::write(&hosts, lines).expect("written");
    };
    resolves_to(&[2, 3]);
    let resolver = format!("dns: {{hostname: second-tier.test, port: '{port}', interval: 50ms}}");
    let path = fleet.resolved(&resolver);
    let mount = format!("mount --bind '{}' /etc/hosts", hosts.display());
    if shell(&format!("unshare --map-root-user --mount sh -c \"{mount}\"")).finish().code != 0 {
        return eprintln!("skipped: no file may be mounted here");
    }
    let line = format!(
        "exec unshare --map-root-user --mount sh -c \"{mount} && exec phoenix-collector \\\"\\$@\\\"\" sh \"$@\""
    );
    let collector = shell(&line).arg(format!("--config={}", path.display())).start_with_metrics();
    let load = fleet.load(4);
    millis(300).await;
    for lasts in (0..rounds()).flat_map(|_| [&[2, 3, 4][..], &[4], &[3, 4], &[2]]) {
        resolves_to(lasts);
        millis(125).await;
        // Another exporter begins with the names as they are now.
        fleet.swap(&collector, |fleet| fleet.resolved(&resolver));
        millis(125).await;
    }
    let accepted = load.stop().await;
    fleet.closes(accepted).await;
    assert!(fleet.backends.iter().all(|backend| !backend.spans().is_empty()), "each had its time");
    assert_eq!(collector.terminate(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_connections_that_rest_and_a_thousand_that_do_not() {
    let wanted = if setting("FAULTS_ROUNDS", 1) < 100 { (500, 50) } else { (10_000, 1_000) };
    // Each takes one of this process's, which other tests need as well.
    let most = open_files().saturating_sub(1_000);
    let (rest, busy) = (wanted.0.min(most * 9 / 10), wanted.1.min(most / 10));
    if (rest, busy) != wanted {
        eprintln!("{rest} and {busy} connections, for more there are too few file descriptors");
    }
    let fleet = Fleet::of(2).await;
    let path = fleet.balanced(2);
    let collector = shell("ulimit -n \"$(ulimit -H -n)\" && exec phoenix-collector \"$@\"")
        .arg(format!("--config={}", path.display()))
        .start_with_metrics();
    let mut resting = Vec::new();
    while resting.len() < rest {
        match tokio::net::TcpStream::connect(("127.0.0.1", fleet.port)).await {
            Ok(mut connection) => {
                // HTTP/2, and then nothing.
                connection.write_all(PREFACE).await.expect("taken");
                resting.push(connection);
            }
            Err(error) => panic!("after {} connections: {error} (ulimit -n?)", resting.len()),
        }
    }
    let load = fleet.load(busy);
    load.accepted(busy as u64).await;
    fleet.proxies[0].set(Fault::Hang);
    millis(1_000).await;
    // A backend leaves in the middle of it: no connection does.
    fleet.swap(&collector, |fleet| fleet.balanced(1));
    fleet.heal();
    load.accepted(busy as u64 * 3).await;
    let closed = resting.iter().filter(|connection| is_closed(connection)).count();
    assert_eq!(closed, 0, "of {rest} connections that rest");
    let accepted = load.stop().await;
    fleet.closes(accepted).await;
    drop(resting);
    assert_eq!(collector.terminate(), 0);
}

//! A collector with a queue on disk between a load and a backend, and the accounting at the end.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::backend::Backend;
use crate::binary::{CommandLine, Running, collector, free_port};
use crate::load::{SPANS, padded_request};

/// Everything around a collector, which may come and go.
pub(crate) struct Scene {
    pub(crate) backend: Backend,
    pub(crate) port: u16,
    /// Where own metrics are.
    pub(crate) metrics: u16,
    folder: TempDir,
    /// Where the queue is.
    pub(crate) queue: PathBuf,
    storage: String,
    sending: String,
    next: Arc<AtomicU64>,
    /// Changes of the configuration so far.
    swaps: AtomicU64,
}

/// Keys of `sending_queue` and `retry_on_failure` that are the same everywhere: nothing is given up.
const PATIENT: &str = "initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 0s";

impl Scene {
    /// With these further keys of `file_storage` and of `sending_queue`, each with a comma behind it; the queue has a gigabyte
    /// unless they say how large it is.
    pub(crate) async fn new(storage: &str, sending: &str) -> Scene {
        let folder = TempDir::new().expect("a folder");
        let queue = folder.path().join("queue");
        Scene {
            backend: Backend::start().await,
            port: free_port(),
            metrics: free_port(),
            folder,
            queue,
            storage: storage.into(),
            sending: match sending.contains("queue_size") {
                true => sending.into(),
                false => format!("{sending} sizer: bytes, queue_size: 1000000000,"),
            },
            next: Arc::default(),
            swaps: AtomicU64::new(0),
        }
    }

    /// See [`telemetry`].
    pub(crate) fn telemetry(&self) -> String {
        telemetry(self.metrics)
    }

    /// Puts a configuration in place of the one that is there, if any.
    pub(crate) fn write(&self, text: &str) -> PathBuf {
        let (path, beside) = (self.folder.path().join("config.yaml"), self.folder.path().join("beside"));
        std::fs::write(&beside, text).expect("written");
        std::fs::rename(beside, &path).expect("renamed");
        path
    }

    /// Writes the configuration, with further keys of the exporter.
    pub(crate) fn configure(&self, exporter: &str) -> PathBuf {
        self.write(&format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}'}}}}}}}}
extensions:
  file_storage: {{{} directory: '{}', create_directory: true}}
exporters:
  otlp:
    endpoint: '{}'
    tls: {{insecure: true}}
    compression: none
    {exporter}
    sending_queue: {{{} storage: file_storage}}
    retry_on_failure: {{{PATIENT}}}
service:
  {}
  extensions: [file_storage]
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp]}}
",
            self.port,
            self.storage,
            self.queue.display(),
            self.backend.address(),
            self.sending,
            self.telemetry(),
        ))
    }

    /// Changes the exporter of a collector that runs; its queue is handed over.
    pub(crate) fn swap(&self, collector: &Running) {
        let turn = self.swaps.fetch_add(1, Ordering::Relaxed);
        self.configure(&format!("timeout: {}ms", 2_001 + turn % 10));
        collector.signal("HUP");
    }

    /// The command line of the collector.
    pub(crate) fn command(&self) -> CommandLine {
        let path = self.configure("timeout: 2s");
        collector().arg(format!("--config={}", path.display()))
    }

    /// Starts the collector; dropped, it is killed with SIGKILL.
    pub(crate) fn start(&self) -> Running {
        self.command().start_with_metrics()
    }

    /// Sends from so many clients, each request again and again until it is accepted.
    pub(crate) fn load(&self, clients: usize) -> Load {
        Load::start(self.port, clients, &self.next)
    }

    /// The same with so many bytes more in each request.
    pub(crate) fn padded_load(&self, clients: usize, padding: usize) -> Load {
        Load::padded(self.port, clients, &self.next, padding)
    }

    /// The accounting, see [`closes`]; the collector is another one after each kill, so it is that of client and backend.
    pub(crate) async fn closes(&self, accepted: BTreeSet<u64>) {
        closes(|| self.backend.spans(), accepted, self.next.load(Ordering::Relaxed)).await;
    }

    /// The segments of the queue, in order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        files(&self.queue.join("exporter_otlp__traces.queue"), ".log")
    }
}

/// What a configuration says under `service`: where the books can be read, and that every line of the log is there.
pub(crate) fn telemetry(metrics: u16) -> String {
    let reader = format!("pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}");
    format!("telemetry: {{metrics: {{readers: [{{{reader}}}]}}, logs: {{sampling: {{enabled: false}}}}}}")
}

/// How long nothing may come of what is waited for. Machines differ in how fast it comes, not in that it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// The accounting: waits until everything that was accepted has come, and looks at what else did, of so many requests.
pub(crate) async fn closes(came: impl Fn() -> HashMap<u64, u32>, accepted: BTreeSet<u64>, requests: u64) {
    assert!(accepted.len() > 20, "the load ran: {}", accepted.len());
    let spans: Vec<u64> = accepted.iter().flat_map(|number| spans_of(*number)).collect();
    let (mut least, mut since) = (usize::MAX, Instant::now());
    loop {
        let looked = Instant::now();
        let came = came();
        let missing = spans.iter().filter(|span| !came.contains_key(span)).count();
        if missing == 0 {
            let sent = requests * SPANS;
            assert!(came.keys().all(|span| (1..=sent).contains(span)), "a span that nobody sent");
            let again: u32 = came.values().map(|count| count - 1).sum();
            return eprintln!("{} spans accepted, {} came, {again} of them again", spans.len(), came.len());
        }
        if missing < least {
            (least, since) = (missing, Instant::now());
        }
        let waited = since.elapsed();
        assert!(waited < PATIENCE, "{missing} of {} spans were accepted and did not come", spans.len());
        // A look at many spans takes time and keeps the backend waiting: a tenth of the time goes for that.
        tokio::time::sleep((10 * looked.elapsed()).max(Duration::from_millis(20))).await;
    }
}

/// Files in a folder that end like this, sorted.
pub(crate) fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
    let mut files: Vec<PathBuf> = entries.unwrap_or_default().iter().map(std::fs::DirEntry::path).collect();
    files.retain(|path| path.to_string_lossy().ends_with(end));
    files.sort();
    files
}

/// The identifiers in the request of that number.
pub(crate) fn spans_of(number: u64) -> impl Iterator<Item = u64> {
    (0..SPANS).map(move |index| number * SPANS + index + 1)
}

/// Clients that send.
pub(crate) struct Load {
    stop: CancellationToken,
    clients: Vec<JoinHandle<BTreeSet<u64>>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    /// Sends from so many clients to a port of this machine, the requests of the numbers from `next` on.
    pub(crate) fn start(port: u16, clients: usize, next: &Arc<AtomicU64>) -> Load {
        Load::padded(port, clients, next, 0)
    }

    fn padded(port: u16, clients: usize, next: &Arc<AtomicU64>, padding: usize) -> Load {
        let (stop, counts) = (CancellationToken::new(), Arc::new(Counts::default()));
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = || client(endpoint.clone(), next.clone(), padding, counts.clone(), stop.clone());
        let clients = (0..clients).map(|_| tokio::spawn(client())).collect();
        Load { stop, clients, counts }
    }

    /// How often the collector refused so far.
    pub(crate) fn refusals(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }

    /// How many requests the collector accepted so far.
    pub(crate) fn count(&self) -> u64 {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// Waits until the collector has refused so often.
    pub(crate) async fn refused(&self, count: u64) {
        reaches(&self.counts.refused, count, "refusals").await;
    }

    /// Waits until the collector has accepted so many requests.
    pub(crate) async fn accepted(&self, count: u64) {
        reaches(&self.counts.accepted, count, "requests accepted").await;
    }

    /// Ends it; the numbers of the requests that were accepted.
    pub(crate) async fn stop(self) -> BTreeSet<u64> {
        self.stop.cancel();
        let mut accepted = BTreeSet::new();
        for client in self.clients {
            accepted.extend(client.await.expect("no panic"));
        }
        accepted
    }
}

async fn reaches(counter: &AtomicU64, count: u64, what: &str) {
    let (mut most, mut since) = (0, Instant::now());
    loop {
        let now = counter.load(Ordering::Relaxed);
        if now >= count {
            return;
        }
        if now > most {
            (most, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "only {now} {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn client(
    endpoint: String,
    next: Arc<AtomicU64>,
    padding: usize,
    counts: Arc<Counts>,
    stop: CancellationToken,
) -> BTreeSet<u64> {
    let channel = tonic::transport::Endpoint::from_shared(endpoint).expect("an endpoint").connect_lazy();
    let mut client = TraceServiceClient::new(channel);
    let mut accepted = BTreeSet::new();
    while !stop.is_cancelled() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        while !stop.is_cancelled() {
            match client.export(padded_request(number, padding)).await {
                Ok(_) => {
                    accepted.insert(number);
                    counts.accepted.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(status) => {
                    let is_answer = std::error::Error::source(&status).is_none();
                    let may_repeat = matches!(status.code(), Code::Unavailable | Code::ResourceExhausted);
                    assert!(!is_answer || may_repeat, "a refusal that is final: {status}");
                    counts.refused.fetch_add(u64::from(is_answer), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }
    accepted
}

//! The accounting equation over real components and a real backend: what was accepted arrived, or is in
//! the books by reason; nothing twice.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Behaviour};
use crate::binary::free_port;
use crate::inside::Inside;
use crate::load::{self, Outcome};

/// Pipelines to hold the equation over, by name.
const PIPELINES: [(&str, &str, &str); 6] = [
    ("pass-through", "[]", "{enabled: false}"),
    ("queue", "[]", "{queue_size: 5000}"),
    ("batch", "[batch]", "{enabled: false}"),
    ("batch and queue", "[memory_limiter, batch]", "{queue_size: 5000}"),
    ("queue on disk", "[]", "{queue_size: 5000, storage: file_storage}"),
    ("batches of a queue on disk", "[]", "{queue_size: 5000, storage: file_storage, batch: {min_size: 500}}"),
];

/// Those in which a shutdown loses what the backend does not take.
const LOSING: std::ops::Range<usize> = 1..4;

fn configuration(port: u16, backend: &Backend, disk: &Path, processors: &str, queue: &str) -> String {
    format!(
        "
extensions: {{file_storage: {{directory: '{}'}}}}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 4000}}
  batch: {{timeout: 20ms, send_batch_size: 500, send_batch_max_size: 700}}
exporters:
  otlp:
    endpoint: '{}'
    tls: {{insecure: true}}
    compression: none
    timeout: 2s
    sending_queue: {queue}
    retry_on_failure: {{initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 60s}}
service:
  extensions: [file_storage]
  pipelines:
    traces: {{receivers: [otlp], processors: {processors}, exporters: [otlp]}}
",
        disk.display(),
        backend.address()
    )
}

struct Run {
    inside: Inside,
    backend: Backend,
    stop: CancellationToken,
    load: tokio::task::JoinHandle<Outcome>,
    _disk: TempDir,
}

impl Run {
    async fn start(processors: &str, queue: &str, behaviour: Behaviour) -> Run {
        let backend = Backend::start().await;
        backend.behave(behaviour);
        let port = free_port();
        let disk = TempDir::new().expect("a folder");
        let inside = Inside::start(&configuration(port, &backend, disk.path(), processors, queue)).await;
        let stop = CancellationToken::new();
        let load = tokio::spawn(load::run(format!("http://127.0.0.1:{port}"), 8, stop.clone()));
        Run { inside, backend, stop, load, _disk: disk }
    }

    /// Stops the load, waits for what was accepted, and holds the equation.
    async fn finish(self, case: &str) {
        self.stop.cancel();
        let outcome = self.load.await.expect("no panic");
        assert!(outcome.broken.is_empty(), "{case}: {:?}", outcome.broken.first());
        assert!(outcome.accepted.len() > 20, "{case}: the load ran: {}", outcome.accepted.len());
        let accepted = outcome.accepted_spans();
        self.backend.behave(Behaviour::Accept);
        self.backend.wait_for_spans(accepted.len()).await;
        self.inside.balanced_books().await;
        let lost = self.inside.shutdown(Duration::from_secs(10)).await;
        assert_eq!(lost.items, 0, "{case}");
        let came = self.backend.spans();
        let missing = accepted.iter().filter(|id| !came.contains_key(id)).count();
        assert_eq!(missing, 0, "{case}: accepted and not delivered");
        let taken = self.inside.metric("otelcol_receiver_accepted_spans", &[]);
        assert_eq!(taken as usize, accepted.len(), "{case}: the receiver's count");
    }
}

async fn for_a_while() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_load_arrives_exactly_once() {
    for (case, processors, queue) in PIPELINES {
        let run = Run::start(processors, queue, Behaviour::Accept).await;
        for_a_while().await;
        run.stop.cancel();
        for_a_while().await;
        let twice = run.backend.spans().values().filter(|count| **count > 1).count();
        assert_eq!(twice, 0, "{case}");
        run.finish(case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_slow_refuses_or_throttles_costs_nothing_accepted() {
    let troubles = [
        Behaviour::Slow(Duration::from_millis(50)),
        Behaviour::RefuseOneIn(3),
        Behaviour::Throttle(Duration::from_millis(30)),
    ];
    for (case, processors, queue) in PIPELINES {
        let run = Run::start(processors, queue, Behaviour::Accept).await;
        for trouble in troubles {
            run.backend.behave(trouble);
            for_a_while().await;
        }
        run.finish(case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_dies_and_comes_back_costs_nothing_accepted() {
    for (case, processors, queue) in PIPELINES {
        let mut run = Run::start(processors, queue, Behaviour::Accept).await;
        for_a_while().await;
        run.backend.kill().await;
        for_a_while().await;
        run.backend.revive().await;
        for_a_while().await;
        run.finish(case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backend_rejects_is_counted_by_reason() {
    for (case, processors, queue) in PIPELINES {
        let run = Run::start(processors, queue, Behaviour::Reject).await;
        for_a_while().await;
        run.stop.cancel();
        let outcome = run.load.await.expect("no panic");
        assert!(outcome.broken.is_empty(), "{case}: {:?}", outcome.broken.first());
        let books = run.inside.empty_books().await;
        let dropped: i64 = books.iter().map(|book| book.dropped).sum();
        assert_eq!(
            dropped as usize,
            outcome.accepted_spans().len(),
            "{case}: accepted is dropped with a reason"
        );
        assert_eq!(run.backend.spans().len(), 0);
        if processors == "[]" && queue.contains("false") {
            assert!(
                outcome.accepted.is_empty() && !outcome.rejected.is_empty(),
                "{case}: the sender hears it"
            );
        }
        run.inside.shutdown(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_under_load_delivers_what_was_accepted() {
    for (case, processors, queue) in PIPELINES {
        let run = Run::start(processors, queue, Behaviour::Accept).await;
        for_a_while().await;
        let lost = run.inside.shutdown(Duration::from_secs(10)).await;
        run.stop.cancel();
        let outcome = run.load.await.expect("no panic");
        let came = run.backend.spans();
        let missing = outcome.accepted_spans().iter().filter(|id| !came.contains_key(id)).count();
        assert_eq!((missing, lost.items), (0, 0), "{case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_with_a_dead_backend_says_what_is_lost() {
    for (case, processors, queue) in &PIPELINES[LOSING] {
        let mut run = Run::start(processors, queue, Behaviour::Accept).await;
        run.backend.kill().await;
        for_a_while().await;
        run.stop.cancel();
        let held: i64 = run.inside.balanced_books().await.iter().map(|book| book.held).sum();
        let lost = run.inside.shutdown(Duration::from_secs(1)).await;
        let outcome = run.load.await.expect("no panic");
        let came = run.backend.spans();
        let missing = outcome.accepted_spans().iter().filter(|id| !came.contains_key(id)).count();
        assert!(missing > 0 && held > 0, "{case}: something was held");
        assert_eq!(lost.items as usize, missing, "{case}: the report of the shutdown");
    }
}

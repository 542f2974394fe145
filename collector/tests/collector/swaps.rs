//! A thousand changes of the configuration under load: no connection is reset, no item lost or doubled.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::binary::free_port;
use crate::inside::Inside;
use crate::load;

const SWAPS: usize = 1000;

/// The configuration of one step.
struct Graph<'a> {
    /// Always the same backend, and the same port for one of two load generators.
    backend: &'a Backend,
    port: u16,
    /// Alternates between two ports: a receiver that moves.
    moving_port: u16,
    batch_size: u32,
    max_streams: u32,
    /// An exporter that comes and goes; its backend is dead.
    with_dead: bool,
    processors: &'a str,
}

impl Graph<'_> {
    fn yaml(&self) -> String {
        let (dead, exporters) = match self.with_dead {
            true => (DEAD, "[otlp, otlp/dead]"),
            false => ("", "[otlp]"),
        };
        format!(
            "
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}', max_concurrent_streams: {}}}}}}}
  otlp/moving: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}'}}}}}}
processors:
  batch: {{timeout: 10ms, send_batch_size: {}}}
exporters:
  otlp:
    endpoint: '{}'
    tls: {{insecure: true}}
    compression: none
    sending_queue: {{enabled: false}}
{dead}
service:
  pipelines:
    traces: {{receivers: [otlp, otlp/moving], processors: {}, exporters: {exporters}}}
",
            self.port,
            self.max_streams,
            self.moving_port,
            self.batch_size,
            self.backend.address(),
            self.processors,
        )
    }
}

const DEAD: &str = "
  otlp/dead:
    endpoint: '127.0.0.1:1'
    tls: {insecure: true}
    sending_queue: {queue_size: 100000}
    retry_on_failure: {max_elapsed_time: 1s, initial_interval: 100ms, max_interval: 500ms}
";

const INVALID: [&str; 3] = [
    "receivers: {",
    "receivers: {otlp: {protocols: {grpc: {endpoint: 'nowhere'}}}}\nexporters: {nope: {}}\n",
    // In order, and cannot start: the port belongs to somebody.
    "receivers: {otlp/taken: {protocols: {grpc: {endpoint: '127.0.0.1:TAKEN'}}}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [otlp/taken], exporters: [nop]}}}\n",
];

/// Holds what became of state and connections against what the plan said; how many components that were, and
/// what was lost.
async fn as_foretold(swap: &mut phoenix_engine::Applied) -> (usize, Vec<phoenix_component::ComponentLoss>) {
    let patience = Duration::from_secs(30);
    let outcome = swap.draining.done_within(patience).await.expect("the old graph ends");
    let direct = outcome.adoptions.iter().filter(|adoption| !adoption.overtaken);
    for adoption in direct.clone() {
        let mut changed = swap.changes.changed.iter();
        let foretold = changed.find(|change| change.component == adoption.component).expect("it was planned");
        let holds = match adoption.component.kind {
            // Listeners are what those with listeners take over.
            phoenix_config::Kind::Receiver if adoption.component.id.type_name() == "otlp" => {
                foretold.change.closes.is_empty() == (adoption.adoption == phoenix_component::Adoption::Kept)
            }
            _ => foretold.change.state.foretells(&adoption.adoption),
        };
        assert!(holds, "foretold {foretold:?}, and then {adoption:?}");
    }
    (direct.count(), outcome.lost.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_under_load_lose_nothing() {
    let backend = Backend::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let taken_port = taken.local_addr().expect("bound").port().to_string();
    let (port, moving) = (free_port(), [free_port(), free_port()]);
    let graph = |step: usize| Graph {
        backend: &backend,
        port,
        moving_port: moving[(step / 50) % 2],
        batch_size: [512, 100, 2000][(step / 2) % 3],
        max_streams: 100 + (step / 7 % 2) as u32,
        with_dead: step / 5 % 2 == 1,
        processors: ["[batch]", "[batch]", "[]"][step / 11 % 3],
    };
    let inside = Inside::start(&graph(0).yaml()).await;
    let stop = CancellationToken::new();
    let load = tokio::spawn(load::run(format!("http://127.0.0.1:{port}"), 4, stop.clone()));
    let (mut applied, mut invalid, mut changed) = (0, 0, 0);
    let mut foretold = Vec::new();
    for step in 1..=SWAPS {
        if step % 10 == 0 {
            let broken = INVALID[step / 10 % INVALID.len()].replace("TAKEN", &taken_port);
            assert!(inside.apply(&broken).await.is_err(), "it has mistakes");
            invalid += 1;
        }
        let mut swap = inside.apply_as_foretold(&graph(step).yaml()).await;
        applied += 1;
        changed += usize::from(!swap.report.changed.is_empty() || !swap.report.added.is_empty());
        foretold.push(tokio::spawn(async move { as_foretold(&mut swap).await }));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!((applied, invalid), (SWAPS, SWAPS / 10));
    assert!(changed > SWAPS / 4, "most steps change something: {changed}");
    stop.cancel();
    let outcome = load.await.expect("no panic");
    assert!(outcome.broken.is_empty(), "{} broken, the first: {:?}", outcome.broken.len(), outcome.broken[0]);
    assert!(outcome.rejected.is_empty(), "{:?}", outcome.rejected);
    assert!(outcome.accepted.len() > SWAPS, "load ran all along: {}", outcome.accepted.len());
    let accepted = outcome.accepted_spans();
    backend.gets_spans(accepted.len()).await;
    let books = inside.suspicious_books().await;
    let lost = inside.shutdown(Duration::from_secs(20)).await;
    let (mut compared, mut lost_by_swaps) = (0, Vec::new());
    for (step, swap) in foretold.into_iter().enumerate() {
        let (direct, lost) = swap.await.expect("as it was foretold");
        compared += direct;
        lost_by_swaps.extend(lost.into_iter().map(|loss| (step + 1, loss)));
    }
    assert!(compared > SWAPS / 10, "most changes have an outcome: {compared}");
    let came = backend.spans();
    let doubled = came.values().filter(|count| **count > 1).count();
    let missing = accepted.iter().filter(|id| !came.contains_key(id)).count();
    assert_eq!(
        (missing, doubled),
        (0, 0),
        "lost at the end: {lost:?}; by swaps: {lost_by_swaps:?}; books: {books:#?}; clients heard: {:#?}",
        outcome.refusals
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_moves_serves_its_old_connections_to_the_end() {
    let backend = Backend::start().await;
    let ports = [free_port(), free_port()];
    let graph = |step: usize| Graph {
        backend: &backend,
        port: ports[step],
        moving_port: free_port(),
        batch_size: 100,
        max_streams: 100,
        with_dead: false,
        processors: "[]",
    };
    let inside = Inside::start(&graph(0).yaml()).await;
    let stop = CancellationToken::new();
    let load = tokio::spawn(load::run(format!("http://127.0.0.1:{}", ports[0]), 4, stop.clone()));
    backend.wait_for_spans(100).await;
    stop.cancel();
    inside.apply(&graph(1).yaml()).await.map_err(drop).expect("applied");
    let outcome = load.await.expect("no panic");
    assert!(outcome.broken.is_empty(), "{:?}", outcome.broken.first());
    let stop = CancellationToken::new();
    let load = tokio::spawn(load::run(format!("http://127.0.0.1:{}", ports[1]), 1, stop.clone()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.cancel();
    assert!(!load.await.expect("no panic").accepted.is_empty(), "it serves where it moved to");
    inside.shutdown(Duration::from_secs(10)).await;
}

/// Components that hold no queue, whose state is files, or nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_connectors_change_as_foretold() {
    let folder = tempfile::tempdir().expect("made");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let yaml = |receiver: &str, exporter: &str, limit: u32| {
        format!(
            "receivers: {{otlp_json_file: {{poll_interval: 50ms, {receiver}}}}}\n\
             connectors: {{forward: {{}}}}\n\
             exporters: {{file: {{{exporter}}}}}\n\
             extensions: {{memory_limiter: {{check_interval: 1s, limit_mib: {limit}}}}}\n\
             service: {{extensions: [memory_limiter], pipelines: {{\
             traces/in: {{receivers: [otlp_json_file], exporters: [forward]}}, \
             traces/out: {{receivers: [forward], exporters: [file]}}}}}}\n"
        )
    };
    let reads = |name: &str| format!("include: ['{}']", at(name));
    let writes = |name: &str| format!("path: '{}'", at(name));
    let inside = Inside::start(&yaml(&reads("in.json"), &writes("out.json"), 4000)).await;
    // (receiver, exporter, limit, what is lost)
    let steps: [(String, String, u32, &[&str]); 6] = [
        (reads("in.json") + ", start_at: beginning", writes("out.json"), 4000, &[]),
        (reads("other.json"), writes("out.json"), 4000, &["positions in files"]),
        (reads("other.json"), writes("out.json") + ", flush_interval: 5s", 4000, &[]),
        (reads("other.json"), writes("out.json") + ", format: proto", 4000, &["begins anew"]),
        (reads("other.json"), writes("moved.json"), 4000, &[]),
        (reads("other.json"), writes("moved.json"), 3000, &[]),
    ];
    for (receiver, exporter, limit, lost) in steps {
        let mut swap = inside.apply_as_foretold(&yaml(&receiver, &exporter, limit)).await;
        assert_eq!(swap.changes.changed.len(), 1, "{:?}", swap.changes);
        let losses: Vec<_> =
            swap.changes.changed.iter().filter_map(phoenix_component::ComponentChange::loss).collect();
        assert_eq!(losses.len(), lost.len(), "{losses:?}");
        assert!(losses.iter().zip(lost).all(|(loss, text)| loss.contains(*text)), "{losses:?}");
        // Extensions hand nothing over.
        assert_eq!(as_foretold(&mut swap).await.0, usize::from(limit == 4000));
    }
    inside.shutdown(Duration::from_secs(10)).await;
}

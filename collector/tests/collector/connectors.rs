//! Pipelines that feed pipelines: data merges and forks, answers travel back, changes cost nothing.

use std::time::Duration;

use phoenix_config::Kind;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Behaviour};
use crate::binary::free_port;
use crate::inside::Inside;
use crate::load;

/// Two receivers merge into one pipeline by `forward`, which forks again into two with a backend each.
struct Graph<'a> {
    ports: [u16; 2],
    backends: [&'a Backend; 2],
    /// Processors of the two pipelines behind the connector.
    processors: [&'a str; 2],
    batch_size: u32,
}

impl Graph<'_> {
    fn yaml(&self) -> String {
        format!(
            "
receivers:
  otlp/blue: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}'}}}}}}
  otlp/green: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}'}}}}}}
processors:
  batch: {{timeout: 10ms, send_batch_size: {}}}
connectors:
  forward: {{}}
exporters:
  otlp/one: {{endpoint: '{}', tls: {{insecure: true}}, compression: none, sending_queue: {{enabled: false}}}}
  otlp/two: {{endpoint: '{}', tls: {{insecure: true}}, compression: none, sending_queue: {{enabled: false}}}}
service:
  pipelines:
    traces/blue: {{receivers: [otlp/blue], exporters: [forward]}}
    traces/green: {{receivers: [otlp/green], exporters: [forward]}}
    traces/one: {{receivers: [forward], processors: {}, exporters: [otlp/one]}}
    traces/two: {{receivers: [forward], processors: {}, exporters: [otlp/two]}}
",
            self.ports[0],
            self.ports[1],
            self.batch_size,
            self.backends[0].address(),
            self.backends[1].address(),
            self.processors[0],
            self.processors[1],
        )
    }
}

/// Load on both receivers.
fn start_load(ports: [u16; 2], stop: &CancellationToken) -> Vec<tokio::task::JoinHandle<load::Outcome>> {
    let run = |(first, port)| {
        tokio::spawn(load::run_from(first, format!("http://127.0.0.1:{port}"), 2, stop.clone()))
    };
    [0, 1_000_000_000].into_iter().zip(ports).map(run).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forward_merges_and_forks_and_its_books_balance_over_changes() {
    let backends = [Backend::start().await, Backend::start().await];
    let ports = [free_port(), free_port()];
    let graph = |step: usize| Graph {
        ports,
        backends: [&backends[0], &backends[1]],
        processors: [["[]", "[batch]"][step % 2], ["[batch]", "[]"][step / 3 % 2]],
        batch_size: [100, 300][step / 2 % 2],
    };
    let inside = Inside::start(&graph(0).yaml()).await;
    let stop = CancellationToken::new();
    let loads = start_load(ports, &stop);
    for step in 1..60 {
        let report = inside.apply(&graph(step).yaml()).await.map_err(drop).expect("applied");
        let connector = report.kept.iter().find(|key| key.kind == Kind::Connector);
        assert!(connector.is_some(), "step {step}: the connector goes on: {report:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    let mut accepted = Vec::new();
    for load in loads {
        let outcome = load.await.expect("no panic");
        assert!(outcome.broken.is_empty(), "{:?}", outcome.broken.first());
        assert!(!outcome.accepted.is_empty(), "both receivers have load");
        accepted.extend(outcome.accepted_spans());
    }
    for backend in &backends {
        backend.wait_for_spans(accepted.len()).await;
    }
    let books = inside.empty_books().await;
    let book = books.iter().find(|book| book.component.kind == Kind::Connector).expect("it has books");
    assert_eq!((book.accepted, book.passed_on), (accepted.len() as i64, accepted.len() as i64), "{book:?}");
    assert_eq!(inside.shutdown(Duration::from_secs(10)).await.items, 0);
    for backend in &backends {
        let came = backend.spans();
        assert_eq!(accepted.iter().filter(|id| came.get(id) != Some(&1)).count(), 0, "each exactly once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pipeline_behind_forward_answers_travels_back() {
    let backends = [Backend::start().await, Backend::start().await];
    let ports = [free_port(), free_port()];
    let graph =
        Graph { ports, backends: [&backends[0], &backends[1]], processors: ["[]", "[]"], batch_size: 1 };
    let inside = Inside::start(&graph.yaml()).await;
    backends[0].behave(Behaviour::Reject);
    let stop = CancellationToken::new();
    let loads = start_load(ports, &stop);
    backends[1].wait_for_spans(10).await;
    stop.cancel();
    // One of them may have been stopped before it began.
    let mut rejected = 0;
    for load in loads {
        let outcome = load.await.expect("no panic");
        assert!(outcome.broken.is_empty(), "{:?}", outcome.broken.first());
        assert!(outcome.accepted.is_empty(), "the sender hears it");
        rejected += outcome.rejected.len();
    }
    assert!(rejected > 0, "the senders hear it");
    let books = inside.balanced_books().await;
    let book = books.iter().find(|book| book.component.kind == Kind::Connector).expect("it has books");
    assert_eq!(book.accepted, 0, "what was refused is the sender's: {book:?}");
    inside.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_the_readme_starts() {
    let path = crate::binary::repository().join("connectors/forward/README.md");
    let readme = std::fs::read_to_string(path).expect("read");
    let yaml =
        readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let ports = [free_port().to_string(), free_port().to_string()];
    let yaml = yaml.replace("4317", &ports[0]).replace("5317", &ports[1]);
    let inside = Inside::start(&yaml).await;
    assert_eq!(inside.shutdown(Duration::from_secs(5)).await.items, 0);
}

/// Pipelines that lead back to where they come from, through each connector that deals data out.
#[test]
fn connectors_in_a_circle_stop_the_start_and_name_the_way() {
    let config = |connectors: &str, pipelines: &str| {
        format!(
            "receivers: {{nop: {{}}}}\nexporters: {{nop: {{}}}}\nconnectors: {{{connectors}}}\nservice: {{pipelines: {{{pipelines}}}}}\n"
        )
    };
    // (what it is, connectors, pipelines, what the message names)
    let cases = [
        (
            "a level that feeds itself",
            "failover: {priority_levels: [[traces/a], [traces/b]]}",
            "traces/a: {receivers: [nop, failover], exporters: [failover]}, traces/b: {receivers: [failover], exporters: [nop]}",
            &["cycle", "failover", "traces/a"][..],
        ),
        (
            "a lower level that leads back",
            "failover: {priority_levels: [[traces/b], [traces/c]]}, forward: {}",
            "traces/a: {receivers: [nop, forward], exporters: [failover]}, traces/b: {receivers: [failover], exporters: [nop]}, \
             traces/c: {receivers: [failover], exporters: [forward]}",
            &["cycle", "failover", "forward", "traces/c"],
        ),
        (
            "two that feed each other",
            "failover/1: {priority_levels: [[traces/b]]}, failover/2: {priority_levels: [[traces/c]]}",
            "traces/a: {receivers: [nop], exporters: [failover/1]}, traces/b: {receivers: [failover/1], exporters: [failover/2]}, \
             traces/c: {receivers: [failover/2], exporters: [failover/1]}",
            &["cycle", "failover/1", "failover/2"],
        ),
        (
            "round robin",
            "round_robin: {}",
            "traces/a: {receivers: [nop, round_robin], exporters: [round_robin]}",
            &["cycle", "round_robin", "traces/a"],
        ),
    ];
    for (case, connectors, pipelines, parts) in cases {
        let text = format!("--config=yaml:{}", config(connectors, pipelines));
        for command in [&["validate"][..], &[]] {
            let finished = crate::binary::collector().args(command).arg(&text).finish();
            assert_eq!(finished.code, 1, "{case}: {}", finished.stderr);
            for part in parts {
                assert!(finished.stderr.contains(part), "{case}: {part} is not in {}", finished.stderr);
            }
        }
    }
}

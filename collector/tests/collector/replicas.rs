//! Two tail samplers behind a balancer, one of which leaves while traces are under way.

use std::collections::BTreeSet;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::{Status, status::StatusCode};
use phoenix_component::Lost;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::backend::Backend;
use crate::binary::free_port;
use crate::inside::Inside;
use crate::load::{self, SPANS};

const TRACES: u64 = 200;
/// Of so many traces one has errors, in each of its spans.
const ERRORS_ONE_IN: u64 = 20;
const NEW_TRACES: &str = "otelcol_processor_tail_sampling_new_trace_id_received";

/// A replica: errors, and a share by what the identifier of the trace says.
fn sampler(port: u16, backend: &Backend) -> String {
    format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
processors:
  tail_sampling:
    decision_wait: 500ms
    policies:
      - {{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}
      - {{name: share, type: probabilistic, probabilistic: {{sampling_percentage: 40}}}}
exporters: {{otlp: {{endpoint: '{}', tls: {{insecure: true}}, compression: none, sending_queue: {{enabled: false}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp]}}}}}}
",
        backend.address()
    )
}

fn balancer(port: u16, replicas: &[u16]) -> String {
    let hostnames: Vec<String> = replicas.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
    format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
exporters:
  load_balancing:
    protocol: {{otlp: {{tls: {{insecure: true}}}}}}
    resolver: {{static: {{hostnames: [{}]}}}}
    sending_queue: {{enabled: false}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [load_balancing]}}}}}}
",
        hostnames.join(", ")
    )
}

fn is_error(trace: u64) -> bool {
    trace.is_multiple_of(ERRORS_ONE_IN)
}

/// Sends a part of every trace: the requests whose numbers begin at `first`. Answered once a replica holds it.
async fn send_part(client: &mut TraceServiceClient<Channel>, first: u64) {
    for trace in 0..TRACES {
        let mut request = load::request(first + trace);
        for span in &mut request.resource_spans[0].scope_spans[0].spans {
            // Spread over all identifiers, and the same for both parts.
            let spread = u128::from(trace + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            span.trace_id = spread.to_be_bytes().to_vec();
            if is_error(trace) {
                span.status = Some(Status { code: StatusCode::Error.into(), ..Status::default() });
            }
        }
        client.export(request).await.expect("it is taken");
    }
}

/// Waits until these replicas together have seen so many traces: what they hold they count a moment later.
async fn have_seen(replicas: &[&Inside], traces: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen: i64 = replicas.iter().map(|replica| replica.metric(NEW_TRACES, &[])).sum();
        if seen == traces as i64 {
            return;
        }
        assert!(Instant::now() < deadline, "{seen} of {traces} traces were seen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trace_is_decided_twice_differently_where_a_replica_leaves() {
    let backend = Backend::start().await;
    let (entry, ports) = (free_port(), [free_port(), free_port()]);
    let staying = Inside::start(&sampler(ports[0], &backend)).await;
    let leaving = Inside::start(&sampler(ports[1], &backend)).await;
    let in_front = Inside::start(&balancer(entry, &ports)).await;
    let mut client =
        TraceServiceClient::connect(format!("http://127.0.0.1:{entry}")).await.expect("connected");

    send_part(&mut client, 0).await;
    have_seen(&[&staying, &leaving], TRACES).await;
    let moved = leaving.metric(NEW_TRACES, &[]);
    assert!((50..=150).contains(&moved), "each has its share of the traces, and one owner: {moved}");

    in_front.apply(&balancer(entry, &ports[..1])).await.unwrap_or_else(|_| panic!("the replica is left out"));
    send_part(&mut client, TRACES).await;
    have_seen(&[&staying], TRACES).await;
    assert_eq!(leaving.metric(NEW_TRACES, &[]), moved, "it gets nothing any more");
    // Whatever waits is decided before the one is gone; the other decides the rest, and what moved once more.
    assert_eq!(leaving.shutdown(Duration::from_secs(20)).await, Lost::default());
    staying.empty_books().await;
    assert_eq!(in_front.shutdown(Duration::from_secs(20)).await, Lost::default());
    assert_eq!(staying.shutdown(Duration::from_secs(20)).await, Lost::default());

    let spans = backend.spans();
    assert!(spans.values().all(|times| *times == 1), "nothing came twice");
    let came = |part: u64| -> BTreeSet<u64> {
        let first_span = |trace: &u64| (part * TRACES + trace) * SPANS + 1;
        (0..TRACES).filter(|trace| spans.contains_key(&first_span(trace))).collect()
    };
    let kept = came(0);
    assert_eq!(kept, came(1), "what came before and after is kept or dropped together");
    assert_eq!(spans.len() as u64, kept.len() as u64 * 2 * SPANS, "and whole");
    let errors: BTreeSet<u64> = (0..TRACES).filter(|trace| is_error(*trace)).collect();
    assert!(errors.is_subset(&kept), "errors are kept: {errors:?} are not all among {kept:?}");
    assert!((60..=130).contains(&kept.len()), "errors and two fifths of the others: {}", kept.len());
}

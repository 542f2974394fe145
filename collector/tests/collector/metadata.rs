//! Client metadata from the wire to `batch`, which keeps tenants apart.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use crate::backend::Backend;
use crate::binary::free_port;
use crate::inside::Inside;
use crate::load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_are_batched_apart_up_to_the_limit() {
    let (backend, port) = (Backend::start().await, free_port());
    let yaml = |limit: usize| {
        format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}', include_metadata: true}}}}}}}}
processors:
  batch: {{timeout: 50ms, metadata_keys: [X-Tenant], metadata_cardinality_limit: {limit}}}
exporters: {{otlp: {{endpoint: '{}', tls: {{insecure: true}}, compression: none}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [otlp]}}}}}}
",
            backend.address()
        )
    };
    let inside = Inside::start(&yaml(2)).await;
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut client = TraceServiceClient::connect(endpoint).await.expect("it listens");
    let mut send = async |number: u64, tenant: &str| {
        let mut request = Request::new(load::request(number));
        request.metadata_mut().insert("x-tenant", MetadataValue::try_from(tenant).expect("text"));
        client.export(request).await
    };
    for (number, tenant) in ["a", "b", "a", "b"].into_iter().enumerate() {
        send(number as u64, tenant).await.expect("accepted");
    }
    let status = send(4, "c").await.expect_err("one tenant too many");
    assert_eq!(status.code(), Code::Internal, "{status}");
    assert!(status.message().contains("too many batcher metadata-value combinations"), "{status}");
    backend.wait_for_spans(4 * load::SPANS as usize).await;
    let cardinality = || inside.metric("otelcol_processor_batch_metadata_cardinality", &[]);
    assert_eq!(cardinality(), 2);
    // A higher limit: what was open goes on, and the third comes in.
    send(5, "a").await.expect("accepted");
    inside.apply(&yaml(3)).await.map_err(drop).expect("applied");
    for (number, tenant) in [(6, "c"), (7, "b"), (8, "a")] {
        send(number, tenant).await.expect("accepted");
    }
    backend.wait_for_spans(8 * load::SPANS as usize).await;
    inside.empty_books().await;
    assert_eq!(inside.shutdown(Duration::from_secs(10)).await.items, 0);
    assert!(backend.spans().values().all(|count| *count == 1), "each exactly once");
}

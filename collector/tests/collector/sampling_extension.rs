//! An extension of somebody's own that offers policies for tail sampling, in a distribution that has it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use phoenix_component::{
    BoxFuture, Change, Extension, Host, Lost, ObservedSpan, ObservedTrace, Publication, SamplingPolicies,
    SamplingPolicy, SamplingVote, Slot, StartError,
};
use phoenix_config::{Capability, Described, Kind, Settings};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::backend::Backend;
use crate::binary::free_port;
use crate::inside::{Inside, registry};
use crate::load::{self, SPANS};

/// Settings of the extension `busy`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct BusyConfig {
    /// Spans that are wanted beside those that a policy asks for.
    more: u64,
}

impl Settings for BusyConfig {}

phoenix_component::extension_factory! {
    /// Makes `busy` extensions.
    BusyFactory: "busy", BusyConfig;
    create: |config, cx| {
        let slot = cx.shared.get_or_make(Kind::Extension, cx.id, Slot::<dyn SamplingPolicies>::default);
        Ok(Arc::new(Busy(Publication::new(cx.id, slot, Arc::new(config.clone())))))
    },
    signals: [],
    change: |_, _| Change::stateless(),
    offers: |_| vec![Capability::SamplingPolicies],
}

struct Busy(Publication<dyn SamplingPolicies>);

impl Extension for Busy {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        self.0.start(host);
        Box::pin(async { Ok(()) })
    }

    fn pipelines_ready(&self, ready: bool) {
        self.0.pipelines_ready(ready);
    }

    fn stop(&self, _: Instant) -> BoxFuture<'_, ()> {
        self.0.stop();
        Box::pin(async {})
    }
}

impl SamplingPolicies for BusyConfig {
    fn policy(&self, _: &str, settings: &Value) -> Result<Box<dyn SamplingPolicy>, String> {
        let least = settings["least"].as_u64().ok_or("least must be a number")?;
        Ok(Box::new(AtLeast(least + self.more)))
    }
}

/// Keeps traces with so many spans.
struct AtLeast(u64);

impl SamplingPolicy for AtLeast {
    fn observe(&self, _: &ObservedSpan<'_>, note: &mut u64) {
        *note += 1;
    }

    fn decide(&self, trace: &ObservedTrace<'_>) -> SamplingVote {
        if trace.note >= self.0 { SamplingVote::Sampled } else { SamplingVote::NotSampled }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn configuration(port: u16, backend: &Backend, more: u64, policy: &str) -> String {
    format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
extensions: {{busy: {{more: {more}}}}}
processors:
  tail_sampling: {{decision_wait: 50ms, policies: [{{name: p, {policy}}}]}}
exporters: {{otlp: {{endpoint: '{}', tls: {{insecure: true}}, compression: none, sending_queue: {{enabled: false}}}}}}
service:
  extensions: [busy]
  pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp]}}}}
",
        backend.address()
    )
}

const DECIDED: &str = "otelcol_processor_tail_sampling_global_count_traces_sampled";

/// Sends a trace, and waits until so many are decided.
async fn decide(inside: &Inside, client: &mut TraceServiceClient<Channel>, trace: u64) {
    client.export(load::request(trace)).await.expect("it is taken");
    let deadline = Instant::now() + Duration::from_secs(60);
    while inside.metric(DECIDED, &[]) <= trace as i64 {
        assert!(Instant::now() < deadline, "trace {trace} is not decided");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_of_ones_own_decides_and_its_settings_change() {
    const POLICY: &str = "type: busy, busy: {least: 5}";
    let (backend, port) = (Backend::start().await, free_port());
    let mut registry = registry::registry();
    registry.extensions.push(Box::new(BusyFactory));
    let inside = Inside::start_with(registry, &configuration(port, &backend, 0, POLICY)).await;
    let mut client =
        TraceServiceClient::connect(format!("http://127.0.0.1:{port}")).await.expect("connected");
    decide(&inside, &mut client, 0).await;

    // What nobody offers, or not like that, comes to nothing, and the rest goes on.
    for (policy, said) in [
        (
            "type: bussy, bussy: {least: 5}",
            "failed to resolve sampling policy type \"bussy\": no extension of that name",
        ),
        ("type: busy, busy: {}", "unable to load extension busy: least must be a number"),
    ] {
        let error = match inside.apply(&configuration(port, &backend, 0, policy)).await {
            Err(Ok(error)) => format!("{error:?}"),
            Err(Err(problems)) => problems.to_string(),
            Ok(_) => panic!("{policy}: taken"),
        };
        assert!(error.contains(said), "{error}");
    }
    decide(&inside, &mut client, 1).await;

    // The extension alone changes: the sampler goes on, with what the new one makes, from the next round on.
    let changed = inside.apply(&configuration(port, &backend, 1, POLICY)).await;
    assert!(changed.is_ok(), "{changed:?}");
    let mut traces = 2;
    while inside.metric(DECIDED, &[("decision", "not_sampled")]) == 0 {
        assert!(traces < 100, "the sampler does not hear of the change");
        decide(&inside, &mut client, traces).await;
        traces += 1;
    }
    assert_eq!(inside.shutdown(Duration::from_secs(20)).await, Lost::default());
    let came = backend.spans();
    let kept: Vec<u64> = (0..traces).filter(|trace| came.contains_key(&(trace * SPANS + 1))).collect();
    assert_eq!(
        kept,
        (0..traces - 1).collect::<Vec<u64>>(),
        "all but the one that was decided by the new one"
    );
}

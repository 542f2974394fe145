//! What is run, as data.

use crate::client::{Encoding, FrameSize, Protocol};
use crate::compare::subjects::Kind::{self, Null, Otelcol, Phoenix, Rotel, Vmagent};
use crate::compression::Compression;
use crate::signal::Signal::{self, Logs, Metrics, Traces};

/// One line of work: a load, a configuration, and who takes part.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: Measure,
    /// What each round runs; their throughputs may be compared with each other.
    pub(crate) variants: &'static [Variant],
    /// More rounds than these would take too long or tell nothing new, however many are asked for.
    pub(crate) most_rounds: usize,
}

/// What a workload looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// A load from end to end.
    Load,
    /// A load while the health endpoint is asked.
    Health,
    /// No load: start and rest.
    Idle,
    /// Instructions for each request.
    Instructions,
    /// Minutes of more load than the backend takes.
    Overload,
    /// Connections that send nothing, or nothing more.
    Connections,
    /// A paced load while CPU and memory are limited.
    Sidecar,
    /// A start with a backlog on disk.
    Recovery,
    /// Spans that all wait for their decision when the load ends.
    Buffer,
    /// Minutes of more spans than can wait for their decision.
    BufferOverload,
}

/// A load through a configuration.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    /// The name of a file in `benches/configs`.
    pub(crate) config: &'static str,
    pub(crate) shape: Shape,
    pub(crate) backend: Backend,
    pub(crate) subjects: &'static [Kind],
}

/// How fast the sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    /// Milliseconds for each request.
    pub(crate) delay_ms: u64,
    /// Requests that it works on at a time; `None` for as many as come.
    pub(crate) at_once: Option<usize>,
}

/// What the load sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) protocol: Protocol,
    pub(crate) signal: Signal,
    pub(crate) items: usize,
    /// At scale 1; enough for about a second of a fast collector's CPU time.
    pub(crate) requests: u64,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) frame_size: FrameSize,
    pub(crate) compression: Compression,
    pub(crate) encoding: Encoding,
    pub(crate) request_bytes: Option<usize>,
    pub(crate) prepared: usize,
    /// Requests to begin in a second; `None` for a closed loop.
    pub(crate) rate: Option<u32>,
    /// Send what was refused again until it is taken.
    pub(crate) retry: bool,
    /// Every connection sends one request and stays open.
    pub(crate) one_each: bool,
    /// Number each record whether that was asked for or not.
    pub(crate) exact_ids: bool,
    /// Mutual TLS, to the subject and to the sink.
    pub(crate) tls: bool,
    /// Spread traces over requests.
    pub(crate) spread_traces: bool,
    /// Spans say when they are sent, and are to wait for so many milliseconds.
    pub(crate) waits_ms: Option<u64>,
    /// Let metrics be series that go on.
    pub(crate) series: bool,
    /// Send each request under so many names.
    pub(crate) series_copies: u64,
    /// What comes before the path over HTTP.
    pub(crate) http_prefix: &'static str,
}

const fn shape(signal: Signal, items: usize, requests: u64) -> Shape {
    Shape {
        protocol: Protocol::Grpc,
        signal,
        items,
        requests,
        connections: 4,
        in_flight: 8,
        frame_size: FrameSize::Peer,
        compression: Compression::None,
        encoding: Encoding::Proto,
        request_bytes: None,
        prepared: 64,
        rate: None,
        retry: false,
        one_each: false,
        exact_ids: false,
        tls: false,
        spread_traces: false,
        waits_ms: None,
        series: false,
        series_copies: 1,
        http_prefix: "",
    }
}

const TRACES_10: Shape = shape(Traces, 10, 60_000);
const TRACES_100: Shape = shape(Traces, 100, 30_000);
const TRACES_1000: Shape = Shape { prepared: 16, ..shape(Traces, 1000, 5_000) };
const LOGS_100: Shape = shape(Logs, 100, 30_000);
const METRICS_100: Shape = shape(Metrics, 100, 30_000);
const MTLS: Shape = Shape { tls: true, ..TRACES_100 };
const FRAMES_16K: Shape = Shape { frame_size: FrameSize::SixteenKib, ..TRACES_100 };
const HTTP: Shape = Shape { protocol: Protocol::Http, ..TRACES_100 };
const JSON: Shape = Shape { encoding: Encoding::Json, ..HTTP };
const ONE_CONNECTION: Shape = Shape { connections: 1, in_flight: 32, ..TRACES_100 };
const MANY_CONNECTIONS: Shape = Shape { connections: 32, in_flight: 1, ..TRACES_100 };
/// Bodies of just under 20 MiB, the most that OTLP/HTTP receivers take by default.
const LARGE_GZIP: Shape = Shape {
    protocol: Protocol::Http,
    compression: Compression::Gzip,
    request_bytes: Some((20 << 20) - 4096),
    connections: 4,
    in_flight: 1,
    prepared: 4,
    ..shape(Traces, 100, 100)
};

const ZSTD: Shape = Shape { compression: Compression::Zstd, ..shape(Traces, 100, 20_000) };
const GZIP: Shape = Shape { compression: Compression::Gzip, ..shape(Traces, 100, 10_000) };

/// To find out what is carried: enough to fill the budget and to keep the backend busy for some ten seconds more.
pub(crate) const UNTIL_FULL: Shape = Shape { retry: true, ..shape(Traces, 100, 6_000) };
/// In flight is what a collector may put off for a second at twice the rate that the backend carries.
const PACED_FLOOD: Shape = Shape { connections: 8, in_flight: 128, exact_ids: true, ..UNTIL_FULL };
/// About a gigabyte.
const BACKLOG: Shape = Shape { exact_ids: true, ..shape(Traces, 1000, 2_150) };
const ONE_EACH: Shape =
    Shape { one_each: true, connections: 10_000, in_flight: 1, prepared: 8, ..shape(Traces, 10, 10_000) };
const ONE_EACH_MTLS: Shape = Shape { tls: true, ..ONE_EACH };
/// 1,000 spans a second for half a minute, as one service sends them.
const TRICKLE: Shape = Shape { rate: Some(100), connections: 1, exact_ids: true, ..shape(Traces, 10, 3_000) };

/// Half a minute of 5,000 traces a second, of which some 50,000 wait.
const SPREAD: Shape =
    Shape { rate: Some(400), spread_traces: true, waits_ms: Some(10_000), ..shape(Traces, 100, 12_000) };

/// Ten seconds of the same, shorter than any of it waits.
const HELD: Shape = Shape { requests: 4_000, waits_ms: None, ..SPREAD };
/// What is refused comes again.
const SPREAD_FLOOD: Shape = Shape { retry: true, ..SPREAD };

/// 100,000 series that report every ten seconds of their own time, thirty times, ten times as fast: 100,000 data points a second.
const METRICS_100K: Shape =
    Shape { rate: Some(1000), retry: true, series: true, prepared: 1000, ..METRICS_100 };

/// The same over HTTP/1.1.
const METRICS_100K_HTTP: Shape = Shape { protocol: Protocol::Http, ..METRICS_100K };

/// A million series that arrive within ten seconds, and report twice more.
const METRICS_1M: Shape = Shape { prepared: 100, series_copies: 100, ..METRICS_100K };

const READY: Backend = Backend { delay_ms: 0, at_once: None };
/// Takes a batch of 8192 every 200 ms: some 40,000 items a second, which leaves two cores for everybody else.
const SLOW: Backend = Backend { delay_ms: 200, at_once: Some(1) };

const EVERYBODY: &[Kind] = &[Null, Phoenix, Otelcol, Rotel];
const COLLECTORS: &[Kind] = &[Phoenix, Otelcol, Rotel];

const fn variant(
    name: &'static str,
    config: &'static str,
    shape: Shape,
    subjects: &'static [Kind],
) -> Variant {
    Variant { name, config, shape, backend: READY, subjects }
}

const fn only(config: &'static str, shape: Shape) -> Variant {
    variant("", config, shape, EVERYBODY)
}

/// Of what looks into records, rotel has nothing.
const fn edited(config: &'static str) -> Variant {
    variant("", config, TRACES_100, &[Null, Phoenix, Otelcol])
}

const fn load(name: &'static str, about: &'static str, variants: &'static [Variant]) -> Workload {
    Workload { name, about, measure: Measure::Load, variants, most_rounds: usize::MAX }
}

/// Everything that `compare` runs, in this order.
pub(crate) const WORKLOADS: &[Workload] = &[
    load("traces-100", "pass-through, 100 spans a request", &[only("pass-through", TRACES_100)]),
    load("traces-10", "pass-through, 10 spans a request", &[only("pass-through", TRACES_10)]),
    load("traces-1000", "pass-through, 1000 spans a request", &[only("pass-through", TRACES_1000)]),
    load("logs-100", "pass-through, 100 log records a request", &[only("pass-through", LOGS_100)]),
    load("metrics-100", "pass-through, 100 data points a request", &[only("pass-through", METRICS_100)]),
    load(
        "metrics-100k",
        "pass-through, 100,000 series that report every 10 s, five minutes in half a minute",
        &[only("pass-through", METRICS_100K)],
    ),
    load(
        "aggregate-by",
        "100,000 series, one rule by two labels in windows of a minute; what is aggregated counts as lost",
        &[variant("", "aggregate-by", METRICS_100K, &[Null, Phoenix])],
    ),
    load(
        "aggregate-tiers",
        "100,000 series, ten rules that each take them all, in three tiers; what is aggregated counts as lost",
        &[variant("", "aggregate-tiers", METRICS_100K, &[Null, Phoenix])],
    ),
    load(
        "aggregate-remote-write",
        "100,000 series over OTLP/HTTP, one rule by two labels in windows of a minute, by remote write with snappy, as vmagent does it; the null relay stays on gRPC",
        &[variant("", "aggregate-remote-write", METRICS_100K_HTTP, &[Null, Phoenix, Vmagent])],
    ),
    load(
        "interval",
        "100,000 series, the newest data point of each once in ten seconds; what is held back counts as lost",
        &[variant("", "interval", METRICS_100K, &[Null, Phoenix, Otelcol])],
    ),
    load(
        "remote-write",
        "100,000 series by Prometheus remote write with snappy, which the sink takes and does not count",
        &[variant("", "remote-write", METRICS_100K, &[Null, Phoenix, Otelcol])],
    ),
    load(
        "optimizer-drop-label",
        "100,000 series, twenty rules of which one aggregates a label away; what is aggregated counts as lost",
        &[variant("", "optimizer-drop-label", METRICS_100K, &[Null, Phoenix])],
    ),
    load(
        "optimizer-limit",
        "a million series arrive at a limit of 100,000 and 300,000 states; what is over the limit counts as lost",
        &[variant("", "optimizer-limit", METRICS_1M, &[Null, Phoenix])],
    ),
    load(
        "optimizer-chain",
        "100,000 series by three labels, some metrics left out, one point in 10 s: by rules, and by otelcol's filter, metricstransform and interval",
        &[variant("", "optimizer-chain", METRICS_100K, &[Null, Phoenix, Otelcol])],
    ),
    load("queue-traces-100", "pass-through with the default queue", &[only("queue", TRACES_100)]),
    load("batch-traces-100", "memory_limiter and batch of 8192", &[only("batch", TRACES_100)]),
    load("batch-logs-100", "memory_limiter and batch of 8192", &[only("batch", LOGS_100)]),
    load("batch-metrics-100", "memory_limiter and batch of 8192", &[only("batch", METRICS_100)]),
    load("batch-traces-10", "memory_limiter and batch of 8192", &[only("batch", TRACES_10)]),
    load("frames-16k", "pass-through, DATA frames of 16 KiB", &[only("pass-through", FRAMES_16K)]),
    load(
        "http-traces-100",
        "pass-through, HTTP/1.1 with protobuf in and out; the null relay stays on gRPC",
        &[only("http", HTTP)],
    ),
    load(
        "json-traces-100",
        "pass-through, OTLP/JSON over HTTP/1.1 in and protobuf over gRPC out; no null relay",
        &[variant("", "pass-through", JSON, &[Phoenix, Otelcol])],
    ),
    load(
        "mtls-traces-100",
        "pass-through, mutual TLS in and out; the null relay stays without",
        &[variant("", "mtls", MTLS, &[Null, Phoenix, Otelcol])],
    ),
    load("zstd", "zstd in and out, each request by itself; so does the null relay", &[only("zstd", ZSTD)]),
    load("gzip", "gzip in and out, each request by itself; so does the null relay", &[only("gzip", GZIP)]),
    load(
        "zstd-passthrough",
        "zstd in and out, nobody looks inside; the null relay decompresses and compresses",
        &[only("zstd-passthrough", ZSTD)],
    ),
    load(
        "resource-attributes",
        "an attribute upserted on the resource and one inserted on each span",
        &[edited("resource-attributes")],
    ),
    load(
        "transform-3",
        "three statements on each span: a `where` that matches a tenth, a set, a delete_key",
        &[edited("transform-3")],
    ),
    load(
        "filter-3",
        "three conditions that together drop half of the spans; those count as lost",
        &[edited("filter-3")],
    ),
    load("sampler-10", "a tenth of the spans is kept; the others count as lost", &[edited("sampler-10")]),
    load(
        "traces-tail",
        "tail sampling by 5 policies after 10 s, a tenth is kept; the others count as lost",
        &[variant("", "traces-tail", SPREAD, &[Null, Phoenix, Otelcol])],
    ),
    load(
        "traces-tail-20",
        "tail sampling by 20 policies, of which 4 are OTTL, after 10 s; a tenth is kept",
        &[variant("", "traces-tail-20", SPREAD, &[Null, Phoenix, Otelcol])],
    ),
    Workload {
        name: "tail-buffer",
        about: "400,000 spans of 50,000 traces that all wait for a decision: memory for each",
        measure: Measure::Buffer,
        variants: &[variant("", "tail-buffer", HELD, &[Phoenix, Otelcol])],
        most_rounds: 3,
    },
    Workload {
        name: "tail-overload",
        about: "five minutes of twice as many spans as there is memory for, all errors and a tenth of the rest kept",
        measure: Measure::BufferOverload,
        variants: &[variant("", "tail-overload", SPREAD_FLOOD, &[Phoenix])],
        most_rounds: 1,
    },
    load("transform-50", "fifty statements of which none matches", &[edited("transform-50")]),
    load(
        "closed-loop",
        "32 requests of 100 spans in flight: what batching does to throughput",
        &[
            variant("pass-through", "pass-through", TRACES_100, COLLECTORS),
            variant("batch", "batch", TRACES_100, COLLECTORS),
            variant("delivered", "batch-delivered", TRACES_100, &[Phoenix]),
        ],
    ),
    load(
        "connections",
        "pass-through: one connection with 32 streams against 32 connections",
        &[
            variant("one", "pass-through", ONE_CONNECTION, EVERYBODY),
            variant("many", "pass-through", MANY_CONNECTIONS, EVERYBODY),
        ],
    ),
    Workload {
        name: "health",
        about: "the health endpoint while gzip bodies of 20 MiB arrive",
        measure: Measure::Health,
        variants: &[variant("", "health", LARGE_GZIP, &[Phoenix, Otelcol])],
        most_rounds: usize::MAX,
    },
    Workload {
        name: "idle",
        about: "start, memory at rest, size of the binary",
        measure: Measure::Idle,
        variants: &[only("pass-through", TRACES_100)],
        most_rounds: usize::MAX,
    },
    Workload {
        name: "own-telemetry",
        about: "pass-through, 100 spans a request: own metrics at level normal against none, in instructions",
        measure: Measure::Instructions,
        variants: &[
            variant("normal", "telemetry-normal", TRACES_100, &[Phoenix]),
            variant("none", "telemetry-none", TRACES_100, &[Phoenix]),
        ],
        most_rounds: 3,
    },
    Workload {
        name: "overload",
        about: "five minutes at twice the load that a slow backend takes, memory_limiter at 128 MiB",
        measure: Measure::Overload,
        variants: &[Variant { backend: SLOW, ..variant("", "overload", PACED_FLOOD, &[Phoenix, Otelcol]) }],
        most_rounds: 1,
    },
    Workload {
        name: "idle-connections",
        about: "10,000 connections that wait: before their first request, and after it",
        measure: Measure::Connections,
        variants: &[variant("", "pass-through", ONE_EACH, EVERYBODY)],
        most_rounds: usize::MAX,
    },
    Workload {
        name: "idle-connections-mtls",
        about: "the same with mutual TLS",
        measure: Measure::Connections,
        variants: &[variant("", "mtls", ONE_EACH_MTLS, &[Phoenix, Otelcol])],
        most_rounds: usize::MAX,
    },
    Workload {
        name: "sidecar",
        about: "1,000 spans a second, 10 a request, under a quota of 0.1 core and 32 MiB",
        measure: Measure::Sidecar,
        variants: &[variant("", "sidecar", TRICKLE, &[Phoenix, Otelcol])],
        most_rounds: usize::MAX,
    },
    load(
        "load-balancing",
        "spans dealt out by trace to four backends; the null relay has one",
        &[variant("", "load-balancing", TRACES_100, &[Null, Phoenix, Otelcol])],
    ),
    load(
        "persistent-queue",
        "pass-through with a queue on disk, not waiting for the disk",
        &[variant("", "persistent-queue", TRACES_100, &[Null, Phoenix, Otelcol])],
    ),
    Workload {
        name: "recovery",
        about: "a start with a gigabyte in the queue on disk",
        measure: Measure::Recovery,
        variants: &[variant("", "recovery", BACKLOG, &[Phoenix])],
        most_rounds: 3,
    },
];

/// The text of a configuration file.
pub(crate) fn config_text(name: &str) -> Option<&'static str> {
    Some(match name {
        "pass-through" => include_str!("../../configs/pass-through.yaml"),
        "queue" => include_str!("../../configs/queue.yaml"),
        "batch" => include_str!("../../configs/batch.yaml"),
        "batch-delivered" => include_str!("../../configs/batch-delivered.yaml"),
        "mtls" => include_str!("../../configs/mtls.yaml"),
        "http" => include_str!("../../configs/http.yaml"),
        "zstd" => include_str!("../../configs/zstd.yaml"),
        "gzip" => include_str!("../../configs/gzip.yaml"),
        "zstd-passthrough" => include_str!("../../configs/zstd-passthrough.yaml"),
        "health" => include_str!("../../configs/health.yaml"),
        "telemetry-normal" => include_str!("../../configs/telemetry-normal.yaml"),
        "telemetry-none" => include_str!("../../configs/telemetry-none.yaml"),
        "overload" => include_str!("../../configs/overload.yaml"),
        "sidecar" => include_str!("../../configs/sidecar.yaml"),
        "load-balancing" => include_str!("../../configs/load-balancing.yaml"),
        "persistent-queue" => include_str!("../../configs/persistent-queue.yaml"),
        "recovery" => include_str!("../../configs/recovery.yaml"),
        "resource-attributes" => include_str!("../../configs/resource-attributes.yaml"),
        "transform-3" => include_str!("../../configs/transform-3.yaml"),
        "filter-3" => include_str!("../../configs/filter-3.yaml"),
        "sampler-10" => include_str!("../../configs/sampler-10.yaml"),
        "traces-tail" => include_str!("../../configs/traces-tail.yaml"),
        "traces-tail-20" => include_str!("../../configs/traces-tail-20.yaml"),
        "tail-buffer" => include_str!("../../configs/tail-buffer.yaml"),
        "tail-overload" => include_str!("../../configs/tail-overload.yaml"),
        "aggregate-by" => include_str!("../../configs/aggregate-by.yaml"),
        "aggregate-remote-write" => include_str!("../../configs/aggregate-remote-write.yaml"),
        "aggregate-remote-write-vmagent" => include_str!("../../vmagent/aggregate-remote-write.yaml"),
        "aggregate-tiers" => include_str!("../../configs/aggregate-tiers.yaml"),
        "interval" => include_str!("../../configs/interval.yaml"),
        "remote-write" => include_str!("../../configs/remote-write.yaml"),
        "optimizer-drop-label" => include_str!("../../configs/optimizer-drop-label.yaml"),
        "optimizer-limit" => include_str!("../../configs/optimizer-limit.yaml"),
        "optimizer-chain" => include_str!("../../configs/optimizer-chain.yaml"),
        "optimizer-chain-otelcol" => include_str!("../../otelcol/optimizer-chain.yaml"),
        "transform-50" => include_str!("../../configs/transform-50.yaml"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::compare::ports::Ports;
    use crate::compare::run::TLS_FOLDER;

    #[test]
    fn names_differ_and_configurations_exist() {
        let names: BTreeSet<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len());
        for workload in WORKLOADS {
            let variants: BTreeSet<_> = workload.variants.iter().map(|variant| variant.name).collect();
            assert_eq!(variants.len(), workload.variants.len(), "{}", workload.name);
            for variant in workload.variants {
                assert!(config_text(variant.config).is_some(), "{}", variant.config);
                assert!(variant.subjects.contains(&Phoenix));
            }
        }
    }

    #[test]
    fn own_telemetry_is_all_that_its_variants_differ_in() {
        let lines = |name| config_text(name).unwrap().lines().filter(|line| !line.starts_with('#'));
        let pairs = lines("telemetry-normal").zip(lines("telemetry-none"));
        let differing: Vec<_> = pairs.filter(|(normal, none)| normal != none).collect();
        assert_eq!(differing, [("      level: normal", "      level: none")]);
        assert_eq!(lines("telemetry-normal").count(), lines("telemetry-none").count());
    }

    #[test]
    fn configurations_read_only_variables_that_are_set() {
        let set = Ports::pick().unwrap().environment().map(|(name, _)| name);
        for variant in WORKLOADS.iter().flat_map(|workload| workload.variants) {
            let text = config_text(variant.config).unwrap();
            for reference in text.split("${env:").skip(1) {
                let name = reference.split(':').next().unwrap();
                assert!(set.contains(&name) || name == TLS_FOLDER, "{name} in {}", variant.config);
            }
        }
    }
}

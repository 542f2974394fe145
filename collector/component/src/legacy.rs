//! Types of components that otelcol once had, and that configurations still name.

use phoenix_config::{Kind, Known};

/// Types that nothing needs any more: accepted, warned of and left out.
const IGNORED: &[(Kind, &str, &str)] = &[(
    Kind::Extension,
    "memory_ballast",
    "the `memory_ballast` extension was removed: there is no garbage collector to steady; bound memory with the `memory_limiter` processor",
)];

/// Types that have gone, and what does their work now.
const REMOVED: &[(Kind, &str, &str)] = &[
    (
        Kind::Exporter,
        "jaeger",
        "the `jaeger` exporter was removed: Jaeger takes OTLP, use `otlp_grpc` with its port 4317",
    ),
    (
        Kind::Exporter,
        "jaeger_thrift",
        "the `jaeger_thrift` exporter was removed: Jaeger takes OTLP, use `otlp_http` with its port 4318",
    ),
    (
        Kind::Exporter,
        "loki",
        "the `loki` exporter was removed: Loki takes OTLP, use `otlp_http` with `endpoint: http://<loki>:3100/otlp`",
    ),
    (
        Kind::Exporter,
        "dynatrace",
        "the `dynatrace` exporter was removed: Dynatrace takes OTLP, use `otlp_http`",
    ),
    (
        Kind::Processor,
        "spanmetrics",
        "the `spanmetrics` processor was removed: there is a connector `span_metrics` for it",
    ),
    (
        Kind::Processor,
        "servicegraph",
        "the `servicegraph` processor was removed: there is a connector `servicegraph` for it",
    ),
];

/// What became of a type that the distribution does not have.
pub(crate) fn known(kind: Kind, type_name: &str) -> Known {
    let find = |table: &'static [(Kind, &str, &'static str)]| {
        table.iter().find(|(of, name, _)| *of == kind && *name == type_name).map(|(_, _, words)| *words)
    };
    let ignored = find(IGNORED).map(Known::Ignored);
    ignored.or_else(|| find(REMOVED).map(Known::Removed)).unwrap_or(Known::Unknown)
}

/// The types of a kind that are accepted and left out, each with what to know about it.
pub fn ignored_types(kind: Kind) -> impl Iterator<Item = (&'static str, &'static str)> {
    IGNORED.iter().filter(move |(of, _, _)| *of == kind).map(|(_, name, words)| (*name, *words))
}

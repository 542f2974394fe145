//! Which instrumentation scope a metric belongs to: otelcol's for otelcol's names.

/// The first prefix that fits counts.
const SCOPES: &[(&str, &str)] = &[
    ("otelcol_exporter_", "go.opentelemetry.io/collector/exporter/exporterhelper"),
    ("otelcol_receiver_", "go.opentelemetry.io/collector/receiver/receiverhelper"),
    ("otelcol_scraper_", "go.opentelemetry.io/collector/scraper/scraperhelper"),
    ("otelcol_processor_batch_", "go.opentelemetry.io/collector/processor/batchprocessor"),
    ("otelcol_processor_memory_limiter_", MEMORY_LIMITER),
    ("otelcol_processor_accepted_", MEMORY_LIMITER),
    ("otelcol_processor_refused_", MEMORY_LIMITER),
    ("otelcol_processor_", "go.opentelemetry.io/collector/processor/processorhelper"),
    (
        "otelcol_fileconsumer_",
        "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/fileconsumer",
    ),
    ("otelcol_process_", "go.opentelemetry.io/collector/service"),
    ("http.", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"),
    ("rpc.", "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"),
];

const MEMORY_LIMITER: &str = "go.opentelemetry.io/collector/processor/memorylimiterprocessor";

/// The scope of the metric `name`.
pub(crate) fn scope_of(name: &str) -> &'static str {
    SCOPES.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or("phoenix", |(_, scope)| scope)
}

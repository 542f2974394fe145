use phoenix_telemetry::{Counter, Description, Metrics};

macro_rules! counters {
    ($($field:ident $name:literal $unit:literal $text:literal,)*) => {
        /// What the exporter counts beside its deliveries.
        #[derive(Clone, Debug)]
        pub(crate) struct RemoteWriteMetrics { $(pub(crate) $field: Counter,)* }

        impl RemoteWriteMetrics {
            pub(crate) fn new(metrics: &Metrics, id: &str) -> RemoteWriteMetrics {
                let attributes = [("exporter", id)];
                RemoteWriteMetrics {
                    $($field: metrics.counter(Description { name: $name, unit: $unit, text: $text }, &attributes),)*
                }
            }
        }
    };
}

counters! {
    failed_translations "otelcol_exporter_prometheusremotewrite_failed_translations" "1"
        "Data points that have no translation: not cumulative, or beyond what native histograms can hold.",
    translated_series "otelcol_exporter_prometheusremotewrite_translated_time_series" "1"
        "Series that came of translations.",
    sent_batches "otelcol_exporter_prometheusremotewrite_sent_batches" "{batch}"
        "Requests that were sent, whatever the answer.",
    written_samples "otelcol_exporter_prometheusremotewrite_written_samples" "{sample}"
        "Samples that the receiver says it has written (version 2).",
    written_histograms "otelcol_exporter_prometheusremotewrite_written_histograms" "{histogram}"
        "Native histograms that the receiver says it has written (version 2).",
    written_exemplars "otelcol_exporter_prometheusremotewrite_written_exemplars" "{exemplar}"
        "Exemplars that the receiver says it has written (version 2).",
    forgotten "phoenix_exporter_prometheus_remote_write_forgotten_generations" "{generation}"
        "How often half of the kept label sets was forgotten, since there were more series than it keeps.",
}

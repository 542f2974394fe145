use phoenix_telemetry::{Counter, Description, Metrics};

macro_rules! counters {
    ($($field:ident: $description:expr,)*) => {
        /// What the exporter counts beside its deliveries.
        #[derive(Clone, Debug)]
        pub(crate) struct RemoteWriteMetrics { $(pub(crate) $field: Counter,)* }

        impl RemoteWriteMetrics {
            pub(crate) fn new(metrics: &Metrics, id: &str) -> RemoteWriteMetrics {
                let attributes = [("exporter", id)];
                RemoteWriteMetrics {
                    $($field: metrics.counter($description, &attributes),)*
                }
            }
        }
    };
}

counters! {
    failed_translations: Description {
        name: "otelcol_exporter_prometheusremotewrite_failed_translations",
        unit: "1",
        text: "Data points that have no translation: not cumulative, or beyond what native histograms can hold.",
    },
    translated_series: Description {
        name: "otelcol_exporter_prometheusremotewrite_translated_time_series",
        unit: "1",
        text: "Series that came of translations.",
    },
    sent_batches: Description {
        name: "otelcol_exporter_prometheusremotewrite_sent_batches",
        unit: "{batch}",
        text: "Requests that were sent, whatever the answer.",
    },
    written_samples: Description {
        name: "otelcol_exporter_prometheusremotewrite_written_samples",
        unit: "{sample}",
        text: "Samples that the receiver says it has written (version 2).",
    },
    written_histograms: Description {
        name: "otelcol_exporter_prometheusremotewrite_written_histograms",
        unit: "{histogram}",
        text: "Native histograms that the receiver says it has written (version 2).",
    },
    written_exemplars: Description {
        name: "otelcol_exporter_prometheusremotewrite_written_exemplars",
        unit: "{exemplar}",
        text: "Exemplars that the receiver says it has written (version 2).",
    },
    forgotten: Description {
        name: "phoenix_exporter_prometheus_remote_write_forgotten_generations",
        unit: "{generation}",
        text: "How often half of the kept label sets was forgotten, since there were more series than it keeps.",
    },
}

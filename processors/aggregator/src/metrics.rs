//! Own metrics.

use phoenix_telemetry::{Counter, Description, Gauge, Level, Metrics};

use crate::journal::JournalMetrics;
use crate::plan::PARTS;
use crate::replicas::ReplicaMetrics;

macro_rules! descriptions {
    ($($name:ident { name: $text:literal, unit: $unit:literal, text: $say:literal })*) => {$(
        const $name: Description = Description {
            name: $text,
            unit: $unit,
            text: $say,
        };
    )*};
}

descriptions! {
    POINTS_IN { name: "phoenix_processor_aggregator_points_in", unit: "{datapoint}", text: "Data points that a rule took." }
    POINTS_OUT { name: "phoenix_processor_aggregator_points_out", unit: "{datapoint}", text: "Data points that a rule let out." }
    BYTES_IN { name: "phoenix_processor_aggregator_bytes_in", unit: "By", text: "Bytes of data points that a rule took, as of the last window." }
    BYTES_OUT { name: "phoenix_processor_aggregator_bytes_out", unit: "By", text: "Bytes of data points that a rule let out." }
    RULE_SERIES { name: "phoenix_processor_aggregator_rule_series", unit: "{series}", text: "Streams that go to a rule, and series that it makes of them, as of the last window." }
    QUERY_ERROR { name: "phoenix_processor_aggregator_query_error", unit: "{ppm}", text: "The largest relative error of quantiles and of numbers of different values in the last window, of a sample of series." }
    PARTIAL { name: "phoenix_processor_aggregator_partial_points", unit: "{datapoint}", text: "Data points let out or dropped of windows that were not seen whole." }
    LATE { name: "phoenix_processor_aggregator_late", unit: "{datapoint}", text: "Data points of windows that were let out, by what became of them." }
    HELD_BACK { name: "phoenix_processor_aggregator_held_back", unit: "{datapoint}", text: "Data points of gauges that stayed within the dead band." }
    EXEMPLARS { name: "phoenix_processor_aggregator_exemplars", unit: "{exemplar}", text: "Exemplars of what a rule takes, by what became of them." }
    QUALITY { name: "phoenix_processor_aggregator_quality", unit: "{ppm}", text: "How good the data of the last windows was, in parts and as a whole: a million is best." }
    OVERFLOW { name: "phoenix_processor_aggregator_overflow", unit: "{stream}", text: "Streams for whose series there was no room." }
    INCOMPATIBLE { name: "phoenix_processor_aggregator_incompatible", unit: "{datapoint}", text: "Data points that do not go together with others of their series." }
    INCREMENTS { name: "phoenix_processor_aggregator_increments", unit: "1", text: "Sum of the increments of counters, by what became of them." }
    DROPPED { name: "phoenix_processor_aggregator_dropped", unit: "{datapoint}", text: "Data points that no rule could take, by reason." }
    RESETS { name: "phoenix_processor_aggregator_resets", unit: "{reset}", text: "Cumulative streams that started again." }
    GAPS { name: "phoenix_processor_aggregator_gaps", unit: "{gap}", text: "Delta streams that left a time uncovered." }
    OVERLAPS { name: "phoenix_processor_aggregator_overlaps", unit: "{overlap}", text: "Delta streams that covered a time twice." }
    UNKNOWN_STARTS { name: "phoenix_processor_aggregator_unknown_starts", unit: "{stream}", text: "Cumulative streams whose first value is a baseline, since nobody knows from when it counts." }
    FUTURE { name: "phoenix_processor_aggregator_future", unit: "{datapoint}", text: "Data points too far ahead of the clock." }
    CLUSTERS { name: "phoenix_processor_aggregator_clusters", unit: "{cluster}", text: "Clusters of senders that stand in for each other." }
    FAILOVERS { name: "phoenix_processor_aggregator_failovers", unit: "{failover}", text: "Times that another replica took the place of the one that counts." }
    STANDBY { name: "phoenix_processor_aggregator_standby_points", unit: "{datapoint}", text: "Data points of replicas that do not count: taken once they did, or discarded." }
    STREAMS { name: "phoenix_processor_aggregator_streams", unit: "{stream}", text: "Streams that are followed." }
    SERIES { name: "phoenix_processor_aggregator_series", unit: "{series}", text: "Series that are made." }
    STATE { name: "phoenix_processor_aggregator_state_size", unit: "By", text: "Memory for streams and series, as of the last window." }
    LAG { name: "phoenix_processor_aggregator_watermark_lag", unit: "ms", text: "How far the watermark is behind the clock." }
    CHECKPOINTS { name: "phoenix_processor_aggregator_checkpoints", unit: "{checkpoint}", text: "Attempts to write the state, by outcome." }
    JOURNALED { name: "phoenix_processor_aggregator_journal_requests", unit: "{request}", text: "Requests for the journal, by what became of them." }
}

/// What an aggregator says of itself.
#[derive(Clone, Debug)]
pub(crate) struct AggregatorMetrics {
    pub(crate) not_finite: Counter,
    pub(crate) invalid: Counter,
    pub(crate) duplicate: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) stream_limit: Counter,
    pub(crate) series_limit: Counter,
    pub(crate) cluster_limit: Counter,
    pub(crate) late: Counter,
    pub(crate) resets: Counter,
    pub(crate) gaps: Counter,
    pub(crate) overlaps: Counter,
    pub(crate) unknown_starts: Counter,
    pub(crate) future: Counter,
    pub(crate) streams: Gauge,
    pub(crate) series: Gauge,
    pub(crate) state: Gauge,
    pub(crate) lag: Gauge,
    pub(crate) checkpoints: Counter,
    pub(crate) checkpoint_failures: Counter,
    pub(crate) checkpoints_unreadable: Counter,
}

/// What is said of one rule.
#[derive(Clone, Debug)]
pub(crate) struct RuleMetrics {
    pub(crate) points_in: Counter,
    pub(crate) points_out: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) series_in: Gauge,
    pub(crate) series_out: Gauge,
    pub(crate) query_error: Gauge,
    pub(crate) partial: Counter,
    pub(crate) late_folded: Counter,
    pub(crate) late_corrected: Counter,
    pub(crate) late_dropped: Counter,
    pub(crate) held_back: Counter,
    pub(crate) exemplars_kept: Counter,
    pub(crate) exemplars_dropped: Counter,
    /// The score, then its parts in the order of [`PARTS`](crate::plan::PARTS).
    pub(crate) quality: [Gauge; 1 + PARTS.len()],
    pub(crate) overflow: Counter,
    pub(crate) incompatible: Counter,
    pub(crate) taken: Gauge,
    pub(crate) let_out: Gauge,
    pub(crate) dropped: Gauge,
}

impl AggregatorMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str) -> AggregatorMetrics {
        let metrics = metrics.at(Level::Normal);
        let dropped = |reason| metrics.quiet_counter(DROPPED, &[("processor", id), ("reason", reason)]);
        let counter = |description| metrics.quiet_counter(description, &[("processor", id)]);
        let gauge = |description| metrics.gauge(description, &[("processor", id)]);
        let checkpoint =
            |outcome| metrics.quiet_counter(CHECKPOINTS, &[("processor", id), ("outcome", outcome)]);
        AggregatorMetrics {
            not_finite: dropped("not_finite"),
            invalid: dropped("invalid"),
            duplicate: dropped("duplicate"),
            out_of_order: dropped("out_of_order"),
            stream_limit: dropped("stream_limit"),
            series_limit: dropped("series_limit"),
            cluster_limit: dropped("cluster_limit"),
            late: dropped("late"),
            resets: counter(RESETS),
            gaps: counter(GAPS),
            overlaps: counter(OVERLAPS),
            unknown_starts: counter(UNKNOWN_STARTS),
            future: counter(FUTURE),
            streams: gauge(STREAMS),
            series: gauge(SERIES),
            state: gauge(STATE),
            lag: gauge(LAG),
            checkpoints: checkpoint("written"),
            checkpoint_failures: checkpoint("failed"),
            checkpoints_unreadable: checkpoint("unreadable"),
        }
    }

    /// Counts an attempt to write the state.
    pub(crate) fn count_checkpoint(&self, place: &str, written: &std::io::Result<()>) {
        match written {
            Ok(()) => self.checkpoints.add(1),
            Err(error) => {
                self.checkpoint_failures.add(1);
                tracing::error!(path = place, %error, "the state cannot be written");
            }
        }
    }
}

impl JournalMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str) -> JournalMetrics {
        let metrics = metrics.at(Level::Normal);
        let requests = |outcome| metrics.quiet_counter(JOURNALED, &[("processor", id), ("outcome", outcome)]);
        JournalMetrics {
            written: requests("written"),
            failed: requests("failed"),
            replayed: requests("replayed"),
        }
    }
}

impl ReplicaMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str) -> ReplicaMetrics {
        let metrics = metrics.at(Level::Normal);
        let standby = |fate| metrics.quiet_counter(STANDBY, &[("processor", id), ("fate", fate)]);
        ReplicaMetrics {
            clusters: metrics.gauge(CLUSTERS, &[("processor", id)]),
            failovers: metrics.quiet_counter(FAILOVERS, &[("processor", id)]),
            taken: standby("taken"),
            discarded: standby("discarded"),
        }
    }
}

impl RuleMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, rule: &str) -> RuleMetrics {
        let metrics = metrics.at(Level::Normal);
        let counter = |description| metrics.quiet_counter(description, &[("processor", id), ("rule", rule)]);
        let late =
            |action| metrics.quiet_counter(LATE, &[("processor", id), ("rule", rule), ("action", action)]);
        let exemplars =
            |fate| metrics.quiet_counter(EXEMPLARS, &[("processor", id), ("rule", rule), ("fate", fate)]);
        let increments =
            |fate| metrics.gauge(INCREMENTS, &[("processor", id), ("rule", rule), ("fate", fate)]);
        let series = |direction| {
            metrics.gauge(RULE_SERIES, &[("processor", id), ("rule", rule), ("direction", direction)])
        };
        RuleMetrics {
            points_in: counter(POINTS_IN),
            points_out: counter(POINTS_OUT),
            bytes_in: counter(BYTES_IN),
            bytes_out: counter(BYTES_OUT),
            series_in: series("in"),
            series_out: series("out"),
            query_error: metrics.gauge(QUERY_ERROR, &[("processor", id), ("rule", rule)]),
            partial: counter(PARTIAL),
            late_folded: late("folded"),
            late_corrected: late("corrected"),
            late_dropped: late("dropped"),
            held_back: counter(HELD_BACK),
            exemplars_kept: exemplars("kept"),
            exemplars_dropped: exemplars("dropped"),
            quality: std::array::from_fn(|place| {
                let part = place.checked_sub(1).map_or("score", |part| PARTS[part]);
                let gauge = metrics.gauge(QUALITY, &[("processor", id), ("rule", rule), ("part", part)]);
                // Nothing bad was seen yet.
                gauge.set(1_000_000);
                gauge
            }),
            overflow: counter(OVERFLOW),
            incompatible: counter(INCOMPATIBLE),
            taken: increments("taken"),
            let_out: increments("let_out"),
            dropped: increments("dropped"),
        }
    }
}

use std::sync::{Arc, Weak};
use std::time::Duration;

use phoenix_telemetry::{Counter, Description, Histogram, InstrumentKind, Level, Measure, Metrics, Value};

use crate::buffer::Pool;

const fn describe(name: &'static str, unit: &'static str, text: &'static str) -> Description {
    Description { name, unit, text }
}

const SAMPLED: Description = describe(
    "otelcol_processor_tail_sampling_count_traces_sampled",
    "{traces}",
    "Count of traces that were sampled or not per sampling policy.",
);
const SAMPLED_SPANS: Description = describe(
    "otelcol_processor_tail_sampling_count_spans_sampled",
    "{spans}",
    "Count of spans that were sampled or not per sampling policy.",
);
const GLOBAL: Description = describe(
    "otelcol_processor_tail_sampling_global_count_traces_sampled",
    "{traces}",
    "Global count of traces that were sampled or not by at least one policy.",
);
const EARLY_RELEASES: Description = describe(
    "otelcol_processor_tail_sampling_early_releases_from_cache_decision",
    "{spans}",
    "Number of spans that were able to be immediately released due to a decision cache hit.",
);
const NEW_TRACES: Description = describe(
    "otelcol_processor_tail_sampling_new_trace_id_received",
    "{traces}",
    "Counts the arrival of new traces.",
);
const ERRORS: Description = describe(
    "otelcol_processor_tail_sampling_sampling_policy_evaluation_error",
    "{errors}",
    "Count of sampling policy evaluation errors.",
);
const EXECUTIONS: Description = describe(
    "otelcol_processor_tail_sampling_sampling_policy_execution_count",
    "{executions}",
    "Total number of executions of a specific sampling policy.",
);
const EXECUTION_TIME: Description = describe(
    "otelcol_processor_tail_sampling_sampling_policy_execution_time_sum",
    "µs",
    "Total time (in microseconds) spent executing a specific sampling policy, estimated from one trace in 64.",
);
const TOO_EARLY: Description = describe(
    "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early",
    "{traces}",
    "Count of traces that needed to be dropped before the configured wait time; here they are decided, not dropped.",
);
const TOO_LARGE: Description = describe(
    "otelcol_processor_tail_sampling_traces_dropped_too_large",
    "{traces}",
    "Count of traces that were dropped because they were too large.",
);
const ON_MEMORY: Description = describe(
    "otelcol_processor_tail_sampling_sampling_traces_on_memory",
    "{traces}",
    "Tracks the number of traces current on memory.",
);
const REMOVAL_AGE: Description = describe(
    "otelcol_processor_tail_sampling_sampling_trace_removal_age",
    "s",
    "Time (in seconds) from arrival of a new trace until its removal from memory.",
);
const LATE_AGE: Description = describe(
    "otelcol_processor_tail_sampling_sampling_late_span_age",
    "s",
    "Time (in seconds) from the sampling decision was taken and the arrival of a late span.",
);
const TIMER_LATENCY: Description = describe(
    "otelcol_processor_tail_sampling_sampling_decision_timer_latency",
    "ms",
    "Time (in milliseconds) by which decisions came after the moment at which they were due.",
);
const USED: Description = describe(
    "phoenix_processor_tail_sampling_buffer_bytes",
    "By",
    "Memory of traces that wait, over all shards.",
);
const LIMIT: Description = describe(
    "phoenix_processor_tail_sampling_buffer_limit_bytes",
    "By",
    "The most memory that traces may wait in, over all shards.",
);
const HEADROOM: Description = describe(
    "phoenix_processor_tail_sampling_buffer_headroom_seconds",
    "s",
    "How long traces can wait at the present inflow before memory is full: should be above decision_wait.",
);
const EARLY: Description = describe(
    "phoenix_processor_tail_sampling_early_decisions",
    "{traces}",
    "Traces that were decided before their time, by reason.",
);
const TRUNCATED: Description = describe(
    "phoenix_processor_tail_sampling_truncated_traces",
    "{traces}",
    "Large traces that were kept in part.",
);
const STRESS: Description = describe(
    "phoenix_processor_tail_sampling_stress_sampled",
    "{spans}",
    "Spans of new traces that were not let in while memory was short.",
);
const NO_ID: Description = describe(
    "phoenix_processor_tail_sampling_spans_without_trace_id",
    "{spans}",
    "Spans without a trace identifier; they are decided together.",
);

const AGE_BOUNDS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0];
const LATENCY_BOUNDS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 400.0, 800.0, 1000.0, 2000.0, 10_000.0];

/// Why a trace is decided before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// Memory is short.
    Memory,
    /// As many traces wait as may.
    Traces,
    /// It takes too much memory by itself.
    Size,
    /// The processor stops, or is replaced by one with other shards.
    Drain,
}

impl Early {
    const NAMES: [&str; 4] = ["memory", "num_traces", "size", "drain"];

    /// As metrics say it.
    pub(crate) fn name(self) -> &'static str {
        Early::NAMES[self as usize]
    }
}

/// What became of a trace or a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sampled,
    NotSampled,
    Dropped,
}

impl Outcome {
    const ALL: [Outcome; 3] = [Outcome::Sampled, Outcome::NotSampled, Outcome::Dropped];

    /// As metrics say it.
    pub(crate) fn name(self) -> &'static str {
        self.attributes()[1].1
    }

    fn attributes(self) -> [(&'static str, &'static str); 2] {
        match self {
            Outcome::Sampled => [("sampled", "true"), ("decision", "sampled")],
            Outcome::NotSampled => [("sampled", "false"), ("decision", "not_sampled")],
            Outcome::Dropped => [("sampled", "false"), ("decision", "dropped")],
        }
    }
}

/// Of so many traces one is timed, and stands for all of them: reading the clock takes as long as most policies.
pub(crate) const TIMED_ONE_IN: u32 = 64;

/// Traces and spans by outcome, of one policy; added up, and counted from time to time.
#[derive(Debug)]
pub(crate) struct PolicyMetrics {
    counters: [(Counter, Counter); 3],
    executions: Counter,
    execution_time: Counter,
    tally: [(u64, u64); 3],
    failed: u64,
    /// What was spent and not counted yet.
    spent: Duration,
}

impl PolicyMetrics {
    /// `id` is that of the processor; where it has a name, that is put before the policy's.
    pub(crate) fn new(metrics: &Metrics, id: &str, policy: &str) -> PolicyMetrics {
        let policy = match id.split_once('/') {
            Some((_, name)) => format!("{name}.{policy}"),
            None => policy.to_owned(),
        };
        let normal = metrics.at(Level::Normal);
        let counters = Outcome::ALL.map(|outcome| {
            let [sampled, decision] = outcome.attributes();
            let attributes = [("processor", id), ("policy", policy.as_str()), sampled, decision];
            (normal.quiet_counter(SAMPLED, &attributes), normal.quiet_counter(SAMPLED_SPANS, &attributes))
        });
        let attributes = [("processor", id), ("policy", policy.as_str())];
        PolicyMetrics {
            counters,
            executions: normal.quiet_counter(EXECUTIONS, &attributes),
            execution_time: normal.quiet_counter(EXECUTION_TIME, &attributes),
            tally: Default::default(),
            failed: 0,
            spent: Duration::ZERO,
        }
    }

    /// It could not tell.
    pub(crate) fn failed(&mut self) {
        self.failed += 1;
    }

    /// One trace of [`TIMED_ONE_IN`] took so long.
    pub(crate) fn timed(&mut self, elapsed: Duration) {
        self.spent += elapsed * TIMED_ONE_IN;
    }

    pub(crate) fn count(&mut self, outcome: Outcome, spans: u64) {
        let tally = &mut self.tally[outcome as usize];
        tally.0 += 1;
        tally.1 += spans;
    }

    pub(crate) fn settle(&mut self) {
        let mut executions = std::mem::take(&mut self.failed);
        for (tally, counters) in self.tally.iter_mut().zip(&self.counters) {
            let (traces, spans) = std::mem::take(tally);
            if traces > 0 {
                counters.0.add(traces);
                counters.1.add(spans);
                executions += traces;
            }
        }
        if executions > 0 {
            self.executions.add(executions);
        }
        let micros = self.spent.as_micros() as u64;
        if micros > 0 {
            self.execution_time.add(micros);
            self.spent -= Duration::from_micros(micros);
        }
    }
}

/// What a processor says of itself.
#[derive(Clone, Debug)]
pub(crate) struct TailMetrics {
    global: [Counter; 3],
    early: [Counter; 4],
    pub(crate) late_sampled: Counter,
    pub(crate) late_not_sampled: Counter,
    pub(crate) new_traces: Counter,
    pub(crate) errors: Counter,
    pub(crate) too_early: Counter,
    pub(crate) too_large: Counter,
    pub(crate) truncated: Counter,
    pub(crate) stress: Counter,
    pub(crate) without_id: Counter,
    pub(crate) removal_age: Histogram,
    pub(crate) late_age: Histogram,
    pub(crate) timer_latency: Histogram,
}

impl TailMetrics {
    pub(crate) fn new(metrics: &Metrics, id: &str, pool: &Arc<Pool>) -> TailMetrics {
        let normal = metrics.at(Level::Normal);
        let processor = [("processor", id)];
        let with = |key, value| [("processor", id), (key, value)];
        observe(&normal, ON_MEMORY, &processor, pool, |pool| Value::Int(pool.traces() as i64));
        observe(&normal, USED, &processor, pool, |pool| Value::Int(pool.used() as i64));
        observe(&normal, LIMIT, &processor, pool, |pool| Value::Int(pool.limit() as i64));
        let pool = Arc::downgrade(pool);
        normal.observe(HEADROOM, InstrumentKind::Gauge, &processor, move || {
            Some(Value::Float(pool.upgrade()?.lasts_for()?.as_secs_f64()))
        });
        TailMetrics {
            global: Outcome::ALL.map(|outcome| {
                let [sampled, decision] = outcome.attributes();
                normal.quiet_counter(GLOBAL, &[("processor", id), sampled, decision])
            }),
            early: Early::NAMES.map(|reason| normal.quiet_counter(EARLY, &with("reason", reason))),
            late_sampled: normal.quiet_counter(EARLY_RELEASES, &with("sampled", "true")),
            late_not_sampled: normal.quiet_counter(EARLY_RELEASES, &with("sampled", "false")),
            new_traces: normal.quiet_counter(NEW_TRACES, &processor),
            errors: normal.quiet_counter(ERRORS, &processor),
            too_early: normal.quiet_counter(TOO_EARLY, &processor),
            too_large: normal.quiet_counter(TOO_LARGE, &processor),
            truncated: normal.quiet_counter(TRUNCATED, &processor),
            stress: normal.quiet_counter(STRESS, &processor),
            without_id: normal.quiet_counter(NO_ID, &processor),
            removal_age: normal.histogram(REMOVAL_AGE, &processor, Measure::Seconds, AGE_BOUNDS),
            late_age: normal.histogram(LATE_AGE, &processor, Measure::Seconds, AGE_BOUNDS),
            timer_latency: normal.histogram(TIMER_LATENCY, &processor, Measure::Milliseconds, LATENCY_BOUNDS),
        }
    }

    pub(crate) fn decided(&self, outcome: Outcome) {
        self.global[outcome as usize].add(1);
    }

    pub(crate) fn early(&self, reason: Early) {
        self.early[reason as usize].add(1);
        if matches!(reason, Early::Memory | Early::Traces) {
            self.too_early.add(1);
        }
    }
}

/// Shows something of the pool for as long as it is there.
fn observe(
    metrics: &Metrics,
    description: Description,
    attributes: &[(&'static str, &str)],
    pool: &Arc<Pool>,
    read: fn(&Pool) -> Value,
) {
    let pool: Weak<Pool> = Arc::downgrade(pool);
    metrics.observe(description, InstrumentKind::Gauge, attributes, move || Some(read(&*pool.upgrade()?)));
}

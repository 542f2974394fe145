//! Whether memory lasts for as long as traces wait, at the inflow that the settings expect.
//!
//! `docs/tail-sampling.md` explains the sizes. How it is in fact is measured, and shown as
//! `phoenix_processor_tail_sampling_buffer_headroom_seconds`.

use std::time::Duration;

use crate::config::TailSamplingConfig;

/// Spans of a trace, and bytes of a span, where nobody knows better.
const SPANS: u64 = 8;
const SPAN_BYTES: u64 = 500;
/// Memory beside a span's bytes, where it came alone.
const BESIDE_SPAN: u64 = 20;
/// Memory beside a trace's spans.
const BESIDE_TRACE: u64 = 144;
const TRACE: u64 = SPANS * (SPAN_BYTES + BESIDE_SPAN) + BESIDE_TRACE;

/// What ends before traces have waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// For how long traces can wait.
    pub(crate) headroom: Duration,
    wait: Duration,
    /// New traces in a second.
    inflow: u64,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Bytes(u64),
    Traces(u64),
}

impl Shortfall {
    /// Of a buffer in which so many bytes may live. Where no inflow is expected it is taken for one trace a second, which is
    /// less than anybody needs this for.
    pub(crate) fn of_memory(config: &TailSamplingConfig, bytes: u64) -> Option<Shortfall> {
        let inflow = config.expected_new_traces_per_sec.max(1);
        Shortfall::new(config, inflow, bytes as f64 / TRACE as f64, Limit::Bytes(bytes))
    }

    /// Of `num_traces`, where an inflow is expected.
    pub(crate) fn of_traces(config: &TailSamplingConfig) -> Option<Shortfall> {
        let (traces, inflow) = (config.most_traces()?, config.expected_new_traces_per_sec);
        if inflow == 0 {
            return None;
        }
        Shortfall::new(config, inflow, traces as f64, Limit::Traces(traces))
    }

    fn new(config: &TailSamplingConfig, inflow: u64, traces: f64, limit: Limit) -> Option<Shortfall> {
        let wait = config.decision_wait.as_duration();
        let headroom = Duration::try_from_secs_f64(traces / inflow as f64).unwrap_or(Duration::MAX);
        (headroom < wait).then_some(Shortfall { headroom, wait, inflow, limit })
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> String {
        let (inflow, seconds) = (self.inflow, self.headroom.as_secs_f64());
        match self.limit {
            Limit::Bytes(_) => format!(
                "is longer than the buffer can hold: it is full after {seconds:.1}s at {inflow} new traces a second \
                 with {SPANS} spans of {SPAN_BYTES} bytes each, and traces are decided early"
            ),
            Limit::Traces(most) => format!(
                "is longer than num_traces allows: {most} traces wait after {seconds:.1}s at {inflow} new traces a \
                 second, and traces are decided early"
            ),
        }
    }

    /// What would be right.
    pub(crate) fn help(&self) -> String {
        let traces = self.wait.as_secs_f64() * self.inflow as f64;
        match self.limit {
            Limit::Bytes(_) => format!(
                "set buffer::max_bytes to {:.0} or more, decision_wait to less, or expected_new_traces_per_sec to what comes",
                traces * TRACE as f64 / crate::buffer::FILL
            ),
            Limit::Traces(_) => format!("set num_traces to {traces:.0} or more, or leave it out"),
        }
    }
}

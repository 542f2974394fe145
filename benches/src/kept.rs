//! What a tail sampler let out: how late, how many failures, and how many spans all of it stands for.

use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::signal::Signal;
use crate::wire::{self, Malformed};

/// Lateness is kept in microseconds up to ten minutes.
const LONGEST_MICROS: u64 = 600_000_000;

/// What arrived of spans whose ids say when they were sent (`load --stamp`).
#[derive(Debug)]
pub(crate) struct KeptSpans {
    /// How long they were to wait, in nanoseconds.
    wait_nanos: u64,
    /// By how many microseconds they came later than that.
    late: Histogram<u64>,
    failed: u64,
    stand_for: f64,
}

/// What a sink says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptReport {
    /// Spans that had waited; those that came before their time do not count.
    pub(crate) waited: u64,
    /// By how many microseconds they came later than they had to.
    pub(crate) late_p50_us: u64,
    pub(crate) late_p99_us: u64,
    pub(crate) late_max_us: u64,
    /// Spans with an error.
    pub(crate) failed: u64,
    /// How many spans there were, as the thresholds say of those that are left.
    pub(crate) stand_for: f64,
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nanos(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How many spans one stands for whose `tracestate` this is.
fn adjusted_count(trace_state: &[u8]) -> f64 {
    let text = std::str::from_utf8(trace_state).unwrap_or_default();
    let of_otel = text.split(',').find_map(|member| member.trim().strip_prefix("ot="));
    let digits = of_otel.and_then(|members| members.split(';').find_map(|member| member.strip_prefix("th:")));
    let threshold = digits.and_then(|digits| u64::from_str_radix(&format!("{digits:0<14}"), 16).ok());
    let all = (1_u64 << 56) as f64;
    threshold.map_or(1.0, |threshold| all / (all - threshold as f64))
}

impl KeptSpans {
    /// Of spans that wait for so many milliseconds.
    pub(crate) fn new(wait_ms: u64) -> KeptSpans {
        KeptSpans {
            wait_nanos: wait_ms * 1_000_000,
            late: Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("three digits are allowed"),
            failed: 0,
            stand_for: 0.0,
        }
    }

    /// Takes a request in that came at a time.
    pub(crate) fn record(&mut self, body: &[u8], now: u64) -> Result<(), Malformed> {
        wire::each_span(body, |span| {
            let sent = span.id.map_or(u64::MAX, |at| wire::read_id(body, at, Signal::Traces));
            let due = sent.saturating_add(self.wait_nanos);
            if now >= due {
                self.late.saturating_record((now - due) / 1000);
            }
            self.failed += u64::from(span.has_failed);
            self.stand_for += adjusted_count(&body[span.trace_state]);
        })
    }

    pub(crate) fn report(&self) -> KeptReport {
        KeptReport {
            waited: self.late.len(),
            late_p50_us: self.late.value_at_quantile(0.5),
            late_p99_us: self.late.value_at_quantile(0.99),
            late_max_us: self.late.max(),
            failed: self.failed,
            stand_for: self.stand_for,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payloads::Payload;

    #[test]
    fn spans_say_when_they_were_sent_and_what_they_stand_for() {
        let payload = Payload::new(Signal::Traces, 200, 1);
        let mut bytes = payload.bytes.to_vec();
        payload.stamp(&mut bytes, 5_000_000_000);
        let mut kept = KeptSpans::new(2000);
        kept.record(&bytes, 6_999_000_000).unwrap();
        assert_eq!(kept.report().waited, 0, "before its time");
        kept.record(&bytes, 7_150_000_000).unwrap();
        let report = kept.report();
        assert_eq!(report.waited, 200);
        assert!((149_000..=151_000).contains(&report.late_p99_us), "{report:?}");
        assert_eq!(report.failed, 2 * payload.failed);
        assert!(payload.failed > 0, "a twentieth of the traces");
        assert_eq!(report.stand_for, 400.0);
        assert!(kept.record(&[0x0a, 0x7f], 0).is_err());
    }

    #[test]
    fn thresholds_are_counts() {
        let cases = [("", 1.0), ("ot=th:0", 1.0), ("a=b,ot=rv:ffffffffffffff;th:8", 2.0), ("ot=th:c", 4.0)];
        for (state, expected) in cases {
            assert_eq!(adjusted_count(state.as_bytes()), expected, "{state}");
        }
    }
}

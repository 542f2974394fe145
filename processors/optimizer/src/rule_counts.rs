//! What the rules did to the points of a request: plain numbers, which are added to the metrics once it is done.

use crate::metrics::OptimizerMetrics;

/// Of one rule.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    matched: u64,
    dropped: u64,
    folded: u64,
    overflowed: u64,
    left: u64,
    bytes_in: u64,
    bytes_out: u64,
    is_touched: bool,
}

/// By rule.
#[derive(Debug, Default)]
pub(crate) struct RuleCounts {
    counts: Vec<Counts>,
    touched: Vec<u16>,
    /// How often rules were gone through.
    verdicts: u64,
}

impl RuleCounts {
    fn of(&mut self, rule: u16) -> &mut Counts {
        let index = usize::from(rule);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, Counts::default());
        }
        let counts = &mut self.counts[index];
        if !std::mem::replace(&mut counts.is_touched, true) {
            self.touched.push(rule);
        }
        counts
    }

    /// Rules match points that take so many bytes.
    pub(crate) fn matched(&mut self, rules: &[u16], points: u64, bytes: u64) {
        for rule in rules {
            let counts = self.of(*rule);
            counts.matched += points;
            counts.bytes_in += bytes;
        }
    }

    /// What rules matched goes on, or is let out, in so many bytes.
    pub(crate) fn left(&mut self, rules: &[u16], points: u64, bytes: u64) {
        for rule in rules {
            let counts = self.of(*rule);
            counts.left += points;
            counts.bytes_out += bytes;
        }
    }

    pub(crate) fn folded(&mut self, rules: &[u16]) {
        rules.iter().for_each(|rule| self.of(*rule).folded += 1);
    }

    pub(crate) fn dropped(&mut self, rule: u16, points: u64) {
        self.of(rule).dropped += points;
    }

    /// All rules, or all about a metric, were gone through.
    pub(crate) fn verdict(&mut self) {
        self.verdicts += 1;
    }

    pub(crate) fn overflowed(&mut self, rule: u16) {
        self.of(rule).overflowed += 1;
    }

    /// Adds everything to the metrics, and begins anew.
    pub(crate) fn flush(&mut self, metrics: &OptimizerMetrics) {
        metrics.verdicts.add(std::mem::take(&mut self.verdicts));
        for rule in self.touched.drain(..) {
            let index = usize::from(rule);
            let counts = std::mem::take(&mut self.counts[index]);
            let Some(of_rule) = metrics.rules.get(index) else { continue };
            for (counter, count) in [
                (&of_rule.matched, counts.matched),
                (&of_rule.dropped, counts.dropped),
                (&of_rule.folded, counts.folded),
                (&of_rule.overflowed, counts.overflowed),
                (&of_rule.left, counts.left),
                (&of_rule.bytes_in, counts.bytes_in),
                (&of_rule.bytes_out, counts.bytes_out),
            ] {
                if count > 0 {
                    counter.add(count);
                }
            }
        }
    }
}

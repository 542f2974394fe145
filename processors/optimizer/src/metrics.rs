//! What the optimizer says of itself. By rule, outcome and reason only: never by the values of labels.

use phoenix_component::{InOut, RuleSavings, Savings};
use phoenix_telemetry::{Counter, Description, Gauge, Level, Metrics};

const POINTS: Description = Description {
    name: "phoenix_processor_optimizer_points",
    unit: "{point}",
    text: "Data points, by direction.",
};
const BYTES: Description = Description {
    name: "phoenix_processor_optimizer_bytes",
    unit: "By",
    text: "Bytes of requests, uncompressed, by direction.",
};
const TRACKED: Description = Description {
    name: "phoenix_processor_optimizer_tracked",
    unit: "{series}",
    text: "Series of which a state is kept, as they come in and as they are let out.",
};
const STATE_BYTES: Description = Description {
    name: "phoenix_processor_optimizer_state_bytes",
    unit: "By",
    text: "Memory of states, which is charged to the collector's budget.",
};
const RULE_POINTS: Description = Description {
    name: "phoenix_processor_optimizer_rule_points",
    unit: "{point}",
    text: "Data points that a rule matched, dropped, put into other series, that were over its limit, and that are left.",
};
const RULE_BYTES: Description = Description {
    name: "phoenix_processor_optimizer_rule_bytes",
    unit: "By",
    text: "Bytes of the data points that a rule matched, and of what is left of them.",
};
const RULE_SERIES: Description = Description {
    name: "phoenix_processor_optimizer_rule_series",
    unit: "{series}",
    text: "Series that a rule matches and what becomes of them; for rules in mode shadow what would.",
};
const QUANTILE_ERROR: Description = Description {
    name: "phoenix_processor_optimizer_quantile_error",
    unit: "{ppm}",
    text: "The largest measured error of a quantile (50, 90, 95, 99 %) by histograms made smaller, in millionths.",
};
const IGNORED: Description = Description {
    name: "phoenix_processor_optimizer_ignored",
    unit: "{point}",
    text: "Data points that could not be put into another series, by reason.",
};
const VERDICTS: Description = Description {
    name: "phoenix_processor_optimizer_verdicts",
    unit: "{verdict}",
    text: "Times that rules were gone through, for a metric, a resource or a series that is not remembered.",
};
const RESETS: Description = Description {
    name: "phoenix_processor_optimizer_resets",
    unit: "{reset}",
    text: "Times that a stream that is aggregated started again.",
};

const LEVEL: Description = Description {
    name: "phoenix_processor_optimizer_level",
    unit: "1",
    text: "The level of a class of rules: how much is given up to keep to the targets.",
};
const ADJUSTMENTS: Description = Description {
    name: "phoenix_processor_optimizer_adjustments",
    unit: "{adjustment}",
    text: "Times that a level was changed, by direction.",
};

use crate::rules::Rule;

/// Why a point could not be put into another series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It was there already.
    Duplicate,
    /// A newer one was there already.
    OutOfOrder,
    /// Infinite, or not a number, or none.
    NotFinite,
    /// A counter that is negative.
    Negative,
    /// A histogram that contradicts itself.
    Malformed,
    /// There is no room for the state of another series.
    Untracked,
    /// A gauge over the limit, without a function.
    GaugeOverflow,
    /// It passes unchanged: summaries, no temporality, or bounds that have nothing in common.
    NotMergeable,
    /// It adds nothing: nobody knows what of it was counted before.
    UnknownStart,
    /// Its clock is ahead; it counts, at the time of its arrival.
    Ahead,
}

impl Reason {
    const ALL: [Reason; 10] = [
        Reason::Duplicate,
        Reason::OutOfOrder,
        Reason::NotFinite,
        Reason::Negative,
        Reason::Malformed,
        Reason::Untracked,
        Reason::GaugeOverflow,
        Reason::NotMergeable,
        Reason::UnknownStart,
        Reason::Ahead,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Reason::Duplicate => "duplicate",
            Reason::OutOfOrder => "out_of_order",
            Reason::NotFinite => "not_finite",
            Reason::Negative => "negative",
            Reason::Malformed => "malformed",
            Reason::Untracked => "untracked",
            Reason::GaugeOverflow => "gauge_overflow",
            Reason::NotMergeable => "not_mergeable",
            Reason::UnknownStart => "unknown_start",
            Reason::Ahead => "clock_ahead",
        }
    }
}

/// Of one rule.
#[derive(Clone, Debug)]
pub(crate) struct RuleMetrics {
    pub(crate) matched: Counter,
    pub(crate) dropped: Counter,
    pub(crate) folded: Counter,
    pub(crate) overflowed: Counter,
    /// Points that go on or are let out.
    pub(crate) left: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) series_in: Gauge,
    pub(crate) series_out: Gauge,
    pub(crate) quantile_error: Gauge,
}

/// Of one processor.
#[derive(Clone, Debug)]
pub(crate) struct OptimizerMetrics {
    pub(crate) points_in: Counter,
    pub(crate) points_out: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) tracked_in: Gauge,
    pub(crate) tracked_out: Gauge,
    pub(crate) state_bytes: Gauge,
    pub(crate) resets: Counter,
    pub(crate) verdicts: Counter,
    ignored: Vec<Counter>,
    pub(crate) rules: Vec<RuleMetrics>,
    /// By class.
    pub(crate) levels: Vec<Gauge>,
    pub(crate) adjusted_up: Counter,
    pub(crate) adjusted_down: Counter,
}

impl OptimizerMetrics {
    pub(crate) fn new<'r>(
        metrics: &Metrics,
        id: &str,
        rules: impl Iterator<Item = &'r str>,
        classes: impl Iterator<Item = &'r str>,
    ) -> OptimizerMetrics {
        let normal = metrics.at(Level::Normal);
        let counter =
            |description, key, value| normal.counter(description, &[("processor", id), (key, value)]);
        let rule = |name: &str| {
            let points = |outcome| {
                normal.quiet_counter(RULE_POINTS, &[("processor", id), ("rule", name), ("outcome", outcome)])
            };
            let series = |direction| {
                normal.gauge(RULE_SERIES, &[("processor", id), ("rule", name), ("direction", direction)])
            };
            let bytes = |direction| {
                let of_rule = [("processor", id), ("rule", name), ("direction", direction)];
                normal.quiet_counter(RULE_BYTES, &of_rule)
            };
            RuleMetrics {
                matched: points("matched"),
                dropped: points("dropped"),
                folded: points("folded"),
                overflowed: points("overflowed"),
                left: points("left"),
                bytes_in: bytes("in"),
                bytes_out: bytes("out"),
                series_in: series("in"),
                series_out: series("out"),
                quantile_error: normal.gauge(QUANTILE_ERROR, &[("processor", id), ("rule", name)]),
            }
        };
        OptimizerMetrics {
            points_in: counter(POINTS, "direction", "in"),
            points_out: counter(POINTS, "direction", "out"),
            bytes_in: counter(BYTES, "direction", "in"),
            bytes_out: counter(BYTES, "direction", "out"),
            tracked_in: normal.gauge(TRACKED, &[("processor", id), ("direction", "in")]),
            tracked_out: normal.gauge(TRACKED, &[("processor", id), ("direction", "out")]),
            state_bytes: normal.gauge(STATE_BYTES, &[("processor", id)]),
            verdicts: normal.quiet_counter(VERDICTS, &[("processor", id)]),
            resets: normal.quiet_counter(RESETS, &[("processor", id)]),
            ignored: Reason::ALL
                .map(|reason| normal.quiet_counter(IGNORED, &[("processor", id), ("reason", reason.name())]))
                .into(),
            rules: rules.map(rule).collect(),
            levels: classes
                .map(|class| normal.gauge(LEVEL, &[("processor", id), ("class", class)]))
                .collect(),
            adjusted_up: normal.quiet_counter(ADJUSTMENTS, &[("processor", id), ("direction", "up")]),
            adjusted_down: normal.quiet_counter(ADJUSTMENTS, &[("processor", id), ("direction", "down")]),
        }
    }

    /// What the rules did so far, for people.
    pub(crate) fn savings(&self, rules: &[Rule]) -> Savings {
        let of_rule = |(metrics, rule): (&RuleMetrics, &Rule)| RuleSavings {
            rule: rule.config.name.clone(),
            mode: rule.config.mode.name(),
            series: InOut::of_gauges(&metrics.series_in, &metrics.series_out),
            points: InOut { r#in: metrics.matched.value(), out: metrics.left.value() },
            bytes: InOut { r#in: metrics.bytes_in.value(), out: metrics.bytes_out.value() },
            dropped: metrics.dropped.value(),
            folded: metrics.folded.value(),
            overflowed: metrics.overflowed.value(),
            quantile_error_ppm: metrics.quantile_error.value().max(0).unsigned_abs(),
            ..RuleSavings::default()
        };
        Savings {
            points: InOut { r#in: self.points_in.value(), out: self.points_out.value() },
            bytes: InOut { r#in: self.bytes_in.value(), out: self.bytes_out.value() },
            tracked: InOut::of_gauges(&self.tracked_in, &self.tracked_out),
            rules: self.rules.iter().zip(rules).map(of_rule).collect(),
        }
    }

    pub(crate) fn ignored(&self, reason: Reason) {
        if let Some(counter) = self.ignored.get(reason as usize) {
            counter.add(1);
        }
    }
}

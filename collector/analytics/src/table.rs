//! The report for people.

use std::fmt;

use crate::proposal::yaml;
use crate::report::Report;

/// Labels of a metric that are shown.
const LABELS: usize = 4;

fn percent(of: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { of as f64 * 100.0 / all as f64 }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        writeln!(
            f,
            "{} metrics, {} series ({} hold still), {} points, {} bytes in {:.0} s\n",
            totals.metrics,
            totals.series,
            totals.constant_series,
            totals.points,
            totals.bytes,
            totals.seconds
        )?;
        writeln!(
            f,
            "{:<44} {:<22} {:>9} {:>6} {:>10} {:>11} {:>6} {:>9} {:>7}",
            "metric", "type", "series", "%", "points", "bytes", "every", "new/hour", "still"
        )?;
        for metric in &self.metrics {
            writeln!(
                f,
                "{:<44} {:<22} {:>9} {:>6.1} {:>10} {:>11} {:>5.0}s {:>9.0} {:>7}",
                metric.name.escape_debug().to_string(),
                metric.of,
                metric.series,
                percent(metric.series, totals.series),
                metric.points,
                metric.bytes,
                metric.interval_seconds,
                metric.new_series_per_hour,
                metric.constant_series
            )?;
            for label in metric.labels.iter().filter(|label| label.saves > 0.0).take(LABELS) {
                writeln!(
                    f,
                    "    {}{}: {} values, {} series without it (-{:.1} %){}",
                    if label.on_resource { "resource " } else { "" },
                    label.key.escape_debug(),
                    label.values,
                    label.series_without,
                    label.saves * 100.0,
                    if label.looks_like_identifiers { ", identifiers" } else { "" }
                )?;
            }
        }
        if !self.repeated.is_empty() {
            writeln!(f, "\nseries that say the same as another:")?;
            for one in &self.repeated {
                writeln!(f, "    {:?}: {} as those of {:?}", one.metric, one.series, one.same_as)?;
            }
        }
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        writeln!(f, "\n# proposed; in shadow until `mode: shadow` is taken out\n{}", yaml(&self.proposals))
    }
}

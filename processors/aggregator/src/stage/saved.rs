//! What the rules save, and how good their data is, for who asks the running collector.

use phoenix_component::{InOut, RuleSavings, Savings};

use super::Aggregator;
use crate::plan::PARTS;

impl Aggregator {
    /// Shows what each rule makes of how much, after windows were let out.
    pub(super) fn tell(&self) {
        let mut rules: Vec<RuleSavings> = Vec::new();
        for plan in &self.plans {
            let rule = &plan.shape.rule;
            // Levels of a rule come one after the other, and share its metrics.
            if rules.last().is_none_or(|last| last.rule != rule.id) {
                rules.push(RuleSavings { rule: rule.id.clone(), mode: "enforce", ..RuleSavings::default() });
            }
            let Some(told) = rules.last_mut() else { continue };
            let metrics = &plan.metrics;
            told.series.r#in = told.series.r#in.max(plan.streams as u64);
            told.series.out += plan.table.len() as u64;
            metrics.series_in.set(told.series.r#in as i64);
            metrics.series_out.set(told.series.out as i64);
            told.points = InOut { r#in: metrics.points_in.value(), out: metrics.points_out.value() };
            told.bytes = InOut { r#in: metrics.bytes_in.value(), out: metrics.bytes_out.value() };
            told.dropped = metrics.late_dropped.value();
            told.folded = metrics.late_folded.value();
            told.overflowed = metrics.overflow.value();
            told.quantile_error_ppm = metrics.query_error.value().max(0).unsigned_abs();
            let parts = std::iter::once("score").chain(PARTS);
            let shares = metrics.quality.iter().map(|gauge| gauge.value().max(0).unsigned_abs());
            told.quality_ppm = parts.zip(shares).collect();
        }
        let Some((book, _)) = &self.savings else { return };
        let out = |of: fn(&RuleSavings) -> u64| rules.iter().map(of).sum();
        book.tell(Savings {
            points: InOut { r#in: self.absorbed.0, out: out(|rule| rule.points.out) },
            bytes: InOut { r#in: self.absorbed.1, out: out(|rule| rule.bytes.out) },
            tracked: InOut { r#in: self.streams.len() as u64, out: self.series as u64 },
            rules,
        });
    }
}

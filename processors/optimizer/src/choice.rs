//! Bounds of explicit histograms, chosen once from what was measured.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use phoenix_series::{Explicit, Fingerprint, QuantileBudget, needed_bounds};

use crate::config::ChooseBounds;

/// The most metrics whose bounds are chosen; others keep theirs.
const MAX_CHOICES: usize = 10_000;
/// The most parts that what was measured is kept in; later ones are added to the last.
const MAX_WINDOWS: usize = 16;

/// Of one metric.
#[derive(Debug)]
struct Choice {
    /// The bounds from which is chosen. Streams with others keep theirs.
    source: Arc<[f64]>,
    settings: ChooseBounds,
    keep: Box<[f64]>,
    windows: Vec<Explicit>,
    /// When it is chosen, in seconds.
    due: u32,
    /// Fixed from then on: bounds that change look like a reset.
    chosen: Option<Box<[f64]>>,
}

/// By metric.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    choices: HashMap<Fingerprint, Choice>,
    /// Those that are not made yet.
    open: usize,
}

impl Choices {
    /// Takes note of what a histogram of a metric measured.
    pub(crate) fn learn(
        &mut self,
        metric: Fingerprint,
        histogram: &Explicit,
        settings: &ChooseBounds,
        keep: &[f64],
        now: u32,
    ) {
        let is_new = !self.choices.contains_key(&metric);
        if histogram.bounds.is_empty() || is_new && self.choices.len() >= MAX_CHOICES {
            return;
        }
        self.open += usize::from(is_new);
        let empty = || Explicit {
            bounds: histogram.bounds.clone(),
            counts: vec![0; histogram.counts.len()],
            ..Explicit::default()
        };
        let learn = Duration::from_nanos(u64::try_from(settings.learn.as_nanos()).unwrap_or(0));
        let choice = self.choices.entry(metric).or_insert_with(|| Choice {
            source: histogram.bounds.clone(),
            settings: settings.clone(),
            keep: keep.into(),
            windows: vec![empty()],
            due: now.saturating_add(u32::try_from(learn.as_secs()).unwrap_or(u32::MAX)),
            chosen: None,
        });
        if choice.chosen.is_none()
            && choice.source == histogram.bounds
            && let Some(window) = choice.windows.last_mut()
        {
            let added = window.add(histogram);
            debug_assert!(added.is_ok());
        }
    }

    /// Whether there is anything to choose.
    pub(crate) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// The end of an interval: what comes next is another part, and what is due is chosen.
    pub(crate) fn turn(&mut self, now: u32) {
        for choice in self.choices.values_mut().filter(|choice| choice.chosen.is_none()) {
            let measured = choice.windows.iter().fold(0_u64, |all, window| all.saturating_add(window.count));
            if now >= choice.due && measured >= choice.settings.at_least {
                let budget = |one: &crate::config::BoundsBudget| QuantileBudget {
                    quantile: one.quantile,
                    error: one.error,
                };
                let budgets: Vec<QuantileBudget> = choice.settings.budgets.iter().map(budget).collect();
                choice.chosen = Some(needed_bounds(&choice.windows, &budgets, &choice.keep).into());
                choice.windows = Vec::new();
                self.open -= 1;
            } else if choice.windows.len() < MAX_WINDOWS {
                let counts = vec![0; choice.source.len() + 1];
                choice.windows.push(Explicit {
                    bounds: choice.source.clone(),
                    counts,
                    ..Explicit::default()
                });
            }
        }
    }

    /// The bounds that a histogram of a metric keeps; none where all of them stay.
    pub(crate) fn of(&self, metric: Fingerprint, histogram: &Explicit) -> Option<&[f64]> {
        let choice = self.choices.get(&metric)?;
        choice.chosen.as_deref().filter(|_| choice.source == histogram.bounds)
    }
}

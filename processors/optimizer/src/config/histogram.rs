use phoenix_config::{Described, GoDuration, Problems};
use phoenix_series::Placement;
use serde::Deserialize;

/// How histograms are made smaller.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HistogramSettings {
    /// Exponential ones: the error of quantiles that is allowed, as a share; the scale is lowered to what it takes. 0 leaves the
    /// scale alone.
    pub max_error: f64,
    /// Exponential ones: the most buckets of either sign; the scale is lowered until they are. 0 for any number.
    pub max_buckets: usize,
    /// Explicit ones: the only bounds that stay, where they are there.
    pub keep_bounds: Vec<f64>,
    /// Explicit ones: bounds go while the buckets that are left are at most so wide, `(hi - lo) / (hi + lo)`. 0 for none.
    pub merge_error: f64,
    /// Explicit ones: only the bounds stay that quantiles need, by what was measured.
    pub choose_bounds: Option<ChooseBounds>,
    /// Explicit ones: become exponential with the scale that `max_error` asks for.
    pub to_exponential: bool,
    /// Where measurements go that become exponential.
    pub placement: PlacementName,
    /// Exponential ones: buckets without measurements at either end are left out.
    pub trim: bool,
}

/// Where the measurements of a bucket with explicit bounds go in an exponential histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum PlacementName {
    /// All to the middle of its bounds, by ratio: few buckets.
    #[default]
    Geometric,
    /// All to its upper bound: no quantile is told too low.
    Upper,
    /// Evenly, by ratio, to all buckets between its bounds: closest to smooth measurements, and the most buckets.
    LogSplit,
    /// Evenly, by value, to all buckets between its bounds: quantiles stay what dashboards read from the explicit histogram, within
    /// `max_error`.
    LinearSplit,
}

impl From<PlacementName> for Placement {
    fn from(name: PlacementName) -> Placement {
        match name {
            PlacementName::Geometric => Placement::Geometric,
            PlacementName::Upper => Placement::Upper,
            PlacementName::LogSplit => Placement::LogSplit,
            PlacementName::LinearSplit => Placement::LinearSplit,
        }
    }
}

/// Bounds chosen from what was measured, once for each metric; from then on they stay.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ChooseBounds {
    /// How far quantiles may move.
    pub budgets: Vec<BoundsBudget>,
    /// How long is measured before.
    pub learn: GoDuration,
    /// How many measurements there have to be.
    pub at_least: u64,
}

/// How far a quantile may move.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BoundsBudget {
    /// The quantile, between 0 and 1.
    #[described(required)]
    pub quantile: f64,
    /// The error that is allowed, as a share of its value.
    #[described(required)]
    pub error: f64,
}

impl Default for HistogramSettings {
    fn default() -> HistogramSettings {
        HistogramSettings {
            max_error: 0.0,
            max_buckets: 0,
            keep_bounds: Vec::new(),
            merge_error: 0.0,
            choose_bounds: None,
            to_exponential: false,
            placement: PlacementName::Geometric,
            trim: true,
        }
    }
}

impl Default for ChooseBounds {
    fn default() -> ChooseBounds {
        let budget = |(quantile, error)| BoundsBudget { quantile, error };
        ChooseBounds {
            budgets: [(0.5, 0.05), (0.9, 0.1), (0.95, 0.1), (0.99, 0.1)].map(budget).into(),
            learn: GoDuration::from_secs(600),
            at_least: 1000,
        }
    }
}

impl ChooseBounds {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.budgets.is_empty(), "budgets", "needs at least one quantile");
        for (index, budget) in self.budgets.iter().enumerate() {
            let key = format!("budgets::{index}");
            let (quantile, error) = (budget.quantile, budget.error);
            problems.require(
                quantile > 0.0 && quantile < 1.0,
                &format!("{key}::quantile"),
                "must be between 0 and 1",
            );
            problems.require(
                error > 0.0 && error <= 1.0,
                &format!("{key}::error"),
                "must be above 0 and at most 1",
            );
        }
        problems.require(!self.learn.is_negative(), "learn", "must not be negative");
        problems.require(self.at_least > 0, "at_least", "must be at least 1");
    }
}

impl HistogramSettings {
    pub(crate) fn validate(&self, problems: &mut Problems) {
        for (key, value) in [("max_error", self.max_error), ("merge_error", self.merge_error)] {
            problems.require((0.0..=1.0).contains(&value), key, "must be from 0 to 1");
        }
        problems.require(
            !self.to_exponential || self.max_error > 0.0,
            "to_exponential",
            "needs `max_error`, from which the scale follows",
        );
        problems.require(
            self.to_exponential || self.placement == PlacementName::Geometric,
            "placement",
            "is about histograms that become exponential: needs `to_exponential`",
        );
        let grow = self.keep_bounds.windows(2).all(|pair| pair[0] < pair[1]);
        problems.require(
            grow && self.keep_bounds.iter().all(|bound| bound.is_finite()),
            "keep_bounds",
            "must be finite and grow",
        );
        if let Some(choose) = &self.choose_bounds {
            problems.require(
                self.merge_error == 0.0 && !self.to_exponential,
                "choose_bounds",
                "cannot be used together with `merge_error` or `to_exponential`",
            );
            problems.within("choose_bounds", |problems| choose.validate(problems));
        }
    }

    /// Whether bounds of explicit histograms may go; if none is listed, all of them are kept.
    pub(crate) fn listed_bounds(&self) -> &[f64] {
        // With a choice the list says what stays whatever was measured.
        if self.choose_bounds.is_some() { &[] } else { &self.keep_bounds }
    }
}

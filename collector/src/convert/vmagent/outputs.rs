//! What is made of data points, and what that is called here.

use super::entry::Entry;

/// An output, as the aggregator has it.
#[derive(Debug)]
pub(super) struct Translated {
    /// As it is written in the file.
    pub(super) original: String,
    /// Its name without parameters, which ends the names of metrics.
    pub(super) base: &'static str,
    /// Outputs of the aggregator; none where there is no equivalent.
    pub(super) functions: Vec<String>,
    /// In what it differs.
    pub(super) remark: Option<String>,
}

impl Translated {
    /// What comes out of it.
    pub(super) fn shape(&self) -> Shape {
        match self.base {
            "total" | "total_prometheus" | "sum_samples_total" | "histogram_bucket" => Shape::Running,
            _ => Shape::Each,
        }
    }

    /// Whether it would be a delta in windows that follow each other.
    pub(super) fn adds_up(&self) -> bool {
        matches!(self.base, "increase" | "increase_prometheus" | "count_samples" | "sum_samples")
    }

    /// Whether both say the same name.
    pub(super) fn is_alike(&self) -> bool {
        matches!(self.functions.as_slice(), [only] if only == self.base)
    }
}

/// What comes out, as VictoriaMetrics and everybody behind a remote write understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A number for each window. What would be deltas here is a gauge.
    Each,
    /// What goes on since the start.
    Running,
}

/// Names that take no parameters, those here, and what differs.
const KNOWN: [(&str, Option<&str>, Option<&str>); 19] = [
    ("avg", Some("avg"), None),
    ("count_samples", Some("count"), None),
    ("count_series", Some("series"), None),
    (
        "histogram_bucket",
        Some("histogram"),
        Some("is an exponential histogram since the start, instead of a series for each vmrange"),
    ),
    ("increase", Some("increase"), None),
    ("increase_prometheus", Some("increase"), None),
    ("last", Some("last"), None),
    ("max", Some("max"), None),
    ("min", Some("min"), None),
    ("rate_avg", Some("rate_avg"), None),
    ("rate_sum", Some("rate_sum"), None),
    ("stddev", Some("stddev"), None),
    ("stdvar", Some("stdvar"), None),
    (
        "sum_samples",
        Some("sum_samples"),
        Some("of cumulative counters is their increase, and not the sum of what they had come to"),
    ),
    ("sum_samples_total", Some("total"), Some("is of counters; values of gauges do not add up over time")),
    ("total", Some("total"), None),
    ("total_prometheus", Some("total"), None),
    ("unique_samples", Some("unique"), None),
    ("quantiles", None, Some("have the quantile in their name, instead of in the label quantile")),
];

/// Whether VictoriaMetrics has it.
pub(super) fn is_known(output: &str) -> bool {
    match output.split_once('(') {
        Some(_) => quantiles(output).is_some(),
        None => output != "quantiles" && KNOWN.iter().any(|(name, ..)| *name == output),
    }
}

/// Translates outputs that are known.
pub(super) fn translate(outputs: &[String]) -> Vec<Translated> {
    outputs.iter().filter_map(|output| one(output)).collect()
}

fn one(output: &str) -> Option<Translated> {
    let base = output.split('(').next().unwrap_or(output);
    let (base, function, remark) = *KNOWN.iter().find(|(name, ..)| *name == base)?;
    let functions = match quantiles(output) {
        Some(quantiles) => quantiles,
        None => function.map(str::to_owned).into_iter().collect(),
    };
    let remark = remark.map(|remark| format!("{output} {remark}"));
    Some(Translated { original: output.to_owned(), base, functions, remark })
}

/// `quantiles(0.5, 0.99)` as `p50` and `p99`.
fn quantiles(output: &str) -> Option<Vec<String>> {
    let inner = output.strip_prefix("quantiles(")?.strip_suffix(')')?;
    let one = |phi: &str| {
        let phi: f64 = phi.trim().parse().ok()?;
        // Rounded as far as a percentage of 15 digits is told apart.
        (0.0..=1.0).contains(&phi).then(|| format!("p{}", (phi * 1e14).round() / 1e12))
    };
    inner.split(',').map(one).collect()
}

/// Whether some outputs count the first value of a counter, and whether some do not.
pub(super) fn first_values(entries: &[Entry]) -> (bool, bool) {
    let has = |names: [&str; 2]| {
        entries.iter().flat_map(|entry| &entry.outputs).any(|output| names.contains(&output.as_str()))
    };
    (has(["increase", "total"]), has(["increase_prometheus", "total_prometheus"]))
}

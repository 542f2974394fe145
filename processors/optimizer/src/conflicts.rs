//! What contradicts itself among rules, found before any of them runs.

use crate::config::{Mode, RuleConfig};
use crate::pattern::NamePattern;
use crate::rules;

/// A rule that cannot do what it says, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The name of the rule.
    pub(crate) rule: String,
    /// Why not.
    pub(crate) message: String,
}

/// Looks at every pair of rules, in the order in which they run.
pub(crate) fn find(configured: &[RuleConfig]) -> Vec<Conflict> {
    let mut running: Vec<&RuleConfig> = configured.iter().filter(|rule| rule.mode != Mode::Off).collect();
    running.sort_by(|a, b| rules::order(a, b));
    let mut found = Vec::new();
    for (index, later) in running.iter().enumerate() {
        for earlier in running[..index].iter().filter(|rule| rule.mode == Mode::Enforce) {
            let message = unreachable(earlier, later)
                .or_else(|| contradiction(earlier, later))
                .or_else(|| label_gone(earlier, later))
                .or_else(|| second_of_its_kind(earlier, later));
            if let Some(message) = message {
                found.push(Conflict { rule: later.name.clone(), message });
                break;
            }
        }
    }
    found
}

/// A rule behind one that ends everything that it could match.
fn unreachable(earlier: &RuleConfig, later: &RuleConfig) -> Option<String> {
    let what = match (earlier.drop, earlier.keep) {
        (true, _) => "drops",
        (_, true) => "keeps",
        _ => return None,
    };
    let certain = covers(earlier, later) && !same_match(earlier, later);
    certain.then(|| format!("is never reached: rule {:?} {what} everything that it matches", earlier.name))
}

/// Keep and drop for the same series.
fn contradiction(earlier: &RuleConfig, later: &RuleConfig) -> Option<String> {
    let both = earlier.keep && later.drop || earlier.drop && later.keep;
    let same = same_match(earlier, later);
    (both && same).then(|| format!("contradicts rule {:?}: one keeps what the other drops", earlier.name))
}

/// A label that is gone when a later rule asks for it.
fn label_gone(earlier: &RuleConfig, later: &RuleConfig) -> Option<String> {
    if !may_meet(earlier, later) {
        return None;
    }
    let wanted = later
        .normalize
        .iter()
        .map(|settings| &settings.label)
        .chain(later.cap_values.iter().map(|cap| &cap.label))
        .chain(later.hash_buckets.iter().map(|buckets| &buckets.label));
    let gone = |label: &str| {
        let dropped = crate::pattern::any(&NamePattern::all(&earlier.drop_labels), label.as_bytes());
        let kept = |keep: &Vec<String>| crate::pattern::any(&NamePattern::all(keep), label.as_bytes());
        dropped || earlier.keep_labels.as_ref().is_some_and(|keep| !kept(keep))
    };
    let gone_from_resource = |label: &str| {
        let dropped = crate::pattern::any(&NamePattern::all(&earlier.drop_resource_labels), label.as_bytes());
        let kept = |keep: &Vec<String>| crate::pattern::any(&NamePattern::all(keep), label.as_bytes());
        dropped || earlier.keep_resource_labels.as_ref().is_some_and(|keep| !kept(keep))
    };
    let group = later.top_k.iter().flat_map(|top_k| &top_k.labels);
    let label = wanted
        .clone()
        .find(|label| gone(label))
        .or_else(|| group.clone().find(|label| gone(label) || gone_from_resource(label)));
    label.map(|label| format!("needs label {label:?}, which rule {:?} has aggregated away", earlier.name))
}

/// Two rules that set what a series has only once, for series that either covers.
fn second_of_its_kind(earlier: &RuleConfig, later: &RuleConfig) -> Option<String> {
    if !covers(earlier, later) {
        return None;
    }
    let both = [
        ("top_k", earlier.top_k.is_some() && later.top_k.is_some()),
        ("limit_series", earlier.limit_series.is_some() && later.limit_series.is_some()),
        ("interval", earlier.interval.is_positive() && later.interval.is_positive()),
        ("dead_band", earlier.dead_band.is_some() && later.dead_band.is_some()),
        ("histograms", earlier.histograms.is_some() && later.histograms.is_some()),
    ];
    if let Some((key, _)) = both.iter().find(|(_, both)| *both) {
        return Some(format!(
            "its `{key}` has no effect: rule {:?} comes first for all that it matches",
            earlier.name
        ));
    }
    let differ = earlier.gauges.is_some() && later.gauges.is_some() && earlier.gauges != later.gauges;
    differ
        .then(|| format!("aggregates gauges otherwise than rule {:?}, which matches the same", earlier.name))
}

fn same_match(a: &RuleConfig, b: &RuleConfig) -> bool {
    a.matches == b.matches
}

/// Whether a rule matches by name and type alone.
fn is_plain(rule: &RuleConfig) -> bool {
    let matches = &rule.matches;
    matches.units.is_empty()
        && matches.temporality.is_none()
        && matches.resource.is_empty()
        && matches.scopes.is_empty()
        && matches.attributes.is_empty()
        && matches.condition.is_empty()
        && matches.exclude_metrics.is_empty()
}

/// Whether the first certainly matches all that the second does.
fn covers(first: &RuleConfig, second: &RuleConfig) -> bool {
    let types = first.matches.types.is_empty()
        || !second.matches.types.is_empty()
            && second.matches.types.iter().all(|kind| first.matches.types.contains(kind));
    let names = NamePattern::all(&first.matches.metrics);
    let others = NamePattern::all(&second.matches.metrics);
    let covered = names.is_empty()
        || !others.is_empty() && others.iter().all(|other| names.iter().any(|name| name.covers(other)));
    is_plain(first) && types && covered || same_match(first, second)
}

/// Whether some series may be matched by both.
fn may_meet(first: &RuleConfig, second: &RuleConfig) -> bool {
    let (a, b) = (&first.matches, &second.matches);
    let types = a.types.is_empty() || b.types.is_empty() || a.types.iter().any(|kind| b.types.contains(kind));
    let (names, others) = (NamePattern::all(&a.metrics), NamePattern::all(&b.metrics));
    let meet = names.is_empty()
        || others.is_empty()
        || names.iter().any(|name| others.iter().any(|other| name.may_meet(other)));
    types && meet
}

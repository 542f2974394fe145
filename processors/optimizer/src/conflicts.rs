//! What contradicts itself among rules, found before any of them runs.

use crate::config::{ControlSettings, MAX_PROTECTED, Mode, RuleConfig};
use crate::pattern::{NamePattern, any};
use crate::rules;

/// A rule that cannot do what it says, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The name of the rule.
    pub(crate) rule: String,
    /// The name of the rule that it contradicts, if it is about two.
    pub(crate) against: Option<String>,
    /// Why not.
    pub(crate) message: String,
}

/// Looks at every pair of rules, in the order in which they run.
pub(crate) fn find(configured: &[RuleConfig], control: Option<&ControlSettings>) -> Vec<Conflict> {
    let mut running: Vec<&RuleConfig> = configured.iter().filter(|rule| rule.mode != Mode::Off).collect();
    running.sort_by_cached_key(|rule| rules::order(rule));
    let running: Vec<Prepared<'_>> = running.into_iter().map(Prepared::new).collect();
    let mut found: Vec<Conflict> = running.iter().filter_map(|rule| level(rule.config, control)).collect();
    for (index, later) in running.iter().enumerate() {
        for earlier in running[..index].iter().filter(|rule| runs_with(rule, later)) {
            let message = unreachable(earlier, later)
                .or_else(|| contradiction(earlier, later))
                .or_else(|| label_gone(earlier, later))
                .or_else(|| second_of_its_kind(earlier, later));
            if let Some(message) = message {
                let [rule, against] = [later, earlier].map(|rule| rule.config.name.clone());
                found.push(Conflict { rule, against: Some(against), message });
                break;
            }
        }
    }
    found
}

/// Whether the earlier rule is carried out whenever the later one is.
fn runs_with(earlier: &Prepared<'_>, later: &Prepared<'_>) -> bool {
    let (earlier, later) = (earlier.config, later.config);
    earlier.mode == Mode::Enforce
        && (earlier.at_level == 0 || earlier.class == later.class && earlier.at_level <= later.at_level)
}

/// What is wrong with the level of a rule.
fn level(rule: &RuleConfig, control: Option<&ControlSettings>) -> Option<Conflict> {
    if rule.at_level == 0 {
        return None;
    }
    let class = control.map(|control| control.classes.iter().find(|class| class.name == rule.class));
    let message = match class {
        None => "has a level, but there is no `control` that would reach it".to_owned(),
        Some(None) => format!("is of class {:?}, which `control::classes` does not have", rule.class),
        Some(Some(class)) if class.protected && rule.drop => {
            format!("drops data, and its class {:?} is protected", rule.class)
        }
        Some(Some(class)) if class.protected && rule.at_level > MAX_PROTECTED => {
            format!("has a level above {MAX_PROTECTED}, and its class {:?} is protected", rule.class)
        }
        Some(Some(_)) => return None,
    };
    Some(Conflict { rule: rule.name.clone(), against: None, message })
}

/// A rule, and its patterns.
struct Prepared<'c> {
    config: &'c RuleConfig,
    names: Box<[NamePattern]>,
    dropped: Box<[NamePattern]>,
    kept: Option<Box<[NamePattern]>>,
    resource_dropped: Box<[NamePattern]>,
    resource_kept: Option<Box<[NamePattern]>>,
}

impl Prepared<'_> {
    fn new(config: &RuleConfig) -> Prepared<'_> {
        Prepared {
            config,
            names: NamePattern::all(&config.matches.metrics),
            dropped: NamePattern::all(&config.drop_labels),
            kept: config.keep_labels.as_deref().map(NamePattern::all),
            resource_dropped: NamePattern::all(&config.drop_resource_labels),
            resource_kept: config.keep_resource_labels.as_deref().map(NamePattern::all),
        }
    }
}

/// Whether a label is gone behind lists of those that go or stay.
fn is_gone(dropped: &[NamePattern], kept: Option<&[NamePattern]>, label: &str) -> bool {
    any(dropped, label.as_bytes()) || kept.is_some_and(|kept| !any(kept, label.as_bytes()))
}

/// A rule behind one that ends everything that it could match.
fn unreachable(earlier: &Prepared<'_>, later: &Prepared<'_>) -> Option<String> {
    let what = match (earlier.config.drop, earlier.config.keep) {
        (true, _) => "drops",
        (_, true) => "keeps",
        _ => return None,
    };
    let certain = covers(earlier, later) && !same_match(earlier, later);
    certain.then(|| {
        format!("is never reached: rule {:?} {what} everything that it matches", earlier.config.name)
    })
}

/// Keep and drop for the same series.
fn contradiction(earlier: &Prepared<'_>, later: &Prepared<'_>) -> Option<String> {
    let both = earlier.config.keep && later.config.drop || earlier.config.drop && later.config.keep;
    let same = same_match(earlier, later);
    (both && same)
        .then(|| format!("contradicts rule {:?}: one keeps what the other drops", earlier.config.name))
}

/// A label that is gone when a later rule asks for it.
fn label_gone(earlier: &Prepared<'_>, later: &Prepared<'_>) -> Option<String> {
    if !may_meet(earlier, later) {
        return None;
    }
    let wanted = later
        .config
        .normalize
        .iter()
        .map(|settings| &settings.label)
        .chain(later.config.cap_values.iter().map(|cap| &cap.label))
        .chain(later.config.hash_buckets.iter().map(|buckets| &buckets.label));
    let gone = |label: &str| is_gone(&earlier.dropped, earlier.kept.as_deref(), label);
    let gone_from_resource =
        |label: &str| is_gone(&earlier.resource_dropped, earlier.resource_kept.as_deref(), label);
    let group = later.config.top_k.iter().flat_map(|top_k| &top_k.labels);
    let label = wanted
        .clone()
        .find(|label| gone(label))
        .or_else(|| group.clone().find(|label| gone(label) || gone_from_resource(label)));
    label.map(|label| {
        format!("needs label {label:?}, which rule {:?} has aggregated away", earlier.config.name)
    })
}

/// Two rules that set what a series has only once, for series that either covers.
fn second_of_its_kind(earlier: &Prepared<'_>, later: &Prepared<'_>) -> Option<String> {
    if !covers(earlier, later) {
        return None;
    }
    let both = [
        ("top_k", earlier.config.top_k.is_some() && later.config.top_k.is_some()),
        ("limit_series", earlier.config.limit_series.is_some() && later.config.limit_series.is_some()),
        ("interval", earlier.config.interval.is_positive() && later.config.interval.is_positive()),
        ("dead_band", earlier.config.dead_band.is_some() && later.config.dead_band.is_some()),
        ("histograms", earlier.config.histograms.is_some() && later.config.histograms.is_some()),
    ];
    if let Some((key, _)) = both.iter().find(|(_, both)| *both) {
        return Some(format!(
            "its `{key}` has no effect: rule {:?} comes first for all that it matches",
            earlier.config.name
        ));
    }
    let differ = earlier.config.gauges.is_some()
        && later.config.gauges.is_some()
        && earlier.config.gauges != later.config.gauges;
    differ.then(|| {
        format!("aggregates gauges otherwise than rule {:?}, which matches the same", earlier.config.name)
    })
}

fn same_match(a: &Prepared<'_>, b: &Prepared<'_>) -> bool {
    a.config.matches == b.config.matches
}

/// Whether a rule matches by name and type alone.
fn is_plain(rule: &RuleConfig) -> bool {
    let matches = &rule.matches;
    matches.units.is_empty()
        && matches.temporality.is_none()
        && matches.resource.is_empty()
        && matches.scopes.is_empty()
        && matches.scope_attributes.is_empty()
        && matches.attributes.is_empty()
        && matches.condition.is_empty()
        && matches.exclude_metrics.is_empty()
}

/// Whether the first certainly matches all that the second does.
fn covers(first: &Prepared<'_>, second: &Prepared<'_>) -> bool {
    let types = first.config.matches.types.is_empty()
        || !second.config.matches.types.is_empty()
            && second.config.matches.types.iter().all(|kind| first.config.matches.types.contains(kind));
    let (names, others) = (&first.names, &second.names);
    let covered = names.is_empty()
        || !others.is_empty() && others.iter().all(|other| names.iter().any(|name| name.covers(other)));
    is_plain(first.config) && types && covered || same_match(first, second)
}

/// Whether some series may be matched by both.
fn may_meet(first: &Prepared<'_>, second: &Prepared<'_>) -> bool {
    let (a, b) = (&first.config.matches, &second.config.matches);
    let types = a.types.is_empty() || b.types.is_empty() || a.types.iter().any(|kind| b.types.contains(kind));
    let (names, others) = (&first.names, &second.names);
    let meet = names.is_empty()
        || others.is_empty()
        || names.iter().any(|name| others.iter().any(|other| name.may_meet(other)));
    types && meet
}

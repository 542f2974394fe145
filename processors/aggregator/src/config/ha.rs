//! Senders that stand in for each other.

use phoenix_config::{Described, GoDuration, Problems};
use serde::Deserialize;

use super::Rule;

/// Senders of the same series, of which one counts at a time: another takes its place when it falls silent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HighAvailability {
    /// The attribute, of the resource or else of the data point, by which the senders of a cluster are told apart. It goes.
    /// Data points without it are taken from everybody.
    pub replica: String,
    /// The attribute that says to which cluster a sender belongs; those without it are one cluster. It stays.
    pub cluster: String,
    /// How far, in event time, a replica must be ahead of the last data point of the one that counts to take its place.
    pub failover_timeout: GoDuration,
    /// The most clusters; data points of further ones are dropped and counted.
    pub max_clusters: usize,
    /// The most data points of other replicas that are kept in case one of them takes over; the oldest go first.
    pub max_standby_points: usize,
}

impl Default for HighAvailability {
    fn default() -> HighAvailability {
        HighAvailability {
            replica: "__replica__".to_owned(),
            cluster: "cluster".to_owned(),
            failover_timeout: GoDuration::from_secs(30),
            max_clusters: 1000,
            max_standby_points: 1_000_000,
        }
    }
}

impl HighAvailability {
    pub(super) fn validate(&self, max_spread: GoDuration, staleness: GoDuration, problems: &mut Problems) {
        problems.require(!self.replica.is_empty(), "replica", "must name an attribute");
        problems.require(!self.cluster.is_empty(), "cluster", "must name an attribute");
        problems.require(self.cluster != self.replica, "cluster", "must be another attribute than `replica`");
        problems.require(self.failover_timeout.is_positive(), "failover_timeout", "must be longer than zero");
        let longest = max_spread.as_nanos().min(staleness.as_nanos());
        problems.require(
            self.failover_timeout.as_nanos() <= longest,
            "failover_timeout",
            "must not exceed `watermark::max_spread` and `staleness`, or windows are let out before anybody takes over",
        );
        problems.require(self.max_clusters > 0, "max_clusters", "must be at least 1");
    }

    /// The keys of a rule that name the attribute of replicas, which is gone by then.
    pub(super) fn check_rule(&self, rule: &Rule, problems: &mut Problems) {
        let text = "names `ha::replica`, which is gone: of all replicas one counts at a time";
        let is_it = |key: &String| *key == self.replica;
        problems.require(!rule.by.iter().flatten().any(is_it), "by", text);
        for (index, level) in rule.levels.iter().enumerate() {
            problems.require(!level.by.iter().any(is_it), &format!("levels::{index}::by"), text);
        }
        for (index, attribute) in rule.matches.attributes.iter().enumerate() {
            problems.require(!is_it(&attribute.key), &format!("match::attributes::{index}::key"), text);
        }
        for (index, label) in rule.labels.iter().enumerate() {
            let named = is_it(&label.key) || label.template.contains(&format!("{{{}}}", self.replica));
            problems.require(!named, &format!("labels::{index}"), text);
        }
    }
}

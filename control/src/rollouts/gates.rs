//! When a rollout is stopped: how many agents may fail, and what counts as not being well.

use phoenix_opamp::Vitals;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LONGEST;
use crate::error::FieldProblem;

/// When a rollout is stopped. Limits are of each agent; null is none. An agent that does not tell how its data fares is
/// not measured by them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// Agents that may fail to apply the version.
    pub max_failed: i64,
    /// Agents that may be unhealthy with it, or beyond a limit.
    pub max_unhealthy: i64,
    /// How long agents may take to apply it, in seconds.
    pub patience_seconds: i64,
    /// Whether the group goes back to the former version by itself; else the rollout is paused.
    pub automatic_rollback: bool,
    /// Items that receivers may refuse, in percent of what comes, above what they refused in the minutes before.
    pub max_refused_percent: Option<f64>,
    /// Items that exporters may fail to deliver, in percent of what is to be sent, above what failed before.
    pub max_send_failed_percent: Option<f64>,
    /// Shares of fewer items are not looked at.
    pub min_items: i64,
    /// How much the fullest queue may grow, in percent of what it may hold.
    pub max_queue_growth_percent: Option<f64>,
    /// How much resident memory may grow, in percent of what it was at the most before.
    pub max_memory_growth_percent: Option<f64>,
    /// How much of the memory that it may use an agent's process may take, in percent.
    pub max_memory_percent: Option<f64>,
    /// How much more CPU an agent's process may use than in the minutes before, in percent of the cores that it may use.
    pub max_cpu_growth_percent: Option<f64>,
    /// How much of the cores that it may use an agent's process may use, in percent.
    pub max_cpu_percent: Option<f64>,
}

impl Default for Gates {
    fn default() -> Gates {
        Gates {
            max_failed: 0,
            max_unhealthy: 0,
            patience_seconds: 600,
            automatic_rollback: true,
            max_refused_percent: Some(5.0),
            max_send_failed_percent: Some(5.0),
            min_items: 100,
            max_queue_growth_percent: Some(50.0),
            max_memory_growth_percent: None,
            max_memory_percent: Some(90.0),
            max_cpu_growth_percent: None,
            max_cpu_percent: None,
        }
    }
}

impl Gates {
    pub(super) fn check(&self, problems: &mut Vec<FieldProblem>) {
        let mut require = |holds: bool, field: &str, message: &str| {
            if !holds {
                problems.push(FieldProblem::new(format!("gates.{field}"), message));
            }
        };
        require(self.max_failed >= 0, "max_failed", "must not be negative");
        require(self.max_unhealthy >= 0, "max_unhealthy", "must not be negative");
        let fits = (1..=LONGEST).contains(&self.patience_seconds);
        require(fits, "patience_seconds", "must be 1 to 604800");
        require(self.min_items >= 0, "min_items", "must not be negative");
        for (field, limit) in [
            ("max_refused_percent", self.max_refused_percent),
            ("max_send_failed_percent", self.max_send_failed_percent),
            ("max_queue_growth_percent", self.max_queue_growth_percent),
            ("max_memory_percent", self.max_memory_percent),
            ("max_cpu_growth_percent", self.max_cpu_growth_percent),
            ("max_cpu_percent", self.max_cpu_percent),
        ] {
            require(limit.is_none_or(|limit| (0.0..=100.0).contains(&limit)), field, "must be 0 to 100");
        }
        let fits = self.max_memory_growth_percent.is_none_or(|limit| (0.0..=100_000.0).contains(&limit));
        require(fits, "max_memory_growth_percent", "must be 0 to 100000");
    }

    /// The limit that an agent goes beyond, in words; none where it goes beyond none.
    pub(super) fn strain(&self, told: &Vitals) -> Option<String> {
        let least = u64::try_from(self.min_items).unwrap_or(0);
        let grew = |what: &str, now: Option<f64>, before: f64, limit: Option<f64>| {
            let (now, limit) = (now?, limit?);
            (now - before > limit).then(|| {
                format!("{what} {now:.1} %, {before:.1} % before, and {limit} points more are allowed")
            })
        };
        let before = told.before.refused_percent(least).unwrap_or(0.0);
        let refused =
            grew("its receivers refuse", told.since.refused_percent(least), before, self.max_refused_percent);
        let before = told.before.failed_percent(least).unwrap_or(0.0);
        let now = told.since.failed_percent(least);
        let failed = || grew("its exporters fail to send", now, before, self.max_send_failed_percent);
        let (now, before) = (told.queue * 100.0, told.queue_before * 100.0);
        let queue = || grew("a queue is filled to", Some(now), before, self.max_queue_growth_percent);
        let cpu = || {
            // One of an earlier version does not say.
            let of = |cores: f64| (told.cores > 0.0).then(|| cores / told.cores * 100.0);
            let (now, before) = (of(told.cpu), of(told.cpu_before).unwrap_or(0.0));
            let beyond = now.zip(self.max_cpu_percent).filter(|(now, limit)| now > limit);
            let beyond =
                beyond.map(|(now, limit)| format!("it uses {now:.1} % of its cores, and may use {limit} %"));
            beyond.or_else(|| grew("it uses of its cores", now, before, self.max_cpu_growth_percent))
        };
        refused.or_else(failed).or_else(queue).or_else(|| self.memory(told)).or_else(cpu)
    }

    fn memory(&self, told: &Vitals) -> Option<String> {
        let mib = |bytes: u64| bytes >> 20;
        let of = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64 * 100.0);
        if let (Some(share), Some(limit)) =
            (of(told.memory, told.memory_before), self.max_memory_growth_percent)
            && share - 100.0 > limit
        {
            let (now, before) = (mib(told.memory), mib(told.memory_before));
            return Some(format!("it uses {now} MiB, {before} MiB before, and may grow by {limit} %"));
        }
        if let (Some(share), Some(limit)) = (of(told.memory, told.memory_limit), self.max_memory_percent)
            && share > limit
        {
            let (now, all) = (mib(told.memory), mib(told.memory_limit));
            return Some(format!("it uses {now} of {all} MiB, and may use {limit} %"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use phoenix_opamp::Items;

    use super::*;

    fn items(accepted: u64, refused: u64, sent: u64, failed: u64) -> Items {
        Items { accepted, refused, sent, failed }
    }

    #[test]
    fn an_agent_is_measured_against_what_it_was_before() {
        let well = Vitals { memory: 50 << 20, memory_limit: 100 << 20, ..Vitals::default() };
        let gates = Gates {
            max_memory_growth_percent: Some(100.0),
            max_cpu_growth_percent: Some(20.0),
            max_cpu_percent: Some(80.0),
            ..Gates::default()
        };
        let cpu = |cpu, cpu_before, cores| Vitals { cpu, cpu_before, cores, ..well.clone() };
        let with = |since, before| Vitals { since, before, ..well.clone() };
        // (case, what it tells, a word of the limit that it goes beyond)
        let cases = [
            ("idle", well.clone(), ""),
            ("some refused", with(items(95, 5, 0, 0), items(100, 0, 0, 0)), ""),
            (
                "too many refused",
                with(items(940, 60, 0, 0), items(100, 0, 0, 0)),
                "refuse 6.0 %, 0.0 % before",
            ),
            ("as before", with(items(500, 500, 0, 0), items(520, 480, 0, 0)), ""),
            ("few items", with(items(0, 99, 0, 99), Items::default()), ""),
            ("too many lost", with(items(0, 0, 50, 50), items(0, 0, 90, 10)), "send 50.0 %, 10.0 % before"),
            ("few before", with(items(0, 0, 50, 50), items(0, 0, 0, 99)), "send 50.0 %, 0.0 % before"),
            ("a queue", Vitals { queue: 0.9, queue_before: 0.4, ..well.clone() }, ""),
            (
                "a queue that fills",
                Vitals { queue: 0.9, queue_before: 0.3, ..well.clone() },
                "filled to 90.0 %",
            ),
            ("more memory", Vitals { memory_before: 25 << 20, ..well.clone() }, ""),
            ("too much more", Vitals { memory_before: 24 << 20, ..well.clone() }, "50 MiB, 24 MiB before"),
            ("too much of all", Vitals { memory: 91 << 20, ..well.clone() }, "91 of 100 MiB"),
            ("as much CPU as before and a little", cpu(1.6, 1.2, 2.0), ""),
            ("too much more CPU", cpu(1.5, 1.0, 2.0), "of its cores 75.0 %, 50.0 % before"),
            ("too much CPU, as before", cpu(1.7, 1.7, 2.0), "85.0 % of its cores, and may use 80 %"),
            ("it does not say how many cores there are", cpu(9.0, 1.0, 0.0), ""),
        ];
        for (case, told, expected) in cases {
            let strain = gates.strain(&told).unwrap_or_default();
            assert_eq!(strain.is_empty(), expected.is_empty(), "{case}: {strain}");
            assert!(strain.contains(expected), "{case}: {strain}");
        }
        let none = serde_json::json!({"max_refused_percent": null, "max_send_failed_percent": null,
            "max_queue_growth_percent": null, "max_memory_percent": null});
        let none: Gates = serde_json::from_value(none).expect("gates");
        let worst = Vitals {
            queue: 1.0,
            memory: 1 << 40,
            memory_limit: 1,
            ..with(items(0, 999, 0, 999), Items::default())
        };
        assert_eq!(none.strain(&worst), None);
    }

    #[test]
    fn limits_are_shares() {
        let check = |text: &str| {
            let mut problems = Vec::new();
            serde_json::from_str::<Gates>(text).expect("gates").check(&mut problems);
            problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
        };
        assert_eq!(check("{}"), Vec::<String>::new());
        assert_eq!(
            check(r#"{"max_refused_percent": -1, "min_items": -1}"#),
            ["gates.min_items", "gates.max_refused_percent"]
        );
        assert_eq!(check(r#"{"max_memory_percent": 101}"#), ["gates.max_memory_percent"]);
        assert_eq!(check(r#"{"max_memory_growth_percent": 1e9}"#), ["gates.max_memory_growth_percent"]);
        assert_eq!(check(r#"{"max_cpu_growth_percent": -1}"#), ["gates.max_cpu_growth_percent"]);
    }
}

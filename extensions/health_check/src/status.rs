//! The status of the collector and of each pipeline, made of those of their components.
//!
//! The rules are otelcol's. A status of the life cycle (fatal, starting, stopping) outweighs errors; among
//! errors the permanent ones come first, unless only recoverable ones count. An error is as old as its first
//! occurrence, anything else as its last: so a recoverable error that lasts is not hidden by a later one.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use phoenix_component::{ComponentKey, PipelineStatus, Status, StatusSince};
use phoenix_config::Kind;

use crate::ComponentHealth;

/// The key of the extensions, beside the pipelines.
pub(crate) const EXTENSIONS: &str = "extensions";

/// A status and those that it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aggregate {
    /// None where there is nothing to tell of.
    pub(crate) status: Option<Status>,
    pub(crate) since: SystemTime,
    pub(crate) lasting: Duration,
    pub(crate) parts: BTreeMap<String, Aggregate>,
}

impl Aggregate {
    fn of(since: &StatusSince) -> Aggregate {
        Aggregate {
            status: Some(since.status.clone()),
            since: since.since,
            lasting: since.lasting,
            parts: BTreeMap::new(),
        }
    }

    /// The whole of `parts`.
    fn made_of(parts: BTreeMap<String, Aggregate>, permanent_first: bool) -> Aggregate {
        let rank = |status: &Status| match status {
            Status::Fatal(_) => 6,
            Status::Starting => 5,
            Status::Stopping | Status::Stopped => 4,
            Status::Permanent(_) => 2 + u8::from(permanent_first),
            Status::Recoverable(_) => 3 - u8::from(permanent_first),
            Status::Ok => 0,
        };
        let known = || parts.values().filter_map(|part| Some((part.status.as_ref()?, part)));
        let Some(top) = known().map(|(status, _)| rank(status)).max() else {
            return Aggregate { status: None, since: SystemTime::UNIX_EPOCH, lasting: Duration::ZERO, parts };
        };
        let matching = || known().filter(|(status, _)| rank(status) == top).map(|(_, part)| part);
        let is_error = matching().any(|part| part.status.as_ref().is_some_and(|s| s.error().is_some()));
        let chosen = match is_error {
            true => matching().max_by_key(|part| part.lasting),
            false => known().map(|(_, part)| part).min_by_key(|part| part.lasting),
        };
        let mut status = matching().next().and_then(|part| part.status.clone());
        if is_error {
            status = chosen.and_then(|part| part.status.clone());
        } else if top == 4 {
            // All have stopped, or some have and the others are about to.
            let all = known().all(|(status, _)| *status == Status::Stopped);
            status = Some(if all { Status::Stopped } else { Status::Stopping });
        }
        let (since, lasting) =
            chosen.map_or((SystemTime::UNIX_EPOCH, Duration::ZERO), |part| (part.since, part.lasting));
        Aggregate { status, since, lasting, parts }
    }

    /// Whether it counts as healthy.
    pub(crate) fn is_healthy(&self, health: &ComponentHealth) -> bool {
        match &self.status {
            Some(Status::Permanent(_)) => !health.include_permanent_errors,
            Some(Status::Recoverable(_)) => {
                !health.include_recoverable_errors || self.lasting < health.recovery_duration.as_duration()
            }
            Some(Status::Fatal(_)) => false,
            _ => true,
        }
    }

    /// Whether the collector, or the pipeline, can be relied on now.
    pub(crate) fn is_serving(&self, health: &ComponentHealth) -> bool {
        let runs = matches!(self.status, Some(Status::Ok | Status::Recoverable(_) | Status::Permanent(_)));
        runs && self.is_healthy(health)
    }
}

fn name(key: &ComponentKey) -> String {
    format!("{}:{}", key.kind, key.id)
}

/// The status of everything: extensions, and each pipeline.
pub(crate) fn of_collector(
    report: &[(ComponentKey, StatusSince)],
    pipelines: &[PipelineStatus],
    health: &ComponentHealth,
) -> Aggregate {
    let permanent_first = health.include_permanent_errors || !health.include_recoverable_errors;
    let status = |key: &ComponentKey| report.iter().find(|(known, _)| known == key).map(|(_, since)| since);
    let group = |keys: &mut dyn Iterator<Item = &ComponentKey>| {
        let parts = keys.filter_map(|key| Some((name(key), Aggregate::of(status(key)?)))).collect();
        Aggregate::made_of(parts, permanent_first)
    };
    let mut parts = BTreeMap::new();
    let mut extensions =
        report.iter().map(|(key, _)| key).filter(|key| key.kind == Kind::Extension).peekable();
    if extensions.peek().is_some() {
        parts.insert(EXTENSIONS.to_owned(), group(&mut extensions));
    }
    for pipeline in pipelines {
        parts.insert(format!("pipeline:{}", pipeline.id), group(&mut pipeline.components()));
    }
    Aggregate::made_of(parts, permanent_first)
}

/// The part that is asked for: all (an empty text), the extensions, or a pipeline by its identifier.
pub(crate) fn scope(whole: Aggregate, asked: &str) -> Option<Aggregate> {
    match asked {
        "" => Some(whole),
        EXTENSIONS => whole.parts.get(EXTENSIONS).cloned(),
        pipeline => whole.parts.get(&format!("pipeline:{pipeline}")).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::Status::*;
    use phoenix_config::{ComponentId, GoDuration};

    use super::*;

    fn key(kind: Kind, id: &str) -> ComponentKey {
        ComponentKey { kind, id: ComponentId::parse(id).expect("an id"), scope: String::new() }
    }

    fn health(permanent: bool, recoverable: bool) -> ComponentHealth {
        ComponentHealth {
            include_permanent_errors: permanent,
            include_recoverable_errors: recoverable,
            recovery_duration: GoDuration::from_secs(60),
        }
    }

    /// Components whose status has lasted for as many seconds.
    fn whole(statuses: &[(Status, u64)], health: &ComponentHealth) -> Aggregate {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let report: Vec<_> = statuses
            .iter()
            .enumerate()
            .map(|(index, (status, lasting))| {
                let lasting = Duration::from_secs(*lasting);
                let since = StatusSince { status: status.clone(), since: now - lasting, lasting };
                (key(Kind::Exporter, &format!("e/{index}")), since)
            })
            .collect();
        let exporters = report.iter().map(|(key, _)| key.clone()).collect();
        let pipeline = PipelineStatus {
            id: "traces/a".into(),
            receivers: Vec::new(),
            processors: Vec::new(),
            exporters,
        };
        of_collector(&report, &[pipeline], health)
    }

    #[test]
    fn the_most_relevant_status_comes_up() {
        let (permanent, recoverable) = (|| Permanent("p".into()), || Recoverable("r".into()));
        let default = health(false, false);
        // (statuses, health, what comes up)
        let cases = [
            (vec![Ok, Ok], &default, Ok),
            (vec![Stopped, Stopped], &default, Stopped),
            (vec![Stopped, Ok], &default, Stopping),
            (vec![Starting, permanent()], &default, Starting),
            (vec![Starting, Fatal("f".into()), Stopping], &default, Fatal("f".into())),
            (vec![Ok, recoverable()], &default, recoverable()),
            (vec![permanent(), recoverable()], &default, permanent()),
            (vec![permanent(), recoverable()], &health(true, true), permanent()),
            (vec![permanent(), recoverable()], &health(false, true), recoverable()),
        ];
        for (statuses, health, expected) in cases {
            let statuses: Vec<_> = statuses.into_iter().map(|status| (status, 5)).collect();
            assert_eq!(whole(&statuses, health).status, Some(expected), "{statuses:?}");
        }
        assert_eq!(of_collector(&[], &[], &default).status, None);
    }

    #[test]
    fn an_error_counts_from_its_first_occurrence() {
        let counts = health(true, true);
        let (early, late) = (Recoverable("early".into()), Recoverable("late".into()));
        let both = whole(&[(late.clone(), 5), (early.clone(), 61), (Ok, 1)], &counts);
        assert_eq!((both.status.clone(), both.lasting), (Some(early), Duration::from_secs(61)));
        assert!(!both.is_healthy(&counts) && both.is_healthy(&health(true, false)));
        let short = whole(&[(late, 59), (Ok, 1)], &counts);
        assert!(short.is_healthy(&counts) && short.is_serving(&counts));
        let broken = whole(&[(Permanent("p".into()), 1)], &counts);
        assert!(!broken.is_healthy(&counts) && broken.is_healthy(&health(false, true)));
        assert_eq!(whole(&[(Ok, 9), (Ok, 4)], &counts).lasting, Duration::from_secs(4));
        assert!(!whole(&[(Starting, 1)], &counts).is_serving(&counts));
    }

    #[test]
    fn a_pipeline_is_asked_for_by_its_name() {
        let all = whole(&[(Ok, 1)], &health(false, false));
        assert!(scope(all.clone(), "traces/a").is_some_and(|part| part.parts.contains_key("exporter:e/0")));
        assert!(scope(all.clone(), "traces").is_none() && scope(all, EXTENSIONS).is_none());
    }
}

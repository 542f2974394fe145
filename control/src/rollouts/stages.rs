//! The steps of a rollout: which share of which agents has the version by the end of each.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LONGEST;
use crate::agents;
use crate::error::{Error, FieldProblem, Result};
use crate::groups::Assignment;
use crate::selector::Selector;
use crate::store::Tx;

/// Most stages of a rollout.
const MAX_STAGES: usize = 20;

/// A step of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The share of the group's agents that have the version by the end of this stage, 1 to 100.
    pub percent: i64,
    /// How long they must be well before the next stage, in seconds.
    #[serde(default)]
    pub soak_seconds: i64,
    /// Of which agents of the group that is the share, by labels: `ring=canary`; of all without.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
}

impl Stage {
    /// A share of all agents.
    pub(crate) fn of_all(percent: i64, soak_seconds: i64) -> Stage {
        Stage { percent, soak_seconds, selector: String::new() }
    }

    /// Whether every agent of the group has its turn in it.
    pub(crate) fn is_everybody(&self) -> bool {
        self.percent >= 100 && self.selector.trim().is_empty()
    }
}

/// Refuses stages that lead nowhere.
pub(super) fn check(stages: &[Stage], problems: &mut Vec<FieldProblem>) {
    let mut require = |holds: bool, field: String, message: &str| {
        if !holds {
            problems.push(FieldProblem::new(field, message));
        }
    };
    require((1..=MAX_STAGES).contains(&stages.len()), "stages".into(), "must be 1 to 20");
    for (index, stage) in stages.iter().enumerate() {
        let same = stages[..index].iter().rev().find(|earlier| earlier.selector == stage.selector);
        let fits = (1..=100).contains(&stage.percent) && same.is_none_or(|same| stage.percent > same.percent);
        let message = "must be 1 to 100, and grow from stage to stage of the same agents";
        require(fits, format!("stages.{index}.percent"), message);
        let fits = (0..=LONGEST).contains(&stage.soak_seconds);
        require(fits, format!("stages.{index}.soak_seconds"), "must be 0 to 604800");
        if let Err(error) = Selector::parse(&stage.selector) {
            let why =
                if let Error::Invalid(why) = &error { why[0].message.clone() } else { error.to_string() };
            require(false, format!("stages.{index}.selector"), &why);
        }
    }
    let reaches_all = stages.last().is_some_and(Stage::is_everybody);
    require(reaches_all, "stages".into(), "the last one must be of 100 percent of all agents");
}

/// Refuses a stage that means nobody of a group that has agents: a slip in its labels would skip it, and everybody be next.
pub(super) fn require_somebody(tx: &mut dyn Tx, group_id: &str, stages: &[Stage]) -> Result<()> {
    let assignment = Assignment::load(tx)?;
    let mut meant = |selector: &Selector| {
        let means = |labels: &_| assignment.means(labels, group_id) && selector.matches(labels);
        Ok::<_, Error>(!agents::meant(tx, means)?.is_empty())
    };
    let mut is_empty = None;
    for (index, stage) in stages.iter().enumerate() {
        let selector = Selector::parse(&stage.selector)?;
        if selector.is_everybody() || meant(&selector)? {
            continue;
        }
        let nobody = match is_empty {
            Some(is_empty) => is_empty,
            None => *is_empty.insert(!meant(&Selector::default())?),
        };
        if !nobody {
            return Err(Error::field(format!("stages.{index}.selector"), "means no agent of the group"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_lead_to_everybody() {
        let stage =
            |percent, selector: &str| Stage { selector: selector.to_owned(), ..Stage::of_all(percent, 0) };
        let fields = |stages: &[Stage]| {
            let mut problems = Vec::new();
            check(stages, &mut problems);
            problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
        };
        for (stages, expected) in [
            (vec![stage(100, "")], vec![]),
            (vec![stage(100, "ring=canary"), stage(10, ""), stage(100, "")], vec![]),
            (vec![stage(50, "ring=canary"), stage(5, ""), stage(100, "ring=canary"), stage(100, "")], vec![]),
            (vec![stage(50, "a"), stage(50, "a"), stage(100, "")], vec!["stages.1.percent"]),
            (vec![stage(50, ""), stage(10, ""), stage(100, "")], vec!["stages.1.percent"]),
            (vec![stage(0, ""), stage(100, "")], vec!["stages.0.percent"]),
            (vec![stage(100, "a=b=c"), stage(100, "")], vec!["stages.0.selector"]),
            (vec![stage(100, "ring=canary")], vec!["stages"]),
            (vec![stage(99, "")], vec!["stages"]),
            (vec![], vec!["stages", "stages"]),
        ] {
            assert_eq!(fields(&stages), expected, "{stages:?}");
        }
        assert_eq!(serde_json::json!(stage(5, "")), serde_json::json!({"percent": 5, "soak_seconds": 0}));
    }
}

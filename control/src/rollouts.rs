//! Rollouts: a version reaches a group in stages, each of which must stay healthy before the next.
//!
//! What happens next is decided by [`machine::decide`] from what is in the database and who is connected, so a service
//! that is killed in any step goes on where it was.

mod gates;
pub mod machine;
mod progress;

use std::collections::BTreeSet;

use phoenix_opamp::Vitals;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::agents;
use crate::args;
use crate::audit::{self, Caller};
use crate::configurations::Version;
use crate::error::{Error, FieldProblem, Result};
use crate::etags::Seen;
use crate::freezes;
use crate::groups::{self, Assignment, Group};
use crate::ids::{new_id, sha256};
use crate::principals::snapshot;
use crate::store::record::{Record, find};
use crate::store::{Row, Tx, Value};
use crate::time::rfc3339;
pub use gates::Gates;
use machine::Decision;
pub use progress::Progress;
pub(crate) use progress::observe;

/// Most stages of a rollout.
const MAX_STAGES: usize = 20;
/// Longest soak, and longest patience, in seconds.
const LONGEST: i64 = 7 * 24 * 3600;

/// A step of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The share of the group's agents that have the version by the end of this stage, 1 to 100.
    pub percent: i64,
    /// How long they must be well before the next stage, in seconds.
    #[serde(default)]
    pub soak_seconds: i64,
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rollout {
    /// Identifier.
    pub id: String,
    /// To which group.
    pub group_id: String,
    /// What its agents ran before.
    pub from_version_id: Option<String>,
    /// What they are to run.
    pub to_version_id: String,
    /// Its steps.
    pub stages: Vec<Stage>,
    /// When it is stopped.
    pub gates: Gates,
    /// The step that it is in, from 0.
    pub stage: i64,
    /// `waiting` (for a second person), `running`, `paused`, `succeeded`, `rolled_back` or `cancelled`.
    pub state: String,
    /// Why it is so.
    pub reason: String,
    /// Since when it is in this stage.
    pub stage_since: String,
    /// Who started it.
    pub created_by: String,
    /// Who approved it, where that was needed.
    pub approved_by: Option<String>,
    /// When it was started.
    pub created_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Goes up with each step; the ETag.
    pub revision: i64,
    #[serde(skip)]
    since_ms: i64,
    #[serde(skip)]
    settled_ms: Option<i64>,
}

impl Record for Rollout {
    const TABLE: &'static str = "rollouts";
    const NOUN: &'static str = "rollout";
    const COLUMNS: &'static str = "id, group_id, from_version_id, to_version_id, stages, gates, stage, state, reason, stage_since, created_by, created_at, finished_at, revision, settled_since, approved_by";

    fn read(row: &Row) -> Result<Rollout> {
        let read = |error: serde_json::Error| Error::Internal(format!("a rollout in the database: {error}"));
        Ok(Rollout {
            id: row.text(0),
            group_id: row.text(1),
            from_version_id: row.maybe_text(2),
            to_version_id: row.text(3),
            stages: serde_json::from_str(&row.text(4)).map_err(read)?,
            gates: serde_json::from_str(&row.text(5)).map_err(read)?,
            stage: row.int(6),
            state: row.text(7),
            reason: row.text(8),
            stage_since: rfc3339(row.int(9)),
            created_by: row.text(10),
            approved_by: row.maybe_text(15),
            created_at: rfc3339(row.int(11)),
            finished_at: row.maybe_int(12).map(rfc3339),
            revision: row.int(13),
            since_ms: row.int(9),
            settled_ms: row.maybe_int(14),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

fn check(stages: &[Stage], gates: &Gates) -> Result<()> {
    let mut problems = Vec::new();
    let mut require = |holds: bool, field: String, message: &str| {
        if !holds {
            problems.push(FieldProblem::new(field, message));
        }
    };
    require((1..=MAX_STAGES).contains(&stages.len()), "stages".into(), "must be 1 to 20");
    let mut last = 0;
    for (index, stage) in stages.iter().enumerate() {
        let fits = stage.percent > last && stage.percent <= 100;
        require(fits, format!("stages.{index}.percent"), "must be 1 to 100, and grow from stage to stage");
        let fits = (0..=LONGEST).contains(&stage.soak_seconds);
        require(fits, format!("stages.{index}.soak_seconds"), "must be 0 to 604800");
        last = stage.percent;
    }
    require(last == 100, "stages".into(), "the last one must be of 100 percent");
    gates.check(&mut problems);
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}

fn under_way(error: Error) -> Error {
    match error {
        Error::Conflict(_) => Error::Conflict("the group has a rollout under way already".to_owned()),
        error => error,
    }
}

#[allow(clippy::too_many_arguments, reason = "one column each")]
pub(crate) fn start(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    group_id: &str,
    version_id: &str,
    stages: &[Stage],
    gates: &Gates,
    connected: &BTreeSet<String>,
) -> Result<Rollout> {
    check(stages, gates)?;
    let group = groups::find_for(tx, caller, group_id)
        .map_err(|_| Error::field("group_id", "there is no such group"))?;
    find::<Version>(tx, version_id).map_err(|_| Error::field("version_id", "there is no such version"))?;
    if group.live_version_id.as_deref() == Some(version_id) {
        return Err(Error::Conflict("the group has this version already".to_owned()));
    }
    group.require_thawed(now)?;
    let state = if group.requires_approval { "waiting" } else { "running" };
    let id = new_id("rol", now);
    tx.execute(
        "INSERT INTO rollouts (id, group_id, from_version_id, to_version_id, stages, gates, stage, state, reason, stage_since, created_by, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?9, '', ?7, ?8, ?7, 1)",
        args![
            &id,
            group_id,
            group.live_version_id.as_ref(),
            version_id,
            snapshot(&stages),
            snapshot(gates),
            now,
            &caller.actor,
            state
        ],
    )
    .map_err(under_way)?;
    let made: Rollout = find(tx, &id)?;
    if made.state == "running" {
        expose(tx, &made, connected)?;
    }
    audit::record(tx, caller, now, "rollout.start", &id, "", &snapshot(&made))?;
    Ok(made)
}

/// The agents of the rollout's group, in an order that is the rollout's own: those that are connected come first, so
/// that a stage does not wait for who is away.
fn members(tx: &mut dyn Tx, rollout: &Rollout, connected: &BTreeSet<String>) -> Result<Vec<String>> {
    let assignment = Assignment::load(tx)?;
    let mut members = agents::meant(tx, |labels| assignment.means(labels, &rollout.group_id))?;
    members.sort_by_cached_key(|id| (!connected.contains(id), sha256(format!("{} {id}", rollout.id))));
    Ok(members)
}

/// Puts as many agents on the new version as the stage says, at least one.
fn expose(tx: &mut dyn Tx, rollout: &Rollout, connected: &BTreeSet<String>) -> Result<()> {
    let members = members(tx, rollout, connected)?;
    let stage = rollout.stage;
    let percent = rollout.stages[stage as usize].percent as usize;
    let wanted = (members.len() * percent).div_ceil(100);
    let sql = "SELECT agent_id FROM rollout_agents WHERE rollout_id = ?1";
    let exposed: BTreeSet<String> =
        tx.query(sql, args![&rollout.id])?.iter().map(|row| row.text(0)).collect();
    // Who left the group since takes nobody's place.
    let have = members.iter().filter(|id| exposed.contains(*id)).count();
    let missing = wanted.saturating_sub(have);
    for agent in members.iter().filter(|id| !exposed.contains(*id)).take(missing) {
        tx.execute(
            "INSERT INTO rollout_agents (rollout_id, agent_id, stage) VALUES (?1, ?2, ?3)",
            args![&rollout.id, agent, stage],
        )?;
    }
    Ok(())
}

/// The agents of running rollouts, with the hash of what each is to have and the rollout.
pub(crate) fn watched(tx: &mut dyn Tx) -> Result<Vec<Watched>> {
    let sql = "SELECT r.rollout_id, r.agent_id, o.to_version_id FROM rollouts o
         JOIN rollout_agents r ON r.rollout_id = o.id WHERE o.state = 'running'";
    let read = |row: &Row| Watched { rollout: row.text(0), agent: row.text(1), version: row.text(2) };
    Ok(tx.query(sql, &[])?.iter().map(read).collect())
}

/// An agent of a running rollout.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) rollout: String,
    pub(crate) agent: String,
    /// What it is to have.
    pub(crate) version: String,
}

/// Notes that are written at once.
const NOTED_AT_ONCE: usize = 200;

/// Writes down how the data of agents fares, for whoever takes the steps.
pub(crate) fn note_vitals(tx: &mut dyn Tx, told: &[(Watched, Vitals)]) -> Result<()> {
    for part in told.chunks(NOTED_AT_ONCE) {
        let places: Vec<String> = (0..part.len())
            .map(|at| format!("(?{}, ?{}, ?{})", 3 * at + 1, 3 * at + 2, 3 * at + 3))
            .collect();
        let sql = format!(
            "UPDATE rollout_agents SET vitals = v.column3 FROM (VALUES {}) AS v
             WHERE rollout_id = v.column1 AND agent_id = v.column2",
            places.join(", ")
        );
        let values: Vec<Value> = part
            .iter()
            .flat_map(|(of, vitals)| {
                let text = json!(vitals).to_string();
                [Value::from(&of.rollout), Value::from(&of.agent), Value::from(text)]
            })
            .collect();
        tx.execute(&sql, &values)?;
    }
    Ok(())
}

/// Takes the next step of every rollout, where there is one to take; says whether anything changed.
pub(crate) fn advance(tx: &mut dyn Tx, now: i64, connected: &BTreeSet<String>) -> Result<bool> {
    let sql = format!("SELECT {} FROM rollouts WHERE state = 'running'", Rollout::COLUMNS);
    let open: Vec<Rollout> = tx.query(&sql, &[])?.iter().map(Rollout::read).collect::<Result<_>>()?;
    let mut changed = false;
    for rollout in open {
        let group: Group = find(tx, &rollout.group_id)?;
        let is_frozen = freezes::frozen_until(&group.freezes, now).is_some();
        if !is_frozen {
            // Agents that joined since, or came back, take their part in the stage.
            expose(tx, &rollout, connected)?;
        }
        let seen = observe(tx, &rollout, connected)?;
        let mut decision = machine::decide(&rollout.position(), &seen.observed(), now);
        // What is healthy waits; what is not is taken back in a freeze, too.
        if is_frozen && decision == Decision::Next {
            decision = Decision::Wait { settled_since: rollout.settled_ms };
        }
        changed |= !matches!(decision, Decision::Wait { .. });
        if let Decision::RollBack { is_late, .. } = &decision {
            seen.remember(tx, now, *is_late)?;
        }
        carry_out(tx, &Caller::system(), now, &rollout, decision, connected)?;
    }
    Ok(changed)
}

fn carry_out(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    rollout: &Rollout,
    decision: Decision,
    connected: &BTreeSet<String>,
) -> Result<()> {
    match decision {
        Decision::Wait { settled_since } => {
            if settled_since != rollout.settled_ms {
                let sql = "UPDATE rollouts SET settled_since = ?2 WHERE id = ?1";
                tx.execute(sql, args![&rollout.id, settled_since])?;
            }
            Ok(())
        }
        Decision::Next => {
            let sql = "UPDATE rollouts SET stage = stage + 1, stage_since = ?2, settled_since = NULL, revision = revision + 1 WHERE id = ?1";
            tx.execute(sql, args![&rollout.id, now])?;
            let next: Rollout = find(tx, &rollout.id)?;
            expose(tx, &next, connected)?;
            audit::record(tx, caller, now, "rollout.stage", &rollout.id, &snapshot(rollout), &snapshot(&next))
        }
        Decision::Succeed => {
            groups::set_live(tx, &rollout.group_id, &rollout.to_version_id)?;
            finish(tx, caller, now, rollout, "succeeded", "every stage was healthy")
        }
        Decision::RollBack { reason, .. } => finish(tx, caller, now, rollout, "rolled_back", &reason),
        Decision::Pause { reason } => set_state(tx, caller, now, rollout, "paused", &reason),
    }
}

fn set_state(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    rollout: &Rollout,
    state: &str,
    reason: &str,
) -> Result<()> {
    let sql = "UPDATE rollouts SET state = ?2, reason = ?3, stage_since = ?4, settled_since = NULL, revision = revision + 1 WHERE id = ?1";
    tx.execute(sql, args![&rollout.id, state, reason, now])?;
    let after: Rollout = find(tx, &rollout.id)?;
    let action = format!("rollout.{state}");
    audit::record(tx, caller, now, &action, &rollout.id, &snapshot(rollout), &snapshot(&after))
}

fn finish(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    rollout: &Rollout,
    state: &str,
    reason: &str,
) -> Result<()> {
    tx.execute("UPDATE rollouts SET finished_at = ?2 WHERE id = ?1", args![&rollout.id, now])?;
    set_state(tx, caller, now, rollout, state, reason)
}

/// The one with this identifier, to a group that the caller may see.
pub(crate) fn find_for(tx: &mut dyn Tx, caller: &Caller, id: &str) -> Result<Rollout> {
    let found: Rollout = find(tx, id)?;
    match found.is_seen(tx, caller)? {
        true => Ok(found),
        false => Err(Error::NotFound(format!("rollout {id}"))),
    }
}

/// What somebody wants of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// No further stage, until it is resumed.
    Pause,
    /// Goes on.
    Resume,
    /// Begins, as a second person says.
    Approve,
    /// The group goes back to the former version; one that waits is cancelled.
    RollBack,
}

pub(crate) fn order(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    seen: &Seen,
    order: Order,
    connected: &BTreeSet<String>,
) -> Result<Rollout> {
    let found = find_for(tx, caller, id)?;
    seen.expect(found.revision)?;
    let reason = format!("by {}", caller.actor);
    match (order, found.state.as_str()) {
        (Order::Pause, "running") => set_state(tx, caller, now, &found, "paused", &reason)?,
        (Order::Resume, "paused") => {
            find::<Group>(tx, &found.group_id)?.require_thawed(now)?;
            set_state(tx, caller, now, &found, "running", &reason)?;
        }
        (Order::Approve, "waiting") => approve(tx, caller, now, &found)?,
        (Order::RollBack, "waiting") => finish(tx, caller, now, &found, "cancelled", &reason)?,
        (Order::RollBack, "running" | "paused") => {
            observe(tx, &found, connected)?.remember(tx, now, false)?;
            finish(tx, caller, now, &found, "rolled_back", &reason)?;
        }
        (_, state) => return Err(Error::Conflict(format!("the rollout is {state}"))),
    }
    find(tx, id)
}

/// A second person says yes: the rollout begins, with the next look at what is running.
fn approve(tx: &mut dyn Tx, caller: &Caller, now: i64, waiting: &Rollout) -> Result<()> {
    let group: Group = find(tx, &waiting.group_id)?;
    group.require_thawed(now)?;
    if is_same_person(tx, &caller.actor, &waiting.created_by)? {
        return Err(Error::Forbidden(
            "somebody else than who started the rollout must approve it".to_owned(),
        ));
    }
    if group.live_version_id != waiting.from_version_id {
        let message = "the group has another version by now: cancel the rollout and start it anew";
        return Err(Error::Conflict(message.to_owned()));
    }
    let sql = "UPDATE rollouts SET approved_by = ?2, state = 'running' WHERE id = ?1";
    tx.execute(sql, args![&waiting.id, &caller.actor]).map_err(under_way)?;
    set_state(tx, caller, now, waiting, "running", &format!("approved by {}", caller.actor))
}

/// Whether two actors are one, or one is a key that the other made.
fn is_same_person(tx: &mut dyn Tx, one: &str, other: &str) -> Result<bool> {
    Ok(makers(tx, one)?.contains(other) || makers(tx, other)?.contains(one))
}

/// An actor, and where that is a key, who made it, and so on.
fn makers(tx: &mut dyn Tx, actor: &str) -> Result<BTreeSet<String>> {
    let (mut makers, mut next) = (BTreeSet::new(), Some(actor.to_owned()));
    // A key is made by somebody who was there before, so this ends.
    while let Some(actor) = next {
        next = match actor.strip_prefix("key:").and_then(|rest| rest.split(':').next()) {
            None => None,
            Some(id) => {
                let row = tx.one("SELECT created_by FROM api_keys WHERE id = ?1", args![id])?;
                row.map(|row| row.text(0))
            }
        };
        makers.insert(actor);
    }
    Ok(makers)
}

impl Rollout {
    /// Whether its group is of the caller's scope.
    pub(crate) fn is_seen(&self, tx: &mut dyn Tx, caller: &Caller) -> Result<bool> {
        if caller.scope.is_everybody() {
            return Ok(true);
        }
        find::<Group>(tx, &self.group_id)?.is_seen(caller)
    }

    fn position(&self) -> machine::Position {
        let stage = &self.stages[(self.stage as usize).min(self.stages.len() - 1)];
        machine::Position {
            is_last: self.stage as usize + 1 >= self.stages.len(),
            since: self.since_ms,
            settled_since: self.settled_ms,
            soak_ms: stage.soak_seconds * 1000,
            gates: self.gates.clone(),
        }
    }
}

#[cfg(test)]
mod tests;

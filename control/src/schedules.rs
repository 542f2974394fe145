//! Tasks that come again: when a schedule is due, each of its agents gets the task.
//!
//! Where the one before it still waits, because the agent is away, it stands for both: nothing piles up. A time that
//! passed while the service was down is made up for once.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::agents;
use crate::args;
use crate::audit::{self, Caller};
use crate::cron::Cron;
use crate::error::{Error, Result};
use crate::etags::Seen;
use crate::groups::require_scope;
use crate::ids::new_id;
use crate::principals::{check_name, snapshot};
use crate::selector::Selector;
use crate::store::record::{Record, find, find_seen, taken};
use crate::store::{Row, Tx};
use crate::tasks::{self, NewTask, TaskKind};
use crate::time::rfc3339;

/// Schedules that are due are looked at in one transaction.
const AT_ONCE: i64 = 20;

/// A schedule.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Schedule {
    /// Identifier.
    pub id: String,
    /// Name, unique.
    pub name: String,
    /// For this agent alone.
    pub agent_id: Option<String>,
    /// Else for the agents that these labels mean when it is due: `env=prod`; all where empty.
    pub selector: String,
    /// When, as in cron: minute, hour, day of the month, month, day of the week, in UTC; or `@daily` and the like.
    pub cron: String,
    /// What is to be done.
    pub kind: String,
    /// With which settings.
    pub payload: serde_json::Value,
    /// Higher ones first.
    pub priority: i64,
    /// How often each may be tried.
    pub max_attempts: i64,
    /// Whether it goes on.
    pub enabled: bool,
    /// When it is due next.
    pub next_at: String,
    /// When it last was.
    pub last_at: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: String,
    /// Goes up when people change it; the ETag.
    pub revision: i64,
}

impl Record for Schedule {
    const TABLE: &'static str = "schedules";
    const NOUN: &'static str = "schedule";
    const COLUMNS: &'static str = "id, name, agent_id, selector, cron, kind, payload, priority, max_attempts, enabled, next_at, last_at, created_by, created_at, revision";

    fn read(row: &Row) -> Result<Schedule> {
        Ok(Schedule {
            id: row.text(0),
            name: row.text(1),
            agent_id: row.maybe_text(2),
            selector: row.text(3),
            cron: row.text(4),
            kind: row.text(5),
            payload: row.json(6),
            priority: row.int(7),
            max_attempts: row.int(8),
            enabled: row.yes(9),
            next_at: rfc3339(row.int(10)),
            last_at: row.maybe_int(11).map(rfc3339),
            created_by: row.text(12),
            created_at: rfc3339(row.int(13)),
            revision: row.int(14),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

/// A schedule as it is asked for.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// Name, unique.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// For this agent alone.
    #[serde(default)]
    pub agent_id: Option<String>,
    /// Else for the agents that these labels mean when it is due: `env=prod`; all without.
    #[serde(default)]
    pub selector: String,
    /// When, as in cron: minute, hour, day of the month, month, day of the week, in UTC; or `@daily` and the like.
    pub cron: String,
    /// What is to be done.
    pub kind: TaskKind,
    /// With which settings.
    #[serde(default)]
    pub payload: serde_json::Value,
    /// Higher ones first, 0 to 9.
    #[serde(default)]
    pub priority: i64,
    /// How often each may be tried, 1 to 20.
    #[serde(default = "tasks::three")]
    pub max_attempts: i64,
}

/// What is to change of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleChange {
    /// When.
    pub cron: Option<String>,
    /// Whether it goes on; one that begins again makes up for nothing.
    pub enabled: Option<bool>,
    /// With which settings the task is done.
    pub payload: Option<serde_json::Value>,
}

fn read_cron(text: &str) -> Result<Cron> {
    Cron::parse(text).map_err(|problem| Error::field("cron", problem))
}

fn next(cron: &Cron, now: i64) -> Result<i64> {
    cron.next_after(now).ok_or_else(|| Error::field("cron", "never comes"))
}

impl Schedule {
    /// Whether all of its agents are of the caller's scope.
    pub(crate) fn is_seen(&self, tx: &mut dyn Tx, caller: &Caller) -> Result<bool> {
        match &self.agent_id {
            Some(agent) => agents::is_seen(tx, caller, agent),
            None => Ok(caller.scope.covers(&Selector::parse(&self.selector)?)),
        }
    }
}

/// The one with this identifier, where the caller may see all of its agents.
pub(crate) fn find_for(tx: &mut dyn Tx, caller: &Caller, id: &str) -> Result<Schedule> {
    let found: Schedule = find(tx, id)?;
    match found.is_seen(tx, caller)? {
        true => Ok(found),
        false => Err(Error::NotFound(format!("schedule {id}"))),
    }
}

pub(crate) fn create(tx: &mut dyn Tx, caller: &Caller, now: i64, new: &NewSchedule) -> Result<Schedule> {
    check_name("name", &new.name)?;
    match &new.agent_id {
        Some(_) if !new.selector.is_empty() => {
            return Err(Error::field("selector", "must be empty where `agent_id` names one agent"));
        }
        Some(agent) => {
            agents::row_for(tx, caller, agent)
                .map_err(|_| Error::field("agent_id", "there is no such agent"))?;
        }
        None => require_scope(caller, &new.selector)?,
    }
    let at = next(&read_cron(&new.cron)?, now)?;
    tasks::check(tx, new.kind, &new.payload, new.priority, new.max_attempts)?;
    let id = new_id("sch", now);
    tx.execute(
        "INSERT INTO schedules (id, name, agent_id, selector, cron, kind, payload, priority, max_attempts, enabled, next_at, created_by, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?11, ?12, 1)",
        args![
            &id,
            &new.name,
            new.agent_id.as_ref(),
            &new.selector,
            new.cron.trim(),
            new.kind.name(),
            new.payload.to_string(),
            new.priority,
            new.max_attempts,
            at,
            &caller.actor,
            now
        ],
    )
    .map_err(taken::<Schedule>(&new.name))?;
    let made: Schedule = find(tx, &id)?;
    audit::record(tx, caller, now, "schedule.create", &id, "", &snapshot(&made))?;
    Ok(made)
}

pub(crate) fn change(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    seen: &Seen,
    change: &ScheduleChange,
) -> Result<Schedule> {
    find_for(tx, caller, id)?;
    let before: Schedule = find_seen(tx, id, seen)?;
    let text = change.cron.as_deref().unwrap_or(&before.cron).trim();
    let at = next(&read_cron(text)?, now)?;
    let payload = change.payload.as_ref().unwrap_or(&before.payload);
    tasks::check(tx, TaskKind::named(&before.kind)?, payload, before.priority, before.max_attempts)?;
    tx.execute(
        "UPDATE schedules SET cron = ?2, enabled = ?3, payload = ?4, next_at = ?5, revision = revision + 1 WHERE id = ?1",
        args![id, text, change.enabled.unwrap_or(before.enabled), payload.to_string(), at],
    )?;
    let after: Schedule = find(tx, id)?;
    audit::record(tx, caller, now, "schedule.change", id, &snapshot(&before), &snapshot(&after))?;
    Ok(after)
}

pub(crate) fn remove(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str, seen: &Seen) -> Result<()> {
    find_for(tx, caller, id)?;
    let before: Schedule = find_seen(tx, id, seen)?;
    tx.execute("DELETE FROM schedules WHERE id = ?1", args![id])?;
    audit::record(tx, caller, now, "schedule.remove", id, &snapshot(&before), "")
}

/// Gives the agents of schedules that are due their tasks. In one transaction with the next time, so that none is given
/// twice, however many instances look.
pub(crate) fn fire(tx: &mut dyn Tx, now: i64) -> Result<()> {
    let sql = format!(
        "SELECT {} FROM schedules WHERE enabled = 1 AND next_at <= ?1 ORDER BY next_at LIMIT ?2",
        Schedule::COLUMNS
    );
    let due: Vec<Schedule> =
        tx.query(&sql, args![now, AT_ONCE])?.iter().map(Schedule::read).collect::<Result<_>>()?;
    for schedule in due {
        let agents = agents_of(tx, &schedule)?;
        let caller = Caller { actor: format!("schedule:{}", schedule.id), ..Caller::system() };
        let new = NewTask {
            kind: TaskKind::named(&schedule.kind)?,
            payload: schedule.payload.clone(),
            priority: schedule.priority,
            run_at: None,
            max_attempts: schedule.max_attempts,
            coalesce: Some(format!("schedule:{}", schedule.id)),
        };
        tasks::add_to_all(tx, &caller, now, &agents, &new)?;
        let at = Cron::parse(&schedule.cron).ok().and_then(|cron| cron.next_after(now));
        let sql = "UPDATE schedules SET next_at = ?2, last_at = ?3, enabled = ?4 WHERE id = ?1";
        tx.execute(sql, args![&schedule.id, at.unwrap_or(i64::MAX), now, at.is_some()])?;
        audit::record(tx, &caller, now, "schedule.run", &schedule.id, "", &snapshot(&agents))?;
    }
    Ok(())
}

fn agents_of(tx: &mut dyn Tx, schedule: &Schedule) -> Result<Vec<String>> {
    if let Some(agent) = &schedule.agent_id {
        let there = tx.one("SELECT id FROM agents WHERE id = ?1 AND revoked_at IS NULL", args![agent])?;
        return Ok(there.iter().map(|row| row.text(0)).collect());
    }
    let selector = Selector::parse(&schedule.selector)?;
    agents::meant(tx, |labels| selector.matches(labels))
}

#[cfg(test)]
mod tests;

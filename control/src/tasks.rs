//! Work for agents: a queue with leases, fences, retries and dead letters.
//!
//! A task is handed out at least once. Who completes it shows the fence that it was handed out with; an older one
//! counts no more, so a worker that lost its lease cannot overwrite what another did. One task of an agent is under
//! way at a time, the highest priority first; waiting raises it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::args;
use crate::audit::{self, Caller};
use crate::configurations::Version;
use crate::error::{Error, Result};
use crate::ids::new_id;
use crate::roles::Permission;
use crate::store::record::{Record, find};
use crate::store::{Dialect, Row, Tx, Value};
use crate::time::rfc3339;

/// How long an agent has a task before it is taken from it.
pub const LEASE_MS: i64 = 60_000;
/// Between the first two attempts at most; doubled for each further one.
const RETRY_BASE_MS: i64 = 1_000;
const RETRY_CAP_MS: i64 = 300_000;
/// A task that waited so long counts as one priority higher.
const AGEING_MS: i64 = 60_000;
/// Longest key of tasks that stand for each other.
const MAX_KEY: usize = 100;
/// Longest result that is kept, in bytes.
pub const MAX_RESULT: usize = 1 << 20;

/// What an agent can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Sets the level of its log for a time: `{"level": "debug", "for_seconds": 600}`.
    LogLevel,
    /// Tells version, effective configuration, status of components, books, own metrics and the latest of the log; with
    /// `{"only": "logs"}` (`metrics`, `configuration`, `health`, `profile`) just that. Memory is told by what it is mapped for;
    /// with `{"profile_seconds": 10}` CPU time is sampled, in pprof's format as base64.
    Diagnostics,
    /// Says what it would do with a version, and changes nothing: `{"version_id": "ver_…"}`. A mistake is a result, too.
    DryRun,
    /// Shows some items of a pipeline, with values taken out before they leave the agent: `{"pipeline": "traces", "items":
    /// 10, "for_seconds": 10, "place": "out", "redact": ["user.*"], "bodies": false}`. The result is for deployers.
    Tap,
    /// Reads its own files again.
    Reload,
    /// Delivers what it holds, and begins again as the same process.
    Restart,
}

impl TaskKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            TaskKind::LogLevel => "log_level",
            TaskKind::Diagnostics => "diagnostics",
            TaskKind::DryRun => "dry_run",
            TaskKind::Tap => "tap",
            TaskKind::Reload => "reload",
            TaskKind::Restart => "restart",
        }
    }

    /// The one with this name.
    pub(crate) fn named(name: &str) -> Result<TaskKind> {
        let named = serde_json::from_value(serde_json::Value::from(name));
        named.map_err(|_| Error::Internal(format!("a task in the database has the unknown kind {name:?}")))
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Task {
    /// Identifier.
    pub id: String,
    /// For which agent.
    pub agent_id: String,
    /// What is to be done.
    pub kind: String,
    /// With which settings.
    pub payload: serde_json::Value,
    /// Higher ones first.
    pub priority: i64,
    /// `ready`, `leased`, `done`, `dead` or `cancelled`.
    pub state: String,
    /// Not before.
    pub run_at: String,
    /// How often it was handed out.
    pub attempt: i64,
    /// How often it may be.
    pub max_attempts: i64,
    /// The number of its last handing out.
    pub fence: i64,
    /// What came of it.
    pub result: serde_json::Value,
    /// What went wrong last.
    pub error: Option<String>,
    /// The key under which a further one takes its place while it waits.
    pub coalesce: Option<String>,
    /// Who wants it.
    pub created_by: String,
    /// Since when.
    pub created_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
}

impl Record for Task {
    const TABLE: &'static str = "tasks";
    const NOUN: &'static str = "task";
    const COLUMNS: &'static str = "id, agent_id, kind, payload, priority, state, run_at, attempt, max_attempts, fence, result, error, created_by, created_at, finished_at, coalesce_key";

    fn read(row: &Row) -> Result<Task> {
        Ok(Task {
            id: row.text(0),
            agent_id: row.text(1),
            kind: row.text(2),
            payload: row.json(3),
            priority: row.int(4),
            state: row.text(5),
            run_at: rfc3339(row.int(6)),
            attempt: row.int(7),
            max_attempts: row.int(8),
            fence: row.int(9),
            result: row.json(10),
            error: row.maybe_text(11),
            created_by: row.text(12),
            created_at: rfc3339(row.int(13)),
            finished_at: row.maybe_int(14).map(rfc3339),
            coalesce: row.maybe_text(15),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// A task as it is asked for.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// What is to be done.
    pub kind: TaskKind,
    /// With which settings.
    #[serde(default)]
    pub payload: serde_json::Value,
    /// Higher ones first, 0 to 9.
    #[serde(default)]
    pub priority: i64,
    /// Not before this moment; at once without.
    #[serde(default)]
    pub run_at: Option<String>,
    /// How often it may be tried, 1 to 20.
    #[serde(default = "three")]
    pub max_attempts: i64,
    /// Where a task of this agent under the same key waits, this one takes its place: what is wanted then is done once.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    pub coalesce: Option<String>,
}

pub(crate) fn three() -> i64 {
    3
}

pub(crate) fn add(tx: &mut dyn Tx, caller: &Caller, now: i64, agent_id: &str, new: &NewTask) -> Result<Task> {
    let agent = crate::agents::row_for(tx, caller, agent_id)?;
    if agent.maybe_int(8).is_some() {
        return Err(Error::Conflict("this agent is locked out, and does no tasks".to_owned()));
    }
    check(tx, new.kind, &new.payload, new.priority, new.max_attempts)?;
    if new.coalesce.as_ref().is_some_and(|key| key.is_empty() || key.chars().count() > MAX_KEY) {
        return Err(Error::field("coalesce", "must have 1 to 100 characters"));
    }
    // Keys of schedules are theirs.
    if new.coalesce.as_ref().is_some_and(|key| key.starts_with("schedule:")) {
        return Err(Error::field("coalesce", "must not begin with `schedule:`"));
    }
    let run_at = match &new.run_at {
        None => now,
        Some(text) => crate::time::parse_rfc3339(text)
            .ok_or_else(|| Error::field("run_at", "must be a moment as in RFC 3339"))?,
    };
    let id = put(tx, caller, now, run_at, agent_id, new)?;
    audit::record(tx, caller, now, "task.create", &id, "", &format!("{} {}", new.kind.name(), new.payload))?;
    find(tx, &id)
}

/// Gives each of these agents the task, as a schedule does.
pub(crate) fn add_to_all(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    agents: &[String],
    new: &NewTask,
) -> Result<()> {
    for agent in agents {
        put(tx, caller, now, now, agent, new)?;
    }
    Ok(())
}

/// Writes a task down, or puts it in the place of the one that waits under its key: that keeps its identifier and the
/// time that it has waited for.
fn put(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    run_at: i64,
    agent_id: &str,
    new: &NewTask,
) -> Result<String> {
    let id = new_id("tsk", now);
    let sql = "INSERT INTO tasks (id, agent_id, kind, payload, priority, state, run_at, attempt, max_attempts, fence, created_by, created_at, coalesce_key)
         VALUES (?1, ?2, ?3, ?4, ?5, 'ready', ?6, 0, ?7, 0, ?8, ?9, ?10)
         ON CONFLICT (agent_id, coalesce_key) WHERE state = 'ready' DO UPDATE SET
             kind = excluded.kind, payload = excluded.payload, max_attempts = excluded.max_attempts, attempt = 0,
             priority = CASE WHEN excluded.priority > tasks.priority THEN excluded.priority ELSE tasks.priority END,
             run_at = CASE WHEN excluded.run_at < tasks.run_at THEN excluded.run_at ELSE tasks.run_at END,
             created_by = excluded.created_by
         RETURNING id";
    let written = tx.query(
        sql,
        args![
            &id,
            agent_id,
            new.kind.name(),
            new.payload.to_string(),
            new.priority,
            run_at,
            new.max_attempts,
            &caller.actor,
            now,
            new.coalesce.as_ref()
        ],
    )?;
    Ok(written.first().map_or(id, |row| row.text(0)))
}

/// Refuses what no agent could do.
pub(crate) fn check(
    tx: &mut dyn Tx,
    kind: TaskKind,
    payload: &serde_json::Value,
    priority: i64,
    max_attempts: i64,
) -> Result<()> {
    if !(0..=9).contains(&priority) {
        return Err(Error::field("priority", "must be 0 to 9"));
    }
    if !(1..=20).contains(&max_attempts) {
        return Err(Error::field("max_attempts", "must be 1 to 20"));
    }
    match kind {
        TaskKind::DryRun => {
            let version = payload["version_id"].as_str().unwrap_or_default();
            find::<Version>(tx, version)
                .map_err(|_| Error::field("payload.version_id", "there is no such version"))?;
            Ok(())
        }
        TaskKind::Tap => check_tap(payload),
        TaskKind::LogLevel => check_level(payload),
        TaskKind::Diagnostics => match &payload["profile_seconds"] {
            seconds if seconds.is_null() || seconds.as_u64().is_some_and(|seconds| seconds <= 30) => Ok(()),
            _ => Err(Error::field("payload.profile_seconds", "must be 0 to 30")),
        },
        TaskKind::Reload | TaskKind::Restart => Ok(()),
    }
}

fn check_level(payload: &serde_json::Value) -> Result<()> {
    let level = payload["level"].as_str().unwrap_or_default();
    if !["debug", "info", "warn", "error"].contains(&level) {
        return Err(Error::field("payload.level", "must be debug, info, warn or error"));
    }
    if !payload["for_seconds"].as_i64().is_some_and(|seconds| (1..=86_400).contains(&seconds)) {
        return Err(Error::field("payload.for_seconds", "must be 1 to 86400: a level reverts by itself"));
    }
    Ok(())
}

fn check_tap(payload: &serde_json::Value) -> Result<()> {
    let fits = |key: &str, highest: i64| {
        payload[key].is_null() || payload[key].as_i64().is_some_and(|number| (1..=highest).contains(&number))
    };
    if payload["pipeline"].as_str().is_none_or(str::is_empty) {
        return Err(Error::field("payload.pipeline", "must name a pipeline, for example traces"));
    }
    if !fits("items", 100) {
        return Err(Error::field("payload.items", "must be 1 to 100"));
    }
    if !fits("for_seconds", 45) {
        return Err(Error::field("payload.for_seconds", "must be 1 to 45"));
    }
    Ok(())
}

impl Task {
    /// As somebody sees it: data that a tap brought is for those who may ask for it.
    pub(crate) fn shown_to(mut self, caller: &Caller) -> Task {
        if self.kind == TaskKind::Tap.name() && !caller.role.may(Permission::Deploy) {
            self.result = serde_json::Value::Null;
        }
        self
    }
}

/// The one with this identifier, of an agent that the caller may see.
pub(crate) fn find_for(tx: &mut dyn Tx, caller: &Caller, id: &str) -> Result<Task> {
    let found: Task = find(tx, id)?;
    match crate::agents::is_seen(tx, caller, &found.agent_id)? {
        true => Ok(found),
        false => Err(Error::NotFound(format!("task {id}"))),
    }
}

/// Those of one agent, the newest first.
pub(crate) fn of_agent(tx: &mut dyn Tx, agent_id: &str, before: &str, limit: i64) -> Result<Vec<Task>> {
    let columns = Task::COLUMNS;
    let sql =
        format!("SELECT {columns} FROM tasks WHERE agent_id = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2");
    tx.query(&sql, args![before, limit, agent_id])?.iter().map(Task::read).collect()
}

/// What there is to do for whoever hands tasks out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    /// A task or a schedule is due, or a lease ran out.
    pub(crate) is_due: bool,
    /// When the next one is, or the next lease runs out.
    pub(crate) next_at: Option<i64>,
}

/// Finds out with one question, however many agents wait.
pub(crate) fn glance(tx: &mut dyn Tx, now: i64) -> Result<Glance> {
    let sql = "SELECT (SELECT min(run_at) FROM tasks WHERE state = 'ready'),
         (SELECT min(run_at) FROM tasks WHERE state = 'ready' AND run_at > ?1),
         (SELECT min(lease_until) FROM tasks WHERE state = 'leased'),
         (SELECT min(next_at) FROM schedules WHERE enabled = 1)";
    let row = tx.one(sql, args![now])?;
    let moment = |column| row.as_ref().and_then(|row| row.maybe_int(column));
    let is_due = [moment(0), moment(2), moment(3)].into_iter().flatten().any(|at| at <= now);
    let next_at = [moment(1), moment(2), moment(3)].into_iter().flatten().filter(|at| *at > now).min();
    Ok(Glance { is_due, next_at })
}

/// The agents that have something to do now, or whose lease ran out.
pub(crate) fn agents_with_work(tx: &mut dyn Tx, now: i64) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT agent_id FROM tasks WHERE state = 'ready' AND run_at <= ?1";
    Ok(tx.query(sql, args![now])?.iter().map(|row| row.text(0)).collect())
}

/// Agents whose next tasks are claimed at once.
pub(crate) const BATCH: usize = 20;

/// Hands out the next task of each of these agents, at most [`BATCH`] of them; none to one that has a task under way.
pub(crate) fn claim(tx: &mut dyn Tx, now: i64, agents: &[String]) -> Result<Vec<Task>> {
    let agents = &agents[..agents.len().min(BATCH)];
    let list = |count: usize, from: usize| -> String {
        let places: Vec<String> = (from..from + count).map(|place| format!("?{place}")).collect();
        places.join(", ")
    };
    let mut free: Vec<Value> = agents.iter().map(Value::from).collect();
    if tx.dialect() == Dialect::Postgres {
        // Whoever claims for the same agent elsewhere takes it, and this one goes on with the others.
        let sql =
            format!("SELECT id FROM agents WHERE id IN ({}) FOR UPDATE SKIP LOCKED", list(free.len(), 1));
        free = tx.query(&sql, &free)?.iter().map(|row| row.text(0).into()).collect();
    }
    if free.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "UPDATE tasks SET state = 'leased', lease_until = ?2, attempt = attempt + 1, fence = fence + 1 WHERE id IN (
             SELECT id FROM (
                 SELECT id, agent_id, row_number() OVER (
                     PARTITION BY agent_id ORDER BY priority + (?1 - run_at) / ?3 DESC, run_at, id
                 ) AS place FROM tasks WHERE state = 'ready' AND run_at <= ?1 AND agent_id IN ({})
             ) AS waiting WHERE place = 1 AND NOT EXISTS (
                 SELECT 1 FROM tasks busy WHERE busy.agent_id = waiting.agent_id AND busy.state = 'leased'
             )
         ) RETURNING {}",
        list(free.len(), 4),
        Task::COLUMNS
    );
    let mut given = vec![Value::from(now), Value::from(now + LEASE_MS), Value::from(AGEING_MS)];
    given.extend(free);
    tx.query(&sql, &given)?.iter().map(Task::read).collect()
}

/// How a task went.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Outcome {
    /// Which.
    pub id: String,
    /// The fence that it was handed out with.
    pub fence: i64,
    /// What came of it; none where it went wrong.
    pub result: Option<serde_json::Value>,
    /// What went wrong.
    pub error: Option<String>,
    /// Whether there is sense in trying again.
    #[serde(default)]
    pub retryable: bool,
}

/// Ends a task, or puts it back for another attempt. Says whether the lease still counted.
pub(crate) fn complete(
    tx: &mut dyn Tx,
    now: i64,
    agent_id: &str,
    outcome: &Outcome,
    jitter: f64,
) -> Result<bool> {
    let sql = format!(
        "SELECT {} FROM tasks WHERE id = ?1 AND agent_id = ?2 AND fence = ?3 AND state = 'leased'",
        Task::COLUMNS
    );
    let Some(row) = tx.one(&sql, args![&outcome.id, agent_id, outcome.fence])? else { return Ok(false) };
    let found = Task::read(&row)?;
    match (&outcome.error, &outcome.result) {
        (None, result) => {
            let result = result.as_ref().map_or_else(String::new, ToString::to_string);
            let (result, error) = match result.len() > MAX_RESULT {
                true => (None, Some(format!("the result has {} bytes and was not kept", result.len()))),
                false => (Some(result), None),
            };
            let sql = "UPDATE tasks SET state = 'done', result = ?2, error = ?3, finished_at = ?4, lease_until = NULL WHERE id = ?1";
            tx.execute(sql, args![&found.id, result, error, now])?;
        }
        (Some(error), _) => fail(tx, now, &found, error, outcome.retryable, jitter)?,
    }
    Ok(true)
}

fn fail(tx: &mut dyn Tx, now: i64, task: &Task, error: &str, retryable: bool, jitter: f64) -> Result<()> {
    if !retryable || task.attempt >= task.max_attempts {
        let sql =
            "UPDATE tasks SET state = 'dead', error = ?2, finished_at = ?3, lease_until = NULL WHERE id = ?1";
        tx.execute(sql, args![&task.id, error, now])?;
        tracing::warn!(task = task.id, agent = task.agent_id, error, "a task failed for good");
        return Ok(());
    }
    if let Some(key) = &task.coalesce {
        let sql = "SELECT id FROM tasks WHERE agent_id = ?1 AND coalesce_key = ?2 AND state = 'ready'";
        if let Some(next) = tx.one(sql, args![&task.agent_id, key])? {
            let why = format!("{error}; {} does what this one was to do", next.text(0));
            let sql = "UPDATE tasks SET state = 'cancelled', error = ?2, finished_at = ?3, lease_until = NULL WHERE id = ?1";
            tx.execute(sql, args![&task.id, why, now])?;
            return Ok(());
        }
    }
    let ceiling = RETRY_BASE_MS.saturating_mul(1 << task.attempt.clamp(0, 20)).min(RETRY_CAP_MS);
    let delay = (ceiling as f64 * jitter.clamp(0.0, 1.0)) as i64;
    let sql = "UPDATE tasks SET state = 'ready', run_at = ?2, error = ?3, lease_until = NULL WHERE id = ?1";
    tx.execute(sql, args![&task.id, now + delay, error])?;
    Ok(())
}

/// Takes back what was leased for too long.
pub(crate) fn reap(tx: &mut dyn Tx, now: i64, jitter: f64) -> Result<usize> {
    let sql = format!(
        "SELECT {} FROM tasks WHERE state = 'leased' AND lease_until <= ?1 LIMIT 1000",
        Task::COLUMNS
    );
    let expired: Vec<Task> = tx.query(&sql, args![now])?.iter().map(Task::read).collect::<Result<_>>()?;
    for task in &expired {
        fail(tx, now, task, "the agent did not answer within its lease", true, jitter)?;
    }
    Ok(expired.len())
}

/// Puts a dead task back, with all its attempts.
pub(crate) fn requeue(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str) -> Result<Task> {
    let found = find_for(tx, caller, id)?;
    if found.state != "dead" {
        return Err(Error::Conflict(format!("the task is {}, only dead ones are put back", found.state)));
    }
    let sql = "UPDATE tasks SET state = 'ready', attempt = 0, run_at = ?2, finished_at = NULL WHERE id = ?1";
    tx.execute(sql, args![id, now]).map_err(|error| match error {
        Error::Conflict(_) => Error::Conflict("another task took its place, and waits".to_owned()),
        error => error,
    })?;
    audit::record(tx, caller, now, "task.requeue", id, "dead", "ready")?;
    find(tx, id)
}

/// Takes a task back that nobody has begun.
pub(crate) fn cancel(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str) -> Result<Task> {
    let found = find_for(tx, caller, id)?;
    if found.state != "ready" {
        return Err(Error::Conflict(format!("the task is {}", found.state)));
    }
    tx.execute("UPDATE tasks SET state = 'cancelled', finished_at = ?2 WHERE id = ?1", args![id, now])?;
    audit::record(tx, caller, now, "task.cancel", id, "ready", "cancelled")?;
    find(tx, id)
}

#[cfg(test)]
mod tests;

//! Groups of agents, and which configuration each agent is to have.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::args;
use crate::audit::{self, Caller};
use crate::configurations::Version;
use crate::error::{Error, Result};
use crate::etags::Seen;
use crate::freezes::{self, Freeze};
use crate::ids::new_id;
use crate::own_telemetry::OwnTelemetry;
use crate::principals::{check_name, snapshot};
use crate::roles::Permission;
use crate::selector::{Labels, Selector};
use crate::store::record::{Record, find, find_seen, taken};
use crate::store::{Row, Tx};
use crate::time::rfc3339;

/// A group: the agents that a selector means, and what they run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Group {
    /// Identifier.
    pub id: String,
    /// Name, unique.
    pub name: String,
    /// Which agents, by labels: `env=prod,region!=eu`.
    pub selector: String,
    /// An agent that several groups mean belongs to the one with the highest.
    pub priority: i64,
    /// The version that its agents run, outside of a rollout; rollouts change it.
    pub live_version_id: Option<String>,
    /// Whether a second person must approve each rollout.
    pub requires_approval: bool,
    /// When it is left as it is.
    pub freezes: Vec<Freeze>,
    /// Where its agents send what they say of themselves, besides where their own files say.
    pub own_telemetry: OwnTelemetry,
    /// When it was made.
    pub created_at: String,
    /// Goes up with each change; the ETag.
    pub revision: i64,
}

impl Record for Group {
    const TABLE: &'static str = "agent_groups";
    const NOUN: &'static str = "group";
    const IS_TOLD_BY_REVISION: bool = true;
    const COLUMNS: &'static str = "id, name, selector, priority, live_version_id, created_at, revision, requires_approval, freezes, own_telemetry";

    fn read(row: &Row) -> Result<Group> {
        let unreadable =
            |error: serde_json::Error| Error::Internal(format!("a group in the database: {error}"));
        Ok(Group {
            id: row.text(0),
            name: row.text(1),
            selector: row.text(2),
            priority: row.int(3),
            live_version_id: row.maybe_text(4),
            requires_approval: row.yes(7),
            freezes: serde_json::from_str(&row.text(8)).map_err(unreadable)?,
            own_telemetry: serde_json::from_str(&row.text(9)).map_err(unreadable)?,
            created_at: rfc3339(row.int(5)),
            revision: row.int(6),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

/// What is to change of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupChange {
    /// Which agents.
    pub selector: Option<String>,
    /// Which group wins.
    pub priority: Option<i64>,
    /// Whether a second person must approve each rollout; for administrators.
    pub requires_approval: Option<bool>,
    /// When it is left as it is; for administrators.
    pub freezes: Option<Vec<Freeze>>,
    /// Where its agents send what they say of themselves, all of it anew.
    pub own_telemetry: Option<OwnTelemetry>,
}

/// The one with this identifier, where the caller's scope has all of its agents.
pub(crate) fn find_for(tx: &mut dyn Tx, caller: &Caller, id: &str) -> Result<Group> {
    let found: Group = find(tx, id)?;
    match found.is_seen(caller)? {
        true => Ok(found),
        false => Err(Error::NotFound(format!("group {id}"))),
    }
}

/// Refuses a selector that means agents beyond the caller's scope.
pub(crate) fn require_scope(caller: &Caller, selector: &str) -> Result<()> {
    match caller.scope.covers(&Selector::parse(selector)?) {
        true => Ok(()),
        false => Err(Error::field("selector", "must require what your scope does")),
    }
}

/// Refuses who may not bring agents from one group to another: that is as good as a rollout to them, so where one needs
/// a second person, it takes an administrator.
pub(crate) fn require_moving(tx: &mut dyn Tx, caller: &Caller) -> Result<()> {
    let guarded = tx.one("SELECT 1 FROM agent_groups WHERE requires_approval = 1 LIMIT 1", &[])?;
    caller.require(if guarded.is_some() { Permission::Administer } else { Permission::Deploy })
}

pub(crate) fn create(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    name: &str,
    selector: &str,
    priority: i64,
) -> Result<Group> {
    require_moving(tx, caller)?;
    check_name("name", name)?;
    require_scope(caller, selector)?;
    let id = new_id("grp", now);
    tx.execute(
        "INSERT INTO agent_groups (id, name, selector, priority, created_at, revision) VALUES (?1, ?2, ?3, ?4, ?5, 1)",
        args![&id, name, selector, priority, now],
    )
    .map_err(taken::<Group>(name))?;
    let made: Group = find(tx, &id)?;
    audit::record(tx, caller, now, "group.create", &id, "", &snapshot(&made))?;
    Ok(made)
}

pub(crate) fn change(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    seen: &Seen,
    change: &GroupChange,
) -> Result<Group> {
    find_for(tx, caller, id)?;
    let before: Group = find_seen(tx, id, seen)?;
    if change.selector.is_some() || change.priority.is_some() {
        require_moving(tx, caller)?;
    }
    if change.requires_approval.is_some() || change.freezes.is_some() {
        caller.require(Permission::Administer)?;
    }
    let selector = change.selector.as_ref().unwrap_or(&before.selector);
    require_scope(caller, selector)?;
    let freezes = change.freezes.as_ref().unwrap_or(&before.freezes);
    freezes::check(freezes)?;
    let own_telemetry = change.own_telemetry.as_ref().unwrap_or(&before.own_telemetry);
    own_telemetry.check()?;
    tx.execute(
        "UPDATE agent_groups SET selector = ?2, priority = ?3, requires_approval = ?4, freezes = ?5, own_telemetry = ?6,
         revision = revision + 1 WHERE id = ?1",
        args![
            id,
            selector,
            change.priority.unwrap_or(before.priority),
            change.requires_approval.unwrap_or(before.requires_approval),
            snapshot(freezes),
            own_telemetry.stored()
        ],
    )?;
    let after: Group = find(tx, id)?;
    audit::record(tx, caller, now, "group.change", id, &before.whole(), &after.whole())?;
    Ok(after)
}

pub(crate) fn remove(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str, seen: &Seen) -> Result<()> {
    require_moving(tx, caller)?;
    find_for(tx, caller, id)?;
    let before: Group = find_seen(tx, id, seen)?;
    let rollouts = tx.one("SELECT count(*) FROM rollouts WHERE group_id = ?1", args![id])?;
    if rollouts.is_some_and(|row| row.int(0) > 0) {
        return Err(Error::Conflict("the group has a history of rollouts, which is kept".to_owned()));
    }
    tx.execute("DELETE FROM agent_groups WHERE id = ?1", args![id])?;
    audit::record(tx, caller, now, "group.remove", id, &snapshot(&before), "")
}

pub(crate) fn set_live(tx: &mut dyn Tx, id: &str, version_id: &str) -> Result<()> {
    find::<Version>(tx, version_id)?;
    let sql = "UPDATE agent_groups SET live_version_id = ?2, revision = revision + 1 WHERE id = ?1";
    tx.execute(sql, args![id, version_id])?;
    Ok(())
}

impl Group {
    /// All that it is, with what is not shown.
    fn whole(&self) -> String {
        format!("{}{}", snapshot(self), self.own_telemetry.stored())
    }

    /// Whether all of its agents are of the caller's scope.
    pub(crate) fn is_seen(&self, caller: &Caller) -> Result<bool> {
        Ok(caller.scope.covers(&Selector::parse(&self.selector)?))
    }

    /// Refuses while it is frozen.
    pub(crate) fn require_thawed(&self, now: i64) -> Result<()> {
        match freezes::frozen_until(&self.freezes, now) {
            None => Ok(()),
            Some(end) => Err(Error::Conflict(format!("the group is frozen until {}", rfc3339(end)))),
        }
    }
}

struct OpenRollout {
    to_version_id: String,
    /// Whether everybody has its turn.
    everybody: bool,
    exposed: BTreeSet<String>,
}

/// Who is to have what, at one moment.
pub(crate) struct Assignment {
    /// The highest priority first.
    groups: Vec<(Selector, Group)>,
    rollouts: BTreeMap<String, OpenRollout>,
}

impl Assignment {
    /// For any agent.
    pub(crate) fn load(tx: &mut dyn Tx) -> Result<Assignment> {
        Assignment::read(tx, None)
    }

    /// For one agent: of a rollout to ten thousand, nothing is read of the others.
    pub(crate) fn load_for(tx: &mut dyn Tx, agent_id: &str) -> Result<Assignment> {
        Assignment::read(tx, Some(agent_id))
    }

    fn read(tx: &mut dyn Tx, agent_id: Option<&str>) -> Result<Assignment> {
        let sql = format!("SELECT {} FROM agent_groups ORDER BY priority DESC, name", Group::COLUMNS);
        let mut groups = Vec::new();
        for row in tx.query(&sql, &[])? {
            let group = Group::read(&row)?;
            groups.push((Selector::parse(&group.selector)?, group));
        }
        let mut rollouts = BTreeMap::new();
        let sql = "SELECT id, group_id, to_version_id, stages, stage FROM rollouts WHERE state IN ('running', 'paused')";
        for row in tx.query(sql, &[])? {
            let stages = row.json(3);
            let percent = stages[row.int(4) as usize]["percent"].as_i64().unwrap_or_default();
            let everybody = percent >= 100;
            let sql = "SELECT agent_id FROM rollout_agents WHERE rollout_id = ?1";
            let rows = match agent_id {
                _ if everybody => Vec::new(),
                None => tx.query(sql, args![row.text(0)])?,
                Some(agent) => tx.query(&format!("{sql} AND agent_id = ?2"), args![row.text(0), agent])?,
            };
            let exposed = rows.iter().map(|row| row.text(0)).collect();
            let open = OpenRollout { to_version_id: row.text(2), everybody, exposed };
            rollouts.insert(row.text(1), open);
        }
        Ok(Assignment { groups, rollouts })
    }

    /// The group that an agent with these labels belongs to.
    pub(crate) fn group_of(&self, labels: &Labels) -> Option<&Group> {
        self.groups.iter().find(|(selector, _)| selector.matches(labels)).map(|(_, group)| group)
    }

    /// Whether agents with these labels belong to the group with this identifier.
    pub(crate) fn means(&self, labels: &Labels, group_id: &str) -> bool {
        self.group_of(labels).is_some_and(|group| group.id == group_id)
    }

    /// The version that an agent is to have.
    pub(crate) fn version_of(&self, agent_id: &str, labels: &Labels) -> Option<String> {
        let group = self.group_of(labels)?;
        match self.rollouts.get(&group.id) {
            Some(rollout) if rollout.everybody || rollout.exposed.contains(agent_id) => {
                Some(rollout.to_version_id.clone())
            }
            _ => group.live_version_id.clone(),
        }
    }
}

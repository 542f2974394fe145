//! How the agents of a rollout are, and what is remembered of those that it did not do well on.

use std::collections::BTreeSet;

use phoenix_opamp::Vitals;
use serde::Serialize;
use utoipa::ToSchema;

use super::Rollout;
use super::machine::Observed;
use crate::agents::labels_of;
use crate::args;
use crate::configurations;
use crate::error::Result;
use crate::groups::Assignment;
use crate::store::Tx;
use crate::validation;

/// How the agents of a rollout are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Progress {
    /// Agents that are to have the version by now.
    pub exposed: i64,
    /// Of these, those that have it and are well.
    pub applied: i64,
    /// Those on which it failed, now or in an earlier rollout.
    pub failed: i64,
    /// Those that have it and are not well.
    pub unhealthy: i64,
    /// Those that have it and go beyond a limit of the gates.
    pub strained: i64,
    /// Those that have it, are well, and do not tell how their data fares.
    pub unmeasured: i64,
    /// Those that have not answered yet.
    pub pending: i64,
    /// Those that are not connected; nobody waits for them.
    pub offline: i64,
    /// What limit one of them goes beyond, in words.
    pub strain: Option<String>,
}

/// What a look at the agents of a rollout shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) progress: Progress,
    /// By what agents know the version.
    hash: String,
    /// Agents that have it and are not well with it, and why.
    unwell: Vec<(String, String)>,
    /// Agents that have not answered yet.
    late: Vec<String>,
}

impl Seen {
    /// What decides.
    pub(super) fn observed(&self) -> Observed {
        let seen = &self.progress;
        Observed {
            applied: seen.applied,
            failed: seen.failed,
            unhealthy: seen.unhealthy,
            strained: seen.strained,
            strain: seen.strain.clone(),
            pending: seen.pending,
            nobody: seen.exposed == 0,
        }
    }

    /// Keeps that the version failed on the agents that are not well with it, so that it is not offered to them again: an
    /// agent that had it applied does not say so itself. Where it `is_late` that ended it, on those, too, that never
    /// answered; one that does after all is taken at its word.
    pub(super) fn remember(&self, tx: &mut dyn Tx, now: i64, is_late: bool) -> Result<()> {
        let late = self.late.iter().filter(|_| is_late);
        let late = late.map(|agent| (agent.as_str(), "it was not applied in time", false));
        let unwell = self.unwell.iter().map(|(agent, why)| (agent.as_str(), why.as_str(), true));
        for (agent, why, of_gate) in unwell.chain(late) {
            tx.execute(
                "INSERT INTO agent_failures (agent_id, hash, error, failed_at, of_gate) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (agent_id, hash) DO UPDATE SET error = ?3, failed_at = ?4, of_gate = ?5",
                args![agent, &self.hash, why, now, of_gate],
            )?;
        }
        Ok(())
    }
}

/// Looks how the agents of a rollout are.
pub(crate) fn observe(tx: &mut dyn Tx, rollout: &Rollout, connected: &BTreeSet<String>) -> Result<Seen> {
    let layers = configurations::layers(tx, &rollout.to_version_id)?;
    let (_, hash) = validation::offer(&layers);
    let assignment = Assignment::load(tx)?;
    let sql = "SELECT a.id, a.reported_hash, a.reported_status, a.healthy, f.hash, r.vitals, a.name, a.tells_vitals,
         a.labels, a.enrolled_labels, a.extra_labels FROM rollout_agents r
         JOIN agents a ON a.id = r.agent_id
         LEFT JOIN agent_failures f ON f.agent_id = a.id AND f.hash = ?2
         WHERE r.rollout_id = ?1 AND a.revoked_at IS NULL";
    let mut all = Seen::default();
    let seen = &mut all.progress;
    for row in tx.query(sql, args![&rollout.id, &hash])? {
        // By other labels, or another selector, it may have come to another group, and is to have what that has.
        if !assignment.means(&labels_of(&row, [8, 9, 10]), &rollout.group_id) {
            continue;
        }
        seen.exposed += 1;
        let has_it = row.text(1) == hash && row.text(2) == "applied";
        if row.maybe_text(4).is_some() {
            seen.failed += 1;
        } else if !connected.contains(&row.text(0)) {
            seen.offline += 1;
        } else if !has_it {
            seen.pending += 1;
            all.late.push(row.text(0));
        } else if row.maybe_int(3) == Some(0) {
            seen.unhealthy += 1;
            all.unwell.push((row.text(0), "the agent was unhealthy with it".to_owned()));
        } else {
            let told = row.maybe_text(5).and_then(|text| serde_json::from_str::<Vitals>(&text).ok());
            if told.is_none() && row.yes(7) {
                // It comes with what it has said, and is written down after that.
                seen.pending += 1;
                continue;
            }
            seen.unmeasured += i64::from(told.is_none());
            match told.and_then(|told| rollout.gates.strain(&told)) {
                None => seen.applied += 1,
                Some(strain) => {
                    seen.strained += 1;
                    seen.strain.get_or_insert_with(|| format!("{}: {strain}", row.text(6)));
                    all.unwell.push((row.text(0), strain));
                }
            }
        }
    }
    all.hash = hash;
    Ok(all)
}

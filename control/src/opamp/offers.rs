//! What goes to agents without their asking: configurations and tasks.

use std::time::Duration;

use phoenix_opamp::{
    AgentConfigFile, AgentRemoteConfig, ConnectionSettingsOffers, CustomMessage, ServerToAgent, Set, TASKS,
    agent, server_flags,
};
use phoenix_telemetry::traces::Kind;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::agents::labels_of;
use crate::app::App;
use crate::args;
use crate::error::Result;
use crate::groups::Assignment;
use crate::ids::unhex;
use crate::own_telemetry::OwnTelemetry;
use crate::schedules;
use crate::store::{Row, Tx};
use crate::tasks::{self, Task, TaskKind};

/// Agents that are looked at in one transaction.
const CHUNK: i64 = 500;
/// How often tasks are looked for where nobody says that there are any, and none is due before.
const SAFETY_POLL: Duration = Duration::from_secs(30);

const STATE: &str =
    "a.id, a.labels, a.enrolled_labels, a.extra_labels, a.capabilities, a.reported_hash, a.reported_status";

/// What an agent is offered now, where that is another configuration than it has.
pub(crate) fn for_agent(
    app: &App,
    tx: &mut dyn Tx,
    id: &str,
    capabilities: Set,
) -> Result<Option<AgentRemoteConfig>> {
    if !capabilities.has(agent::ACCEPTS_REMOTE_CONFIG) {
        return Ok(None);
    }
    let assignment = Assignment::load_for(tx, id)?;
    let sql = format!("SELECT {STATE} FROM agents a WHERE a.id = ?1");
    let Some(row) = tx.one(&sql, args![id])? else { return Ok(None) };
    offer(app, tx, &assignment, &row)
}

/// Where an agent is to send what it says of itself; none where it sends nothing.
pub(crate) fn telemetry_for(
    tx: &mut dyn Tx,
    id: &str,
    capabilities: Set,
) -> Result<Option<ConnectionSettingsOffers>> {
    if OwnTelemetry::default().offer(capabilities).is_none() {
        return Ok(None);
    }
    let assignment = Assignment::load_for(tx, id)?;
    let sql = format!("SELECT {STATE} FROM agents a WHERE a.id = ?1");
    Ok(tx.one(&sql, args![id])?.and_then(|row| telemetry(&assignment, &row)))
}

fn telemetry(assignment: &Assignment, row: &Row) -> Option<ConnectionSettingsOffers> {
    let nowhere = OwnTelemetry::default();
    let group = assignment.group_of(&labels_of(row, [1, 2, 3]));
    group.map_or(&nowhere, |group| &group.own_telemetry).offer(Set(row.int(4) as u64))
}

fn offer(
    app: &App,
    tx: &mut dyn Tx,
    assignment: &Assignment,
    row: &Row,
) -> Result<Option<AgentRemoteConfig>> {
    let id = row.text(0);
    if !Set(row.int(4) as u64).has(agent::ACCEPTS_REMOTE_CONFIG) {
        return Ok(None);
    }
    let labels = labels_of(row, [1, 2, 3]);
    let Some(version) = assignment.version_of(&id, &labels) else { return Ok(None) };
    let offer = app.offer(tx, &version)?;
    // While it is being applied, too: the answer to that will come.
    if row.text(5) == *offer.hash {
        return Ok(None);
    }
    let sql = "SELECT 1 FROM agent_failures WHERE agent_id = ?1 AND hash = ?2";
    if tx.one(sql, args![&id, &*offer.hash])?.is_some() {
        return Ok(None);
    }
    let config_hash = unhex(&offer.hash).unwrap_or_default();
    Ok(Some(AgentRemoteConfig { config: Some((*offer.files).clone()), config_hash }))
}

/// Offers every connected agent what it is to have, where it has something else. `anew` asks it to tell everything again,
/// too: it may have said long ago what became of that, and nobody heard it.
pub(crate) async fn reconcile(app: &App, anew: bool) -> Result<()> {
    let connected = app.hub.connected();
    let mut after = String::new();
    loop {
        let (from, serving, there) = (after.clone(), app.clone(), connected.clone());
        let (offers, last) = app
            .db
            .read(move |tx| {
                let assignment = Assignment::load(tx)?;
                let sql = format!(
                    "SELECT {STATE} FROM agents a WHERE a.id > ?1 AND a.revoked_at IS NULL ORDER BY a.id LIMIT ?2"
                );
                let rows = tx.query(&sql, args![&from, CHUNK])?;
                let mut offers = Vec::new();
                for row in rows.iter().filter(|row| there.contains(&row.text(0))) {
                    let settings = telemetry(&assignment, row);
                    let settings =
                        settings.filter(|told| serving.hub.offers_settings(&row.text(0), &told.hash));
                    let offer = offer(&serving, tx, &assignment, row)?;
                    if offer.is_some() || settings.is_some() {
                        offers.push((row.text(0), offer, settings));
                    }
                }
                Ok((offers, (rows.len() as i64 == CHUNK).then(|| rows.last().map(|row| row.text(0))).flatten()))
            })
            .await?;
        for (id, remote_config, connection_settings) in offers {
            let instance_uid = unhex(&id).unwrap_or_default();
            let message = ServerToAgent {
                instance_uid,
                flags: if anew { server_flags::REPORT_FULL_STATE } else { 0 },
                remote_config,
                connection_settings,
                ..ServerToAgent::default()
            };
            app.hub.send(&id, message);
        }
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

/// Hands tasks out until it is told to stop.
pub(crate) async fn drive_tasks(app: App, stop: CancellationToken) {
    let mut pause = SAFETY_POLL;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.hub.until_work() => {}
            () = tokio::time::sleep(pause) => {}
        }
        let looked = look_for_tasks(&app).await;
        pause = looked.unwrap_or_else(|error| {
            tracing::error!(%error, "tasks could not be handed out");
            SAFETY_POLL
        });
    }
}

/// Hands out what is due; says how long until there may be more.
async fn look_for_tasks(app: &App) -> Result<Duration> {
    let glance = |tx: &mut dyn Tx| {
        let now = tx.clock()?;
        Ok((now, tasks::glance(tx, now)?))
    };
    let (now, found) = app.db.read(glance).await?;
    if found.is_due {
        hand_out(app).await?;
    }
    let until_next = found.next_at.and_then(|at| u64::try_from(at - now).ok()).map(Duration::from_millis);
    Ok(until_next.unwrap_or(SAFETY_POLL).min(SAFETY_POLL))
}

async fn hand_out(app: &App) -> Result<()> {
    let _span = app.telemetry.tracer.span(Kind::Internal, None, || "hand out tasks".to_owned());
    let waiting = app
        .db
        .write(move |tx| {
            let now = tx.clock()?;
            schedules::fire(tx, now)?;
            tasks::reap(tx, now, rand::random())?;
            tasks::agents_with_work(tx, now)
        })
        .await?;
    for agents in app.hub.takers(waiting).chunks(tasks::BATCH) {
        let (agents, serving) = (agents.to_vec(), app.clone());
        let claimed = app
            .db
            .beside(move |tx| {
                let now = tx.clock()?;
                let claimed = tasks::claim(tx, now, &agents)?;
                claimed
                    .into_iter()
                    .map(|task| Ok((payload(&serving, tx, &task)?, task)))
                    .collect::<Result<Vec<_>>>()
            })
            .await?;
        for (payload, task) in claimed {
            give(app, task, payload);
        }
    }
    Ok(())
}

/// What an agent is told besides: for a dry run the files of the version.
fn payload(app: &App, tx: &mut dyn Tx, task: &Task) -> Result<serde_json::Value> {
    if task.kind != TaskKind::DryRun.name() {
        return Ok(task.payload.clone());
    }
    let offer = app.offer(tx, task.payload["version_id"].as_str().unwrap_or_default())?;
    let file = |(name, file): (&String, &AgentConfigFile)| json!({"name": name, "text": String::from_utf8_lossy(&file.body)});
    let files: Vec<_> = offer.files.config_map.iter().map(file).collect();
    Ok(json!({ "files": files }))
}

fn give(app: &App, task: Task, payload: serde_json::Value) {
    let id = task.agent_id;
    let data = json!({"id": task.id, "fence": task.fence, "kind": task.kind, "payload": payload});
    let message = CustomMessage {
        capability: TASKS.to_owned(),
        r#type: "task".to_owned(),
        data: data.to_string().into_bytes(),
    };
    let message = ServerToAgent {
        instance_uid: unhex(&id).unwrap_or_default(),
        custom_message: Some(message),
        ..ServerToAgent::default()
    };
    if !app.hub.send(&id, message) {
        // Its lease runs out, and another attempt follows.
        tracing::debug!(agent = id, task = task.id, "the agent went before it got its task");
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::app::Settings;
    use crate::store::rig::all;

    #[tokio::test]
    async fn idle_agents_cost_one_question_in_thirty_seconds_however_many_wait() {
        for test in all().await {
            let app = App::new(test.db.clone(), Settings::default());
            let asked = || app.db.usage().by_mode().map(|(_, transactions)| transactions.all.value());
            let before = asked();
            tokio::time::pause();
            let stop = CancellationToken::new();
            let driving = tokio::spawn(drive_tasks(app.clone(), stop.clone()));
            let end = Instant::now() + Duration::from_secs(305);
            let mut waiting = tokio::task::JoinSet::new();
            for number in 0..1000 {
                let (hub, agent) = (app.hub.clone(), format!("agent {number}"));
                hub.polling(&agent, 0, 30_000);
                waiting.spawn(async move { hub.wait(&agent, 0, end).await });
            }
            assert!(waiting.join_all().await.into_iter().all(|waited| waited == Ok(None)));
            stop.cancel();
            driving.await.expect("ended");
            let after = asked();
            let [reads, writes, beside] = std::array::from_fn(|mode| after[mode] - before[mode]);
            assert_eq!((reads, writes, beside), (10, 0, 0), "305 s, 1000 agents");
            tokio::time::resume();
        }
    }
}

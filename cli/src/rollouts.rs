//! Rollouts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Exit;
use crate::args::Rollout;
use crate::client::Client;
use crate::output::Output;
use crate::resources::ROLLOUTS;

/// How often it is looked how far a rollout is.
const LOOK: Duration = Duration::from_millis(500);

/// `phoenix rollout`.
pub(crate) fn run(client: &Client, asked: &Rollout, out: &Output) -> anyhow::Result<Exit> {
    match asked {
        Rollout::List => out.items(&client.list("/rollouts")?, ROLLOUTS)?,
        Rollout::Get { id } => out.value(&client.get(&format!("/rollouts/{id}"))?)?,
        Rollout::Pause { id } => order(client, id, "pause", out)?,
        Rollout::Resume { id } => order(client, id, "resume", out)?,
        Rollout::Approve { id } => order(client, id, "approve", out)?,
        Rollout::Back { id } => order(client, id, "roll_back", out)?,
        Rollout::Wait { id, timeout } => return wait(client, id, *timeout, out),
        Rollout::Start { group, configuration, version, stages, gates, wait: waits } => {
            let group = client.find("group", "/groups", group)?;
            let configuration = client.find("configuration", "/configurations", configuration)?;
            let number = version.or(configuration["latest"].as_i64()).filter(|number| *number > 0);
            let Some(number) = number else { anyhow::bail!("the configuration has no version yet") };
            let id = configuration["id"].as_str().unwrap_or_default();
            let version = client.get(&format!("/configurations/{id}/versions/{number}"))?;
            let mut new = json!({"group_id": group["id"], "version_id": version["id"], "stages": stages});
            for (key, value) in gates {
                // What is not limited is null, and none to people.
                let limit = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.as_str()));
                new["gates"][key] = if value == "none" { Value::Null } else { limit };
            }
            let started = client.post("/rollouts", &new)?;
            let id = started["id"].as_str().unwrap_or_default();
            if *waits {
                return wait(client, id, Duration::from_secs(3600), out);
            }
            out.said(&started, &format!("{id} has begun"))?;
        }
    }
    Ok(Exit::Fine)
}

fn order(client: &Client, id: &str, order: &str, out: &Output) -> anyhow::Result<()> {
    let after = client.post(&format!("/rollouts/{id}/orders"), &json!({"order": order}))?;
    out.said(&after, &format!("{id} is {}", after["state"].as_str().unwrap_or_default()))
}

/// Waits for the end of a rollout; tells of each step on the way where people read.
pub(crate) fn wait(client: &Client, id: &str, patience: Duration, out: &Output) -> anyhow::Result<Exit> {
    let end = Instant::now() + patience;
    let mut told = String::new();
    loop {
        let rollout = client.get(&format!("/rollouts/{id}"))?;
        let state = rollout["state"].as_str().unwrap_or_default();
        let line = step(id, &rollout);
        if out.is_table() && line != told {
            out.text(&format!("{line}\n"))?;
            told = line;
        }
        if !matches!(state, "waiting" | "running" | "paused") {
            if !out.is_table() {
                out.value(&rollout)?;
            }
            return Ok(if state == "succeeded" { Exit::Fine } else { Exit::Differs });
        }
        anyhow::ensure!(
            Instant::now() < end,
            "rollout {id} is still {state}; it goes on without this command"
        );
        std::thread::sleep(LOOK);
    }
}

/// For example `rol_1: running, stage 1 of 2`.
fn step(id: &str, rollout: &Value) -> String {
    let stages = rollout["stages"].as_array().map_or(1, Vec::len);
    let stage = rollout["stage"].as_i64().unwrap_or_default() + 1;
    let state = rollout["state"].as_str().unwrap_or_default();
    let reason = rollout["reason"].as_str().filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    match state {
        "running" | "paused" => format!("{id}: {state}, stage {stage} of {stages}{reason}"),
        _ => format!("{id}: {state}{reason}"),
    }
}

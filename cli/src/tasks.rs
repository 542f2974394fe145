//! Tasks of agents.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::Exit;
use crate::agents::path;
use crate::args::{Logs, Tasks};
use crate::client::Client;
use crate::output::Output;
use crate::resources::TASKS;

/// How often it is looked whether a task has ended.
const LOOK: Duration = Duration::from_millis(250);

/// `phoenix tasks`.
pub(crate) fn run(client: &Client, asked: &Tasks, out: &Output) -> anyhow::Result<Exit> {
    match asked {
        Tasks::List { agent: None } => out.items(&client.list("/tasks")?, TASKS)?,
        Tasks::List { agent: Some(agent) } => {
            out.items(&client.list(&format!("{}/tasks", path(client, agent)?))?, TASKS)?;
        }
        Tasks::Get { id } => out.value(&client.get(&format!("/tasks/{id}"))?)?,
        Tasks::Run { agent, kind, settings, wait } => {
            let task = give(client, agent, kind, &payload(settings))?;
            let Some(patience) = wait else {
                let line = format!("{} waits for {agent}", task["id"].as_str().unwrap_or_default());
                out.said(&task, &line)?;
                return Ok(Exit::Fine);
            };
            let ended = ended(client, &task, *patience)?;
            out.value(if out.is_table() { &ended["result"] } else { &ended })?;
        }
        Tasks::Requeue { id } => {
            let task = client.order(&format!("/tasks/{id}/requeue"))?;
            out.said(&task, &format!("{id} is {}", task["state"].as_str().unwrap_or_default()))?;
        }
        Tasks::Cancel { id } => {
            let task = client.order(&format!("/tasks/{id}/cancel"))?;
            out.said(&task, &format!("{id} is {}", task["state"].as_str().unwrap_or_default()))?;
        }
    }
    Ok(Exit::Fine)
}

/// The settings of a task; `key[]` adds to a list, and no setting is none.
pub(crate) fn payload(settings: &[(String, String)]) -> Value {
    if settings.is_empty() {
        return Value::Null;
    }
    let mut payload = Map::new();
    for (key, value) in settings {
        match key.strip_suffix("[]") {
            None => {
                payload.insert(key.clone(), typed(value));
            }
            Some(key) => {
                let list = payload.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(items) = list {
                    items.push(typed(value));
                }
            }
        }
    }
    payload.into()
}

/// A number or a truth value where it looks like one.
fn typed(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => text.into(),
    }
}

fn give(client: &Client, agent: &str, kind: &str, payload: &Value) -> anyhow::Result<Value> {
    let path = path(client, agent)?;
    client.post(&format!("{path}/tasks"), &json!({"kind": kind, "payload": payload}))
}

/// Waits until a task has ended.
///
/// # Errors
/// Where it does not in time, or ends otherwise than well.
fn ended(client: &Client, task: &Value, patience: Duration) -> anyhow::Result<Value> {
    let id = task["id"].as_str().unwrap_or_default();
    let end = Instant::now() + patience;
    loop {
        let task = client.get(&format!("/tasks/{id}"))?;
        let error = task["error"].as_str().unwrap_or("it does not say why");
        match task["state"].as_str().unwrap_or_default() {
            "done" => return Ok(task),
            "dead" => anyhow::bail!("task {id} failed: {error}"),
            "cancelled" => anyhow::bail!("task {id} was cancelled"),
            state => anyhow::ensure!(
                Instant::now() < end,
                "task {id} is still {state}; look later with `phoenix tasks get {id}`"
            ),
        }
        std::thread::sleep(LOOK);
    }
}

/// `phoenix logs`: out of a bundle of diagnostics.
pub(crate) fn logs(client: &Client, asked: &Logs, out: &Output) -> anyhow::Result<Exit> {
    let task = give(client, &asked.agent, "diagnostics", &json!({"only": "logs"}))?;
    let ended = ended(client, &task, asked.wait)?;
    let lines = &ended["result"]["logs"];
    if !out.is_table() {
        out.value(lines)?;
        return Ok(Exit::Fine);
    }
    for line in lines.as_array().into_iter().flatten().filter_map(Value::as_str) {
        out.text(&format!("{line}\n"))?;
    }
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_types() {
        assert_eq!(typed("600"), 600);
        assert_eq!(typed("true"), true);
        assert_eq!(typed("debug"), "debug");
        assert_eq!(typed("{}"), "{}");
        let given = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            payload(&pairs)
        };
        assert_eq!(given(&[]), Value::Null);
        let tap =
            given(&[("pipeline", "logs"), ("redact[]", "user.*"), ("items", "5"), ("redact[]", "*.id")]);
        assert_eq!(tap, json!({"pipeline": "logs", "items": 5, "redact": ["user.*", "*.id"]}));
    }
}

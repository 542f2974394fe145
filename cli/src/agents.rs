//! Agents.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::Exit;
use crate::args::Agents;
use crate::client::Client;
use crate::output::Output;
use crate::resources::AGENTS;

/// The path of an agent that is named by its name or identifier.
pub(crate) fn path(client: &Client, agent: &str) -> anyhow::Result<String> {
    let found = client.find("agent", "/agents", agent)?;
    Ok(format!("/agents/{}", found["id"].as_str().unwrap_or_default()))
}

/// `phoenix agents`.
pub(crate) fn run(client: &Client, asked: &Agents, out: &Output) -> anyhow::Result<Exit> {
    match asked {
        Agents::List { labels } => {
            let mut agents = client.list("/agents")?;
            agents.retain(|agent| labels.iter().all(|(key, value)| agent["labels"][key] == **value));
            out.items(&agents, AGENTS)?;
        }
        Agents::Get { agent } => out.value(&client.get(&path(client, agent)?)?)?,
        Agents::Label { agent, labels } => label(client, agent, labels, out)?,
        Agents::Revoke { agent } => {
            client.order(&format!("{}/revoke", path(client, agent)?))?;
            out.text(&format!("{agent} is locked out\n"))?;
        }
        Agents::ForgetCredential { agent } => {
            client.delete(&format!("{}/credential", path(client, agent)?))?;
            out.text(&format!("{agent} enrols again with a token\n"))?;
        }
        Agents::RotateCredential { agent } => {
            client.order(&format!("{}/credential/rotation", path(client, agent)?))?;
            out.text(&format!("{agent} gets another credential\n"))?;
        }
        Agents::Forgive { agent } => {
            client.delete(&format!("{}/failures", path(client, agent)?))?;
            out.text(&format!("what failed on {agent} is offered again\n"))?;
        }
    }
    Ok(Exit::Fine)
}

/// Sets and removes labels of those that operators gave.
fn label(client: &Client, agent: &str, labels: &[String], out: &Output) -> anyhow::Result<()> {
    let path = path(client, agent)?;
    let seen = client.read(&path)?;
    let mut wanted: BTreeMap<String, Value> = seen.body["operator_labels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    for label in labels {
        match (label.split_once('='), label.strip_suffix('-')) {
            (Some((key, value)), _) => {
                wanted.insert(key.to_owned(), value.into());
            }
            (None, Some(key)) => {
                anyhow::ensure!(
                    wanted.remove(key).is_some(),
                    "{key} is not among the labels that operators gave; those of the agent and its token stay"
                );
            }
            (None, None) => anyhow::bail!("{label:?} is neither KEY=VALUE nor KEY-"),
        }
    }
    let after = client.change(Method::PUT, &format!("{path}/labels"), &seen.etag, &json!(wanted))?;
    out.said(&after, &format!("{agent}: {}", after["labels"]))
}

//! Where files, service and agents differ.

use serde_json::{Value, json};

use crate::Exit;
use crate::args::Diff;
use crate::changes::{Seen, Step, difference_line, show, steps, text};
use crate::client::Client;
use crate::manifest::Manifest;
use crate::output::Output;

/// Agents of a group that are named one by one.
const NAMED: usize = 20;

/// `phoenix diff`.
pub(crate) fn diff(client: &Client, asked: &Diff, out: &Output) -> anyhow::Result<Exit> {
    if let Some(name) = &asked.configuration {
        return versions(client, name, asked, out);
    }
    let manifest = Manifest::read(&asked.files.file)?;
    let seen = Seen::look(client)?;
    let mut found = steps(client, &manifest, &seen)?;
    let mut unmanaged = Vec::new();
    for name in seen.configurations.keys() {
        if !manifest.configurations.iter().any(|wanted| wanted.name == *name) {
            unmanaged.push(format!("configuration {name}"));
        }
    }
    for name in seen.groups.keys().filter(|name| !manifest.groups.contains_key(*name)) {
        unmanaged.push(format!("group {name}"));
    }
    unmanaged.sort();
    found.extend(agents(client, &seen)?);
    if found.is_empty() && out.is_table() {
        out.text("files, service and agents have the same\n")?;
    } else {
        show(&found, out)?;
    }
    if out.is_table() {
        for what in unmanaged {
            out.text(&format!("{what}: is not in the files, and stays\n"))?;
        }
    }
    Ok(if found.is_empty() { Exit::Fine } else { Exit::Differs })
}

/// Agents that have something else than their group.
fn agents(client: &Client, seen: &Seen) -> anyhow::Result<Vec<Step>> {
    let mut groups: Vec<&Value> = seen.groups.values().collect();
    groups.sort_by_key(|group| text(group, "name"));
    let agents = client.list("/agents")?;
    let mut found = Vec::new();
    for group in groups {
        let version = text(group, "live_version_id");
        if version.is_empty() {
            continue;
        }
        let plan =
            client.post(&format!("/groups/{}/plan", text(group, "id")), &json!({"version_id": version}))?;
        let Some(wanted) = plan["offer_hash"].as_str() else { continue };
        let members = plan["agents"].as_array();
        let is_member = |agent: &&Value| members.is_some_and(|members| members.contains(&agent["id"]));
        let other = agents
            .iter()
            .filter(is_member)
            .filter(|agent| agent["reported_hash"] != *wanted || agent["reported_status"] != "applied");
        let other: Vec<&Value> = other.collect();
        for agent in other.iter().take(NAMED) {
            found.push(Step {
                what: format!("agent {}", text(agent, "name")),
                action: "drifts",
                detail: format!("from group {}: {}", text(group, "name"), why(agent, wanted)),
            });
        }
        if other.len() > NAMED {
            let detail = format!("{} more", other.len() - NAMED);
            found.push(Step { what: format!("group {}", text(group, "name")), action: "drifts", detail });
        }
    }
    Ok(found)
}

fn why(agent: &Value, wanted: &str) -> String {
    let away = if agent["connected"] == true { "" } else { ", and is away" };
    let said = match (text(agent, "reported_hash"), text(agent, "reported_status")) {
        ("", _) => "it has said nothing of a configuration yet".to_owned(),
        (hash, status) if hash == wanted => {
            let error = text(agent, "reported_error");
            format!("{status} {error}").trim_end().to_owned()
        }
        (hash, status) => format!("{status} {}", &hash[..hash.len().min(12)]),
    };
    format!("{said}{away}")
}

/// Two versions of a configuration, by their meaning.
fn versions(client: &Client, name: &str, asked: &Diff, out: &Output) -> anyhow::Result<Exit> {
    let found = client.find("configuration", "/configurations", name)?;
    let to = asked.to.or(found["latest"].as_i64()).unwrap_or_default();
    let from = asked.from.unwrap_or(to - 1);
    anyhow::ensure!(from > 0 && to > 0, "{name} has no two versions yet");
    let path = format!("/configurations/{}/diff?from={from}&to={to}", text(&found, "id"));
    let diff = client.get(&path)?;
    let differences = diff["differences"].as_array().cloned().unwrap_or_default();
    if !out.is_table() {
        out.value(&diff)?;
    } else if differences.is_empty() {
        out.text(&format!("versions {from} and {to} of {name} mean the same\n"))?;
    } else {
        for difference in &differences {
            out.text(&format!("{}\n", difference_line(difference)))?;
        }
    }
    Ok(if differences.is_empty() { Exit::Fine } else { Exit::Differs })
}

//! Lists and single things, as the service has them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Exit;
use crate::args::{Create, Get, Kind};
use crate::client::Client;
use crate::login::ask;
use crate::output::{Column, Output};
use crate::tasks::payload;

/// What people see of agents.
pub(crate) const AGENTS: &[Column] = &[
    ("NAME", "name"),
    ("CONNECTED", "connected"),
    ("HEALTHY", "healthy"),
    ("CONFIGURATION", "reported_status"),
    ("LAST SEEN", "last_seen_at"),
    ("ID", "id"),
];
/// What people see of rollouts.
pub(crate) const ROLLOUTS: &[Column] = &[
    ("ID", "id"),
    ("GROUP", "group_id"),
    ("STATE", "state"),
    ("STAGE", "stage"),
    ("SINCE", "stage_since"),
    ("REASON", "reason"),
];
/// What people see of tasks.
pub(crate) const TASKS: &[Column] = &[
    ("ID", "id"),
    ("AGENT", "agent_id"),
    ("KIND", "kind"),
    ("STATE", "state"),
    ("ATTEMPT", "attempt"),
    ("CREATED", "created_at"),
    ("ERROR", "error"),
];

/// What people see of roles.
const ROLES: &[Column] = &[("NAME", "name"), ("MAY", "permissions")];

/// What people see of schedules.
pub(crate) const SCHEDULES: &[Column] = &[
    ("NAME", "name"),
    ("CRON", "cron"),
    ("KIND", "kind"),
    ("AGENTS", "selector"),
    ("AGENT", "agent_id"),
    ("ENABLED", "enabled"),
    ("NEXT", "next_at"),
    ("ID", "id"),
];

impl Kind {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Kind::Configurations => "/configurations",
            Kind::Groups => "/groups",
            Kind::Agents => "/agents",
            Kind::Rollouts => "/rollouts",
            Kind::Tasks => "/tasks",
            Kind::Schedules => "/schedules",
            Kind::Templates => "/templates",
            Kind::Users => "/users",
            Kind::Keys => "/api-keys",
            Kind::Tokens => "/enrolment-tokens",
            Kind::SigningKeys => "/signing-keys",
            Kind::Roles => "/roles",
            Kind::Audit => "/audit",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Configurations => "configuration",
            Kind::Groups => "group",
            Kind::Agents => "agent",
            Kind::Rollouts => "rollout",
            Kind::Tasks => "task",
            Kind::Schedules => "schedule",
            Kind::Templates => "template",
            Kind::Users => "user",
            Kind::Keys => "API key",
            Kind::Tokens => "enrolment token",
            Kind::SigningKeys => "signing key",
            Kind::Roles => "role",
            Kind::Audit => "entry of the audit log",
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Kind::Configurations => {
                &[("NAME", "name"), ("LATEST", "latest"), ("DESCRIPTION", "description"), ("ID", "id")]
            }
            Kind::Groups => &[
                ("NAME", "name"),
                ("SELECTOR", "selector"),
                ("PRIORITY", "priority"),
                ("LIVE VERSION", "live_version_id"),
                ("ID", "id"),
            ],
            Kind::Agents => AGENTS,
            Kind::Rollouts => ROLLOUTS,
            Kind::Tasks => TASKS,
            Kind::Schedules => SCHEDULES,
            Kind::Templates => {
                &[("NAME", "name"), ("DESCRIPTION", "description"), ("REVISION", "revision"), ("ID", "id")]
            }
            Kind::Users => &[("NAME", "name"), ("ROLE", "role"), ("SCOPE", "scope"), ("ID", "id")],
            Kind::Keys => &[
                ("NAME", "name"),
                ("ROLE", "role"),
                ("SCOPE", "scope"),
                ("EXPIRES", "expires_at"),
                ("REVOKED", "revoked_at"),
                ("ID", "id"),
            ],
            Kind::Tokens => &[
                ("NAME", "name"),
                ("LABELS", "labels"),
                ("USES", "uses"),
                ("MOST", "max_uses"),
                ("REVOKED", "revoked_at"),
                ("ID", "id"),
            ],
            Kind::SigningKeys => crate::signing_keys::COLUMNS,
            Kind::Roles => ROLES,
            Kind::Audit => &[
                ("AT", "at"),
                ("ACTOR", "actor"),
                ("ACTION", "action"),
                ("TARGET", "target"),
                ("REQUEST", "request_id"),
            ],
        }
    }
}

/// `phoenix get`.
pub(crate) fn get(client: &Client, asked: &Get, out: &Output) -> anyhow::Result<Exit> {
    let Some(name) = &asked.name else {
        out.items(&client.list(asked.kind.path())?, asked.kind.columns())?;
        return Ok(Exit::Fine);
    };
    if asked.kind == Kind::Configurations {
        return configuration(client, asked, name, out);
    }
    anyhow::ensure!(
        asked.version.is_none() && !asked.effective && !asked.versions,
        "only configurations have versions"
    );
    let found = client.find(asked.kind.word(), asked.kind.path(), name)?;
    // Some tell more of themselves one by one.
    let id = found["id"].as_str().unwrap_or_default();
    let told = match asked.kind {
        Kind::Agents | Kind::Groups | Kind::Rollouts | Kind::Tasks => {
            client.get(&format!("{}/{id}", asked.kind.path()))?
        }
        _ => found,
    };
    out.value(&told)?;
    Ok(Exit::Fine)
}

/// A configuration: its text for people, and all about it for programs.
fn configuration(client: &Client, asked: &Get, name: &str, out: &Output) -> anyhow::Result<Exit> {
    let found = client.find("configuration", "/configurations", name)?;
    let path = format!("/configurations/{}/versions", found["id"].as_str().unwrap_or_default());
    if asked.versions {
        let columns: &[Column] =
            &[("VERSION", "number"), ("CREATED", "created_at"), ("AUTHOR", "author"), ("MESSAGE", "message")];
        out.items(&client.list(&path)?, columns)?;
        return Ok(Exit::Fine);
    }
    let latest = found["latest"].as_i64().unwrap_or_default();
    let number = asked.version.unwrap_or(latest);
    anyhow::ensure!(number > 0, "{name} has no version yet");
    let (told, key) = match asked.effective {
        true => (client.get(&format!("{path}/{number}/effective"))?, "yaml"),
        false => (client.get(&format!("{path}/{number}"))?, "text"),
    };
    match told[key].as_str() {
        Some(text) if out.is_table() => out.text(text)?,
        _ => out.value(&told)?,
    }
    Ok(Exit::Fine)
}

/// `phoenix roles`.
pub(crate) fn roles(client: &Client, out: &Output) -> anyhow::Result<Exit> {
    out.items(&client.list(Kind::Roles.path())?, ROLES)?;
    Ok(Exit::Fine)
}

/// `phoenix create`.
pub(crate) fn create(client: &Client, asked: &Create, out: &Output) -> anyhow::Result<Exit> {
    let made = match asked {
        Create::EnrolmentToken { name, labels, max_uses } => {
            let labels: BTreeMap<&String, &String> = labels.iter().map(|(key, value)| (key, value)).collect();
            let mut body = json!({"name": name, "labels": labels});
            if let Some(most) = max_uses {
                body["max_uses"] = Value::from(*most);
            }
            client.post("/enrolment-tokens", &body)?
        }
        Create::ApiKey { name, role, scope } => {
            client.post("/api-keys", &json!({"name": name, "role": role, "scope": scope}))?
        }
        Create::User { name, role, scope } => {
            let password = ask("password")?;
            client
                .post("/users", &json!({"name": name, "role": role, "scope": scope, "password": password}))?
        }
        Create::Schedule { name, cron, kind, selector, agent, settings } => {
            let mut body = json!({"name": name, "cron": cron, "kind": kind, "selector": selector});
            body["payload"] = payload(settings);
            if let Some(agent) = agent {
                body["agent_id"] = client.find("agent", "/agents", agent)?["id"].clone();
            }
            client.post("/schedules", &body)?
        }
    };
    let shown = made["token"].as_str().or_else(|| made["id"].as_str()).unwrap_or_default().to_owned();
    out.said(&made, &shown)?;
    Ok(Exit::Fine)
}

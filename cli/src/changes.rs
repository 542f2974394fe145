//! From what the service has to what the files say: planned, and done.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};

use crate::args::{Apply, Files};
use crate::client::{Client, Refused, finding};
use crate::manifest::{Configuration, Group, Manifest};
use crate::output::Output;
use crate::{Exit, lines, rollouts};

/// One difference between the files and the service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// For example `configuration edge`.
    pub(crate) what: String,
    /// What is to be done.
    pub(crate) action: &'static str,
    /// Why, or what differs.
    pub(crate) detail: String,
}

impl Step {
    pub(crate) fn json(&self) -> Value {
        json!({"what": self.what, "action": self.action, "detail": self.detail})
    }
}

/// What the service has.
pub(crate) struct Seen {
    pub(crate) configurations: HashMap<String, Value>,
    pub(crate) groups: HashMap<String, Value>,
    pub(crate) rollouts: Vec<Value>,
}

fn by_name(items: Vec<Value>) -> HashMap<String, Value> {
    let named = items.into_iter().filter_map(|item| Some((item["name"].as_str()?.to_owned(), item)));
    named.collect()
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

impl Seen {
    pub(crate) fn look(client: &Client) -> anyhow::Result<Seen> {
        Ok(Seen {
            configurations: by_name(client.list("/configurations")?),
            groups: by_name(client.list("/groups")?),
            rollouts: client.list("/rollouts")?,
        })
    }

    /// The latest version of a configuration, with its text.
    pub(crate) fn latest(&self, client: &Client, name: &str) -> anyhow::Result<Option<Value>> {
        let Some(known) = self.configurations.get(name) else { return Ok(None) };
        let number = known["latest"].as_i64().unwrap_or_default();
        if number == 0 {
            return Ok(None);
        }
        Ok(Some(client.get(&format!("/configurations/{}/versions/{number}", text(known, "id")))?))
    }

    /// The rollout of a group that has not ended.
    fn open_rollout(&self, group: &str) -> Option<&Value> {
        let mut of_group = self.rollouts.iter().filter(|rollout| rollout["group_id"] == group);
        of_group.find(|rollout| matches!(text(rollout, "state"), "waiting" | "running" | "paused"))
    }

    /// Whether the last rollout of this version to this group was taken back.
    fn was_rolled_back(&self, group: &str, version: &str) -> bool {
        let mut same = self
            .rollouts
            .iter()
            .filter(|rollout| rollout["group_id"] == group && rollout["to_version_id"] == version);
        same.next().is_some_and(|rollout| rollout["state"] == "rolled_back")
    }
}

/// Why a configuration needs another version.
enum Need {
    Nothing,
    Text(String),
    /// The parent has another version than the one that it is laid over.
    Parent,
}

fn need(client: &Client, seen: &Seen, wanted: &Configuration) -> anyhow::Result<Need> {
    let Some(latest) = seen.latest(client, &wanted.name)? else {
        return Ok(Need::Text(lines::compare("", &wanted.text)));
    };
    if text(&latest, "text") != wanted.text {
        let differs = lines::compare(text(&latest, "text"), &wanted.text);
        return Ok(Need::Text(if differs.is_empty() {
            "the end of the last line\n".to_owned()
        } else {
            differs
        }));
    }
    let Some(parent) = &wanted.parent else { return Ok(Need::Nothing) };
    let parent = seen.latest(client, parent)?;
    let is_same = parent.is_none_or(|parent| parent["id"] == latest["parent_version_id"]);
    Ok(if is_same { Need::Nothing } else { Need::Parent })
}

/// A configuration stays over the one that it was made over.
fn check_parent(seen: &Seen, wanted: &Configuration) -> anyhow::Result<()> {
    let Some(known) = seen.configurations.get(&wanted.name) else { return Ok(()) };
    let parents = seen.configurations.values().filter(|parent| parent["id"] == known["parent_id"]);
    let parent = parents.map(|parent| text(parent, "name")).next();
    anyhow::ensure!(
        parent == wanted.parent.as_deref(),
        "configuration {}: its parent is {}, and that cannot be changed; give it another name",
        wanted.name,
        parent.map_or_else(|| "none".to_owned(), |parent| format!("{parent:?}"))
    );
    Ok(())
}

/// Asks the service to check what would be added; not where that needs something else first.
fn check(
    client: &Client,
    seen: &Seen,
    wanted: &Configuration,
    later: &[String],
) -> anyhow::Result<Vec<String>> {
    if wanted.parent.as_ref().is_some_and(|parent| later.contains(parent)) {
        return Ok(vec!["is checked once its parent is there".to_owned()]);
    }
    let said = match seen.configurations.get(&wanted.name) {
        Some(known) => {
            let path = format!("/configurations/{}/versions?dry_run=true", text(known, "id"));
            client.post(&path, &json!({"text": wanted.text, "message": "dry run"}))?["validation"].clone()
        }
        None => {
            let parent = wanted.parent.as_ref().and_then(|parent| seen.configurations.get(parent));
            let draft = json!({"text": wanted.text, "parent_id": parent.map(|parent| &parent["id"])});
            client.post("/configurations/validate", &draft)?
        }
    };
    let findings = || said["findings"].as_array().into_iter().flatten().map(finding);
    anyhow::ensure!(
        said["valid"] == true,
        "configuration {} has mistakes\n  {}",
        wanted.name,
        findings().collect::<Vec<_>>().join("\n  ")
    );
    Ok(findings().map(|finding| format!("warning: {finding}")).collect())
}

/// Everything that differs between the files and the service, in the order in which it is done.
pub(crate) fn steps(client: &Client, manifest: &Manifest, seen: &Seen) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut later: Vec<String> = Vec::new();
    for wanted in &manifest.configurations {
        check_parent(seen, wanted)?;
        let what = format!("configuration {}", wanted.name);
        let known = seen.configurations.get(&wanted.name);
        if known.is_none() {
            let over = wanted.parent.as_ref().map(|parent| format!("over {parent}")).unwrap_or_default();
            steps.push(Step { what: what.clone(), action: "create", detail: over });
        } else if known.is_some_and(|known| text(known, "description") != wanted.description) {
            steps.push(Step { what: what.clone(), action: "describe", detail: wanted.description.clone() });
        }
        let parent_moves = wanted.parent.as_ref().is_some_and(|parent| later.contains(parent));
        let detail = match need(client, seen, wanted)? {
            Need::Nothing if parent_moves => "over the new version of its parent\n".to_owned(),
            Need::Nothing => continue,
            Need::Parent => "over the latest version of its parent\n".to_owned(),
            Need::Text(differs) => {
                let context = || format!("configuration {}", wanted.name);
                let notes = check(client, seen, wanted, &later).with_context(context)?;
                notes.iter().map(|note| format!("{note}\n")).collect::<String>() + &differs
            }
        };
        later.push(wanted.name.clone());
        steps.push(Step { what, action: "add version", detail });
    }
    for (name, wanted) in &manifest.groups {
        steps.extend(group_steps(client, seen, name, wanted, &later)?);
    }
    Ok(steps)
}

fn group_steps(
    client: &Client,
    seen: &Seen,
    name: &str,
    wanted: &Group,
    later: &[String],
) -> anyhow::Result<Vec<Step>> {
    let what = format!("group {name}");
    let mut steps = Vec::new();
    let step = |action, detail: String| Step { what: what.clone(), action, detail };
    let known = seen.groups.get(name);
    match known {
        None => steps.push(step("create", format!("for {}", meant(&wanted.selector)))),
        Some(known) => {
            let (selector, priority) =
                (text(known, "selector"), known["priority"].as_i64().unwrap_or_default());
            if selector != wanted.selector {
                steps.push(step(
                    "change",
                    format!("for {} instead of {}", meant(&wanted.selector), meant(selector)),
                ));
            }
            if priority != wanted.priority {
                steps.push(step("change", format!("priority {} instead of {priority}", wanted.priority)));
            }
        }
    }
    let Some(configuration) = &wanted.configuration else { return Ok(steps) };
    let latest = seen.latest(client, configuration)?;
    let is_new = later.contains(configuration);
    let live = known.map(|known| &known["live_version_id"]);
    let is_live = latest.as_ref().is_some_and(|latest| live.is_some_and(|live| *live == latest["id"]));
    if is_live && !is_new {
        return Ok(steps);
    }
    let version = latest.filter(|_| !is_new);
    let number = version.as_ref().and_then(|version| version["number"].as_i64());
    let number = number.map_or_else(|| "its new version".to_owned(), |number| format!("version {number}"));
    let mut detail = format!("{configuration}, {number}");
    if let (Some(known), Some(version)) = (known, &version) {
        let (group, version) = (text(known, "id"), text(version, "id"));
        if let Some(open) = seen.open_rollout(group) {
            if open["to_version_id"] != version {
                steps.push(step(
                    "wait",
                    format!("rollout {} is still {}", text(open, "id"), text(open, "state")),
                ));
            }
            return Ok(steps);
        }
        if seen.was_rolled_back(group, version) {
            steps.push(step("leave", format!("{detail}, was rolled back; `apply --retry` tries it again")));
            return Ok(steps);
        }
        let plan = client.post(&format!("/groups/{group}/plan"), &json!({"version_id": version}))?;
        detail += &format!("\n{}", told(&plan));
    }
    steps.push(step("roll out", detail));
    Ok(steps)
}

fn meant(selector: &str) -> String {
    if selector.is_empty() { "all agents".to_owned() } else { format!("agents with {selector}") }
}

/// What a rollout would change on each agent, in a few lines.
fn told(plan: &Value) -> String {
    let mut out = format!("{} agents\n", plan["agent_count"].as_i64().unwrap_or_default());
    for difference in plan["differences"].as_array().into_iter().flatten() {
        out += &format!("{}\n", difference_line(difference));
    }
    out
}

/// One difference of meaning.
pub(crate) fn difference_line(difference: &Value) -> String {
    let key = text(difference, "key");
    match text(difference, "kind") {
        "added" => format!("+ {key}: {}", difference["new"]),
        "removed" => format!("- {key}: {}", difference["old"]),
        _ => format!("~ {key}: {} -> {}", difference["old"], difference["new"]),
    }
}

/// Writes steps for people or for programs.
pub(crate) fn show(steps: &[Step], out: &Output) -> anyhow::Result<()> {
    if !out.is_table() {
        return out.value(&steps.iter().map(Step::json).collect());
    }
    for step in steps {
        let mut lines = step.detail.lines();
        let first = lines.next().unwrap_or_default();
        out.text(format!("{}: {} {first}", step.what, step.action).trim_end())?;
        out.text("\n")?;
        for line in lines {
            out.text(&format!("    {line}\n"))?;
        }
    }
    Ok(())
}

/// `phoenix plan`.
pub(crate) fn plan(client: &Client, asked: &Files, out: &Output) -> anyhow::Result<Exit> {
    let manifest = Manifest::read(&asked.file)?;
    let steps = steps(client, &manifest, &Seen::look(client)?)?;
    if steps.is_empty() && out.is_table() {
        out.text("the service has what the files say\n")?;
        return Ok(Exit::Fine);
    }
    show(&steps, out)?;
    Ok(if steps.is_empty() { Exit::Fine } else { Exit::Differs })
}

/// `phoenix apply`.
pub(crate) fn apply(client: &Client, asked: &Apply, out: &Output) -> anyhow::Result<Exit> {
    let manifest = Manifest::read(&asked.files.file)?;
    let seen = Seen::look(client)?;
    // Nothing is begun where something cannot be done.
    steps(client, &manifest, &seen)?;
    let message = asked.message.clone().or_else(|| manifest.commit());
    let message = message.unwrap_or_else(|| "phoenix apply".to_owned());
    let mut done = Vec::new();
    for wanted in &manifest.configurations {
        done.extend(put_configuration(client, wanted, &message)?);
    }
    let mut begun = Vec::new();
    for (name, wanted) in &manifest.groups {
        done.extend(put_group(client, name, wanted)?);
        if !asked.no_rollout {
            let (steps, rollout) = roll_out(client, name, wanted, asked.retry)?;
            done.extend(steps);
            begun.extend(rollout);
        }
    }
    if done.is_empty() && out.is_table() {
        out.text("the service has what the files say\n")?;
    } else {
        show(&done, out)?;
    }
    let is_left = done.iter().any(|step| matches!(step.action, "wait" | "leave"));
    let mut exit = if is_left { Exit::Differs } else { Exit::Fine };
    if let Some(patience) = asked.wait {
        for rollout in begun {
            if wait(client, &rollout, patience, out)? == Exit::Differs {
                exit = Exit::Differs;
            }
        }
    }
    Ok(exit)
}

fn wait(client: &Client, rollout: &str, patience: Duration, out: &Output) -> anyhow::Result<Exit> {
    rollouts::wait(client, rollout, patience, out)
}

fn put_configuration(client: &Client, wanted: &Configuration, message: &str) -> anyhow::Result<Vec<Step>> {
    let what = format!("configuration {}", wanted.name);
    let step = |action, detail: String| Step { what: what.clone(), action, detail };
    // What was added just now counts: a parent may have a new version.
    let seen = Seen {
        configurations: by_name(client.list("/configurations")?),
        groups: HashMap::new(),
        rollouts: Vec::new(),
    };
    let mut done = Vec::new();
    let id = match seen.configurations.get(&wanted.name) {
        Some(known) => {
            let id = text(known, "id").to_owned();
            if text(known, "description") != wanted.description {
                let path = format!("/configurations/{id}");
                let etag = client.read(&path)?.etag;
                client.change(Method::PATCH, &path, &etag, &json!({"description": wanted.description}))?;
                done.push(step("describe", wanted.description.clone()));
            }
            id
        }
        None => {
            let parent = match &wanted.parent {
                None => Value::Null,
                Some(parent) => {
                    let known = seen.configurations.get(parent);
                    known.with_context(|| format!("{what}: there is no configuration {parent:?}"))?["id"]
                        .clone()
                }
            };
            let new = json!({"name": wanted.name, "description": wanted.description, "parent_id": parent});
            let made = client.post("/configurations", &new)?;
            done.push(step("create", String::new()));
            text(&made, "id").to_owned()
        }
    };
    if matches!(need(client, &seen, wanted)?, Need::Nothing) {
        return Ok(done);
    }
    let new = json!({"text": wanted.text, "message": message});
    let added = client.post(&format!("/configurations/{id}/versions"), &new).with_context(|| what.clone())?;
    let number = added["version"]["number"].as_i64().unwrap_or_default();
    done.push(step("add version", format!("{number}: {message}")));
    Ok(done)
}

fn put_group(client: &Client, name: &str, wanted: &Group) -> anyhow::Result<Vec<Step>> {
    let step = |action| Step { what: format!("group {name}"), action, detail: meant(&wanted.selector) };
    let groups = by_name(client.list("/groups")?);
    let Some(known) = groups.get(name) else {
        let new = json!({"name": name, "selector": wanted.selector, "priority": wanted.priority});
        client.post("/groups", &new)?;
        return Ok(vec![step("create")]);
    };
    if text(known, "selector") == wanted.selector && known["priority"] == wanted.priority {
        return Ok(Vec::new());
    }
    let path = format!("/groups/{}", text(known, "id"));
    let etag = client.read(&path)?.etag;
    let change = json!({"selector": wanted.selector, "priority": wanted.priority});
    client.change(Method::PATCH, &path, &etag, &change)?;
    Ok(vec![step("change")])
}

/// Starts the rollout of a group that has something else; says which.
fn roll_out(
    client: &Client,
    name: &str,
    wanted: &Group,
    retry: bool,
) -> anyhow::Result<(Vec<Step>, Option<String>)> {
    let Some(configuration) = &wanted.configuration else { return Ok((Vec::new(), None)) };
    let seen = Seen::look(client)?;
    let group = seen.groups.get(name).with_context(|| format!("group {name} is gone"))?;
    let latest = seen.latest(client, configuration)?;
    let latest = latest.with_context(|| format!("configuration {configuration} is gone"))?;
    let (id, version) = (text(group, "id"), text(&latest, "id"));
    let step = |action, detail: String| vec![Step { what: format!("group {name}"), action, detail }];
    if text(group, "live_version_id") == version {
        return Ok((Vec::new(), None));
    }
    if let Some(open) = seen.open_rollout(id) {
        let open_id = text(open, "id").to_owned();
        if open["to_version_id"] == version {
            return Ok((step("go on", format!("rollout {open_id}")), Some(open_id)));
        }
        return Ok((step("wait", format!("rollout {open_id} is still {}", text(open, "state"))), None));
    }
    let number = latest["number"].as_i64().unwrap_or_default();
    let detail = format!("{configuration}, version {number}");
    if !retry && seen.was_rolled_back(id, version) {
        return Ok((step("leave", format!("{detail}, was rolled back; --retry tries it again")), None));
    }
    let mut new = json!({"group_id": id, "version_id": version});
    if !wanted.stages.is_empty() {
        new["stages"] = json!(wanted.stages);
    }
    if let Some(gates) = &wanted.gates {
        new["gates"] = json!(gates);
    }
    match client.post("/rollouts", &new) {
        Ok(started) => {
            let rollout = text(&started, "id").to_owned();
            Ok((step("roll out", format!("{detail}, rollout {rollout}")), Some(rollout)))
        }
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 409) => {
            Ok((step("wait", format!("{error:#}")), None))
        }
        Err(error) => Err(error.context(format!("group {name}"))),
    }
}

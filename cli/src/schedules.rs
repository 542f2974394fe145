//! Tasks that come again.

use http::Method;
use serde_json::json;

use crate::Exit;
use crate::args::Schedules;
use crate::client::Client;
use crate::output::Output;
use crate::resources::SCHEDULES;

/// `phoenix schedules`.
pub(crate) fn run(client: &Client, asked: &Schedules, out: &Output) -> anyhow::Result<Exit> {
    let path = |name: &str| -> anyhow::Result<String> {
        let found = client.find("schedule", "/schedules", name)?;
        Ok(format!("/schedules/{}", found["id"].as_str().unwrap_or_default()))
    };
    let enable = |name: &str, enabled: bool, said: &str| -> anyhow::Result<()> {
        let path = path(name)?;
        let seen = client.read(&path)?;
        let after = client.change(Method::PATCH, &path, &seen.etag, &json!({"enabled": enabled}))?;
        out.said(&after, &format!("{name} {said}"))
    };
    match asked {
        Schedules::List => out.items(&client.list("/schedules")?, SCHEDULES)?,
        Schedules::Get { name } => out.value(&client.get(&path(name)?)?)?,
        Schedules::Pause { name } => enable(name, false, "gives no further tasks")?,
        Schedules::Resume { name } => enable(name, true, "goes on")?,
        Schedules::Remove { name } => {
            let path = path(name)?;
            let seen = client.read(&path)?;
            client.remove(&path, &seen.etag)?;
            out.text(&format!("{name} is removed\n"))?;
        }
    }
    Ok(Exit::Fine)
}

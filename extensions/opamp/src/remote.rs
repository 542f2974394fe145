//! Applying a remote configuration: by a hot swap, with a way back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use phoenix_component::{
    ApplyConditions, ChangeError, Collector, ComponentKey, ConfigRequest, ConfigSource, Health, Status,
};
use phoenix_opamp::AgentRemoteConfig;

use crate::storage::{Remote, RemoteFile};

/// How long a change waits for what it replaces; what drains longer goes on without it.
const DRAIN: Duration = Duration::from_secs(5);
/// How often health is looked at in the time of grace.
const LOOK: Duration = Duration::from_millis(200);
/// A change that finds another one under way is tried again so often.
const BUSY_TRIES: u32 = 3;

/// The texts of an offer, in the order of their names.
pub(crate) fn read(offer: &AgentRemoteConfig) -> Result<Remote, String> {
    let mut files = Vec::new();
    for (name, file) in offer.config.iter().flat_map(|config| &config.config_map) {
        let is_yaml = matches!(
            file.content_type.split(';').next().unwrap_or_default().trim(),
            "" | "text/yaml" | "text/x-yaml" | "application/yaml" | "application/x-yaml"
        );
        if !is_yaml {
            return Err(format!("{name:?} is {}; only YAML is understood", file.content_type));
        }
        let text = String::from_utf8(file.body.clone()).map_err(|_| format!("{name:?} is not UTF-8"))?;
        let name = if name.is_empty() { "remote.yaml".to_owned() } else { name.clone() };
        files.push(RemoteFile { name, text });
    }
    Ok(Remote { hash: offer.config_hash.clone(), files })
}

/// The collector's own files over the remote ones, so that what is written here cannot be taken away from afar.
pub(crate) fn request(remote: Option<&Remote>) -> ConfigRequest {
    let Some(remote) = remote else { return ConfigRequest::default() };
    let texts = remote
        .files
        .iter()
        .map(|file| ConfigSource::Text { name: file.name.clone(), text: file.text.clone() });
    ConfigRequest { sources: texts.chain([ConfigSource::Own]).collect(), set: Vec::new() }
}

/// The components that do not work, and why.
fn unwell(health: &Health) -> Vec<(ComponentKey, String, bool)> {
    let report = health.snapshot().into_iter();
    let broken = report.filter_map(|(key, status)| match status {
        Status::Permanent(why) | Status::Fatal(why) => Some((key, why, true)),
        Status::Recoverable(why) => Some((key, why, false)),
        _ => None,
    });
    broken.collect()
}

async fn apply(collector: &Arc<dyn Collector>, request: ConfigRequest) -> Result<(), ChangeError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match collector.apply(request.clone(), ApplyConditions::default(), DRAIN).await {
            Ok(_) => return Ok(()),
            Err(ChangeError::Busy(_)) if tries < BUSY_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// Applies `remote`, and goes back to `previous` where the collector is not well with it for `grace`.
pub(crate) async fn change(
    collector: &Arc<dyn Collector>,
    health: &Health,
    remote: &Remote,
    previous: Option<&Remote>,
    grace: Duration,
) -> Result<(), String> {
    let before: BTreeSet<ComponentKey> = unwell(health).into_iter().map(|(key, ..)| key).collect();
    apply(collector, request(Some(remote))).await.map_err(|error| error.to_string())?;
    let Err(why) = watch(health, &before, grace).await else { return Ok(()) };
    tracing::warn!(
        why,
        "the collector is not well with the remote configuration and goes back to the one before"
    );
    match apply(collector, request(previous)).await {
        Ok(()) => Err(format!("{why}; the configuration before it runs again")),
        Err(error) => Err(format!("{why}; and the one before it could not be applied again: {error}")),
    }
}

/// Looks for trouble that was not there before: what cannot mend itself counts at once, the rest at the end.
async fn watch(health: &Health, before: &BTreeSet<ComponentKey>, grace: Duration) -> Result<(), String> {
    let end = tokio::time::Instant::now() + grace;
    loop {
        let is_end = tokio::time::Instant::now() >= end;
        let news = unwell(health).into_iter().filter(|(key, ..)| !before.contains(key));
        let serious: Vec<String> = news
            .filter(|(.., lasts)| is_end || *lasts)
            .map(|(key, why, _)| format!("{key}: {why}"))
            .collect();
        if !serious.is_empty() {
            return Err(format!("unhealthy with it: {}", serious.join("; ")));
        }
        if is_end {
            return Ok(());
        }
        tokio::time::sleep(LOOK.min(end - tokio::time::Instant::now())).await;
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::{ComponentId, Kind};
    use phoenix_opamp::{AgentConfigFile, AgentConfigMap};

    use super::*;

    #[test]
    fn offers_are_read_in_the_order_of_names_and_own_files_come_last() {
        let mut config = AgentConfigMap::single("01-b", "b: 1");
        config.config_map.extend(AgentConfigMap::single("00-a", "a: 1").config_map);
        let remote = read(&AgentRemoteConfig { config: Some(config), config_hash: vec![9] });
        let request = request(Some(&remote.unwrap_or_else(|error| panic!("{error}"))));
        let names: Vec<String> = request.sources.iter().map(|source| format!("{source:?}")).collect();
        assert_eq!(names, [r#"Text("00-a", 4 bytes)"#, r#"Text("01-b", 4 bytes)"#, "Own"]);
        let file = |content_type: &str, body: &[u8]| {
            let file = AgentConfigFile { body: body.to_vec(), content_type: content_type.into() };
            let config = AgentConfigMap { config_map: [("x".to_owned(), file)].into() };
            read(&AgentRemoteConfig { config: Some(config), config_hash: Vec::new() }).map(|_| ())
        };
        assert_eq!(file("text/yaml; charset=utf-8", b"a"), Ok(()));
        assert!(file("application/json", b"{}").is_err());
        assert!(file("", &[0xff]).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn only_new_trouble_counts() {
        let key = |id: &str| ComponentKey {
            kind: Kind::Exporter,
            id: ComponentId::parse(id).expect("an id"),
            scope: String::new(),
        };
        let health = Health::default();
        let grace = Duration::from_secs(10);
        health.reset(&key("old"), Status::Recoverable("down since ever".into()));
        let before = BTreeSet::from([key("old")]);
        assert_eq!(watch(&health, &before, grace).await, Ok(()));
        health.reset(&key("new"), Status::Recoverable("down".into()));
        let begun = tokio::time::Instant::now();
        assert!(watch(&health, &before, grace).await.is_err_and(|why| why.contains("down")));
        assert!(begun.elapsed() >= grace, "it may still recover");
        health.reset(&key("new"), Status::Permanent("broken".into()));
        let begun = tokio::time::Instant::now();
        assert!(watch(&health, &before, grace).await.is_err());
        assert!(begun.elapsed() < grace, "this cannot");
    }
}

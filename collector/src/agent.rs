//! Agent mode: a collector whose configuration comes from a server.
//!
//! It is the `opamp` extension and nothing else, put over the own files as one more of them, so that neither those nor
//! what the server sends can take it away.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use crate::cli::{Agent, Sources};

pub(crate) const HELP: &str = "Examples:
  PHOENIX_ENROLMENT_TOKEN=phx_enr_… phoenix-collector agent --server=wss://control.example.com:4320 --label=env=prod
  phoenix-collector agent --server=https://control.example.com --long-poll --config=base.yaml

What only this machine knows can be written into any configuration, and shows in the effective one:
${agent:cores}, ${agent:memory_limit_mib}, ${agent:host_name}, ${agent:host_id}, ${agent:os}, ${agent:arch}.";

/// Where the token is, where no file is named.
pub(crate) const TOKEN: &str = "PHOENIX_ENROLMENT_TOKEN";
/// The path that is meant where a URL has none.
const PATH: &str = "/v1/opamp";
/// The name of the extension.
const EXTENSION: &str = "opamp/agent";

/// The own sources of an agent: what was asked for, and the way to its server over it.
pub(crate) fn sources(mut sources: Sources, asked: &Agent) -> anyhow::Result<Sources> {
    let credential = asked.storage.join("credential");
    let has_token = asked.enrolment_token_file.is_some() || std::env::var_os(TOKEN).is_some();
    anyhow::ensure!(
        has_token || credential.exists(),
        "no enrolment token: name its file with --enrolment-token-file, or set {TOKEN}"
    );
    let token = match &asked.enrolment_token_file {
        Some(file) => Some(reference("file", &absolute(file)?)?),
        None if has_token => Some(reference("env", TOKEN)?),
        None => None,
    };
    let is_bare = sources.config.is_empty();
    sources.config.push(format!("yaml:{}", overlay(asked, token.as_deref(), is_bare)?));
    Ok(sources)
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// `${scheme:name}`, which is read when the configuration is: a token may be another by then.
fn reference(scheme: &str, name: &str) -> anyhow::Result<String> {
    anyhow::ensure!(!name.contains(['}', '$']), "{name:?} cannot be referred to: it has a brace or a dollar");
    Ok(format!("${{{scheme}:{name}}}"))
}

/// A value as it is meant, whatever it looks like: in YAML a dollar begins a reference.
fn plain(text: &str) -> String {
    text.replace('$', "$$")
}

/// The configuration that makes an agent; `is_bare` where there is none of its own, which needs a pipeline.
fn overlay(asked: &Agent, token: Option<&str>, is_bare: bool) -> anyhow::Result<String> {
    let (scheme, rest) =
        asked.server.split_once("://").context("--server must be a URL, for example wss://host:4320")?;
    let transport = match (scheme, asked.long_poll) {
        ("ws" | "wss", false) => "ws",
        ("http" | "https", false) => "http",
        ("http" | "https", true) => "long_poll",
        ("ws" | "wss", true) => anyhow::bail!("--long-poll is for http:// and https://"),
        _ => anyhow::bail!("--server must be a URL with ws://, wss://, http:// or https://"),
    };
    let has_path = rest.split_once('/').is_some_and(|(_, path)| !path.is_empty());
    let endpoint = match has_path {
        true => asked.server.clone(),
        false => format!("{scheme}://{}{PATH}", rest.trim_end_matches('/')),
    };
    let mut server = json!({"endpoint": plain(&endpoint)});
    if let Some(token) = token {
        server["headers"] = json!({"Authorization": format!("Bearer {token}")});
    }
    if let Some(file) = &asked.ca_file {
        server["tls"] = json!({"ca_file": plain(&absolute(file)?)});
    }
    let labels: serde_json::Map<String, serde_json::Value> =
        asked.labels.iter().map(|(key, value)| (key.clone(), plain(value).into())).collect();
    let extension = json!({
        "server": {transport: server},
        "agent_description": {"non_identifying_attributes": labels, "include_resource_attributes": true},
        "capabilities": {"accepts_remote_config": true, "accepts_tasks": true, "accepts_restart_command": true,
            "reports_own_metrics": true, "reports_own_traces": true, "reports_own_logs": true},
        "storage": {"directory": plain(&absolute(&asked.storage)?)},
        "grace_period": format!("{}ms", asked.grace_period.as_millis()),
    });
    let pipeline = match is_bare {
        true => ", pipelines: {traces/agent: {receivers: [nop/agent], exporters: [nop/agent]}}",
        false => "",
    };
    let components = match is_bare {
        true => "receivers: {nop/agent: {}}\nexporters: {nop/agent: {}}\n",
        false => "",
    };
    Ok(format!(
        "extensions: {{{EXTENSION}: {extension}}}\n{components}service: {{extensions: !append [{EXTENSION}]{pipeline}}}\n"
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use phoenix_config::parse_yaml;

    use super::*;

    fn asked(server: &str, long_poll: bool) -> Agent {
        Agent {
            server: server.to_owned(),
            long_poll,
            enrolment_token_file: None,
            storage: PathBuf::from("/var/lib/x"),
            labels: vec![("env".to_owned(), "a$b".to_owned())],
            grace_period: Duration::from_millis(1500),
            ca_file: Some(PathBuf::from("/etc/ca.pem")),
        }
    }

    #[test]
    fn an_agent_is_one_more_configuration() {
        for (server, long_poll, transport, endpoint) in [
            ("wss://control:4320", false, "ws", "wss://control:4320/v1/opamp"),
            ("http://control:4320/", false, "http", "http://control:4320/v1/opamp"),
            ("https://control/own", true, "long_poll", "https://control/own"),
        ] {
            let text = overlay(&asked(server, long_poll), Some("${env:TOKEN}"), true).expect(server);
            let node = parse_yaml("overlay", &text).expect("YAML");
            let at =
                |path: &str| node.at(&phoenix_config::KeyPath::parse(path)).and_then(|node| node.as_text());
            let server = format!("extensions::opamp/agent::server::{transport}");
            assert_eq!(at(&format!("{server}::endpoint")), Some(endpoint), "{text}");
            assert_eq!(at(&format!("{server}::headers::Authorization")), Some("Bearer ${env:TOKEN}"));
            assert_eq!(at(&format!("{server}::tls::ca_file")), Some("/etc/ca.pem"));
            assert_eq!(at("extensions::opamp/agent::grace_period"), Some("1500ms"));
            let label = "extensions::opamp/agent::agent_description::non_identifying_attributes::env";
            assert_eq!(at(label), Some("a$$b"));
            assert!(text.contains("traces/agent"));
        }
        assert!(!overlay(&asked("ws://x", false), None, false).expect("right").contains("pipelines"));
        for (server, long_poll) in [("control:4320", false), ("ftp://x", false), ("ws://x", true)] {
            assert!(overlay(&asked(server, long_poll), None, true).is_err(), "{server}");
        }
    }
}

//! What a message of an agent changes, and what is answered.

use std::collections::BTreeMap;

use phoenix_opamp::{
    AgentDescription, AgentToServer, ComponentDetails, ComponentHealth, ConnectionSettingsOffers,
    CustomCapabilities, Header, Headers, OpampConnectionSettings, RemoteConfigStatus, RemoteConfigStatuses,
    ServerErrorResponse, ServerErrorResponseType, ServerToAgent, Set, TASKS, VITALS, Vitals, agent, server,
    server_flags,
};
use phoenix_telemetry::traces::Kind;
use serde_json::{Value, json};

use super::offers;
use crate::agents::{self, Admission};
use crate::app::App;
use crate::args;
use crate::error::{Error, Result};
use crate::hub::Heard;
use crate::ids::{hex, sha256};
use crate::instances::{self, Attached};
use crate::selector::Labels;
use crate::store::Tx;
use crate::tasks::{self, Outcome};
use crate::time::{now_ms, rfc3339};

/// Longest text that is kept of an agent's error, and longest effective configuration, in bytes.
const MAX_ERROR: usize = 4096;
const MAX_EFFECTIVE: usize = 4 << 20;

/// The answer to a message that cannot be served.
pub(crate) fn refused(uid: &[u8], kind: ServerErrorResponseType, text: impl Into<String>) -> ServerToAgent {
    let error = ServerErrorResponse { r#type: kind.into(), error_message: text.into(), retry_info: None };
    ServerToAgent { instance_uid: uid.to_vec(), error_response: Some(error), ..ServerToAgent::default() }
}

/// The identity that a message names, as it is kept here.
pub(crate) fn agent_id(message: &AgentToServer) -> Result<String> {
    match message.instance_uid.len() {
        16 => Ok(hex(&message.instance_uid)),
        length => Err(Error::BadRequest(format!("instance_uid has {length} bytes instead of 16"))),
    }
}

/// What the service can do.
const CAPABILITIES: u64 = server::ACCEPTS_STATUS
    | server::OFFERS_REMOTE_CONFIG
    | server::ACCEPTS_EFFECTIVE_CONFIG
    | server::OFFERS_CONNECTION_SETTINGS;

/// Serves a message. `is_first` is that of a session.
pub(crate) async fn serve(
    app: &App,
    id: &str,
    session: u64,
    admission: &Admission,
    message: AgentToServer,
    is_first: bool,
) -> Result<ServerToAgent> {
    let span = says_something(&message) || message.custom_message.is_some();
    let span = span.then(|| app.telemetry.tracer.span(Kind::Server, None, || "opamp message".to_owned()));
    let answered = answer(app, id, session, admission, message, is_first).await;
    if let Some(mut span) = span.flatten() {
        span.set("phoenix.agent.id", id);
        if let Err(error) = &answered {
            span.fail(error.to_string());
        }
    }
    answered
}

async fn answer(
    app: &App,
    id: &str,
    session: u64,
    admission: &Admission,
    message: AgentToServer,
    is_first: bool,
) -> Result<ServerToAgent> {
    let now = now_ms();
    let mut answer = ServerToAgent { instance_uid: message.instance_uid.clone(), ..ServerToAgent::default() };
    let heard = app.hub.heard(id, session, message.sequence_num, now);
    if heard == Heard::Replaced {
        return Err(Error::Forbidden("another connection of this agent came since".to_owned()));
    }
    if is_first {
        answer.capabilities = CAPABILITIES;
        answer.custom_capabilities =
            Some(CustomCapabilities { capabilities: vec![TASKS.to_owned(), VITALS.to_owned()] });
    }
    if let Some(offered) = &message.custom_capabilities {
        let takes = offered.capabilities.iter().any(|name| name == TASKS);
        app.hub.set_takes_tasks(id, takes);
        if takes {
            app.hub.look_for_work();
        }
    }
    let is_full = message.agent_description.is_some();
    if heard == Heard::Gap && !is_full {
        answer.flags |= server_flags::REPORT_FULL_STATE;
    }
    match &message.custom_message {
        Some(custom) if custom.capability == TASKS => complete_task(app, id, &custom.data).await?,
        Some(custom) if custom.capability == VITALS => {
            let vitals = Vitals::read(custom)
                .map_err(|error| Error::BadRequest(format!("vitals cannot be read: {error}")))?;
            app.hub.set_vitals(id, vitals);
        }
        _ => {}
    }
    let renewed = matches!(admission, Admission::Renewed(_));
    if !is_first && !renewed && !says_something(&message) {
        return Ok(answer);
    }
    let (owner, has_own) = (id.to_owned(), renewed || matches!(admission, Admission::Own(_)));
    let serving = app.clone();
    let said = message.clone();
    let (attached, offer, credential, wants_components, telemetry) = app
        .db
        .beside(move |tx| {
            let capabilities = Set(said.capabilities);
            let age = serving.credential_age_ms;
            let gets_credential = is_first && capabilities.has(agent::ACCEPTS_OPAMP_CONNECTION_SETTINGS) && {
                let clock = tx.clock()?;
                !has_own || agents::is_credential_due(tx, clock, &owner, age)?
            };
            if renewed {
                agents::confirm_credential(tx, &owner)?;
            }
            if gets_credential {
                // It is audited: whoever waits for that waits before they hold the agent.
                tx.alone()?;
            }
            note(tx, now, &owner, &said)?;
            let attached = match is_first {
                true => Some(instances::attach(tx, &serving.instance, &owner)?),
                false => None,
            };
            let credential = match gets_credential {
                true => {
                    let clock = tx.clock()?;
                    Some(agents::new_credential(tx, clock, &owner, age)?)
                }
                false => None,
            };
            let offer = offers::for_agent(&serving, tx, &owner, capabilities)?;
            let telemetry = match is_first {
                true => offers::telemetry_for(tx, &owner, capabilities)?,
                false => None,
            };
            Ok((attached, offer, credential, lacks_components(tx, &owner, &said)?, telemetry))
        })
        .await?;
    if let Some(Attached { connection, is_elsewhere }) = attached {
        app.hub.attached(id, session, connection);
        if is_elsewhere {
            app.hub.expel_elsewhere(id, connection);
        }
    }
    if message.remote_config_status.is_some() || message.health.is_some() {
        app.hub.reported();
    }
    answer.remote_config = offer;
    if wants_components {
        answer.flags |= server_flags::REPORT_AVAILABLE_COMPONENTS;
    }
    let sets_interval = is_first && Set(message.capabilities).has(agent::REPORTS_HEARTBEAT);
    if credential.is_some() || sets_interval {
        let endpoint = app.opamp_public_url.as_ref().map(|url| url.endpoint(app.hub.has_socket(id)));
        answer.connection_settings = Some(connection_settings(app.heartbeat_seconds, credential, endpoint));
    }
    if let Some(telemetry) = telemetry {
        app.hub.offers_settings(id, &telemetry.hash);
        let settings = answer.connection_settings.get_or_insert_default();
        let hash = [&settings.hash[..], &telemetry.hash].concat();
        *settings = ConnectionSettingsOffers {
            hash: sha256(hex(&hash)).into_bytes(),
            opamp: settings.opamp.take(),
            ..telemetry
        };
    }
    Ok(answer)
}

/// Anything but a heartbeat.
fn says_something(message: &AgentToServer) -> bool {
    message.agent_description.is_some()
        || message.health.is_some()
        || message.effective_config.is_some()
        || message.remote_config_status.is_some()
        || message.available_components.is_some()
        || message.connection_settings_status.is_some()
}

fn connection_settings(
    heartbeat_seconds: u64,
    credential: Option<String>,
    endpoint: Option<String>,
) -> ConnectionSettingsOffers {
    // Only who gets a credential has to come back, and needs to hear where to.
    let endpoint = endpoint.filter(|_| credential.is_some()).unwrap_or_default();
    let token = credential.as_deref().unwrap_or_default();
    let hash = sha256(format!("{heartbeat_seconds} {token} {endpoint}"));
    let header = |token| Header { key: "Authorization".to_owned(), value: format!("Bearer {token}") };
    let opamp = OpampConnectionSettings {
        destination_endpoint: endpoint,
        headers: credential.map(|token| Headers { headers: vec![header(token)] }),
        heartbeat_interval_seconds: heartbeat_seconds,
    };
    ConnectionSettingsOffers {
        hash: hash.into_bytes(),
        opamp: Some(opamp),
        ..ConnectionSettingsOffers::default()
    }
}

/// Writes down what an agent said of itself.
fn note(tx: &mut dyn Tx, now: i64, id: &str, message: &AgentToServer) -> Result<()> {
    tx.execute(
        "UPDATE agents SET capabilities = ?2, last_seen_at = ?3 WHERE id = ?1",
        args![id, message.capabilities as i64, now],
    )?;
    if let Some(description) = &message.agent_description {
        let labels = labels_of(description);
        let name = ["host.name", "service.instance.id", "service.name"];
        let name = name.iter().find_map(|key| labels.get(*key)).map_or(id, String::as_str);
        tx.execute(
            "UPDATE agents SET name = ?2, labels = ?3 WHERE id = ?1",
            args![id, name, json!(labels).to_string()],
        )?;
    }
    if let Some(offered) = &message.custom_capabilities {
        let tells = offered.capabilities.iter().any(|name| name == VITALS);
        tx.execute(
            "UPDATE agents SET tells_vitals = ?2 WHERE id = ?1 AND tells_vitals <> ?2",
            args![id, tells],
        )?;
    }
    if let Some(health) = &message.health {
        tx.execute(
            "UPDATE agents SET healthy = ?2, health = ?3 WHERE id = ?1",
            args![id, health.healthy, health_json(health).to_string()],
        )?;
    }
    if let Some(effective) = &message.effective_config {
        let files = effective.config_map.iter().flat_map(|map| map.config_map.values());
        let mut text = String::new();
        for file in files {
            text += &String::from_utf8_lossy(&file.body);
        }
        if text.len() <= MAX_EFFECTIVE {
            tx.execute("UPDATE agents SET effective = ?2 WHERE id = ?1", args![id, text])?;
        } else {
            tracing::warn!(
                agent = id,
                bytes = text.len() as u64,
                "an effective configuration is too long to be kept"
            );
        }
    }
    if let Some(components) = &message.available_components {
        let kinds: Vec<Value> = components.components.iter().map(component_json).collect();
        if !kinds.is_empty() {
            tx.execute(
                "UPDATE agents SET components = ?2, components_hash = ?3 WHERE id = ?1",
                args![id, Value::from(kinds).to_string(), hex(&components.hash)],
            )?;
        }
    }
    if let Some(status) = &message.connection_settings_status
        && let Some(name) = status_name(status.status)
    {
        let error: String = status.error_message.chars().take(MAX_ERROR).collect();
        let told = json!({"status": name, "error": Some(error).filter(|error| !error.is_empty()), "at": rfc3339(now)});
        tx.execute("UPDATE agents SET connection_status = ?2 WHERE id = ?1", args![id, told.to_string()])?;
    }
    if let Some(status) = &message.remote_config_status {
        note_status(tx, now, id, status)?;
    }
    Ok(())
}

fn status_name(status: i32) -> Option<&'static str> {
    match RemoteConfigStatuses::try_from(status) {
        Ok(RemoteConfigStatuses::Applied) => Some("applied"),
        Ok(RemoteConfigStatuses::Applying) => Some("applying"),
        Ok(RemoteConfigStatuses::Failed) => Some("failed"),
        Ok(RemoteConfigStatuses::Unset) | Err(_) => None,
    }
}

/// Keeps what became of a configuration. What failed is remembered by its hash even when the agent then tells of the
/// one that it went back to.
fn note_status(tx: &mut dyn Tx, now: i64, id: &str, status: &RemoteConfigStatus) -> Result<()> {
    let hash = hex(&status.last_remote_config_hash);
    let Some(name) = status_name(status.status) else { return Ok(()) };
    let error: String = status.error_message.chars().take(MAX_ERROR).collect();
    tx.execute(
        "UPDATE agents SET reported_hash = ?2, reported_status = ?3, reported_error = ?4, reported_at = ?5 WHERE id = ?1",
        args![id, &hash, name, &error, now],
    )?;
    match name {
        "failed" => {
            tx.execute(
                "INSERT INTO agent_failures (agent_id, hash, error, failed_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (agent_id, hash) DO UPDATE SET error = ?3, failed_at = ?4",
                args![id, &hash, &error, now],
            )?;
        }
        "applied" => {
            // What a gate found, the agent does not know of.
            let sql = "DELETE FROM agent_failures WHERE agent_id = ?1 AND hash = ?2 AND of_gate = 0";
            tx.execute(sql, args![id, &hash])?;
        }
        _ => {}
    }
    Ok(())
}

/// Whether the agent named components that are not known here.
fn lacks_components(tx: &mut dyn Tx, id: &str, message: &AgentToServer) -> Result<bool> {
    let Some(named) = message.available_components.as_ref().filter(|named| named.components.is_empty())
    else {
        return Ok(false);
    };
    let kept = tx.one("SELECT components_hash FROM agents WHERE id = ?1", args![id])?;
    Ok(kept.is_none_or(|row| row.text(0) != hex(&named.hash)))
}

fn labels_of(description: &AgentDescription) -> Labels {
    let all = description.identifying_attributes.iter().chain(&description.non_identifying_attributes);
    let label = |attribute: &phoenix_opamp::KeyValue| {
        let value = attribute.value.as_ref()?.as_label()?;
        (value.len() <= 1024 && attribute.key.len() <= 256).then(|| (attribute.key.clone(), value))
    };
    all.filter_map(label).take(128).collect()
}

fn health_json(health: &ComponentHealth) -> Value {
    let below: BTreeMap<&String, Value> =
        health.component_health_map.iter().map(|(name, health)| (name, health_json(health))).collect();
    let mut told = json!({"healthy": health.healthy});
    if let Some(told) = told.as_object_mut() {
        if !health.status.is_empty() {
            told.insert("status".to_owned(), health.status.clone().into());
        }
        if !health.last_error.is_empty() {
            told.insert("error".to_owned(), health.last_error.clone().into());
        }
        if !below.is_empty() {
            told.insert("components".to_owned(), json!(below));
        }
    }
    told
}

fn component_json((kind, details): (&String, &ComponentDetails)) -> Value {
    let types: Vec<&String> = details.sub_component_map.keys().collect();
    json!({"kind": kind, "types": types})
}

async fn complete_task(app: &App, id: &str, data: &[u8]) -> Result<()> {
    let outcome: Outcome = serde_json::from_slice(data)
        .map_err(|error| Error::BadRequest(format!("the result of a task cannot be read: {error}")))?;
    let (owner, went_wrong) = (id.to_owned(), outcome.error.is_some());
    let complete = move |tx: &mut dyn Tx| {
        let now = tx.clock()?;
        tasks::complete(tx, now, &owner, &outcome, rand::random())
    };
    let counted = app.db.beside(complete).await?;
    app.telemetry.task_ended(match (counted, went_wrong) {
        (false, _) => "late",
        (true, true) => "failed",
        (true, false) => "done",
    });
    if !counted {
        tracing::warn!(agent = id, "a result came too late and was put aside");
    }
    app.hub.look_for_work();
    Ok(())
}

//! The messages, by the numbers of `opamp.proto.v1`.

use std::collections::BTreeMap;

use prost::{Enumeration, Message, Oneof};
use serde::{Deserialize, Serialize};

/// What an agent says.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentToServer {
    /// Who it is: 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "crate::json::base64_text")]
    pub instance_uid: Vec<u8>,
    /// Goes up by one with each message, so that a lost one is seen.
    #[prost(uint64, tag = "2")]
    #[serde(with = "crate::json::whole")]
    pub sequence_num: u64,
    /// What it is; left out where that has not changed, as are the others below.
    #[prost(message, optional, tag = "3")]
    pub agent_description: Option<AgentDescription>,
    /// What it can do: [`crate::agent`].
    #[prost(uint64, tag = "4")]
    #[serde(with = "crate::json::whole")]
    pub capabilities: u64,
    /// How it is.
    #[prost(message, optional, tag = "5")]
    pub health: Option<ComponentHealth>,
    /// What it runs with.
    #[prost(message, optional, tag = "6")]
    pub effective_config: Option<EffectiveConfig>,
    /// What became of the last configuration that it was offered.
    #[prost(message, optional, tag = "7")]
    pub remote_config_status: Option<RemoteConfigStatus>,
    /// It goes away.
    #[prost(message, optional, tag = "9")]
    pub agent_disconnect: Option<AgentDisconnect>,
    /// [`crate::agent_flags`].
    #[prost(uint64, tag = "10")]
    #[serde(with = "crate::json::whole")]
    pub flags: u64,
    /// The custom messages that it understands.
    #[prost(message, optional, tag = "12")]
    pub custom_capabilities: Option<CustomCapabilities>,
    /// A custom message.
    #[prost(message, optional, tag = "13")]
    pub custom_message: Option<CustomMessage>,
    /// The components that it has.
    #[prost(message, optional, tag = "14")]
    pub available_components: Option<AvailableComponents>,
    /// What became of the last connection settings that it was offered.
    #[prost(message, optional, tag = "15")]
    pub connection_settings_status: Option<ConnectionSettingsStatus>,
}

/// What a server says.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerToAgent {
    /// To whom.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "crate::json::base64_text")]
    pub instance_uid: Vec<u8>,
    /// The request was not served; nothing else is said then.
    #[prost(message, optional, tag = "2")]
    pub error_response: Option<ServerErrorResponse>,
    /// What the agent is to run with.
    #[prost(message, optional, tag = "3")]
    pub remote_config: Option<AgentRemoteConfig>,
    /// How the agent is to talk to whom.
    #[prost(message, optional, tag = "4")]
    pub connection_settings: Option<ConnectionSettingsOffers>,
    /// [`crate::server_flags`].
    #[prost(uint64, tag = "6")]
    #[serde(with = "crate::json::whole")]
    pub flags: u64,
    /// What it can do: [`crate::server`]; in its first message.
    #[prost(uint64, tag = "7")]
    #[serde(with = "crate::json::whole")]
    pub capabilities: u64,
    /// Another identity for the agent.
    #[prost(message, optional, tag = "8")]
    pub agent_identification: Option<AgentIdentification>,
    /// A command.
    #[prost(message, optional, tag = "9")]
    pub command: Option<ServerToAgentCommand>,
    /// The custom messages that it understands.
    #[prost(message, optional, tag = "10")]
    pub custom_capabilities: Option<CustomCapabilities>,
    /// A custom message.
    #[prost(message, optional, tag = "11")]
    pub custom_message: Option<CustomMessage>,
}

/// An agent says that it goes.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentDisconnect {}

/// What an agent is.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentDescription {
    /// What tells it from others: `service.name`, `service.instance.id`.
    #[prost(message, repeated, tag = "1")]
    pub identifying_attributes: Vec<KeyValue>,
    /// What else is known: `os.type`, `host.name`, labels.
    #[prost(message, repeated, tag = "2")]
    pub non_identifying_attributes: Vec<KeyValue>,
}

/// How a component, and what is below it, is.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ComponentHealth {
    /// Whether it works.
    #[prost(bool, tag = "1")]
    pub healthy: bool,
    /// Since when it runs, in Unix nanoseconds; 0 where it does not.
    #[prost(fixed64, tag = "2")]
    #[serde(with = "crate::json::whole")]
    pub start_time_unix_nano: u64,
    /// What is wrong.
    #[prost(string, tag = "3")]
    pub last_error: String,
    /// How it is, in its own words.
    #[prost(string, tag = "4")]
    pub status: String,
    /// Since when it has been so, in Unix nanoseconds.
    #[prost(fixed64, tag = "5")]
    #[serde(with = "crate::json::whole")]
    pub status_time_unix_nano: u64,
    /// What it consists of.
    #[prost(btree_map = "string, message", tag = "6")]
    pub component_health_map: BTreeMap<String, ComponentHealth>,
}

/// What an agent runs with.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EffectiveConfig {
    /// Its files.
    #[prost(message, optional, tag = "1")]
    pub config_map: Option<AgentConfigMap>,
}

/// The files of a configuration, by name.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentConfigMap {
    /// A single one may have an empty name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub config_map: BTreeMap<String, AgentConfigFile>,
}

impl AgentConfigMap {
    /// One YAML file.
    pub fn single(name: &str, yaml: &str) -> AgentConfigMap {
        let file = AgentConfigFile { body: yaml.as_bytes().to_vec(), content_type: "text/yaml".to_owned() };
        AgentConfigMap { config_map: BTreeMap::from([(name.to_owned(), file)]) }
    }
}

/// A file of a configuration.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentConfigFile {
    /// Its text.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "crate::json::base64_text")]
    pub body: Vec<u8>,
    /// For example `text/yaml`.
    #[prost(string, tag = "2")]
    pub content_type: String,
}

/// What an agent is to run with.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentRemoteConfig {
    /// The files.
    #[prost(message, optional, tag = "1")]
    pub config: Option<AgentConfigMap>,
    /// By which it is known.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "crate::json::base64_text")]
    pub config_hash: Vec<u8>,
}

/// What became of a configuration.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RemoteConfigStatus {
    /// Which.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "crate::json::base64_text")]
    pub last_remote_config_hash: Vec<u8>,
    /// How far it came.
    #[prost(enumeration = "RemoteConfigStatuses", tag = "2")]
    pub status: i32,
    /// Why it failed.
    #[prost(string, tag = "3")]
    pub error_message: String,
}

/// How far a configuration came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
pub enum RemoteConfigStatuses {
    /// None was offered.
    Unset = 0,
    /// It runs.
    Applied = 1,
    /// It is being applied.
    Applying = 2,
    /// It does not run.
    Failed = 3,
}

/// The components that an agent has.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AvailableComponents {
    /// By kind: `receivers`, `processors`, `exporters`, `connectors`, `extensions`.
    #[prost(btree_map = "string, message", tag = "1")]
    pub components: BTreeMap<String, ComponentDetails>,
    /// By which the set is known; often all that is said.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "crate::json::base64_text")]
    pub hash: Vec<u8>,
}

/// A component, or a kind of them.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ComponentDetails {
    /// For example `code.namespace`.
    #[prost(message, repeated, tag = "1")]
    pub metadata: Vec<KeyValue>,
    /// What belongs to it.
    #[prost(btree_map = "string, message", tag = "2")]
    pub sub_component_map: BTreeMap<String, ComponentDetails>,
}

/// How an agent is to talk to whom.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConnectionSettingsOffers {
    /// By which the offer is known.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "crate::json::base64_text")]
    pub hash: Vec<u8>,
    /// The connection to the server itself; as it was where this and the others are left out.
    #[prost(message, optional, tag = "2")]
    pub opamp: Option<OpampConnectionSettings>,
    /// Where own metrics go.
    #[prost(message, optional, tag = "3")]
    pub own_metrics: Option<TelemetryConnectionSettings>,
    /// Where own traces go.
    #[prost(message, optional, tag = "4")]
    pub own_traces: Option<TelemetryConnectionSettings>,
    /// Where own logs go.
    #[prost(message, optional, tag = "5")]
    pub own_logs: Option<TelemetryConnectionSettings>,
}

/// Where an agent sends what it says of itself, as OTLP over HTTP.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TelemetryConnectionSettings {
    /// A URL with its path; empty is nowhere.
    #[prost(string, tag = "1")]
    pub destination_endpoint: String,
    /// What to send with each request.
    #[prost(message, optional, tag = "2")]
    pub headers: Option<Headers>,
}

/// How far connection settings came.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConnectionSettingsStatus {
    /// Which.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "crate::json::base64_text")]
    pub last_connection_settings_hash: Vec<u8>,
    /// How far: the numbers are those of [`RemoteConfigStatuses`].
    #[prost(enumeration = "RemoteConfigStatuses", tag = "2")]
    pub status: i32,
    /// Why it failed.
    #[prost(string, tag = "3")]
    pub error_message: String,
}

/// The connection of an agent to its server.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OpampConnectionSettings {
    /// Another server; empty for the same.
    #[prost(string, tag = "1")]
    pub destination_endpoint: String,
    /// What to send with each request.
    #[prost(message, optional, tag = "2")]
    pub headers: Option<Headers>,
    /// How often to be heard of; 0 is never.
    #[prost(uint64, tag = "4")]
    #[serde(with = "crate::json::whole")]
    pub heartbeat_interval_seconds: u64,
}

/// Headers of HTTP.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Headers {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<Header>,
}

/// A header of HTTP.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Header {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A request was not served.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerErrorResponse {
    /// Whether to come again.
    #[prost(enumeration = "ServerErrorResponseType", tag = "1")]
    pub r#type: i32,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
    /// When to come again.
    #[prost(message, optional, tag = "3")]
    pub retry_info: Option<RetryInfo>,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
pub enum ServerErrorResponseType {
    /// Something else.
    Unknown = 0,
    /// The message is wrong: there is no sense in sending it again.
    BadRequest = 1,
    /// The server cannot now.
    Unavailable = 2,
}

/// When to come again.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RetryInfo {
    /// After so many nanoseconds.
    #[prost(uint64, tag = "1")]
    #[serde(with = "crate::json::whole")]
    pub retry_after_nanoseconds: u64,
}

/// Another identity for an agent.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentIdentification {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "crate::json::base64_text")]
    pub new_instance_uid: Vec<u8>,
}

/// A command to an agent.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerToAgentCommand {
    /// Which: 0 is a restart.
    #[prost(int32, tag = "1")]
    pub r#type: i32,
}

/// The custom messages that somebody understands.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CustomCapabilities {
    /// Reversed domain names with a version.
    #[prost(string, repeated, tag = "1")]
    pub capabilities: Vec<String>,
}

/// A custom message.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CustomMessage {
    /// What it belongs to.
    #[prost(string, tag = "1")]
    pub capability: String,
    /// Which of its messages.
    #[prost(string, tag = "2")]
    pub r#type: String,
    /// The message.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(with = "crate::json::base64_text")]
    pub data: Vec<u8>,
}

/// An attribute.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

impl KeyValue {
    /// A text under a name.
    pub fn text(key: impl Into<String>, value: impl Into<String>) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Value::String(value.into())) }) }
    }
}

/// A value of any type.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AnyValue {
    /// The value; none is null.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    #[serde(flatten)]
    pub value: Option<Value>,
}

/// The types of values.
#[derive(Clone, PartialEq, Oneof, Serialize, Deserialize)]
pub enum Value {
    /// A text.
    #[prost(string, tag = "1")]
    #[serde(rename = "stringValue")]
    String(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    #[serde(rename = "boolValue")]
    Bool(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    #[serde(rename = "intValue", with = "crate::json::whole")]
    Int(i64),
    /// A number.
    #[prost(double, tag = "4")]
    #[serde(rename = "doubleValue")]
    Double(f64),
    /// A list.
    #[prost(message, tag = "5")]
    #[serde(rename = "arrayValue")]
    Array(ArrayValue),
    /// A map.
    #[prost(message, tag = "6")]
    #[serde(rename = "kvlistValue")]
    Map(KeyValueList),
    /// Bytes.
    #[prost(bytes, tag = "7")]
    #[serde(rename = "bytesValue", with = "crate::json::base64_text")]
    Bytes(Vec<u8>),
}

impl AnyValue {
    /// The value as a label has it: a text, a number or a truth value in writing.
    pub fn as_label(&self) -> Option<String> {
        Some(match self.value.as_ref()? {
            Value::String(text) => text.clone(),
            Value::Bool(yes) => yes.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Double(number) => number.to_string(),
            Value::Array(_) | Value::Map(_) | Value::Bytes(_) => return None,
        })
    }
}

/// A list of values.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ArrayValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// A map of values.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeyValueList {
    /// Its entries.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

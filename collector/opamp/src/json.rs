//! The messages as JSON, as the mapping of protobuf has it: names in camel case, bytes in base64, numbers of 64 bits as
//! texts (numbers are taken, too), enumerations by their numbers. What is not known is passed over.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Writes a message; what is not set is left out.
pub fn to_json(message: &impl Serialize) -> Vec<u8> {
    // Messages have nothing that JSON cannot say: no map has keys that are no texts.
    let mut value = serde_json::to_value(message).unwrap_or_default();
    prune(&mut value);
    value.to_string().into_bytes()
}

/// Reads a message.
///
/// # Errors
/// Where it is none; nesting is bounded by the reader, at 128.
pub fn from_json<M: DeserializeOwned>(text: &[u8]) -> Result<M, serde_json::Error> {
    serde_json::from_slice(text)
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// Bytes in base64.
pub(crate) mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

/// A number of 64 bits, as a text or as a number.
pub(crate) mod whole {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<T> {
        Number(T),
        Text(String),
        Nothing(()),
    }

    pub(crate) fn serialize<T: Display, S: Serializer>(number: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display> + Deserialize<'de> + Default,
        D: Deserializer<'de>,
    {
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(number),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
            Written::Nothing(()) => Ok(T::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AgentConfigMap, AgentDescription, AgentDisconnect, AgentToServer, AnyValue, ComponentHealth,
        EffectiveConfig, KeyValue, ServerToAgent,
    };

    fn message() -> AgentToServer {
        let mut health =
            ComponentHealth { healthy: true, start_time_unix_nano: u64::MAX, ..Default::default() };
        health.component_health_map.insert("pipeline:traces".into(), ComponentHealth::default());
        let values = [
            crate::Value::String(String::new()),
            crate::Value::Bool(true),
            crate::Value::Int(-5),
            crate::Value::Double(0.5),
            crate::Value::Bytes(vec![0, 255]),
        ];
        let values = values.into_iter().map(|value| AnyValue { value: Some(value) });
        let list =
            AnyValue { value: Some(crate::Value::Array(crate::ArrayValue { values: values.collect() })) };
        AgentToServer {
            instance_uid: (0..16).collect(),
            sequence_num: 1 << 60,
            agent_description: Some(AgentDescription {
                identifying_attributes: vec![KeyValue::text("host.name", "x")],
                non_identifying_attributes: vec![KeyValue { key: "list".into(), value: Some(list) }],
            }),
            health: Some(health),
            effective_config: Some(EffectiveConfig { config_map: Some(AgentConfigMap::single("", "a: 1")) }),
            agent_disconnect: Some(AgentDisconnect {}),
            ..AgentToServer::default()
        }
    }

    #[test]
    fn messages_are_read_as_they_are_written() {
        let text = to_json(&message());
        assert_eq!(from_json::<AgentToServer>(&text).expect("JSON"), message());
        let text = String::from_utf8(text).expect("UTF-8");
        for part in [
            r#""instanceUid":"AAECAwQFBgcICQoLDA0ODw==""#,
            r#""sequenceNum":"1152921504606846976""#,
            r#""startTimeUnixNano":"18446744073709551615""#,
            r#""agentDisconnect":{}"#,
            r#""intValue":"-5""#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("null"), "{text}");
    }

    #[test]
    fn what_others_write_is_read() {
        let text = br#"{"instanceUid": null, "sequenceNum": 7, "future": {"x": 1}, "remoteConfigStatus": {"status": 1}}"#;
        let read: AgentToServer = from_json(text).expect("JSON");
        assert_eq!((read.sequence_num, read.remote_config_status.map(|status| status.status)), (7, Some(1)));
        assert!(from_json::<ServerToAgent>(br#"{"instanceUid": "*"}"#).is_err());
        assert!(from_json::<ServerToAgent>(br#"{"flags": "many"}"#).is_err());
        let deep = format!("{}{}", r#"{"health":{"componentHealthMap":{"x":"#.repeat(200), "}".repeat(600));
        assert!(from_json::<AgentToServer>(deep.as_bytes()).is_err());
    }
}

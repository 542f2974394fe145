//! Who this agent is.

use std::time::{SystemTime, UNIX_EPOCH};

use phoenix_component::Host;
use phoenix_opamp::{AgentDescription, KeyValue};
use serde_json::Value;

use crate::OpampConfig;

/// A new identity: a UUID of version 7.
pub(crate) fn new_uid() -> [u8; 16] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let mut uid: [u8; 16] = rand::random();
    uid[..6].copy_from_slice(&now.to_be_bytes()[2..]);
    uid[6] = 0x70 | (uid[6] & 0x0f);
    uid[8] = 0x80 | (uid[8] & 0x3f);
    uid
}

/// An identity in writing.
pub(crate) fn uuid(uid: [u8; 16]) -> String {
    let digits: String = uid.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// The kernel's name of this machine.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// What is told of this agent; `effective` is the effective configuration as JSON.
pub(crate) fn describe(config: &OpampConfig, host: &Host, uid: &str, effective: &str) -> AgentDescription {
    let settings = &config.agent_description;
    let read: Value = serde_json::from_str(effective).unwrap_or_default();
    let resource = read.pointer("/service/telemetry/resource").and_then(Value::as_object);
    let of_resource = |name: &str| resource?.get(name)?.as_str().map(str::to_owned);
    let own = |name: &str, otherwise: &str| of_resource(name).unwrap_or_else(|| otherwise.to_owned());
    let identifying_attributes = vec![
        KeyValue::text("service.instance.id", own("service.instance.id", uid)),
        KeyValue::text("service.name", own("service.name", host.build.command)),
        KeyValue::text("service.version", own("service.version", host.build.version)),
    ];
    let mut others = vec![
        KeyValue::text("host.arch", std::env::consts::ARCH),
        KeyValue::text("os.type", std::env::consts::OS),
        KeyValue::text("phoenix.cores", host.cores.count().to_string()),
    ];
    let memory = host.memory.total() >> 20;
    others.push(KeyValue::text("phoenix.memory_limit_mib", memory.to_string()));
    others.extend(host_name().map(|name| KeyValue::text("host.name", name)));
    let is_told = |name: &str| settings.include_resource_attributes && !name.starts_with("service.");
    for (name, value) in resource.into_iter().flatten() {
        if let (true, Some(value)) = (is_told(name), value.as_str()) {
            others.retain(|known| known.key != *name);
            others.push(KeyValue::text(name, value));
        }
    }
    for (name, value) in &settings.non_identifying_attributes {
        others.retain(|known| known.key != *name);
        others.push(KeyValue::text(name, value));
    }
    AgentDescription { identifying_attributes, non_identifying_attributes: others }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settings_count_more_than_what_is_found() {
        let config: OpampConfig = serde_json::from_str(
            r#"{"agent_description": {"include_resource_attributes": true, "non_identifying_attributes": {"env": "prod", "os.type": "other"}}}"#,
        )
        .expect("settings");
        let effective = r#"{"service": {"telemetry": {"resource": {"service.name": "edge", "zone": "a", "env": "test"}}}}"#;
        let told = describe(&config, &Host::for_tests(), "the-uid", effective);
        let all = told.identifying_attributes.iter().chain(&told.non_identifying_attributes);
        let of = |name: &str| {
            let mut named = all.clone().filter(|known| known.key == name);
            let value = named.next().and_then(|known| known.value.as_ref()?.as_label());
            assert!(named.next().is_none(), "{name} twice");
            value
        };
        for (name, value) in [
            ("service.name", "edge"),
            ("service.instance.id", "the-uid"),
            ("zone", "a"),
            ("env", "prod"),
            ("os.type", "other"),
        ] {
            assert_eq!(of(name).as_deref(), Some(value), "{name}");
        }
    }

    #[test]
    fn identities_are_of_version_7() {
        let text = uuid(new_uid());
        assert_eq!((text.len(), &text[14..15]), (36, "7"), "{text}");
        assert_eq!(crate::config::parse_uid(&text).map(uuid), Some(text));
    }
}

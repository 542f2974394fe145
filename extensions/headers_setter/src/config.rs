use http::{HeaderName, HeaderValue};
use phoenix_component::Touch;
use phoenix_config::{Capability, ComponentId, Described, Opaque, Problems, Settings};
use serde::Deserialize;

/// Settings of the `headers_setter` extension: otelcol's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HeadersSetterConfig {
    /// What is done, one after the other.
    #[described(required)]
    pub headers: Vec<HeaderSettings>,
    /// An authenticator of clients that goes first.
    #[described(names = Capability::ClientAuth)]
    pub additional_auth: String,
}

/// What is done with one header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderSettings {
    /// What to do.
    pub action: ActionKind,
    /// The header.
    #[described(required)]
    pub key: String,
    /// A fixed value.
    pub value: Option<Opaque>,
    /// A file whose first line is the value, read again when it changes.
    pub value_file: Option<String>,
    /// A header of the request that the data came with; needs `include_metadata` there.
    pub from_context: Option<String>,
    /// An attribute that the authenticator of the receiver has found.
    pub from_attribute: Option<String>,
    /// The value where `from_context` or `from_attribute` finds none.
    pub default_value: Option<Opaque>,
}

/// What is done with a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Sets it, where it is not there.
    Insert,
    /// Sets it, where it is there.
    Update,
    /// Sets it.
    #[default]
    Upsert,
    /// Takes it away.
    Delete,
}

/// Headers that say how a request is to be read: setting one would make two requests of one.
const OF_THE_PROTOCOL: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-encoding",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

impl HeadersSetterConfig {
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let files = self.headers.iter().enumerate();
        files
            .filter_map(|(index, header)| {
                Some(Touch::read(format!("headers::{index}::value_file"), header.value_file.as_ref()?))
            })
            .collect()
    }
}

impl Settings for HeadersSetterConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.headers.is_empty(), "headers", "missing headers configuration");
        for (index, header) in self.headers.iter().enumerate() {
            problems.within(&format!("headers::{index}"), |problems| header.validate(problems));
        }
        if !self.additional_auth.is_empty()
            && let Err(error) = ComponentId::parse(&self.additional_auth)
        {
            problems
                .error("additional_auth", format!("{:?} is no identifier: {error}", self.additional_auth));
        }
    }
}

impl HeaderSettings {
    fn validate(&self, problems: &mut Problems) {
        match HeaderName::try_from(&self.key) {
            _ if self.key.is_empty() => problems.error("key", "missing header name"),
            Err(_) => problems.error("key", format!("{:?} is no header name", self.key)),
            Ok(name) if OF_THE_PROTOCOL.contains(&name.as_str()) => {
                problems.error("key", format!("{:?} belongs to the protocol, and cannot be set", self.key));
            }
            Ok(_) => {}
        }
        if self.action == ActionKind::Delete {
            return;
        }
        let sources = [
            ("value", self.value.is_some()),
            ("value_file", self.value_file.is_some()),
            ("from_context", self.from_context.is_some()),
            ("from_attribute", self.from_attribute.is_some()),
        ];
        let mut set = sources.iter().filter(|(_, is_set)| *is_set).map(|(key, _)| *key);
        match (set.next(), set.next()) {
            (None, _) => problems.error(
                "",
                "missing header source, must be 'from_context', 'from_attribute', 'value' or 'value_file'",
            ),
            (Some(first), Some(second)) => {
                problems.error(second, format!("the value comes from `{first}` already: only one of both"));
            }
            (Some("value" | "value_file"), None) if self.default_value.is_some() => {
                problems.warn("default_value", "has no effect without `from_context` or `from_attribute`");
            }
            (Some(_), None) => {}
        }
        for (key, value) in [("value", &self.value), ("default_value", &self.default_value)] {
            let is_sendable =
                value.as_ref().is_none_or(|value| HeaderValue::from_str(value.reveal()).is_ok());
            problems.require(is_sendable, key, "the value cannot be sent in a header");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings, keys that the errors name)
        let cases: [(&str, &[&str]); 12] = [
            ("{headers: [{key: x-a, value: b}]}", &[]),
            ("{headers: [{key: x-a, action: delete}], additional_auth: basicauth/2}", &[]),
            ("{headers: [{key: x-a, from_context: x, default_value: y, action: insert}]}", &[]),
            ("{}", &["headers"]),
            ("{headers: [{value: a}]}", &["headers::0::key"]),
            ("{headers: [{key: 'a b', value: a}]}", &["headers::0::key"]),
            ("{headers: [{key: Content-Length, value: '5'}]}", &["headers::0::key"]),
            ("{headers: [{key: x-a}]}", &["headers::0"]),
            ("{headers: [{key: x-a, value: a, from_context: b}]}", &["headers::0::from_context"]),
            (r#"{headers: [{key: x-a, value: "a\nb"}]}"#, &["headers::0::value"]),
            ("{headers: [{key: x-a, value: a, action: replace}]}", &["headers::0::action"]),
            ("{headers: [{key: x-a, value: a}], additional_auth: '/'}", &["additional_auth"]),
        ];
        for (settings, keys) in cases {
            let found = match phoenix_config::decode_text::<HeadersSetterConfig>(settings) {
                Ok(_) => Vec::new(),
                Err(problems) => problems.errors().map(|problem| problem.path.to_string()).collect(),
            };
            assert_eq!(found, keys, "{settings}");
        }
    }
}

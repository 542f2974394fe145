//! What is done with headers, made ready.

use std::path::{Path, PathBuf};

use arc_swap::ArcSwapOption;
use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};
use phoenix_component::{ClientInfo, Refusal};
use serde_json::Value;
use std::sync::Arc;

use crate::{ActionKind, HeaderSettings};

/// Longest value that is read out of a file.
const MAX_FILE_BYTES: usize = 16 << 10;

pub(crate) struct Header {
    name: HeaderName,
    action: ActionKind,
    source: Source,
    default: Option<HeaderValue>,
}

enum Source {
    Nothing,
    Fixed(HeaderValue),
    File(PathBuf, ArcSwapOption<HeaderValue>),
    Metadata(String),
    Attribute(String),
}

impl Header {
    /// Says what cannot be.
    pub(crate) fn new(settings: &HeaderSettings) -> Result<Header, String> {
        let value =
            |text: &str| secret(text).ok_or_else(|| format!("{}: the value cannot be sent", settings.key));
        let source = match (&settings.value, &settings.value_file) {
            _ if settings.action == ActionKind::Delete => Source::Nothing,
            (Some(text), _) => Source::Fixed(value(text.reveal())?),
            (None, Some(file)) => {
                let file = PathBuf::from(file);
                let first = read(&file)?;
                Source::File(file, ArcSwapOption::from_pointee(first))
            }
            (None, None) => match (&settings.from_context, &settings.from_attribute) {
                (Some(key), _) => Source::Metadata(key.clone()),
                (None, key) => Source::Attribute(key.clone().unwrap_or_default()),
            },
        };
        let name = HeaderName::try_from(&settings.key)
            .map_err(|_| format!("{:?} is no header name", settings.key))?;
        let default = settings.default_value.as_ref().map(|text| value(text.reveal())).transpose()?;
        Ok(Header { name, action: settings.action, source, default })
    }

    /// The file that the value comes from.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.source {
            Source::File(file, _) => Some(file),
            _ => None,
        }
    }

    /// Reads the file again, where there is one; what cannot be read changes nothing.
    pub(crate) fn read_again(&self) -> Result<(), String> {
        if let Source::File(file, value) = &self.source {
            value.store(Some(Arc::new(read(file)?)));
        }
        Ok(())
    }

    /// Applies it. A value that is nowhere is an empty one, as in otelcol.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, client: Option<&ClientInfo>) -> Result<(), Refusal> {
        if self.action == ActionKind::Delete {
            headers.remove(&self.name);
            return Ok(());
        }
        let value = self.value(client)?;
        match (self.action, headers.entry(&self.name)) {
            (ActionKind::Insert | ActionKind::Upsert, Entry::Vacant(vacant)) => {
                vacant.insert(value);
            }
            (ActionKind::Update | ActionKind::Upsert, Entry::Occupied(mut occupied)) => {
                occupied.insert(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn value(&self, client: Option<&ClientInfo>) -> Result<HeaderValue, Refusal> {
        let unsendable =
            || Refusal::permanent("auth", format!("the value for header {:?} cannot be sent", self.name));
        let found = match &self.source {
            Source::Nothing => None,
            Source::Fixed(value) => Some(value.clone()),
            Source::File(_, value) => value.load().as_deref().cloned(),
            Source::Metadata(key) => {
                let mut values = client.into_iter().flat_map(|client| client.metadata(key));
                match (values.next(), values.next()) {
                    (None, _) => None,
                    (Some(value), None) => Some(secret(value).ok_or_else(unsendable)?),
                    (Some(_), Some(_)) => {
                        let count = 2 + values.count();
                        let text = format!(
                            "{count} source keys found in the context, can't determine which one to use"
                        );
                        return Err(Refusal::permanent("auth", text));
                    }
                }
            }
            Source::Attribute(key) => match client.and_then(|client| client.auth.as_ref()?.get(key)) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(secret(text).ok_or_else(unsendable)?),
                Some(other) => Some(secret(&other.to_string()).ok_or_else(unsendable)?),
            },
        };
        Ok(found.or_else(|| self.default.clone()).unwrap_or_else(|| HeaderValue::from_static("")))
    }
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn read(file: &Path) -> Result<HeaderValue, String> {
    let wrong = |reason: String| format!("value_file {}: {reason}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.len() > MAX_FILE_BYTES {
        return Err(wrong(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    secret(text).ok_or_else(|| wrong("the value cannot be sent in a header".to_owned()))
}

#[cfg(test)]
mod tests {
    use phoenix_component::auth::Identity;
    use serde_json::json;

    use super::*;

    fn header(settings: &str) -> Header {
        let settings = serde_json::from_str(settings).expect(settings);
        Header::new(&settings).expect("sendable")
    }

    #[test]
    fn each_action_does_what_it_says() {
        // (action, before, after)
        for (action, before, after) in [
            ("insert", None, Some("new")),
            ("insert", Some("old"), Some("old")),
            ("update", None, None),
            ("update", Some("old"), Some("new")),
            ("upsert", None, Some("new")),
            ("upsert", Some("old"), Some("new")),
            ("delete", Some("old"), None),
        ] {
            let header = header(&format!(r#"{{"action": "{action}", "key": "X-A", "value": "new"}}"#));
            let mut headers = HeaderMap::new();
            if let Some(before) = before {
                headers.append("x-a", before.parse().expect("a value"));
                headers.append("x-a", "another".parse().expect("a value"));
            }
            header.apply(&mut headers, None).expect("applied");
            let found = headers.get("x-a").map(|value| value.to_str().expect("text"));
            assert_eq!(found, after, "{action} {before:?}");
        }
    }

    #[test]
    fn values_come_from_the_sender() {
        let client = ClientInfo {
            metadata: vec![
                ("tenant".into(), "acme".into()),
                ("two".into(), "a".into()),
                ("two".into(), "b".into()),
            ],
            auth: Some(Arc::new(Identity::new(vec![
                ("subject".into(), json!("ann")),
                ("membership".into(), json!(["a", 1])),
                ("line".into(), json!("a\nb")),
            ]))),
            ..ClientInfo::default()
        };
        let value = |settings: &str, client: Option<&ClientInfo>| {
            let mut headers = HeaderMap::new();
            header(settings).apply(&mut headers, client)?;
            Ok::<_, Refusal>(headers["x"].to_str().expect("text").to_owned())
        };
        for (settings, expected) in [
            (r#"{"key": "x", "from_context": "Tenant"}"#, "acme"),
            (r#"{"key": "x", "from_context": "none"}"#, ""),
            (r#"{"key": "x", "from_context": "none", "default_value": "d"}"#, "d"),
            (r#"{"key": "x", "from_attribute": "subject"}"#, "ann"),
            (r#"{"key": "x", "from_attribute": "membership"}"#, r#"["a",1]"#),
            (r#"{"key": "x", "from_attribute": "none", "default_value": "d"}"#, "d"),
        ] {
            assert_eq!(value(settings, Some(&client)).as_deref(), Ok(expected), "{settings}");
        }
        let nobody = value(r#"{"key": "x", "from_attribute": "subject", "default_value": "d"}"#, None);
        assert_eq!(nobody.as_deref(), Ok("d"));
        for settings in
            [r#"{"key": "x", "from_context": "two"}"#, r#"{"key": "x", "from_attribute": "line"}"#]
        {
            let refusal = value(settings, Some(&client)).expect_err(settings);
            assert!(!refusal.is_retryable(), "{refusal}");
        }
    }
}

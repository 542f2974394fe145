//! The task `tap`: some items that go through a pipeline, with what is nobody's business taken out here, before it
//! leaves this process.

use std::time::Duration;

use phoenix_component::{Host, TapPlace, TapPoint};
use phoenix_config::PipelineId;
use phoenix_pdata::json;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Most items, and longest time to wait for them: less than a task may take.
const MAX_ITEMS: usize = 100;
const LONGEST_SECONDS: u64 = 45;
/// Bytes of items in a result.
const MAX_BYTES: usize = 512 << 10;
/// Requests that wait to be looked at; further ones are missed.
const ROOM: usize = 16;
const REDACTED: &str = "(redacted)";
/// Attributes whose name holds one of these words are taken out in any case.
const SECRETS: [&str; 9] =
    ["password", "passwd", "secret", "token", "authorization", "cookie", "api_key", "apikey", "credential"];

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// For example `traces/edge`.
    pipeline: String,
    #[serde(default = "ten")]
    items: usize,
    #[serde(default = "ten_seconds")]
    for_seconds: u64,
    #[serde(default)]
    place: Place,
    /// Names of attributes whose values are taken out; a `*` at either end stands for anything.
    #[serde(default)]
    redact: Vec<String>,
    /// Whether the bodies of log records are shown.
    #[serde(default)]
    bodies: bool,
}

fn ten() -> usize {
    10
}

fn ten_seconds() -> u64 {
    10
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    In,
    #[default]
    Out,
}

/// Waits until so many items came, or the time is over.
pub(crate) async fn run(host: &Host, payload: Value) -> Result<Value, String> {
    let asked: Asked = serde_json::from_value(payload).map_err(|error| error.to_string())?;
    if !(1..=MAX_ITEMS).contains(&asked.items) {
        return Err(format!("items must be 1 to {MAX_ITEMS}"));
    }
    if !(1..=LONGEST_SECONDS).contains(&asked.for_seconds) {
        return Err(format!("for_seconds must be 1 to {LONGEST_SECONDS}"));
    }
    let pipeline = PipelineId::parse(&asked.pipeline).map_err(|error| error.to_string())?;
    let point = TapPoint::find(&host.capabilities, &pipeline)
        .ok_or_else(|| format!("there is no pipeline {pipeline}"))?;
    let mut listening = point.listen(ROOM).ok_or("somebody else looks at this pipeline now")?;
    let until = tokio::time::Instant::now() + Duration::from_secs(asked.for_seconds);
    let wanted = if asked.place == Place::In { TapPlace::In } else { TapPlace::Out };
    let (mut items, mut bytes, mut is_full) = (Vec::new(), 0, false);
    while items.len() < asked.items && !is_full {
        let Ok(Some((place, batch))) = tokio::time::timeout_at(until, listening.next()).await else { break };
        if place != wanted {
            continue;
        }
        let mut text = Vec::new();
        json::encode(batch.signal, &batch.payload, &mut text);
        let request: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        for mut item in flat(&request) {
            redact(&mut item, &asked);
            bytes += item.to_string().len();
            is_full = bytes > MAX_BYTES;
            if items.len() == asked.items || is_full {
                break;
            }
            items.push(item);
        }
    }
    Ok(json!({"pipeline": asked.pipeline, "items": items, "cut_off": is_full}))
}

/// The items of a request, each with its resource and scope.
fn flat(request: &Value) -> Vec<Value> {
    let lists = |value: &Value| -> Vec<(String, Vec<Value>)> {
        let entries = value.as_object().into_iter().flatten();
        entries.filter_map(|(key, list)| Some((key.clone(), list.as_array()?.clone()))).collect()
    };
    let mut items = Vec::new();
    for of_resource in lists(request).into_iter().flat_map(|(_, list)| list) {
        for of_scope in lists(&of_resource).into_iter().flat_map(|(_, list)| list) {
            for (kind, list) in lists(&of_scope) {
                let whole = |item: Value| {
                    let mut whole = Map::new();
                    whole.insert("resource".to_owned(), of_resource["resource"].clone());
                    whole.insert("scope".to_owned(), of_scope["scope"].clone());
                    whole.insert(kind.trim_end_matches('s').to_owned(), item);
                    Value::Object(whole)
                };
                items.extend(list.into_iter().map(whole));
            }
        }
    }
    items
}

fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(rest), Some(_)) => name.contains(rest.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(begin)) => name.starts_with(begin),
        (None, None) => name == pattern,
    }
}

fn is_hidden(name: &str, asked: &Asked) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRETS.iter().any(|word| lower.contains(word)) || asked.redact.iter().any(|pattern| fits(pattern, name))
}

/// Takes values out, at any depth; names stay.
fn redact(value: &mut Value, asked: &Asked) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| redact(value, asked)),
        Value::Object(map) => {
            let is_attribute = map.contains_key("value");
            let name = map.get("key").and_then(Value::as_str).filter(|_| is_attribute).map(str::to_owned);
            if name.is_some_and(|name| is_hidden(&name, asked)) {
                map.insert("value".to_owned(), json!({ "stringValue": REDACTED }));
                return;
            }
            for (key, value) in map {
                if key == "body" && !asked.bodies {
                    *value = json!({ "stringValue": REDACTED });
                } else {
                    redact(value, asked);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use phoenix_component::{Batch, Tap};
    use phoenix_pdata::{InvalidUtf8, Signal};

    use super::*;

    const REQUEST: &str = r#"{"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeLogs": [{"logRecords": [
            {"body": {"stringValue": "card 4711"}, "attributes": [
                {"key": "user.email", "value": {"stringValue": "ada@example.com"}},
                {"key": "http.request.header.Authorization", "value": {"stringValue": "Bearer x"}},
                {"key": "deep", "value": {"kvlistValue": {"values": [{"key": "user.id", "value": {"intValue": "7"}}]}}},
                {"key": "level", "value": {"stringValue": "info"}}]},
            {"body": {"stringValue": "two"}}, {"body": {"stringValue": "three"}}]}]}]}"#;

    fn batch() -> Batch {
        let (payload, _) =
            json::decode(Signal::Logs, REQUEST.as_bytes(), InvalidUtf8::Pass).expect("a request");
        let bytes: Bytes = payload.into_contiguous();
        Batch::new(Signal::Logs, bytes.into(), 3)
    }

    async fn tapped(asked: Value) -> Result<Value, String> {
        let host = Host::for_tests();
        let tap = Tap::open(&host.capabilities, &PipelineId::parse("logs/x").expect("an identifier"));
        let running = run(&host, asked);
        tokio::pin!(running);
        // It listens, and then data comes: before the processors, and behind them.
        assert!(futures_util::poll!(&mut running).is_pending());
        tap.see(TapPlace::In, &batch());
        tap.see(TapPlace::Out, &batch());
        running.await
    }

    #[tokio::test(start_paused = true)]
    async fn values_that_are_nobodys_business_stay_here() {
        let asked = json!({"pipeline": "logs/x", "items": 2, "redact": ["user.*"]});
        let result = tapped(asked).await.expect("items");
        let text = result.to_string();
        assert_eq!(result["items"].as_array().map(Vec::len), Some(2), "{result}");
        for hidden in ["4711", "ada@example.com", "Bearer x", "\"7\""] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        for shown in ["shop", "info", "user.email", "user.id"] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        let asked =
            json!({"pipeline": "logs/x", "place": "in", "items": 5, "for_seconds": 1, "bodies": true});
        let result = tapped(asked).await.expect("items");
        assert_eq!(result["items"].as_array().map(Vec::len), Some(3), "what came in time");
        assert!(result.to_string().contains("card 4711"), "{result}");
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let host = Host::for_tests();
        for (asked, word) in [
            (json!({"pipeline": "logs/none"}), "no pipeline"),
            (json!({"pipeline": "nonsense"}), "nonsense"),
            (json!({"pipeline": "logs", "items": 0}), "items"),
            (json!({"pipeline": "logs", "for_seconds": 600}), "for_seconds"),
            (json!({"pipeline": "logs", "colour": 1}), "colour"),
        ] {
            let error = run(&host, asked).await.expect_err(word);
            assert!(error.contains(word), "{error}");
        }
        let names = |pattern: &str| ["user.id", "id", "user"].map(|name| fits(pattern, name));
        assert_eq!(names("user*"), [true, false, true]);
        assert_eq!(names("*id"), [true, true, false]);
        assert_eq!(names("*er.*"), [true, false, false]);
        assert_eq!(names("id"), [false, true, false]);
    }
}

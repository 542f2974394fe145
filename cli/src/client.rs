//! The REST API, one request at a time.

use std::time::Duration;

use anyhow::Context as _;
use http::{Method, Request};
use serde_json::Value;

use crate::credentials::Credentials;

/// Longest that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is read.
const MAX_ANSWER: u64 = 64 << 20;
/// Items that are asked for at once.
const PAGE: usize = 500;

/// The service refused; what it said, for people.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Refused {
    pub(crate) status: u16,
    text: String,
}

/// The service, and who asks it.
pub(crate) struct Client {
    agent: ureq::Agent,
    pub(crate) server: String,
    token: String,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// What to send as `If-Match`.
    pub(crate) etag: String,
}

impl Client {
    /// The service of the login, or of the environment.
    pub(crate) fn connect(server: Option<&str>) -> anyhow::Result<Client> {
        let known = Credentials::load(server)?;
        Client::new(&known.server, &known.token)
    }

    /// A service at `server`.
    pub(crate) fn new(server: &str, token: &str) -> anyhow::Result<Client> {
        let server = server.trim_end_matches('/').trim_end_matches("/api/v1").to_owned();
        let is_url = server.strip_prefix("http://").or_else(|| server.strip_prefix("https://"));
        anyhow::ensure!(
            is_url.is_some_and(|rest| !rest.is_empty()),
            "{server:?} is no URL of a service; it looks like http://localhost:8080"
        );
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("phoenix/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Client { agent, server, token: token.to_owned() })
    }

    fn send(&self, method: &Method, path: &str, etag: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let url = format!("{}/api/v1{path}", self.server);
        let mut request = Request::builder().method(method.clone()).uri(&url);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if !etag.is_empty() {
            request = request.header("if-match", etag);
        }
        let unreachable = || format!("no control service answers at {}", self.server);
        let answer = match (body, method) {
            (Some(body), _) => {
                let request = request.header("content-type", "application/json").body(body.to_string())?;
                self.agent.run(request).with_context(unreachable)?
            }
            (None, &Method::POST) => {
                self.agent.run(request.body(String::new())?).with_context(unreachable)?
            }
            (None, _) => self.agent.run(request.body(())?).with_context(unreachable)?,
        };
        let (head, body) = answer.into_parts();
        let text = body.into_with_config().limit(MAX_ANSWER).read_to_string().with_context(unreachable)?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if !head.status.is_success() {
            let text = refusal(head.status.as_u16(), &body);
            return Err(Refused { status: head.status.as_u16(), text }.into());
        }
        let etag = head.headers.get("etag").and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Answer { body, etag: etag.to_owned() })
    }

    /// Reads.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.read(path)?.body)
    }

    /// Reads, with the tag of what was read.
    pub(crate) fn read(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(&Method::GET, path, "", None)
    }

    /// Asks for something to be made or done.
    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        Ok(self.send(&Method::POST, path, "", Some(body))?.body)
    }

    /// Asks for something to be done that needs no words.
    pub(crate) fn order(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.send(&Method::POST, path, "", None)?.body)
    }

    /// Changes what was read with `etag`.
    pub(crate) fn change(
        &self,
        method: Method,
        path: &str,
        etag: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        Ok(self.send(&method, path, etag, Some(body))?.body)
    }

    /// Removes what was seen with this ETag.
    pub(crate) fn remove(&self, path: &str, etag: &str) -> anyhow::Result<()> {
        self.send(&Method::DELETE, path, etag, None).map(drop)
    }

    /// Removes.
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.send(&Method::DELETE, path, "", None).map(|_| ())
    }

    /// Every item of a list.
    pub(crate) fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{separator}limit={PAGE}{cursor}"))?;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", escape(next)),
                None => return Ok(items),
            }
        }
    }

    /// The one item of a list that has this name or identifier.
    pub(crate) fn find(&self, what: &str, path: &str, name: &str) -> anyhow::Result<Value> {
        let items = self.list(path)?;
        let mut found: Vec<&Value> = items.iter().filter(|item| item["id"] == name).collect();
        if found.is_empty() {
            found = items.iter().filter(|item| item["name"] == name).collect();
        }
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let names = items.iter().filter_map(|item| item["name"].as_str());
                let near = phoenix_config::nearest(name, names).map(str::to_owned);
                let help = near.map(|near| format!("; is it {near:?}?")).unwrap_or_default();
                anyhow::bail!("there is no {what} {name:?}{help}")
            }
            several => {
                anyhow::bail!("{} are named {name:?}; name one by its identifier", several.len())
            }
        }
    }
}

/// A text as part of a URL.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte as char),
            other => escaped += &format!("%{other:02X}"),
        }
    }
    escaped
}

/// What a problem says, with each field on a line of its own.
fn refusal(status: u16, problem: &Value) -> String {
    let mut text = match problem["detail"].as_str().or_else(|| problem["title"].as_str()) {
        Some(said) => said.to_owned(),
        None => format!("the service answered with status {status}"),
    };
    if status == 401 {
        text += "; log in with `phoenix login`";
    }
    for error in problem["errors"].as_array().into_iter().flatten() {
        text += &format!("\n  {}", finding(error));
    }
    text
}

/// A mistake at a field, or in a configuration with line and column.
pub(crate) fn finding(error: &Value) -> String {
    let told = |key: &str| error[key].as_str().unwrap_or_default();
    let place = match (error["line"].as_i64(), error["column"].as_i64()) {
        (Some(line), Some(column)) => {
            let source = error["source"].as_str().map(|source| format!("{source}:")).unwrap_or_default();
            format!("{source}{line}:{column}: ")
        }
        _ => String::new(),
    };
    let help = error["help"].as_str().filter(|help| !help.is_empty());
    let help = help.map(|help| format!(" (help: {help})")).unwrap_or_default();
    format!("{place}{}: {}{help}", told("field"), told("message"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_name_every_field() {
        let problem = json!({"detail": "the request is not valid", "errors": [
            {"field": "name", "message": "must not be empty"},
            {"field": "receivers::x", "message": "unknown", "line": 3, "column": 5, "help": "is it otlp?"},
        ]});
        assert_eq!(
            refusal(422, &problem),
            "the request is not valid\n  name: must not be empty\n  3:5: receivers::x: unknown (help: is it otlp?)"
        );
        assert!(refusal(401, &Value::Null).contains("phoenix login"));
        assert_eq!(escape("a b/c~"), "a%20b%2Fc~");
    }

    #[test]
    fn what_is_no_url_is_said_to_be_none() {
        assert!(Client::new("localhost:8080", "").is_err());
        assert_eq!(Client::new("http://x:1/api/v1/", "").expect("a URL").server, "http://x:1");
    }
}

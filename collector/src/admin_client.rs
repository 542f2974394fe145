//! A small client of a collector's administration: one request over a Unix socket or loopback.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use phoenix_component::AdminEndpoint;
use serde::Serialize;
use serde_json::Value;

/// Names the endpoint where no flag does.
pub(crate) const ENDPOINT_VARIABLE: &str = "PHOENIX_ADMIN";
/// Holds the token for loopback.
pub(crate) const TOKEN_VARIABLE: &str = "PHOENIX_ADMIN_TOKEN";
/// The largest answer that is read.
const MAX_ANSWER: u64 = 256 << 20;
/// Longer than the longest that a change takes.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Nobody answers there.
#[derive(Debug, thiserror::Error)]
#[error(
    "no collector answers on {endpoint}: {why}\nhelp: add the `admin` extension to its configuration, or name its endpoint with --admin or {ENDPOINT_VARIABLE}"
)]
pub(crate) struct Unreachable {
    endpoint: String,
    why: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// The code and the message of an error.
    pub(crate) fn error(&self) -> (String, String) {
        let json = self.json();
        let text = |key: &str| json["error"][key].as_str().map(str::to_owned);
        let message =
            text("message").unwrap_or_else(|| format!("the collector answered with status {}", self.status));
        (text("code").unwrap_or_default(), message)
    }
}

/// Sends one request.
pub(crate) fn ask(
    endpoint: Option<&str>,
    method: &str,
    path: &str,
    body: Option<&impl Serialize>,
) -> anyhow::Result<Answer> {
    let variable = std::env::var(ENDPOINT_VARIABLE).ok().filter(|value| !value.is_empty());
    let endpoint = endpoint.or(variable.as_deref()).unwrap_or(AdminEndpoint::DEFAULT);
    let unreachable = |why: String| anyhow::Error::new(Unreachable { endpoint: endpoint.to_owned(), why });
    let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    let token = std::env::var(TOKEN_VARIABLE).unwrap_or_default();
    anyhow::ensure!(!token.contains(['\r', '\n']), "{TOKEN_VARIABLE} has more than one line");
    let (host, authorization) = match AdminEndpoint::parse(endpoint).map_err(anyhow::Error::msg)? {
        AdminEndpoint::Unix(_) => ("localhost".to_owned(), String::new()),
        AdminEndpoint::Loopback(host) if token.is_empty() => (host, String::new()),
        AdminEndpoint::Loopback(host) => (host, format!("authorization: Bearer {token}\r\n")),
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{authorization}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let exchange = |stream: &mut (dyn ReadWrite + '_)| -> std::io::Result<Vec<u8>> {
        stream.write_all(head.as_bytes())?;
        // A server that refuses may answer before it has read everything.
        let sent = stream.write_all(&body);
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).or(sent.map(|()| 0))?;
        Ok(answer)
    };
    let answer = match AdminEndpoint::parse(endpoint).map_err(anyhow::Error::msg)? {
        AdminEndpoint::Unix(path) => {
            trusted(&path).map_err(&unreachable)?;
            let mut stream = UnixStream::connect(path).map_err(|error| unreachable(error.to_string()))?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            exchange(&mut stream)
        }
        AdminEndpoint::Loopback(address) => {
            let mut stream = TcpStream::connect(address).map_err(|error| unreachable(error.to_string()))?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            exchange(&mut stream)
        }
    };
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    parse(&answer).ok_or_else(|| unreachable("what answers there is no collector".to_owned()))
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A socket of another user than oneself and root may be anybody's: it is not told anything.
fn trusted(path: &Path) -> Result<(), String> {
    let owner = std::fs::metadata(path).map_err(|error| error.to_string())?.uid();
    let own = std::fs::metadata("/proc/self").map(|own| own.uid()).unwrap_or_default();
    // Root may ask anybody's collector.
    match owner == 0 || own == 0 || owner == own {
        true => Ok(()),
        false => Err(format!("the socket belongs to user {owner}; run this as that user or as root")),
    }
}

/// The status and the body of an answer that ends with its connection.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: answer[end + 4..].to_vec() })
}

//! A real service on free ports, and a plain client.

use phoenix_control::serve::{self, Options, Running};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const GOOD: &str = "receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:0'}}}}\nexporters: {debug: {}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";

pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) running: Running,
    pub(crate) key: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    }
}

pub(crate) fn options(folder: &std::path::Path) -> Options {
    Options {
        database: format!("sqlite:{}", folder.join("control.db").display()),
        listen: "127.0.0.1:0".to_owned(),
        opamp_listen: "127.0.0.1:0".to_owned(),
        heartbeat_seconds: 1,
        requests_per_second: 1000,
    }
}

impl Rig {
    pub(crate) async fn start() -> Rig {
        let folder = tempfile::tempdir().expect("made");
        let running = serve::start(&options(folder.path())).await.expect("started");
        let key = running.first_key.clone().expect("the first start makes a key");
        Rig { folder, running, key }
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// Stops the service and starts it again over the same database, at the same address for agents.
    pub(crate) async fn restart(self) -> Rig {
        let Rig { folder, running, key } = self;
        let opamp = running.opamp.to_string();
        running.stop().await;
        let options = Options { opamp_listen: opamp, ..options(folder.path()) };
        let running = serve::start(&options).await.expect("started");
        assert!(running.first_key.is_none(), "only the very first start makes a key");
        Rig { folder, running, key }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &self.key, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path, &self.key, &[], Some(body)).await
    }

    /// The identifier of the first version of a new configuration.
    pub(crate) async fn version(&self, name: &str, text: &str) -> String {
        let made = self.post("/configurations", serde_json::json!({"name": name})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        self.next_version(made.body["id"].as_str().expect("an id"), text).await
    }

    pub(crate) async fn next_version(&self, configuration: &str, text: &str) -> String {
        let path = format!("/configurations/{configuration}/versions");
        let added = self.post(&path, serde_json::json!({"text": text, "message": "test"})).await;
        assert_eq!(added.status, 201, "{}", added.body);
        added.body["version"]["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn raw(&self, path: &str, body: &[u8], content_type: &str) -> Answer {
        let headers = [("content-type", content_type)];
        self.exchange("POST", path, &self.key, &headers, Some(body)).await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let body = body.map(|body| body.to_string());
        let mut all = headers.to_vec();
        if body.is_some() {
            all.push(("content-type", "application/json"));
        }
        self.exchange(method, path, token, &all, body.as_ref().map(String::as_bytes)).await
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let mut head = format!("{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        if !token.is_empty() {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let body = body.unwrap_or_default();
        head += &format!("content-length: {}\r\n\r\n", body.len());
        let mut stream = tokio::net::TcpStream::connect(self.running.api).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("written");
        // A body that is too long may be refused before it is read to its end.
        let _ = stream.write_all(body).await;
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
        let text = String::from_utf8(read).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.as_str(), ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap_or_default() }
    }
}

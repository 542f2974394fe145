//! A real service on free ports, and a plain client.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use phoenix_control::serve::{self, Options, Running};
use phoenix_control::store::Pooling;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const GOOD: &str = "receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:0'}}}}\nexporters: {debug: {}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";

/// What follows the path of each request.
const REST: &str = "HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";

pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) api: SocketAddr,
    pub(crate) opamp: SocketAddr,
    pub(crate) key: String,
    service: Service,
}

enum Service {
    /// In the test's own process.
    Inside(Running),
    /// A process of its own over a database, which can be killed.
    Process(Process, String),
}

/// Killed at once when it is let go.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
        pooling: Pooling::default(),
        listen: "127.0.0.1:0".to_owned(),
        opamp_listen: "127.0.0.1:0".to_owned(),
        heartbeat_seconds: 1,
        requests_per_second: 1000,
        ..Options::default()
    }
}

/// The URL of a new database in PostgreSQL; none where no server is named.
#[expect(clippy::print_stderr, reason = "says that it is skipped")]
pub(crate) async fn new_database() -> Option<String> {
    let Ok(server) = std::env::var("PHOENIX_TEST_POSTGRES") else {
        eprintln!("skipped: PHOENIX_TEST_POSTGRES names no server (.ci/with-postgres starts one)");
        return None;
    };
    // A name that no other test has.
    let name = format!("control_{}_{}", std::process::id(), free_address().port());
    on_server(&server, &format!("CREATE DATABASE {name}")).await;
    let base = server.rsplit_once('/').expect("names a database").0;
    Some(format!("{base}/{name}"))
}

/// Runs statements on the server of PostgreSQL itself.
pub(crate) async fn on_server(server: &str, statements: &str) {
    let (client, connection) =
        tokio_postgres::connect(server, tokio_postgres::NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client.batch_execute(statements).await.expect("done");
}

/// An address that nobody listens at, below the ports that systems give to outgoing connections: one of those must not
/// take it while what listens there starts again.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::random_range(10_000..32_000)));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Starts the binary, and returns once it says where it is.
fn spawn(
    folder: &std::path::Path,
    database: &str,
    [api, opamp]: [SocketAddr; 2],
    arguments: &[&str],
    is_first: bool,
) -> (Process, String) {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("control.log"));
    let child = Command::new(env!("CARGO_BIN_EXE_phoenix-control"))
        .args(["serve", "--heartbeat-seconds=1", "--requests-per-second=1000"])
        .arg(format!("--database={database}"))
        .arg(format!("--listen={api}"))
        .arg(format!("--opamp-listen={opamp}"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.expect("made"))
        .spawn()
        .expect("started");
    let mut process = Process(child);
    let mut greeting = String::new();
    let mut out = BufReader::new(process.0.stdout.take().expect("piped"));
    loop {
        let before = greeting.len();
        if out.read_line(&mut greeting).expect("read") == 0 {
            let log = std::fs::read_to_string(folder.join("control.log")).unwrap_or_default();
            panic!("it ended: {greeting}\n{log}");
        }
        let line = greeting[before..].trim();
        // The last line is the key, the first time, and the address for agents else.
        if line.starts_with("phx_key_") || (!is_first && line.starts_with("OpAMP:")) {
            return (process, greeting);
        }
    }
}

impl Rig {
    pub(crate) async fn start() -> Rig {
        let folder = tempfile::tempdir().expect("made");
        let options = options(folder.path());
        Rig::start_with(folder, &options).await
    }

    /// Lets one client ask as much as it likes.
    pub(crate) async fn start_fast() -> Rig {
        let folder = tempfile::tempdir().expect("made");
        let options = Options { requests_per_second: 1_000_000, ..options(folder.path()) };
        Rig::start_with(folder, &options).await
    }

    pub(crate) async fn start_with(folder: tempfile::TempDir, options: &Options) -> Rig {
        let running = serve::start(options).await.expect("started");
        let key = running.first_key.clone().expect("the first start makes a key");
        Rig::of(running, folder, key)
    }

    /// Starts two instances over a new database in PostgreSQL; none where no server is named.
    pub(crate) async fn start_two() -> Option<(Rig, Rig)> {
        let database = new_database().await?;
        let folder = tempfile::tempdir().expect("made");
        let options = Options { database, ..options(folder.path()) };
        let first = serve::start(&options).await.expect("started");
        let key = first.first_key.clone().expect("the first start makes a key");
        let second = serve::start(&options).await.expect("started");
        assert!(second.first_key.is_none(), "there is a key");
        let other = tempfile::tempdir().expect("made");
        Some((Rig::of(first, folder, key.clone()), Rig::of(second, other, key)))
    }

    /// A service that runs already.
    pub(crate) fn of(running: Running, folder: tempfile::TempDir, key: String) -> Rig {
        let (api, opamp) = (running.api, running.opamp);
        Rig { folder, api, opamp, key, service: Service::Inside(running) }
    }

    /// Starts the service as a process of its own; over SQLite where no database is named.
    pub(crate) fn start_process(database: Option<String>) -> Rig {
        Rig::start_process_with(database, &[])
    }

    /// The same with further arguments.
    pub(crate) fn start_process_with(database: Option<String>, arguments: &[&str]) -> Rig {
        let folder = tempfile::tempdir().expect("made");
        let database = database.unwrap_or_else(|| options(folder.path()).database);
        let (api, opamp) = (free_address(), free_address());
        let (process, greeting) = spawn(folder.path(), &database, [api, opamp], arguments, true);
        let key = greeting.lines().map(str::trim).find(|line| line.starts_with("phx_key_"));
        let key = key.expect("the first start makes a key").to_owned();
        Rig { folder, api, opamp, key, service: Service::Process(process, database) }
    }

    /// What a process of the service has written to its log so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("control.log")).unwrap_or_default()
    }

    pub(crate) async fn stop(self) {
        if let Service::Inside(running) = self.service {
            running.stop().await;
        }
    }

    /// The folder by itself, for what outlives the service.
    pub(crate) fn without_folder(mut self) -> (Rig, tempfile::TempDir) {
        let other = tempfile::tempdir().expect("made");
        let folder = std::mem::replace(&mut self.folder, other);
        (self, folder)
    }

    /// Stops the service (a process is killed at once) and starts it again over the same database, at the same address
    /// for agents.
    pub(crate) async fn restart(self) -> Rig {
        let Rig { folder, api, opamp, key, service } = self;
        match service {
            Service::Process(process, database) => {
                drop(process);
                let (process, greeting) = spawn(folder.path(), &database, [api, opamp], &[], false);
                assert!(!greeting.contains("phx_key_"), "only the very first start makes a key");
                Rig { folder, api, opamp, key, service: Service::Process(process, database) }
            }
            Service::Inside(running) => {
                running.stop().await;
                let options = Options { opamp_listen: opamp.to_string(), ..options(folder.path()) };
                let running = serve::start(&options).await.expect("started");
                assert!(running.first_key.is_none(), "only the very first start makes a key");
                Rig { folder, api: running.api, opamp, key, service: Service::Inside(running) }
            }
        }
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
        let mut head = format!("{method} /api/v1{path} {REST}");
        if !token.is_empty() {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let body = body.unwrap_or_default();
        head += &format!("content-length: {}\r\n\r\n", body.len());
        let (head, body) = self.send(&head, body).await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head, body: serde_json::from_str(&body).unwrap_or_default() }
    }

    /// Head and text of what is served beside the API.
    pub(crate) async fn outside(&self, path: &str) -> (String, String) {
        self.send(&format!("GET {path} {REST}\r\n"), &[]).await
    }

    async fn send(&self, head: &str, body: &[u8]) -> (String, String) {
        let mut stream = tokio::net::TcpStream::connect(self.api).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("written");
        // A body that is too long may be refused before it is read to its end.
        let _ = stream.write_all(body).await;
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
        let text = String::from_utf8(read).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.as_str(), ""));
        (head.to_owned(), body.to_owned())
    }
}

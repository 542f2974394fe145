//! Collectors under load are driven through many remote changes, one over each transport, while the service and its
//! database are killed: what was acknowledged is delivered once, and each ends on a configuration that somebody chose.
//!
//! The test command makes a few changes; `PHOENIX_TEST_CHANGES=200` is the long form (`make changes`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::collector::{Collector, base, free_port, until};
use crate::rig::{Answer, Rig, new_database, on_server};

const TRANSPORTS: [&str; 3] = ["ws", "http", "long_poll"];

/// How a change is meant to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Everybody applies it.
    Good,
    /// It has a mistake, and is refused before anybody hears of it.
    Invalid,
    /// It is right, and cannot be started where it is to run.
    CannotStart,
    /// It starts, and what it leads to does not work.
    Unhealthy,
    /// Somebody takes it back while it goes on.
    TakenBack,
    /// Good, and the service is killed meanwhile.
    ServiceKilled,
    /// Good, and the connections to the database are cut meanwhile, and no new ones are let in for a while.
    DatabaseAway,
}

impl Kind {
    fn of(number: usize) -> Kind {
        match number % 10 {
            2 => Kind::Unhealthy,
            3 => Kind::Invalid,
            4 => Kind::TakenBack,
            5 => Kind::ServiceKilled,
            6 => Kind::CannotStart,
            8 => Kind::DatabaseAway,
            _ => Kind::Good,
        }
    }
}

/// The configuration of a change, which each agent knows by its number.
fn text(number: usize, kind: Kind) -> String {
    let batch = if number.is_multiple_of(3) { ", batch" } else { "" };
    let mut receivers = "otlp: {protocols: {http: {endpoint: '${env:LISTEN}'}}}".to_owned();
    let (mut exporters, mut to) = ("file: {path: '${env:SINK}'}".to_owned(), "file");
    let mut from = "otlp";
    match kind {
        Kind::Invalid => exporters += ", nope: {}",
        Kind::CannotStart => {
            receivers += ", otlp/taken: {protocols: {http: {endpoint: '${env:TAKEN}'}}}";
            from = "otlp, otlp/taken";
        }
        Kind::Unhealthy => {
            exporters +=
                ", otlp_http/dead: {endpoint: 'http://127.0.0.1:1', sending_queue: {queue_size: 100000}}";
            to = "file, otlp_http/dead";
        }
        _ => {}
    }
    format!(
        "receivers: {{{receivers}}}
processors:
  attributes: {{actions: [{{key: change, action: upsert, value: 'change-{number}.'}}]}}
  batch: {{timeout: 20ms}}
exporters: {{{exporters}}}
service:
  pipelines: {{logs: {{receivers: [{from}], processors: [attributes{batch}], exporters: [{to}]}}}}
"
    )
}

/// The number of the change that a text is of.
fn number_of(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once("change-")?;
    rest.split_once('.')?.0.parse().ok()
}

/// What a client saw.
#[derive(Default)]
struct Seen {
    acknowledged: BTreeSet<u64>,
    refused: u64,
    broken: Vec<String>,
}

/// Sends one record after the other over one connection, each until it is acknowledged.
async fn load(port: u16, stop: CancellationToken) -> Seen {
    let mut seen = Seen::default();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    let mut stream = BufReader::new(stream);
    let mut pace = tokio::time::interval(Duration::from_millis(4));
    let mut number = 0;
    while !stop.is_cancelled() {
        pace.tick().await;
        match send(&mut stream, number).await {
            Ok(200) => {
                seen.acknowledged.insert(number);
                number += 1;
            }
            Ok(429 | 503) => seen.refused += 1,
            Ok(status) => seen.broken.push(format!("{number}: {status}")),
            Err(error) => {
                seen.broken.push(format!("{number}: {error}"));
                return seen;
            }
        }
    }
    seen
}

async fn send(stream: &mut BufReader<TcpStream>, number: u64) -> std::io::Result<u16> {
    let record = json!({"body": {"intValue": number.to_string()}});
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all((head + &body).as_bytes()).await?;
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        if status == 0 {
            status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    Ok(status)
}

/// How often each record came.
fn delivered(sink: &Path) -> BTreeMap<u64, usize> {
    let text = std::fs::read_to_string(sink).expect("read");
    let mut found = BTreeMap::new();
    for part in text.split("\"intValue\":\"").skip(1) {
        let number = part.split('"').next().and_then(|number| number.parse().ok()).expect("a number");
        *found.entry(number).or_default() += 1;
    }
    found
}

/// A collector, and who sends to it.
struct Driven {
    id: String,
    over: &'static str,
    config: PathBuf,
    sink: PathBuf,
    port: u16,
    _collector: Collector,
}

impl Driven {
    async fn start(rig: &Rig, over: &'static str, token: &str, taken: u16) -> Driven {
        let (port, folder) = (free_port(), rig.folder.path());
        let (config, sink) = (folder.join(format!("{over}.yaml")), folder.join(format!("{over}.json")));
        let text = base(rig, over, token).replace("grace_period: 500ms", "grace_period: 250ms");
        std::fs::write(&config, text.replace("zone: z1", &format!("zone: z1, over: {over}")))
            .expect("written");
        let log = std::fs::File::create(config.with_extension("log")).expect("made");
        let collector = Command::new(env!("CARGO_BIN_EXE_phoenix-control"))
            .args(["collector", "--config"])
            .arg(&config)
            .env("LISTEN", format!("127.0.0.1:{port}"))
            .env("TAKEN", format!("127.0.0.1:{taken}"))
            .env("SINK", &sink)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("started");
        let is_it = |agent: &Value| agent["labels"]["over"] == over;
        let agents = until(rig, "/agents", &config, |agents| {
            agents["items"].as_array().is_some_and(|items| items.iter().any(is_it))
        })
        .await;
        let mut items = agents["items"].as_array().into_iter().flatten();
        let id = items.find(|agent| is_it(agent)).and_then(|agent| agent["id"].as_str()).expect("an id");
        Driven { id: id.to_owned(), over, config, sink, port, _collector: Collector(collector) }
    }

    fn path(&self) -> String {
        format!("/agents/{}", self.id)
    }

    /// Waits until it runs what was chosen last, whole: and what its own file says goes on.
    async fn runs(&self, rig: &Rig, live: usize, hash: &str) {
        let told = until(rig, &self.path(), &self.config, |told| {
            told["reported_hash"] == hash
                && told["reported_status"] == "applied"
                && told["effective_config"].as_str().and_then(number_of) == Some(live)
        })
        .await;
        let effective = told["effective_config"].as_str().unwrap_or_default();
        assert!(effective.contains("traces/base"), "{}: {effective}", self.over);
    }
}

/// The service, and what was chosen.
struct Driver {
    rig: Rig,
    configuration: String,
    group: String,
    live: usize,
    live_version: i64,
    /// Statements go here that cut the connections to a database.
    server: Option<(String, String)>,
}

impl Driver {
    /// Asks until there is an answer that is no excuse.
    async fn insist(&self, path: &str, body: &Value) -> Answer {
        let key = format!("{path} {body}")
            .bytes()
            .fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        loop {
            let key = key.to_string();
            let headers = [("idempotency-key", key.as_str())];
            let answer = self.rig.request("POST", path, &self.rig.key, &headers, Some(body.clone())).await;
            if answer.status != 503 && answer.status != 0 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn change(mut self, number: usize) -> (Driver, Kind) {
        let kind = Kind::of(number);
        let versions = format!("/configurations/{}/versions", self.configuration);
        let new = json!({"text": text(number, kind), "message": format!("change {number}: {kind:?}")});
        let added = self.insist(&versions, &new).await;
        if kind == Kind::Invalid {
            assert_eq!(added.status, 422, "{}", added.body);
            assert!(added.body["errors"][0]["line"].is_number(), "{}", added.body);
            return (self, kind);
        }
        assert_eq!(added.status, 201, "{}", added.body);
        let version = &added.body["version"];
        let stages = match kind {
            Kind::TakenBack => json!([{"percent": 40, "soak_seconds": 600}, {"percent": 100}]),
            _ => json!([{"percent": 100}]),
        };
        let gates = json!({"patience_seconds": 60});
        let new =
            json!({"group_id": self.group, "version_id": version["id"], "stages": stages, "gates": gates});
        let started = self.insist("/rollouts", &new).await;
        assert_eq!(started.status, 202, "change {number}: {}", started.body);
        let rollout = format!("/rollouts/{}", started.body["id"].as_str().expect("an id"));
        match kind {
            Kind::TakenBack => {
                let order = self.insist(&format!("{rollout}/orders"), &json!({"order": "roll_back"})).await;
                assert_eq!(order.status, 200, "{}", order.body);
            }
            Kind::ServiceKilled => self.rig = self.rig.restart().await,
            Kind::DatabaseAway => self.cut_database().await,
            _ => {}
        }
        let ended = |told: &Value| ["succeeded", "rolled_back"].iter().any(|state| told["state"] == *state);
        let told = self.rig.until(&rollout, ended).await;
        let expected = match kind {
            Kind::CannotStart | Kind::Unhealthy | Kind::TakenBack => "rolled_back",
            _ => "succeeded",
        };
        assert_eq!(told["state"], expected, "change {number}, {kind:?}: {told}");
        if expected == "succeeded" {
            (self.live, self.live_version) = (number, version["number"].as_i64().expect("a number"));
        }
        (self, kind)
    }

    /// Ends every connection to the database and lets none in for a while.
    async fn cut_database(&self) {
        let Some((server, name)) = &self.server else { return };
        let cut = format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        on_server(server, &cut).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        on_server(server, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    }

    async fn live_hash(&self) -> String {
        let path = format!("/configurations/{}/versions/{}/effective", self.configuration, self.live_version);
        let told = self.rig.until(&path, |told| told["offer_hash"].is_string()).await;
        told["offer_hash"].as_str().expect("a hash").to_owned()
    }
}

fn changes() -> usize {
    let asked = std::env::var("PHOENIX_TEST_CHANGES").ok();
    asked.map_or(11, |count| count.parse().expect("PHOENIX_TEST_CHANGES is a number"))
}

#[expect(clippy::print_stderr, reason = "says how far it went")]
async fn drive(database: Option<String>) {
    let begun = std::time::Instant::now();
    let server = database.as_ref().map(|url| {
        let server = std::env::var("PHOENIX_TEST_POSTGRES").expect("it made the database");
        (server, url.rsplit_once('/').expect("a name").1.to_owned())
    });
    let rig = Rig::start_process(database);
    let token = rig.post("/enrolment-tokens", json!({"name": "test"})).await.body;
    let token = token["token"].as_str().expect("a token").to_owned();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let taken_port = taken.local_addr().expect("an address").port();
    let mut driven = Vec::new();
    for over in TRANSPORTS {
        driven.push(Driven::start(&rig, over, &token, taken_port).await);
    }
    let group = rig.post("/groups", json!({"name": "all", "selector": "zone=z1"})).await.body;
    let made = rig.post("/configurations", json!({"name": "edge"})).await.body;
    let id = |body: &Value| body["id"].as_str().expect("an id").to_owned();
    let (configuration, group) = (id(&made), id(&group));
    let mut driver = Driver { rig, configuration, group, live: 0, live_version: 0, server };

    let (mut kinds, stop) = (BTreeMap::<String, usize>::new(), CancellationToken::new());
    let mut loads = Vec::new();
    for number in 1..=changes() {
        let (after, kind) = driver.change(number).await;
        driver = after;
        *kinds.entry(format!("{kind:?}")).or_default() += 1;
        if loads.is_empty() {
            // From the first configuration on, which opened the port.
            loads.extend(driven.iter().map(|one| tokio::spawn(load(one.port, stop.clone()))));
        }
        if number % 10 == 0 {
            let hash = driver.live_hash().await;
            for one in &driven {
                one.runs(&driver.rig, driver.live, &hash).await;
            }
        }
    }
    let hash = driver.live_hash().await;
    for one in &driven {
        one.runs(&driver.rig, driver.live, &hash).await;
    }
    stop.cancel();
    let mut sent = Vec::new();
    for (load, one) in loads.into_iter().zip(&driven) {
        let seen = load.await.expect("no panic");
        assert!(seen.broken.is_empty(), "{}: {:?}", one.over, seen.broken);
        sent.push(seen);
    }
    for (seen, one) in sent.iter().zip(&driven) {
        books(&driver.rig, one).await;
        let came = delivered(&one.sink);
        let missing: Vec<_> = seen.acknowledged.iter().filter(|id| !came.contains_key(id)).collect();
        let doubled: Vec<_> = came.iter().filter(|(_, count)| **count > 1).collect();
        assert!(missing.is_empty(), "{}: acknowledged and not delivered: {missing:?}", one.over);
        assert!(doubled.is_empty(), "{}: delivered twice: {doubled:?}", one.over);
        assert!(seen.acknowledged.len() > 10 * kinds.len(), "load ran all along");
        eprintln!("{}: {} acknowledged, {} refused", one.over, seen.acknowledged.len(), seen.refused);
    }
    assert_eq!(driver.rig.get("/audit/verification").await.body["intact"], true);
    eprintln!("{kinds:?} in {:.1} s", begun.elapsed().as_secs_f64());
}

/// Holds the accounting equation for each component of a collector that has come to rest.
async fn books(rig: &Rig, one: &Driven) {
    let mut last = Value::Null;
    for _ in 0..20 {
        let asked = json!({"kind": "diagnostics", "payload": {"only": "health"}});
        let task = rig.post(&format!("{}/tasks", one.path()), asked).await.body;
        let task = format!("/tasks/{}", task["id"].as_str().expect("an id"));
        let done = until(rig, &task, &one.config, |task| task["state"] == "done").await;
        last = done["result"]["books"].clone();
        let books = last.as_array().expect("books");
        assert!(!books.is_empty(), "{done}");
        if books.iter().all(|book| book["imbalance"] == 0 && book["held"] == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}: the books do not balance: {last}", one.over);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collectors_under_load_end_on_what_was_chosen() {
    drive(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_over_a_database_that_is_cut_off() {
    if let Some(database) = new_database().await {
        drive(Some(database)).await;
    }
}

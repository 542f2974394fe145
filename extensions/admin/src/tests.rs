use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use phoenix_component::harness::assert_example_is_valid;
use phoenix_component::*;
use phoenix_config::Opaque;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::*;

/// A collector that plans and applies as it is told.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<(ConfigRequest, ApplyConditions)>>,
    fails: Mutex<Option<ChangeError>>,
    level: Mutex<Option<(LogLevel, Duration)>>,
}

fn plan() -> PlanAnswer {
    let key = ComponentKey {
        kind: phoenix_config::Kind::Exporter,
        id: phoenix_config::ComponentId::parse("otlp").expect("an id"),
        scope: "traces".into(),
    };
    let changes = Changes { added: vec![key], ..Changes::default() };
    PlanAnswer {
        changes,
        loses_state: false,
        warnings: Vec::new(),
        running: "one".into(),
        proposed: "two".into(),
    }
}

impl Fake {
    fn outcome(&self) -> Result<PlanAnswer, ChangeError> {
        self.fails.lock().expect("fine").clone().map_or_else(|| Ok(plan()), Err)
    }
}

impl Collector for Fake {
    fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn pipelines(&self) -> Vec<PipelineStatus> {
        Vec::new()
    }

    fn effective_config(&self) -> EffectiveConfig {
        EffectiveConfig { yaml: "a: 1\n".into(), json: "{\"a\":1}\n".into(), ..EffectiveConfig::default() }
    }

    fn books(&self) -> BoxFuture<'_, Vec<ComponentBook>> {
        Box::pin(async { Vec::new() })
    }

    fn feature_gates(&self) -> Vec<FeatureGate> {
        Vec::new()
    }

    fn plan(&self, request: ConfigRequest) -> BoxFuture<'_, Result<PlanAnswer, ChangeError>> {
        self.asked.lock().expect("fine").push((request, ApplyConditions::default()));
        Box::pin(async { self.outcome() })
    }

    fn apply(
        &self,
        request: ConfigRequest,
        conditions: ApplyConditions,
        _: Duration,
    ) -> BoxFuture<'_, Result<ApplyAnswer, ChangeError>> {
        self.asked.lock().expect("fine").push((request, conditions));
        Box::pin(async {
            Ok(ApplyAnswer {
                plan: self.outcome()?,
                drain: DrainState::Done(DrainReport::default()),
                unhealthy: Vec::new(),
            })
        })
    }

    fn log_level(&self) -> LogLevelState {
        let level = *self.level.lock().expect("fine");
        LogLevelState {
            level: level.map_or(LogLevel::Info, |(level, _)| level),
            configured: LogLevel::Info,
            reverts_in_seconds: level.map(|(_, time)| time.as_secs()),
        }
    }

    fn set_log_level(&self, level: Option<(LogLevel, Duration)>) -> LogLevelState {
        *self.level.lock().expect("fine") = level;
        self.log_level()
    }
}

struct Rig {
    host: Host,
    fake: Arc<Fake>,
    admin: Admin,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn start(set: impl FnOnce(&mut AdminConfig)) -> Rig {
        let folder = tempfile::tempdir().expect("made");
        let host = Host::for_tests();
        let fake = Arc::new(Fake::default());
        host.collector.set(fake.clone());
        let endpoint = format!("unix://{}/new/admin.sock", folder.path().display());
        let mut config = AdminConfig { endpoint, ..AdminConfig::default() };
        set(&mut config);
        let admin = Admin::new(config, "admin");
        admin.start(&host).await.expect("started");
        Rig { host, fake, admin, folder }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("new/admin.sock")).await.expect("connected")
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        exchange(self.connect().await, &request(method, path, body, "")).await
    }

    async fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, body) = self.ask(method, path, &body.to_string()).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }
}

fn request(method: &str, path: &str, body: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> (u16, String) {
    // It may be refused before all of it is read.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head[9..12].parse().expect("a status"), body.to_owned())
}

#[tokio::test]
async fn everything_can_be_asked_over_the_socket() {
    let rig = Rig::start(|_| {}).await;
    let socket = rig.folder.path().join("new/admin.sock");
    assert_eq!(std::fs::metadata(&socket).expect("there").permissions().mode() & 0o777, 0o600);
    let folder = socket.parent().expect("a folder");
    assert_eq!(std::fs::metadata(folder).expect("there").permissions().mode() & 0o777, 0o700);
    let reporter = rig.host.health.reporter(plan().changes.added[0].clone());
    reporter.report(Status::Recoverable("refused".into()));

    let (status, body) = rig.json("GET", "/v1/status", json!({})).await;
    assert_eq!((status, &body["healthy"]), (200, &json!(false)));
    assert_eq!(body["components"][0]["status"], "StatusRecoverableError");
    assert_eq!(body["components"][0]["error"], "refused");
    assert_eq!(rig.ask("GET", "/v1/config", "").await, (200, "a: 1\n".to_owned()));
    assert_eq!(rig.ask("GET", "/v1/config?format=json", "").await, (200, "{\"a\":1}\n".to_owned()));
    assert_eq!(rig.ask("GET", "/v1/config?format=xml", "").await.0, 400);
    assert_eq!(rig.json("GET", "/v1/version", json!({})).await.1["command"], "phoenix-collector");
    assert!(rig.ask("GET", "/", "").await.1.contains("/v1/plan"));
    for path in ["/v1/books", "/v1/feature-gates"] {
        assert_eq!(rig.json("GET", path, json!({})).await, (200, json!([])), "{path}");
    }

    let (status, body) = rig.json("POST", "/v1/plan", json!({"sources": [{"uri": "file:x"}]})).await;
    assert_eq!((status, &body["changes"]["added"][0]["id"]), (200, &json!("otlp")));
    let change = json!({
        "config": {"sources": [{"text": {"name": "new.yaml", "text": "a: secret"}}]},
        "conditions": {"fail_on_state_loss": true, "if_running": "one"},
    });
    let (status, body) = rig.json("POST", "/v1/apply", change).await;
    assert_eq!((status, &body["drain"]["state"], &body["proposed"]), (200, &json!("done"), &json!("two")));
    let asked = rig.fake.asked.lock().expect("fine").pop().expect("asked");
    assert!(asked.1.fail_on_state_loss);
    assert!(!format!("{:?}", asked.0).contains("secret"));
    let text = request("POST", "/v1/plan", "{}", "accept: text/plain\r\n");
    assert!(exchange(rig.connect().await, &text).await.1.starts_with("+ exporter otlp (traces)\n"));

    let set = rig.json("PUT", "/v1/log-level", json!({"level": "debug", "for_seconds": 60})).await;
    assert_eq!(set, (200, json!({"level": "debug", "configured": "info", "reverts_in_seconds": 60})));
    assert_eq!(rig.json("DELETE", "/v1/log-level", json!({})).await.1["level"], "info");
    rig.admin.stop(tokio::time::Instant::now() + Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_is_wrong_is_said_and_changes_nothing() {
    let rig = Rig::start(|config| config.max_request_body_size = 4096).await;
    // (method, path, body, status, code)
    let cases = [
        ("GET", "/v2", "", 404, "not_found"),
        ("GET", "/v1/plan", "", 405, "method_not_allowed"),
        ("POST", "/v1/plan", "{", 400, "bad_request"),
        ("POST", "/v1/apply", " []", 400, "bad_request"),
        ("POST", "/v1/plan", r#"{"source": []}"#, 400, "bad_request"),
        ("POST", "/v1/apply", r#"{"conditions": {"fail_on_state_los": true}}"#, 400, "bad_request"),
        ("PUT", "/v1/log-level", r#"{"level": "loud", "for_seconds": 5}"#, 400, "bad_request"),
        ("PUT", "/v1/log-level", r#"{"level": "debug", "for_seconds": 0}"#, 400, "bad_request"),
        ("PUT", "/v1/log-level", r#"{"level": "debug", "for_seconds": 86401}"#, 400, "bad_request"),
    ];
    for (method, path, body, status, code) in cases {
        let (found, answer) = rig.ask(method, path, body).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((found, answer["error"]["code"].as_str()), (status, Some(code)), "{method} {path} {body}");
    }
    let large = format!(r#"{{"sources": [{{"uri": "{}"}}]}}"#, "x".repeat(100_000));
    assert_eq!(rig.ask("POST", "/v1/plan", &large).await.0, 413);
    let form = request("POST", "/v1/plan", "{}", "").replace("application/json", "text/plain");
    assert_eq!(exchange(rig.connect().await, &form).await.0, 415);
    assert!(rig.fake.asked.lock().expect("fine").is_empty());

    let failures = [
        (ChangeError::Invalid("here: no".into()), 422, "invalid"),
        (ChangeError::StateLoss(Box::new(plan())), 409, "state_loss"),
        (ChangeError::Moved { running: "x".into() }, 412, "moved"),
        (ChangeError::Build("port".into()), 409, "build"),
        (ChangeError::Busy("later".into()), 503, "busy"),
        (ChangeError::Unavailable("stopping".into()), 503, "unavailable"),
    ];
    for (failure, status, code) in failures {
        *rig.fake.fails.lock().expect("fine") = Some(failure);
        let (found, answer) = rig.json("POST", "/v1/apply", json!({})).await;
        assert_eq!((found, answer["error"]["code"].as_str()), (status, Some(code)));
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nobody_up() {
    let rig = Rig::start(|_| {}).await;
    let mut slow = Vec::new();
    for _ in 0..10 {
        let mut stream = rig.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("written");
        slow.push(stream);
    }
    let mut silent = rig.connect().await;
    silent
        .write_all(b"POST /v1/plan HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{")
        .await
        .expect("written");
    assert_eq!(rig.ask("GET", "/v1/version", "").await.0, 200);
}

#[tokio::test]
async fn loopback_wants_the_token() {
    let rig = Rig::start(|config| {
        config.endpoint = "127.0.0.1:0".into();
        config.token = Opaque::new("secret");
    })
    .await;
    let address = rig.admin.local_addr().expect("bound");
    let ask = async |headers: &str| {
        let stream = TcpStream::connect(address).await.expect("connected");
        exchange(stream, &request("GET", "/v1/version", "", headers)).await.0
    };
    assert_eq!(ask("").await, 401);
    assert_eq!(ask("authorization: Bearer other\r\n").await, 401);
    assert_eq!(ask("authorization: Bearer secret\r\n").await, 200);
    assert_eq!(ask("authorization: Bearer secret\r\norigin: http://x\r\n").await, 403);
}

#[tokio::test]
async fn a_collector_that_is_not_up_says_so_and_a_bad_endpoint_stops_the_start() {
    let folder = tempfile::tempdir().expect("made");
    let host = Host::for_tests();
    let endpoint = format!("unix://{}/admin.sock", folder.path().display());
    let admin = Admin::new(AdminConfig { endpoint, ..AdminConfig::default() }, "admin");
    admin.start(&host).await.expect("started");
    let stream = UnixStream::connect(folder.path().join("admin.sock")).await.expect("connected");
    assert_eq!(exchange(stream, &request("GET", "/v1/status", "", "")).await.0, 503);
    let endpoint = "unix:///proc/nowhere/admin.sock".to_owned();
    let admin = Admin::new(AdminConfig { endpoint, ..AdminConfig::default() }, "admin");
    let error = admin.start(&host).await.expect_err("no such folder").to_string();
    assert!(error.contains("set `endpoint`"), "{error}");
}

#[test]
fn the_example_of_the_readme_is_valid() {
    assert_example_is_valid(&AdminFactory, include_str!("../README.md"), "extensions::admin");
}

#[tokio::test]
async fn savings_of_optimizers_are_told_by_rule() {
    let rig = Rig::start(|_| {}).await;
    assert_eq!(
        rig.json("GET", "/v1/savings", json!({})).await,
        (200, json!({"optimizers": [], "aggregators": []}))
    );
    let id = phoenix_config::ComponentId::parse("optimizer/host").expect("an id");
    let (book, _offer) = SavingsBook::open(&rig.host.capabilities, &id);
    let rule = RuleSavings {
        rule: "pods".into(),
        mode: "enforce",
        bytes: InOut { r#in: 100, out: 10 },
        ..RuleSavings::default()
    };
    book.tell(Savings { points: InOut { r#in: 9, out: 1 }, rules: vec![rule], ..Savings::default() });
    let (status, body) = rig.json("GET", "/v1/savings", json!({})).await;
    let optimizer = &body["optimizers"][0];
    assert_eq!((status, &optimizer["processor"]), (200, &json!("optimizer/host")));
    assert_eq!(optimizer["points"], json!({"in": 9, "out": 1}));
    assert_eq!(optimizer["rules"][0]["bytes"], json!({"in": 100, "out": 10}));
    assert_eq!(optimizer["rules"][0].get("quality_ppm"), None, "nobody measured it");
    let id = phoenix_config::ComponentId::parse("aggregator").expect("an id");
    let (book, _offer) = SavingsBook::open(&rig.host.capabilities, &id);
    let quality_ppm = [("score", 900_000)].into();
    book.tell(Savings {
        rules: vec![RuleSavings { quality_ppm, ..RuleSavings::default() }],
        ..Savings::default()
    });
    let (_, body) = rig.json("GET", "/v1/savings", json!({})).await;
    assert_eq!(
        (body["optimizers"].as_array().map(Vec::len), &body["aggregators"][0]["processor"]),
        (Some(1), &json!("aggregator"))
    );
    assert_eq!(body["aggregators"][0]["rules"][0]["quality_ppm"], json!({"score": 900_000}));
}

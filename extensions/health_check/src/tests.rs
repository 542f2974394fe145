use std::net::SocketAddr;
use std::time::Duration;

use phoenix_component::harness::assert_example_is_valid;
use phoenix_component::harness::collector::FakeCollector;
use phoenix_component::{ComponentKey, Cores, EffectiveConfig, Host, PipelineStatus};
use phoenix_config::{GoDuration, KeyPath, Location, Resolver, YamlProvider};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

fn local() -> HealthCheckConfig {
    HealthCheckConfig { endpoint: "127.0.0.1:0".into(), ..HealthCheckConfig::default() }
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(10)
}

async fn started(host: &Host, config: HealthCheckConfig) -> (HealthCheck, SocketAddr) {
    let check = HealthCheck::new(config, "health_check", Arc::default());
    check.start(host).await.expect("started");
    let address = check.local_addr().expect("listens");
    (check, address)
}

/// Sends `request` and reads until the connection closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn is_healthy_while_the_pipelines_run() {
    let host = Host::for_tests();
    let (check, address) = started(&host, local()).await;
    assert!(exchange(address, GET).await.starts_with("HTTP/1.1 503 "));
    check.pipelines_ready(true);
    let answer = exchange(address, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    assert!(answer.contains("{\"status\":\"Server available\",\"upSince\":\"20"), "{answer}");
    let head = exchange(address, "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    check.pipelines_ready(false);
    assert!(exchange(address, GET).await.starts_with("HTTP/1.1 503 "));
    check.stop(soon()).await;
    TcpStream::connect(address).await.expect_err("nobody listens");
}

#[tokio::test]
async fn a_successor_answers_what_the_former_knew() {
    let host = Host::for_tests();
    let readiness = Arc::<Readiness>::default();
    let former = HealthCheck::new(local(), "health_check", readiness.clone());
    former.start(&host).await.expect("started");
    former.pipelines_ready(true);
    let next =
        HealthCheck::new(HealthCheckConfig { path: "/next".into(), ..local() }, "health_check", readiness);
    next.start(&host).await.expect("started");
    let address = next.local_addr().expect("listens");
    let request = GET.replace("GET / ", "GET /next ");
    assert!(exchange(address, &request).await.starts_with("HTTP/1.1 200 "));
    former.stop(soon()).await;
    assert!(exchange(address, &request).await.starts_with("HTTP/1.1 200 "));
    next.stop(soon()).await;
}

#[tokio::test]
async fn idle_and_silent_connections_do_not_hold_up_the_stop() {
    let host = Host::for_tests();
    let (check, address) = started(&host, local()).await;
    let silent = TcpStream::connect(address).await.expect("connected");
    let mut idle = TcpStream::connect(address).await.expect("connected");
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
    let mut byte = [0];
    idle.read_exact(&mut byte).await.expect("an answer");
    let begun = std::time::Instant::now();
    check.stop(soon()).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop((silent, idle));
    check.stop(soon()).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let host = Host::for_tests();
    let config = HealthCheckConfig { read_header_timeout: GoDuration::from_millis(1), ..local() };
    let (check, address) = started(&host, config).await;
    let answer = exchange(address, "GET / HTTP/1.1\r\nhost").await;
    assert!(!answer.contains("200"), "{answer}");
    check.stop(soon()).await;
}

#[tokio::test]
async fn bad_requests_get_their_answer_and_stop_nothing() {
    let host = Host::for_tests();
    let (check, address) = started(&host, local()).await;
    assert!(exchange(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000));
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // The server may close before it has read everything.
    let _ = stream.write_all(long.as_bytes()).await;
    drop(stream);
    assert!(exchange(address, GET).await.starts_with("HTTP/1.1 503 "));
    check.stop(soon()).await;
}

#[tokio::test]
async fn a_port_in_use_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = taken.local_addr().expect("bound").to_string();
    let check = HealthCheck::new(HealthCheckConfig { endpoint, ..local() }, "health_check", Arc::default());
    let error = check.start(&Host::for_tests()).await.expect_err("taken").to_string();
    assert!(error.contains("in use"), "{error}");
    check.stop(soon()).await;
}

fn parse(yaml: &str) -> Problems {
    let resolver = Resolver::new().with(YamlProvider);
    let root = resolver.resolve(&[format!("yaml:{yaml}")], &[]).expect("YAML").root;
    let path = KeyPath::parse("extensions::health_check");
    let section = root.at(&path).expect("the section");
    let mut problems = Problems::in_section(path, section, &Location::nowhere());
    HealthCheckFactory.parse(section, &mut problems);
    problems
}

#[test]
fn the_example_of_the_readme_is_valid() {
    assert_example_is_valid(&HealthCheckFactory, include_str!("../README.md"), "extensions::health_check");
}

#[test]
fn keys_that_are_not_supported_are_named_with_the_reason() {
    let problems = parse(
        "extensions:\n  health_check:\n    cors: {enabled: false}\n    include_metadata: true\n    \
         response_headers: {a: b}\n    auth: {authenticator: x}\n    middlewares: [{id: y}]\n",
    );
    assert_eq!(problems.keys(), ["middlewares"], "{problems}");
}

/// A graph with one pipeline.
fn one_pipeline(exporters: Vec<ComponentKey>) -> FakeCollector {
    let (receivers, processors) = (Vec::new(), Vec::new());
    FakeCollector {
        pipelines: vec![PipelineStatus { id: "traces/a".into(), receivers, processors, exporters }],
        config: EffectiveConfig { json: "{\"a\":1}".into(), ..EffectiveConfig::default() },
        ..FakeCollector::default()
    }
}

fn get(path: &str) -> String {
    GET.replace("GET / ", &format!("GET {path} "))
}

#[tokio::test]
async fn the_second_version_tells_of_pipelines_and_components() {
    let host = Host::for_tests();
    let key = ComponentKey {
        kind: Kind::Exporter,
        id: phoenix_config::ComponentId::parse("otlp/b").expect("an id"),
        scope: "traces".into(),
    };
    let reporter = host.health.reporter(key.clone());
    let config = phoenix_config::decode_text::<HealthCheckConfig>(
        "{use_v2: true, http: {endpoint: '127.0.0.1:0', config: {enabled: true}}, grpc: {endpoint: '127.0.0.1:0'}, \
         component_health: {include_recoverable_errors: true, recovery_duration: 0s}}",
    );
    let (check, address) = started(&host, config.expect("valid")).await;
    let grpc = check.grpc_addr().expect("listens");
    assert!(exchange(address, &get("/config")).await.starts_with("HTTP/1.1 503 "));
    assert!(exchange(address, &get("/status")).await.contains("\"status\":\"StatusNone\""));
    host.collector.set(Arc::new(one_pipeline(vec![key])));
    let status = async |path: &str| {
        let answer = exchange(address, &get(path)).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        (head[9..12].parse::<u16>().expect("a status"), body)
    };
    assert_eq!(status("/status").await.0, 503, "it is starting");
    assert_eq!(health_over_grpc(grpc, "").await, Ok(2));
    reporter.report(phoenix_component::Status::Ok);
    let (code, body) = status("/status").await;
    assert_eq!((code, &body["healthy"], &body["components"]), (200, &true.into(), &serde_json::Value::Null));
    assert_eq!(body["start_time"], "1970-01-01T00:00:00Z");
    assert_eq!(health_over_grpc(grpc, "traces/a").await, Ok(1));
    assert_eq!(health_over_grpc(grpc, "logs").await, Err(phoenix_component::Code::NOT_FOUND));
    reporter.report(phoenix_component::Status::Recoverable("<refused>".into()));
    let (code, body) = status("/status?verbose").await;
    assert_eq!((code, &body["healthy"]), (500, &false.into()), "there is no time to recover");
    let component = &body["components"]["pipeline:traces/a"]["components"]["exporter:otlp/b"];
    assert_eq!(
        (&component["status"], &component["error"]),
        (&"StatusRecoverableError".into(), &"<refused>".into())
    );
    assert_eq!(
        status("/status?pipeline=traces%2Fa&verbose=false").await.1["components"],
        serde_json::Value::Null
    );
    assert_eq!(status("/status?pipeline=nope").await.0, 404);
    assert_eq!(status("/").await.0, 404);
    assert_eq!(health_over_grpc(grpc, "").await, Ok(2));
    assert_eq!(status("/config").await, (200, serde_json::json!({"a": 1})));
    let post = get("/status").replace("GET", "POST");
    assert!(exchange(address, &post).await.starts_with("HTTP/1.1 405 "));
    check.stop(soon()).await;
    TcpStream::connect(grpc).await.expect_err("nobody listens");
}

/// The serving status, or the code of the error.
async fn health_over_grpc(address: SocketAddr, service: &str) -> Result<u8, phoenix_component::Code> {
    use phoenix_transport::grpc::client::{Client, Options};
    let target = phoenix_transport::endpoint::Target::parse_grpc(&address.to_string()).expect("a target").1;
    let client = Client::new(Options::new(target), &Cores::current_runtime()).expect("a client");
    let method = client.method("/grpc.health.v1.Health/Check");
    let mut message = vec![0x0a, service.len() as u8];
    message.extend_from_slice(service.as_bytes());
    let payload: phoenix_transport::Payload = std::iter::once(bytes::Bytes::from(message)).collect();
    match client.call(&method, payload, None, &http::HeaderMap::new()).await {
        Ok(answer) => Ok(answer[1]),
        Err(status) => Err(status.code),
    }
}

use std::net::SocketAddr;
use std::time::Duration;

use phoenix_component::Host;
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
    let check = HealthCheck::new(config, Arc::default());
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
    let former = HealthCheck::new(local(), readiness.clone());
    former.start(&host).await.expect("started");
    former.pipelines_ready(true);
    let next = HealthCheck::new(HealthCheckConfig { path: "/next".into(), ..local() }, readiness);
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
    let check = HealthCheck::new(HealthCheckConfig { endpoint, ..local() }, Arc::default());
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
    let readme = include_str!("../README.md");
    let yaml =
        readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let problems = parse(yaml);
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn keys_that_are_not_supported_are_named_with_the_reason() {
    let problems = parse(
        "extensions:\n  health_check:\n    tls: {cert_file: a, key_file: b}\n    cors: {enabled: false, x: 1}\n    \
         include_metadata: true\n    response_headers: {a: b}\n    auth:\n",
    );
    assert_eq!(problems.keys(), ["tls", "response_headers", "include_metadata"], "{problems}");
}

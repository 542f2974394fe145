//! Against a server of the test's own that speaks like a cluster's.

use std::sync::{Arc, Mutex};

use phoenix_component::Batch;
use phoenix_component::{ComponentKey, Refusal};
use phoenix_config::{ComponentId, Kind};
use phoenix_delivery::{Delivered, Push};
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::config::Ring;
use crate::metrics::{ResolverMeter, RouterMeter};

/// Answers, in order; what follows in one is sent as it comes from the channel.
type Answers = mpsc::UnboundedReceiver<String>;

/// Serves one answer to each request and remembers what was asked for.
async fn serve(listener: TcpListener, asked: Arc<Mutex<Vec<String>>>, mut answers: Answers) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = vec![0; 8192];
        let read = stream.read(&mut head).await.unwrap();
        asked.lock().unwrap().push(String::from_utf8_lossy(&head[..read]).into_owned());
        let Some(answer) = answers.recv().await else { return };
        let (status, body) = answer.split_once('|').unwrap();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
    }
}

struct NoPush;

impl Push for NoPush {
    async fn push(&self, _: Batch) -> Result<Delivered, Refusal> {
        Ok(Delivered::whole())
    }
}

/// Remembers which backends were made.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<String>>>);

impl Dial for Made {
    type Push = NoPush;

    async fn dial(&self, endpoint: String) -> Result<NoPush, StartError> {
        self.0.lock().unwrap().push(endpoint);
        Ok(NoPush)
    }
}

fn state(made: Made, metrics: &Metrics) -> State<Made> {
    let id = ComponentId::parse("load_balancing").unwrap();
    let key = ComponentKey { kind: Kind::Exporter, id, scope: "traces".into() };
    let meter = RouterMeter::new(metrics, &key, Signal::Traces);
    State::new(made, Ring::V2, metrics, ResolverMeter::new(metrics, "k8s"), meter)
}

fn slice(name: &str, version: u32, endpoints: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{version}"}},"endpoints":{endpoints}}}"#)
}

fn endpoint(address: &str, conditions: &str) -> String {
    format!(r#"{{"addresses":["{address}"],"hostname":"pod-{address}","conditions":{{{conditions}}}}}"#)
}

struct Rig {
    watcher: Watcher,
    state: State<Made>,
    made: Made,
    metrics: Metrics,
    asked: Arc<Mutex<Vec<String>>>,
    answers: mpsc::UnboundedSender<String>,
    _account: tempfile::TempDir,
}

impl Rig {
    async fn new(settings: Kubernetes) -> Rig {
        let account = tempfile::tempdir().unwrap();
        std::fs::write(account.path().join("token"), "secret-token\n").unwrap();
        std::fs::write(account.path().join("namespace"), "observability").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cluster = Cluster {
            url: format!("http://{}", listener.local_addr().unwrap()),
            account: account.path().to_owned(),
            user_agent: "test".to_owned(),
            cores: Cores::current_runtime(),
        };
        let (asked, made, metrics) = (Arc::default(), Made::default(), Metrics::default());
        let (answers, receiver) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, Arc::clone(&asked), receiver));
        let watcher = Watcher::new(&settings, cluster).unwrap();
        let state = state(made.clone(), &metrics);
        Rig { watcher, state, made, metrics, asked, answers, _account: account }
    }

    fn answer(&self, status: &str, body: &str) {
        self.answers.send(format!("{status}|{body}")).unwrap();
    }

    fn backends(&self) -> Vec<String> {
        let mut made = std::mem::take(&mut *self.made.0.lock().unwrap());
        made.sort();
        made
    }

    fn resolutions(&self, success: &str) -> i64 {
        let attributes = [("resolver", "k8s"), ("success", success)];
        self.metrics.sum("otelcol_loadbalancer_num_resolutions", &attributes)
    }
}

fn settings(service: &str) -> Kubernetes {
    Kubernetes { service: service.to_owned(), ports: vec![4317], ..Kubernetes::default() }
}

#[tokio::test]
async fn lists_in_pages_then_watches_from_there() {
    let mut rig = Rig::new(settings("gateway")).await;
    let first =
        slice("a", 3, &format!("[{},{}]", endpoint("10.0.0.1", ""), endpoint("fd00::1", r#""ready":true"#)));
    rig.answer(
        "200 OK",
        &format!(r#"{{"metadata":{{"resourceVersion":"7","continue":"n/x"}},"items":[{first}]}}"#),
    );
    let second = slice("b", 4, "null");
    rig.answer("200 OK", &format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{second}]}}"#));
    rig.watcher.begin(&rig.state).await;
    assert_eq!(rig.backends(), ["10.0.0.1:4317", "[fd00::1]:4317"]);
    assert_eq!((rig.resolutions("true"), rig.resolutions("false")), (1, 0));

    let leaving = endpoint("10.0.0.1", r#""ready":false,"serving":true,"terminating":true"#);
    let coming = endpoint("10.0.0.2", r#""ready":true"#);
    let events = [
        format!(r#"{{"type":"MODIFIED","object":{}}}"#, slice("a", 8, &format!("[{leaving},{coming}]"))),
        format!(r#"{{"type":"BOOKMARK","object":{}}}"#, slice("", 9, "null")),
        format!(r#"{{"type":"MODIFIED","object":{}}}"#, slice("a", 10, &format!("[{leaving}]"))),
        format!(r#"{{"type":"DELETED","object":{}}}"#, slice("b", 11, "null")),
    ];
    rig.answer("200 OK", &events.join("\n"));
    rig.watcher.watch(&rig.state).await.unwrap();
    // What terminates left at first, and came back when nothing else was there.
    assert_eq!(rig.backends(), ["10.0.0.1:4317", "10.0.0.2:4317"]);
    assert_eq!(rig.watcher.version.as_deref(), Some("11"));

    let asked = rig.asked.lock().unwrap().clone();
    let path = "GET /apis/discovery.k8s.io/v1/namespaces/observability/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dgateway&";
    assert!(asked.iter().all(|head| head.starts_with(path)), "{asked:?}");
    assert!(asked[0].contains("authorization: Bearer secret-token"), "{}", asked[0]);
    assert!(asked[1].contains("continue=n%2Fx"), "{}", asked[1]);
    assert!(asked[2].contains("watch=1&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=60"));
}

#[tokio::test]
async fn failures_are_counted_and_leave_the_last_list_in_force() {
    let mut rig = Rig::new(settings("gateway.ns")).await;
    rig.answer("403 Forbidden", "no");
    rig.watcher.begin(&rig.state).await;
    assert_eq!((rig.resolutions("false"), rig.watcher.version.is_none()), (1, true));
    let one = slice("a", 3, &format!("[{}]", endpoint("10.0.0.1", "")));
    rig.answer("200 OK", &format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{one}]}}"#));
    rig.watcher.begin(&rig.state).await;
    for body in [r#"{"type":"ERROR","object":{"code":410,"message":"too old"}}"#, "{", r#"{"type":"ADDED"}"#]
    {
        rig.answer("200 OK", body);
        assert!(rig.watcher.watch(&rig.state).await.is_err(), "{body}");
    }
    assert_eq!(rig.backends(), ["10.0.0.1:4317"]);
    let Failure(text) = {
        rig.answer("401 Unauthorized", "");
        rig.watcher.watch(&rig.state).await.unwrap_err()
    };
    assert!(text.contains("endpointslices") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn pods_have_names_where_those_are_wanted() {
    let named = Kubernetes { return_hostnames: true, ..settings("gateway.ns.svc.cluster.local") };
    let mut rig = Rig::new(named).await;
    let nameless = r#"{"addresses":["10.0.0.9"]}"#;
    let one = slice("a", 3, &format!("[{},{nameless}]", endpoint("0", "")));
    rig.answer("200 OK", &format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{one}]}}"#));
    rig.watcher.begin(&rig.state).await;
    assert_eq!(rig.backends(), ["pod-0.gateway.ns:4317"]);
}

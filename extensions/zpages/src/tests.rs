use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use phoenix_component::harness::assert_example_is_valid;
use phoenix_component::harness::collector::FakeCollector;
use phoenix_component::*;
use phoenix_config::{ComponentId, Kind};
use phoenix_telemetry::Description;
use phoenix_telemetry::traces::Kind as Side;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

fn key() -> ComponentKey {
    ComponentKey {
        kind: Kind::Exporter,
        id: ComponentId::parse("otlp/a&b").expect("an id"),
        scope: "traces".into(),
    }
}

/// A graph whose texts are attacks.
fn hostile() -> FakeCollector {
    let (receivers, processors) = (Vec::new(), Vec::new());
    FakeCollector {
        started: SystemTime::now(),
        pipelines: vec![PipelineStatus {
            id: "traces/\"x\"".into(),
            receivers,
            processors,
            exporters: vec![key()],
        }],
        feature_gates: vec![FeatureGate { id: "a.gate".into(), enabled: true, description: "<b>".into() }],
        ..FakeCollector::default()
    }
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    (answer[9..12].parse().expect("a status"), answer)
}

#[tokio::test]
async fn every_page_is_served_and_no_text_becomes_markup() {
    let host = Host::for_tests();
    host.collector.set(Arc::new(hostile()));
    host.health.reporter(key()).report(Status::Recoverable("<script>alert(1)</script>".into()));
    let extension = ComponentKey {
        kind: Kind::Extension,
        id: ComponentId::parse("zpages").expect("an id"),
        scope: String::new(),
    };
    host.health.reporter(extension).report(Status::Ok);
    const IN: Description = Description { name: "phoenix_component_items_in", unit: "{item}", text: "In." };
    let attributes =
        [("component_kind", "exporter"), ("component_id", "otlp/a&b"), ("component_scope", "traces")];
    host.metrics.counter(IN, &attributes).add(4711);
    let config = ZpagesConfig {
        endpoint: "127.0.0.1:0".into(),
        expvar: Expvar { enabled: true },
        ..ZpagesConfig::default()
    };
    let zpages = Zpages::new(config, "zpages");
    zpages.start(&host).await.expect("started");
    let address = zpages.local_addr().expect("listens");
    let mut span = host.tracer.span(Side::Client, None, || "<b>".to_owned()).expect("watched while it runs");
    span.fail("<script>alert(3)</script>");
    drop(span);
    // (path, what is on it)
    let pages: [(&str, &[&str]); 10] = [
        ("/", &["phoenix-collector", "exporter otlp/a&amp;b (traces)", "&lt;script&gt;alert(1)"]),
        ("/debug/servicez", &["Resident memory", "Uptime"]),
        ("/debug/pipelinez", &["traces/&quot;x&quot;", "zpipelinename=traces%2F%22x%22", "1 not OK"]),
        ("/debug/pipelinez?zpipelinename=traces%2F%22x%22", &["4711", "RecoverableError"]),
        (
            "/debug/pipelinez?zpipelinename=%3Cscript%3Ealert(2)%3C/script%3E",
            &["no pipeline &lt;script&gt;alert(2)"],
        ),
        ("/debug/extensionz", &["zpages", ">OK<"]),
        ("/debug/extensionz?zextensionname=zpages", &["zpages"]),
        ("/debug/featurez", &["a.gate", "&lt;b&gt;"]),
        ("/debug/tracez", &["&lt;b&gt;", "≥100ms", "zspanname=%3Cb%3E&amp;ztype=2\">1</a>"]),
        ("/debug/tracez?zspanname=%3Cb%3E&ztype=2", &["&lt;script&gt;alert(3)", "that failed"]),
    ];
    for (path, texts) in pages {
        let (status, page) = get(address, path).await;
        assert_eq!(status, 200, "{path}");
        for text in texts {
            assert!(page.contains(text), "{path}: {text} is not in {page}");
        }
        assert!(
            page.contains("content-security-policy: default-src 'none'") && !page.contains("<script"),
            "{page}"
        );
    }
    let (status, vars) = get(address, "/debug/expvarz").await;
    assert!(status == 200 && vars.contains("4711"), "{vars}");
    assert_eq!(get(address, "/debug/nopez").await.0, 404);
    zpages.stop(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    TcpStream::connect(address).await.expect_err("nobody listens");
    assert!(!host.tracer.is_on() && host.tracer.recent().summaries().is_empty(), "nobody watches any more");
}

#[tokio::test]
async fn pages_are_there_before_the_collector_is_and_expvar_is_off() {
    let host = Host::for_tests();
    let zpages =
        Zpages::new(ZpagesConfig { endpoint: "127.0.0.1:0".into(), ..ZpagesConfig::default() }, "zpages");
    zpages.start(&host).await.expect("started");
    let address = zpages.local_addr().expect("listens");
    for path in
        ["/debug/servicez", "/debug/pipelinez", "/debug/extensionz", "/debug/featurez", "/debug/tracez"]
    {
        assert_eq!(get(address, path).await.0, 200, "{path}");
    }
    assert_eq!(get(address, "/debug/expvarz").await.0, 404);
}

#[test]
fn the_example_of_the_readme_is_valid_and_bad_settings_are_not() {
    assert_example_is_valid(&ZpagesFactory, include_str!("../README.md"), "extensions::zpages");
    for bad in ["{endpoint: ''}", "{auth: {authentikator: x}}", "{expvars: {}}"] {
        assert!(phoenix_config::decode_text::<ZpagesConfig>(bad).is_err(), "{bad}");
    }
}

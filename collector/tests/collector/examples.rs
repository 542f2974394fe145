//! The examples and deployments run as they stand: everything that is accepted arrives, also while a gateway changes its
//! configuration and another one stops.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream as Stream};
use tokio_util::sync::CancellationToken;

use crate::binary::{collector, free_port, repository, shell};
use crate::load;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Configurations and what each is merged over.
const CONFIGURATIONS: [(&str, Option<&str>); 13] = [
    ("examples/sidecar/collector.yaml", None),
    ("examples/sidecar/unix-socket.yaml", Some("examples/sidecar/collector.yaml")),
    ("examples/gateway/gateway.yaml", None),
    ("examples/gateway/delivered.yaml", Some("examples/gateway/gateway.yaml")),
    ("examples/gateway/backend.yaml", None),
    ("examples/optimization/collector.yaml", None),
    ("examples/optimization/host.yaml", None),
    ("examples/aggregation/tiers.yaml", None),
    ("examples/aggregation/hierarchy.yaml", None),
    ("examples/aggregation/edge.yaml", None),
    ("examples/aggregation/gateway.yaml", None),
    ("deployments/container/collector.yaml", None),
    ("deployments/systemd/collector.yaml", None),
];

#[test]
fn every_configuration_of_examples_and_deployments_loads() {
    let root = repository();
    for (path, base) in CONFIGURATIONS {
        let mut command = collector().args(["validate", "--strict-env"]);
        for file in base.into_iter().chain([path]) {
            command = command.arg("--config").arg(root.join(file));
        }
        let finished = command.finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{path}");
    }
    // None was forgotten; overlays/ has a test of its own.
    let folders = [
        "examples/sidecar",
        "examples/gateway",
        "examples/optimization",
        "examples/aggregation",
        "deployments/container",
        "deployments/systemd",
    ];
    for folder in folders {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let path = Path::new(folder).join(entry.expect("an entry").file_name());
            let is_known = CONFIGURATIONS.iter().any(|(known, _)| Path::new(known) == path);
            assert!(
                path.extension().is_none_or(|extension| extension != "yaml") || is_known,
                "{}",
                path.display()
            );
        }
    }
}

/// The manifests carry the configurations of the examples, word for word; `UPDATE_EXPECTED=1` puts them in.
#[test]
fn manifests_carry_the_configurations_of_the_examples() {
    let root = repository();
    for (manifest, example) in [
        ("deployments/kubernetes/gateway.yaml", "examples/gateway/gateway.yaml"),
        ("deployments/kubernetes/sidecar.yaml", "examples/sidecar/collector.yaml"),
    ] {
        let path = root.join(manifest);
        let text = std::fs::read_to_string(&path).expect("there");
        let configuration = std::fs::read_to_string(root.join(example)).expect("there");
        let indented = configuration.lines().map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("    {line}\n"),
        });
        let (head, rest) = text.split_once("  collector.yaml: |\n").expect("a ConfigMap");
        let (_, tail) = rest.split_once("---\n").expect("more behind it");
        let expected = format!("{head}  collector.yaml: |\n{}---\n{tail}", indented.collect::<String>());
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&path, &expected).expect("written");
        }
        assert!(
            text == expected || std::env::var_os("UPDATE_EXPECTED").is_some(),
            "{manifest} differs from {example}"
        );
    }
}

/// A balancer of connections, which passes by what does not listen. Returns its port.
async fn balancer(targets: [u16; 2]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let turn = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let turn = turn.clone();
            tokio::spawn(async move {
                for _ in 0..targets.len() {
                    let target = targets[turn.fetch_add(1, Ordering::Relaxed) % targets.len()];
                    if let Ok(mut server) = Stream::connect(("127.0.0.1", target)).await {
                        // Either side may end it.
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                        return;
                    }
                }
            });
        }
    });
    port
}

/// What an HTTP server answers to a GET.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = Vec::new();
    // What came before the connection ended counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The sum of a metric over its series.
fn metric(port: u16, name: &str) -> f64 {
    let page = get(port, "/metrics");
    let series =
        page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// How often each span is in the file that the backend writes.
fn received(path: &Path) -> HashMap<u64, u32> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut spans = HashMap::new();
    // The last line may be half written.
    for request in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        for resource in list(&request, "resourceSpans") {
            for span in list(&resource, "scopeSpans").iter().flat_map(|scope| list(scope, "spans")) {
                let id = span["spanId"].as_str().expect("an identifier");
                *spans.entry(u64::from_str_radix(id, 16).expect("hexadecimal")).or_default() += 1;
            }
        }
    }
    spans
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn terminate(folder: &Path, name: &str) {
    let id = std::fs::read_to_string(folder.join(format!("{name}.pid"))).expect("written by the script");
    assert!(Command::new("kill").arg(id.trim()).status().expect("kill runs").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_and_two_gateways_deliver_all_that_they_accept() {
    let folder = tempfile::tempdir().expect("made");
    let run = folder.path().to_owned();
    let [sidecar, a, b, backend] = std::array::from_fn(|_| free_port());
    let [health_a, metrics_a, metrics_b, metrics_sidecar] = std::array::from_fn(|_| free_port());
    let local = |port: u16| format!("127.0.0.1:{port}");
    let balancer = balancer([a, b]).await;
    let variables = [
        ("SIDECAR_GRPC", local(sidecar)),
        ("SIDECAR_HTTP", local(free_port())),
        ("SIDECAR_HEALTH", local(free_port())),
        ("SIDECAR_METRICS", metrics_sidecar.to_string()),
        ("GATEWAY", local(balancer)),
        ("GATEWAY_A", local(a)),
        ("GATEWAY_B", local(b)),
        ("HTTP_A", local(free_port())),
        ("HTTP_B", local(free_port())),
        ("HEALTH_A", local(health_a)),
        ("HEALTH_B", local(free_port())),
        ("METRICS_A", metrics_a.to_string()),
        ("METRICS_B", metrics_b.to_string()),
        ("BACKEND", local(backend)),
        // A binary with debug information is larger in memory than a container for it would be.
        ("LIMIT_MIB", "1000".to_owned()),
        ("RUN", run.display().to_string()),
        ("PHOENIX", env!("CARGO_BIN_EXE_phoenix-collector").to_owned()),
    ];
    let mut script = shell("exec sh examples/gateway/run.sh").within(&repository());
    for (name, value) in &variables {
        script = script.env(name, value);
    }
    let script = tokio::task::spawn_blocking(|| script.start()).await.expect("ready");

    let stop = CancellationToken::new();
    let load = tokio::spawn(load::run(format!("http://127.0.0.1:{sidecar}"), 2, stop.clone()));
    let accepted = |port: u16| metric(port, "otelcol_receiver_accepted_spans");
    wait_until("both gateways get data", || accepted(metrics_a) > 0.0 && accepted(metrics_b) > 0.0).await;
    assert!(get(health_a, "/").starts_with("HTTP/1.1 200"), "{}", get(health_a, "/"));

    // What the walk-through says about a change of a gateway, under load.
    let admin = format!("unix://{}/gateway-a.sock", run.display());
    let command = |name: &str| {
        let files = "--config=examples/gateway/gateway.yaml --config=examples/gateway/delivered.yaml";
        let line = format!("phoenix-collector {name} {}", if name == "status" { "" } else { files });
        let finished = shell(&line).within(&repository()).env("PHOENIX_ADMIN", &admin).finish();
        assert_eq!(finished.code, 0, "{name}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    };
    let plan = command("plan");
    assert!(plan.contains("processor batch (traces)") && plan.contains("exporter otlp_grpc"), "{plan}");
    assert!(command("apply --fail-on-state-loss").contains("Nothing was lost."));
    assert!(command("status").contains("receiver otlp"));

    // A gateway stops, as in a rolling update: the other one takes over.
    terminate(&run, "gateway-b");
    let before = accepted(metrics_a);
    wait_until("gateway a takes over", || accepted(metrics_a) > before + 500.0).await;

    stop.cancel();
    let outcome = load.await.expect("no panic");
    assert!(outcome.broken.is_empty() && outcome.rejected.is_empty(), "{:?}", outcome.broken.first());
    let expected = outcome.accepted_spans();
    let file: PathBuf = run.join("received.json");
    wait_until("everything that was accepted arrives", || {
        let came = received(&file);
        expected.iter().all(|id| came.contains_key(id))
    })
    .await;
    assert_eq!(received(&file).len(), expected.len(), "nothing else came");
    assert_eq!(metric(metrics_sidecar, "otelcol_exporter_send_failed_spans"), 0.0);
    assert_eq!(tokio::task::spawn_blocking(|| script.terminate()).await.expect("stopped"), 0);
}

#[test]
fn the_systemd_unit_is_sound() {
    let analyze = ["/usr/bin/systemd-analyze", "/bin/systemd-analyze"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let Some(analyze) = analyze else {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    };
    let unit = "deployments/systemd/phoenix-collector.service";
    let text = std::fs::read_to_string(repository().join(unit)).expect("there");
    // The program must be where the unit says.
    assert!(text.contains("/usr/bin/phoenix-collector "));
    let text = text.replace("/usr/bin/phoenix-collector", env!("CARGO_BIN_EXE_phoenix-collector"));
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("phoenix-collector.service");
    std::fs::write(&path, text).expect("written");
    let output = Command::new(analyze).args(["verify", "--man=no"]).arg(&path).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let about: Vec<_> = said.lines().filter(|line| line.contains("phoenix-collector")).collect();
    assert!(output.status.success() && about.is_empty(), "{said}");
}

#[test]
fn the_alerts_ask_for_metrics_that_there_are() {
    let path = repository().join("deployments/prometheus/phoenix-rules.yaml");
    let rules = std::fs::read_to_string(&path).expect("there");
    let reference = std::fs::read_to_string(repository().join("docs/own-metrics.md")).expect("there");
    let expressions = rules.lines().filter_map(|line| line.trim_start().strip_prefix("expr: "));
    let words = expressions.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let names: Vec<_> =
        words.filter(|word| word.starts_with("phoenix_") || word.starts_with("otelcol_")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(reference.contains(&format!("`{name}`")), "{name} is no metric");
    }
    let own = repository().join(".test-tools/prometheus/usr/bin/promtool");
    let Some(promtool) = [own, "/usr/bin/promtool".into()].into_iter().find(|path| path.exists()) else {
        eprintln!("skipped in part: there is no promtool");
        return;
    };
    let output = Command::new(promtool).args(["check", "rules"]).arg(path).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_optimization_of_a_recording_prints_what_its_readme_says() {
    let root = repository();
    let finished = shell("exec sh examples/optimization/run.sh recording")
        .within(&root)
        .env("PHOENIX", env!("CARGO_BIN_EXE_phoenix-collector"))
        .finish();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let readme = std::fs::read_to_string(root.join("examples/optimization/README.md")).expect("there");
    assert!(finished.stdout.starts_with("series: 162 before, 36 after"), "{}", finished.stdout);
    assert!(readme.contains(&finished.stdout), "{}", finished.stdout);
}

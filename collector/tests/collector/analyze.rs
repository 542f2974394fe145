//! `analyze`: what people see of a stream of metrics, from a file and from the network.

use serde_json::{Value, json};

use crate::binary::{collector, free_port, shell};

/// A request at a second: 200 series of a counter by pod and route, and ten gauges that hold still.
fn request(second: u64) -> Value {
    let time = (1_760_000_000_000_000_000 + second * 1_000_000_000).to_string();
    let text = |key: &str, value: String| json!({"key": key, "value": {"stringValue": value}});
    let counters = (0..200_u64).map(|series| {
        json!({
            "startTimeUnixNano": "1760000000000000000", "timeUnixNano": time, "asInt": (second * (series + 1)).to_string(),
            "attributes": [text("pod", format!("p{}", series % 40)), text("route", format!("/{}", series / 40))],
        })
    });
    let gauges = (0..10).map(|series| {
        json!({"timeUnixNano": time, "asDouble": 8.0, "attributes": [text("cpu", format!("{series}"))]})
    });
    json!({"resourceMetrics": [{"resource": {"attributes": [text("service.name", "shop".to_owned())]},
    "scopeMetrics": [{"metrics": [
        {"name": "requests", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": counters.collect::<Vec<_>>()}},
        {"name": "cores", "gauge": {"dataPoints": gauges.collect::<Vec<_>>()}},
    ]}]}]})
}

#[test]
fn a_file_is_analyzed_and_the_rules_are_ones_that_the_collector_takes() {
    let folder = tempfile::tempdir().expect("made");
    let lines: Vec<String> = (0..12).map(|round| request(10 * round).to_string()).collect();
    std::fs::write(folder.path().join("metrics.json"), lines.join("\n")).expect("written");
    let told = collector().args(["analyze", "--input=metrics.json", "--json"]).within(folder.path()).finish();
    assert_eq!(told.code, 0, "{}", told.stderr);
    let report: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(report["totals"]["points"], 12 * 210);
    let heaviest = &report["metrics"][0];
    assert_eq!(
        (heaviest["name"].as_str(), heaviest["interval_seconds"].as_f64()),
        (Some("requests"), Some(10.0))
    );
    let pod = &heaviest["labels"][0];
    assert_eq!((pod["key"].as_str(), pod["values"].as_u64()), (Some("pod"), Some(40)));
    assert_eq!(pod["series_without"], 5);
    assert_eq!(report["totals"]["constant_series"], 10);
    let names: Vec<&str> = report["proposals"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["without-pod", "still-gauges"]);
    // What is proposed can be used as it is.
    let config = "receivers: {nop: {}}\nprocessors: {optimizer: {catalogs: [rules.yaml]}}\nexporters: {nop: {}}\n\
                  service: {pipelines: {metrics: {receivers: [nop], processors: [optimizer], exporters: [nop]}}, telemetry: {metrics: {level: none}}}\n";
    std::fs::write(folder.path().join("collector.yaml"), config).expect("written");
    let rules = shell("phoenix-collector analyze --input=- --rules < metrics.json > rules.yaml")
        .within(folder.path());
    assert_eq!(rules.finish().code, 0);
    let running = collector().arg("--config=collector.yaml").within(folder.path()).start();
    running.wait_for_log("Everything is ready");
    assert_eq!(running.terminate(), 0);
}

#[test]
fn what_comes_over_the_network_is_analyzed_until_a_signal() {
    let (grpc, http) = (free_port(), free_port());
    let folder = tempfile::tempdir().expect("made");
    let out = folder.path().join("out.txt");
    let command = format!(
        "exec phoenix-collector analyze --endpoint=127.0.0.1:{grpc} --http-endpoint=127.0.0.1:{http} > '{}'",
        out.display()
    );
    let running = shell(&command).start();
    for round in 0..4 {
        let url = format!("http://127.0.0.1:{http}/v1/metrics");
        let sent =
            ureq::post(&url).header("content-type", "application/json").send(request(10 * round).to_string());
        assert!(sent.is_ok(), "{sent:?}");
    }
    assert_eq!(running.terminate(), 0);
    let told = std::fs::read_to_string(&out).expect("a report");
    // How many series there are with it is an estimate above 128, and with it the share that goes.
    assert!(told.contains("pod: 40 values, 5 series without it (-9"), "{told}");
    assert!(told.contains("drop_labels: [\"pod\"]"), "{told}");
}

#[test]
fn a_stream_is_analyzed_for_as_long_as_asked_and_tells_what_a_file_of_it_does() {
    let (grpc, http) = (free_port(), free_port());
    let folder = tempfile::tempdir().expect("made");
    let command = format!(
        "exec phoenix-collector analyze --duration=4s --json --endpoint=127.0.0.1:{grpc} --http-endpoint=127.0.0.1:{http} > live.json"
    );
    let running = shell(&command).within(folder.path()).start();
    let mut sent = Vec::new();
    // The sender goes on until nobody listens any more.
    for round in 0.. {
        let (url, body) = (format!("http://127.0.0.1:{http}/v1/metrics"), request(10 * round).to_string());
        if ureq::post(&url).header("content-type", "application/json").send(body.clone()).is_err() {
            break;
        }
        sent.push(body);
    }
    assert_eq!(running.exit_code(), 0);
    std::fs::write(folder.path().join("metrics.json"), sent.join("\n")).expect("written");
    let told = collector().args(["analyze", "--input=metrics.json", "--json"]).within(folder.path()).finish();
    let live = std::fs::read_to_string(folder.path().join("live.json")).expect("a report");
    let [live, file]: [Value; 2] = [live, told.stdout].map(|text| serde_json::from_str(&text).expect("JSON"));
    // Above 128 counts are estimates, of which each run makes its own.
    for report in [&live, &file] {
        let series = report["totals"]["series"].as_u64().expect("a number");
        assert!(series.abs_diff(210) < 20, "{series}");
    }
    for key in ["constant_series", "metrics"] {
        assert_eq!(live["totals"][key], file["totals"][key], "{key}");
    }
    let labels = |report: &Value| {
        let all = report["metrics"][0]["labels"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| ["key", "values"].map(|key| one[key].clone())).collect::<Vec<_>>()
    };
    assert_eq!(labels(&live), labels(&file));
    let names = |report: &Value| {
        let all = report["proposals"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&live), names(&file));
    assert!(names(&live).contains(&json!("without-pod")), "{live}");
}

#[test]
fn what_cannot_be_analyzed_is_refused() {
    let folder = tempfile::tempdir().expect("made");
    std::fs::write(folder.path().join("empty.json"), "").expect("written");
    std::fs::write(folder.path().join("wrong.json"), "{\"resourceMetrics\": 5}").expect("written");
    for (arguments, part) in [
        ("--input=empty.json", "no metrics came"),
        ("--input=wrong.json", "document 1 is no metrics in OTLP/JSON"),
        ("--input=absent.json", "absent.json"),
        ("--input=empty.json --duration=1m", "cannot be used with"),
    ] {
        let refused = shell(&format!("phoenix-collector analyze {arguments}")).within(folder.path()).finish();
        assert_eq!(refused.code, 1, "{arguments}");
        assert!(refused.stderr.contains(part), "{arguments}: {}", refused.stderr);
    }
}

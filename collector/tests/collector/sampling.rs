//! What people do with samplers from the command line: replay traces, ask why, translate the rules of another.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::binary::{collector, free_port, repository, shell};

const POLICIES: &str = "
      - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
      - {name: quarter, type: baseline, baseline: {sampling_percentage: 25}}";

fn configuration(extra: &str, wait: &str, port: u16) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\nprocessors:\n  tail_sampling:\n    decision_wait: {wait}\n    policies:{POLICIES}\nexporters: {{nop: {{}}}}\n{extra}"
    )
}

const PIPELINES: &str =
    "pipelines: {traces: {receivers: [otlp], processors: [tail_sampling], exporters: [nop]}}";

/// A request with one span of a trace; randomness as high as `high` says, times in seconds after the first.
fn request(high: u8, number: u32, at: u64, is_error: bool) -> Value {
    let nanos = |seconds: u64| (1_760_000_000_000_000_000 + seconds * 1_000_000_000).to_string();
    let id = format!("{number:016x}00{high:02x}000000000000");
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": id, "spanId": "0102030405060708", "name": "op",
        "startTimeUnixNano": nanos(at), "endTimeUnixNano": nanos(at + 1),
        "status": {"code": if is_error { 2 } else { 0 }},
    }]}]}]})
}

fn id_of(request: &Value) -> &str {
    request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"].as_str().expect("an identifier")
}

/// `sample` over 41 traces, with more arguments.
fn sampled(folder: &Path, arguments: &str) -> crate::binary::Finished {
    let config = configuration(&format!("service: {{{PIPELINES}}}\n"), "10s", 4318);
    std::fs::write(folder.join("collector.yaml"), config).expect("written");
    let mut lines: Vec<String> = (0..40_u32)
        .map(|number| {
            request(if number % 4 == 0 { 0xf0 } else { 0x10 }, number, u64::from(number), false).to_string()
        })
        .collect();
    lines.push(request(0x10, 99, 50, true).to_string());
    std::fs::write(folder.join("traces.json"), lines.join("\n")).expect("written");
    shell(&format!("phoenix-collector sample --config=collector.yaml {arguments} < traces.json"))
        .within(folder)
        .finish()
}

#[test]
fn traces_are_replayed_and_the_outcome_is_told() {
    let folder = tempfile::tempdir().expect("made");
    let finished = sampled(folder.path(), "--json --traces --price-per-gib=1073741824");
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let reports: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let report = &reports[0];
    assert_eq!(report["processor"], "tail_sampling");
    assert_eq!((report["traces"].as_u64(), report["kept_traces"].as_u64()), (Some(41), Some(11)));
    assert_eq!(report["estimated_traces"], 41.0, "ten that stand for four, and one for itself");
    assert_eq!(report["cost"].as_f64(), report["kept_bytes"].as_f64(), "a byte costs one");
    let errors =
        report["policies"].as_array().expect("policies").iter().find(|policy| policy["policy"] == "errors");
    let errors = errors.expect("the policy");
    assert_eq!((errors["sampled"].as_u64(), errors["not_sampled"].as_u64()), (Some(1), Some(40)));
    assert_eq!(errors["decided"], 1);
    let decisions = report["decisions"].as_array().expect("decisions");
    assert!(
        decisions.iter().all(|decision| decision["decision"]["trigger"] == "decision_wait"),
        "{decisions:?}"
    );

    let text = sampled(folder.path(), "");
    assert!(
        text.stdout.starts_with("tail_sampling: 11 of 41 traces kept (26.8 %), 11 of 41 spans, "),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("estimated from what is kept: 41 traces"), "{}", text.stdout);
    assert_eq!(sampled(folder.path(), "").stdout, text.stdout, "the same each time");
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    let folder = tempfile::tempdir().expect("made");
    std::fs::write(folder.path().join("none.yaml"), "receivers: {nop: {}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n").expect("written");
    std::fs::write(
        folder.path().join("some.yaml"),
        configuration(&format!("service: {{{PIPELINES}}}\n"), "1s", 4318),
    )
    .expect("written");
    let cases = [
        ("none.yaml", "{}", "the configuration has no tail_sampling processor"),
        ("some.yaml", "", "there are no traces on standard input"),
        ("some.yaml", "nonsense", "standard input is no JSON"),
        ("some.yaml", "{\"resourceSpans\": 5}", "standard input is no traces in OTLP/JSON"),
    ];
    for (config, input, said) in cases {
        let line = format!("printf '%s' '{input}' | phoenix-collector sample --config={config}");
        let finished = shell(&line).within(folder.path()).finish();
        assert_eq!(finished.code, 1, "{line}");
        assert!(finished.stderr.contains(said), "{line}: {}", finished.stderr);
    }
}

#[test]
fn a_running_collector_explains_what_it_decided() {
    let folder = tempfile::tempdir().expect("made");
    let (port, socket) = (free_port(), folder.path().join("admin.sock"));
    let endpoint = format!("unix://{}", socket.display());
    let extra = format!(
        "extensions: {{admin: {{endpoint: '{endpoint}'}}}}\nservice: {{extensions: [admin], {PIPELINES}}}\n"
    );
    let path = folder.path().join("collector.yaml");
    std::fs::write(&path, configuration(&extra, "1s", port)).expect("written");
    let _running = collector().arg("--config").arg(&path).start();
    let (kept, left_out) = (request(0x10, 1, 0, true), request(0x10, 2, 0, false));
    for request in [&kept, &left_out] {
        let url = format!("http://127.0.0.1:{port}/v1/traces");
        let sent =
            ureq::post(&url).header("content-type", "application/json").send(request.to_string().as_str());
        assert_eq!(sent.expect("an answer").status().as_u16(), 200);
    }
    let explain = |id: &str| collector().args(["explain", "--admin", &endpoint, id]).finish();
    let deadline = Instant::now() + Duration::from_secs(60);
    while explain(id_of(&left_out)).code != 0 {
        assert!(Instant::now() < deadline, "it is decided");
        std::thread::sleep(Duration::from_millis(100));
    }
    let told = explain(id_of(&kept));
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stdout.starts_with("tail_sampling: sampled by errors, "), "{}", told.stdout);
    assert!(told.stdout.contains("at decision_wait; 1 spans"), "{}", told.stdout);
    assert!(told.stdout.contains("; stands for 1.00; policies of generation 0"), "{}", told.stdout);
    let told = explain(id_of(&left_out));
    assert!(told.stdout.starts_with("tail_sampling: not_sampled no policy wanted it, "), "{}", told.stdout);
    let unknown = explain("000000000000000000000000000000ff");
    assert_eq!(unknown.code, 2, "{}", unknown.stdout);
    assert_eq!(explain("12").code, 1);
}

#[test]
fn translated_rules_are_a_configuration_that_loads() {
    let folder = tempfile::tempdir().expect("made");
    let rules = repository().join("collector/src/convert/data/rules.yaml");
    let converted = collector().args(["convert", "refinery"]).arg(&rules).finish();
    assert_eq!(converted.code, 0, "{}", converted.stderr);
    assert!(converted.stderr.contains("UseClusterSize"), "what is left out is said: {}", converted.stderr);
    let base = format!(
        "receivers: {{otlp: {{protocols: {{http: {{}}}}}}}}\nexporters: {{nop: {{}}}}\nservice: {{{PIPELINES}}}\n"
    );
    std::fs::write(folder.path().join("base.yaml"), base).expect("written");
    std::fs::write(folder.path().join("sampling.yaml"), &converted.stdout).expect("written");
    let validated = collector()
        .args(["validate", "--config=base.yaml", "--config=sampling.yaml"])
        .within(folder.path())
        .finish();
    assert_eq!((validated.code, validated.stderr.as_str()), (0, ""), "{}", converted.stdout);
    let wrong = shell("printf 'RulesVersion: 1' | phoenix-collector convert refinery").finish();
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("Samplers"), "{}", wrong.stderr);
}

#[test]
fn traces_that_wait_stay_on_disk_over_a_restart_and_are_decided_without_any_data_coming() {
    let folder = tempfile::tempdir().expect("made");
    let (port, kept) = (free_port(), folder.path().join("kept.json"));
    let configuration = |wait: &str, shards: u32| {
        let path = folder.path().join("collector.yaml");
        let text = format!(
            "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
extensions: {{file_storage: {{directory: '{}', create_directory: true}}}}
processors:
  tail_sampling:
    decision_wait: {wait}
    num_shards: {shards}
    buffer: {{max_bytes: 20000000, spill: {{storage: file_storage, on_shutdown: keep}}}}
    policies:{POLICIES}
exporters: {{file: {{path: '{}', append: true}}}}
service:
  extensions: [file_storage]
  pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [file]}}}}
",
            folder.path().join("disk").display(),
            kept.display(),
        );
        std::fs::write(&path, text).expect("written");
        collector().arg("--config").arg(&path)
    };
    let running = configuration("1h", 1).start();
    for number in 1..=20 {
        let request = request(0x10, number, 0, number % 4 == 0);
        let url = format!("http://127.0.0.1:{port}/v1/traces");
        let sent =
            ureq::post(&url).header("content-type", "application/json").send(request.to_string().as_str());
        assert_eq!(sent.expect("an answer").status().as_u16(), 200);
    }
    assert_eq!(running.terminate(), 0);
    let lines = || std::fs::read_to_string(&kept).unwrap_or_default();
    let ids = |lines: &str| -> Vec<u32> {
        let spans = |line: &str| -> Vec<String> {
            let id = |part: &str| part.get(..16).map(str::to_owned);
            line.split("\"traceId\":\"").skip(1).filter_map(id).collect()
        };
        let mut ids: Vec<u32> =
            lines.lines().flat_map(spans).filter_map(|id| u32::from_str_radix(&id, 16).ok()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(lines(), "", "nothing was decided");

    let running = configuration("1s", 3).start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while ids(&lines()).len() < 5 {
        assert!(Instant::now() < deadline, "they are decided: {}\n{}", lines(), running.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(running.terminate(), 0);
    assert_eq!(ids(&lines()), [4, 8, 12, 16, 20]);
    let running = configuration("10ms", 3).start();
    assert_eq!(running.terminate(), 0);
    assert_eq!(ids(&lines()), [4, 8, 12, 16, 20], "and not twice");
}

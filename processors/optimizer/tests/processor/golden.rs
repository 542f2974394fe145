//! Whole requests in, whole requests out: `tests/data/*.json` each hold settings, requests by the second at which they come, and what
//! goes out by the second at which it does. `UPDATE_EXPECTED=1` writes what came out.

use std::path::Path;
use std::time::Duration;

use phoenix_component::harness::{StageHarness, golden};
use phoenix_config::decode_text;
use phoenix_pdata::Signal;
use phoenix_processor_optimizer::{OptimizerConfig, stage};
use phoenix_telemetry::Metrics;
use serde_json::{Value, json};

/// When the cases begin, in Unix seconds; a multiple of a minute.
const EPOCH: u64 = 1_700_000_040;

fn run(case: &Value) -> Value {
    let config = decode_text::<OptimizerConfig>(&case["settings"].to_string()).expect("settings");
    let spec = stage(&config, &[], 1, &Metrics::default(), "optimizer").expect("no conflicts");
    let mut harness = StageHarness::new(spec);
    harness.advance(Duration::from_secs(EPOCH));
    let mut out = Vec::new();
    let mut collect = |harness: &mut StageHarness| {
        let second = harness.now().monotonic.as_secs() - EPOCH;
        for fragment in harness.take_released() {
            out.push(json!({"at": second, "request": golden::to_json(&fragment.batch)}));
        }
    };
    let mut second = 0;
    for input in case["input"].as_array().expect("a list") {
        let at = input["at"].as_u64().expect("a second");
        while second < at {
            harness.advance(Duration::from_secs(1));
            collect(&mut harness);
            second += 1;
        }
        harness.send(golden::batch(Signal::Metrics, &input["request"].to_string())).expect("taken");
        collect(&mut harness);
    }
    let end = case["until"].as_u64().expect("a second");
    while second < end {
        harness.advance(Duration::from_secs(1));
        collect(&mut harness);
        second += 1;
    }
    harness.drain();
    collect(&mut harness);
    harness.books().assert_balanced();
    Value::from(out)
}

/// A case with a line for each request.
fn written(case: &Value, out: &Value) -> String {
    let lines = |list: &Value| {
        let lines: Vec<String> = list.as_array().into_iter().flatten().map(Value::to_string).collect();
        lines.join(",\n")
    };
    format!(
        "{{\"settings\": {},\n\"until\": {},\n\"input\": [\n{}\n],\n\"output\": [\n{}\n]}}\n",
        case["settings"],
        case["until"],
        lines(&case["input"]),
        lines(out)
    )
}

#[test]
fn requests_come_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let case: Value = serde_json::from_str(&text).expect("JSON");
        let out = run(&case);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&path, written(&case, &out)).expect("written");
        } else {
            assert_eq!(out, case["output"], "{}", path.display());
        }
        count += 1;
    }
    assert!(count >= 3, "only {count} cases");
}

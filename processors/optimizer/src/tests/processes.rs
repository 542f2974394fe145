//! Metrics of processes, in the shape of the `hostmetrics` receiver: each process is a resource.

use serde_json::{Value, json};

use super::data::*;

/// A request with CPU time and memory of processes: name, pid, seconds, bytes.
fn processes(time: i64, all: &[(&str, u32, f64, f64)]) -> Value {
    let entry = |(name, pid, cpu, memory): &(&str, u32, f64, f64)| {
        let critical = if *name == "database" { "phoenix.priority=critical" } else { "" };
        let resource = format!(
            "host.name=h process.executable.name={name} process.pid={pid} process.owner=u{pid} {critical}"
        );
        let cpu = sum(
            "process.cpu.time",
            2,
            true,
            &[("state=user", 0, time, *cpu), ("state=system", 0, time, *cpu)],
        );
        let memory = sum("process.memory.usage", 2, false, &[("", 0, time, *memory)]);
        let request = request(&resource, cpu);
        let mut entry = request["resourceMetrics"][0].clone();
        if let Some(metrics) = entry["scopeMetrics"][0]["metrics"].as_array_mut() {
            metrics.push(memory);
        }
        entry
    };
    json!({"resourceMetrics": all.iter().map(entry).collect::<Vec<_>>()})
}

fn total(rows: &[Row], name: &str) -> f64 {
    rows.iter().filter(|row| row.0 == name).map(|row| row.4.parse::<f64>().expect("a number")).sum()
}

#[test]
fn five_hundred_processes_become_a_few_series_with_exact_totals() {
    let mut fixture = configured("{interval: 10s, idle: 600s, presets: [processes]}");
    let names: Vec<String> = (0..100).map(|number| format!("program{number}")).collect();
    let mut before = 0;
    let mut after = Vec::new();
    let mut expected = (0.0, 0.0);
    let mut used = [0.0_f64; 499];
    for step in 1..=30_i64 {
        let time = 10 * step - 5;
        let mut all: Vec<(&str, u32, f64, f64)> = (0..499_u32)
            .map(|pid| {
                let name = names[(pid % 100) as usize].as_str();
                // Whole numbers, so that totals can be compared exactly. The busy ones change half way.
                let busy = if (pid % 100 < 5) == (step < 15) { 50 } else { 1 };
                used[pid as usize] += f64::from(busy);
                (name, pid, used[pid as usize], f64::from(1000 + pid))
            })
            .collect();
        all.push(("database", 9999, 7.0 * step as f64, 5.0));
        if step == 30 {
            before = 3 * all.len();
        }
        let passed = fixture.send_request(&processes(time, &all));
        let critical: Vec<&Row> =
            passed.iter().filter(|row| row.1.contains("phoenix.priority=critical")).collect();
        assert_eq!((critical.len(), passed.len()), (3, 3), "the critical process is whole, and alone passes");
        expected = (0.0, all.iter().filter(|one| one.0 != "database").map(|one| one.3).sum());
        for one in all.iter().filter(|one| one.0 != "database") {
            expected.0 += 2.0 * one.2;
        }
        after = fixture.advance(10);
    }
    let left = after.len() + 3;
    assert_eq!((left, before), (36, 1500));
    assert_eq!(total(&after, "process.memory.usage"), expected.1);
    // Increments since the beginning: the first points are known from their start.
    // Programs that lost their place say nothing new; their share stays in their own series.
    assert!(total(&after, "process.cpu.time") <= expected.0);
    let labels: Vec<&str> = after.iter().map(|row| row.1.as_str()).collect();
    assert!(labels.contains(&"host.name=h process.executable.name=_other_|state=user"), "{labels:?}");
}

#[test]
fn totals_of_counters_are_exact_over_every_change_of_ranks() {
    let mut fixture = configured(
        "{interval: 10s, idle: 600s, rules: [{name: top, match: {types: [counter]}, top_k: {k: 2, labels: [p], rank_by: [c], dwell: 0s, hysteresis: 1}}]}",
    );
    // The last value of every series that was let out.
    let mut last = std::collections::BTreeMap::new();
    let mut values = [0.0_f64; 8];
    let labels: Vec<String> = (0..8).map(|number| format!("p=p{number}")).collect();
    for step in 1..=60_i64 {
        for (number, value) in values.iter_mut().enumerate() {
            *value += if (step as usize / 6 + number) % 8 < 2 { 50.0 } else { 1.0 };
        }
        let points: Vec<Point<'_>> = labels
            .iter()
            .zip(&values)
            .map(|(labels, value)| (labels.as_str(), 0, 10 * step - 5, *value))
            .collect();
        fixture.send("", counter("c", &points));
        for row in fixture.advance(10) {
            let value: u64 = row.4.parse().expect("a number");
            let before = last.insert(row.1.clone(), value);
            assert!(row.2 < row.3 || value == 0, "{row:?}: what counts covers some time");
            assert!(before.is_none_or(|before| before <= value), "{} fell from {before:?} to {value}", row.1);
        }
    }
    assert_eq!(last.values().sum::<u64>(), values.iter().sum::<f64>() as u64);
    assert!(last.len() > 3, "ranks did change: {last:?}");
}

#[test]
fn a_level_that_became_part_of_another_ends() {
    let mut fixture = configured(
        "{interval: 10s, rules: [{name: top, match: {types: [gauge, up_down_counter]}, gauges: sum, top_k: {k: 1, labels: [p], rank_by: [m], dwell: 0s, hysteresis: 1}}]}",
    );
    let mut send = |time: i64, a: f64, b: f64| {
        fixture.send("", gauge("m", &[("p=a", -1, time, a), ("p=b", -1, time, b), ("p=c", -1, time, 1.0)]));
        let rows = fixture.advance(10);
        rows.into_iter().map(|row| (row.1, row.3, row.4)).collect::<Vec<_>>()
    };
    let row = |label: &str, time: i64, value: &str| (format!("|p={label}"), time, value.to_owned());
    assert_eq!(send(5, 50.0, 10.0), [row("_other_", 5, "11"), row("a", 5, "50")]);
    // The ranks change at the end of this interval, and with them what the next points go into.
    assert_eq!(send(15, 10.0, 90.0), [row("_other_", 15, "91"), row("a", 15, "10")]);
    let mut rows = send(25, 10.0, 90.0);
    if rows.iter().all(|row| row.0 != "|p=b") {
        rows = send(35, 10.0, 90.0);
    }
    let time = rows[0].1;
    assert_eq!(rows, [row("_other_", time, "11"), row("a", time, "stale"), row("b", time, "90")]);
}

#[test]
fn a_pid_that_is_used_again_is_another_process_of_the_program() {
    let mut fixture = configured("{interval: 10s, presets: [processes]}");
    fixture.send_request(&processes(5, &[("a", 7, 100.0, 10.0)]));
    fixture.advance(10);
    // The same pid, started at 11, with less on the clock.
    let mut again = processes(15, &[("a", 7, 3.0, 20.0)]);
    for point in 0..2 {
        again["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][point]["startTimeUnixNano"] =
            json!(nanos(11));
    }
    fixture.send_request(&again);
    let out = fixture.advance(10);
    assert_eq!(total(&out, "process.cpu.time"), 206.0);
    assert_eq!(total(&out, "process.memory.usage"), 20.0);
}

#[test]
fn metrics_without_the_labels_of_the_group_keep_their_identity() {
    let mut fixture = configured(
        "{interval: 10s, rules: [{name: top, match: {types: [counter]}, top_k: {k: 1, labels: [p], rank_by: [c]}}]}",
    );
    fixture.send("host=h", counter("c", &[("p=a", 0, 5, 1.0), ("p=b", 0, 5, 1.0), ("q=c", 0, 5, 1.0)]));
    let out = fixture.advance(10);
    assert_eq!(
        short(&out),
        [("host=h|p=_other_", 0, 5, "1"), ("host=h|p=a", 0, 5, "1"), ("host=h|q=c", 0, 5, "1")]
    );
}

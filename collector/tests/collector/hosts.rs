//! A host with 500 processes, from its `/proc` to what is sent, with the configurations that people start from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::binary::repository;
use crate::inside::Inside;

/// Processes, and programs that they run.
const PROCESSES: u32 = 500;
const PROGRAMS: u32 = 100;
/// Series of a process with the default metrics of the receiver.
const SERIES: usize = 7;

/// Writes `/proc` of such a host. One process is `postgres`; of the others each program has about five.
fn write_host(root: &Path) {
    let write = |path: String, text: String| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("proc/stat".into(), "cpu0 100 0 50 100\nbtime 1700000000\nprocesses 500\n".into());
    write("etc/passwd".into(), "root:x:0:0\n".into());
    for pid in 1..=PROCESSES {
        let name = if pid == 1 { "postgres".to_owned() } else { format!("program{}", pid % PROGRAMS) };
        let (user, pages) = (100 * u64::from(pid % 13), 10 + u64::from(pid));
        let proc = format!("proc/{pid}");
        write(
            format!("{proc}/stat"),
            format!(
                "{pid} ({name}) S 1 2 3 0 -1 0 100 0 7 0 {user} 50 0 0 20 0 3 0 100 4096000 {pages} 1 2\n"
            ),
        );
        write(format!("{proc}/io"), format!("rchar: {pid}\nwchar: 2\nsyscr: 3\nsyscw: 4\n"));
        write(format!("{proc}/status"), "Uid:\t0\t0\n".into());
        write(format!("{proc}/cmdline"), format!("/bin/{name}\0--pid={pid}\0"));
    }
}

/// The last value of every series in a file of requests: resource, metric and labels.
fn series(path: &Path) -> BTreeMap<(String, String, String), f64> {
    let mut found = BTreeMap::new();
    let list = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    for line in std::fs::read_to_string(path).expect("written").lines() {
        let request: Value = serde_json::from_str(line).expect("JSON");
        // A program that loses its place among the heaviest says that its memory ended; what it counted stays.
        for resource in list(&request, "resourceMetrics") {
            let of_resource = resource["resource"]["attributes"].to_string();
            for metric in list(&resource, "scopeMetrics").iter().flat_map(|scope| list(scope, "metrics")) {
                let name = metric["name"].as_str().unwrap_or_default().to_owned();
                for point in
                    list(&metric["sum"], "dataPoints").iter().chain(&list(&metric["gauge"], "dataPoints"))
                {
                    let key = (of_resource.clone(), name.clone(), point["attributes"].to_string());
                    if point["flags"] == 1 {
                        found.remove(&key);
                        continue;
                    }
                    let int = point["asInt"].as_str().and_then(|text| text.parse::<f64>().ok());
                    let value = int.or(point["asDouble"].as_f64()).expect("a value");
                    found.insert(key, value);
                }
            }
        }
    }
    found
}

/// Sums over all series, by metric and labels.
fn totals(series: &BTreeMap<(String, String, String), f64>) -> BTreeMap<(String, String), f64> {
    let mut totals = BTreeMap::new();
    for ((_, name, labels), value) in series {
        *totals.entry((name.clone(), labels.clone())).or_insert(0.0) += value;
    }
    totals
}

/// What a collector with this configuration writes of the host, with the processors of `pipeline`.
async fn run(config: &str, root: &Path, processors: &str) -> BTreeMap<(String, String, String), f64> {
    let path = root.join("out.json");
    let _ = std::fs::remove_file(&path);
    let text = std::fs::read_to_string(repository().join("configs").join(config)).expect("a configuration");
    let scrapers = text.split("    scrapers:").next().expect("a part").len();
    let (head, tail) = text.split_at(scrapers);
    let end = tail.find("\nprocessors:").expect("processors follow");
    let process = "    scrapers: {process: {mute_process_exe_error: true}}\n";
    let yaml = format!(
        "{head}    initial_delay: 10ms\n    root_path: '{}'\n{process}{}",
        root.display(),
        &tail[end..]
    )
    // The host is older than the collector: what it counted before is known by its start.
    .replace("    interval: 60s", "    interval: 1s\n    initial_value: keep")
    .replace("  debug: {}", &format!("  file: {{path: '{}'}}", path.display()))
    .replace("[debug]", "[file]")
    .replace("collection_interval: 10s", "collection_interval: 100ms");
    let at = yaml.find("      processors: [").expect("a pipeline");
    let end = at + yaml[at..].find('\n').expect("a line");
    let yaml = format!("{}      processors: [{processors}]{}", &yaml[..at], &yaml[end..]);
    let inside = Inside::start(&yaml).await;
    let accepted = [("receiver", "host_metrics")];
    while inside.metric("otelcol_receiver_accepted_metric_points", &accepted)
        < 3 * (SERIES as i64) * i64::from(PROCESSES)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    inside.shutdown(Duration::from_secs(10)).await;
    series(&path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_catalogs_keep_what_is_critical_and_every_total() {
    let host = tempfile::tempdir().expect("made");
    write_host(host.path());
    let before = run("processes-total.yaml", host.path(), "transform").await;
    assert_eq!(before.len(), SERIES * PROCESSES as usize);
    let critical = |series: &BTreeMap<(String, String, String), f64>| -> BTreeSet<_> {
        let of = |key: &&(String, String, String)| key.0.contains("phoenix.priority");
        series.keys().filter(of).cloned().collect()
    };
    // (configuration, the most series that are left, in percent)
    for (config, most) in [("processes-by-program.yaml", 21), ("host.yaml", 10), ("processes-total.yaml", 1)]
    {
        let after = run(config, host.path(), "transform, optimizer").await;
        assert!(after.len() * 100 <= before.len() * most, "{config}: {} of {}", after.len(), before.len());
        assert_eq!(critical(&after), critical(&before), "{config}");
        assert_eq!(critical(&after).len(), SERIES);
        let (before, after) = (totals(&before), totals(&after));
        assert_eq!(before.len(), after.len());
        for (key, total) in &before {
            let left = after[key];
            assert!(
                (left - total).abs() <= 1e-9 * total.abs(),
                "{config}: {key:?} was {total} and is {left}"
            );
        }
    }
}

//! This host, as otelcol and as this receiver see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use phoenix_config::decode_text;

use super::fake::{Row, read, read_json};
use crate::HostMetricsConfig;
use crate::host::Paths;
use crate::round::{Moment, Round};
use crate::scrapers::{Constants, space};

/// What the `file` exporter of an otelcol wrote a moment ago, with all scrapers and their defaults.
const RECORDING: &str = "OTELCOL_HOST_METRICS";

/// Values that are equal, or nearly so, for they move.
fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 0.1 * one.abs().max(other.abs()) + 5.0
}

fn keys(labels: &str) -> String {
    let mut keys: Vec<&str> = labels.split(' ').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.join(",")
}

/// The labels of a point in order.
fn sorted(labels: &str) -> String {
    let mut pairs: Vec<&str> = labels.split(' ').collect();
    pairs.sort_unstable();
    pairs.join(" ")
}

fn shapes(rows: &[Row]) -> BTreeSet<(String, String, String, String, String)> {
    rows.iter()
        .map(|row| {
            (row.scope.clone(), row.name.clone(), row.unit.clone(), row.kind.clone(), keys(&row.labels))
        })
        .collect()
}

/// Series of the host itself, and their values.
fn host_series(rows: &[Row]) -> BTreeMap<(String, String), (f64, u64)> {
    let of_host = rows.iter().filter(|row| row.resource.is_empty());
    of_host.map(|row| ((row.name.clone(), sorted(&row.labels)), (row.value, row.start))).collect()
}

#[test]
fn this_host_looks_as_it_does_to_otelcol() {
    let Some(recording) = std::env::var_os(RECORDING) else { return };
    let text = std::fs::read_to_string(recording).expect("a recording");
    let last = text.lines().last().expect("a request");
    let theirs = read_json(&serde_json::from_str(last).expect("JSON"));
    let yaml = "scrapers: {cpu: , disk: , filesystem: , load: , memory: , network: , paging: , processes: , process: , system: }";
    let config = decode_text::<HostMetricsConfig>(yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let constants = Constants {
        ticks_per_second: rustix::param::clock_ticks_per_second(),
        page_size: rustix::param::page_size() as u64,
    };
    let mut round = Round::new(&config, Paths::new("", |_| None), constants, "1").expect("settings");
    let moment = Moment { now: SystemTime::now(), is_late: &|| false, space: &space };
    let own = read(&round.scrape("host_metrics", &moment).bytes);
    assert_eq!(shapes(&own), shapes(&theirs));
    let (own_host, their_host) = (host_series(&own), host_series(&theirs));
    // Processes and connections come into states and leave them.
    let comes_and_goes = |name: &str| matches!(name, "system.processes.count" | "system.network.connections");
    let names = |series: &BTreeMap<(String, String), (f64, u64)>| -> BTreeSet<_> {
        series.keys().filter(|(name, _)| !comes_and_goes(name)).cloned().collect()
    };
    assert_eq!(names(&own_host), names(&their_host));
    let far: Vec<_> = own_host
        .iter()
        .filter_map(|(series, own)| Some((series, own, their_host.get(series)?)))
        .filter(|((name, _), own, theirs)| {
            let near = is_near(own.0, theirs.0) && own.1.abs_diff(theirs.1) <= 2_000_000_000;
            !near && !comes_and_goes(name)
        })
        .collect();
    assert!(far.len() * 50 <= own_host.len(), "{} of {} differ: {far:#?}", far.len(), own_host.len());
    let processes = |rows: &[Row]| -> BTreeSet<String> {
        rows.iter()
            .filter(|row| row.name == "process.memory.virtual")
            .map(|row| sorted(&row.resource))
            .collect()
    };
    let (own, theirs) = (processes(&own), processes(&theirs));
    let both = own.intersection(&theirs).count();
    assert!(
        both * 10 >= own.len().max(theirs.len()) * 8,
        "{both} of {} and {}: {own:#?} {theirs:#?}",
        own.len(),
        theirs.len()
    );
}

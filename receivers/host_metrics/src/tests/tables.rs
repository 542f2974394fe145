//! Every metric against the table of otelcol's: name, unit, type, default, and the keys of attributes.

use std::collections::BTreeSet;

use super::fake::{FakeHost, NOW, read};
use crate::catalog::*;
use crate::metric::Catalog;

const TABLE: &str = include_str!("otelcol-metrics.tsv");

/// scraper, metric, unit, type, default, attributes
fn table() -> Vec<[&'static str; 6]> {
    let row = |line: &'static str| -> [&str; 6] {
        line.split('\t').collect::<Vec<_>>().try_into().expect("six columns")
    };
    TABLE.lines().skip(1).map(row).collect()
}

#[test]
fn the_catalogs_are_those_of_otelcol() {
    fn rows<C: Catalog>(scraper: &str) -> impl Iterator<Item = (String, &'static str, &'static str, bool)> {
        C::METRICS.iter().map(move |metric| (scraper.to_owned(), metric.name, metric.unit, metric.default))
    }
    let own: BTreeSet<_> = rows::<CpuMetric>("cpu")
        .chain(rows::<DiskMetric>("disk"))
        .chain(rows::<FilesystemMetric>("filesystem"))
        .chain(rows::<LoadMetric>("load"))
        .chain(rows::<MemoryMetric>("memory"))
        .chain(rows::<NetworkMetric>("network"))
        .chain(rows::<NfsMetric>("nfs"))
        .chain(rows::<PagingMetric>("paging"))
        .chain(rows::<ProcessMetric>("process"))
        .chain(rows::<ProcessesMetric>("processes"))
        .chain(rows::<SystemMetric>("system"))
        .collect();
    let theirs: BTreeSet<_> = table()
        .into_iter()
        .map(|[scraper, name, unit, _, default, _]| (scraper.to_owned(), name, unit, default == "on"))
        .collect();
    assert_eq!(own, theirs);
}

#[test]
fn what_is_sent_is_as_in_the_table() {
    let host = FakeHost::new();
    host.process(7, "x", 1, 100);
    host.write("proc/7/fd/0", "");
    host.write("proc/cpuinfo", "processor : 0\ncpu MHz : 1000\n");
    host.write("proc/meminfo", "MemTotal: 1000 kB\nHugePages_Total: 2\n");
    host.write("proc/sys/net/netfilter/nf_conntrack_count", "1\n");
    host.write("proc/sys/net/netfilter/nf_conntrack_max", "2\n");
    host.nfs();
    // Only Windows has handles.
    let wanted: Vec<_> = table().into_iter().filter(|row| row[1] != "process.handles").collect();
    let mut scrapers = std::collections::BTreeMap::<&str, String>::new();
    for [scraper, name, ..] in &wanted {
        *scrapers.entry(scraper).or_default() += &format!("{name}: {{enabled: true}}, ");
    }
    let scrapers: Vec<String> =
        scrapers.iter().map(|(scraper, metrics)| format!("{scraper}: {{metrics: {{{metrics}}}}}")).collect();
    let mut round = host.round(&format!("scrapers: {{{}}}", scrapers.join(", ")));
    host.scrape(&mut round, NOW);
    let rows = read(&host.scrape(&mut round, NOW + 1_000_000_000).bytes);
    let own: BTreeSet<_> = rows
        .iter()
        .map(|row| {
            let mut keys: Vec<&str> =
                row.labels.split(' ').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
            keys.sort_unstable();
            let scraper = row.scope.rsplit('/').next().and_then(|name| name.strip_suffix("scraper"));
            let scraper = scraper.unwrap_or_default().to_owned();
            (scraper, row.name.clone(), row.unit.clone(), row.kind.clone(), keys.join(","))
        })
        .collect();
    let theirs: BTreeSet<_> = wanted
        .iter()
        .map(|[scraper, name, unit, kind, _, attributes]| {
            let text = |text: &str| text.to_owned();
            (text(scraper), text(name), text(unit), text(kind), text(attributes))
        })
        .collect();
    assert_eq!(own, theirs);
}

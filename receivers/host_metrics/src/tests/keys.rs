//! What the keys of each scraper do.

use std::collections::BTreeSet;

use super::fake::{FakeHost, NOW, read};

/// The values of a label in what a scraper with these settings reads.
fn seen(host: &FakeHost, label: &str, scraper: &str, settings: &str) -> Vec<String> {
    let rows = read(&host.scrape_once(&format!("scrapers: {{{scraper}: {settings}}}")).bytes);
    let value = |text: &str| Some(text.strip_prefix(label)?.strip_prefix('=')?.to_owned());
    let found: BTreeSet<String> =
        rows.iter().flat_map(|row| row.labels.split(' ').filter_map(value).collect::<Vec<_>>()).collect();
    found.into_iter().collect()
}

#[test]
fn lists_say_which_devices_interfaces_and_filesystems_are_meant() {
    let host = FakeHost::new();
    host.write(
        "proc/diskstats",
        "8 0 sda 1 1 1 1 1 1 1 1 1 1 1\n8 16 sdb 1 1 1 1 1 1 1 1 1 1 1\n7 0 loop0 1 1 1 1 1 1 1 1 1 1 1\n",
    );
    host.write(
        "proc/net/dev",
        "h\nh\neth0: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\nlo: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n",
    );
    host.write(
        "proc/1/mountinfo",
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 0 8:2 / /data rw - xfs /dev/sdb1 rw\n3 0 0:1 / /tmp rw - tmpfs none rw\n",
    );
    host.write("proc/filesystems", "nodev\ttmpfs\n\text4\n\txfs\n");
    // (scraper, label, settings, values)
    let cases: [(&str, &str, &str, &[&str]); 16] = [
        ("disk", "device", "{}", &["loop0", "sda", "sdb"]),
        ("disk", "device", "{include: {devices: [sda], match_type: strict}}", &["sda"]),
        ("disk", "device", "{include: {devices: [sd], match_type: strict}}", &[]),
        ("disk", "device", "{include: {devices: ['^sd'], match_type: regexp}}", &["sda", "sdb"]),
        ("disk", "device", "{exclude: {devices: ['^loop'], match_type: regexp}}", &["sda", "sdb"]),
        (
            "disk",
            "device",
            "{include: {devices: ['^sd'], match_type: regexp}, exclude: {devices: [sdb], match_type: strict}}",
            &["sda"],
        ),
        ("network", "device", "{exclude: {interfaces: [lo], match_type: strict}}", &["eth0"]),
        ("network", "device", "{include: {interfaces: ['l.'], match_type: regexp}}", &["lo"]),
        ("filesystem", "mountpoint", "{}", &["/", "/data"]),
        ("filesystem", "mountpoint", "{include_virtual_filesystems: true}", &["/", "/data", "/tmp"]),
        ("filesystem", "mountpoint", "{include_devices: {devices: [/dev/sda1], match_type: strict}}", &["/"]),
        ("filesystem", "mountpoint", "{exclude_devices: {devices: [sda], match_type: regexp}}", &["/data"]),
        ("filesystem", "mountpoint", "{include_fs_types: {fs_types: [xfs], match_type: strict}}", &["/data"]),
        ("filesystem", "mountpoint", "{exclude_fs_types: {fs_types: [xfs], match_type: strict}}", &["/"]),
        (
            "filesystem",
            "mountpoint",
            "{include_mount_points: {mount_points: ['^/d'], match_type: regexp}}",
            &["/data"],
        ),
        (
            "filesystem",
            "mountpoint",
            "{exclude_mount_points: {mount_points: [/], match_type: strict}}",
            &["/data"],
        ),
    ];
    for (scraper, label, settings, expected) in cases {
        assert_eq!(seen(&host, label, scraper, settings), expected, "{scraper}: {settings}");
    }
}

#[test]
fn load_can_be_that_of_each_processor() {
    let host = FakeHost::new();
    let one = |settings: &str| {
        let rows = read(&host.scrape_once(&format!("scrapers: {{load: {settings}}}")).bytes);
        rows.iter().find(|row| row.name == "system.cpu.load_average.5m").expect("load").value
    };
    assert_eq!((one("{}"), one("{cpu_average: true}")), (1.25, 0.625));
}

#[test]
fn processes_are_meant_by_name_and_have_the_attributes_that_are_on() {
    let host = FakeHost::new();
    host.process(7, "web", 1, 100);
    host.process(8, "worker", 1, 100);
    host.write("proc/7/cgroup", "0::/system.slice\n");
    host.write("proc/8/cgroup", "0::/system.slice\n");
    let resources = |settings: &str| -> BTreeSet<String> {
        let rows = read(&host.scrape_once(&format!("scrapers: {{process: {settings}}}")).bytes);
        rows.into_iter().map(|row| row.resource).collect()
    };
    let names = |settings: &str| -> Vec<bool> {
        let all = resources(settings);
        ["name=web", "name=worker"].map(|name| all.iter().any(|one| one.contains(name))).into()
    };
    assert_eq!(names("{include: {names: [web], match_type: strict}}"), [true, false]);
    assert_eq!(names("{exclude: {names: [web], match_type: strict}}"), [false, true]);
    assert_eq!(
        names(
            "{include: {names: ['^w'], match_type: regexp}, exclude: {names: [worker], match_type: strict}}"
        ),
        [true, false]
    );
    let one = resources(
        "{include: {names: [web], match_type: strict}, resource_attributes: {process.pid: {enabled: false}, process.owner: {enabled: false}, process.cgroup: {enabled: true}}}",
    );
    let one = one.first().expect("a process");
    assert!(one.contains("process.cgroup=0::/system.slice") && one.contains("process.parent_pid=1"), "{one}");
    assert!(!one.contains("process.pid=") && !one.contains("process.owner"), "{one}");
}

#[test]
fn each_kind_of_failure_of_a_process_can_be_muted_by_itself() {
    let host = FakeHost::new();
    host.process(7, "odd", 1, 100);
    // What cannot be read: a folder where a file should be, a user that nobody knows.
    for file in ["io", "cgroup", "exe"] {
        let _ = std::fs::remove_file(host.path(&format!("proc/7/{file}")));
        host.write(&format!("proc/7/{file}/x"), "");
    }
    host.write("proc/7/status", "Uid:\t4711\t0\n");
    host.write("proc/9/stat/x", "");
    let failed = |keys: &str| {
        let mut round = host.round(&format!(
            "scrapers: {{process: {{resource_attributes: {{process.cgroup: {{enabled: true}}}}, {keys}}}}}"
        ));
        host.scrape(&mut round, NOW);
        round.failed[0]
    };
    let all = ["name", "exe", "io", "user", "cgroup"];
    assert_eq!(failed(""), all.len() as u64);
    for kind in all {
        assert_eq!(failed(&format!("mute_process_{kind}_error: true")), all.len() as u64 - 1, "{kind}");
    }
    let each: String = all.iter().map(|kind| format!("mute_process_{kind}_error: true, ")).collect();
    assert_eq!(failed(&each), 0);
    assert_eq!(failed("mute_process_all_errors: true"), 0);
}

#[test]
fn what_hardly_changes_of_a_process_is_read_again_in_time() {
    let host = FakeHost::new();
    host.process(7, "web", 1, 100);
    let second = 1_000_000_000;
    let mut round = host.round("{metadata_collection_interval: 60s, scrapers: {process: {}}}");
    let mut line_at = |seconds: u64| {
        let rows = read(&host.scrape(&mut round, NOW + seconds * second).bytes);
        rows.first().expect("a process").resource.contains("--reloaded")
    };
    assert!(!line_at(0));
    host.write("proc/7/cmdline", "/bin/web\0--reloaded\0");
    assert!(!line_at(30));
    assert!(line_at(61));
}

#[test]
fn every_metric_can_be_turned_off() {
    let host = FakeHost::new();
    host.process(7, "web", 1, 100);
    host.nfs();
    let all = "{cpu: {}, disk: {}, filesystem: {}, load: {}, memory: {}, network: {}, nfs: {}, paging: {}, processes: {}, process: {}, system: {}}";
    let rows = read(&host.scrape_once(&format!("scrapers: {all}")).bytes);
    let scraper = |scope: &str| {
        scope.rsplit('/').next().and_then(|name| name.strip_suffix("scraper")).expect("a scraper").to_owned()
    };
    let metrics: BTreeSet<(String, String)> =
        rows.iter().map(|row| (scraper(&row.scope), row.name.clone())).collect();
    for (scraper, name) in &metrics {
        let settings = format!("scrapers: {{{scraper}: {{metrics: {{{name}: {{enabled: false}}}}}}}}");
        let rows = read(&host.scrape_once(&settings).bytes);
        assert!(rows.iter().all(|row| row.name != *name), "{name}");
        let others = metrics.iter().filter(|(other, _)| other == scraper).count() - 1;
        let left: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(left.len(), others, "{name}");
    }
}

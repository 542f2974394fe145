//! Whole looks at hosts that are folders.

mod fake;
mod keys;
mod peer;
mod tables;

use std::time::{Duration, UNIX_EPOCH};

use fake::{BOOT, FakeHost, NOW, read};

const ALL: &str = "{cpu: {}, disk: {}, filesystem: {}, load: {}, memory: {}, network: {}, paging: {}, processes: {}, process: {}, system: {}}";

#[test]
fn a_whole_look_at_a_host() {
    let host = FakeHost::new();
    host.process(1, "init", 0, 100);
    host.process(77, "a) R (b", 1, 500);
    let scraped = host.scrape_once(&format!("scrapers: {ALL}"));
    let rows = read(&scraped.bytes);
    assert_eq!(rows.len() as u64, scraped.points);
    let value = |name: &str, labels: &str| {
        let row = rows.iter().find(|row| row.name == name && row.labels == labels);
        row.unwrap_or_else(|| panic!("{name} {labels} in {rows:#?}")).value
    };
    assert_eq!(value("system.cpu.time", "cpu=cpu0 state=user"), 1.0);
    assert_eq!(value("system.cpu.time", "cpu=cpu1 state=wait"), 0.05);
    assert_eq!(value("system.cpu.load_average.5m", ""), 1.25);
    assert_eq!(value("system.memory.usage", "state=used"), 600.0 * 1024.0);
    assert_eq!(value("system.disk.io", "device=sda direction=write"), 81_920.0);
    assert_eq!(value("system.disk.io_time", "device=sda"), 0.009);
    assert_eq!(value("system.network.io", "device=eth0 direction=transmit"), 200.0);
    assert_eq!(value("system.network.connections", "protocol=tcp state=LISTEN"), 1.0);
    assert_eq!(value("system.paging.faults", "type=minor"), 36.0 * 4096.0);
    assert_eq!(value("system.paging.usage", "device=/dev/sdb1 state=free"), 6.0 * 1024.0);
    assert_eq!(value("system.processes.created", ""), 77.0);
    assert_eq!(value("system.processes.count", "status=sleeping"), 2.0);
    assert_eq!(value("system.uptime", ""), 1000.0);
    assert_eq!(
        value(
            "system.filesystem.usage",
            "device=/dev/sda1 mode=rw mountpoint=/data type=ext4 state=reserved"
        ),
        100.0
    );
    let process: Vec<_> = rows.iter().filter(|row| row.resource.contains("process.pid=77 ")).collect();
    assert_eq!(process.len(), 7, "{process:#?}");
    assert!(process[0].resource.contains("process.executable.name=a) R (b"), "{:?}", process[0]);
    assert!(process[0].resource.contains("process.owner=root"));
    assert_eq!(process[0].start, BOOT + 5_000_000_000, "a process counts from its own start");
    assert!(
        rows.iter().filter(|row| row.resource.is_empty()).all(|row| row.start == BOOT && row.time == NOW)
    );
    assert!(
        scraped.scrapers.iter().all(|(read, failed)| *read > 0 && *failed == 0),
        "{:?}",
        scraped.scrapers
    );
}

#[test]
fn one_scraper_that_fails_does_not_stop_the_others() {
    let host = FakeHost::new();
    host.process(1, "init", 0, 100);
    for file in ["proc/meminfo", "proc/diskstats", "proc/swaps"] {
        host.remove(file);
    }
    let mut round = host.round(&format!("scrapers: {ALL}"));
    let names = round.names();
    let scraped = host.scrape(&mut round, NOW);
    let failed: Vec<(&str, (u64, u64))> =
        names.into_iter().zip(scraped.scrapers).filter(|(_, counts)| counts.1 > 0).collect();
    assert_eq!(failed, [("disk", (0, 7)), ("memory", (0, 1)), ("paging", (2, 1))]);
    assert!(!read(&scraped.bytes).is_empty());
}

#[test]
fn a_host_is_a_client_of_nfs_a_server_or_both() {
    let host = FakeHost::new();
    host.nfs();
    let scraped = host.scrape_once("scrapers: {nfs: {}}");
    let rows = read(&scraped.bytes);
    let value = |name: &str, labels: &str| {
        let row = rows.iter().find(|row| row.name == name && row.labels == labels);
        row.unwrap_or_else(|| panic!("{name} {labels} in {rows:#?}")).value
    };
    assert_eq!(value("nfs.client.net.count", "network.transport=tcp"), 5.0);
    assert_eq!(value("nfs.client.net.tcp.connection.accepted", ""), 1.0);
    assert_eq!(value("nfs.client.rpc.retransmit.count", ""), 7.0);
    assert_eq!(value("nfs.client.procedure.count", "onc_rpc.version=3 onc_rpc.procedure.name=GETATTR"), 20.0);
    assert_eq!(value("nfs.client.operation.count", "onc_rpc.version=4 nfs.operation.name=READ"), 40.0);
    assert_eq!(value("nfs.server.io", "network.io.direction=transmit"), 2000.0);
    assert_eq!(value("nfs.server.repcache.requests", "nfs.server.repcache.status=nocache"), 9.0);
    assert_eq!(value("nfs.server.rpc.count", "error.type=client"), 3.0);
    assert_eq!(value("nfs.server.thread.count", ""), 8.0);
    assert_eq!(
        value("nfs.server.procedure.count", "onc_rpc.version=4 onc_rpc.procedure.name=COMPOUND"),
        60.0
    );
    assert_eq!(value("nfs.server.operation.count", "onc_rpc.version=4 nfs.operation.name=ACCESS"), 70.0);
    assert_eq!(scraped.scrapers, [(16, 0)]);
    host.remove("proc/net/rpc/nfsd");
    assert_eq!(host.scrape_once("scrapers: {nfs: {}}").scrapers, [(7, 0)], "a client alone");
    host.remove("proc/net/rpc/nfs");
    assert_eq!(host.scrape_once("scrapers: {nfs: {}}").scrapers, [(0, 16)], "neither");
    let off = "scrapers: {nfs: {metrics: {nfs.server.io: {enabled: false}}}}";
    host.nfs();
    assert_eq!(host.scrape_once(off).scrapers, [(15, 0)]);
}

#[test]
fn shares_of_time_need_two_looks() {
    let host = FakeHost::new();
    host.process(5, "worker", 0, 100);
    let mut round = host.round(
        "scrapers: {cpu: {metrics: {system.cpu.time: {enabled: false}, system.cpu.utilization: {enabled: true}}}, process: {metrics: {process.cpu.utilization: {enabled: true}}}}",
    );
    let shares = |bytes: &[u8]| {
        let rows = read(bytes);
        let found: Vec<_> = rows.into_iter().filter(|row| row.name.ends_with(".utilization")).collect();
        found.into_iter().map(|row| (row.labels, row.value)).collect::<Vec<_>>()
    };
    assert!(shares(&host.scrape(&mut round, NOW).bytes).is_empty());
    host.write("proc/stat", "cpu0 150 0 50 100 0 0 0 0 0 0\ncpu1 10 0 5 100 5 0 0 0 0 0\nbtime 1700000000\n");
    host.process_with(5, "worker", 0, 100, 200);
    let found = shares(&host.scrape(&mut round, NOW + 1_000_000_000).bytes);
    let share = |labels: &str| found.iter().find(|row| row.0 == labels).expect(labels).1;
    assert_eq!(share("cpu=cpu0 state=user"), 1.0, "{found:?}");
    assert_eq!(share("cpu=cpu1 state=idle"), 0.0);
    assert_eq!(share("state=user"), 0.5, "one of two CPUs");
}

#[test]
fn processes_come_and_go_and_numbers_are_used_again() {
    let host = FakeHost::new();
    host.process(7, "first", 0, 100);
    host.process(8, "other", 0, 100);
    let mut round =
        host.round("scrapers: {process: {include: {names: [\"^(first|second)$\"], match_type: regexp}}}");
    let names = |bytes: &[u8]| {
        let mut names: Vec<String> = read(bytes).into_iter().map(|row| row.resource).collect();
        names.dedup();
        names
    };
    let found = names(&host.scrape(&mut round, NOW).bytes);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("process.executable.name=first"));
    host.process(7, "second", 0, 900);
    let rows = read(&host.scrape(&mut round, NOW + 1_000_000_000).bytes);
    assert!(rows.iter().all(|row| row.resource.contains("name=second") && row.start == BOOT + 9_000_000_000));
    host.remove_process(7);
    let scraped = host.scrape(&mut round, NOW + 2_000_000_000);
    assert_eq!((scraped.points, scraped.scrapers[0]), (0, (0, 0)), "an end is no failure");
}

#[test]
fn what_may_not_be_read_is_counted_or_muted() {
    let host = FakeHost::new();
    host.process(7, "kernel", 0, 100);
    host.remove("proc/7/exe");
    host.write("proc/7/status", "Uid:\t4711\t0\n");
    let failed = |settings: &str| host.scrape_once(&format!("scrapers: {{process: {settings}}}")).scrapers[0];
    assert_eq!(failed("{}"), (4, 1), "the path of the executable");
    assert_eq!(failed("{mute_process_exe_error: true}"), (4, 0));
    assert_eq!(failed("{mute_process_all_errors: true}"), (4, 0));
}

#[test]
fn young_processes_wait_and_a_deadline_cuts_short() {
    let host = FakeHost::new();
    host.process(7, "young", 0, 99_900);
    host.process(8, "old", 0, 100);
    let rows = read(&host.scrape_once("scrapers: {process: {scrape_process_delay: 10s}}").bytes);
    assert!(!rows.is_empty() && rows.iter().all(|row| row.resource.contains("name=old")), "{rows:#?}");
    let mut round = host.round("scrapers: {cpu: {}, process: {}}");
    let moment = crate::round::Moment {
        now: UNIX_EPOCH + Duration::from_nanos(NOW),
        is_late: &|| true,
        space: &fake::space,
    };
    let scraped = round.scrape("host_metrics", &moment);
    assert_eq!((scraped.points, scraped.scrapers), (0, vec![(0, 1), (0, 4)]));
}

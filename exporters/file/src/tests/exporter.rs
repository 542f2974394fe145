//! Requests in, files and answers out.

use phoenix_component::factory::{CreateContext, Shared};
use phoenix_component::{ComponentKey, Leases};
use phoenix_config::ComponentId;

use super::*;

struct Rig {
    folder: TempDir,
    disk: Faulty,
    host: Host,
}

impl Rig {
    fn new() -> Rig {
        Rig { folder: tempfile::tempdir().expect("made"), disk: Faulty::default(), host: Host::for_tests() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An exporter of `settings` with the path below the folder.
    fn make(&self, signal: Signal, settings: &str) -> FileExporter {
        let mut config: FileConfig = serde_json::from_str(settings).expect(settings);
        config.path = self.path(&config.path).to_string_lossy().into_owned();
        let id = ComponentId::parse("file").expect("an identifier");
        let key = ComponentKey { kind: Kind::Exporter, id: id.clone(), scope: signal.name().to_owned() };
        let (status, shared) = (self.host.health.reporter(key), Shared::default());
        let cx = CreateContext { id: &id, host: &self.host, status, shared: &shared };
        FileExporter::over(Arc::new(self.disk.clone()), &config, &cx, signal)
    }

    async fn start(&self, signal: Signal, settings: &str) -> FileExporter {
        let exporter = self.make(signal, settings);
        exporter.start(&self.host).await.expect("starts");
        exporter
    }

    fn sum(&self, name: &str) -> i64 {
        self.host.metrics.sum(name, &[("exporter", "file")])
    }

    fn status(&self) -> Status {
        self.host.health.snapshot().remove(0).1
    }
}

fn golden(name: &str) -> String {
    text(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/otelcol").join(name))
}

/// The records of a file, each after its length.
fn framed(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).expect("read");
    let (mut rest, mut records) = (bytes.as_slice(), Vec::new());
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (record, after) = after.split_at(u32::from_be_bytes(*len) as usize);
        records.push(record.to_vec());
        rest = after;
    }
    assert!(rest.is_empty());
    records
}

#[tokio::test]
async fn writes_what_otelcol_writes() {
    for signal in Signal::ALL {
        let rig = Rig::new();
        let exporter = rig.start(signal, r#"{"path": "x.json"}"#).await;
        let input = batch(signal, &golden(&format!("input-{signal}.json")));
        exporter.export(input.clone()).await.expect("written");
        let written = text(rig.path("x.json"));
        assert_eq!(written, golden(&format!("file-{signal}.json")).trim_end().to_owned() + "\n", "{signal}");
        let canonical = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(canonical(&written), canonical(&golden(&format!("file-{signal}.json"))));
        let sent = rig.sum(&format!("otelcol_exporter_sent_{}", signal.items_name()));
        assert_eq!(sent, input.items as i64);
    }
}

#[tokio::test]
async fn each_format_and_compression_can_be_read_back() {
    let unzip = |bytes: Vec<u8>| zstd::decode_all(bytes.as_slice()).expect("zstd");
    let (first, second) = (logs(&["a"], "one"), logs(&["b"], "two"));
    let both = [&first, &second].map(|batch| batch.payload.clone().into_contiguous().to_vec());
    let lines = [&first, &second].map(|batch| {
        let mut line = Vec::new();
        json::encode(Signal::Logs, &batch.payload, &mut line);
        line
    });
    for (settings, is_json, is_zstd) in [
        (r#"{"path": "x", "format": "proto"}"#, false, false),
        (r#"{"path": "x", "format": "proto", "compression": "zstd"}"#, false, true),
        (r#"{"path": "x", "compression": "zstd", "compression_params": {"level": 19}}"#, true, true),
    ] {
        let rig = Rig::new();
        let exporter = rig.start(Signal::Logs, settings).await;
        exporter.export(first.clone()).await.expect("written");
        exporter.export(second.clone()).await.expect("written");
        let records = framed(&rig.path("x"));
        let records: Vec<_> = records.into_iter().map(|r| if is_zstd { unzip(r) } else { r }).collect();
        assert_eq!(records, if is_json { lines.to_vec() } else { both.to_vec() }, "{settings}");
    }
}

#[tokio::test]
async fn all_signals_of_an_exporter_write_to_one_file() {
    let rig = Rig::new();
    let settings = r#"{"path": "x.json"}"#;
    fs::write(rig.path("x.json"), "old").expect("written");
    let mut exporters = Vec::new();
    for signal in Signal::ALL {
        exporters.push((signal, rig.start(signal, settings).await));
    }
    for (signal, exporter) in &exporters {
        exporter.export(batch(*signal, &golden(&format!("input-{signal}.json")))).await.expect("written");
    }
    let expected: String = Signal::ALL
        .map(|signal| golden(&format!("file-{signal}.json")).trim_end().to_owned() + "\n")
        .concat();
    assert_eq!(text(rig.path("x.json")), expected);
}

#[tokio::test]
async fn groups_go_to_files_of_their_own_and_the_rest_is_counted() {
    let rig = Rig::new();
    let settings =
        r#"{"path": "out/*.json", "group_by": {"enabled": true, "resource_attribute": "service.name"}}"#;
    let exporter = rig.start(Signal::Logs, settings).await;
    exporter.export(logs(&["a", "team/b", "a"], "x")).await.expect("written");
    assert_eq!(text(rig.path("out/a.json")).matches("stringValue\":\"x\"").count(), 2);
    assert_eq!(text(rig.path("out/team/b.json")).lines().count(), 1);
    // No file can have these names; the others do not suffer.
    let long = "n".repeat(300);
    exporter.export(logs(&["a", "b\0", &long, "a.json/c"], "y")).await.expect("the rest is written");
    assert_eq!(text(rig.path("out/a.json")).lines().count(), 2);
    exporter
        .export(batch(Signal::Logs, r#"{"resourceLogs": [{"scopeLogs": [{"logRecords": [{}]}]}]}"#))
        .await
        .expect("taken");
    let counts =
        ["sent_log_records", "send_failed_log_records"].map(|n| rig.sum(&format!("otelcol_exporter_{n}")));
    assert_eq!(counts, [4, 4]);
}

#[tokio::test]
async fn a_full_disk_is_a_retryable_refusal_and_shows_until_it_works_again() {
    let rig = Rig::new();
    let exporter = rig.start(Signal::Logs, r#"{"path": "x.json"}"#).await;
    exporter.export(logs(&["a"], "one")).await.expect("written");
    let before = text(rig.path("x.json"));
    rig.disk.0.room.store(10, SeqCst);
    let refusal: Refusal = exporter.export(logs(&["a"], "two")).await.expect_err("full");
    assert!(refusal.is_retryable() && refusal.delay().is_some());
    assert!(refusal.message().contains("x.json") && refusal.message().contains("free space"), "{refusal}");
    assert_eq!(text(rig.path("x.json")), before, "nothing torn");
    assert!(matches!(rig.status(), Status::Recoverable(_)), "{:?}", rig.status());
    assert_eq!(rig.sum("otelcol_exporter_send_failed_log_records"), 1);
    assert_eq!(rig.sum("phoenix_exporter_file_refused_requests"), 1);
    rig.disk.0.room.store(u64::MAX, SeqCst);
    exporter.export(logs(&["a"], "two")).await.expect("written");
    assert_eq!(rig.status(), Status::Ok);
    assert_eq!(text(rig.path("x.json")).lines().count(), 2);
    assert_eq!(rig.sum("phoenix_exporter_file_written_bytes"), text(rig.path("x.json")).len() as i64);
}

#[tokio::test]
async fn a_device_that_is_full_refuses_too() {
    let host = Host::for_tests();
    let made = with_context(Kind::Exporter, "file", |cx| {
        let config = FileConfig { path: "/dev/full".into(), ..FileConfig::default() };
        FileExporter::new(&config, &cx, Signal::Logs)
    });
    made.start(&host).await.expect("it opens");
    let refusal = made.export(logs(&["a"], "one")).await.expect_err("full");
    assert!(refusal.is_retryable(), "{refusal}");
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let rig = Rig::new();
    let fails = async |settings| {
        let exporter = rig.make(Signal::Logs, settings);
        exporter.start(&rig.host).await.expect_err("no such folder").to_string()
    };
    let message = fails(r#"{"path": "no/such/x.json"}"#).await;
    assert!(message.contains("no/such/x.json") && message.contains("create_directory"), "{message}");
    fs::create_dir(rig.path("folder")).expect("made");
    let message = fails(r#"{"path": "folder"}"#).await;
    assert!(message.contains("folder"), "{message}");
    rig.start(
        Signal::Logs,
        r#"{"path": "no/such/x.json", "create_directory": true, "directory_permissions": "0700"}"#,
    )
    .await;
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |name| fs::metadata(rig.path(name)).expect("made").permissions().mode() & 0o777;
    assert_eq!((mode("no"), mode("no/such"), mode("no/such/x.json") & 0o600), (0o700, 0o700, 0o600));
}

#[tokio::test]
async fn a_successor_goes_on_in_the_same_file_and_a_failed_start_changes_nothing() {
    let rig = Rig::new();
    let old = rig.start(Signal::Logs, r#"{"path": "x.json"}"#).await;
    old.export(logs(&["a"], "one")).await.expect("written");
    // Made and given up again, since something else did not start.
    let given_up = rig.start(Signal::Logs, r#"{"path": "x.json", "format": "proto"}"#).await;
    given_up.drain(tokio::time::Instant::now()).await;
    drop(given_up);
    old.export(logs(&["a"], "two")).await.expect("written");
    assert_eq!(text(rig.path("x.json")).lines().count(), 2);

    let new = rig.start(Signal::Logs, r#"{"path": "x.json", "flush_interval": "5s"}"#).await;
    new.export(logs(&["a"], "three")).await.expect("written");
    old.export(logs(&["a"], "four")).await.expect("a late one");
    assert_eq!(new.adopt(&old), phoenix_component::Adoption::Kept);
    old.drain(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    drop(old);
    new.export(logs(&["a"], "five")).await.expect("written");
    assert_eq!(text(rig.path("x.json")).lines().count(), 5);

    let proto = rig.start(Signal::Logs, r#"{"path": "x.json", "format": "proto"}"#).await;
    let lost = format!("what is in {}, which begins anew in another format", rig.path("x.json").display());
    assert_eq!(proto.adopt(&new), phoenix_component::Adoption::Partly(lost));
    proto.export(logs(&["a"], "six")).await.expect("written");
    new.export(logs(&["a"], "late")).await.expect("written in the new way");
    assert_eq!(framed(&rig.path("x.json")).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_file_of_an_earlier_run_does_not_stay_while_there_is_no_data() {
    let rig = Rig::new();
    fs::write(rig.path("x.json"), "old").expect("written");
    let exporter = rig.start(Signal::Logs, r#"{"path": "x.json"}"#).await;
    assert_eq!(text(rig.path("x.json")), "old");
    tokio::time::sleep(Duration::from_millis(1001)).await;
    // A drain waits behind what was begun.
    exporter.drain(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    let leases: &Leases = &rig.host.leases;
    assert!(format!("{leases:?}").contains("1 paths"));
    for _ in 0..1000 {
        if text(rig.path("x.json")).is_empty() {
            return;
        }
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    panic!("it stays");
}

//! The administration of a running binary: plan, apply, status, log level, and the watch of files.

use std::path::{Path, PathBuf};

use crate::binary::{Finished, collector, free_port};

struct Rig {
    folder: tempfile::TempDir,
    port: u16,
}

impl Rig {
    fn new() -> Rig {
        Rig { folder: tempfile::tempdir().expect("made"), port: free_port() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn endpoint(&self) -> String {
        format!("unix://{}", self.path("admin.sock").display())
    }

    /// Writes as tools do: beside it, then renamed.
    fn write(&self, name: &str, size: u32, port: u16) -> PathBuf {
        let yaml = format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\nprocessors: {{batch: {{send_batch_size: {size}}}}}\nexporters: {{otlphttp: {{endpoint: 'http://localhost:1', headers: {{key: hush-hush}}}}}}\nextensions: {{admin: {{endpoint: '{}'}}}}\nservice: {{extensions: [admin], telemetry: {{metrics: {{level: none}}}}, pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [otlphttp]}}}}}}\n",
            self.endpoint()
        );
        let (beside, path) = (self.path("beside"), self.path(name));
        std::fs::write(&beside, yaml).expect("written");
        std::fs::rename(beside, &path).expect("renamed");
        path
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let (command, rest) = arguments.split_first().expect("a command");
        collector().arg(command).args(["--admin", &self.endpoint()]).args(rest).finish()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_change_is_planned_and_then_made() {
    let rig = Rig::new();
    let old = rig.write("collector.yaml", 100, rig.port);
    assert_eq!(rig.run(&["status"]).code, 3, "nobody answers yet");
    let running = collector().arg("--config").arg(&old).start();

    let same = rig.run(&["plan"]);
    assert_eq!(
        (same.code, same.stdout.contains("Nothing changes")),
        (0, true),
        "{}{}",
        same.stdout,
        same.stderr
    );
    let moved = free_port();
    let new = rig.write("new.yaml", 200, moved);
    let plan = rig.run(&["plan", "--config", text(&new)]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    for line in [
        "~ processor batch (traces): new settings; its state goes on",
        &format!(
            "connections close: grpc 127.0.0.1:{} of receiver otlp: moves to 127.0.0.1:{moved}",
            rig.port
        ),
        "= exporter otlphttp (traces)",
        "2 kept, 2 changed, 0 added, 0 removed",
    ] {
        assert!(plan.stdout.contains(line), "{line} is not in\n{}", plan.stdout);
    }
    let against = collector().args(["plan", "--against", text(&old), "--config", text(&new)]).finish();
    assert_eq!((against.code, &against.stdout), (0, &plan.stdout), "{}", against.stderr);
    let json = rig.run(&["plan", "--json", "--config", text(&new)]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    let hash = json["running"].as_str().expect("a hash").to_owned();

    std::fs::write(rig.path("broken.yaml"), "receivers: {otlp: {protocol: {}}}\n").expect("written");
    let broken = rig.run(&["apply", "--config", text(&rig.path("broken.yaml"))]);
    assert_eq!(broken.code, 1);
    assert!(
        broken.stderr.contains("broken.yaml:1") && broken.stderr.contains("protocol"),
        "{}",
        broken.stderr
    );
    assert!(!broken.stderr.contains("text:"), "{}", broken.stderr);

    let applied = rig.run(&["apply", "--fail-on-state-loss", "--if-running", &hash, "--config", text(&new)]);
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    assert!(applied.stdout.contains("Applied.\nNothing was lost."), "{}", applied.stdout);
    std::net::TcpStream::connect(("127.0.0.1", moved)).expect("it listens where it moved to");
    let late = rig.run(&["apply", "--if-running", &hash, "--config", text(&new)]);
    assert_eq!((late.code, late.stderr.contains("has changed since")), (1, true), "{}", late.stderr);

    let status = rig.run(&["status"]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(status.stdout.contains("applied from elsewhere"), "{}", status.stdout);
    assert!(status.stdout.contains("OK  receiver otlp\n"), "{}", status.stdout);
    // A reload goes back to the files.
    assert_eq!(rig.run(&["apply"]).code, 0);
    assert!(!rig.run(&["status"]).stdout.contains("elsewhere"));
    assert!(!running.log().contains("hush-hush"));
    assert_eq!(running.terminate(), 0);
    assert!(!rig.path("admin.sock").exists());
}

#[test]
fn the_log_level_is_set_for_a_time() {
    let rig = Rig::new();
    let running = collector().arg("--config").arg(rig.write("collector.yaml", 100, rig.port)).start();
    assert_eq!(rig.run(&["log-level"]).stdout, "info, as configured\n");
    let set = rig.run(&["log-level", "debug", "--for", "1h"]);
    assert!(set.stdout.starts_with("debug; in 3600 s it is info again"), "{}{}", set.stdout, set.stderr);
    assert_eq!(rig.run(&["log-level", "--reset"]).stdout, "info, as configured\n");
    assert_eq!(rig.run(&["log-level", "loud"]).code, 1);
    assert_eq!(running.terminate(), 0);
}

#[test]
fn watched_files_are_applied_when_they_change() {
    let rig = Rig::new();
    let path = rig.write("collector.yaml", 100, rig.port);
    let running = collector().arg("--watch-config=100ms").arg("--config").arg(&path).start();
    rig.write("collector.yaml", 200, rig.port);
    running.wait_for_log("configuration applied");
    assert!(running.log().contains("\"changed\": \"processor batch (traces)\""), "{}", running.log());
    std::fs::write(rig.path("broken"), "receivers: {").expect("written");
    std::fs::rename(rig.path("broken"), &path).expect("renamed");
    running.wait_for_log("the running one goes on unchanged");
    rig.write("collector.yaml", 300, rig.port);
    running.wait_for_log_count("configuration applied", 2);
    assert_eq!(running.terminate(), 0);
}

#[test]
fn the_administration_is_never_open_to_others() {
    let yaml = "receivers: {nop: {}}\nexporters: {nop: {}}\nextensions: {admin: {endpoint: '0.0.0.0:13130', token: x}}\nservice: {extensions: [admin], pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n";
    let finished = collector().args(["validate", &format!("--config=yaml:{yaml}")]).finish();
    assert_eq!((finished.code, finished.stderr.contains("not loopback")), (1, true), "{}", finished.stderr);
}

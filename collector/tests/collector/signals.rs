//! The binary's life: SIGHUP, SIGTERM, and a reload with mistakes.

use crate::binary::{collector, free_port};

fn configuration(port: u16, size: u32) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\nprocessors: {{batch: {{send_batch_size: {size}}}}}\nexporters: {{debug: {{}}}}\nservice: {{pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [debug]}}}}}}\n"
    )
}

#[test]
fn a_reload_applies_what_changed_and_mistakes_change_nothing() {
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("collector.yaml");
    let port = free_port();
    std::fs::write(&path, configuration(port, 100)).expect("written");
    let running = collector().arg("--config").arg(&path).start();

    std::fs::write(&path, configuration(port, 200)).expect("written");
    running.signal("HUP");
    running.wait_for_log("configuration applied");
    assert!(running.log().contains("\"changed\": \"processor batch (traces)\""), "{}", running.log());
    assert!(running.log().contains("receiver otlp"), "{}", running.log());

    std::fs::write(&path, "receivers: {otlp: {protocol: {}}}\n").expect("written");
    running.signal("HUP");
    running.wait_for_log("the running one goes on unchanged");
    running.wait_for_log("protocol");
    std::net::TcpStream::connect(("127.0.0.1", port)).expect("still listening");

    std::fs::write(&path, configuration(port, 300)).expect("written");
    running.signal("HUP");
    running.wait_for_log_count("configuration applied", 2);
    assert_eq!(running.terminate(), 0);
}

#[test]
fn the_version_the_components_and_the_configuration_are_printed() {
    let finished = collector().arg("--version").finish();
    assert_eq!((finished.code, finished.stdout.contains(env!("CARGO_PKG_VERSION"))), (0, true));
    let finished = collector().arg("components").finish();
    for name in ["name: otlp\n", "name: batch\n", "name: otlp_grpc\n      aliases: [otlp]", "scheme: https"] {
        assert!(finished.stdout.contains(name), "{name}: {}", finished.stdout);
    }
    let configuration = "receivers: {nop: {}}\nexporters: {otlphttp: {endpoint: 'http://localhost:4318', headers: {key: 'secret value'}}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [otlphttp]}}}\n";
    let print = |mode: &str| {
        let finished = collector()
            .args(["print-config", &format!("--mode={mode}"), &format!("--config=yaml:{configuration}")])
            .finish();
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        finished.stdout
    };
    assert!(print("redacted").contains("[REDACTED]") && !print("redacted").contains("secret value"));
    assert!(print("unredacted").contains("secret value"));
}

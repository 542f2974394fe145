//! otelcol's documented command lines, under its name: what they print and how they exit.

use std::path::Path;

use crate::binary::{CommandLine, collector_at};

const BASE: &str = "receivers: {nop: {}}\nexporters: {nop: {}, debug: {}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n";
const OVERLAY: &str = "service: {pipelines: {traces: {exporters: [nop, debug]}}}";
const SECRET: &str = "receivers: {nop: {}}\nexporters: {otlphttp: {endpoint: 'http://localhost:4318', headers: {key: hidden}}}\nservice: {pipelines: {traces: {receivers: [nop], exporters: [otlphttp]}}}\n";
const WRONG: &str = "receivers: {nope: {}}\nexporters: {nop: {}}\nservice: {pipelines: {traces: {receivers: [nope], exporters: [nop]}}}\n";

/// The folder that every command line runs in.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("made");
    let files = [
        ("base.yaml", BASE),
        ("overlay.yaml", OVERLAY),
        ("secret.yaml", SECRET),
        ("wrong.yaml", WRONG),
        ("broken.yaml", "receivers: {"),
        ("empty.yaml", ""),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_phoenix-collector"), folder.path().join("otelcol"))
        .expect("linked");
    folder
}

fn otelcol(folder: &Path) -> CommandLine {
    let command = collector_at(&folder.join("otelcol"));
    command.within(folder).env("BASE", BASE).env("OVERLAY", OVERLAY).env("WRONG", WRONG)
}

#[test]
fn commands_print_and_exit_as_documented() {
    let folder = folder();
    let version = env!("CARGO_PKG_VERSION");
    let overlay = format!("--config=yaml:{OVERLAY}");
    let both = "- nop\n                - debug";
    // (arguments, exit code, on standard output, on standard error; empty: nothing at all is there)
    let cases: &[(&[&str], i32, &str, &str)] = &[
        (&["--version"], 0, version, ""),
        (&["-v"], 0, version, ""),
        (&["--help"], 0, "--feature-gates", ""),
        (&["-h"], 0, "--config", ""),
        (&["help"], 0, "print-config", ""),
        (&["help", "validate"], 0, "--config", ""),
        (&["validate", "--help"], 0, "--config", ""),
        (&["components"], 0, "buildinfo:\n    command: ", ""),
        (&["completion", "bash"], 0, "complete", ""),
        (&["ottl", "--help"], 0, "Examples:", ""),
        (&["ottl"], 1, "", "STATEMENT"),
        (&["ottl", "--context=profile", "set(name, 1)"], 1, "", "this collector has no profiles"),
        (&["ottl", "--context=span", "set(name, 1)"], 1, "", "there are no records on standard input"),
        (&["featuregate"], 0, "  Enabled  Stage  Description\n", ""),
        (&["featuregate", "service.profilesSupport"], 0, "Enabled: false\nStage: Alpha\n", ""),
        (
            &[
                "featuregate",
                "confmap.enableMergeAppendOption",
                "--feature-gates=confmap.enableMergeAppendOption",
            ],
            0,
            "Enabled: true\n",
            "",
        ),
        (&["featuregate", "nope"], 1, "", "Error: feature \"nope\" not found\n"),
        // Sources, one over the other.
        (&["validate", "--config", "base.yaml"], 0, "", ""),
        (&["validate", "--config=file:base.yaml"], 0, "", ""),
        (&["--config=base.yaml", "validate"], 0, "", ""),
        (&["validate", "--config=env:BASE"], 0, "", ""),
        (&["validate", "--config=base.yaml", "--config=overlay.yaml"], 0, "", ""),
        (&["print-config", "--config=base.yaml", "--config=overlay.yaml"], 0, both, ""),
        (&["print-config", "--config=env:BASE", "--config=env:OVERLAY"], 0, both, ""),
        (&["print-config", "--config=base.yaml", &overlay], 0, both, ""),
        (
            &["print-config", "--config=base.yaml", "--config=yaml:exporters::debug::verbosity: detailed"],
            0,
            "verbosity: detailed",
            "",
        ),
        (
            &["print-config", "--config=base.yaml", "--set=exporters.debug.verbosity=basic"],
            0,
            "verbosity: basic",
            "",
        ),
        (
            &["print-config", "--set", "exporters.debug.verbosity=basic", "--config", "base.yaml"],
            0,
            "verbosity: basic",
            "",
        ),
        // How the configuration is printed.
        (&["print-config", "--config=secret.yaml"], 0, "[REDACTED]", ""),
        (&["print-initial-config", "--config=secret.yaml"], 0, "[REDACTED]", ""),
        (&["print-config", "--mode=unredacted", "--config=secret.yaml"], 0, "hidden", ""),
        (&["print-config", "--format=json", "--config=secret.yaml"], 0, "\"[REDACTED]\"", ""),
        (
            &["print-config", "--feature-gates=otelcol.printInitialConfig", "--config=base.yaml"],
            0,
            "exporters:",
            "",
        ),
        (&["print-config", "--config=wrong.yaml"], 1, "", "unknown type: \"nope\""),
        (&["print-config", "--validate=false", "--config=wrong.yaml"], 0, "nope", ""),
        (&["print-config", "--mode=some", "--config=base.yaml"], 1, "", "unredacted"),
        (&["print-config", "--format=toml", "--config=base.yaml"], 1, "", "json"),
        // Feature gates.
        (&["validate", "--config=base.yaml", "--feature-gates=service.partialReload"], 0, "", ""),
        (&["validate", "--config=base.yaml", "--feature-gates=-service.AllowNoPipelines"], 0, "", ""),
        (&["validate", "--config=base.yaml", "--feature-gates", "-service.AllowNoPipelines"], 0, "", ""),
        (&["validate", "--config=yaml:extensions: {zpages: }"], 1, "", "at least one pipeline"),
        (
            &["validate", "--config=yaml:extensions: {zpages: }", "--feature-gates=service.AllowNoPipelines"],
            0,
            "",
            "",
        ),
        (&["validate", "--config=base.yaml", "--feature-gates=nope"], 1, "", "no such feature gate \"nope\""),
        (
            &["validate", "--config=base.yaml", "--feature-gates=service.partialReload,,"],
            1,
            "",
            "empty feature gate identifier at index 1",
        ),
        // Mistakes.
        (&[], 1, "", "at least one config flag must be provided"),
        (&["validate"], 1, "", "at least one config flag must be provided"),
        (&["--nope"], 1, "", "--nope"),
        (&["nope"], 1, "", "nope"),
        (&["validate", "--nope"], 1, "", "--nope"),
        (&["--config"], 1, "", "--config"),
        (&["--config=missing.yaml"], 1, "", "missing.yaml"),
        (&["--config=file:missing.yaml"], 1, "", "missing.yaml"),
        (&["--config=nope:x"], 1, "", "nope"),
        (&["--config=yaml:service: ["], 1, "", "rror"),
        (&["--config=broken.yaml"], 1, "", "broken.yaml"),
        (&["--config=empty.yaml"], 1, "", "rror"),
        (&["--config=wrong.yaml"], 1, "", "unknown type: \"nope\""),
        (&["validate", "--config=wrong.yaml"], 1, "", "unknown type: \"nope\""),
        (&["validate", "--config=env:WRONG"], 1, "", "unknown type: \"nope\""),
        (&["validate", "--config=base.yaml", "--set=nope"], 1, "", "nope"),
    ];
    let mut wrong = Vec::new();
    for (args, code, out, err) in cases {
        let finished = otelcol(folder.path()).args(*args).finish();
        let holds = |text: &str, wanted: &str| {
            if wanted.is_empty() { text.is_empty() } else { text.contains(wanted) }
        };
        if finished.code != *code || !holds(&finished.stdout, out) || !holds(&finished.stderr, err) {
            wrong.push(format!(
                "{args:?}: {} instead of {code}\n{}\n{}",
                finished.code, finished.stdout, finished.stderr
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

#[test]
fn rules_of_several_files_that_contradict_themselves_are_told_at_both_places() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("first.yaml", "rules:\n  - {name: slow, interval: 120s}\n");
    write("second.yaml", "rules:\n  - {name: slower, match: {metrics: [x]}, priority: -1, interval: 180s}\n");
    write(
        "optimizer.yaml",
        "receivers: {nop: {}}\nprocessors: {optimizer: {catalogs: [first.yaml, second.yaml]}}\nexporters: {nop: {}}\n\
         service: {pipelines: {metrics: {receivers: [nop], processors: [optimizer], exporters: [nop]}}}\n",
    );
    for arguments in [&["validate", "--config=optimizer.yaml"][..], &["--config=optimizer.yaml"]] {
        let finished = otelcol(folder.path()).args(arguments).finish();
        assert_eq!(finished.code, 1, "{}", finished.stderr);
        for part in ["second.yaml:2:5", "its `interval` has no effect", "rule \"slow\" is at first.yaml:2:5"]
        {
            assert!(finished.stderr.contains(part), "{arguments:?}: no {part} in\n{}", finished.stderr);
        }
    }
}

fn listening(port: u16, exporter: &str) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\n\
         exporters:\n  nop: {{}}\n  otlp_grpc: {{endpoint: '127.0.0.1:1', tls: {{insecure: true}}, retry_on_failure: {{max_elapsed_time: 0}}}}\n\
         service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [{exporter}]}}}}}}\n"
    )
}

#[test]
fn signals_stop_it_with_0_and_a_port_in_use_is_1() {
    let folder = folder();
    for signal in ["TERM", "INT"] {
        let running = otelcol(folder.path()).arg("--config=base.yaml").start();
        running.signal(signal);
        assert_eq!(running.exit_code(), 0, "SIG{signal}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("bound").port();
    let finished = otelcol(folder.path())
        .arg("--set=service.telemetry.metrics.level=none")
        .arg(format!("--config=yaml:{}", listening(port, "nop")))
        .finish();
    assert_eq!(finished.code, 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("Error: ") && finished.stderr.contains("in use"), "{}", finished.stderr);
    // Own metrics need their port just as much.
    let metrics = format!(
        "--config=yaml:service::telemetry::metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {port}}}}}}}}}]}}"
    );
    let finished = otelcol(folder.path()).arg("--config=base.yaml").arg(metrics).finish();
    assert_eq!(finished.code, 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("in use"), "{}", finished.stderr);
}

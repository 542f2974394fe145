//! What the command line offers to people who write configurations.

use std::path::Path;

use serde_json::Value;

use crate::binary::{Finished, collector, free_port, repository};

const PIPELINE: &str = "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}}\n";

fn run(folder: &Path, args: &[&str], config: &str) -> Finished {
    let path = folder.join("collector.yaml");
    std::fs::write(&path, config).expect("written");
    collector().args(args).arg("--config").arg(path).finish()
}

fn config(endpoint: &str, target: &str) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{endpoint}'}}}}}}}}\n\
         exporters: {{otlp_grpc: {{endpoint: '{target}', tls: {{insecure: true}}}}}}\n{PIPELINE}"
    )
}

#[test]
fn the_schema_is_printed_whole_and_by_component() {
    let whole = collector().args(["schema"]).finish();
    let schema: Value = serde_json::from_str(&whole.stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let one = collector().args(["schema", "--component", "exporters/otlp"]).finish();
    let schema: Value = serde_json::from_str(&one.stdout).expect("JSON");
    assert_eq!(schema["title"], "Settings of the `otlp_grpc` exporter");
    let page = collector().args(["schema", "--format=markdown", "--component=receivers/otlp"]).finish();
    assert!(page.stdout.contains("| [`protocols`](#protocols) |"), "{}", page.stdout);
    let wrong = collector().args(["schema", "--component=receivers/otpl"]).finish();
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("did you mean `receivers/otlp`?"), "{}", wrong.stderr);
    let folder = tempfile::tempdir().expect("made");
    let written =
        collector().args(["schema", "--format=markdown", "--output-dir"]).arg(folder.path()).finish();
    assert_eq!((written.code, written.stdout.as_str()), (0, ""));
    let index = std::fs::read_to_string(folder.path().join("README.md")).expect("written");
    assert_eq!(index, std::fs::read_to_string(repository().join("docs/reference/README.md")).expect("there"));
}

#[test]
fn shells_get_their_completion() {
    for (shell, part) in
        [("bash", "complete -F"), ("zsh", "#compdef phoenix-collector"), ("fish", "complete -c")]
    {
        let script = collector().args(["completion", shell]).finish();
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains(part) && script.stdout.contains("print-config"), "{shell}");
    }
    assert_eq!(collector().args(["completion", "dos"]).finish().code, 1);
}

#[test]
fn an_overlay_changes_lists_by_name() {
    let folder = repository().join("examples/overlays");
    let printed = collector()
        .args(["print-config", "--config"])
        .arg(folder.join("base.yaml"))
        .arg("--config")
        .arg(folder.join("production.yaml"))
        .finish();
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    let expected = folder.join("expected.yaml");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&expected, &printed.stdout).expect("written");
    }
    assert_eq!(printed.stdout, std::fs::read_to_string(&expected).expect("there"));
    // A mistake is reported where it stands in the overlay.
    let wrong = collector()
        .args([
            "validate",
            "--set=service.pipelines.traces.exporters=!edit {before: {batch: [nop]}}",
            "--config",
        ])
        .arg(folder.join("base.yaml"))
        .finish();
    assert_eq!(wrong.code, 1);
    let words = "--set service.pipelines.traces.exporters: service::pipelines::traces::exporters: there is no `batch`";
    assert!(wrong.stderr.contains(words), "{}", wrong.stderr);
}

#[test]
fn the_gate_for_lists_can_be_switched_on() {
    let folder = repository().join("examples/overlays");
    let with = |gates: &[&str]| {
        let printed = collector()
            .args(gates)
            .args(["print-config", "--config"])
            .arg(folder.join("base.yaml"))
            .args(["--config", "yaml:service: {pipelines: {traces: {exporters: [debug, otlp_grpc/2]}}}"])
            .args(["--config", "yaml:exporters: {otlp_grpc/2: {endpoint: 'x:1'}}", "--format=json"])
            .finish();
        let config: Value =
            serde_json::from_str(&printed.stdout).unwrap_or_else(|_| panic!("{}", printed.stderr));
        config["service"]["pipelines"]["traces"]["exporters"].to_string()
    };
    assert_eq!(with(&[]), r#"["debug","otlp_grpc/2"]"#);
    assert_eq!(
        with(&["--feature-gates=confmap.enableMergeAppendOption"]),
        r#"["otlp_grpc","debug","otlp_grpc/2"]"#
    );
}

#[test]
fn validate_needs_nothing_of_the_environment() {
    let folder = tempfile::tempdir().expect("made");
    let open = "receivers: {otlp: {protocols: {grpc: {endpoint: '${env:PHX_NO_HOST}:4317', max_recv_msg_size_mib: '${env:PHX_NO_SIZE}', \
                tls: {cert_file: /no/such/cert, key_file: '${env:PHX_NO_KEY}'}}}}}\n\
                exporters: {otlp_grpc: {endpoint: '${env:PHX_NO_TARGET}', headers: '${file:/no/such/headers}', \
                sending_queue: {queue_size: '${env:PHX_NO_QUEUE}'}, tls: {ca_file: /no/such/ca}}}\n";
    let finished = run(folder.path(), &["validate"], &format!("{open}{PIPELINE}"));
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
    let place = "collector.yaml:1:49: receivers::otlp::protocols::grpc::endpoint: environment variable `PHX_NO_HOST` is not set";
    assert!(finished.stderr.contains(place), "{}", finished.stderr);
    assert!(finished.stderr.contains("unable to read the file /no/such/headers"), "{}", finished.stderr);
    // Real mistakes are found all the same.
    let wrong = open.replace("queue_size", "queue_sise");
    let finished = run(folder.path(), &["validate"], &format!("{wrong}{PIPELINE}"));
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("did you mean `queue_size`?"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("non-empty"), "{}", finished.stderr);
}

/// Whole parts of a configuration may come from elsewhere.
#[test]
fn validate_says_nothing_of_what_it_cannot_see() {
    let folder = tempfile::tempdir().expect("made");
    let cases = [
        "receivers: '${file:/no/such/receivers}'\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n",
        "receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], exporters: ['${env:PHX_NO_EXPORTER}']}}}\n",
        "receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: '${env:PHX_NO_LIST}', exporters: [nop]}}}\n",
        "receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: '${file:/no/such/pipelines}'}\n",
        "receivers: {nop: }\nexporters: {nop: }\nservice: '${file:/no/such/service}'\n",
    ];
    for config in cases {
        let finished = run(folder.path(), &["validate"], config);
        assert_eq!(finished.code, 0, "{config}: {}", finished.stderr);
        assert_eq!(run(folder.path(), &["print-config"], config).code, 1, "{config}");
    }
}

#[test]
fn variables_that_are_not_set_can_be_errors() {
    let folder = tempfile::tempdir().expect("made");
    let config = config("localhost:${env:PHX_NO_PORT}", "${env:PHX_NO_TARGET:-x:1}");
    for args in [&["--strict-env"][..], &["validate", "--strict-env"], &["print-config", "--strict-env"]] {
        let finished = run(folder.path(), args, &config);
        assert_eq!(finished.code, 1, "{args:?}: {}", finished.stderr);
        let words = "endpoint: environment variable `PHX_NO_PORT` is not set, and there is no default";
        assert!(finished.stderr.contains(words), "{args:?}: {}", finished.stderr);
        assert!(!finished.stderr.contains("PHX_NO_TARGET"), "{args:?}: {}", finished.stderr);
    }
}

#[test]
fn a_probe_tries_what_the_components_would_touch() {
    let folder = tempfile::tempdir().expect("made");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let target = listener.local_addr().expect("bound").to_string();
    let free = format!("127.0.0.1:{}", free_port());
    let probe = ["validate", "--probe", "--probe-timeout=20s"];
    let well = run(folder.path(), &probe, &config(&free, &target));
    let report = format!(
        "ok      receivers::otlp::protocols::grpc::endpoint: listen at {free}: free\n\
         ok      exporters::otlp_grpc::endpoint: connect to {target}: connected to {target}\n"
    );
    assert_eq!((well.code, well.stdout), (0, report), "{}", well.stderr);
    // The port is taken, nobody answers, and what is not set cannot be tried.
    let bad = run(folder.path(), &probe, &config(&target, &free));
    assert_eq!(bad.code, 2, "{}", bad.stdout);
    assert!(bad.stdout.contains("failed  receivers::otlp::protocols::grpc::endpoint"), "{}", bad.stdout);
    assert!(bad.stdout.contains("address is in use"), "{}", bad.stdout);
    assert!(bad.stdout.contains("Connection refused"), "{}", bad.stdout);
    let open = run(folder.path(), &probe, &config(&free, "${env:PHX_NO_TARGET}"));
    assert_eq!(open.code, 2);
    assert!(open.stdout.contains("skipped exporters::otlp_grpc: "), "{}", open.stdout);
    let wrong = run(folder.path(), &probe, "receivers: {otlpp: }\n");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""));
}

#[test]
fn what_otelcol_once_had_is_taken_with_a_warning() {
    let folder = tempfile::tempdir().expect("made");
    let old = "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {logging: {loglevel: debug}}\n\
               extensions: {memory_ballast: {size_mib: 64}}\n\
               service: {extensions: [memory_ballast], telemetry: {metrics: {address: ':8888'}}, \
               pipelines: {traces: {receivers: [otlp], exporters: [logging]}}}\n";
    let finished = run(folder.path(), &["validate"], old);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    for words in [
        "\"logging\" alias is deprecated; use \"debug\" instead",
        "write `verbosity: detailed`",
        "the `memory_ballast` extension was removed",
        "`address` was replaced by `readers`",
    ] {
        assert!(finished.stderr.contains(words), "{words}\n{}", finished.stderr);
    }
    let gone = "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {jaeger: {endpoint: 'x:1'}}\n\
                service: {pipelines: {traces: {receivers: [otlp], exporters: [jaeger]}}}\n";
    let finished = run(folder.path(), &["validate"], gone);
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("Jaeger takes OTLP"), "{}", finished.stderr);
}

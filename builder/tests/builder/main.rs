//! The builder's command, on the files of the checkout.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use phoenix_builder::{Catalog, check_registry, choose, read, write_registry};
use phoenix_config::Problems;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("builder/ is in the checkout").to_owned()
}

/// Runs the builder with the target directory of the test, whose dependencies are compiled already.
fn builder(arguments: &[&str]) -> Output {
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("target/debug/deps/test");
    let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix-builder"));
    command.args(arguments).env("CARGO_TARGET_DIR", target).stdin(Stdio::null());
    command.output().expect("the builder runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn the_default_registry_is_what_the_manifest_says() {
    let (root, catalog) = (checkout(), Catalog::built_in());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        write_registry(&root, &catalog).expect("written");
    }
    check_registry(&root, &catalog).expect("read").unwrap_or_else(|stale| panic!("{stale}"));
}

#[test]
fn the_examples_name_what_there_is() {
    let folder = checkout().join("builder/examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let mut problems = Problems::new();
        let manifest = read(&path, &mut problems).unwrap_or_else(|| panic!("{}: {problems}", path.display()));
        let selection = choose(&manifest, &Catalog::built_in(), &mut problems);
        assert!(selection.is_some() && problems.is_empty(), "{}: {problems}", path.display());
        count += 1;
    }
    assert!(count >= 2);
}

#[test]
fn mistakes_exit_with_one_and_name_their_places() {
    let folder = folder("mistakes");
    std::fs::create_dir_all(&folder).expect("a folder");
    let manifest = folder.join("bad.yaml");
    std::fs::write(&manifest, "receivers:\n  - gomod: example.com/nope v1.0.0\ndist:\n  nam: x\n")
        .expect("written");
    let path = manifest.to_str().expect("UTF-8");
    let output = builder(&["--config", path]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("{path}:2:12: receivers::0::gomod: Phoenix has no receiver")), "{said}");
    assert!(said.contains(&format!("{path}:4:3: dist::nam: unknown key")), "{said}");
    assert_eq!(builder(&["--config", "/nowhere.yaml"]).status.code(), Some(1));
    assert_eq!(builder(&[]).status.code(), Some(1));
}

/// Compiles about a dozen crates of Phoenix in the development profile; the rest is there already.
#[test]
fn a_distribution_of_two_components_is_built_and_runs() {
    let (root, folder) = (checkout(), folder("two-components"));
    // The lock file of an earlier checkout would do, and yet it may ask for what is not on the machine.
    let _ = std::fs::remove_file(folder.join("Cargo.lock"));
    let manifest = root.join("builder/examples/two_components.yaml");
    let (manifest, output_path) = (manifest.to_str().expect("UTF-8"), folder.to_str().expect("UTF-8"));
    let common = ["--config", manifest, "--output-path", output_path, "--offline", "--profile", "dev"];
    let output = builder(&[&common[..], &["--skip-compilation", "--verbose"]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("-> phoenix_receiver_otlp::OtlpReceiverFactory"), "{said}");
    assert!(folder.join("src/registry.rs").is_file());

    let output = builder(&[&common[..], &["--skip-generate"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let binary = folder.join("otelcol-two");

    let version = Command::new(&binary).arg("--version").output().expect("it runs");
    assert_eq!(text(&version.stdout), "otelcol-two 0.1.0\n");
    let components = Command::new(&binary).arg("components").output().expect("it runs");
    let listed: Vec<&str> =
        text(&components.stdout).lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    let expected = ["name: otlp", "name: debug", "scheme: env", "scheme: file", "scheme: yaml"];
    assert_eq!(listed, expected);

    let refused = Command::new(&binary).args(["validate", "--config=https://example.com/x"]).output();
    let refused = refused.expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("unsupported scheme"), "{}", text(&refused.stderr));

    let config = "yaml:{receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}, exporters: {debug: {}}, \
                  service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}}";
    let mut running = Command::new(&binary)
        .args(["--config", config, "--set=service.telemetry.metrics.level=none"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let log = BufReader::new(running.stderr.take().expect("piped"));
    let ready = log.lines().map_while(Result::ok).any(|line| line.contains("Everything is ready"));
    let stopped = Command::new("kill").arg(running.id().to_string()).status().expect("kill runs");
    assert!(stopped.success());
    let status = running.wait().expect("it ends");
    assert!(ready, "it was ready before it ended");
    assert_eq!(status.code(), Some(0));
}

//! Configurations: those that the project ships load, those of others report exactly what is missing,
//! and those of which otelcol's verdict is known get the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::binary::{Finished, collector, repository};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn validate(path: &Path) -> Finished {
    collector().args(["validate", "--config"]).arg(path).finish()
}

#[test]
fn every_configuration_that_the_project_ships_loads() {
    for folder in ["configs", "collector/tests/collector/data/shapes", "benches/configs"] {
        let files = files(&repository().join(folder));
        assert!(!files.is_empty(), "{folder} has configurations");
        for path in files {
            let finished = validate(&path);
            assert_eq!(finished.code, 0, "{}: {}", path.display(), finished.stderr);
        }
    }
}

#[derive(Deserialize)]
struct Verdict {
    case: String,
    config: Option<String>,
    #[serde(default)]
    args: Option<Vec<String>>,
    exit: i32,
}

#[test]
fn verdicts_are_those_of_otelcol() {
    let text = std::fs::read_to_string(repository().join("collector/tests/collector/data/validate.json"))
        .expect("read");
    let verdicts: Vec<Verdict> = serde_json::from_str(&text).expect("JSON");
    let folder = tempfile::tempdir().expect("made");
    for verdict in verdicts {
        let mut command = collector();
        match (&verdict.config, &verdict.args) {
            (Some(config), None) => {
                let path = folder.path().join(format!("{}.yaml", verdict.case));
                std::fs::write(&path, config).expect("written");
                command = command.args(["validate", "--config"]).arg(&path);
            }
            (None, Some(args)) => command = command.args(args),
            _ => panic!("{}: either a configuration or arguments", verdict.case),
        }
        // That one was built without a version; ours has one.
        let exit =
            if verdict.args.as_ref().is_some_and(|args| args == &["--version"]) { 0 } else { verdict.exit };
        let finished = command.finish();
        assert_eq!(finished.code, exit, "{}: {}", verdict.case, finished.stderr);
        let complains = finished.stderr.to_lowercase().contains("error");
        assert_eq!(exit != 0, complains, "{}: {}", verdict.case, finished.stderr);
    }
}

/// Ten mistakes in one file are ten diagnostics, each at its place.
#[test]
fn all_mistakes_of_a_file_are_in_one_report() {
    let path = repository().join("collector/tests/collector/data/ten-mistakes.yaml");
    let finished = validate(&path);
    assert_eq!(finished.code, 1);
    let text = std::fs::read_to_string(&path).expect("read");
    for (index, line) in text.lines().enumerate() {
        let Some((_, expected)) = line.split_once("# wrong: ") else { continue };
        let place = format!("ten-mistakes.yaml:{}:", index + 1);
        let at = finished.stderr.lines().find(|line| line.contains(&place));
        let at = at.unwrap_or_else(|| panic!("nothing about line {}: {}", index + 1, finished.stderr));
        assert!(at.contains(expected), "line {}: {at}", index + 1);
    }
    assert_eq!(text.matches("# wrong: ").count(), 10);
}

/// Where configurations of others lie beside the project, they are read there.
fn corpus() -> Option<PathBuf> {
    let path = repository().parent()?.join("shared/corpus/configs");
    path.is_dir().then_some(path)
}

#[test]
fn configurations_of_others_report_exactly_what_is_missing() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: there are no configurations of others beside this checkout");
        return;
    };
    let text = std::fs::read_to_string(repository().join("collector/tests/collector/data/missing.json"))
        .expect("read");
    let mut expected: BTreeMap<String, BTreeSet<String>> = serde_json::from_str(&text).expect("JSON");
    let mut found = BTreeMap::new();
    for path in files(&corpus) {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let finished = validate(&path);
        let mut missing = BTreeSet::new();
        for line in finished.stderr.lines() {
            let Some((at, rest)) = line.split_once(": unknown type: \"") else { continue };
            let kind = ["receivers", "processors", "exporters", "connectors", "extensions"]
                .into_iter()
                .find(|kind| at.contains(kind));
            let kind = kind.unwrap_or_else(|| panic!("{name}: no section in {line}"));
            missing.insert(format!("{kind} {}", rest.split('"').next().expect("a name")));
        }
        assert!(finished.code == 0 || finished.code == 1, "{name}: {}", finished.stderr);
        assert!(!finished.stderr.contains("not valid YAML"), "{name}: {}", finished.stderr);
        assert_eq!(finished.code == 0, !finished.stderr.contains("error"), "{name}: {}", finished.stderr);
        found.insert(name, missing);
    }
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let path = repository().join("collector/tests/collector/data/missing.json");
        std::fs::write(path, serde_json::to_string_pretty(&found).expect("JSON") + "\n").expect("written");
        expected.clone_from(&found);
    }
    assert_eq!(found, expected, "run with UPDATE_EXPECTED=1 where components were added");
}

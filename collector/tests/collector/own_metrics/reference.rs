//! Own metrics as `docs/own-metrics.md` has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Setup;
use crate::binary::{collector, repository};

/// A metric as docs/own-metrics.md has it.
struct Documented {
    kind: String,
    level: String,
}

fn reference() -> String {
    std::fs::read_to_string(repository().join("docs/own-metrics.md")).expect("the reference")
}

fn documented(reference: &str) -> BTreeMap<String, Documented> {
    let mut documented = BTreeMap::new();
    for line in reference.lines() {
        let Some(name) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        if !STEMS.iter().any(|stem| name.starts_with(stem)) {
            continue;
        }
        let names: Vec<String> = match name.strip_suffix("<sig>") {
            Some(stem) => ITEMS.map(|items| format!("{stem}{items}")).into(),
            None => vec![name.to_owned()],
        };
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let kind = match cells[2].split(',').next().expect("a type") {
            "up-down counter" => "gauge",
            kind => kind,
        };
        for name in names {
            let row = Documented { kind: kind.to_owned(), level: cells[4].to_owned() };
            assert!(documented.insert(name.clone(), row).is_none(), "{name} is there twice");
        }
    }
    documented
}

const STEMS: [&str; 4] = ["otelcol_", "phoenix_", "http.", "rpc."];
const ITEMS: [&str; 3] = ["spans", "metric_points", "log_records"];

/// Every instrument of the sources is in the reference, and the other way round.
#[test]
fn the_reference_names_every_metric() {
    let documented: BTreeSet<String> = documented(&reference()).into_keys().collect();
    let mut defined = BTreeSet::new();
    let root = repository();
    for folder in ["collector", "receivers", "processors", "exporters", "connectors", "extensions"] {
        collect_names(&root.join(folder), &mut defined);
    }
    let undocumented: Vec<_> = defined.difference(&documented).collect();
    assert!(undocumented.is_empty(), "docs/own-metrics.md does not have {undocumented:?}");
    let gone: Vec<_> = documented.difference(&defined).collect();
    assert!(gone.is_empty(), "docs/own-metrics.md has {gone:?}, which nobody defines");
}

/// What is scraped has the type that the reference says, at the level that it says and not below.
#[test]
fn the_reference_says_types_and_levels_as_they_are() {
    let reference = reference();
    let rows: BTreeMap<String, Documented> =
        documented(&reference).into_iter().map(|(name, row)| (name.replace('.', "_"), row)).collect();
    let mut shown = BTreeSet::new();
    for level in ["basic", "normal", "detailed"] {
        let setup = Setup::new(level, "");
        let running = setup.start();
        let scraped = setup.scrape_after_load();
        for (name, (kind, _)) in &scraped.families {
            if matches!(&**name, "target_info" | "promhttp_metric_handler_errors_total") {
                continue;
            }
            let row = &rows[name];
            assert_eq!(*kind, row.kind, "{name}");
            assert!(!shown.insert(name.clone()) || row.level == level, "{name} is there from {level} on");
        }
        assert_eq!(running.terminate(), 0);
    }
    let example = reference.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let finished =
        collector().arg("validate").arg(format!("--config=yaml:{}", example.expect("an example"))).finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
}

/// Names in `Description`s: literals after `name:`, first arguments of `describe(`, and those that a macro
/// makes of a stem and what the items of a signal are called.
fn collect_names(folder: &Path, names: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && !matches!(&*name, "tests" | "benches" | "fuzz" | "examples" | "data") {
            collect_names(&path, names);
        }
        if !name.ends_with(".rs") || name.contains("test") {
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("read");
        let source = source.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        if !source.contains("Description") {
            continue;
        }
        for (index, literal) in source.split('"').enumerate() {
            let is_name = ["otelcol_", "phoenix_", "http.", "rpc."]
                .iter()
                .any(|stem| literal.starts_with(stem))
                && literal.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c));
            if index % 2 == 0 || !is_name {
                continue;
            }
            let before = source.split('"').take(index).collect::<Vec<_>>().join("\"");
            let before = before.trim_end();
            if before.ends_with("concat!(") && literal.ends_with('_') {
                names.extend(
                    ["spans", "metric_points", "log_records"].map(|items| format!("{literal}{items}")),
                );
            } else if before.ends_with("name:") || before.ends_with("describe(") {
                names.insert(literal.to_owned());
            } else if literal.starts_with("otelcol_") && !literal.ends_with('_') {
                // A name that a constant function picks by signal.
                names.insert(literal.to_owned());
            }
        }
    }
}

//! The registry of a distribution, and what the default one says in the checkout's own files.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use phoenix_config::{Kind, Problems};

use crate::catalog::Catalog;
use crate::choose::{Chosen, choose, folder_of};

/// The source of `registry.rs`.
pub(crate) fn registry(components: &[Chosen], note: &str) -> String {
    let mut out = format!(
        "// {note}\n\n//! The components of this distribution: the only place that names them.\n\n\
         use phoenix_collector::Registry;\n\n/// Every component of this distribution.\n\
         #[rustfmt::skip]\npub(crate) fn registry() -> Registry {{\n    Registry {{\n"
    );
    for kind in Kind::ALL {
        let _ = writeln!(out, "        {}: vec![", kind.section());
        for chosen in components.iter().filter(|chosen| chosen.kind == kind) {
            let _ = writeln!(out, "            Box::new({}),", chosen.factory);
        }
        out.push_str("        ],\n");
    }
    out + "    }\n}\n"
}

/// A file of the checkout that is not what `builder/phoenix.yaml` makes it.
#[derive(Debug, thiserror::Error)]
#[error("{} is out of date: run `cargo run -p phoenix-builder -- registry`", .0.display())]
pub struct OutOfDate(pub PathBuf);

/// The files of a checkout that name the default distribution's components, as they should be.
fn files(root: &Path, catalog: &Catalog) -> io::Result<Vec<(PathBuf, String)>> {
    let mut problems = Problems::new();
    let selection = choose(catalog.manifest(), catalog, &mut problems)
        .ok_or_else(|| io::Error::other(format!("builder/phoenix.yaml: {problems}")))?;
    let mut crates: Vec<(&str, Kind)> =
        selection.components.iter().map(|chosen| (chosen.crate_name.as_str(), chosen.kind)).collect();
    crates.dedup();
    let lines = |line: &dyn Fn(&str, Kind) -> String| {
        crates.iter().map(|(name, kind)| line(name, *kind)).collect::<Vec<_>>().join("\n")
    };
    let (workspace, collector) = (root.join("Cargo.toml"), root.join("collector/Cargo.toml"));
    let paths = lines(&|name, kind| format!("{name} = {{ path = \"{}\" }}", folder_of(kind, name)));
    let features = lines(&|name, _| format!("    \"dep:{name}\","));
    let optional = lines(&|name, _| format!("{name} = {{ workspace = true, optional = true }}"));
    let root_text = block(&workspace, &std::fs::read_to_string(&workspace)?, "components", &paths)?;
    let text = block(&collector, &std::fs::read_to_string(&collector)?, "features", &features)?;
    let text = block(&collector, &text, "components", &optional)?;
    let note = "Written by `phoenix-builder registry` from builder/phoenix.yaml: edit that.";
    let source = registry(&selection.components, note);
    Ok(vec![(workspace, root_text), (collector, text), (root.join("collector/src/registry.rs"), source)])
}

/// The text with what stands between `# <name>: from builder/phoenix.yaml` and `# end of <name>` replaced.
fn block(path: &Path, text: &str, name: &str, body: &str) -> io::Result<String> {
    let (begin, end) = (format!("# {name}: from builder/phoenix.yaml\n"), format!("# end of {name}"));
    let missing = || io::Error::other(format!("{} has no lines {begin:?} and {end:?}", path.display()));
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    let indent: String = before.chars().rev().take_while(|c| *c == ' ').collect();
    Ok(format!("{before}{begin}{body}\n{indent}{end}{after}"))
}

/// Rewrites what is out of date, and says what it was.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn write_registry(root: &Path, catalog: &Catalog) -> io::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (path, text) in files(root, catalog)? {
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        std::fs::write(&path, text)?;
        written.push(path);
    }
    Ok(written)
}

/// Says which file is out of date.
///
/// # Errors
/// The first one, or that a file cannot be read.
pub fn check_registry(root: &Path, catalog: &Catalog) -> io::Result<Result<(), OutOfDate>> {
    for (path, text) in files(root, catalog)? {
        if std::fs::read_to_string(&path)? != text {
            return Ok(Err(OutOfDate(path)));
        }
    }
    Ok(Ok(()))
}

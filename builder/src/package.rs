//! A selection as a cargo package: what is written, and nothing else. Compiling is another module's.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::choose::{From, Selection};
use crate::manifest::Dist;
use crate::registry::registry;
use crate::source::Phoenix;

/// The files of a distribution's package.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Paths within the package, and texts.
    pub files: Vec<(&'static str, String)>,
    /// Files that are copied: from where, and their names.
    pub copies: Vec<(PathBuf, &'static str)>,
    /// The name of the package and of its binary, for cargo.
    pub cargo_name: String,
}

/// The crates that every distribution has.
const CORE: [&str; 7] = [
    "phoenix-collector",
    "phoenix-component",
    "phoenix-config",
    "phoenix-engine",
    "phoenix-pdata",
    "phoenix-telemetry",
    "phoenix-transport",
];

/// Components with statements or conditions: a distribution that has one of them has the command that tries them.
const WITH_OTTL: [&str; 6] = [
    "phoenix-connector-count",
    "phoenix-connector-routing",
    "phoenix-processor-filter",
    "phoenix-processor-optimizer",
    "phoenix-processor-tail-sampling",
    "phoenix-processor-transform",
];

/// Phoenix's own workspace, whose release profile distributions share.
const WORKSPACE: &str = include_str!("../../Cargo.toml");

/// The packages that Phoenix compiles for size in a release, as far as a distribution of the crates `own` has them:
/// cargo warns of others.
fn small_packages(own: &[&str]) -> String {
    let named = WORKSPACE.lines().filter_map(|line| {
        line.strip_prefix("[profile.release.package.").and_then(|rest| rest.strip_suffix(']'))
    });
    named
        .filter(|name| !name.starts_with("phoenix-") || own.contains(name))
        // What only that one extension brings.
        .filter(|name| *name != "pprof" || own.contains(&"phoenix-extension-pprof"))
        .map(|name| format!("\n[profile.release.package.{name}]\nopt-level = \"s\"\n"))
        .collect()
}

/// The package of a distribution.
///
/// # Errors
/// Where a relative path cannot be made absolute.
pub fn package(dist: &Dist, selection: &Selection, phoenix: &Phoenix) -> io::Result<Package> {
    // Never a word that cargo or Rust keep for themselves, whatever the distribution is called.
    let clean = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let cargo_name = format!("distribution-{}", dist.name.chars().map(clean).collect::<String>());
    let mut dependencies = String::new();
    let collector = phoenix.of("collector");
    let with_ottl = selection.components.iter().any(|chosen| WITH_OTTL.contains(&chosen.crate_name.as_str()));
    let features = if with_ottl { r#", features = ["ottl"]"# } else { "" };
    let _ = writeln!(
        dependencies,
        "phoenix-collector = {}",
        dependency(&collector, &format!(", default-features = false{features}"))?
    );
    let mut crates: Vec<(&str, From)> = selection
        .components
        .iter()
        .map(|chosen| {
            let from = match &chosen.from {
                From::Phoenix(folder) => phoenix.of(folder),
                from => from.clone(),
            };
            (chosen.crate_name.as_str(), from)
        })
        .collect();
    crates.sort_by(|a, b| a.0.cmp(b.0));
    crates.dedup_by(|a, b| a.0 == b.0);
    for (name, from) in crates {
        let _ = writeln!(dependencies, "{name} = {}", dependency(&from, "")?);
    }
    // Phoenix's own crates are no members of this workspace, and yet in development they are compiled like members.
    let mut own: Vec<&str> = CORE.to_vec();
    let from_phoenix = selection.components.iter().filter(|chosen| matches!(chosen.from, From::Phoenix(_)));
    own.extend(from_phoenix.map(|chosen| chosen.crate_name.as_str()));
    own.sort_unstable();
    own.dedup();
    let quick: String =
        own.iter().map(|name| format!("\n[profile.dev.package.{name}]\nopt-level = 0\n")).collect();
    let small = small_packages(&own);
    let strip = if dist.debug_compilation { "none" } else { "symbols" };
    let debug = if dist.debug_compilation { "full" } else { "none" };
    let manifest = format!(
        r#"# Written by phoenix-builder: the next run writes it again.
[package]
name = "{cargo_name}"
version = "0.0.0"
edition = "2024"
publish = false

[workspace]

[dependencies]
{dependencies}
# As Phoenix's own, so that what was compiled for one serves the other.
[profile.dev]
debug = "line-tables-only"

[profile.dev.package."*"]
opt-level = 1
{quick}
[profile.release]
lto = "fat"
codegen-units = 1
panic = "unwind"
debug = "{debug}"
strip = "{strip}"
{small}"#
    );
    let mut providers = String::new();
    for scheme in &selection.schemes {
        let (first, rest) = scheme.split_at(1);
        let _ = write!(providers, "Provider::{}{rest}, ", first.to_ascii_uppercase());
    }
    let main = format!(
        r#"//! Written by phoenix-builder: the next run writes it again.

mod registry;

use phoenix_collector::{{BuildInfo, Distribution, Provider}};

fn main() -> std::process::ExitCode {{
    phoenix_collector::run(Distribution {{
        build: BuildInfo {{ command: {:?}, description: {:?}, version: {:?} }},
        registry: registry::registry(),
        providers: &[{}],
    }})
}}
"#,
        dist.name,
        dist.description,
        dist.version,
        providers.trim_end_matches(", "),
    );
    let files = vec![
        ("Cargo.toml", manifest),
        ("src/main.rs", main),
        (
            "src/registry.rs",
            registry(&selection.components, "Written by phoenix-builder: the next run writes it again."),
        ),
    ];
    // The versions that Phoenix is tested with, and the compiler.
    let copies = match phoenix {
        Phoenix::Checkout(root) => ["Cargo.lock", "rust-toolchain.toml"]
            .into_iter()
            .map(|name| (root.join(name), name))
            .filter(|(path, _)| path.is_file())
            .collect(),
        Phoenix::Git(..) => Vec::new(),
    };
    Ok(Package { files, copies, cargo_name })
}

fn dependency(from: &From, more: &str) -> io::Result<String> {
    Ok(match from {
        From::Phoenix(folder) => unreachable!("{folder} was placed"),
        From::Path(path) => {
            let path = std::path::absolute(path)?;
            // `absolute` keeps `..`, which cargo takes; a path is quoted as TOML.
            format!("{{ path = {}{more} }}", toml_text(&path.display().to_string()))
        }
        From::Git(url, revision) => {
            let revision = revision.as_ref().map(|(key, text)| format!(", {key} = {}", toml_text(text)));
            format!("{{ git = {}{}{more} }}", toml_text(url), revision.unwrap_or_default())
        }
        From::Version(version) => format!("{{ version = {}{more} }}", toml_text(version)),
    })
}

/// A text as TOML's basic string.
fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}

impl Package {
    /// Writes the files into a folder. Files that are there already and say the same are left alone, so that
    /// nothing is compiled anew for them; a lock file is kept.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let named = |path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
        };
        let sources = folder.join("src");
        std::fs::create_dir_all(&sources).map_err(|error| named(&sources, error))?;
        for (name, text) in &self.files {
            let path = folder.join(name);
            if std::fs::read_to_string(&path).is_ok_and(|there| there == *text) {
                continue;
            }
            std::fs::write(&path, text).map_err(|error| named(&path, error))?;
        }
        for (from, name) in &self.copies {
            let path = folder.join(name);
            if !path.exists() {
                std::fs::copy(from, &path).map_err(|error| named(&path, error))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choose::Chosen;
    use phoenix_config::Kind;

    #[test]
    fn a_package_depends_on_just_what_was_chosen() {
        let component = |name: &str, from| Chosen {
            kind: Kind::Exporter,
            crate_name: name.to_owned(),
            factory: format!("{}::Factory", name.replace('-', "_")),
            from,
            asked: name.to_owned(),
        };
        let git = From::Git("https://h/r".to_owned(), Some(("tag", "v1".to_owned())));
        let selection = Selection {
            components: vec![
                component("phoenix-exporter-nop", From::Phoenix("exporters/nop".to_owned())),
                component("a-b", From::Path("/x \"y\"".into())),
                component("c", git),
                component("d", From::Version("1.2".to_owned())),
            ],
            schemes: vec!["env".to_owned(), "yaml".to_owned()],
        };
        let dist = Dist { name: "My.Collector".to_owned(), ..Dist::default() };
        let made = package(&dist, &selection, &Phoenix::Checkout("/phoenix".into())).expect("a package");
        assert_eq!(made.cargo_name, "distribution-my-collector");
        let text = |name| made.files.iter().find(|(file, _)| *file == name).map(|(_, text)| text.as_str());
        let manifest = text("Cargo.toml").expect("a manifest");
        for line in [
            r#"phoenix-collector = { path = "/phoenix/collector", default-features = false }"#,
            r#"a-b = { path = "/x \"y\"" }"#,
            r#"c = { git = "https://h/r", tag = "v1" }"#,
            r#"d = { version = "1.2" }"#,
            r#"phoenix-exporter-nop = { path = "/phoenix/exporters/nop" }"#,
        ] {
            assert!(manifest.lines().any(|found| found == line), "{line}: {manifest}");
        }
        let depends = manifest.lines().filter(|line| line.contains(" = { ")).count();
        assert_eq!(depends, 5, "{manifest}");
        let main = text("src/main.rs").expect("a main");
        assert!(main.contains(r#"command: "My.Collector""#), "{main}");
        assert!(main.contains("providers: &[Provider::Env, Provider::Yaml]"), "{main}");
        assert!(text("src/registry.rs").is_some_and(|text| text.contains("Box::new(a_b::Factory),")));
    }

    #[test]
    fn components_with_statements_bring_the_command_that_tries_them() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a repository");
        let mut found: Vec<String> = ["processors", "connectors", "exporters", "receivers", "extensions"]
            .iter()
            .flat_map(|kind| std::fs::read_dir(repository.join(kind)).expect("a folder"))
            .filter_map(|entry| {
                let manifest =
                    std::fs::read_to_string(entry.expect("an entry").path().join("Cargo.toml")).ok()?;
                let (_, package) = manifest.split_once("name = \"")?;
                let is_used = manifest.lines().any(|line| line.starts_with("phoenix-statements"));
                is_used.then(|| package.split('"').next().unwrap_or_default().to_owned())
            })
            .collect();
        found.sort_unstable();
        assert_eq!(found, WITH_OTTL);
    }
}

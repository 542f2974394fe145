//! What there is to be, as files say it: `fleet.yaml`, and a file for each configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use phoenix_config::{KeyPath, Problems};
use serde::{Deserialize, Serialize};

/// The name of the file in a folder.
const NAME: &str = "fleet.yaml";

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    configurations: BTreeMap<String, WrittenConfiguration>,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenConfiguration {
    /// Relative to the file.
    file: PathBuf,
    #[serde(default)]
    description: String,
    parent: Option<String>,
}

/// A configuration that there is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) parent: Option<String>,
    pub(crate) text: String,
}

/// A group that there is to be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    #[serde(default)]
    pub(crate) selector: String,
    #[serde(default)]
    pub(crate) priority: i64,
    /// What its agents are to run: the latest version of it.
    pub(crate) configuration: Option<String>,
    /// How it gets there; at once without.
    #[serde(default)]
    pub(crate) stages: Vec<Stage>,
    /// When a rollout is stopped, in the service's words; what is left out is as the service has it.
    #[serde(default)]
    pub(crate) gates: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A step of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    pub(crate) percent: i64,
    #[serde(default)]
    pub(crate) soak_seconds: i64,
    /// Of which agents that is the share; of all without.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) selector: String,
}

/// What there is to be.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Parents before those that are laid over them.
    pub(crate) configurations: Vec<Configuration>,
    pub(crate) groups: BTreeMap<String, Group>,
    folder: PathBuf,
}

impl Manifest {
    /// Reads `path`, or the file of the usual name in it, and the files that it names.
    ///
    /// # Errors
    /// With every mistake of the file, each with its line.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Manifest> {
        let path = if path.is_dir() { path.join(NAME) } else { path.to_owned() };
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let load = |file: &Path| {
            let path = folder.join(file);
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        let (configurations, groups) = read(&path.display().to_string(), &text, &load)?;
        Ok(Manifest { configurations, groups, folder })
    }

    /// The last commit of the files, where they are in Git.
    pub(crate) fn commit(&self) -> Option<String> {
        let git = |arguments: &[&str]| {
            let output = Command::new("git").arg("-C").arg(&self.folder).args(arguments).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| text.trim().to_owned())
        };
        let commit = git(&["log", "-1", "--format=%h %s", "--", "."]).filter(|commit| !commit.is_empty())?;
        let is_clean = git(&["status", "--porcelain", "--", "."]).is_some_and(|changes| changes.is_empty());
        Some(if is_clean { commit } else { format!("{commit}, with changes that are not committed") })
    }
}

type Read = (Vec<Configuration>, BTreeMap<String, Group>);

fn read(name: &str, text: &str, load: &dyn Fn(&Path) -> anyhow::Result<String>) -> anyhow::Result<Read> {
    let node = phoenix_config::parse_yaml(name, text).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    let written: Option<Written> = phoenix_config::decode(&node, &mut problems);
    if let Some(written) = &written {
        check(written, &mut problems);
    }
    let Some(mut written) = written.filter(|_| !problems.has_errors()) else {
        anyhow::bail!("the file has mistakes\n{problems}")
    };
    let mut ordered: Vec<Configuration> = Vec::new();
    while !written.configurations.is_empty() {
        let known = |name: &String| ordered.iter().any(|made: &Configuration| made.name == *name);
        let waits = |configuration: &WrittenConfiguration| {
            let parent = configuration.parent.as_ref();
            parent.is_some_and(|parent| !known(parent) && written.configurations.contains_key(parent))
        };
        let next = written.configurations.iter().find(|(_, configuration)| !waits(configuration));
        let Some(name) = next.map(|(name, _)| name.clone()) else {
            let circle: Vec<&String> = written.configurations.keys().collect();
            anyhow::bail!("these configurations are laid over each other in a circle: {circle:?}")
        };
        if let Some(found) = written.configurations.remove(&name) {
            let WrittenConfiguration { file, description, parent } = found;
            ordered.push(Configuration { text: load(&file)?, name, description, parent });
        }
    }
    Ok((ordered, written.groups))
}

/// What the types cannot say.
fn check(written: &Written, problems: &mut Problems) {
    for (name, group) in &written.groups {
        if let Some(configuration) = &group.configuration
            && !written.configurations.contains_key(configuration)
        {
            let key = format!("groups::{name}::configuration");
            let near =
                phoenix_config::nearest(configuration, written.configurations.keys().map(String::as_str));
            let help = near.map(|near| format!("; is it {near:?}?")).unwrap_or_default();
            problems.error(&key, format!("{configuration:?} is not among `configurations`{help}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> anyhow::Result<Read> {
        read("fleet.yaml", text, &|path| Ok(format!("# {}\n", path.display())))
    }

    #[test]
    fn parents_come_first() {
        let text = "configurations:
  a: {file: a.yaml, parent: z}
  z: {file: z.yaml, parent: elsewhere, description: base}
groups:
  prod: {selector: env=prod, configuration: a, stages: [{selector: ring=canary, percent: 100}, {percent: 10, soak_seconds: 60}, {percent: 100}], gates: {max_failed: 1}}
";
        let (configurations, groups) = of(text).expect("right");
        let names: Vec<&str> = configurations.iter().map(|made| made.name.as_str()).collect();
        assert_eq!(names, ["z", "a"]);
        assert_eq!(configurations[1].text, "# a.yaml\n");
        let group = &groups["prod"];
        assert_eq!((group.stages.len(), group.priority), (3, 0));
        assert_eq!(group.stages[0].selector, "ring=canary");
        assert_eq!(serde_json::json!(group.gates), serde_json::json!({"max_failed": 1}));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, said) in [
            ("configurations: {a: {file: a, parnt: b}}", "parnt"),
            ("groups: {g: {configuration: a}}", "not among"),
            ("configurations: {edge: {file: a}}\ngroups: {g: {configuration: egde}}", "is it \"edge\""),
            ("configurations: {a: {file: a, parent: b}, b: {file: b, parent: a}}", "circle"),
            ("configurations: [", "fleet.yaml:2:1"),
            ("group: {}", "group"),
        ] {
            let error = of(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(of("").is_ok_and(|(configurations, groups)| configurations.is_empty() && groups.is_empty()));
    }
}

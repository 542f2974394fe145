//! A control group of Linux that bounds a process's CPU time and memory, of version 2 or 1.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const ROOT: &str = "/sys/fs/cgroup";
/// In microseconds: the kernel's default.
const PERIOD_US: u32 = 100_000;
/// The shell's part: joins each group before it becomes the program, so that not a page is outside.
const JOIN: &str =
    r#"while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit; shift; done; shift; exec "$@""#;

/// What a group may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) cores: f64,
    pub(crate) memory_mib: u64,
}

/// A group of its own, removed when dropped.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    /// One, or in version 1 one for each controller.
    directories: Vec<PathBuf>,
}

impl ControlGroup {
    /// Makes a group.
    ///
    /// # Errors
    /// If there are no control groups here or they are not ours to make.
    pub(crate) fn make(limits: Limits) -> Result<ControlGroup> {
        ControlGroup::make_below(Path::new(ROOT), limits)
    }

    fn make_below(root: &Path, limits: Limits) -> Result<ControlGroup> {
        let name = format!("phoenix-bench-{}", std::process::id());
        // Saturates; of a number that was written by hand.
        let quota_us = (limits.cores * f64::from(PERIOD_US)) as u32;
        let memory_bytes = limits.memory_mib << 20;
        let mut group = ControlGroup { directories: Vec::new() };
        if root.join("cgroup.controllers").is_file() {
            // They may be on already; if they are not, the settings below are missing and say so.
            std::fs::write(root.join("cgroup.subtree_control"), "+cpu +memory").ok();
            let directory = group.add(root.join(name))?;
            set(&directory, "cpu.max", &format!("{quota_us} {PERIOD_US}"))?;
            set(&directory, "memory.max", &memory_bytes.to_string())?;
        } else if root.join("cpu").is_dir() && root.join("memory").is_dir() {
            let cpu = group.add(root.join("cpu").join(&name))?;
            set(&cpu, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
            set(&cpu, "cpu.cfs_quota_us", &quota_us.to_string())?;
            let memory = group.add(root.join("memory").join(&name))?;
            set(&memory, "memory.limit_in_bytes", &memory_bytes.to_string())?;
        } else {
            bail!("no control groups for CPU and memory in {}", root.display());
        }
        Ok(group)
    }

    fn add(&mut self, directory: PathBuf) -> Result<PathBuf> {
        std::fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        self.directories.push(directory.clone());
        Ok(directory)
    }

    /// The program and arguments that run whatever follows them in this group.
    pub(crate) fn wrapper(&self) -> Vec<String> {
        let mut words: Vec<String> = ["sh", "-c", JOIN, "sh"].map(str::to_owned).to_vec();
        words.extend(self.directories.iter().map(|directory| directory.display().to_string()));
        words.push("--".to_owned());
        words
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for directory in &self.directories {
            if let Err(error) = std::fs::remove_dir(directory) {
                eprintln!("cannot remove {}: {error}", directory.display());
            }
        }
    }
}

/// Writes a setting that the kernel has made.
fn set(directory: &Path, file: &str, value: &str) -> Result<()> {
    let path = directory.join(file);
    std::fs::write(&path, value).with_context(|| format!("cannot write {value:?} to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const LIMITS: Limits = Limits { cores: 0.25, memory_mib: 8 };

    /// Reads a setting of the only group below `parent`, and removes it, as the kernel would with the group.
    fn setting(group: &ControlGroup, index: usize, file: &str) -> String {
        let path = group.directories[index].join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        text
    }

    #[test]
    fn both_versions_are_set_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let empty = ControlGroup::make_below(root.path(), LIMITS).unwrap_err().to_string();
        assert!(empty.contains("no control groups"), "{empty}");

        std::fs::create_dir(root.path().join("cpu")).unwrap();
        std::fs::create_dir(root.path().join("memory")).unwrap();
        let group = ControlGroup::make_below(root.path(), LIMITS).unwrap();
        assert_eq!(setting(&group, 0, "cpu.cfs_quota_us"), "25000");
        assert_eq!(setting(&group, 0, "cpu.cfs_period_us"), "100000");
        assert_eq!(setting(&group, 1, "memory.limit_in_bytes"), "8388608");
        let directories = group.directories.clone();
        drop(group);
        assert!(directories.iter().all(|directory| !directory.exists()));

        std::fs::write(root.path().join("cgroup.controllers"), "cpu memory").unwrap();
        let group = ControlGroup::make_below(root.path(), LIMITS).unwrap();
        assert_eq!(setting(&group, 0, "cpu.max"), "25000 100000");
        assert_eq!(setting(&group, 0, "memory.max"), "8388608");
    }

    #[test]
    fn a_wrapped_program_joins_first_and_keeps_its_arguments() {
        let root = tempfile::tempdir().unwrap();
        let directories = ["a", "b"].map(|name| root.path().join(name)).to_vec();
        directories.iter().for_each(|directory| std::fs::create_dir(directory).unwrap());
        let group = ControlGroup { directories: directories.clone() };
        let words = group.wrapper();
        let mut command = Command::new(&words[0]);
        let child = command.args(&words[1..]).args(["sh", "-c", "echo $$ \"$1\"", "sh", "a b"]);
        let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
        let pid = output.strip_suffix(" a b\n").unwrap();
        for directory in &directories {
            let joined = directory.join("cgroup.procs");
            assert_eq!(std::fs::read_to_string(&joined).unwrap().trim(), pid);
            std::fs::remove_file(joined).unwrap();
        }
    }
}

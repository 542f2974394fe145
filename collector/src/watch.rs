//! Whether the files of a configuration have changed, and have been quiet since.

use std::time::Duration;

use phoenix_component::files::Fingerprint;

/// Waits for a change to come to rest. The time is handed in.
#[derive(Debug)]
pub(crate) struct FileWatch {
    applied: Fingerprint,
    last: Fingerprint,
    quiet_since: Duration,
}

impl FileWatch {
    /// Begins with files as they were when the configuration was read.
    pub(crate) fn new(applied: Fingerprint) -> FileWatch {
        FileWatch { last: applied.clone(), applied, quiet_since: Duration::ZERO }
    }

    /// Takes note of what the files look like at `now`. True, once, when they differ from what was applied,
    /// are all there, and have been the same for `quiet`.
    pub(crate) fn observe(&mut self, now: Duration, seen: Fingerprint, quiet: Duration) -> bool {
        if seen != self.last {
            self.last = seen;
            self.quiet_since = now;
            return false;
        }
        let is_due = self.last != self.applied
            && self.last.iter().all(Option::is_some)
            && now.saturating_sub(self.quiet_since) >= quiet;
        if is_due {
            self.applied = self.last.clone();
        }
        is_due
    }

    /// Takes `seen` for what was applied.
    pub(crate) fn settle(&mut self, seen: Fingerprint) {
        // What changed during the reload is a change of its own.
        if seen.len() != self.applied.len() {
            self.applied = seen.clone();
        }
        self.last = seen;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use phoenix_component::files::fingerprint;

    use super::*;

    const QUIET: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_change_counts_once_it_has_come_to_rest() {
        let folder = tempfile::tempdir().expect("made");
        let file = folder.path().join("collector.yaml");
        let write = |text: &str| {
            // As editors and tools do: beside it, then renamed.
            let beside = folder.path().join("new");
            std::fs::write(&beside, text).expect("written");
            std::fs::rename(beside, &file).expect("renamed");
        };
        write("a");
        let look = || fingerprint(std::slice::from_ref(&file));
        let mut watch = FileWatch::new(look());
        assert!(!watch.observe(at(1), look(), QUIET));
        write("bb");
        assert!(!watch.observe(at(2), look(), QUIET), "just changed");
        write("ccc");
        assert!(!watch.observe(at(3), look(), QUIET), "changed again");
        assert!(watch.observe(at(4), look(), QUIET));
        assert!(!watch.observe(at(5), look(), QUIET), "once");
        std::fs::remove_file(&file).expect("removed");
        for second in 6..10 {
            assert!(!watch.observe(at(second), look(), QUIET), "a file that is gone is no configuration");
        }
        write("dddd");
        assert!(!watch.observe(at(10), look(), QUIET));
        assert!(watch.observe(at(11), look(), QUIET));
    }

    #[test]
    fn a_link_that_is_pointed_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().expect("made");
        let path = |name: &str| folder.path().join(name);
        // The layout of a mounted ConfigMap: file -> ..data/file, ..data -> ..1
        for version in ["..1", "..2"] {
            std::fs::create_dir(path(version)).expect("made");
            std::fs::write(path(version).join("collector.yaml"), "same size").expect("written");
        }
        let link = std::os::unix::fs::symlink::<PathBuf, PathBuf>;
        link("..1".into(), path("..data")).expect("linked");
        link("..data/collector.yaml".into(), path("collector.yaml")).expect("linked");
        let look = || fingerprint(&[path("collector.yaml")]);
        let mut watch = FileWatch::new(look());
        assert!(!watch.observe(at(1), look(), QUIET));
        link("..2".into(), path("..data_tmp")).expect("linked");
        std::fs::rename(path("..data_tmp"), path("..data")).expect("renamed");
        assert!(!watch.observe(at(2), look(), QUIET));
        assert!(watch.observe(at(3), look(), QUIET));
    }
}

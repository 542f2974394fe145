use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Reads how much memory the process uses and may use.
pub trait MemoryReader: Send + Sync {
    /// Bytes of resident memory.
    fn resident(&self) -> u64;

    /// Bytes that the process may use: the limit of its cgroup, else the memory of the machine.
    fn total(&self) -> u64;

    /// Gives memory that was freed, and that the allocator keeps for later, back to the kernel, where that is possible.
    fn give_back_freed(&self) {}
}

/// Memory as the kernel accounts for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemMemory;

const PAGE_BYTES: u64 = 4096;

impl MemoryReader for SystemMemory {
    fn resident(&self) -> u64 {
        let pages = std::fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
        pages.unwrap_or(0) * PAGE_BYTES
    }

    fn total(&self) -> u64 {
        let machine = machine_memory().unwrap_or(u64::MAX);
        let own = OwnCgroup::of(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
        own.limit(Path::new("/sys/fs/cgroup")).map_or(machine, |limit| limit.min(machine))
    }
}

fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Where the process is in the hierarchies of either version; a machine may have both, and only one of them
/// controls memory.
#[derive(Debug, Default, PartialEq, Eq)]
struct OwnCgroup {
    v2: String,
    v1: String,
}

impl OwnCgroup {
    /// Reads `/proc/self/cgroup`; paths are empty where it does not name them.
    fn of(text: &str) -> OwnCgroup {
        let below_root = |path: &str| path.trim_start_matches('/').to_owned();
        let mut own = OwnCgroup::default();
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("0"), Some(""), Some(path)) => own.v2 = below_root(path),
                (_, Some(controllers), Some(path)) if controllers.split(',').any(|one| one == "memory") => {
                    own.v1 = below_root(path);
                }
                _ => {}
            }
        }
        own
    }

    /// The tightest limit from the process's own group up to the root, of either version.
    fn limit(&self, root: &Path) -> Option<u64> {
        let v2 = tightest(root, &self.v2, "memory.max");
        let v1 = tightest(&root.join("memory"), &self.v1, "memory.limit_in_bytes");
        v2.into_iter().chain(v1).min()
    }
}

/// The smallest number in `file` of the group `own` and of those that it is in, up to `root`.
fn tightest(root: &Path, own: &str, file: &str) -> Option<u64> {
    let read = |dir: &Path| std::fs::read_to_string(dir.join(file)).ok()?.trim().parse::<u64>().ok();
    root.join(own).ancestors().take_while(|dir| dir.starts_with(root)).filter_map(read).min()
}

/// Memory that a test sets.
#[derive(Debug, Default)]
pub struct FakeMemory {
    /// Bytes that `resident` returns.
    pub resident: AtomicU64,
    /// Bytes that `total` returns.
    pub total: AtomicU64,
    /// Bytes of `resident` that are free: given back once.
    pub freed: AtomicU64,
}

impl MemoryReader for FakeMemory {
    fn resident(&self) -> u64 {
        self.resident.load(Relaxed)
    }

    fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    fn give_back_freed(&self) {
        self.resident.fetch_sub(self.freed.swap(0, Relaxed), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_of_the_cgroup_and_its_parents_holds() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let own = OwnCgroup::of("9:name=systemd:/x\n4:cpu,memory:/pod/v1\n0::/pod/container\n");
        assert_eq!(own, OwnCgroup { v2: "pod/container".into(), v1: "pod/v1".into() });
        let write = |path: &str, text: &str| {
            let file = root.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("pod/container/memory.max", "max\n");
        assert_eq!(own.limit(root), None);
        write("pod/memory.max", "4096000\n");
        assert_eq!(own.limit(root), Some(4_096_000));
        write("memory/pod/v1/memory.limit_in_bytes", "2048000\n");
        assert_eq!(own.limit(root), Some(2_048_000), "beside an empty hierarchy of version 2, too");
        write("pod/container/memory.max", "1024000\n");
        assert_eq!(own.limit(root), Some(1_024_000));
    }

    #[test]
    fn this_process_uses_memory_and_has_some() {
        assert!(SystemMemory.resident() > 100_000);
        assert!(SystemMemory.total() > SystemMemory.resident());
    }
}

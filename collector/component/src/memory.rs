use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Reads how much memory the process uses and may use.
pub trait MemoryReader: Send + Sync {
    /// Bytes of resident memory.
    fn resident(&self) -> u64;

    /// Bytes that the process may use: the limit of its cgroup, else the memory of the machine.
    fn total(&self) -> u64;
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
        cgroup_limit(Path::new("/sys/fs/cgroup"), &own_cgroup()).map_or(machine, |limit| limit.min(machine))
    }
}

fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The path of this process's cgroup below the hierarchy's root; empty where it cannot be read.
fn own_cgroup() -> String {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v2 = text.lines().find_map(|line| line.strip_prefix("0::"));
    let v1 = text.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path));
    v2.or(v1).unwrap_or_default().trim_start_matches('/').to_owned()
}

/// The tightest limit from the process's own cgroup up to the root, of version 2 or 1.
fn cgroup_limit(root: &Path, own: &str) -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let v2 = root.join(own);
    let limits_v2 = v2
        .ancestors()
        .take_while(|dir| dir.starts_with(root))
        .filter_map(|dir| read(&dir.join("memory.max")));
    let root_v1 = root.join("memory");
    let v1 = root_v1.join(own);
    let limits_v1 = v1
        .ancestors()
        .take_while(|dir| dir.starts_with(&root_v1))
        .filter_map(|dir| read(&dir.join("memory.limit_in_bytes")));
    limits_v2.chain(limits_v1).min()
}

/// Memory that a test sets.
#[derive(Debug, Default)]
pub struct FakeMemory {
    /// Bytes that `resident` returns.
    pub resident: AtomicU64,
    /// Bytes that `total` returns.
    pub total: AtomicU64,
}

impl MemoryReader for FakeMemory {
    fn resident(&self) -> u64 {
        self.resident.load(Relaxed)
    }

    fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_of_the_cgroup_and_its_parents_holds() {
        let root = std::env::temp_dir().join(format!("phoenix-cgroup-{}", std::process::id()));
        std::fs::create_dir_all(root.join("pod/container")).expect("made");
        std::fs::write(root.join("pod/container/memory.max"), "max\n").expect("written");
        assert_eq!(cgroup_limit(&root, "pod/container"), None);
        std::fs::write(root.join("pod/memory.max"), "4096000\n").expect("written");
        assert_eq!(cgroup_limit(&root, "pod/container"), Some(4_096_000));
        std::fs::write(root.join("pod/container/memory.max"), "1024000\n").expect("written");
        assert_eq!(cgroup_limit(&root, "pod/container"), Some(1_024_000));
        std::fs::remove_dir_all(root).expect("removed");
    }

    #[test]
    fn this_process_uses_memory_and_has_some() {
        assert!(SystemMemory.resident() > 100_000);
        assert!(SystemMemory.total() > SystemMemory.resident());
    }
}

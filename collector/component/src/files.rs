//! Files that are read again when they change.
//!
//! Files are looked at, not subscribed to: that works on every file system, and for a link that is pointed
//! elsewhere (as Kubernetes does with mounted ConfigMaps and Secrets) as well as for a file that is replaced.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How often files of secrets are looked at.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a file looked like: the place that its links lead to, and the file there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    place: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// What all files looked like; none for one that is not there, as in the middle of a replacement.
pub type Fingerprint = Vec<Option<FileLook>>;

/// What one file looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLook(Look);

/// Looks at every file.
pub fn fingerprint(files: &[PathBuf]) -> Fingerprint {
    files.iter().map(|file| look(file)).collect()
}

fn look(file: &Path) -> Option<FileLook> {
    let place = file.canonicalize().ok()?;
    let data = place.metadata().ok()?;
    Some(FileLook(Look {
        place,
        device: data.dev(),
        inode: data.ino(),
        bytes: data.len(),
        changed: (data.mtime(), data.mtime_nsec()),
    }))
}

/// Looks at files until it is dropped.
pub struct Watched(JoinHandle<()>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Calls `changed`, off the runtime, whenever `files` are all there and differ from `seen`, which is what they
/// looked like before they were read. A file that is being written may be seen half: whoever reads it keeps what
/// was good, and is called again.
pub fn watch(
    control: &Handle,
    files: Vec<PathBuf>,
    mut seen: Fingerprint,
    interval: Duration,
    changed: impl Fn() + Send + Sync + 'static,
) -> Watched {
    let (files, changed) = (Arc::new(files), Arc::new(changed));
    Watched(control.spawn(async move {
        loop {
            tokio::time::sleep(interval).await;
            let (files, changed, before) = (files.clone(), changed.clone(), seen.clone());
            let look = move || {
                let now = fingerprint(&files);
                if now != before && now.iter().all(Option::is_some) {
                    changed();
                    return now;
                }
                before
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(now) => seen = now,
                Err(error) => tracing::error!(%error, "cannot look at files"),
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_replaced_is_noticed_once() {
        let folder = tempfile::tempdir().expect("made");
        let (file, link) = (folder.path().join("a"), folder.path().join("link"));
        std::fs::write(&file, "1").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        let calls = Arc::new(AtomicUsize::new(0));
        let (told, files) = (calls.clone(), vec![link.clone()]);
        let seen = fingerprint(&files);
        let _watched = watch(&Handle::current(), files, seen, Duration::from_millis(5), move || {
            told.fetch_add(1, SeqCst);
        });
        let other = folder.path().join("b");
        std::fs::write(&other, "2").expect("written");
        // As Kubernetes does it: a new link takes the place of the old one.
        let beside = folder.path().join("beside");
        std::os::unix::fs::symlink(&other, &beside).expect("linked");
        std::fs::rename(&beside, &link).expect("renamed");
        while calls.load(SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(calls.load(SeqCst), 1);
    }
}

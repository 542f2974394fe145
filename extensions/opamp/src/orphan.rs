//! The end of the process that supervises this collector: without it, this one ends too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Where the kernel shows a process.
pub(crate) fn shown_at(process: i64) -> PathBuf {
    Path::new("/proc").join(process.to_string())
}

/// Waits until the process that the kernel shows at `shown` is gone; whether it is, or somebody said `stop` before.
pub(crate) async fn is_alone(shown: &Path, every: Duration, stop: &CancellationToken) -> bool {
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => return false,
        }
        if !shown.exists() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_collector_whose_supervisor_is_gone_is_alone() {
        let (stop, every) = (CancellationToken::new(), Duration::from_secs(5));
        let folder = tempfile::tempdir().expect("made");
        let process = folder.path().join("7");
        std::fs::write(&process, "").expect("written");
        let waiting = is_alone(&process, every, &stop);
        tokio::pin!(waiting);
        let patience = Duration::from_secs(60);
        assert!(tokio::time::timeout(patience, &mut waiting).await.is_err(), "it is there");
        std::fs::remove_file(&process).expect("removed");
        assert_eq!(tokio::time::timeout(patience, waiting).await, Ok(true));
        // This process is shown to itself.
        assert!(shown_at(std::process::id().into()).exists());
        stop.cancel();
        assert!(!is_alone(folder.path(), every, &stop).await);
    }
}

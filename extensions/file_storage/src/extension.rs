use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_component::factory::CreateContext;
use phoenix_component::{BoxFuture, Extension, Host, Leases, Offer, StartError};
use phoenix_config::ComponentId;
use phoenix_storage::{OpenError, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::FileStorageConfig;

/// Sent to a process that writes a file beyond its limit; it ends those that do not listen.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// A directory that other components use.
pub struct FileStorage {
    id: ComponentId,
    config: FileStorageConfig,
    open: Mutex<Option<Open>>,
}

struct Open {
    store: Arc<Store>,
    /// Whoever opens the directory meanwhile gets the same store.
    _lease: Arc<Lease>,
    _offer: Offer,
}

/// A directory's store, for the generations that share it.
#[derive(Default)]
struct Lease(Mutex<Option<Arc<Store>>>);

impl FileStorage {
    /// An extension that has not opened its directory yet.
    pub fn new(config: &FileStorageConfig, cx: &CreateContext<'_>) -> FileStorage {
        FileStorage { id: cx.id.clone(), config: config.clone(), open: Mutex::default() }
    }
}

/// Opens the directory, or takes the store that has it. Blocks on the disk.
fn open(config: &FileStorageConfig, leases: &Leases) -> Result<(Arc<Lease>, Arc<Store>), OpenError> {
    let dir = Store::prepare(&config.directory, config.create())?;
    let lease = leases.share(&dir, Lease::default);
    let store = {
        let mut store = lease.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*store {
            Some(store) => store.clone(),
            None => {
                let opened = Store::open(&dir, config.timeout.as_duration(), config.options())?;
                warn_of_others(opened.dir());
                store.insert(Arc::new(opened)).clone()
            }
        }
    };
    Ok((lease, store))
}

/// Says what of otelcol's is there and stays unread: it keeps a database in a file for each client.
fn warn_of_others(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let is_other =
        |name: &str| ["exporter_", "receiver_", "processor_"].iter().any(|kind| name.starts_with(kind));
    let others = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| entry.file_name().to_str().is_some_and(is_other))
        .count();
    if others > 0 {
        tracing::warn!(
            directory = %dir.display(),
            files = others,
            "there are files of otelcol's file_storage in the directory; Phoenix does not read them: let otelcol \
             deliver what is in them first"
        );
    }
}

fn explained(error: OpenError, config: &FileStorageConfig) -> StartError {
    match error {
        OpenError::Missing { path } => StartError::new(format!(
            "directory must exist: stat {}: no such file or directory. You can enable the create_directory option \
             to automatically create it",
            path.display()
        )),
        OpenError::Locked { .. } => StartError::new(format!("{error} (waited for {})", config.timeout)),
        error => StartError::because(error),
    }
}

impl Extension for FileStorage {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            // A limit on the size of files is then an error of the write, as a full disk is.
            if let Err(error) = signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED)) {
                tracing::debug!(%error, "cannot listen for SIGXFSZ");
            }
            let (config, leases) = (self.config.clone(), host.leases.clone());
            let opened = host.control.spawn_blocking(move || open(&config, &leases)).await;
            let (lease, store) =
                opened.map_err(StartError::because)?.map_err(|error| explained(error, &self.config))?;
            tracing::info!(extension = %self.id, directory = %store.dir().display(), fsync = self.config.fsync, "storage opened");
            let offer = host.capabilities.offer(&self.id, store.clone());
            *self.open.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Open { store, _lease: lease, _offer: offer });
            Ok(())
        })
    }

    /// From here on these settings hold: before, the configuration might have come to nothing.
    fn pipelines_ready(&self, ready: bool) {
        if ready && let Some(open) = &*self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            open.store.set_options(self.config.options());
        }
    }

    fn stop(&self, _deadline: Instant) -> BoxFuture<'_, ()> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            // The last one waits for the thread that writes.
            let _ = tokio::task::spawn_blocking(move || drop(open)).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::StatusReporter;
    use phoenix_component::factory::Shared;
    use phoenix_config::Kind;
    use phoenix_storage::{Entry, Weight};

    use super::*;

    fn extension(host: &Host, config: &FileStorageConfig) -> FileStorage {
        let (id, shared) = (ComponentId::parse("file_storage").expect("an identifier"), Shared::default());
        let status = StatusReporter::detached(Kind::Extension, id.clone());
        FileStorage::new(config, &CreateContext { id: &id, host, status, shared: &shared })
    }

    fn found(host: &Host) -> Option<Arc<Store>> {
        host.capabilities.find(&ComponentId::parse("file_storage").expect("an identifier"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_directory_is_made_offered_shared_and_let_go_of() {
        let dir = tempfile::tempdir().expect("a folder");
        let directory = dir.path().join("a/b");
        let config = FileStorageConfig { directory: directory.clone(), ..FileStorageConfig::default() };
        let host = Host::for_tests();
        let error = extension(&host, &config).start(&host).await.expect_err("not there").to_string();
        assert!(
            error.starts_with("directory must exist: stat ") && error.contains("create_directory"),
            "{error}"
        );

        let config = FileStorageConfig { create_directory: true, ..config };
        let first = extension(&host, &config);
        first.start(&host).await.expect("started");
        let store = found(&host).expect("offered");
        let client = store.client("exporter_x").expect("opened");
        let (answer, answered) = tokio::sync::oneshot::channel();
        let entry = Entry { weight: Weight::of(1, 2), body: Vec::new() };
        client.append(entry, move |outcome| drop(answer.send(outcome.map(|place| place.number))));
        assert_eq!(answered.await.expect("answered"), Ok(1));

        // Another process, as far as the directory can tell.
        let other = Host::for_tests();
        let config_now =
            FileStorageConfig { timeout: phoenix_config::GoDuration::from_millis(1), ..config.clone() };
        let error = extension(&other, &config_now).start(&other).await.expect_err("in use").to_string();
        let own = format!("in use by another process ({})", std::process::id());
        assert!(error.contains(&own), "{error}");

        // A later generation.
        let second = extension(&host, &FileStorageConfig { fsync: true, ..config });
        second.start(&host).await.expect("started");
        second.pipelines_ready(true);
        first.stop(Instant::now()).await;
        assert!(Arc::ptr_eq(&found(&host).expect("offered"), &store));
        second.stop(Instant::now()).await;
        assert!(found(&host).is_none());
        drop((store, client));
        let third = extension(&other, &config_now);
        third.start(&other).await.expect("it is free");
        let kept = found(&other).expect("offered").client("exporter_x").expect("opened").held();
        assert_eq!(kept, Weight::of(1, 2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_path_that_is_no_directory_is_a_clear_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let host = Host::for_tests();
        let config = FileStorageConfig {
            directory: file.path().join("below"),
            create_directory: true,
            ..FileStorageConfig::default()
        };
        let error = extension(&host, &config).start(&host).await.expect_err("no directory").to_string();
        assert!(error.contains("below") && error.contains("ot a directory"), "{error}");
    }
}

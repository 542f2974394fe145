use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use phoenix_component::factory::CreateContext;
use phoenix_component::{
    Adoption, Batch, BoxFuture, Budget, Exporter, Host, Leases, Lost, Refusal, StartError, Status,
    StatusReporter,
};
use phoenix_pdata::Signal;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::FileConfig;
use crate::groups::{Group, Pattern, group};
use crate::layout::Layout;
use crate::metrics::FileMetrics;
use crate::sink::{Record, Sink, WriteError};
use crate::storage::{Disk, Storage};

/// Requests of one exporter that are encoded or written at a time, each on a thread for blocking work;
/// the others wait in their senders' tasks, where their bytes are charged already.
const AT_A_TIME: usize = 4;
/// A file of an earlier run is truncated with the first data, or after this time.
const BEGIN_AFTER: Duration = Duration::from_secs(1);
/// How long senders are asked to wait while files cannot be written.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Writes the requests of one signal to files.
pub struct FileExporter {
    work: Arc<Work>,
    turns: Arc<Semaphore>,
    control: Handle,
    leases: Leases,
    storage: Arc<dyn Storage>,
    begin: Mutex<Option<AbortHandle>>,
}

/// What happens on threads for blocking work.
struct Work {
    id: String,
    signal: Signal,
    layout: Layout,
    /// Absolute, so that the leases know it.
    path: String,
    pattern: Pattern,
    sink: OnceLock<(Arc<Sink>, u64)>,
    metrics: FileMetrics,
    budget: Budget,
    status: StatusReporter,
    failing: AtomicBool,
}

impl FileExporter {
    /// The exporter of one signal.
    pub fn new(config: &FileConfig, cx: &CreateContext<'_>, signal: Signal) -> FileExporter {
        FileExporter::over(Arc::new(Disk), config, cx, signal)
    }

    pub(crate) fn over(
        storage: Arc<dyn Storage>,
        config: &FileConfig,
        cx: &CreateContext<'_>,
        signal: Signal,
    ) -> FileExporter {
        let id = cx.id.to_string();
        let path = config.absolute_path();
        let layout = Layout::new(config);
        FileExporter {
            work: Arc::new(Work {
                metrics: FileMetrics::new(&cx.host.metrics, &id, signal),
                id,
                signal,
                pattern: Pattern::new(&path),
                path,
                layout,
                sink: OnceLock::new(),
                budget: cx.host.budget.clone(),
                status: cx.status.clone(),
                failing: AtomicBool::new(false),
            }),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            control: cx.host.control.clone(),
            leases: cx.host.leases.clone(),
            storage,
            begin: Mutex::default(),
        }
    }

    async fn open(&self) -> Result<(), StartError> {
        let work = self.work.clone();
        let make = || Sink::new(self.storage.clone(), TimeZone::system(), work.layout.clone());
        let sink = self.leases.share(work.path.as_ref(), make);
        let ticket = sink.ticket();
        let probed = {
            let (work, sink) = (work.clone(), sink.clone());
            self.control.spawn_blocking(move || match work.layout.group_by {
                Some(_) => sink.make_folder(&work.pattern.folder(), &work.layout),
                None => sink.probe(work.path.as_ref(), &work.layout),
            })
        };
        let stopped = |_| StartError::new("the collector stops");
        probed.await.map_err(stopped)?.map_err(|error| StartError::new(error.to_string()))?;
        work.sink.get_or_init(|| (sink, ticket));
        if work.layout.group_by.is_none() {
            let control = self.control.clone();
            let begin = self.control.spawn(async move {
                tokio::time::sleep(BEGIN_AFTER).await;
                // The first data tries again and says what is wrong.
                let _ = control.spawn_blocking(move || work.begin()).await;
            });
            *self.begin.lock().unwrap_or_else(PoisonError::into_inner) = Some(begin.abort_handle());
        }
        Ok(())
    }

    fn stop_beginning(&self) {
        if let Some(begin) = self.begin.lock().unwrap_or_else(PoisonError::into_inner).take() {
            begin.abort();
        }
    }

    async fn write(&self, batch: Batch) -> Result<(), Refusal> {
        let stopped = || Refusal::retryable("shutdown", "the collector stops");
        // The turn goes along: a sender that gives up meanwhile does not make room for another thread.
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| stopped())?;
        let work = self.work.clone();
        let written = self.control.spawn_blocking(move || {
            let _turn = turn;
            work.write(&batch, SystemTime::now())
        });
        match written.await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(stopped()),
        }
    }
}

impl Work {
    fn sink(&self) -> Option<&Arc<Sink>> {
        self.sink.get().map(|(sink, _)| sink)
    }

    fn claim(&self, now: SystemTime) {
        if let Some((sink, ticket)) = self.sink.get() {
            sink.claim(*ticket, &self.layout, now);
        }
    }

    fn begin(&self) {
        self.claim(SystemTime::now());
        if let Some(Err(error)) = self.sink().map(|sink| sink.begin(self.path.as_ref())) {
            self.failed(&error);
        }
    }

    /// Writes a request. Whatever of it cannot be written at any time ends here, counted.
    fn write(&self, batch: &Batch, now: SystemTime) -> Result<(), Refusal> {
        let sink = self.sink().ok_or_else(|| Refusal::retryable("closed", "the exporter is not started"))?;
        self.claim(now);
        let mut groups = None;
        loop {
            let layout = sink.layout();
            let (groups, nameless) = groups.get_or_insert_with(|| self.groups(batch));
            let mut records = Vec::with_capacity(groups.len());
            for group in groups.iter() {
                let bytes = layout.record(batch.signal, &group.payload).map_err(|error| {
                    self.metrics.items.failed(batch.items);
                    Refusal::permanent("encode", format!("the request cannot be written: {error}"))
                })?;
                records.push(Record { path: group.path.clone(), bytes });
            }
            let bytes = records.iter().map(|record| record.bytes.capacity()).sum();
            let _charge = self.budget.charge_reserve(bytes);
            match sink.write(&layout, &records, now) {
                Ok(written) => {
                    self.works();
                    self.metrics.written_bytes.add(written.bytes);
                    self.metrics.rotations.add(written.rotations);
                    self.metrics.items.sent.add(groups.iter().map(|group| group.items).sum());
                    if *nameless > 0 {
                        self.metrics.items.failed(*nameless);
                    }
                    return Ok(());
                }
                Err(WriteError::Stale) => {}
                Err(error) if self.layout.group_by.is_some() && error.is_bad_name() => {
                    let WriteError::Io { path, .. } = &error else { continue };
                    let bad = path.clone();
                    self.drop_group(groups, &bad, &error);
                }
                Err(error) => {
                    self.metrics.items.failed(batch.items);
                    self.metrics.refused_requests.add(1);
                    self.failed(&error);
                    return Err(Refusal::retryable("file", error.to_string()).after(RETRY_AFTER));
                }
            }
        }
    }

    /// The parts of a request by file, and the items that belong to none.
    fn groups(&self, batch: &Batch) -> (Vec<Group>, u64) {
        match &self.layout.group_by {
            None => {
                let payload = batch.payload.clone();
                (vec![Group { path: self.path.clone().into(), payload, items: batch.items }], 0)
            }
            Some(attribute) => {
                let (groups, nameless) = group(batch.signal, &batch.payload, attribute, &self.pattern);
                if nameless > 0 {
                    tracing::debug!(
                        exporter = self.id,
                        items = nameless,
                        attribute,
                        "resources have no such attribute with text; they are dropped"
                    );
                }
                (groups, nameless)
            }
        }
    }

    /// Gives up on the part of a request whose file cannot be, since trying again would not help it and
    /// hold up the others.
    fn drop_group(&self, groups: &mut Vec<Group>, bad: &std::path::Path, error: &WriteError) {
        let before: u64 = groups.iter().map(|group| group.items).sum();
        // What is bad is a file, or a folder that a group wants where another has a file.
        let is_file = groups.iter().any(|group| group.path == bad) && error.is_about_a_file();
        groups.retain(|group| match is_file {
            true => group.path != bad,
            false => group.path == bad || !group.path.starts_with(bad),
        });
        let after: u64 = groups.iter().map(|group| group.items).sum();
        self.metrics.items.failed(before - after);
        tracing::warn!(exporter = self.id, items = before - after, %error, "an attribute names no possible file; its data is dropped");
    }

    fn works(&self) {
        if self.failing.load(Relaxed) && self.failing.swap(false, Relaxed) {
            self.status.report(Status::Ok);
            tracing::info!(exporter = self.id, signal = self.signal.name(), "files are written again");
        }
    }

    fn failed(&self, error: &WriteError) {
        if !self.failing.swap(true, Relaxed) {
            self.status.report(Status::Recoverable(error.to_string()));
            tracing::error!(
                exporter = self.id,
                signal = self.signal.name(),
                %error,
                "files cannot be written; data is refused until they can"
            );
        }
    }
}

impl Exporter for FileExporter {
    fn start<'a>(&'a self, _host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(self.open())
    }

    fn export(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(self.write(batch))
    }

    /// There is nothing to take over: the files are leased, and both write to the same. They may begin anew.
    fn adopt(&self, old: &dyn Exporter) -> Adoption {
        match old.as_any().downcast_ref::<FileExporter>() {
            Some(old) if old.work.path == self.work.path => {
                let loss = old.work.layout.loss_to(&self.work.layout, &self.work.path);
                loss.map_or(Adoption::Kept, Adoption::Partly)
            }
            _ => Adoption::Rebuilt,
        }
    }

    fn drain(&self, deadline: tokio::time::Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async move {
            self.stop_beginning();
            let _ = tokio::time::timeout_at(deadline, async {
                // Nothing is held: what is being written belongs to senders that still wait.
                let all = self.turns.acquire_many(AT_A_TIME as u32).await;
                let work = self.work.clone();
                let synced = self.control.spawn_blocking(move || work.sink().map(|sink| sink.sync()));
                let _ = synced.await;
                drop(all);
            })
            .await;
            Lost::default()
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for FileExporter {
    fn drop(&mut self) {
        self.stop_beginning();
    }
}

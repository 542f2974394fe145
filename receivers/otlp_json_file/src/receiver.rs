use std::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use phoenix_component::factory::CreateContext;
use phoenix_component::{Adoption, BoxFuture, Host, Lost, Outlets, Receiver, StartError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::OtlpJsonFileConfig;
use crate::metrics::FileMetrics;
use crate::tailer::{Stop, Tailer};
use crate::tracker::Table;

/// How long a task that was told to end at once may take.
const GRACE: Duration = Duration::from_millis(500);

/// What is lost where other files are included.
pub(crate) const LOST_POSITIONS: &str = "positions in files that are not included any more";

/// Reads files of OTLP/JSON.
pub struct OtlpJsonFile {
    poll_interval: Duration,
    include: Vec<String>,
    stop: Stop,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tailer: Option<Tailer>,
    /// The task of the former receiver, which ends with what is known of files.
    former: Option<JoinHandle<Table>>,
    running: Option<JoinHandle<Table>>,
    /// Ends with the task.
    ended: CancellationToken,
}

impl OtlpJsonFile {
    /// A receiver that does not read yet.
    ///
    /// # Errors
    /// Where a pattern is none; the settings were validated before.
    pub fn new(
        config: &OtlpJsonFileConfig,
        cx: &CreateContext<'_>,
        outlets: Outlets,
    ) -> Result<OtlpJsonFile, StartError> {
        let id = cx.id.to_string();
        let stop = Stop::default();
        let metrics = FileMetrics::new(&cx.host.metrics, &id);
        let tailer = Tailer::new(&id, config, outlets, metrics, cx.host.budget.clone(), stop.clone());
        let tailer = tailer.map_err(StartError::new)?;
        Ok(OtlpJsonFile {
            poll_interval: config.poll_interval.as_duration(),
            include: config.include.clone(),
            stop,
            state: Mutex::new(State { tailer: Some(tailer), ..State::default() }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a round at every interval, and returns what is known of files in the end.
async fn run(
    mut tailer: Tailer,
    former: Option<JoinHandle<Table>>,
    poll_interval: Duration,
    stop: Stop,
) -> Table {
    if let Some(former) = former {
        // Nobody reads a file twice: the former receiver is done first.
        tailer.table = former.await.unwrap_or_default();
    }
    let started = Instant::now();
    let mut ticks = tokio::time::interval(poll_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.gently.cancelled() => return tailer.table,
            _ = ticks.tick() => {}
        }
        tailer.round(started.elapsed(), SystemTime::now()).await;
    }
}

impl Receiver for OtlpJsonFile {
    fn bind<'a>(&'a self, _host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        // Files may come later.
        Box::pin(async { Ok(()) })
    }

    /// Goes on where `old` was, in every file. That one takes nothing more from here on.
    fn adopt(&self, old: &dyn Receiver, _host: &Host) -> Adoption {
        let Some(old) = old.as_any().downcast_ref::<OtlpJsonFile>() else { return Adoption::Rebuilt };
        old.stop.gently.cancel();
        self.state().former = old.state().running.take();
        match self.include == old.include {
            true => Adoption::Kept,
            false => Adoption::Partly(LOST_POSITIONS.to_owned()),
        }
    }

    fn serve(&self, host: &Host) {
        let mut state = self.state();
        let Some(tailer) = state.tailer.take() else { return };
        let (former, ended) = (state.former.take(), state.ended.clone().drop_guard());
        let task = run(tailer, former, self.poll_interval, self.stop.clone());
        let core = host.cores.least_connections();
        let guard = core.connection();
        state.running = Some(core.spawn(async move {
            let _until_the_end = (ended, guard);
            task.await
        }));
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async move {
            self.stop.gently.cancel();
            let (served, ended) = {
                let state = self.state();
                (state.tailer.is_none(), state.ended.clone())
            };
            if served && tokio::time::timeout_at(deadline, ended.cancelled()).await.is_err() {
                self.stop.now.cancel();
                let _ = tokio::time::timeout(GRACE, ended.cancelled()).await;
            }
            // What was not taken is in the files still.
            Lost::default()
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

//! Sends data to the best of several levels of pipelines that takes it, and back to a better one when that works again.
//!
//! It is a call: nothing is held, and a request goes down the levels until one takes it. [`levels`] knows which one is in
//! use and when the ones above it are tried; time is handed in. With a [`queue`] in front, that is who calls.

mod config;
mod levels;
mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use phoenix_component::factory::{CreateContext, Stability, Support};
use phoenix_component::{
    Batch, BoxFuture, Connector, ConnectorFlow, ConnectorOutlets, Forwards, Outlet, Refusal, StartError,
};
use phoenix_pdata::Signal;
use tokio::time::Instant;

pub use config::FailoverConfig;
use levels::Levels;

phoenix_component::connector_factory! {
    /// Makes `failover` connectors.
    FailoverFactory: "failover", FailoverConfig;
    create: create,
    signals: Support::all(Stability::Beta),
    change: |old, new| phoenix_delivery::change(
        old.sending_queue.get(),
        new.map(|new| new.sending_queue.get()),
    ),
    pipelines: FailoverConfig::pipelines,
}

fn create(
    config: &FailoverConfig,
    cx: &CreateContext<'_>,
    (from, _): (Signal, Signal),
    outlets: ConnectorOutlets,
) -> Result<Connector, StartError> {
    let find = |name: &String| {
        let found = outlets.by_pipeline.iter().find(|(pipeline, _)| pipeline.to_string() == *name);
        let missing =
            || StartError::new(format!("pipeline {name:?} does not list this connector among its receivers"));
        found.map(|(_, outlet)| outlet.clone()).ok_or_else(missing)
    };
    let level = |names: &Vec<String>| names.iter().map(find).collect::<Result<Vec<_>, _>>();
    let pipelines = config.priority_levels.iter().map(level).collect::<Result<Vec<_>, _>>()?;
    for (pipeline, _) in &outlets.by_pipeline {
        if !config.priority_levels.iter().flatten().any(|name| *name == pipeline.to_string()) {
            tracing::warn!(%pipeline, connector = %cx.id, "a pipeline has no level, and gets nothing");
        }
    }
    let failover = Failover { name: cx.id.to_string(), pipelines, levels: Mutex::new(Levels::new(config)) };
    Ok(match config.sending_queue.get() {
        None => Connector::Flow(Arc::new(failover)),
        Some(queue) => Connector::Queue(queue::in_front(failover, queue.clone(), cx, from)),
    })
}

/// A `failover` connector of one signal.
#[derive(Debug)]
pub struct Failover {
    name: String,
    pipelines: Vec<Vec<Outlet>>,
    levels: Mutex<Levels>,
}

impl Failover {
    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a request to every pipeline of a level.
    async fn send(&self, level: usize, batch: Batch) -> Result<(), Refusal> {
        match self.pipelines[level].as_slice() {
            [only] => only.send(batch).await,
            all => {
                let outcomes = join_all(all.iter().map(|outlet| outlet.send(batch.clone()))).await;
                outcomes.into_iter().collect()
            }
        }
    }

    /// Notes what `change` does to the level in use, and says so.
    fn change(&self, refusal: Option<&Refusal>, change: impl FnOnce(&mut Levels)) {
        let (before, after) = {
            let mut levels = self.levels();
            let before = levels.current();
            change(&mut levels);
            (before, levels.current())
        };
        match refusal {
            _ if before == after => {}
            Some(error) => {
                tracing::warn!(connector = self.name, from = before, to = after, %error, "a level has failed")
            }
            None => tracing::info!(connector = self.name, from = before, to = after, "a level works again"),
        }
    }
}

/// Leaves probes to others where a request is given up half-way.
struct Probing<'a> {
    failover: &'a Failover,
    has_ended: bool,
}

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.failover.levels().probes_ended(None, Instant::now());
        }
    }
}

impl ConnectorFlow for Failover {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let course = self.levels().course(Instant::now());
            let mut worst = None;
            if let Some(last) = course.probes.last().copied() {
                let mut probing = Probing { failover: self, has_ended: false };
                for level in course.probes {
                    match self.send(level, batch.clone()).await {
                        Ok(()) => {
                            probing.has_ended = true;
                            self.change(None, |levels| levels.recovered(level, Instant::now()));
                            return Ok(());
                        }
                        Err(refusal) => {
                            self.levels().probe_failed(level);
                            worst = Some(worse(worst, refusal));
                        }
                    }
                }
                probing.has_ended = true;
                self.levels().probes_ended(Some(last), Instant::now());
            }
            for level in course.current..self.pipelines.len() {
                let Err(refusal) = self.send(level, batch.clone()).await else { return Ok(()) };
                self.change(Some(&refusal), |levels| levels.failed(level, Instant::now()));
                worst = Some(worse(worst, refusal));
            }
            self.levels().all_failed();
            let last = worst.unwrap_or_else(|| Refusal::retryable("no_level", "there is no level"));
            Err(last)
        })
    }

    fn forwards(&self) -> Forwards {
        let outlets = self.pipelines.iter().flatten();
        outlets.map(Outlet::forwards).fold(Forwards::NOBODY, Forwards::and)
    }
}

/// What the sender hears of two refusals: the later one, unless only the first lets it try again.
fn worse(first: Option<Refusal>, second: Refusal) -> Refusal {
    match first {
        Some(first) if first.is_retryable() && !second.is_retryable() => first,
        _ => second,
    }
}

#[cfg(test)]
mod tests;

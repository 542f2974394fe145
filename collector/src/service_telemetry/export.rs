//! Gathers own records and pushes them: a bounded queue before a task of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use phoenix_telemetry::logs::{Record, RecordSink};
use phoenix_telemetry::traces::{FinishedSpan, SpanSink};
use phoenix_telemetry::{Counter, Description, Metrics};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::otlp::{PushError, Rhythm, SharedPusher, Signal};

const DROPPED: Description = Description {
    name: "phoenix_telemetry_export_dropped",
    unit: "{record}",
    text: "Own spans and log records that were not exported: the queue was full, or the backend did not take them.",
};

/// Waits between attempts, up to the second; each is twice the one before.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// Own records on their way to one backend.
pub(super) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    most: usize,
    batch: usize,
    changed: Notify,
    overflow: Counter,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a record, or counts it where there is no room.
    fn put(&self, item: T) {
        let mut items = self.lock();
        if items.len() >= self.most {
            drop(items);
            return self.overflow.add(1);
        }
        items.push_back(item);
        let wake = items.len() == 1 || items.len() == self.batch;
        drop(items);
        if wake {
            self.changed.notify_one();
        }
    }

    fn len(&self) -> usize {
        self.lock().len()
    }

    fn take(&self) -> Vec<T> {
        let mut items = self.lock();
        let count = items.len().min(self.batch);
        items.drain(..count).collect()
    }
}

impl RecordSink for Queue<Record> {
    fn take(&self, record: &Record) {
        self.put(record.clone());
    }
}

impl SpanSink for Queue<FinishedSpan> {
    fn take(&self, span: FinishedSpan) {
        self.put(span);
    }
}

/// Several sinks as one.
pub(super) struct Fan<T>(pub(super) Vec<Arc<Queue<T>>>);

impl RecordSink for Fan<Record> {
    fn take(&self, record: &Record) {
        self.0.iter().for_each(|queue| queue.put(record.clone()));
    }
}

impl SpanSink for Fan<FinishedSpan> {
    fn take(&self, span: FinishedSpan) {
        if let Some((last, others)) = self.0.split_last() {
            others.iter().for_each(|queue| queue.put(span.clone()));
            last.put(span);
        }
    }
}

/// The task of one queue.
pub(super) struct Export {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Export {
    /// Lets the rest go out, for as long as `deadline` allows.
    pub(super) async fn stop(self, deadline: Instant) {
        self.stop.cancel();
        let abort = self.task.abort_handle();
        if tokio::time::timeout_at(deadline, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// Records as a request.
type Encode<T> = Box<dyn Fn(&[T]) -> Vec<u8> + Send + Sync>;

/// What a task works with.
struct Work<T> {
    queue: Arc<Queue<T>>,
    rhythm: Rhythm,
    signal: Signal,
    pusher: SharedPusher,
    encode: Encode<T>,
    failed: Counter,
    stop: CancellationToken,
}

/// Starts a queue and its task.
pub(super) fn start<T: Send + 'static>(
    signal: Signal,
    rhythm: Rhythm,
    pusher: SharedPusher,
    encode: impl Fn(&[T]) -> Vec<u8> + Send + Sync + 'static,
    metrics: &Metrics,
    runtime: &Handle,
) -> (Arc<Queue<T>>, Export) {
    let counter = |reason| metrics.counter(DROPPED, &[("signal", signal.name()), ("reason", reason)]);
    let queue = Arc::new(Queue {
        items: Mutex::default(),
        most: rhythm.queue,
        batch: rhythm.batch,
        changed: Notify::new(),
        overflow: counter("queue_full"),
    });
    let stop = CancellationToken::new();
    let work = Work {
        queue: queue.clone(),
        rhythm,
        signal,
        pusher,
        encode: Box::new(encode),
        failed: counter("failed"),
        stop: stop.clone(),
    };
    (queue, Export { stop, task: runtime.spawn(work.run()) })
}

impl<T: Send + 'static> Work<T> {
    async fn run(self) {
        let mut failing = false;
        loop {
            self.gather().await;
            let items = self.queue.take();
            if items.is_empty() {
                if self.stop.is_cancelled() {
                    return;
                }
                continue;
            }
            let request = Bytes::from((self.encode)(&items));
            let outcome = tokio::time::timeout(self.rhythm.timeout, self.push(request)).await;
            let reason = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.reason),
                Err(_) => Some("the time for the export is over".to_owned()),
            };
            // Said once: each record about a failure might make the next one.
            match reason {
                None => failing = false,
                Some(reason) => {
                    self.failed.add(items.len() as u64);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(
                            signal = self.signal.name(),
                            error = reason,
                            "own telemetry cannot be exported"
                        );
                    }
                }
            }
        }
    }

    /// Waits until there is a batch, or the first record has waited long enough.
    async fn gather(&self) {
        let queue = &self.queue;
        while queue.len() == 0 && !self.stop.is_cancelled() {
            tokio::select! {
                () = queue.changed.notified() => {}
                () = self.stop.cancelled() => {}
            }
        }
        let until = Instant::now() + self.rhythm.delay;
        while queue.len() < self.rhythm.batch && !self.stop.is_cancelled() {
            tokio::select! {
                () = queue.changed.notified() => {}
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }

    /// Tries until it works, or cannot.
    async fn push(&self, request: Bytes) -> Result<(), PushError> {
        let (mut wait, longest) = BACKOFF;
        loop {
            match self.pusher.push(request.clone()).await {
                Err(error) if error.retryable && !self.stop.is_cancelled() => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.stop.cancelled() => {}
                    }
                    wait = (wait * 2).min(longest);
                }
                outcome => return outcome,
            }
        }
    }
}

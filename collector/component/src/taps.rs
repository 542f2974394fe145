//! Taps: for a while, what goes into a pipeline and comes out of it, for people who look.
//!
//! While nobody looks, a tap costs one read of a flag for each request. Requests are shared, not copied, and a listener
//! that is behind misses some: data never waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use phoenix_config::{ComponentId, PipelineId};
use tokio::sync::mpsc;

use crate::{Batch, Capabilities, Offer};

/// Where a tap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapPlace {
    /// Before the processors.
    In,
    /// Before the exporters.
    Out,
}

/// The taps of one pipeline, which stay over changes of the configuration.
#[derive(Debug, Default)]
pub struct TapPoint {
    is_heard: AtomicBool,
    listener: Mutex<Option<mpsc::Sender<(TapPlace, Batch)>>>,
}

impl TapPoint {
    fn listener(&self) -> MutexGuard<'_, Option<mpsc::Sender<(TapPlace, Batch)>>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The taps of a running pipeline.
    pub fn find(capabilities: &Capabilities, pipeline: &PipelineId) -> Option<Arc<TapPoint>> {
        capabilities.find(&key(pipeline)?)
    }

    /// Listens until the answer is dropped, with room for so many requests; none where somebody else does.
    pub fn listen(self: &Arc<TapPoint>, room: usize) -> Option<Listening> {
        let mut listener = self.listener();
        if listener.is_some() {
            return None;
        }
        let (sender, requests) = mpsc::channel(room.max(1));
        *listener = Some(sender);
        self.is_heard.store(true, Ordering::Relaxed);
        Some(Listening { point: self.clone(), requests })
    }
}

/// Pipelines are known as components are.
fn key(pipeline: &PipelineId) -> Option<ComponentId> {
    ComponentId::parse(&pipeline.to_string()).ok()
}

/// Somebody who listens.
pub struct Listening {
    point: Arc<TapPoint>,
    requests: mpsc::Receiver<(TapPlace, Batch)>,
}

impl Listening {
    /// The next request.
    pub async fn next(&mut self) -> Option<(TapPlace, Batch)> {
        self.requests.recv().await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.point.is_heard.store(false, Ordering::Relaxed);
        *self.point.listener() = None;
    }
}

/// A pipeline's end of its taps: there are some for as long as it exists.
pub struct Tap {
    point: Arc<TapPoint>,
    _offer: Option<Offer>,
}

impl Tap {
    /// The taps of `pipeline`, as its former generation had them.
    pub fn open(capabilities: &Capabilities, pipeline: &PipelineId) -> Tap {
        let Some(key) = key(pipeline) else { return Tap { point: Arc::default(), _offer: None } };
        let point: Arc<TapPoint> = capabilities.find(&key).unwrap_or_default();
        let offer = capabilities.offer(&key, point.clone());
        Tap { point, _offer: Some(offer) }
    }

    /// Shows a request to whoever listens.
    #[inline]
    pub fn see(&self, place: TapPlace, batch: &Batch) {
        if self.point.is_heard.load(Ordering::Relaxed) {
            self.show(place, batch);
        }
    }

    #[cold]
    fn show(&self, place: TapPlace, batch: &Batch) {
        if let Some(listener) = &*self.point.listener() {
            // One that is behind misses it.
            let _ = listener.try_send((place, batch.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use phoenix_pdata::{Payload, Signal};

    use super::*;

    #[tokio::test]
    async fn one_listens_and_is_never_waited_for() {
        let capabilities = Capabilities::default();
        let pipeline = PipelineId::parse("traces/x").expect("an identifier");
        assert!(TapPoint::find(&capabilities, &pipeline).is_none());
        let tap = Tap::open(&capabilities, &pipeline);
        let batch = |items| Batch::new(Signal::Traces, Payload::default(), items);
        tap.see(TapPlace::In, &batch(1));
        let point = TapPoint::find(&capabilities, &pipeline).expect("there");
        let mut listening = point.listen(2).expect("nobody else does");
        assert!(point.listen(2).is_none());
        for items in 2..9 {
            tap.see(TapPlace::Out, &batch(items));
        }
        // The next generation has the same taps, and the former one goes.
        let next = Tap::open(&capabilities, &pipeline);
        drop(tap);
        assert_eq!(
            listening.next().await.map(|(place, batch)| (place, batch.items)),
            Some((TapPlace::Out, 2))
        );
        next.see(TapPlace::In, &batch(10));
        assert_eq!(listening.next().await.map(|(_, batch)| batch.items), Some(3));
        assert_eq!(listening.next().await.map(|(place, _)| place), Some(TapPlace::In));
        drop(listening);
        assert!(point.listen(1).is_some(), "another may");
        drop(next);
        assert!(TapPoint::find(&capabilities, &pipeline).is_none());
    }
}

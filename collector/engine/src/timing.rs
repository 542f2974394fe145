//! How long components take, and how long they keep a core busy. Off below level detailed: then nobody reads
//! a clock.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::{Duration, Instant};

use phoenix_telemetry::{Description, Histogram, Level, Measure, Metrics, TimeCounter};

const DURATION: Description = Description {
    name: "phoenix_component_duration",
    unit: "s",
    text: "Time from a batch to its answer; of a receiver, that of the pipelines.",
};
const CPU: Description = Description {
    name: "phoenix_component_cpu_time",
    unit: "s",
    text: "Time for which a component kept a core busy with batches, what it calls included.",
};

/// From a tenth of a millisecond to half a minute.
const BOUNDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];

/// The clocks of one component.
#[derive(Clone)]
pub(crate) struct Timing {
    duration: Histogram,
    cpu: TimeCounter,
}

impl Timing {
    pub(crate) fn new(metrics: &Metrics, attributes: &[(&'static str, &str)]) -> Timing {
        let metrics = metrics.at(Level::Detailed);
        Timing {
            duration: metrics.histogram(DURATION, attributes, Measure::Seconds, BOUNDS),
            cpu: metrics.time_counter(CPU, attributes),
        }
    }

    /// Times code that handles one batch.
    pub(crate) fn code<T>(&self, code: impl FnOnce() -> T) -> T {
        if !self.duration.is_on() {
            return code();
        }
        let began = Instant::now();
        let outcome = code();
        let took = began.elapsed();
        self.duration.record_time(took);
        self.cpu.add(took);
        outcome
    }

    /// Times code that works for many batches at once.
    pub(crate) fn slice<T>(&self, code: impl FnOnce() -> T) -> T {
        if !self.duration.is_on() {
            return code();
        }
        let began = Instant::now();
        let outcome = code();
        self.cpu.add(began.elapsed());
        outcome
    }

    /// Times the handling of one batch. The caller pins it: by value it would be kept three times over in the
    /// future of each request, once for each way through this function.
    pub(crate) async fn answer<F: Future>(&self, mut answer: Pin<&mut F>) -> F::Output {
        if !self.duration.is_on() {
            return answer.await;
        }
        let began = Instant::now();
        let mut busy = Duration::ZERO;
        let outcome = poll_fn(|cx| {
            let began = Instant::now();
            let polled = answer.as_mut().poll(cx);
            busy += began.elapsed();
            polled
        })
        .await;
        self.duration.record_time(began.elapsed());
        self.cpu.add(busy);
        outcome
    }
}

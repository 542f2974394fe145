//! Spans on a simulated disk: full, failing, torn, damaged, and over restarts.

mod disk;
mod restart;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phoenix_component::harness::StageHarness;
use phoenix_component::{Batch, Host};
use phoenix_config::{ComponentId, decode_text};
use phoenix_pdata::Signal;
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_bytes, put_fixed64, put_message, put_uint};
use phoenix_storage::disk::simulated::SimulatedDisk;
use phoenix_storage::{Options, Store};

use super::{Files, Worker};
use crate::config::TailSamplingConfig;

/// Memory for about 1.75 MB; from 0.5 on spans go to the disk.
const SPILL: &str = "buffer: {max_bytes: 2000000, spill: {storage: file_storage";
const ALL: &str = "policies: [{name: all, type: always_sample}]";
const ERRORS: &str = "policies: [{name: e, type: status_code, status_code: {status_codes: [ERROR]}}]";

/// One run of a collector on a disk.
pub(super) struct Run {
    pub(super) harness: StageHarness,
    pub(super) host: Host,
    pub(super) store: Arc<Store>,
    _runtime: tokio::runtime::Runtime,
}

/// The spans of each trace that were let out.
pub(super) type Kept = BTreeMap<u64, Vec<Vec<u8>>>;

pub(super) fn open(disk: &SimulatedDisk) -> Arc<Store> {
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    Arc::new(
        Store::by_hand(Arc::new(disk.clone()), Path::new("/disk"), Duration::ZERO, options).expect("open"),
    )
}

pub(super) fn config(yaml: &str) -> TailSamplingConfig {
    decode_text(yaml).unwrap_or_else(|found| panic!("{yaml}\n{found}"))
}

/// The disk of a processor, on which everything is done at once.
pub(super) fn files(store: &Arc<Store>, host: &Host, shards: usize) -> Arc<Files> {
    let steps = store.clone();
    let worker = Worker::AtOnce(Mutex::default(), Box::new(move || steps.step()));
    Files::open(store, ("tail_sampling", "traces"), shards, &host.metrics, worker).expect("open")
}

impl Run {
    pub(super) fn new(yaml: &str, disk: &SimulatedDisk) -> Run {
        Run::on(yaml, disk, files)
    }

    pub(super) fn on(
        yaml: &str,
        disk: &SimulatedDisk,
        files: impl Fn(&Arc<Store>, &Host, usize) -> Arc<Files>,
    ) -> Run {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let host = runtime.block_on(async { Host::for_tests() });
        let store = open(disk);
        let config = config(yaml);
        let files = files(&store, &host, config.num_shards as usize);
        let id = ComponentId::parse("tail_sampling").expect("an identifier");
        let spec = crate::stage_on(&config, &host, &id, config.buffer.spill.is_some().then_some(files));
        Run { harness: StageHarness::new(spec.expect("it starts")), host, store, _runtime: runtime }
    }

    pub(super) fn advance(&mut self, seconds: f64) {
        self.harness.advance(Duration::from_secs_f64(seconds));
    }

    /// Sends traces of so many spans, one request for each; as many as are taken.
    pub(super) fn send(&mut self, traces: Range<u64>, spans: usize) -> usize {
        let mut sent = |n: u64| self.harness.send(request(&[(n, spans, n.is_multiple_of(10))])).is_ok();
        traces.filter(|n| sent(*n)).count()
    }

    pub(super) fn kept(&mut self) -> Kept {
        let mut kept = Kept::new();
        for fragment in self.harness.take_released() {
            let bytes = fragment.batch.payload.clone().into_contiguous();
            let scopes =
                Fields::new(&bytes).flat_map(|resource| Fields::new(resource.body)).filter(|f| f.is_len(2));
            for span in scopes.flat_map(|scope| Fields::new(scope.body)).filter(|field| field.is_len(2)) {
                let id = crate::partition::trace_id(span.body);
                let (high, _) = id.split_first_chunk().expect("an identifier");
                kept.entry(u64::from_be_bytes(*high)).or_default().push(span.body.to_vec());
            }
        }
        kept
    }

    pub(super) fn sum(&self, metric: &str, attributes: &[(&str, &str)]) -> i64 {
        self.host.metrics.sum(&format!("phoenix_processor_tail_sampling_{metric}"), attributes)
    }

    /// Ends without a word.
    pub(super) fn crash(self) {
        drop(self);
    }

    /// Ends in order.
    pub(super) fn end(mut self) -> Kept {
        self.harness.drain();
        // Whatever the store was handed and has not written is lost with the process.
        self.kept()
    }
}

/// A span of a trace, of about 300 bytes; which one of them it is says its name.
pub(super) fn span(trace: u64, number: usize, is_error: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let id = u128::from(trace) << 64 | u128::from(trace.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    put_bytes(&mut out, 1, &id.to_be_bytes());
    put_bytes(&mut out, 2, &(trace * 1000 + number as u64 + 1).to_be_bytes());
    put_bytes(&mut out, 4, &[1; 8]);
    put_bytes(
        &mut out,
        5,
        format!("span {number} of {trace}, {}", text(id as u64 ^ number as u64)).as_bytes(),
    );
    put_fixed64(&mut out, 7, 1);
    put_fixed64(&mut out, 8, 2);
    if is_error {
        put_message(&mut out, 15, |out| put_uint(out, 3, 2));
    }
    out
}

/// Letters that do not compress to much less than half.
fn text(seed: u64) -> String {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        format!("{state:016x}")
    };
    (0..12).map(|_| next()).collect()
}

/// A request of traces: their numbers, how many spans, and whether the first one failed.
pub(super) fn request(traces: &[(u64, usize, bool)]) -> Batch {
    let mut out = Vec::new();
    let mut items = 0;
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| put_message(out, 1, |out| put_bytes(out, 1, b"service.name")));
        put_message(out, 2, |out| {
            put_message(out, 1, |out| put_bytes(out, 1, b"library"));
            for (trace, spans, is_error) in traces {
                for number in 0..*spans {
                    put_bytes(out, 2, &span(*trace, number, *is_error && number == 0));
                    items += 1;
                }
            }
        });
    });
    Batch { waiting: 0, ..Batch::new(Signal::Traces, bytes::Bytes::from(out).into(), items) }
}

/// What should come out of traces of so many spans.
pub(super) fn whole(traces: impl Iterator<Item = u64>, spans: usize) -> Kept {
    let all =
        |n: u64| (0..spans).map(|number| span(n, number, n.is_multiple_of(10) && number == 0)).collect();
    traces.map(|n| (n, all(n))).collect()
}

/// Compares without printing megabytes.
#[track_caller]
pub(super) fn assert_same(kept: &Kept, expected: &Kept) {
    let differing = expected.keys().chain(kept.keys()).find(|n| kept.get(n) != expected.get(n));
    assert!(differing.is_none(), "trace {differing:?} differs; {} of {}", kept.len(), expected.len());
}

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use super::recent::Running;
use super::{FinishedSpan, Kind, Propagator, RecentSpans, Sampler, Span, SpanContext};

/// Takes finished spans. Called where the work was done: it must not block.
pub trait SpanSink: Send + Sync {
    /// Takes a span.
    fn take(&self, span: FinishedSpan);
}

/// How spans are made and where they go.
#[derive(Clone)]
pub struct TracerOptions {
    /// Which are recorded.
    pub sampler: Sampler,
    /// How contexts come in and go out.
    pub propagators: Vec<Propagator>,
    /// Most attributes of a span.
    pub attributes: usize,
    /// Most characters of an attribute's text.
    pub attribute_length: usize,
    /// Who takes finished spans; without one there are none, unless recent ones are kept.
    pub sink: Option<Arc<dyn SpanSink>>,
}

impl Default for TracerOptions {
    fn default() -> TracerOptions {
        TracerOptions {
            sampler: Sampler::default(),
            propagators: vec![Propagator::TraceContext],
            attributes: 128,
            attribute_length: usize::MAX,
            sink: None,
        }
    }
}

/// Makes spans, if it is on. Clones share everything.
#[derive(Clone, Default)]
pub struct Tracer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    on: AtomicBool,
    options: RwLock<TracerOptions>,
    /// How many want recent spans to be kept.
    watchers: AtomicU64,
    recent: RecentSpans,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tracer(on: {})", self.is_on())
    }
}

impl Tracer {
    /// Whether there are spans at all.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.on.load(Relaxed)
    }

    /// Puts settings into effect, for spans that begin from now on.
    pub fn apply(&self, options: TracerOptions) {
        *self.0.options.write().unwrap_or_else(PoisonError::into_inner) = options;
        self.switch();
    }

    /// Keeps recent spans until the result is dropped, also where no spans are exported.
    pub fn watch(&self) -> Watch {
        self.0.watchers.fetch_add(1, Relaxed);
        self.switch();
        Watch(self.clone())
    }

    fn switch(&self) {
        let exported = self.read(|options| options.sink.is_some());
        self.0.on.store(exported || self.0.watchers.load(Relaxed) > 0, Relaxed);
    }

    fn read<T>(&self, what: impl FnOnce(&TracerOptions) -> T) -> T {
        what(&self.0.options.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn limits(&self) -> (usize, usize) {
        self.read(|options| (options.attributes, options.attribute_length))
    }

    /// The latest spans, while somebody [watches](Tracer::watch).
    pub fn recent(&self) -> &RecentSpans {
        &self.0.recent
    }

    /// Begins a span; none where the tracer is off.
    #[inline]
    pub fn span(
        &self,
        kind: Kind,
        parent: Option<SpanContext>,
        name: impl FnOnce() -> String,
    ) -> Option<Span> {
        self.is_on().then(|| self.begin(kind, parent, name()))
    }

    fn begin(&self, kind: Kind, parent: Option<SpanContext>, name: String) -> Span {
        let trace_id = parent.map_or_else(new_trace, |parent| parent.trace_id);
        let context = SpanContext {
            trace_id,
            span_id: random().to_be_bytes(),
            sampled: self.read(|options| options.sampler.samples(&trace_id, parent)),
            remote: false,
        };
        let started = SystemTime::now();
        if context.sampled && self.0.watchers.load(Relaxed) > 0 {
            self.0.recent.begin(&name, Running { context, started });
        }
        Span {
            tracer: self.clone(),
            context,
            parent,
            name,
            kind,
            started,
            began: Instant::now(),
            attributes: Vec::new(),
            left_out: 0,
            error: None,
        }
    }

    pub(super) fn finished(&self, span: FinishedSpan) {
        if self.0.watchers.load(Relaxed) > 0 {
            self.0.recent.end(&span);
        }
        if let Some(sink) = self.read(|options| options.sink.clone()) {
            sink.take(span);
        }
    }

    /// The context that came with a request; none where the tracer is off.
    #[inline]
    pub fn extract<'a>(&self, header: impl Fn(&'static str) -> Option<&'a str>) -> Option<SpanContext> {
        if !self.is_on() {
            return None;
        }
        self.read(|options| SpanContext::extract(&options.propagators, header))
    }

    /// The headers that carry a context on.
    pub fn headers(&self, context: SpanContext) -> Vec<(&'static str, String)> {
        self.read(|options| context.headers(&options.propagators).collect())
    }
}

/// Keeps recent spans for as long as it is there.
#[derive(Debug)]
pub struct Watch(Tracer);

impl Drop for Watch {
    fn drop(&mut self) {
        if self.0.0.watchers.fetch_sub(1, Relaxed) == 1 {
            self.0.0.recent.clear();
        }
        self.0.switch();
    }
}

fn new_trace() -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random().to_be_bytes());
    id[8..].copy_from_slice(&random().to_be_bytes());
    id
}

/// A number that is not zero: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) over a counter of all threads,
/// which begins at a random place. Identifiers have to differ, not to be unpredictable.
fn random() -> u64 {
    static STATE: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0_u8)));
    let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).max(1)
}

//! Requests of remote write, cut by their size.

use std::collections::{HashMap, HashSet};

use phoenix_pdata::wire::Wire;
use phoenix_pdata::write::{put_bytes, put_double, put_key, put_message, put_uint, put_varint, varint_len};
use phoenix_prometheus::{Exemplar, Extra, Family, Kind, LabelSet, Native, Sample, Sink, labels_in};

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `prometheus.WriteRequest`.
    One,
    /// `io.prometheus.write.v2.Request`.
    Two,
}

/// A request, and how many data points ended in it.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) body: Vec<u8>,
    pub(crate) items: u64,
    pub(crate) series: u64,
}

/// Writes requests.
pub(crate) struct Writer {
    version: Version,
    max_bytes: usize,
    with_metadata: bool,
    done: Vec<Written>,
    current: Written,
    /// What stands in a series behind its labels.
    tail: Vec<u8>,
    /// The labels of a series of version 2.
    labels: Vec<u8>,
    symbols: Symbols,
    /// Families whose metadata the current request has.
    told: HashSet<String>,
    metadata: Vec<u8>,
}

/// The texts of a request of version 2, each once; the first is empty.
#[derive(Default)]
struct Symbols {
    places: HashMap<Box<str>, u32>,
    encoded: Vec<u8>,
}

impl Symbols {
    fn place(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.places.len() as u32 + 1;
        self.places.insert(text.into(), place);
        put_bytes(&mut self.encoded, 4, text.as_bytes());
        place
    }
}

impl Writer {
    /// `usual_bytes` is how large requests of other batches were: a buffer of that size need not grow.
    pub(crate) fn new(version: Version, max_bytes: usize, usual_bytes: usize, with_metadata: bool) -> Writer {
        let body = Vec::with_capacity(usual_bytes.min(max_bytes));
        Writer {
            version,
            max_bytes,
            with_metadata,
            done: Vec::new(),
            current: Written { body, ..Written::default() },
            tail: Vec::new(),
            labels: Vec::new(),
            symbols: Symbols::default(),
            told: HashSet::new(),
            metadata: Vec::new(),
        }
    }

    /// The requests.
    pub(crate) fn finish(mut self) -> Vec<Written> {
        self.cut();
        self.done
    }

    fn cut(&mut self) {
        if self.current.body.is_empty() {
            return;
        }
        let mut written = std::mem::take(&mut self.current);
        match self.version {
            Version::One => written.body.append(&mut self.metadata),
            Version::Two => {
                let symbols = std::mem::take(&mut self.symbols).encoded;
                let mut body = Vec::with_capacity(2 + symbols.len() + written.body.len());
                put_bytes(&mut body, 4, b"");
                body.extend_from_slice(&symbols);
                body.append(&mut written.body);
                written.body = body;
            }
        }
        self.told.clear();
        self.done.push(written);
    }

    /// Begins a new request where `more` bytes would be too many for this one.
    fn make_room(&mut self, more: usize) {
        let size = self.current.body.len() + self.metadata.len() + self.symbols.encoded.len() + more;
        if size > self.max_bytes {
            self.cut();
        }
    }

    /// Appends a series with what is in `tail`.
    fn series(&mut self, family: &Family<'_>, suffix: &str, labels: &LabelSet, extra: Extra<'_>) {
        let of_labels = labels.len(family.name, suffix, extra);
        // In version 2 exemplars in `tail` refer to symbols of this request already: room was made before them.
        if self.version == Version::One {
            self.make_room(of_labels + self.tail.len() + 16);
        }
        self.current.series += 1;
        match self.version {
            Version::One => {
                let len = of_labels + self.tail.len();
                let body = &mut self.current.body;
                body.reserve(len + 1 + varint_len(len as u64));
                put_key(body, 1, Wire::Len);
                put_varint(body, len as u64);
                labels.put(body, family.name, suffix, extra);
                body.extend_from_slice(&self.tail);
                if self.with_metadata && !self.told.contains(family.name) {
                    self.told.insert(family.name.to_owned());
                    put_message(&mut self.metadata, 3, |out| {
                        put_uint(out, 1, type_of(family.kind));
                        put_bytes(out, 2, family.name.as_bytes());
                        put_bytes(out, 4, family.help.as_bytes());
                        put_bytes(out, 5, family.unit.as_bytes());
                    });
                }
            }
            Version::Two => {
                self.labels.clear();
                labels.put(&mut self.labels, family.name, suffix, extra);
                let symbols = &mut self.symbols;
                let refs = references(symbols, &self.labels);
                let (help, unit) = (symbols.place(family.help), symbols.place(family.unit));
                let tail = &self.tail;
                put_message(&mut self.current.body, 5, |out| {
                    put_bytes(out, 1, &refs);
                    out.extend_from_slice(tail);
                    put_message(out, 5, |out| {
                        put_uint(out, 1, type_of(family.kind));
                        put_uint(out, 3, u64::from(help));
                        put_uint(out, 4, u64::from(unit));
                    });
                });
            }
        }
    }

    fn put_exemplars(&mut self, exemplars: &[Exemplar]) {
        for exemplar in exemplars {
            match self.version {
                Version::One => put_message(&mut self.tail, 3, |out| {
                    out.extend_from_slice(exemplar.labels.as_bytes());
                    put_double(out, 2, exemplar.value);
                    put_uint(out, 3, exemplar.time_ms as u64);
                }),
                Version::Two => {
                    let refs = references(&mut self.symbols, exemplar.labels.as_bytes());
                    put_message(&mut self.tail, 4, |out| {
                        put_bytes(out, 1, &refs);
                        put_double(out, 2, exemplar.value);
                        put_uint(out, 3, exemplar.time_ms as u64);
                    });
                }
            }
        }
    }
}

impl Sink for Writer {
    fn sample(
        &mut self,
        family: &Family<'_>,
        suffix: &str,
        labels: &LabelSet,
        extra: Extra<'_>,
        sample: Sample,
        exemplars: &[Exemplar],
    ) {
        if self.version == Version::Two {
            // Symbols of exemplars must not end up in the request before; an estimate, with room to spare.
            self.make_room(labels.len(family.name, suffix, extra) + 64 + 512 * exemplars.len());
        }
        self.tail.clear();
        let has_start = self.version == Version::Two && sample.start_ms != 0 && family.kind != Kind::Gauge;
        put_message(&mut self.tail, 2, |out| {
            put_double(out, 1, sample.value);
            put_uint(out, 2, sample.time_ms as u64);
            if has_start {
                put_uint(out, 3, sample.start_ms as u64);
            }
        });
        self.put_exemplars(exemplars);
        self.series(family, suffix, labels, extra);
    }

    fn native(
        &mut self,
        family: &Family<'_>,
        labels: &LabelSet,
        histogram: &Native,
        time_ms: i64,
        exemplars: &[Exemplar],
    ) {
        self.make_room(labels.len(family.name, "", Extra::None) + 4096 + 512 * exemplars.len());
        self.tail.clear();
        histogram.put(&mut self.tail, if self.version == Version::One { 4 } else { 3 }, time_ms);
        self.put_exemplars(exemplars);
        self.series(family, "", labels, Extra::None);
    }

    fn point_ends(&mut self) {
        self.current.items += 1;
    }
}

/// Pairs of references to name and value, packed.
fn references(symbols: &mut Symbols, labels: &[u8]) -> Vec<u8> {
    let mut refs = Vec::new();
    for (name, value) in labels_in(labels) {
        put_varint(&mut refs, u64::from(symbols.place(name)));
        put_varint(&mut refs, u64::from(symbols.place(value)));
    }
    refs
}

/// The same numbers in both versions.
fn type_of(kind: Kind) -> u64 {
    match kind {
        Kind::Counter => 1,
        Kind::Gauge => 2,
        Kind::Histogram => 3,
        Kind::Summary => 5,
        Kind::Info => 6,
    }
}

//! Requests of remote write, cut by their size.
//!
//! A request of version 1 has its series in two parts: at first those that an encoder is to compress, then those that
//! are [`Alike`]. The samples of a series come in their order all the same, since a series is always of the same part.

use std::collections::{HashMap, HashSet};

use phoenix_component::buffers;
use phoenix_pdata::wire::Wire;
use phoenix_pdata::write::{put_bytes, put_double, put_key, put_message, put_uint, put_varint};
use phoenix_prometheus::{Exemplar, Extra, Family, Kind, LabelSet, Native, Sample, Sink, labels_in};

use crate::alike::Alike;

/// A field of a double with its key.
const DOUBLE_BYTES: usize = 9;

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
    /// What is to be compressed.
    pub(crate) body: Vec<u8>,
    /// Snappy elements that follow that, and how many bytes they stand for.
    pub(crate) elements: Vec<u8>,
    pub(crate) stand_for: usize,
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
    alike: Alike,
    /// What stands in a series behind its labels.
    tail: Vec<u8>,
    /// A time, in Unix milliseconds, and its field.
    time: (i64, Vec<u8>),
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
    /// `usual` is how many bytes the body and the elements of other batches had: buffers of that size need not grow.
    pub(crate) fn new(
        version: Version,
        max_bytes: usize,
        usual: (usize, usize),
        with_metadata: bool,
    ) -> Writer {
        let usual = (usual.0.min(max_bytes), usual.1.min(max_bytes));
        let body = buffers::take(usual.0).unwrap_or_else(|| Vec::with_capacity(usual.0));
        Writer {
            version,
            max_bytes,
            with_metadata,
            done: Vec::new(),
            current: Written { body, ..Written::default() },
            alike: Alike::with_capacity(usual.1),
            tail: Vec::new(),
            time: (0, vec![0x10, 0]),
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
        if self.current.series == 0 {
            return;
        }
        let mut written = std::mem::take(&mut self.current);
        match self.version {
            Version::One => {
                written.body.append(&mut self.metadata);
                (written.elements, written.stand_for) = self.alike.finish(written.body.len());
            }
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
        let others = self.alike.len() + self.metadata.len() + self.symbols.encoded.len();
        if self.current.body.len() + others + more > self.max_bytes {
            self.cut();
        }
    }

    /// Appends a series with what is in `tail`.
    fn series(&mut self, family: &Family<'_>, suffix: &'static str, labels: &LabelSet, extra: Extra<'_>) {
        // In version 2 exemplars in `tail` refer to symbols of this request already: room was made before them.
        let mut of_labels = 0;
        if self.version == Version::One {
            of_labels = labels.len(family.name, suffix, extra);
            self.make_room(of_labels + self.tail.len() + 16);
        }
        self.current.series += 1;
        match self.version {
            Version::One => {
                // What of a series is in which part must not depend on what is around it.
                if extra.label().is_some() || suffix == "_count" {
                    self.alike.put(family.name, suffix, labels, extra, of_labels, &self.tail);
                } else {
                    let body = &mut self.current.body;
                    let (at, len) = (body.len(), of_labels + self.tail.len());
                    put_key(body, 1, Wire::Len);
                    put_varint(body, len as u64);
                    labels.put(body, family.name, suffix, extra);
                    body.extend_from_slice(&self.tail);
                    if suffix == "_sum" {
                        self.alike.follow(family.name, suffix, labels, at, of_labels, len);
                    }
                }
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

    /// Appends a sample to `tail`. Most samples of a request are of the same time.
    fn put_sample(&mut self, sample: Sample, has_start: bool) {
        let (of, time) = &mut self.time;
        if *of != sample.time_ms {
            *of = sample.time_ms;
            time.clear();
            put_uint(time, 2, sample.time_ms as u64);
        }
        let tail = &mut self.tail;
        if has_start {
            return put_message(tail, 2, |out| {
                put_double(out, 1, sample.value);
                out.extend_from_slice(time);
                put_uint(out, 3, sample.start_ms as u64);
            });
        }
        put_key(tail, 2, Wire::Len);
        put_varint(tail, (DOUBLE_BYTES + time.len()) as u64);
        put_double(tail, 1, sample.value);
        tail.extend_from_slice(time);
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
        suffix: &'static str,
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
        self.put_sample(sample, has_start);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::read_back;

    const TEXTS: [&str; 4] = ["", "a", "some text", "0123456789012345678901234567890123456789"];

    /// What series of version 1 begin with: one by one, without a look at the one before.
    fn one_by_one(series: &[(&str, &'static str, LabelSet, Extra<'_>)], tail: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, suffix, labels, extra) in series {
            put_message(&mut out, 1, |out| {
                labels.put(out, name, suffix, *extra);
                out.extend_from_slice(tail);
            });
        }
        out
    }

    fn plain(request: &Written) -> Vec<u8> {
        read_back(&request.body, &request.elements, request.stand_for)
    }

    fn series_in(plain: &[u8]) -> Vec<Vec<u8>> {
        let fields = phoenix_pdata::wire::Fields::new(plain);
        fields.filter(|field| field.number() == 1).map(|field| field.body.to_vec()).collect()
    }

    #[test]
    fn series_that_are_like_the_one_before_are_written_as_others() {
        let set = |texts: [&'static str; 3]| {
            let names = ["Zone", "le", "zone"];
            LabelSet::new(names.iter().zip(texts).map(|(name, text)| ((*name).into(), text.into())).collect())
        };
        let sets = [set(["", "", ""]), set(["a", "mine", "b"]), set([TEXTS[3], "", TEXTS[2]])];
        let mut series = Vec::new();
        for name in ["requests", "request_seconds"] {
            for labels in &sets {
                series.push((name, "_sum", labels.clone(), Extra::None));
                for suffix in ["_bucket", ""] {
                    series.extend(TEXTS.map(|text| (name, suffix, labels.clone(), Extra::Bucket(text))));
                    series.extend(TEXTS.map(|text| (name, suffix, labels.clone(), Extra::Quantile(text))));
                }
            }
        }
        let tail = {
            let mut tail = Vec::new();
            put_message(&mut tail, 2, |out| {
                put_double(out, 1, 5.0);
                put_uint(out, 2, 7);
            });
            tail
        };
        let whole = one_by_one(&series, &tail);
        // In one request, and in some of a few series each.
        for max_bytes in [usize::MAX, 1000] {
            let mut writer = Writer::new(Version::One, max_bytes, (0, 0), false);
            for (name, suffix, labels, extra) in &series {
                let family = Family { name, kind: Kind::Histogram, help: "", unit: "", delta: false };
                let sample = Sample { value: 5.0, time_ms: 7, start_ms: 0 };
                writer.sample(&family, suffix, labels, *extra, sample, &[]);
            }
            let requests = writer.finish();
            assert_eq!(requests.len() > 1, max_bytes < usize::MAX);
            let (mut found, mut expected) = (Vec::new(), series_in(&whole));
            for request in requests {
                assert!(request.body.len() + request.stand_for <= max_bytes);
                found.extend(series_in(&plain(&request)));
            }
            // Of one series all samples are in one part, in their order; what is in which part does not matter.
            found.sort();
            expected.sort();
            assert!(found == expected, "{max_bytes}");
        }
    }

    #[test]
    fn samples_of_a_series_keep_their_order_and_copies_cost_little() {
        let labels =
            LabelSet::new(vec![("service".into(), TEXTS[3].into()), ("zone".into(), TEXTS[3].into())]);
        let mut writer = Writer::new(Version::One, usize::MAX, (0, 0), false);
        let family = Family { name: "seconds", kind: Kind::Histogram, help: "", unit: "", delta: false };
        // Bounds that change put a bucket at another place of its point.
        for (time_ms, bounds) in [(1, ["1", "2", "5"]), (2, ["2", "5", "10"]), (3, ["1", "5", "2"])] {
            let sample = |value| Sample { value, time_ms, start_ms: 0 };
            for suffix in ["_sum", "_count"] {
                writer.sample(&family, suffix, &labels, Extra::None, sample(1.5), &[]);
            }
            for (value, bound) in [3.0, 3.0, 4.0].into_iter().zip(bounds) {
                writer.sample(&family, "_bucket", &labels, Extra::Bucket(bound), sample(value), &[]);
            }
        }
        let requests = writer.finish();
        let [request] = &*requests else { panic!("{} requests", requests.len()) };
        // The first of a point has its name and tail anew, the others little more than bound and value.
        assert!(request.elements.len() < 9 * 60, "{}", request.elements.len());
        let series = series_in(&plain(request));
        assert_eq!(series.len(), 15);
        let mut last = HashMap::new();
        for series in series {
            let (time, labels) = series.split_last().expect("a time");
            let labels = labels[..labels.len() - 12].to_vec();
            let before = last.insert(labels, *time);
            assert!(before.is_none_or(|before| before < *time));
        }
        assert_eq!(last.len(), 6);
    }
}

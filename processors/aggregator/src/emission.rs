//! What goes out: data points of series, put together as a request.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use phoenix_component::{Ack, Batch, Output};
use phoenix_pdata::view::{Number, Temporality};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{
    put_attribute, put_bytes, put_double, put_fixed64, put_message, put_sint32, put_uint, put_varint,
};
use phoenix_pdata::{Payload, Signal, coalesce};
use phoenix_series::{Buckets, Explicit, Exponential, NO_RECORDED_VALUE};

use crate::examples::Example;
use crate::kind::Form;
use crate::series::Head;

/// The mark of windows that were not seen whole: in the metadata of a metric, and on data points where that is asked for.
pub(crate) const PARTIAL: &str = "phoenix.partial";
/// Which tier a metric is of: in the attributes of its scope.
pub(crate) const INTERVAL: &str = "phoenix.interval";

/// How a metric that comes out is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) form: Form,
    pub(crate) name: Vec<u8>,
    pub(crate) unit: Vec<u8>,
    /// The interval, where the rule has several.
    pub(crate) interval: Option<Arc<str>>,
}

/// The times of a data point, and what it is beside its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) start: u64,
    pub(crate) time: u64,
    /// Attributes, in fields of this number.
    pub(crate) attributes: &'a [u8],
    pub(crate) attributes_field: u32,
    /// Exemplars; those of other times are left out.
    pub(crate) examples: &'a [Example],
    /// Whether the data point carries the mark of a partial window.
    pub(crate) labelled: bool,
}

/// One data point.
struct Entry {
    head: Arc<Head>,
    /// The output and the tier, as a number that is the same for equal ones.
    which: u16,
    partial: bool,
    point: Range<usize>,
}

/// Data points on their way out.
#[derive(Default)]
pub(crate) struct Emission {
    points: Vec<u8>,
    entries: Vec<Entry>,
}

impl Emission {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> usize {
        self.points.len()
    }

    /// Adds a data point that `write` writes.
    pub(crate) fn add(
        &mut self,
        head: &Arc<Head>,
        which: u16,
        partial: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.points.len();
        put_message(&mut self.points, 1, write);
        let point = start..self.points.len();
        self.entries.push(Entry { head: head.clone(), which, partial, point });
    }

    /// Lets everything out as one batch. `naming` says what is meant by a number that was given to `add`.
    pub(crate) fn send(&mut self, out: &mut Output, naming: impl Fn(&Head, u16) -> Naming) {
        if self.entries.is_empty() {
            return;
        }
        self.entries.sort_by_key(|entry| (entry.head.id, entry.which, entry.partial));
        let mut request = Vec::with_capacity(self.points.len() + self.points.len() / 4);
        let same = |a: &Entry, b: &Entry| (a.head.id, a.which, a.partial) == (b.head.id, b.which, b.partial);
        for metric in self.entries.chunk_by(same) {
            let first = &metric[0];
            let naming = naming(&first.head, first.which);
            let points = metric.iter().map(|entry| &self.points[entry.point.clone()]);
            put_metric(&mut request, &first.head, &naming, first.partial, points);
        }
        let items = self.entries.len() as u64;
        let payload = coalesce(Signal::Metrics, Payload::from(Bytes::from(request)));
        out.produced(items);
        out.send(Batch { waiting: 0, ..Batch::new(Signal::Metrics, payload, items) }, Ack::none());
        self.entries.clear();
        self.points.clear();
    }
}

fn put_metric<'p>(
    out: &mut Vec<u8>,
    head: &Head,
    naming: &Naming,
    partial: bool,
    points: impl Iterator<Item = &'p [u8]>,
) {
    put_message(out, 1, |out| {
        put_bytes(out, 1, &head.resource);
        put_message(out, 2, |out| {
            put_message(out, 1, |out| {
                out.extend_from_slice(&head.scope);
                if let Some(interval) = &naming.interval {
                    put_attribute(out, 3, INTERVAL, &(&**interval).into());
                }
            });
            put_message(out, 2, |out| {
                put_bytes(out, 1, &naming.name);
                if !head.description.is_empty() {
                    put_bytes(out, 2, &head.description);
                }
                if !naming.unit.is_empty() {
                    put_bytes(out, 3, &naming.unit);
                }
                put_message(out, naming.form.field(), |out| {
                    points.for_each(|point| out.extend_from_slice(point));
                    put_relation(out, naming.form);
                });
                if partial {
                    put_attribute(out, 12, PARTIAL, &true.into());
                }
            });
            if !head.scope_schema.is_empty() {
                put_bytes(out, 3, &head.scope_schema);
            }
        });
        if !head.resource_schema.is_empty() {
            put_bytes(out, 3, &head.resource_schema);
        }
    });
}

/// How the data points relate in time.
fn put_relation(out: &mut Vec<u8>, form: Form) {
    let number = |temporality| match temporality {
        Temporality::Unspecified => 0,
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    };
    match form {
        Form::Gauge | Form::Summary => {}
        Form::Sum { monotonic, temporality } => {
            put_uint(out, 2, number(temporality));
            put_uint(out, 3, u64::from(monotonic));
        }
        Form::Explicit(temporality) | Form::Exponential(temporality) => put_uint(out, 2, number(temporality)),
    }
}

impl Stamp<'_> {
    fn put_attributes(&self, out: &mut Vec<u8>, field: u32) {
        if field == self.attributes_field {
            out.extend_from_slice(self.attributes);
        } else {
            Fields::new(self.attributes).for_each(|attribute| put_bytes(out, field, attribute.body));
        }
        if self.labelled {
            put_attribute(out, field, PARTIAL, &true.into());
        }
    }

    /// The exemplars that lie in the time of the data point.
    pub(crate) fn examples_within(&self) -> impl Iterator<Item = &Example> {
        let (start, time) = (self.start, self.time);
        self.examples.iter().filter(move |example| example.time > start && example.time <= time)
    }

    fn put_examples(&self, out: &mut Vec<u8>, field: u32) {
        self.examples_within().for_each(|example| put_bytes(out, field, &example.body));
    }

    fn put_times(&self, out: &mut Vec<u8>) {
        if self.start != 0 {
            put_fixed64(out, 2, self.start);
        }
        put_fixed64(out, 3, self.time);
    }

    /// A data point of a gauge or a sum; without a value one that says that there is none.
    pub(crate) fn put_number(&self, out: &mut Vec<u8>, value: Option<Number>) {
        self.put_attributes(out, 7);
        self.put_times(out);
        match value {
            Some(Number::Int(value)) => put_fixed64(out, 6, value as u64),
            Some(Number::Double(value)) => put_double(out, 4, value),
            None => put_uint(out, 8, u64::from(NO_RECORDED_VALUE)),
        }
        self.put_examples(out, 5);
    }

    pub(crate) fn put_explicit(&self, out: &mut Vec<u8>, value: &Explicit, extremes: bool) {
        self.put_times(out);
        put_fixed64(out, 4, value.count);
        if let Some(sum) = value.sum {
            put_double(out, 5, sum);
        }
        put_message(out, 6, |out| {
            value.counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()))
        });
        put_message(out, 7, |out| {
            value.bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()))
        });
        self.put_examples(out, 8);
        self.put_attributes(out, 9);
        if extremes {
            put_extremes(out, 11, value.min, value.max);
        }
    }

    pub(crate) fn put_exponential(&self, out: &mut Vec<u8>, value: &Exponential, extremes: bool) {
        self.put_attributes(out, 1);
        self.put_times(out);
        put_fixed64(out, 4, value.count);
        if let Some(sum) = value.sum {
            put_double(out, 5, sum);
        }
        put_sint32(out, 6, value.scale);
        put_fixed64(out, 7, value.zero_count);
        put_buckets(out, 8, &value.positive);
        put_buckets(out, 9, &value.negative);
        self.put_examples(out, 11);
        if extremes {
            put_extremes(out, 12, value.min, value.max);
        }
        if value.zero_threshold > 0.0 {
            put_double(out, 14, value.zero_threshold);
        }
    }

    /// A summary as it came, with other attributes.
    pub(crate) fn put_summary(&self, out: &mut Vec<u8>, point: &[u8]) {
        Fields::new(point)
            .filter(|field| field.number() != 7)
            .for_each(|field| out.extend_from_slice(field.raw));
        self.put_attributes(out, 7);
    }
}

fn put_extremes(out: &mut Vec<u8>, field: u32, min: Option<f64>, max: Option<f64>) {
    if let Some(min) = min {
        put_double(out, field, min);
    }
    if let Some(max) = max {
        put_double(out, field + 1, max);
    }
}

fn put_buckets(out: &mut Vec<u8>, field: u32, buckets: &Buckets) {
    if buckets.counts.is_empty() {
        return;
    }
    put_message(out, field, |out| {
        // What came in had an offset of 32 bits, and buckets only get wider.
        put_sint32(out, 1, i32::try_from(buckets.offset).unwrap_or(i32::MAX));
        put_message(out, 2, |out| buckets.counts.iter().for_each(|count| put_varint(out, *count)));
    });
}

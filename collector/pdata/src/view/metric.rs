use std::fmt;
use std::marker::PhantomData;

use crate::wire::{Field, Fields, read_fixed64, read_varint};

use super::{Attributes, Body, Many, Slot, Text, View, spanning, view};

view! {
    /// A metric: data points of one kind under one name.
    Metric {
        /// The name.
        1 name: Text<'a>,
        /// A description for people.
        2 description: Text<'a>,
        /// The unit, as UCUM writes it.
        3 unit: Text<'a>,
        /// The data points and what they mean.
        5 | 7 | 9 | 10 | 11 data: DataSlot<'a> as Option<Data<'a>>,
        /// What else is known about the metric.
        12 metadata: Attributes<'a>,
    }
}

/// The five kinds of metrics.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// The last value counts.
    Gauge(Gauge<'a>),
    /// Values that add up.
    Sum(Sum<'a>),
    /// Buckets with explicit bounds.
    Histogram(Histogram<'a>),
    /// Buckets with bounds that are powers of a base.
    ExponentialHistogram(ExponentialHistogram<'a>),
    /// Quantiles that the sender computed.
    Summary(Summary<'a>),
}

impl Data<'_> {
    /// How many data points there are.
    pub fn count(&self) -> usize {
        match self {
            Data::Gauge(gauge) => gauge.data_points().count(),
            Data::Sum(sum) => sum.data_points().count(),
            Data::Histogram(histogram) => histogram.data_points().count(),
            Data::ExponentialHistogram(histogram) => histogram.data_points().count(),
            Data::Summary(summary) => summary.data_points().count(),
        }
    }
}

/// The number of the member of the oneof, and its body.
#[derive(Clone, Copy, Default)]
struct DataSlot<'a>(u32, &'a [u8]);

impl<'a> Slot<'a> for DataSlot<'a> {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, _: &'a [u8]) {
        *self = DataSlot(field.number(), field.body);
    }
}

impl<'a> From<DataSlot<'a>> for Option<Data<'a>> {
    fn from(DataSlot(number, body): DataSlot<'a>) -> Option<Data<'a>> {
        Some(match number {
            5 => Data::Gauge(Gauge::new(body)),
            7 => Data::Sum(Sum::new(body)),
            9 => Data::Histogram(Histogram::new(body)),
            10 => Data::ExponentialHistogram(ExponentialHistogram::new(body)),
            11 => Data::Summary(Summary::new(body)),
            _ => return None,
        })
    }
}

/// How a data point relates to the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// The sender did not say, which is not valid, or wrote a number that is not known.
    Unspecified,
    /// Since the data point before.
    Delta,
    /// Since the start time, which stays.
    Cumulative,
}

impl From<i32> for Temporality {
    fn from(number: i32) -> Temporality {
        match number {
            1 => Temporality::Delta,
            2 => Temporality::Cumulative,
            _ => Temporality::Unspecified,
        }
    }
}

view! {
    /// The last value counts.
    Gauge {
        /// The data points.
        1 data_points: Many<'a, NumberPoint<'a>>,
    }
}

view! {
    /// Values that add up.
    Sum {
        /// The data points.
        1 data_points: Many<'a, NumberPoint<'a>>,
        /// How they relate in time.
        2 aggregation_temporality: i32 as Temporality,
        /// Whether they never fall.
        3 is_monotonic: bool,
    }
}

view! {
    /// Buckets with explicit bounds.
    Histogram {
        /// The data points.
        1 data_points: Many<'a, HistogramPoint<'a>>,
        /// How they relate in time.
        2 aggregation_temporality: i32 as Temporality,
    }
}

view! {
    /// Buckets with bounds that are powers of a base.
    ExponentialHistogram {
        /// The data points.
        1 data_points: Many<'a, ExponentialPoint<'a>>,
        /// How they relate in time.
        2 aggregation_temporality: i32 as Temporality,
    }
}

view! {
    /// Quantiles that the sender computed.
    Summary {
        /// The data points.
        1 data_points: Many<'a, SummaryPoint<'a>>,
    }
}

view! {
    /// A data point of a gauge or a sum.
    NumberPoint {
        /// Unix time in nanoseconds, 0 if unknown.
        2 start_time_unix_nano: u64,
        /// Unix time, in nanoseconds.
        3 time_unix_nano: u64,
        /// The value.
        4 | 6 value: Option<Number>,
        /// Examples of measurements.
        5 exemplars: Many<'a, Exemplar<'a>>,
        /// The attributes.
        7 attributes: Attributes<'a>,
        /// Bit 0: there is no recorded value.
        8 flags: u32,
    }
}

view! {
    /// A data point of a histogram.
    HistogramPoint {
        /// Unix time in nanoseconds, 0 if unknown.
        2 start_time_unix_nano: u64,
        /// Unix time, in nanoseconds.
        3 time_unix_nano: u64,
        /// How many measurements there were.
        4 count: u64,
        /// Their sum; absent, which is not 0, if they can be negative.
        5 sum: Option<f64>,
        /// How many fell into each bucket: one more than there are bounds, or none at all.
        6 bucket_counts: Numbers<'a, u64>,
        /// The upper bounds of the buckets.
        7 explicit_bounds: Numbers<'a, f64>,
        /// Examples of measurements.
        8 exemplars: Many<'a, Exemplar<'a>>,
        /// The attributes.
        9 attributes: Attributes<'a>,
        /// Bit 0: there is no recorded value.
        10 flags: u32,
        /// The smallest measurement.
        11 min: Option<f64>,
        /// The largest measurement.
        12 max: Option<f64>,
    }
}

view! {
    /// A data point of an exponential histogram.
    ExponentialPoint {
        /// The attributes.
        1 attributes: Attributes<'a>,
        /// Unix time in nanoseconds, 0 if unknown.
        2 start_time_unix_nano: u64,
        /// Unix time, in nanoseconds.
        3 time_unix_nano: u64,
        /// How many measurements there were.
        4 count: u64,
        /// Their sum; absent, which is not 0, if they can be negative.
        5 sum: Option<f64>,
        /// The base is 2 to the power of 2 to the power of minus this.
        6 scale: Zigzag as i32,
        /// How many measurements were within the threshold of zero.
        7 zero_count: u64,
        /// Buckets of the positive measurements.
        8 positive: Body<'a> as Option<Buckets<'a>>,
        /// Buckets of the negative measurements.
        9 negative: Body<'a> as Option<Buckets<'a>>,
        /// Bit 0: there is no recorded value.
        10 flags: u32,
        /// Examples of measurements.
        11 exemplars: Many<'a, Exemplar<'a>>,
        /// The smallest measurement.
        12 min: Option<f64>,
        /// The largest measurement.
        13 max: Option<f64>,
        /// The width of the bucket of zero.
        14 zero_threshold: f64,
    }
}

view! {
    /// Buckets of an exponential histogram.
    Buckets {
        /// The index of the first bucket.
        1 offset: Zigzag as i32,
        /// How many measurements fell into each.
        2 bucket_counts: Varints<'a> as Numbers<'a, u64>,
    }
}

view! {
    /// A data point of a summary.
    SummaryPoint {
        /// Unix time in nanoseconds, 0 if unknown.
        2 start_time_unix_nano: u64,
        /// Unix time, in nanoseconds.
        3 time_unix_nano: u64,
        /// How many measurements there were.
        4 count: u64,
        /// Their sum.
        5 sum: f64,
        /// The quantiles.
        6 quantile_values: Many<'a, Quantile<'a>>,
        /// The attributes.
        7 attributes: Attributes<'a>,
        /// Bit 0: there is no recorded value.
        8 flags: u32,
    }
}

view! {
    /// One quantile of a summary.
    Quantile {
        /// Which, from 0 to 1.
        1 quantile: f64,
        /// Its value.
        2 value: f64,
    }
}

view! {
    /// A measurement, as an example of those in a data point.
    Exemplar {
        /// Unix time, in nanoseconds.
        2 time_unix_nano: u64,
        /// The value.
        3 | 6 value: Option<Number>,
        /// Eight bytes, or none.
        4 span_id: &'a [u8],
        /// Sixteen bytes, or none.
        5 trace_id: &'a [u8],
        /// Attributes that the data point does not have.
        7 filtered_attributes: Attributes<'a>,
    }
}

/// A value that keeps whether the sender counts or measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A floating-point number.
    Double(f64),
    /// A whole number.
    Int(i64),
}

/// Field 6 is the whole number both of a data point and of an exemplar.
impl<'a> Slot<'a> for Option<Number> {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, _: &'a [u8]) {
        *self = Some(match field.number() {
            6 => Number::Int(field.scalar as i64),
            _ => Number::Double(f64::from_bits(field.scalar)),
        });
    }
}

/// A `sint32`, which the wire holds as 0 for 0, 1 for -1, 2 for 1 and so on.
#[derive(Clone, Copy, Default)]
struct Zigzag(i32);

impl<'a> Slot<'a> for Zigzag {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, _: &'a [u8]) {
        let value = field.scalar as u32;
        self.0 = (value >> 1) as i32 ^ -((value & 1) as i32);
    }
}

impl From<Zigzag> for i32 {
    fn from(value: Zigzag) -> i32 {
        value.0
    }
}

/// The numbers of a `repeated` field, in order, packed or not. `T` is `u64` or `f64`.
#[derive(Clone, Copy)]
pub struct Numbers<'a, T> {
    /// From the first of them to the last; other fields may lie between.
    bytes: &'a [u8],
    number: u32,
    /// Whether those that are packed are varints; they have eight bytes each otherwise.
    varints: bool,
    value: PhantomData<fn() -> T>,
}

/// A number that a `repeated` field can hold.
pub trait FromBits {
    /// Makes it of what the wire holds.
    fn from_bits(bits: u64) -> Self;
}

impl FromBits for u64 {
    fn from_bits(bits: u64) -> u64 {
        bits
    }
}

impl FromBits for f64 {
    fn from_bits(bits: u64) -> f64 {
        f64::from_bits(bits)
    }
}

impl<'a, T: FromBits> Numbers<'a, T> {
    /// Walks them.
    pub fn iter(&self) -> NumbersIter<'a, T> {
        NumbersIter {
            fields: Fields::new(self.bytes),
            packed: &[],
            number: self.number,
            varints: self.varints,
            value: PhantomData,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a, T: FromBits> IntoIterator for Numbers<'a, T> {
    type Item = T;
    type IntoIter = NumbersIter<'a, T>;

    fn into_iter(self) -> NumbersIter<'a, T> {
        self.iter()
    }
}

impl<T: FromBits + fmt::Debug> fmt::Debug for Numbers<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Walks the numbers of a `repeated` field.
#[derive(Clone, Copy, Debug)]
pub struct NumbersIter<'a, T> {
    fields: Fields<'a>,
    packed: &'a [u8],
    number: u32,
    varints: bool,
    value: PhantomData<fn() -> T>,
}

impl<T: FromBits> Iterator for NumbersIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while self.packed.is_empty() {
            let number = self.number;
            let field = self.fields.find(|field| field.number() == number)?;
            if !field.is_len(number) {
                return Some(T::from_bits(field.scalar));
            }
            self.packed = field.body;
        }
        let read = if self.varints { read_varint(self.packed) } else { read_fixed64(self.packed) };
        let (bits, rest) = read?;
        self.packed = rest;
        Some(T::from_bits(bits))
    }
}

impl<T> Default for Numbers<'_, T> {
    fn default() -> Self {
        Numbers { bytes: &[], number: 0, varints: false, value: PhantomData }
    }
}

impl<'a, T: Copy> Slot<'a> for Numbers<'a, T> {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, raw: &'a [u8]) {
        self.bytes = spanning(self.bytes, field.raw, raw);
        self.number = field.number();
    }
}

/// Numbers that are varints when packed.
#[derive(Clone, Copy, Default)]
struct Varints<'a>(Numbers<'a, u64>);

impl<'a> Slot<'a> for Varints<'a> {
    #[inline(always)]
    fn take(&mut self, field: &Field<'a>, raw: &'a [u8]) {
        self.0.take(field, raw);
        self.0.varints = true;
    }
}

impl<'a> From<Varints<'a>> for Numbers<'a, u64> {
    fn from(numbers: Varints<'a>) -> Numbers<'a, u64> {
        numbers.0
    }
}

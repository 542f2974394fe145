//! The messages of a metric, owned.
//!
//! Texts are bytes, since nobody promises that they are UTF-8, and attributes and exemplars stay encoded,
//! so that nothing in them is lost that this version of OTLP does not know.

use prost::{Message, Oneof};

use crate::EvalError;

/// A metric.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Its name.
    #[prost(bytes = "vec", tag = "1")]
    pub name: Vec<u8>,
    /// What it tells of.
    #[prost(bytes = "vec", tag = "2")]
    pub description: Vec<u8>,
    /// UCUM.
    #[prost(bytes = "vec", tag = "3")]
    pub unit: Vec<u8>,
    /// Its points.
    #[prost(oneof = "Data", tags = "5, 7, 9, 10, 11")]
    pub data: Option<Data>,
    /// Encoded `KeyValue`s.
    #[prost(bytes = "vec", repeated, tag = "12")]
    pub metadata: Vec<Vec<u8>>,
}

/// The points of a metric, by its type.
#[derive(Clone, PartialEq, Oneof)]
pub enum Data {
    /// Values as they are.
    #[prost(message, tag = "5")]
    Gauge(Gauge),
    /// Values that add up.
    #[prost(message, tag = "7")]
    Sum(Sum),
    /// Counts in buckets with bounds.
    #[prost(message, tag = "9")]
    Histogram(Histogram),
    /// Counts in buckets that grow.
    #[prost(message, tag = "10")]
    ExponentialHistogram(ExponentialHistogram),
    /// Quantiles.
    #[prost(message, tag = "11")]
    Summary(Summary),
}

/// Values as they are.
#[derive(Clone, PartialEq, Message)]
pub struct Gauge {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
}

/// Values that add up.
#[derive(Clone, PartialEq, Message)]
pub struct Sum {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
    /// 0 unspecified, 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    pub temporality: i32,
    /// Whether it never falls.
    #[prost(bool, tag = "3")]
    pub is_monotonic: bool,
}

/// Counts in buckets with bounds.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<HistogramDataPoint>,
    /// 0 unspecified, 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    pub temporality: i32,
}

/// Counts in buckets that grow.
#[derive(Clone, PartialEq, Message)]
pub struct ExponentialHistogram {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<ExponentialDataPoint>,
    /// 0 unspecified, 1 delta, 2 cumulative.
    #[prost(int32, tag = "2")]
    pub temporality: i32,
}

/// Quantiles.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// The points.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<SummaryDataPoint>,
}

/// A number at a time.
#[derive(Clone, PartialEq, Message)]
pub struct NumberDataPoint {
    /// Encoded `KeyValue`s.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub attributes: Vec<Vec<u8>>,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "2")]
    pub start_time: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "3")]
    pub time: u64,
    /// The number.
    #[prost(oneof = "Number", tags = "4, 6")]
    pub value: Option<Number>,
    /// Encoded.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub exemplars: Vec<Vec<u8>>,
    /// Bit 0: there is no value.
    #[prost(uint32, tag = "8")]
    pub flags: u32,
}

/// A whole or a floating-point number.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum Number {
    /// Floating-point.
    #[prost(double, tag = "4")]
    Double(f64),
    /// Whole.
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

/// Counts in buckets at a time.
#[derive(Clone, PartialEq, Message)]
pub struct HistogramDataPoint {
    /// Encoded `KeyValue`s.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub attributes: Vec<Vec<u8>>,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "2")]
    pub start_time: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "3")]
    pub time: u64,
    /// How many values.
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    /// The sum of the values.
    #[prost(double, optional, tag = "5")]
    pub sum: Option<f64>,
    /// One more than the bounds.
    #[prost(fixed64, repeated, tag = "6")]
    pub bucket_counts: Vec<u64>,
    /// Upper bounds.
    #[prost(double, repeated, tag = "7")]
    pub explicit_bounds: Vec<f64>,
    /// Encoded.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub exemplars: Vec<Vec<u8>>,
    /// Bit 0: there is no value.
    #[prost(uint32, tag = "10")]
    pub flags: u32,
    /// The smallest value.
    #[prost(double, optional, tag = "11")]
    pub min: Option<f64>,
    /// The largest value.
    #[prost(double, optional, tag = "12")]
    pub max: Option<f64>,
}

/// Counts in buckets that grow, at a time.
#[derive(Clone, PartialEq, Message)]
pub struct ExponentialDataPoint {
    /// Encoded `KeyValue`s.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub attributes: Vec<Vec<u8>>,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "2")]
    pub start_time: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "3")]
    pub time: u64,
    /// How many values.
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    /// The sum of the values.
    #[prost(double, optional, tag = "5")]
    pub sum: Option<f64>,
    /// Buckets grow by `2^(2^-scale)`.
    #[prost(sint32, tag = "6")]
    pub scale: i32,
    /// Values that are as good as zero.
    #[prost(fixed64, tag = "7")]
    pub zero_count: u64,
    /// Values above zero.
    #[prost(message, optional, tag = "8")]
    pub positive: Option<Buckets>,
    /// Values below zero, by their magnitude.
    #[prost(message, optional, tag = "9")]
    pub negative: Option<Buckets>,
    /// Bit 0: there is no value.
    #[prost(uint32, tag = "10")]
    pub flags: u32,
    /// Encoded.
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub exemplars: Vec<Vec<u8>>,
    /// The smallest value.
    #[prost(double, optional, tag = "12")]
    pub min: Option<f64>,
    /// The largest value.
    #[prost(double, optional, tag = "13")]
    pub max: Option<f64>,
    /// Up to here a value is as good as zero.
    #[prost(double, tag = "14")]
    pub zero_threshold: f64,
}

/// Buckets in a row.
#[derive(Clone, PartialEq, Message)]
pub struct Buckets {
    /// The index of the first.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// What they hold.
    #[prost(uint64, repeated, tag = "2")]
    pub bucket_counts: Vec<u64>,
}

/// Quantiles at a time.
#[derive(Clone, PartialEq, Message)]
pub struct SummaryDataPoint {
    /// Encoded `KeyValue`s.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub attributes: Vec<Vec<u8>>,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "2")]
    pub start_time: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "3")]
    pub time: u64,
    /// How many values.
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    /// The sum of the values.
    #[prost(double, tag = "5")]
    pub sum: f64,
    /// The quantiles.
    #[prost(message, repeated, tag = "6")]
    pub quantiles: Vec<Quantile>,
    /// Bit 0: there is no value.
    #[prost(uint32, tag = "8")]
    pub flags: u32,
}

/// A quantile.
#[derive(Clone, PartialEq, Message)]
pub struct Quantile {
    /// Between 0 and 1.
    #[prost(double, tag = "1")]
    pub quantile: f64,
    /// The value there.
    #[prost(double, tag = "2")]
    pub value: f64,
}

/// An attribute, its value encoded.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Its key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// An encoded `AnyValue`.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub value: Option<Vec<u8>>,
}

/// A value, of the types that functions make.
#[derive(Clone, PartialEq, Message)]
pub struct Scalar {
    /// The value.
    #[prost(oneof = "AnyValue", tags = "1, 4")]
    pub value: Option<AnyValue>,
}

/// The types of value that functions make.
#[derive(Clone, PartialEq, Oneof)]
pub enum AnyValue {
    /// Text.
    #[prost(bytes, tag = "1")]
    Text(Vec<u8>),
    /// A floating-point number.
    #[prost(double, tag = "4")]
    Double(f64),
}

impl Metric {
    /// Decodes a metric.
    ///
    /// # Errors
    ///
    /// Bytes that are none, which a validated request does not have.
    pub fn read(bytes: &[u8]) -> Result<Self, EvalError> {
        decode(bytes)
    }

    /// Encodes the metric.
    pub fn write(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// A metric with the same unit and description, another name, and these points.
    pub fn derive(&self, suffix: &str, data: Data) -> Self {
        let mut name = self.name.clone();
        name.extend_from_slice(suffix.as_bytes());
        Self {
            name,
            description: self.description.clone(),
            unit: self.unit.clone(),
            data: Some(data),
            metadata: Vec::new(),
        }
    }

    /// The name of its type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self.data {
            None => "metric without data",
            Some(Data::Gauge(_)) => "gauge",
            Some(Data::Sum(_)) => "sum",
            Some(Data::Histogram(_)) => "histogram",
            Some(Data::ExponentialHistogram(_)) => "exponential histogram",
            Some(Data::Summary(_)) => "summary",
        }
    }

    /// The attributes of all points.
    pub fn attributes_mut(&mut self) -> Vec<&mut Vec<Vec<u8>>> {
        match &mut self.data {
            None => Vec::new(),
            Some(Data::Gauge(Gauge { data_points }) | Data::Sum(Sum { data_points, .. })) => {
                data_points.iter_mut().map(|point| &mut point.attributes).collect()
            }
            Some(Data::Histogram(data)) => {
                data.data_points.iter_mut().map(|point| &mut point.attributes).collect()
            }
            Some(Data::ExponentialHistogram(data)) => {
                data.data_points.iter_mut().map(|point| &mut point.attributes).collect()
            }
            Some(Data::Summary(data)) => {
                data.data_points.iter_mut().map(|point| &mut point.attributes).collect()
            }
        }
    }
}

impl Attribute {
    /// Decodes an attribute.
    ///
    /// # Errors
    ///
    /// Bytes that are none.
    pub fn read(bytes: &[u8]) -> Result<Self, EvalError> {
        decode(bytes)
    }

    /// The value, if it is text.
    pub fn text(&self) -> Option<Vec<u8>> {
        match Scalar::decode(self.value.as_deref()?).ok()?.value {
            Some(AnyValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Encodes an attribute.
    pub fn encode(key: &[u8], value: AnyValue) -> Vec<u8> {
        let value = Scalar { value: Some(value) }.encode_to_vec();
        Self { key: key.to_vec(), value: Some(value) }.encode_to_vec()
    }
}

impl From<Number> for f64 {
    fn from(number: Number) -> Self {
        match number {
            Number::Double(number) => number,
            Number::Int(number) => number as f64,
        }
    }
}

/// Decodes a message.
pub(crate) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, EvalError> {
    M::decode(bytes).map_err(|error| EvalError::new(format!("malformed metric: {error}")))
}

//! Where the messages of the three signals keep their fields.

use phoenix_pdata::Signal;

/// Which message it is that is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    #[default]
    Resource,
    Scope,
    Span,
    SpanEvent,
    Log,
    Metric,
    NumberPoint,
    HistogramPoint,
    ExponentialPoint,
    SummaryPoint,
    Exemplar,
}

/// How a field is laid out, and when it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Varint,
    SInt,
    Fixed32,
    Fixed64,
    /// Left out where it is empty.
    Bytes,
    /// A message, or a member of a oneof: there or not, whatever it holds.
    Message,
    /// Eight bytes of a member of a oneof, or of an optional field: there or not, even if it is zero.
    Optional64,
    /// Messages, one after the other, keys included.
    Repeated,
}

impl Shape {
    /// The shape of the records below scopes.
    pub(crate) fn of_records(signal: Signal) -> Shape {
        match signal {
            Signal::Traces => Shape::Span,
            Signal::Metrics => Shape::Metric,
            Signal::Logs => Shape::Log,
        }
    }

    /// The number of the field of its attributes (metadata, for metrics).
    #[inline(always)]
    pub(crate) fn attributes(self) -> u32 {
        match self {
            Shape::Resource | Shape::ExponentialPoint => 1,
            Shape::Scope | Shape::SpanEvent => 3,
            Shape::Span | Shape::HistogramPoint => 9,
            Shape::Log => 6,
            Shape::Metric => 12,
            Shape::NumberPoint | Shape::SummaryPoint | Shape::Exemplar => 7,
        }
    }

    /// How a field that paths name is laid out.
    pub(crate) fn layout(self, number: u32) -> Layout {
        use Layout::{Bytes, Fixed32, Fixed64, Message, Optional64, Repeated, SInt, Varint};
        match (self, number) {
            (Shape::Span, 7 | 8) | (Shape::SpanEvent, 1) | (Shape::Log, 1 | 11) => Fixed64,
            (Shape::Span, 16) | (Shape::Log, 8) => Fixed32,
            (Shape::Span, 6 | 10 | 12 | 14) | (Shape::SpanEvent, 4) | (Shape::Log, 2 | 7) => Varint,
            (Shape::Span, 11 | 13) => Repeated,
            (Shape::Log, 5) | (Shape::Metric, 5 | 7 | 9 | 10 | 11) => Message,
            (Shape::Resource, 2) | (Shape::Scope, 4) => Varint,
            (Shape::NumberPoint | Shape::Exemplar, 6) => Optional64,
            (Shape::NumberPoint, 4) | (Shape::Exemplar, 3) => Optional64,
            (Shape::Exemplar, 2) => Fixed64,
            (Shape::NumberPoint, 5) | (Shape::HistogramPoint, 6..=8) => Repeated,
            (Shape::ExponentialPoint, 11) | (Shape::SummaryPoint, 6) => Repeated,
            (Shape::HistogramPoint | Shape::ExponentialPoint, 5) => Optional64,
            (Shape::HistogramPoint | Shape::ExponentialPoint | Shape::SummaryPoint, 4) => Fixed64,
            (Shape::SummaryPoint, 5) => Fixed64,
            (Shape::ExponentialPoint, 6) => SInt,
            (Shape::ExponentialPoint, 7) => Fixed64,
            (Shape::ExponentialPoint, 8 | 9) => Message,
            (Shape::NumberPoint | Shape::HistogramPoint | Shape::ExponentialPoint, 2 | 3) => Fixed64,
            (Shape::SummaryPoint, 2 | 3) => Fixed64,
            (Shape::HistogramPoint | Shape::ExponentialPoint, 10) => Varint,
            (Shape::NumberPoint | Shape::SummaryPoint, 8) => Varint,
            _ => Bytes,
        }
    }

    /// The number of the field of a data point's flags.
    pub(crate) fn point_flags(self) -> u32 {
        match self {
            Shape::HistogramPoint | Shape::ExponentialPoint => 10,
            _ => 8,
        }
    }

    /// The number of the field of a data point's exemplars.
    pub(crate) fn exemplars(self) -> Option<u32> {
        match self {
            Shape::NumberPoint => Some(5),
            Shape::HistogramPoint => Some(8),
            Shape::ExponentialPoint => Some(11),
            _ => None,
        }
    }

    /// The points in the data of a metric, by the number of its field.
    pub(crate) fn of_points(data: u32) -> Option<Shape> {
        match data {
            5 | 7 => Some(Shape::NumberPoint),
            9 => Some(Shape::HistogramPoint),
            10 => Some(Shape::ExponentialPoint),
            11 => Some(Shape::SummaryPoint),
            _ => None,
        }
    }
}

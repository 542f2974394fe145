use std::borrow::Cow;

use crate::run::{Argument, Datum, State};
use crate::{Env, EvalError, Map, Time, Value};

/// The arguments of one evaluation, and what may be asked besides.
///
/// Arguments are named by their position in the table. They were checked and coerced by their
/// [`Kind`](super::Kind): who asks for what the kind promises gets it. Who asks for something else gets
/// the zero of that type, and an assertion where those are on.
pub struct Call<'c, 'a> {
    pub(crate) arguments: &'c [Argument<'a>],
    pub(crate) state: &'c State<'a>,
}

impl<'c, 'a> Call<'c, 'a> {
    fn datum(&self, index: usize) -> &'c Datum<'a> {
        match self.arguments.get(index) {
            Some(Argument::One(datum)) => datum,
            _ => &Datum::Nil,
        }
    }

    /// Whether the argument was given (or has a default), and is not `nil`.
    pub fn has(&self, index: usize) -> bool {
        match self.arguments.get(index) {
            Some(Argument::One(datum)) => !datum.is_nil(),
            Some(Argument::Many(_)) => true,
            _ => false,
        }
    }

    /// Text. What is not UTF-8 is U+FFFD.
    pub fn str(&self, index: usize) -> &'a str {
        self.opt_str(index).unwrap_or_else(|| unexpected("text", ""))
    }

    /// Text, if there is any: for optional parameters and for `StringLike`.
    pub fn opt_str(&self, index: usize) -> Option<&'a str> {
        match self.datum(index) {
            Datum::Text(text) => Some(self.state.text(text)),
            _ => None,
        }
    }

    /// A whole number.
    pub fn int(&self, index: usize) -> i64 {
        self.opt_int(index).unwrap_or_else(|| unexpected("a whole number", 0))
    }

    /// A whole number, if there is one.
    pub fn opt_int(&self, index: usize) -> Option<i64> {
        match self.datum(index) {
            Datum::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A floating-point number.
    pub fn double(&self, index: usize) -> f64 {
        self.opt_double(index).unwrap_or_else(|| unexpected("a floating-point number", 0.0))
    }

    /// A floating-point number, if there is one.
    pub fn opt_double(&self, index: usize) -> Option<f64> {
        match self.datum(index) {
            Datum::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// A boolean.
    pub fn bool(&self, index: usize) -> bool {
        self.opt_bool(index).unwrap_or_else(|| unexpected("a boolean", false))
    }

    /// A boolean, if there is one.
    pub fn opt_bool(&self, index: usize) -> Option<bool> {
        match self.datum(index) {
            Datum::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Bytes; of text, its bytes.
    pub fn bytes(&self, index: usize) -> &'a [u8] {
        match self.datum(index) {
            Datum::Bytes(bytes) | Datum::Text(bytes) => bytes,
            _ => &[],
        }
    }

    /// An instant.
    pub fn time(&self, index: usize) -> Time {
        match self.datum(index) {
            Datum::Utc(nanos) => Time::utc(*nanos),
            Datum::Zoned(time) => (**time).clone(),
            _ => unexpected("a time", Time::utc(0)),
        }
    }

    /// A length of time in nanoseconds.
    pub fn duration(&self, index: usize) -> i64 {
        match self.datum(index) {
            Datum::Duration(nanos) => *nanos,
            _ => unexpected("a duration", 0),
        }
    }

    /// A map.
    pub fn map(&self, index: usize) -> Map<'a> {
        match self.value(index) {
            Value::Map(map) => map,
            _ => unexpected("a map", Map::new()),
        }
    }

    /// A list, or the values of a `ListOf`; empty if it was not given.
    pub fn list(&self, index: usize) -> Vec<Value<'a>> {
        match (self.arguments.get(index), self.value(index)) {
            (Some(Argument::Many(data)), _) => data.iter().cloned().map(Datum::into_value).collect(),
            (_, Value::List(values)) => values,
            _ => Vec::new(),
        }
    }

    /// The texts of a `ListOf` strings; empty if it was not given.
    pub fn strs(&self, index: usize) -> Vec<&'a str> {
        let text = |datum: &Datum<'a>| match datum {
            Datum::Text(text) => Some(self.state.text(text)),
            _ => None,
        };
        match self.arguments.get(index) {
            Some(Argument::Many(data)) => data.iter().filter_map(text).collect(),
            _ => Vec::new(),
        }
    }

    /// The value, whatever it is; `nil` if it was not given.
    pub fn value(&self, index: usize) -> Value<'a> {
        self.datum(index).clone().into_value()
    }

    /// Time, chance, the sender.
    pub fn env(&self) -> &Env<'a> {
        &self.state.env
    }

    /// 128 random bits.
    pub fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (low, high) = bytes.split_at_mut(8);
        low.copy_from_slice(&(self.state.env.random)().to_le_bytes());
        high.copy_from_slice(&(self.state.env.random)().to_le_bytes());
        bytes
    }

    /// The record of the context as it stands, encoded: a `Span` for spans, and so on.
    pub fn record(&self) -> Cow<'a, [u8]> {
        self.state.record()
    }
}

impl std::fmt::Debug for Call<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

/// What an editor may do besides.
pub struct Edit<'c, 'a> {
    pub(crate) arguments: &'c [Argument<'a>],
    pub(crate) state: &'c mut State<'a>,
}

impl<'a> Edit<'_, 'a> {
    /// The arguments.
    pub fn call(&self) -> Call<'_, 'a> {
        Call { arguments: self.arguments, state: self.state }
    }

    /// The record of the context as it stands, encoded.
    pub fn record(&self) -> Cow<'a, [u8]> {
        self.state.record()
    }

    /// Puts another record in its place.
    pub fn set_record(&mut self, record: &[u8]) {
        self.state.set_record(record);
    }

    /// In the contexts `metric` and `datapoint`: the metric as it stands, encoded. In the context `datapoint` it
    /// holds what was changed of its other points so far if it is a summary; else they are as they were.
    pub fn metric(&self) -> Cow<'a, [u8]> {
        self.state.metric()
    }

    /// In the contexts `metric` and `datapoint`: adds a metric at the end of those of the scope. It is
    /// visited by the statements that are running, as in the original.
    ///
    /// # Errors
    ///
    /// When so many were added that the statements would hardly come to an end.
    pub fn append_metric(&mut self, metric: &[u8]) -> Result<(), EvalError> {
        self.state.append_metric(metric)
    }
}

impl std::fmt::Debug for Edit<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edit").field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

/// The arguments that stand in the statement, when it is compiled.
#[derive(Debug)]
pub struct Literals<'l> {
    pub(crate) arguments: &'l [Argument<'l>],
    /// Whether the argument is a literal; others are `Absent` above.
    pub(crate) is_dynamic: &'l [bool],
}

impl<'l> Literals<'l> {
    fn datum(&self, index: usize) -> Option<&'l Datum<'l>> {
        match self.arguments.get(index) {
            Some(Argument::One(datum)) => Some(datum),
            _ => None,
        }
    }

    /// Whether the value is known only for each record, so that it must be looked at then.
    pub fn is_dynamic(&self, index: usize) -> bool {
        self.is_dynamic.get(index).copied().unwrap_or(false)
    }

    /// Text that stands in the statement, or the default.
    pub fn str(&self, index: usize) -> Option<&'l str> {
        match self.datum(index)? {
            Datum::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// A whole number that stands in the statement, or the default.
    pub fn int(&self, index: usize) -> Option<i64> {
        match self.datum(index)? {
            Datum::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A floating-point number that stands in the statement.
    pub fn double(&self, index: usize) -> Option<f64> {
        match self.datum(index)? {
            Datum::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// A boolean that stands in the statement, or the default.
    pub fn bool(&self, index: usize) -> Option<bool> {
        match self.datum(index)? {
            Datum::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A value that stands in the statement.
    pub fn value(&self, index: usize) -> Option<Value<'l>> {
        self.datum(index).map(|datum| datum.clone().into_value())
    }

    /// How many elements a `ListOf` has, literal or not.
    pub fn len(&self, index: usize) -> usize {
        match self.arguments.get(index) {
            Some(Argument::Many(data)) => data.len(),
            _ => 0,
        }
    }

    /// The texts of a `ListOf` strings, if all of them stand in the statement.
    pub fn strs(&self, index: usize) -> Option<Vec<&'l str>> {
        let text = |datum: &'l Datum<'l>| match datum {
            Datum::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        match self.arguments.get(index)? {
            Argument::Many(data) => data.iter().map(text).collect(),
            _ => None,
        }
    }

    /// The numbers of a `ListOf` floating-point literals.
    pub fn doubles(&self, index: usize) -> Option<Vec<f64>> {
        let number = |datum: &Datum<'_>| match datum {
            Datum::Double(value) => Some(*value),
            _ => None,
        };
        match self.arguments.get(index)? {
            Argument::Many(data) => data.iter().map(number).collect(),
            _ => None,
        }
    }
}

/// Stands for an argument that the table does not promise.
#[track_caller]
fn unexpected<T>(asked: &str, zero: T) -> T {
    debug_assert!(false, "a function asks for {asked}, which the kind of its parameter does not promise");
    zero
}

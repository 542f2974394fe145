//! Comparison of values, by the table of the reference.

use std::cmp::Ordering;

use crate::Value;
use crate::syntax::ast::Comparator;

use super::datum::{entries, items};
use super::{Arena, Datum};

/// How two values are related.
enum Relation {
    Ordered(Ordering),
    /// Equal or not, without an order.
    Equal(bool),
    /// A number that is none: not even equal to itself.
    Unordered,
}

/// Compares two values. Never fails: what cannot be compared is just not equal.
pub(crate) fn compare(left: &Datum<'_>, op: Comparator, right: &Datum<'_>) -> bool {
    match (relation(left, right), op) {
        (Relation::Ordered(order), Comparator::Eq) => order.is_eq(),
        (Relation::Ordered(order), Comparator::Ne) => order.is_ne(),
        (Relation::Ordered(order), Comparator::Lt) => order.is_lt(),
        (Relation::Ordered(order), Comparator::Le) => order.is_le(),
        (Relation::Ordered(order), Comparator::Gt) => order.is_gt(),
        (Relation::Ordered(order), Comparator::Ge) => order.is_ge(),
        (Relation::Equal(equal), Comparator::Eq) => equal,
        (Relation::Equal(equal), Comparator::Ne) => !equal,
        (Relation::Unordered, op) => op == Comparator::Ne,
        _ => false,
    }
}

/// Whether `==` holds.
pub(crate) fn equal(left: &Datum<'_>, right: &Datum<'_>) -> bool {
    compare(left, Comparator::Eq, right)
}

fn relation(left: &Datum<'_>, right: &Datum<'_>) -> Relation {
    use Datum::{
        Bool, Bytes, Decoded, Double, Duration, Handle, Int, List, Map, Nil, ProfileId, SpanId, Text, TraceId,
    };
    match (left, right) {
        (Nil, Nil) => Relation::Ordered(Ordering::Equal),
        // Go holds no bytes as none at all.
        (Nil, Bytes([])) | (Bytes([]), Nil) => Relation::Ordered(Ordering::Equal),
        (Bool(left), Bool(right)) => Relation::Ordered(left.cmp(right)),
        (Int(left), Int(right)) => Relation::Ordered(left.cmp(right)),
        (Double(left), Double(right)) => doubles(*left, *right),
        (Int(left), Double(right)) => doubles(*left as f64, *right),
        (Double(left), Int(right)) => doubles(*left, *right as f64),
        (Text(left), Text(right)) | (Bytes(left), Bytes(right)) => Relation::Ordered(left.cmp(right)),
        (Duration(left), Duration(right)) => Relation::Ordered(left.cmp(right)),
        (Map(left), Map(right)) => Relation::Equal(maps_equal(left, right)),
        (List(left), List(right)) => Relation::Equal(lists_equal(left, right)),
        (TraceId(left), TraceId(right)) | (ProfileId(left), ProfileId(right)) => {
            Relation::Equal(left == right)
        }
        (SpanId(left), SpanId(right)) => Relation::Equal(left == right),
        (Handle(left, left_bytes), Handle(right, right_bytes)) => {
            Relation::Equal(left == right && left_bytes == right_bytes)
        }
        (Decoded(_), Map(_) | List(_) | Decoded(_)) | (Map(_) | List(_), Decoded(_)) => {
            let (left, right) = (left.clone().into_value(), right.clone().into_value());
            Relation::Equal(values_equal(&left, &right))
        }
        _ => match (left.unix_nanos(), right.unix_nanos()) {
            (Some(left), Some(right)) => Relation::Ordered(left.cmp(&right)),
            _ => Relation::Equal(false),
        },
    }
}

fn doubles(left: f64, right: f64) -> Relation {
    left.partial_cmp(&right).map_or(Relation::Unordered, Relation::Ordered)
}

/// Within maps and lists types are strict: `[1]` is not `[1.0]`.
fn strictly_equal(left: &[u8], right: &[u8]) -> bool {
    match (Datum::read(left), Datum::read(right)) {
        (Datum::Int(_), Datum::Double(_)) | (Datum::Double(_), Datum::Int(_)) => false,
        (left, right) => equal(&left, &right),
    }
}

fn lists_equal(left: &[u8], right: &[u8]) -> bool {
    items(left).count() == items(right).count()
        && items(left).zip(items(right)).all(|(left, right)| strictly_equal(left, right))
}

/// Above this many entries a map is compared by a table of its keys.
const FEW: usize = 16;

fn maps_equal(left: &[u8], right: &[u8]) -> bool {
    let count = entries(left).count();
    if count != entries(right).count() {
        return false;
    }
    if count <= FEW {
        return entries(left).all(|(key, value)| {
            entries(right)
                .find(|(other, _)| *other == key)
                .is_some_and(|(_, other)| strictly_equal(value, other))
        });
    }
    let mut table = std::collections::HashMap::with_capacity(count);
    entries(right).for_each(|(key, value)| {
        table.entry(key).or_insert(value);
    });
    entries(left).all(|(key, value)| table.get(key).is_some_and(|other| strictly_equal(value, other)))
}

fn values_equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| values_equal(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| values_equal(value, other)))
        }
        (Value::Int(_), Value::Double(_)) | (Value::Double(_), Value::Int(_)) => false,
        _ => {
            let arena = Arena::default();
            let datum = |value: &Value<'_>| Datum::from_value(value.clone().into_owned(), &arena);
            equal(&datum(left), &datum(right))
        }
    }
}

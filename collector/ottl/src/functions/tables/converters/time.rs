//! Times and durations.

use super::new;
use crate::function::{Call, Default, Function, Kind};
use crate::functions::time::strptime::Reader;
use crate::functions::time::{Calendar, Layout, duration, since_unix_epoch, truncate, unix_nanos};
use crate::{EvalError, Parameter, Time, Value, Zone};

const TIME: &[Parameter] = &[new("time", Kind::Time)];
const DURATION: &[Parameter] = &[new("duration", Kind::Duration)];

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

pub(super) const TABLE: &[Function] = &[
    Function::converter("Now", &[], |call| {
        let unix_nanos = call.env().now_unix_nanos.into();
        Ok(Value::Time(Time { unix_nanos, zone: Zone::Local }))
    }),
    Function::converter(
        "Unix",
        &[new("seconds", Kind::Int), new("nanoseconds", Kind::Int).or(Default::Int(0))],
        |call| Ok(Value::Time(Time { unix_nanos: unix_nanos(call.int(0), call.int(1)), zone: Zone::Local })),
    ),
    Function::prepared(
        "Time",
        &[
            new("time", Kind::String),
            new("format", Kind::LiteralString),
            new("location", Kind::LiteralString).optional(),
            new("locale", Kind::LiteralString).optional(),
        ],
        |literals| {
            let reader = Reader::new(literals.str(1).unwrap_or_default(), literals.str(2), literals.str(3));
            let reader = reader.map_err(|error| error.to_string())?;
            Ok(Box::new(move |call| {
                Ok(Value::Time(reader.parse(call.str(0), &Time::utc(call.env().now_unix_nanos))?))
            }))
        },
    ),
    Function::prepared(
        "FormatTime",
        &[new("time", Kind::Time), new("format", Kind::LiteralString)],
        |literals| {
            let layout =
                Layout::new(literals.str(1).unwrap_or_default()).map_err(|error| error.to_string())?;
            Ok(Box::new(move |call| Ok(layout.format(&call.time(0)).into())))
        },
    ),
    Function::converter(
        "TruncateTime",
        &[new("time", Kind::Time), new("duration", Kind::Duration)],
        |call| Ok(Value::Time(truncate(call.time(0), call.duration(1)))),
    ),
    Function::converter("Year", TIME, |call| field(call, |at| at.year)),
    Function::converter("Month", TIME, |call| field(call, |at| at.month.into())),
    Function::converter("Day", TIME, |call| field(call, |at| at.day.into())),
    Function::converter("Hour", TIME, |call| field(call, |at| at.hour.into())),
    Function::converter("Minute", TIME, |call| field(call, |at| at.minute.into())),
    Function::converter("Second", TIME, |call| field(call, |at| at.second.into())),
    Function::converter("Nanosecond", TIME, |call| field(call, |at| at.nanosecond.into())),
    Function::converter("Weekday", TIME, |call| field(call, |at| at.weekday.into())),
    Function::converter("UnixNano", TIME, |call| Ok(since_unix_epoch(&call.time(0), 1).into())),
    Function::converter("UnixMicro", TIME, |call| Ok(since_unix_epoch(&call.time(0), MICROSECOND).into())),
    Function::converter("UnixMilli", TIME, |call| Ok(since_unix_epoch(&call.time(0), MILLISECOND).into())),
    Function::converter("UnixSeconds", TIME, |call| Ok(since_unix_epoch(&call.time(0), SECOND).into())),
    Function::converter("Duration", &[TEXT_DURATION], |call| {
        Ok(Value::Duration(duration::parse(call.str(0))?))
    }),
    Function::converter("Hours", DURATION, |call| parts(call, HOUR)),
    Function::converter("Minutes", DURATION, |call| parts(call, MINUTE)),
    Function::converter("Seconds", DURATION, |call| parts(call, SECOND)),
    Function::converter("Milliseconds", DURATION, |call| Ok((call.duration(0) / MILLISECOND).into())),
    Function::converter("Microseconds", DURATION, |call| Ok((call.duration(0) / MICROSECOND).into())),
    Function::converter("Nanoseconds", DURATION, |call| Ok(call.duration(0).into())),
];

const TEXT_DURATION: Parameter = new("duration", Kind::String);

fn field<'a>(call: &Call<'_, 'a>, field: impl Fn(Calendar) -> i64) -> Result<Value<'a>, EvalError> {
    Ok(field(Calendar::of(&call.time(0))).into())
}

/// A duration in a unit, with what is behind the point; whole units stay exact, as in Go.
fn parts<'a>(call: &Call<'_, 'a>, unit: i64) -> Result<Value<'a>, EvalError> {
    let nanos = call.duration(0);
    Ok(((nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64).into())
}

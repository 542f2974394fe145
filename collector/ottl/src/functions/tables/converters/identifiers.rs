//! Identifiers: of traces, of flows, unique ones; and addresses.

use super::{Made, TEXT, new};
use crate::function::{Default, Function, Kind, Literals, Prepared};
use crate::functions::cidr::{Cidr, parse_address};
use crate::functions::community_id::{Flow, community_id, protocol};
use crate::functions::encode::from_hex;
use crate::functions::{luhn, uuid};
use crate::{EvalError, Value};

const ID: &[crate::Parameter] = &[new("target", Kind::BytesLike)];

pub(super) const TABLE: &[Function] = &[
    Function::prepared("TraceID", ID, |literals| identifier(literals, Value::TraceId)),
    Function::prepared("SpanID", ID, |literals| identifier(literals, Value::SpanId)),
    Function::prepared("ProfileID", ID, |literals| identifier(literals, Value::ProfileId)),
    Function::converter("UUID", &[], |call| Ok(uuid::v4(call.random()).into())),
    Function::converter("UUIDv7", &[], |call| {
        let millis = u64::try_from(call.env().now_unix_nanos / 1_000_000).unwrap_or(0);
        Ok(uuid::v7(millis, call.random()).into())
    }),
    Function::converter(
        "CommunityID",
        &[
            new("source_ip", Kind::String),
            new("source_port", Kind::Int),
            new("destination_ip", Kind::String),
            new("destination_port", Kind::Int),
            new("protocol", Kind::String).or(Default::String("TCP")),
            new("seed", Kind::Int).or(Default::Int(0)),
        ],
        |call| {
            let flow = Flow { source: (call.str(0), call.int(1)), destination: (call.str(2), call.int(3)) };
            Ok(community_id(flow, protocol(call.str(4))?, call.int(5))?.into())
        },
    ),
    Function::prepared("IsInCIDR", &[TEXT, new("networks", Kind::ListOf(&Kind::String))], |literals| {
        let texts = literals.strs(1).map(|texts| texts.into_iter().map(str::to_owned).collect());
        let ranges = Made::new(texts, |texts: &Vec<String>| {
            texts.iter().map(|text| Cidr::parse(text)).collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Box::new(move |call| {
            let ranges = ranges.get(|| call.strs(1).into_iter().map(str::to_owned).collect())?;
            let address = parse_address(call.str(0));
            Ok(address.is_some_and(|address| ranges.iter().any(|range| range.contains(address))).into())
        }))
    }),
    Function::converter("IsValidLuhn", &[new("target", Kind::StringLike)], |call| {
        let number = call.opt_str(0).ok_or("expected a number to check, got nil")?;
        Ok(luhn::is_valid(number)?.into())
    }),
];

fn identifier<const N: usize>(
    literals: &Literals<'_>,
    value: fn([u8; N]) -> Value<'static>,
) -> Result<Prepared, String> {
    if let Some(Value::Bytes(bytes)) = literals.value(0) {
        read::<N>(&bytes).map_err(|error| error.to_string())?;
    }
    Ok(Box::new(move |call| read::<N>(call.bytes(0)).map(value)))
}

/// Reads raw bytes, or twice as many hexadecimal digits.
fn read<const N: usize>(bytes: &[u8]) -> Result<[u8; N], EvalError> {
    bytes.try_into().ok().or_else(|| from_hex(bytes)).ok_or_else(|| {
        EvalError::new(format!(
            "an ID must have {N} bytes or {} hexadecimal digits, got {} bytes",
            2 * N,
            bytes.len()
        ))
    })
}

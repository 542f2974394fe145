//! Hashes, hexadecimal, base64 and character sets.

use super::{Made, TEXT, literal, new};
use crate::function::{Call, Default, Function, Kind};
use crate::functions::encode::{Base64, Charset, hex};
use crate::functions::hash;
use crate::{EvalError, Value};

pub(super) const TABLE: &[Function] = &[
    Function::converter("MD5", &[TEXT], |call| Ok(hash::md5(call.str(0).as_bytes()).into())),
    Function::converter("SHA1", &[TEXT], |call| Ok(hash::sha1(call.str(0).as_bytes()).into())),
    Function::converter("SHA256", &[TEXT], |call| Ok(hash::sha256(call.str(0).as_bytes()).into())),
    Function::converter("SHA512", &[TEXT], |call| Ok(hash::sha512(call.str(0).as_bytes()).into())),
    Function::converter("FNV", &[TEXT], |call| Ok(hash::fnv(call.str(0).as_bytes()).into())),
    Function::converter("Murmur3Hash", &[TEXT], |call| Ok(hash::murmur3(call.str(0).as_bytes()).into())),
    Function::converter("Murmur3Hash128", &[TEXT], |call| {
        Ok(hash::murmur3_128(call.str(0).as_bytes()).into())
    }),
    Function::converter("XXH3", &[TEXT], |call| Ok(hash::xxh3(call.str(0).as_bytes()).into())),
    Function::converter("XXH128", &[TEXT], |call| Ok(hash::xxh128(call.str(0).as_bytes()).into())),
    Function::converter("Hex", &[new("target", Kind::BytesLike)], |call| Ok(hex(call.bytes(0)).into())),
    Function::converter("Base64Decode", &[TEXT], |call| {
        let bytes = Base64::standard().decode(call.str(0).as_bytes())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }),
    Function::converter(
        "Base64Encode",
        &[TEXT, new("variant", Kind::String).or(Default::String("base64"))],
        base64_encode,
    ),
    Function::prepared("Decode", &[new("target", Kind::Any), new("encoding", Kind::String)], |literals| {
        let charset = Made::new(literal(literals, 1), |name: &String| {
            Charset::named(name).ok_or_else(|| EvalError::new(format!("unsupported encoding {name:?}")))
        })?;
        Ok(Box::new(move |call| {
            let target = call.value(0);
            let bytes = match &target {
                Value::String(text) => text.as_bytes(),
                Value::Bytes(bytes) => bytes,
                other => {
                    return Err(EvalError::new(format!(
                        "expected a string or bytes, got {}",
                        other.type_name()
                    )));
                }
            };
            Ok(charset.get(|| call.str(1).to_owned())?.decode(bytes)?.into())
        }))
    }),
];

fn base64_encode<'a>(call: &Call<'_, 'a>) -> Result<Value<'a>, EvalError> {
    let name = call.str(1);
    let variant =
        Base64::named(name).ok_or_else(|| EvalError::new(format!("unsupported base64 variant: {name}")))?;
    Ok(variant.encode(call.str(0).as_bytes()).into())
}

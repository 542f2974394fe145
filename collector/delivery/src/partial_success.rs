//! The one answer of OTLP that is a success and yet a loss.

use phoenix_component::ComponentKey;
use phoenix_pdata::Signal;
use tokio::time::Instant;

use crate::Delivered;
use crate::sampling::Sampling;

/// What a backend took in part: `ExportTracePartialSuccess` and its siblings, which are alike on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Spans, data points or log records that it rejected.
    pub rejected: i64,
    /// Why, for people; at most 4 KiB of it.
    pub message: String,
}

/// The answer is no export response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedResponse;

/// Bytes of a backend's message that are kept.
const MAX_MESSAGE_BYTES: usize = 4096;

impl PartialSuccess {
    /// Reads an `Export*ServiceResponse`; none where everything was taken and nothing said.
    ///
    /// # Errors
    /// Where `response` is no protobuf message.
    pub fn parse(response: &[u8]) -> Result<Option<PartialSuccess>, MalformedResponse> {
        let mut found = PartialSuccess::default();
        each_field(response, |number, value| {
            if let (1, Value::Bytes(message)) = (number, value) {
                each_field(message, |number, value| {
                    match (number, value) {
                        (1, Value::Number(rejected)) => found.rejected = rejected.cast_signed(),
                        (2, Value::Bytes(text)) => {
                            let text = &text[..text.len().min(MAX_MESSAGE_BYTES)];
                            found.message = String::from_utf8_lossy(text).into_owned();
                        }
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })?;
        Ok((found != PartialSuccess::default()).then_some(found))
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn each_field<'a>(
    mut message: &'a [u8],
    mut each: impl FnMut(u64, Value<'a>) -> Result<(), MalformedResponse>,
) -> Result<(), MalformedResponse> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let length = match key & 7 {
            0 => {
                each(key >> 3, Value::Number(varint(&mut message)?))?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).map_err(|_| MalformedResponse)?,
            5 => 4,
            _ => return Err(MalformedResponse),
        };
        let content;
        (content, message) = message.split_at_checked(length).ok_or(MalformedResponse)?;
        if key & 7 == 2 {
            each(key >> 3, Value::Bytes(content))?;
        }
    }
    Ok(())
}

fn varint(from: &mut &[u8]) -> Result<u64, MalformedResponse> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().ok_or(MalformedResponse)?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(MalformedResponse)
}

/// Says what backends rejected, in otelcol's words.
pub struct PartialSuccessLog {
    key: ComponentKey,
    signal: Signal,
    sampling: Sampling,
}

impl PartialSuccessLog {
    /// For the exporter `key` of `signal`.
    pub fn new(key: &ComponentKey, signal: Signal) -> PartialSuccessLog {
        PartialSuccessLog { key: key.clone(), signal, sampling: Sampling::default() }
    }

    /// Writes a warning, of a flood only some, and says what was taken.
    pub fn note(&self, partial: &PartialSuccess) -> Delivered {
        self.warn(partial);
        // A negative number is none.
        Delivered::except(u64::try_from(partial.rejected).unwrap_or_default())
    }

    fn warn(&self, partial: &PartialSuccess) {
        if !self.sampling.passes(Instant::now()) {
            return;
        }
        macro_rules! warn {
            ($dropped:ident) => {
                tracing::warn!(
                    otelcol.component.id = %self.key.id,
                    otelcol.component.kind = "exporter",
                    otelcol.signal = self.signal.name(),
                    message_from_backend = partial.message,
                    $dropped = partial.rejected,
                    "Partial success response"
                )
            };
        }
        match self.signal {
            Signal::Traces => warn!(dropped_spans),
            Signal::Metrics => warn!(dropped_data_points),
            Signal::Logs => warn!(dropped_log_records),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read_and_nonsense_is_told_apart() {
        let partial =
            |rejected, message: &str| Ok(Some(PartialSuccess { rejected, message: message.into() }));
        assert_eq!(PartialSuccess::parse(b""), Ok(None));
        assert_eq!(PartialSuccess::parse(b"\x0a\x00"), Ok(None));
        assert_eq!(PartialSuccess::parse(b"\x0a\x06\x08\x03\x12\x02no"), partial(3, "no"));
        assert_eq!(PartialSuccess::parse(b"\x0a\x04\x12\x02no\x10\x01"), partial(0, "no"));
        for bad in [&b"\x0a\x05\x08"[..], b"<html>", b"\x0b", b"\x08"] {
            assert_eq!(PartialSuccess::parse(bad), Err(MalformedResponse), "{bad:?}");
        }
    }
}

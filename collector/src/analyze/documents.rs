//! Requests from a file, one after the other, of which only one is in memory.

use std::io::{BufRead, Read as _};

use anyhow::{bail, ensure};
use bytes::Bytes;
use phoenix_pdata::{InvalidUtf8, Payload, Signal, json, validate};

/// The most bytes of a request.
const MAX_BYTES: usize = 128 << 20;

/// How requests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    /// One request of protobuf and nothing else.
    Protobuf,
    /// Each behind four bytes of its length.
    Framed,
}

/// The requests of a file, in JSON or protobuf.
pub(super) struct Documents<R> {
    input: R,
    form: Option<Form>,
    number: u64,
    has_failed: bool,
}

impl<R: BufRead> Documents<R> {
    pub(super) fn new(input: R) -> Documents<R> {
        Documents { input, form: None, number: 0, has_failed: false }
    }

    fn following(&mut self) -> anyhow::Result<Option<Payload>> {
        let form = match self.form {
            Some(form) => form,
            None => *self.form.insert(form_of(self.input.fill_buf()?)),
        };
        if form == Form::Json {
            while self.input.fill_buf()?.first().is_some_and(u8::is_ascii_whitespace) {
                self.input.consume(1);
            }
        }
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        match form {
            Form::Json => self.document().map(Some),
            Form::Protobuf => {
                let mut bytes = Vec::new();
                self.input.by_ref().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
                ensure!(bytes.len() <= MAX_BYTES, "a request has more than {MAX_BYTES} bytes");
                protobuf(bytes).map(Some)
            }
            Form::Framed => {
                let mut len = Vec::new();
                self.input.by_ref().take(4).read_to_end(&mut len)?;
                let len = <[u8; 4]>::try_from(len).map_or(usize::MAX, |len| u32::from_be_bytes(len) as usize);
                ensure!(
                    len <= MAX_BYTES,
                    "request {} is neither JSON nor protobuf behind its length",
                    self.number
                );
                let mut bytes = Vec::new();
                let read = self.input.by_ref().take(len as u64).read_to_end(&mut bytes)?;
                ensure!(read == len, "request {} is cut off", self.number);
                protobuf(bytes).map(Some)
            }
        }
    }

    /// One document of JSON: to the brace that closes the first.
    fn document(&mut self) -> anyhow::Result<Payload> {
        let (mut text, mut depth) = (Vec::new(), 0_usize);
        let (mut in_string, mut is_escaped) = (false, false);
        loop {
            let buffer = self.input.fill_buf()?;
            ensure!(!buffer.is_empty(), "document {} is cut off", self.number);
            let mut taken = 0;
            let mut is_closed = false;
            for byte in buffer {
                taken += 1;
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' if in_string => is_escaped = true,
                    b'"' => in_string = !in_string,
                    b'{' if !in_string => depth += 1,
                    b'}' if !in_string => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    is_closed = true;
                    break;
                }
            }
            text.extend_from_slice(&buffer[..taken]);
            self.input.consume(taken);
            if text.len() > MAX_BYTES {
                bail!("document {} has more than {MAX_BYTES} bytes", self.number);
            }
            if is_closed {
                break;
            }
        }
        let decoded = json::decode(Signal::Metrics, &text, InvalidUtf8::Pass);
        let number = self.number;
        decoded
            .map(|(payload, _)| payload)
            .map_err(|error| anyhow::anyhow!("document {number} is no metrics in OTLP/JSON: {error}"))
    }
}

/// What a file that begins like this holds. A request of protobuf begins with the tag of field 1, which is a newline too,
/// but no brace can follow there; a length within the bound begins with neither.
fn form_of(start: &[u8]) -> Form {
    let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
    match (start.first(), first) {
        (_, Some(b'{')) => Form::Json,
        (Some(0x0a), _) => Form::Protobuf,
        _ => Form::Framed,
    }
}

fn protobuf(bytes: Vec<u8>) -> anyhow::Result<Payload> {
    let checked = validate(Signal::Metrics, Bytes::from(bytes), InvalidUtf8::Pass);
    checked.map(|(payload, _)| payload).map_err(|error| anyhow::anyhow!("no metrics in OTLP: {error}"))
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = anyhow::Result<Payload>;

    fn next(&mut self) -> Option<anyhow::Result<Payload>> {
        if self.has_failed {
            return None;
        }
        let next = self.following();
        self.has_failed = next.is_err();
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "a } \" {", "gauge": {"dataPoints": [{"asInt": "1"}]}}]}]}]}"#;

    fn read(input: &[u8]) -> Result<Vec<Payload>, String> {
        // A buffer of few bytes, so that documents lie across its ends.
        let input = std::io::BufReader::with_capacity(7, input);
        Documents::new(input).collect::<Result<Vec<_>, _>>().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn documents_and_requests_follow_each_other() {
        let single = read(ONE.as_bytes()).expect("JSON");
        assert_eq!(single.len(), 1);
        assert_eq!(read(format!("\n{ONE}{ONE}\n\n {ONE}\n").as_bytes()).expect("three").len(), 3);
        let bytes: Vec<u8> = single.iter().flat_map(Payload::pieces).flatten().copied().collect();
        let again = read(&bytes).expect("protobuf");
        assert_eq!(again.iter().map(Payload::len).collect::<Vec<_>>(), [bytes.len()], "one request as it is");
        let mut framed = Vec::new();
        for _ in 0..3 {
            framed.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            framed.extend_from_slice(&bytes);
        }
        assert_eq!(read(&framed).expect("with lengths").len(), 3);
        assert!(read(b"").expect("nothing").is_empty());
    }

    #[test]
    fn what_is_no_request_is_told_and_nothing_behind_it_is_read() {
        for (input, part) in [
            (&ONE.as_bytes()[..60], "document 1 is cut off"),
            (b"{\"resourceMetrics\": 5}", "document 1 is no metrics"),
            (b"\x0a\xff\xff", "no metrics in OTLP"),
            (b"\x00\x00\x00\x09abc", "request 1 is cut off"),
            (b"hello world", "request 1 is neither"),
            (b"[]", "request 1 is neither"),
        ] {
            let error = read(input).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(Documents::new(&b"{]} {}"[..]).count(), 1);
    }
}

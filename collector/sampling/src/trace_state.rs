use crate::{Digits, Randomness, Threshold};

/// Members that a `tracestate` may have, those that are empty included; as the Go collector counts.
const MOST_MEMBERS: usize = 31;
const MOST_BYTES: usize = 1024;
const MOST_KEY_BYTES: usize = 256;
const MOST_TENANT_BYTES: usize = 241;
const MOST_SYSTEM_BYTES: usize = 14;
const MOST_VALUE_BYTES: usize = 256;

/// A `tracestate` that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceStateError {
    /// Too long, or with too many members.
    #[error("invalid tracestate size")]
    Size,
    /// Not written as the specification of W3C says, or its member `ot` not as that of OpenTelemetry does.
    #[error("invalid tracestate syntax")]
    Syntax,
}

/// A W3C `tracestate`, with what its member `ot` says about sampling. Reading allocates nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceState<'a> {
    text: &'a [u8],
    /// The value of the member `ot`.
    ot: &'a [u8],
    randomness: Option<(Digits, Randomness)>,
    threshold: Option<(Digits, Threshold)>,
}

impl<'a> TraceState<'a> {
    /// Reads a `tracestate`; an empty one is fine.
    ///
    /// # Errors
    /// That it is none.
    pub fn read(text: &'a [u8]) -> Result<TraceState<'a>, TraceStateError> {
        let mut state = TraceState { text, ..TraceState::default() };
        if text.is_empty() {
            return Ok(state);
        }
        if text.len() > MOST_BYTES {
            return Err(TraceStateError::Size);
        }
        for (index, member) in split(text, b',').enumerate() {
            if index >= MOST_MEMBERS {
                return Err(TraceStateError::Size);
            }
            let Some((key, value)) = key_and_value(member)? else { continue };
            if key == b"ot" {
                state.ot = value;
            }
        }
        if !state.ot.is_empty() {
            state.read_ot()?;
        }
        Ok(state)
    }

    fn read_ot(&mut self) -> Result<(), TraceStateError> {
        for member in split(self.ot, b';') {
            let (key, value) = cut(member, b':').ok_or(TraceStateError::Syntax)?;
            let key_is_valid = key.first().is_some_and(u8::is_ascii_lowercase)
                && key.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            let value_is_valid =
                value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
            if !key_is_valid || !value_is_valid {
                return Err(TraceStateError::Syntax);
            }
            match key {
                b"rv" => self.randomness = Some(Randomness::read(value).ok_or(TraceStateError::Syntax)?),
                b"th" => self.threshold = Some(Threshold::read(value).ok_or(TraceStateError::Syntax)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// The randomness that it states.
    pub fn randomness(&self) -> Option<Randomness> {
        self.randomness.map(|(_, randomness)| randomness)
    }

    /// The threshold with which the span was kept so far.
    pub fn threshold(&self) -> Option<Threshold> {
        self.threshold.map(|(_, threshold)| threshold)
    }

    /// States randomness.
    pub fn set_randomness(&mut self, randomness: Randomness) {
        self.randomness = Some((randomness.digits(), randomness));
    }

    /// States the threshold with which the span is kept. One that would make it stand for fewer spans than it did
    /// changes nothing.
    pub fn raise_threshold(&mut self, threshold: Threshold) {
        if self.threshold().is_none_or(|known| known <= threshold) {
            self.threshold =
                Some((threshold.digits(), threshold)).filter(|(digits, _)| !digits.as_bytes().is_empty());
        }
    }

    /// States no threshold.
    pub fn clear_threshold(&mut self) {
        self.threshold = None;
    }

    /// Appends it as it is to be sent: `ot` first, in it `rv`, `th` and the rest; then the other members.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut put = |separator: u8, parts: [&[u8]; 3]| {
            match out.len() - start {
                0 => out.extend_from_slice(b"ot="),
                _ => out.push(separator),
            }
            parts.iter().for_each(|part| out.extend_from_slice(part));
        };
        if let Some((digits, _)) = &self.randomness {
            put(b';', [b"rv", b":", digits.as_bytes()]);
        }
        if let Some((digits, _)) = &self.threshold {
            put(b';', [b"th", b":", digits.as_bytes()]);
        }
        for member in split(self.ot, b';') {
            match cut(member, b':') {
                Some((b"rv" | b"th", _)) | None => {}
                Some((key, value)) => put(b';', [key, b":", value]),
            }
        }
        for member in split(self.text, b',') {
            match key_and_value(member) {
                Ok(Some((b"ot", _)) | None) | Err(_) => {}
                Ok(Some((key, value))) => {
                    if out.len() > start {
                        out.push(b',');
                    }
                    for part in [key, b"=", value] {
                        out.extend_from_slice(part);
                    }
                }
            }
        }
    }
}

/// The parts between separators; nothing has none.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let parts = if text.is_empty() { None } else { Some(text.split(move |byte| *byte == separator)) };
    parts.into_iter().flatten()
}

fn cut(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// A key and its value.
type Member<'a> = (&'a [u8], &'a [u8]);

/// The parts of a member; none where it is empty, as members may be.
fn key_and_value(member: &[u8]) -> Result<Option<Member<'_>>, TraceStateError> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = member.iter().position(|byte| !blank(byte)) else { return Ok(None) };
    let end = member.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    let (key, value) = cut(&member[start..end], b'=').ok_or(TraceStateError::Syntax)?;
    if !is_key(key) || !is_value(value) {
        return Err(TraceStateError::Syntax);
    }
    let tenant = cut(key, b'@');
    let is_too_long = key.len() > MOST_KEY_BYTES
        || tenant.is_some_and(|(tenant, system)| {
            tenant.len() > MOST_TENANT_BYTES || system.len() > MOST_SYSTEM_BYTES
        });
    if is_too_long { Err(TraceStateError::Size) } else { Ok(Some((key, value))) }
}

fn is_key(key: &[u8]) -> bool {
    let begins = |part: &[u8], digit: bool| {
        part.first().is_some_and(|byte| byte.is_ascii_lowercase() || digit && byte.is_ascii_digit())
    };
    let goes_on = |part: &[u8]| {
        let fits = |byte: &u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/')
        };
        part.iter().all(fits)
    };
    match cut(key, b'@') {
        Some((tenant, system)) => {
            begins(tenant, true) && begins(system, false) && goes_on(tenant) && goes_on(system)
        }
        None => begins(key, false) && goes_on(key),
    }
}

fn is_value(value: &[u8]) -> bool {
    let fits = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    (1..=MOST_VALUE_BYTES).contains(&value.len()) && value.iter().all(fits) && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str, change: impl FnOnce(&mut TraceState<'_>)) -> Result<String, TraceStateError> {
        let mut state = TraceState::read(text.as_bytes())?;
        change(&mut state);
        let mut out = Vec::new();
        state.write(&mut out);
        Ok(String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn what_is_said_about_sampling_comes_first_and_the_rest_survives() {
        let eighth = |state: &mut TraceState<'_>| state.raise_threshold(Threshold::new(0xe << 52));
        let cases = [
            ("", "ot=th:e"),
            ("vendor=1", "ot=th:e,vendor=1"),
            ("a=1, ot=th:c;x:y ,\tb@c=2,", "ot=th:e;x:y,a=1,b@c=2"),
            ("ot=x:y;rv:ce929d0e0e4736", "ot=rv:ce929d0e0e4736;th:e;x:y"),
            ("ot=th:f0", "ot=th:f0"), // may not fall
        ];
        for (text, expected) in cases {
            assert_eq!(rewritten(text, eighth).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(rewritten("ot=th:8", |state| state.clear_threshold()).as_deref(), Ok(""));
        assert_eq!(rewritten("ot=th:8,a=b", |state| state.clear_threshold()).as_deref(), Ok("a=b"));
    }

    #[test]
    fn what_is_no_tracestate_is_refused() {
        for text in [
            "=",
            "a",
            "A=1",
            "a=",
            "1a=1",
            "a=1=2",
            "a=\u{e4}",
            "ot=x",
            "ot=1:2",
            "ot=a:b;",
            "ot=th:xyz",
            "ot=rv:12",
            "ot=th:",
            "a@1=2",
            "@a=1",
        ] {
            assert_eq!(TraceState::read(text.as_bytes()).err(), Some(TraceStateError::Syntax), "{text:?}");
        }
        let long = format!("a={}", "x".repeat(2000));
        let many = "a=1,".repeat(40);
        let tenant = format!("{}@b=1", "a".repeat(242));
        for text in [long, many, tenant] {
            assert_eq!(TraceState::read(text.as_bytes()).err(), Some(TraceStateError::Size), "{text:?}");
        }
    }
}

//! Reads members of a W3C `tracestate` as strictly as otelcol does: one that is not well-formed has none.

const MOST_MEMBERS: usize = 32;
const MOST_BYTES: usize = 256;

/// The value of the member `key`; none where there is no such member, or the text is no `tracestate`.
pub(crate) fn value_of<'t>(text: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    let mut found = None;
    let mut keys: [&[u8]; MOST_MEMBERS] = [&[]; MOST_MEMBERS];
    let mut count = 0;
    for member in text.split(|byte| *byte == b',') {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue;
        }
        let at = member.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&member[..at], &member[at + 1..]);
        if count == MOST_MEMBERS || !is_key(name) || !is_value(value) || keys[..count].contains(&name) {
            return None;
        }
        keys[count] = name;
        count += 1;
        if name == key {
            found = Some(value);
        }
    }
    found
}

fn is_key(key: &[u8]) -> bool {
    let fits = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let starts = key.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    starts && key.len() <= MOST_BYTES && key.iter().all(fits)
}

fn is_value(value: &[u8]) -> bool {
    let fits = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    (1..=MOST_BYTES).contains(&value.len()) && value.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_what_is_well_formed() {
        let cases: [(&str, Option<&str>); 8] = [
            ("tier=gold", Some("gold")),
            ("a=1, tier=gold ,ot=th:8", Some("gold")),
            ("", None),
            ("other=gold", None),
            ("tier", None),
            ("tier=gold,A=1", None),
            ("tier=gold,tier=silver", None),
            ("tier=", None),
        ];
        for (text, expected) in cases {
            assert_eq!(value_of(text.as_bytes(), b"tier"), expected.map(str::as_bytes), "{text}");
        }
        let many: String = (0..33).map(|n| format!("k{n}=v,")).collect();
        assert_eq!(value_of(many.as_bytes(), b"k0"), None);
    }
}

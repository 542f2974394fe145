//! Reads members of a W3C `tracestate` as strictly as otelcol does: one that is not well-formed has none.

const MOST_MEMBERS: usize = 32;
const MOST_BYTES: usize = 256;
/// Bytes of the parts of a key that names a tenant of a system.
const MOST_OF_TENANT: usize = 241;
const MOST_OF_SYSTEM: usize = 14;

/// The value of the member `key`; none where there is no such member, or the text is no `tracestate`.
pub(crate) fn value_of<'t>(text: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    let mut found = None;
    let mut keys: [&[u8]; MOST_MEMBERS] = [&[]; MOST_MEMBERS];
    let members = text.split(|byte| *byte == b',').filter(|member| !member.is_empty());
    for (count, member) in members.enumerate() {
        let at = member.iter().position(|byte| *byte == b'=')?;
        let (mut name, mut value) = (&member[..at], &member[at + 1..]);
        while let [b' ' | b'\t', rest @ ..] = name {
            name = rest;
        }
        while let [rest @ .., b' ' | b'\t'] = value {
            value = rest;
        }
        if count == MOST_MEMBERS || !is_key(name) || !is_value(value) || keys[..count].contains(&name) {
            return None;
        }
        keys[count] = name;
        if name == key {
            found = Some(value);
        }
    }
    found
}

/// `name`, or `tenant@system`; only a tenant may begin with a digit.
fn is_key(key: &[u8]) -> bool {
    let Some(at) = key.iter().position(|byte| *byte == b'@') else {
        return is_name(key, MOST_BYTES, u8::is_ascii_lowercase);
    };
    let starts_tenant = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    is_name(&key[..at], MOST_OF_TENANT, starts_tenant)
        && is_name(&key[at + 1..], MOST_OF_SYSTEM, u8::is_ascii_lowercase)
}

fn is_name(name: &[u8], most: usize, starts: impl Fn(&u8) -> bool) -> bool {
    let fits = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/')
    };
    name.first().is_some_and(starts) && name.len() <= most && name.iter().all(fits)
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
        let cases: [(&str, Option<&str>); 17] = [
            ("tier=gold", Some("gold")),
            ("a=1, tier=gold ,ot=th:8", Some("gold")),
            ("", None),
            ("other=gold", None),
            ("tier", None),
            ("tier=gold,A=1", None),
            ("tier=gold,tier=silver", None),
            ("tier=", None),
            ("tier=gold,,", Some("gold")),
            ("tier=gold, ", None),
            ("tier =gold", None),
            ("\ttier=a b", Some("a b")),
            ("1x=1,tier=gold", None),
            ("1x@y=1,tier=gold", Some("gold")),
            ("x@1y=1,tier=gold", None),
            ("x@y@z=1,tier=gold", None),
            ("tier=gold=1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(value_of(text.as_bytes(), b"tier"), expected.map(str::as_bytes), "{text}");
        }
        let many: String = (0..33).map(|n| format!("k{n}=v,")).collect();
        assert_eq!(value_of(many.as_bytes(), b"k0"), None);
    }
}

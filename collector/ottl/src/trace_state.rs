//! `tracestate` of W3C: a list of `key=value`.

/// The most members that a list may have.
const MAX_MEMBERS: usize = 32;

/// The members, in order; `None` if the text is no such list.
fn members(text: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut members: Vec<(&[u8], &[u8])> = Vec::new();
    for member in text.split(|byte| *byte == b',') {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue;
        }
        let at = member.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (&member[..at], &member[at + 1..]);
        if !is_key(key) || !is_value(value) || members.iter().any(|(other, _)| *other == key) {
            return None;
        }
        members.push((key, value));
    }
    (members.len() <= MAX_MEMBERS).then_some(members)
}

fn is_key(key: &[u8]) -> bool {
    let is_part = |part: &[u8], most: usize| {
        !part.is_empty()
            && part.len() <= most
            && part.iter().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'_' | b'-' | b'*' | b'/')
            })
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => is_part(key, 256) && key[0].is_ascii_lowercase(),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            is_part(tenant, 241) && is_part(system, 14) && system[0].is_ascii_lowercase()
        }
    }
}

fn is_value(value: &[u8]) -> bool {
    value.len() <= 256
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'='))
        && value.last() != Some(&b' ')
        && !value.is_empty()
}

/// The value of a key, empty if there is none; `None` if the text is no list of members.
pub(crate) fn get<'t>(text: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    let members = members(text)?;
    Some(members.into_iter().find(|(found, _)| *found == key).map_or(&[][..], |(_, value)| value))
}

/// The list with another value, whose member moves to the front; `None` if it stays as it is.
pub(crate) fn set(text: &[u8], key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut members = members(text)?;
    if !is_key(key) || !is_value(value) {
        return None;
    }
    members.retain(|(found, _)| *found != key);
    members.truncate(MAX_MEMBERS - 1);
    members.insert(0, (key, value));
    let member = |(key, value): (&[u8], &[u8])| [key, b"=", value].concat();
    Some(members.into_iter().map(member).collect::<Vec<_>>().join(&b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_member_and_puts_what_is_set_to_the_front() {
        assert_eq!(get(b"a=1, b=2", b"b"), Some(&b"2"[..]));
        assert_eq!(get(b"a=1", b"z"), Some(&b""[..]));
        assert_eq!(set(b"a=1,b=2", b"b", b"3").as_deref(), Some(&b"b=3,a=1"[..]));
        assert_eq!(set(b"", b"t@v", b"x").as_deref(), Some(&b"t@v=x"[..]));
    }

    #[test]
    fn what_is_no_list_of_members_stays() {
        for text in ["a", "A=1", "a=1,a=2", "a=b=c", "a="] {
            assert_eq!(get(text.as_bytes(), b"a"), None, "{text}");
            assert_eq!(set(text.as_bytes(), b"a", b"1"), None, "{text}");
        }
        assert_eq!(set(b"a=1", b"Key", b"1"), None);
        assert_eq!(set(b"a=1", b"k", b"1,2"), None);
    }
}

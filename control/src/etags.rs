//! Entity tags, and what clients ask of them (RFC 9110, sections 8.8.3 and 13.1).

use crate::error::{Error, Result};

/// The tags of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: of whatever is there.
    Any,
    /// Those that are listed.
    These(Vec<Tag>),
}

/// A tag as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    is_weak: bool,
    /// What is between the quotes.
    opaque: String,
}

impl Tags {
    /// Reads what the lines of a header say; none where there is no such header.
    ///
    /// # Errors
    /// Where that is no list of tags, with the header's `name`.
    pub(crate) fn read<'a>(name: &str, lines: impl Iterator<Item = &'a [u8]>) -> Result<Option<Tags>> {
        let lines: Vec<&[u8]> = lines.collect();
        if lines.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&lines.join(&b","[..])).into_owned();
        let tags = if text.trim() == "*" { Some(Tags::Any) } else { list(&text).map(Tags::These) };
        let malformed =
            || Error::BadRequest(format!("`{name}` must be `*`, or tags as in ETag: \"3\", \"4\""));
        tags.map(Some).ok_or_else(malformed)
    }

    /// Whether `revision` is among them, where weak tags are equal to none.
    fn has(&self, revision: i64) -> bool {
        match self {
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|tag| !tag.is_weak && tag.opaque == revision.to_string()),
        }
    }

    /// Whether a tag as it stands in `ETag` is among them, weak or not.
    pub(crate) fn has_weakly(&self, tag: &str) -> bool {
        match self {
            Tags::Any => true,
            Tags::These(tags) => {
                let opaque = tag.trim_start_matches("W/").trim_matches('"');
                tags.iter().any(|tag| tag.opaque == opaque)
            }
        }
    }
}

/// The tags of a list, in which a comma may also stand between quotes; none where something else is in it.
fn list(text: &str) -> Option<Vec<Tag>> {
    let (mut tags, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags).filter(|tags| !tags.is_empty());
        }
        let plain = rest.strip_prefix("W/");
        let is_weak = plain.is_some();
        let (opaque, behind) = plain.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        let is_visible = |c: char| !c.is_ascii_control() && c != ' ';
        rest = behind.trim_start_matches([' ', '\t']);
        if !opaque.chars().all(is_visible) || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        tags.push(Tag { is_weak, opaque: opaque.to_owned() });
    }
}

/// Which states of what is to be changed a client agrees to: without wishes, each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `If-Match`.
    pub(crate) one_of: Option<Tags>,
    /// `If-None-Match`.
    pub(crate) none_of: Option<Tags>,
}

impl Seen {
    /// The state with this revision alone.
    #[cfg(test)]
    pub(crate) fn at(revision: i64) -> Seen {
        let tag = Tag { is_weak: false, opaque: revision.to_string() };
        Seen { one_of: Some(Tags::These(vec![tag])), none_of: None }
    }

    /// Refuses where what is there has another revision.
    pub(crate) fn expect(&self, found: i64) -> Result<()> {
        if self.one_of.as_ref().is_some_and(|tags| !tags.has(found)) {
            return Err(Error::Precondition(format!("it has changed since: its ETag is \"{found}\"")));
        }
        let tag = format!("\"{found}\"");
        if self.none_of.as_ref().is_some_and(|tags| tags.has_weakly(&tag)) {
            return Err(Error::Precondition(format!(
                "it is as `If-None-Match` rules out: its ETag is {tag}"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<Tags>> {
        Tags::read("If-Match", lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn tags_are_read_as_the_standard_has_them() {
        // (lines of the header, whether revision 3 is among them, and whether it is weakly)
        for (lines, strongly, weakly) in [
            (&["*"][..], true, true),
            (&[" * "], true, true),
            (&["\"3\""], true, true),
            (&["W/\"3\""], false, true),
            (&["\"1\", W/\"2\",,\"3\""], true, true),
            (&["\"1\"", "\"3\""], true, true),
            (&["\"1,3\""], false, false),
            (&["\"03\""], false, false),
            (&["\"\""], false, false),
            (&["\"ä\""], false, false),
        ] {
            let tags = read(lines).expect("tags").expect("some");
            assert_eq!((tags.has(3), tags.has_weakly("\"3\"")), (strongly, weakly), "{lines:?}");
        }
        assert_eq!(read(&[]), Ok(None));
        for wrong in ["", "3", "\"3", "3\"", "\"3\" \"4\"", "*, \"3\"", "w/\"3\"", "\"a b\"", "\"3\";x", ","]
        {
            assert!(
                matches!(read(&[wrong]), Err(Error::BadRequest(text)) if text.contains("If-Match")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_client_agrees_to_states() {
        let these = |text: &str| read(&[text]).expect("tags");
        let seen = |one: Option<&str>, none: Option<&str>| Seen {
            one_of: one.and_then(these),
            none_of: none.and_then(these),
        };
        for (seen, agrees) in [
            (Seen::default(), true),
            (Seen::at(3), true),
            (Seen::at(4), false),
            (seen(Some("*"), None), true),
            (seen(None, Some("*")), false),
            (seen(None, Some("W/\"3\"")), false),
            (seen(Some("\"3\""), Some("\"4\"")), true),
        ] {
            assert_eq!(seen.expect(3).is_ok(), agrees, "{seen:?}");
        }
    }
}

//! Samples of the text format of Prometheus, as much of it as collectors write of themselves.

/// One line that is no comment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    /// As they are written, without the braces.
    pub(super) labels: &'a str,
    pub(super) value: f64,
}

impl Sample<'_> {
    /// Whether each label of `other` is one of these, too.
    pub(super) fn has_labels_of(&self, other: &Sample<'_>) -> bool {
        labels(other.labels).all(|label| labels(self.labels).any(|own| own == label))
    }
}

/// The samples of a text; lines that are none are passed over.
pub(super) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter_map(sample)
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim();
    let end = line.find(['{', ' ', '\t']).filter(|end| *end > 0 && !line.starts_with('#'))?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => {
            let close = unquoted(inside, '}').next()?;
            (&inside[..close], &inside[close + 1..])
        }
        None => ("", rest),
    };
    // What follows the value is its time.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// The places of `wanted` outside of quoted values.
fn unquoted(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.char_indices().filter_map(move |(at, c)| {
        if std::mem::take(&mut is_escaped) {
            return None;
        }
        match c {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            c if c == wanted && !is_quoted => return Some(at),
            _ => {}
        }
        None
    })
}

/// `name="value"`, each for itself.
fn labels(text: &str) -> impl Iterator<Item = &str> {
    let ends = unquoted(text, ',').chain([text.len()]);
    let mut start = 0;
    ends.map(move |end| text[std::mem::replace(&mut start, end + 1).min(end)..end].trim())
        .filter(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_what_is_none_is_passed_over() {
        let text = "# HELP a b\n\na 1\nb{} 2 1700000000\nc{x=\"}\\\",\",y=\"1\"} +Inf\n{x=\"1\"} 3\nd{x=\"1\n e\ne x\n";
        let read: Vec<_> = samples(text).map(|read| (read.name, read.labels, read.value)).collect();
        assert_eq!(read, [("a", "", 1.0), ("b", "", 2.0), ("c", "x=\"}\\\",\",y=\"1\"", f64::INFINITY)]);
    }

    #[test]
    fn labels_are_compared_one_by_one() {
        let of = |labels| Sample { name: "a", labels, value: 0.0 };
        let both = of(r#"x="1,2",y="3""#);
        for (labels, has) in [("", true), (r#"y="3","#, true), (r#"x="1,2""#, true), (r#"x="1""#, false)] {
            assert_eq!(both.has_labels_of(&of(labels)), has, "{labels}");
        }
        assert!(!of("").has_labels_of(&both));
    }
}

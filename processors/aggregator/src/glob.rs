//! Text with `*` for any text and `?` for any byte.

/// A pattern; text without `*` and `?` is compared as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    pattern: Box<[u8]>,
    is_plain: bool,
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Glob {
        Glob { pattern: pattern.as_bytes().into(), is_plain: !pattern.contains(['*', '?']) }
    }

    /// Whether all of the text matches. Takes at most pattern times text steps, and usually one pass.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        if self.is_plain {
            return *self.pattern == *text;
        }
        let pattern = &*self.pattern;
        let (mut p, mut t) = (0, 0);
        // Behind the last star, and how much of the text that star takes so far.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    p += 1;
                    star = Some((p, t));
                }
                Some(byte) if *byte == b'?' || *byte == text[t] => (p, t) = (p + 1, t + 1),
                _ => {
                    let Some((behind, taken)) = star else { return false };
                    star = Some((behind, taken + 1));
                    (p, t) = (behind, taken + 1);
                }
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_any_text() {
        let cases = [
            ("http.*", "http.server.duration", true),
            ("http.*", "http", false),
            ("*.duration", "http.server.duration", true),
            ("h*r*n", "http.server.duration", true),
            ("h*r*x", "http.server.duration", false),
            ("?ttp", "http", true),
            ("", "", true),
            ("*", "", true),
            ("a*", "b", false),
            ("plain", "plain", true),
            ("**", "x", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Glob::new(pattern).is_match(text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}

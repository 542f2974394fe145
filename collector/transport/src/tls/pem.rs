//! The sections of a PEM file, with the lines where they begin, and where it goes wrong. No message shows what
//! stands there: it may be a key.

use std::fmt;

/// A section: its label and the line of its first marker, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) label: String,
    pub(super) line: usize,
}

/// Where a file stops being PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Finds the sections. What stands between them is passed over, as everybody does.
pub(super) fn sections(text: &[u8]) -> Result<Vec<Section>, Broken> {
    let mut found = Vec::new();
    let mut open: Option<(Section, usize)> = None;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let (line, number) = (line.trim_ascii(), index + 1);
        let broken = |reason| Err(Broken { line: number, reason });
        let marker = |word: &[u8]| line.strip_prefix(word)?.strip_suffix(b"-----");
        if let Some(label) = marker(b"-----BEGIN ") {
            if open.is_some() {
                return broken("a section begins before the one above has ended");
            }
            let label = String::from_utf8_lossy(label).into_owned();
            open = Some((Section { label, line: number }, 0));
        } else if let Some(label) = marker(b"-----END ") {
            match open.take() {
                None => return broken("ends a section that has not begun"),
                Some((section, _)) if section.label.as_bytes() != label => {
                    return broken("ends another section than the one that has begun");
                }
                Some((_, characters)) if characters % 4 != 0 => {
                    return broken("the base64 of the section that ends here is cut short");
                }
                Some((section, _)) => found.push(section),
            }
        } else if line.starts_with(b"-----") {
            return broken("neither begins nor ends a section");
        } else if let Some((section, characters)) = &mut open {
            // Headers of old private keys (RFC 1421).
            if line.contains(&b':') && section.label.ends_with("PRIVATE KEY") {
                continue;
            }
            let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            if !line.iter().all(is_base64) {
                return broken("is not base64");
            }
            *characters += line.len();
        }
    }
    match open {
        Some((section, _)) => {
            Err(Broken { line: section.line, reason: "the section that begins here does not end" })
        }
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_where_it_goes_wrong_is_named() {
        let good =
            "text\n-----BEGIN A-----\nAAAA\r\nBBB=\n-----END A-----\n\n-----BEGIN B-----\n-----END B-----";
        let lines: Vec<_> =
            sections(good.as_bytes()).expect("PEM").into_iter().map(|s| (s.label, s.line)).collect();
        assert_eq!(lines, [("A".to_owned(), 2), ("B".to_owned(), 7)]);
        // (text, line, part of the reason)
        for (text, line, reason) in [
            ("-----BEGIN A-----\nAAAA\n", 1, "does not end"),
            ("-----BEGIN A-----\nAA?A\n-----END A-----", 2, "is not base64"),
            ("-----BEGIN A-----\nAAA\n-----END A-----", 3, "cut short"),
            ("-----BEGIN A-----\nAAAA\n-----END B-----", 3, "ends another"),
            ("\n-----END A-----", 2, "has not begun"),
            ("-----BEGIN A-----\n-----BEGIN A-----", 2, "before the one above"),
            ("-----BEGIN A----\n", 1, "neither begins nor ends"),
        ] {
            let broken = sections(text.as_bytes()).expect_err(text);
            assert!(broken.line == line && broken.reason.contains(reason), "{text:?}: {broken}");
        }
    }

    #[test]
    fn nothing_that_stands_there_panics() {
        let good = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAw\nBQYDK2Vw\n-----END PRIVATE KEY-----\n";
        let mut state = 5u64;
        for _ in 0..20_000 {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize
            };
            let mut text = good.to_vec();
            for _ in 0..=next() % 3 {
                let at = next() % text.len();
                match next() % 3 {
                    0 => text.truncate(at.max(1)),
                    1 => text.insert(at, b"-\n:=\xff "[next() % 6]),
                    _ => text[at] = next() as u8,
                }
            }
            let _ = sections(&text);
        }
    }
}

//! Reading XML.

use super::{Document, Kind, MAX_DEPTH, ROOT};
use crate::EvalError;

impl Document {
    /// Reads a document, which may have any number of elements and text at the top.
    ///
    /// # Errors
    ///
    /// Malformed text, with the byte where it is; tags that do not match; more than [`MAX_DEPTH`] levels.
    pub(super) fn parse(text: &str) -> Result<Self, EvalError> {
        let mut parser = Parser { text, at: 0, document: Document::new(), open: vec![ROOT] };
        parser
            .run()
            .map_err(|problem| EvalError::new(format!("invalid XML at byte {}: {problem}", parser.at)))?;
        Ok(parser.document)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    document: Document,
    /// The elements that are not closed, from the document on.
    open: Vec<usize>,
}

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result<(), String> {
        self.at = if self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            if let Some(after) = rest.strip_prefix("<!--") {
                let comment = self.until(after, "-->", "a comment is not closed")?;
                self.add(Kind::Comment(comment.into()));
            } else if let Some(after) = rest.strip_prefix("<![CDATA[") {
                let data = self.until(after, "]]>", "a CDATA section is not closed")?;
                self.add(Kind::CData(data.into()));
            } else if let Some(after) = rest.strip_prefix("<?") {
                let instruction = self.until(after, "?>", "a processing instruction is not closed")?;
                self.add(Kind::Instruction(instruction.into()));
            } else if rest.starts_with("<!") {
                self.declaration()?;
            } else if rest.starts_with("</") {
                self.end_tag()?;
            } else if rest.starts_with('<') {
                self.start_tag()?;
            } else {
                let end = rest.find('<').unwrap_or(rest.len());
                let text = unescape(&rest[..end])?;
                if !text.trim().is_empty() {
                    self.add(Kind::Text(text));
                }
                self.at += end;
            }
        }
        match self.open.len() {
            1 => Ok(()),
            _ => Err("unexpected end, an element is not closed".into()),
        }
    }

    fn add(&mut self, kind: Kind) -> usize {
        let parent = self.open.last().copied().unwrap_or(ROOT);
        self.document.add(parent, kind)
    }

    /// Takes everything up to a closing mark, and the mark.
    fn until(&mut self, after: &'a str, mark: &str, problem: &str) -> Result<&'a str, String> {
        let end = after.find(mark).ok_or(problem)?;
        self.at = self.text.len() - after.len() + end + mark.len();
        Ok(&after[..end])
    }

    /// Takes `<!…>`, within which brackets and quotes may hold angle brackets.
    fn declaration(&mut self) -> Result<(), String> {
        let after = &self.text[self.at + 2..];
        let (mut depth, mut quote) = (0usize, None);
        for (position, character) in after.char_indices() {
            match character {
                _ if quote == Some(character) => quote = None,
                _ if quote.is_some() => {}
                '"' | '\'' => quote = Some(character),
                '<' => depth += 1,
                '>' if depth == 0 => {
                    self.add(Kind::Declaration(after[..position].into()));
                    self.at += 2 + position + 1;
                    return Ok(());
                }
                '>' => depth -= 1,
                _ => {}
            }
        }
        Err("a declaration is not closed".into())
    }

    fn start_tag(&mut self) -> Result<(), String> {
        self.at += 1;
        let name = self.name()?.to_owned();
        let mut attributes: Vec<(String, String)> = Vec::new();
        let closed = loop {
            let spaces = self.skip_spaces();
            let rest = &self.text[self.at..];
            if rest.starts_with("/>") {
                self.at += 2;
                break true;
            }
            if rest.starts_with('>') {
                self.at += 1;
                break false;
            }
            if !spaces {
                return Err(format!("expected an attribute or the end of <{name}>"));
            }
            attributes.push(self.attribute()?);
        };
        if self.open.len() > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels"));
        }
        let id = self.add(Kind::Element { name, attributes });
        if !closed {
            self.open.push(id);
        }
        Ok(())
    }

    fn attribute(&mut self) -> Result<(String, String), String> {
        let name = self.name()?.to_owned();
        self.skip_spaces();
        if !self.text[self.at..].starts_with('=') {
            return Err(format!("expected = behind the attribute {name}"));
        }
        self.at += 1;
        self.skip_spaces();
        let rest = &self.text[self.at..];
        let quote = rest
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))
            .ok_or("expected a quoted value")?;
        let end = rest[1..].find(quote).ok_or("a value is not closed")?;
        let value = &rest[1..=end];
        if value.contains('<') {
            return Err("a value must not contain <".into());
        }
        let value = unescape(value)?;
        self.at += end + 2;
        Ok((name, value))
    }

    fn end_tag(&mut self) -> Result<(), String> {
        self.at += 2;
        let name = self.name()?;
        self.skip_spaces();
        if !self.text[self.at..].starts_with('>') {
            return Err(format!("expected > behind </{name}"));
        }
        let open = self.open.last().copied().unwrap_or(ROOT);
        match self.document.kind(open) {
            Kind::Element { name: expected, .. } if expected == name => {}
            Kind::Element { name: expected, .. } => {
                return Err(format!("<{expected}> is closed by </{name}>"));
            }
            _ => return Err(format!("</{name}> closes nothing")),
        }
        self.open.pop();
        self.at += 1;
        Ok(())
    }

    fn name(&mut self) -> Result<&'a str, String> {
        let rest = &self.text[self.at..];
        let is_start = |character: char| character.is_alphabetic() || matches!(character, '_' | ':');
        let is_part = |character: char| {
            is_start(character) || character.is_numeric() || matches!(character, '-' | '.' | '\u{b7}')
        };
        if !rest.starts_with(is_start) {
            return Err("expected a name".into());
        }
        let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        self.at += end;
        Ok(&rest[..end])
    }

    fn skip_spaces(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.at += spaces;
        spaces > 0
    }
}

/// Resolves the five entities of XML, and characters by number.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(ampersand) = rest.find('&') {
        out.push_str(&rest[..ampersand]);
        let (entity, after) = rest[ampersand + 1..].split_once(';').ok_or("invalid character entity")?;
        let character = match entity {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            numbered => numbered.strip_prefix('#').and_then(|number| {
                let code = match number.strip_prefix('x') {
                    Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                    None => number.parse(),
                };
                code.ok().and_then(char::from_u32)
            }),
        };
        out.push(character.ok_or_else(|| {
            format!("invalid character entity &{};", entity.chars().take(20).collect::<String>())
        })?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in [
            "<a></a>",
            "<a b=\"1\" c:d=\"x\">t<!-- c --><![CDATA[<&]]></a>",
            "<a></a><b></b>",
            "<?xml version=\"1.0\"?><a></a>",
            "<!DOCTYPE a [<!ENTITY x \">\">]><a></a>",
            "",
            "text",
        ] {
            assert_eq!(Document::parse(text).unwrap().write(), text);
        }
        let text = "<a  b = '&lt;&#65;&#x42;&apos;' >\n  x &amp; y\n <b/> </a >";
        assert_eq!(Document::parse(text).unwrap().write(), "<a b=\"&lt;AB&#39;\">x &amp; y<b></b></a>");
    }

    #[test]
    fn refuses() {
        for text in [
            "<a>",
            "</a>",
            "<a></b>",
            "<a",
            "<a b></a>",
            "<a b=1></a>",
            "<a b=\"1\"c=\"2\"></a>",
            "<a b=\"<\"/>",
            "<1/>",
            "< a/>",
            "<a>&nope;</a>",
            "<a>&amp</a>",
            "<!-- ",
            "<![CDATA[",
            "<?x",
            "<!DOCTYPE",
            "<a></a",
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| "<a>".repeat(levels) + &"</a>".repeat(levels);
        assert!(Document::parse(&nested(MAX_DEPTH)).unwrap().write().len() > MAX_DEPTH);
        assert!(Document::parse(&nested(MAX_DEPTH + 1)).unwrap_err().message().contains("levels"));
        assert!(Document::parse(&"<a>".repeat(1_000_000)).is_err());
    }
}

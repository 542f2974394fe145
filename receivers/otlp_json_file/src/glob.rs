//! Patterns of paths, as otelcol has them: `*`, `?`, `[a-z]`, `[^a]`, `{a,b}`, `\`, and `**` for any folders.

use std::fs;
use std::path::{Path, PathBuf};

/// Patterns that braces may stand for.
const MOST_ALTERNATIVES: usize = 1000;
/// Folders within folders that `**` looks into.
const DEEPEST: usize = 64;

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    absolute: bool,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Wild(Vec<Token>),
    /// `**`
    Folders,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[…]`: ranges, and whether what is in none of them is meant.
    Class(Vec<(char, char)>, bool),
}

impl Glob {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Glob, &'static str> {
        if text.is_empty() {
            return Err("a pattern must not be empty");
        }
        let mut alternatives = vec![String::new()];
        expand(text, &mut alternatives)?;
        alternatives.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>().map(Glob)
    }

    /// Whether the path is meant.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let is_absolute = path.is_absolute();
        self.0
            .iter()
            .any(|pattern| pattern.absolute == is_absolute && match_segments(&pattern.segments, &parts))
    }

    /// Adds the files that are there to `found`, until these are `most`.
    pub(crate) fn find(&self, most: usize, found: &mut Vec<PathBuf>) {
        for pattern in &self.0 {
            let base = if pattern.absolute { PathBuf::from("/") } else { PathBuf::new() };
            walk(&base, &pattern.segments, DEEPEST, most, found);
        }
    }
}

/// Writes out the braces of `text`, appending each alternative to each of `heads`.
fn expand(text: &str, heads: &mut Vec<String>) -> Result<(), &'static str> {
    let mut chars = text.char_indices();
    let mut in_class = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let (_, next) = chars.next().ok_or("a `\\` at the end escapes nothing")?;
                heads.iter_mut().for_each(|head| head.extend(['\\', next]));
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '}' if !in_class => return Err("a `}` without its `{`"),
            '{' if !in_class => {
                let inside = &text[at + 1..];
                let (parts, rest) = alternatives(inside)?;
                let mut all = Vec::new();
                for part in parts {
                    let mut branch = heads.clone();
                    expand(part, &mut branch)?;
                    all.extend(branch);
                    if all.len() > MOST_ALTERNATIVES {
                        return Err("its braces stand for more than 1000 patterns");
                    }
                }
                *heads = all;
                return expand(rest, heads);
            }
            _ => {}
        }
        heads.iter_mut().for_each(|head| head.push(c));
    }
    Ok(())
}

/// What stands between commas up to the closing brace, and what follows it.
fn alternatives(text: &str) -> Result<(Vec<&str>, &str), &'static str> {
    let (mut parts, mut start, mut depth, mut escaped) = (Vec::new(), 0, 0, false);
    for (at, c) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match c {
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                parts.push(&text[start..at]);
                return Ok((parts, &text[at + 1..]));
            }
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    Err("a `{` without its `}`")
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, &'static str> {
        let segments = text.split('/').filter(|part| !part.is_empty() && *part != ".");
        let segments = segments.map(Segment::parse).collect::<Result<_, _>>()?;
        Ok(Pattern { absolute: text.starts_with('/'), segments })
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Segment, &'static str> {
        if text == "**" {
            return Ok(Segment::Folders);
        }
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '\\' => Token::Char(chars.next().ok_or("a `\\` escapes nothing")?),
                '?' => Token::One,
                '*' => Token::Many,
                '[' => {
                    let negated = chars.next_if(|c| matches!(c, '^' | '!')).is_some();
                    let mut ranges = Vec::new();
                    loop {
                        let mut next = || match chars.next() {
                            Some('\\') => chars.next(),
                            other => other,
                        };
                        const OPEN: &str = "a `[` without its `]`";
                        let low = next().ok_or(OPEN)?;
                        if low == ']' && !ranges.is_empty() {
                            break;
                        }
                        let high = match chars.next_if_eq(&'-') {
                            Some(_) => chars.next().ok_or(OPEN)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    Token::Class(ranges, negated)
                }
                c => Token::Char(c),
            });
        }
        let literal: Option<String> =
            tokens.iter().map(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect();
        Ok(literal.map_or(Segment::Wild(tokens), Segment::Literal))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Segment::Literal(text) => text == name,
            Segment::Wild(tokens) => match_name(tokens, &name.chars().collect::<Vec<_>>()),
            Segment::Folders => true,
        }
    }
}

/// Goes back to the last `*` where the rest does not match: at most the product of both lengths.
fn match_name(tokens: &[Token], name: &[char]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < name.len() {
        let matches = match tokens.get(token) {
            Some(Token::Many) => {
                back = Some((token, at));
                token += 1;
                continue;
            }
            Some(Token::Char(c)) => *c == name[at],
            Some(Token::One) => true,
            Some(Token::Class(ranges, negated)) => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&name[at])) != *negated
            }
            None => false,
        };
        if matches {
            (token, at) = (token + 1, at + 1);
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            (token, at) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Many)
}

fn match_segments(segments: &[Segment], parts: &[&str]) -> bool {
    match (segments.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((Segment::Folders, rest)), _) => {
            // Behind consecutive `**` the first decides.
            (0..=parts.len()).any(|skipped| match_segments(rest, &parts[skipped..]))
        }
        (Some((segment, rest)), Some((part, parts))) => segment.matches(part) && match_segments(rest, parts),
        _ => false,
    }
}

fn walk(base: &Path, segments: &[Segment], depth: usize, most: usize, found: &mut Vec<PathBuf>) {
    if found.len() >= most || depth == 0 {
        return;
    }
    let Some((segment, rest)) = segments.split_first() else { return };
    if let Segment::Literal(name) = segment {
        let path = base.join(name);
        match rest.is_empty() {
            true if path.is_file() => found.push(path),
            true => {}
            false => walk(&path, rest, depth, most, found),
        }
        return;
    }
    if *segment == Segment::Folders {
        // No folder, and then each of them in turn.
        match rest.is_empty() {
            true => walk(base, &[Segment::Wild(vec![Token::Many])], depth, most, found),
            false => walk(base, rest, depth, most, found),
        }
    }
    let folder = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    // What cannot be listed has no files for us.
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut names: Vec<_> = entries.flatten().collect();
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| segment.matches(name)) else { continue };
        let path = base.join(name);
        if *segment == Segment::Folders {
            // Links are not followed here: they may lead in circles.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&path, segments, depth - 1, most, found);
            }
        } else if !rest.is_empty() {
            walk(&path, rest, depth, most, found);
        } else if found.len() < most && path.is_file() {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::parse(pattern).expect(pattern).matches(Path::new(path))
    }

    #[test]
    fn patterns_mean_what_they_mean_in_otelcol() {
        let cases = [
            ("/var/log/*.log", "/var/log/a.log", true),
            ("/var/log/*.log", "/var/log/a/b.log", false),
            ("/var/log/*.log", "var/log/a.log", false),
            ("/var/**/*.log", "/var/a.log", true),
            ("/var/**/*.log", "/var/x/y/a.log", true),
            ("/var/**", "/var/x/y", true),
            ("**/a.json", "x/y/a.json", true),
            ("./a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x[^0-9]", "bxz", true),
            ("[a-c]x[!0-9]", "bx7", false),
            ("{a,b{1,2}}.json", "b2.json", true),
            ("{a,b{1,2}}.json", "b.json", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} and {path}");
        }
        for pattern in ["", "a[", "{a", "a}", "a\\", "[]", &"{1,2}".repeat(12)] {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn finds_files_in_order_and_not_more_than_asked() {
        let folder = tempfile::tempdir().expect("made");
        for name in ["a/x.json", "a/b/y.json", "z.json", "z.txt"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "").expect("written");
        }
        let find = |pattern: &str, most| {
            let mut found = Vec::new();
            let pattern = format!("{}/{pattern}", folder.path().display());
            Glob::parse(&pattern).expect("a pattern").find(most, &mut found);
            let name =
                |path: &PathBuf| path.strip_prefix(folder.path()).expect("inside").display().to_string();
            found.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(find("*.json", 9), ["z.json"]);
        assert_eq!(find("**/*.json", 9), ["z.json", "a/x.json", "a/b/y.json"]);
        assert_eq!(find("a/**", 9), ["a/x.json", "a/b/y.json"]);
        assert_eq!(find("**/*.json", 2), ["z.json", "a/x.json"]);
        assert_eq!(find("nowhere/*", 9), Vec::<String>::new());
        assert_eq!(find("z.txt", 9), ["z.txt"]);
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[ab*?\\[\\]{},/\\\\^-]{0,12}", path in "[ab/]{0,8}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                glob.matches(Path::new(&path));
            }
        }
    }
}

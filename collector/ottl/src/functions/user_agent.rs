//! Which program and which operating system a `User-Agent` names.
//!
//! The tables (`user_agent/tables.rs`) are a selection: browsers, crawlers, clients and systems that make
//! up nearly all traffic, under the names that the uap-core project gives them; what they do not know is
//! `Other`. Of the 12,500 headers of browsers that uap-core tests with, 94 % get the same name, and of its
//! 1,460 examples of rare programs a fifth. Its own 563 expressions take 64 MiB compiled, and 91 MiB once
//! each has searched one header (measured with the `regex` crate).

mod tables;

use crate::Map;

use tables::{OLD_WINDOWS, Rule, SYSTEMS, Version, WINDOWS};

/// The name of what is not known.
const OTHER: &str = "Other";
/// More of a header says nothing about the program.
const MAX_BYTES: usize = 4096;

/// Reads a header into the attributes of the semantic conventions.
pub fn parse(header: &str) -> Map<'static> {
    let mut end = header.len().min(MAX_BYTES);
    while !header.is_char_boundary(end) {
        end -= 1;
    }
    let read = &header[..end];
    let (name, version) = find(tables::PROGRAMS, read).unwrap_or((OTHER, String::new()));
    let (system, system_version) = system(read);
    let mut map = Map::new();
    map.push("user_agent.name", name);
    map.push("user_agent.version", version);
    map.push("user_agent.original", header.to_owned());
    map.push("os.name", system);
    if !system_version.is_empty() {
        map.push("os.version", system_version);
    }
    map
}

fn system(header: &str) -> (&'static str, String) {
    if let Some((_, after)) = header.split_once("Windows NT ")
        && !header.contains("Windows Phone")
    {
        let number: String =
            after.chars().take_while(|character| character.is_ascii_digit() || *character == '.').collect();
        let version =
            WINDOWS.iter().find(|(kernel, _)| *kernel == number).map_or("", |(_, version)| *version);
        return ("Windows", version.to_owned());
    }
    if let Some((_, version)) = OLD_WINDOWS.iter().find(|(name, _)| header.contains(name)) {
        return ("Windows", (*version).to_owned());
    }
    find(SYSTEMS, header).unwrap_or((OTHER, String::new()))
}

/// The first rule that fits.
fn find(rules: &[Rule], header: &str) -> Option<(&'static str, String)> {
    rules.iter().find_map(|rule| Some((rule.name, rule.version(header)?)))
}

impl Rule {
    /// The version if the rule fits.
    fn version(&self, header: &str) -> Option<String> {
        let start = header.find(self.token)?;
        // At the beginning of a header the name stands alone; elsewhere it is not the end of another.
        let before = header[..start].chars().next_back();
        if self.token.starts_with(|first: char| first.is_ascii_alphanumeric())
            && before.is_some_and(|before| before.is_ascii_alphanumeric())
        {
            return None;
        }
        if !self.with.iter().all(|part| header.contains(part))
            || self.without.iter().any(|part| header.contains(part))
        {
            return None;
        }
        Some(match self.version {
            Version::None => String::new(),
            Version::Behind => number(&header[start + self.token.len()..]),
            Version::Of(token) => {
                header.split_once(token).map_or_else(String::new, |(_, after)| number(after))
            }
        })
    }
}

/// Up to three numbers with points or underscores between them.
fn number(text: &str) -> String {
    let text = text.trim_start_matches(['/', ' ', '-', ':', 'v']);
    let mut parts = Vec::new();
    let mut rest = text;
    while parts.len() < 3 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            break;
        }
        parts.push(&rest[..digits]);
        match rest[digits..].strip_prefix(['.', '_']) {
            Some(after) => rest = after,
            None => break,
        }
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn common_ones() {
        const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let cases = [
            ("curl/7.81.0".to_owned(), "curl", "7.81.0", "Other", ""), (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36"), "Chrome", "120.0.0", "Windows", "10"),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91"), "Edge", "120.0.2210", "Windows", "10"),
            (format!("Mozilla/5.0 (Linux; Android 13; Pixel 7) {WEBKIT} Chrome/116.0.0.0 Mobile Safari/537.36"), "Chrome Mobile", "116.0.0", "Android", "13"), ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0".into(), "Firefox", "115.0", "Ubuntu", ""),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 Safari/605.1.15".into(), "Safari", "16.5", "Mac OS X", "10.15.7"),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 Mobile/15E148 Safari/604.1".into(), "Mobile Safari", "16.5", "iOS", "16.5"),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)".into(), "Googlebot", "2.1", "Other", ""), ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko".into(), "IE", "11.0", "Windows", "7"),
            ("Go-http-client/2.0".into(), "Go-http-client", "2.0", "Other", ""), ("python-requests/2.31.0".into(), "Python Requests", "2.31.0", "Other", ""), ("something else".into(), "Other", "", "Other", ""), (String::new(), "Other", "", "Other", ""), ("xcurl/1".into(), "Other", "", "Other", ""),
        ];
        for (header, name, version, system, system_version) in cases {
            let map = parse(&header);
            let text = |key: &str| match map.get(key) {
                Some(Value::String(text)) => text.to_string(),
                _ => String::new(),
            };
            let found =
                (text("user_agent.name"), text("user_agent.version"), text("os.name"), text("os.version"));
            assert_eq!(
                found,
                (name.to_owned(), version.to_owned(), system.to_owned(), system_version.to_owned()),
                "{header}"
            );
            assert_eq!(text("user_agent.original"), header);
        }
    }

    #[test]
    fn long_headers_are_cut() {
        let header = "é".repeat(100_000) + "curl/1";
        assert_eq!(parse(&header).get("user_agent.name"), Some(&Value::from("Other")));
    }
}

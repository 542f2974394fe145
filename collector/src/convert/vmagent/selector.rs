//! Selectors of series, `name{label="value",other=~"a|b.*"}`, as a rule's `match`.

use super::super::policies::quoted;
use super::attribute;

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matcher {
    label: String,
    operator: Operator,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Matches,
    MatchesNot,
}

/// What a rule takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Matching {
    names: Vec<String>,
    exclude: Vec<String>,
    /// Key, values, whether the opposite must hold.
    attributes: Vec<(String, Vec<String>, bool)>,
}

impl Matching {
    /// As lines of YAML.
    pub(super) fn lines(&self) -> Vec<String> {
        let list = |values: &[String]| {
            let quoted: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            format!("[{}]", quoted.join(", "))
        };
        let mut lines = Vec::new();
        for (key, values) in [("names", &self.names), ("exclude", &self.exclude)] {
            if !values.is_empty() {
                lines.push(format!("  {key}: {}", list(values)));
            }
        }
        if !self.attributes.is_empty() {
            lines.push("  attributes:".into());
        }
        for (key, values, not) in &self.attributes {
            let values =
                if values.is_empty() { String::new() } else { format!(", values: {}", list(values)) };
            let not = if *not { ", not: true" } else { "" };
            lines.push(format!("    - {{key: {}{values}{not}}}", quoted(key)));
        }
        if !lines.is_empty() {
            lines.insert(0, "match:".into());
        }
        lines
    }
}

/// Translates selectors of which one must match.
///
/// # Errors
/// What of them cannot be said with names, exclusions and attributes.
pub(super) fn translate(selectors: &[String]) -> Result<Matching, String> {
    let mut found: Option<Matching> = None;
    for text in selectors {
        for matchers in parse(text)? {
            let one = matching(&matchers).map_err(|why| format!("match {text}: {why}"))?;
            found = Some(match found {
                None => one,
                Some(before) => either(before, one)?,
            });
        }
    }
    Ok(found.unwrap_or_default())
}

/// One rule that takes what either takes: they may differ in names.
fn either(mut left: Matching, right: Matching) -> Result<Matching, String> {
    let alike = left.attributes == right.attributes && left.exclude == right.exclude;
    let named = !left.names.is_empty() && !right.names.is_empty();
    if left != right && !(alike && named) {
        return Err("match: alternatives that differ in more than the name; write an entry for each".into());
    }
    for name in right.names {
        if !left.names.contains(&name) {
            left.names.push(name);
        }
    }
    Ok(left)
}

fn matching(matchers: &[Matcher]) -> Result<Matching, String> {
    let mut found = Matching::default();
    for Matcher { label, operator, value } in matchers {
        let negated = matches!(operator, Operator::IsNot | Operator::MatchesNot);
        let patterns = match operator {
            Operator::Is | Operator::IsNot => vec![plain(value)?],
            Operator::Matches | Operator::MatchesNot => globs(value)?,
        };
        if label == "__name__" {
            match (negated, found.names.is_empty()) {
                (true, _) => found.exclude.extend(patterns),
                (false, true) => found.names = patterns,
                (false, false) => return Err("two conditions on the name".into()),
            }
            continue;
        }
        let key = attribute(label).to_owned();
        if patterns == ["*"] {
            // Holds for what is not there, too.
            if negated {
                return Err(format!("{label} matches nothing"));
            }
        } else if patterns == [""] {
            found.attributes.push((key, Vec::new(), !negated));
        } else if patterns.iter().any(|pattern| pattern.chars().all(|c| c == '*')) {
            return Err(format!("{label}: a pattern that also matches where the label is not there"));
        } else {
            found.attributes.push((key, patterns, negated));
        }
    }
    Ok(found)
}

/// A value as a pattern that matches it alone.
fn plain(value: &str) -> Result<String, String> {
    match value.contains(['*', '?']) {
        true => Err(format!("{value:?} has a * or ?, which are patterns here")),
        false => Ok(value.to_owned()),
    }
}

/// Patterns with `*` and `?` that match what a regular expression does: alternatives of text, `.`, `.*` and `.+`.
fn globs(regex: &str) -> Result<Vec<String>, String> {
    let whole = regex.strip_prefix('^').unwrap_or(regex);
    let whole = whole.strip_suffix('$').filter(|rest| !rest.ends_with('\\')).unwrap_or(whole);
    let inner = whole.strip_prefix("(?:").or_else(|| whole.strip_prefix('('));
    let inner = inner.and_then(|rest| rest.strip_suffix(')')).filter(|rest| !rest.contains(['(', ')']));
    let wrong =
        || format!("the regular expression {regex:?} is more than alternatives of text, `.`, `.*` and `.+`");
    let mut patterns = vec![String::new()];
    let mut characters = inner.unwrap_or(whole).chars().peekable();
    while let Some(character) = characters.next() {
        let pattern = patterns.last_mut().ok_or_else(wrong)?;
        match character {
            '|' => patterns.push(String::new()),
            '.' => match characters.next_if(|next| matches!(next, '*' | '+')) {
                Some('*') => pattern.push('*'),
                Some(_) => pattern.push_str("?*"),
                None => pattern.push('?'),
            },
            '\\' => {
                let escaped =
                    characters.next().filter(|next| !next.is_alphanumeric() && !matches!(next, '*' | '?'));
                pattern.push(escaped.ok_or_else(wrong)?);
            }
            '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return Err(wrong()),
            text => pattern.push(text),
        }
        if matches!(characters.peek(), Some('*' | '+' | '?' | '{')) {
            return Err(wrong());
        }
    }
    Ok(patterns)
}

/// Reads a selector: the alternatives between which `or` stands, each with its conditions.
///
/// # Errors
/// Where it is none.
pub(super) fn parse(text: &str) -> Result<Vec<Vec<Matcher>>, String> {
    let wrong = |what: &str| format!("{text:?} is no selector: {what}");
    let text_trimmed = text.trim();
    let (name, rest) = match text_trimmed.find('{') {
        Some(brace) => (text_trimmed[..brace].trim(), &text_trimmed[brace + 1..]),
        None => (text_trimmed, "}"),
    };
    let mut matchers = Vec::new();
    if !name.is_empty() {
        if !is_name(name) {
            return Err(wrong("the name of the metric"));
        }
        matchers.push(Matcher { label: "__name__".into(), operator: Operator::Is, value: name.into() });
    }
    // The name before the braces is a condition of all of them.
    let (named, mut alternatives) = (matchers.clone(), Vec::new());
    let mut rest = rest.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            let is_end = behind.trim().is_empty() && !matchers.is_empty();
            alternatives.push(matchers);
            return if is_end {
                Ok(alternatives)
            } else {
                Err(wrong("it ends with }, and chooses something"))
            };
        }
        let end = rest.find(['=', '!']).ok_or_else(|| wrong("a label without = != =~ or !~"))?;
        let label = rest[..end].trim();
        let operators = [
            ("=~", Operator::Matches),
            ("!~", Operator::MatchesNot),
            ("!=", Operator::IsNot),
            ("=", Operator::Is),
        ];
        let found =
            operators.iter().find_map(|(sign, operator)| Some((rest[end..].strip_prefix(sign)?, *operator)));
        let (behind, operator) = found.ok_or_else(|| wrong("a label without = != =~ or !~"))?;
        let (value, behind) = string(behind.trim_start()).ok_or_else(|| wrong("a value is in quotes"))?;
        if !is_name(label) {
            return Err(wrong("the name of a label"));
        }
        matchers.push(Matcher { label: label.into(), operator, value });
        rest = behind.trim_start();
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind.trim_start(),
            None if rest.starts_with('}') => {}
            None if rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("or ")) => {
                rest = rest[3..].trim_start();
                alternatives.push(std::mem::replace(&mut matchers, named.clone()));
            }
            None => return Err(wrong("a comma or } behind a value")),
        }
    }
}

fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':'));
    starts && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.'))
}

/// A text in quotes at the start, and what is behind it.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\'' | '`'))?;
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            end if end == quote => return Some((value, &text[at + 1..])),
            '\\' if quote != '`' => match characters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other if matches!(other, '\\' | '"' | '\'') => value.push(other),
                // As in a regular expression.
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

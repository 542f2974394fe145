//! Words for what went wrong, and what was probably meant.

use super::context::Finished;
use super::error::Fault;
use crate::block::ENABLED;
use crate::path::KeyPath;
use crate::problems::{KNOWN_KEYS, UNKNOWN_KEY};
use crate::suggest::nearest;

/// Most names that a help text lists.
const MAX_LISTED: usize = 12;

/// What is wrong, and what would be right.
pub(super) fn explain(path: &KeyPath, fault: &Fault, finished: &Finished) -> (String, Option<String>) {
    match fault {
        Fault::KeepDefault | Fault::Unresolved => (String::new(), None),
        Fault::UnknownField { field, expected } => {
            (UNKNOWN_KEY.into(), Some(help_for_key(path, field, expected, finished)))
        }
        Fault::Missing(field) => (format!("`{field}` is missing"), None),
        Fault::UnknownVariant { variant, expected } => {
            (format!("unknown value {variant:?}"), Some(help_for_value(variant, expected)))
        }
        Fault::Mismatch { expected, found, help } => {
            (format!("expected {}, found {found}", in_words(expected)), help.clone())
        }
        Fault::Other(message) => (message.clone(), None),
    }
}

fn help_for_key(path: &KeyPath, field: &str, expected: &[&str], finished: &Finished) -> String {
    let section = path.parent();
    let enabled = finished.blocks.contains(&section).then_some(ENABLED);
    let known = || expected.iter().copied().chain(enabled);
    if let Some(meant) = nearest(field, known()) {
        return format!("did you mean `{meant}`?");
    }
    if let Some(elsewhere) = section_that_knows(field, &section, finished) {
        let place =
            if elsewhere.is_empty() { "the top of this component".into() } else { format!("`{elsewhere}`") };
        return format!("`{field}` is a key of {place}, not of this level");
    }
    let known: Vec<&str> = known().collect();
    if known.is_empty() { "no keys are known here".into() } else { format!("{KNOWN_KEYS}{}", list(&known)) }
}

/// The nearest other section of this component that has this key: around it first, then inside it.
fn section_that_knows(field: &str, section: &KeyPath, finished: &Finished) -> Option<KeyPath> {
    finished
        .known
        .iter()
        .filter(|(path, known)| *path != section && known.contains(&field))
        .map(|(path, _)| path)
        .min_by_key(|path| (!path.contains(section), path.len().abs_diff(section.len()), (*path).clone()))
        .cloned()
}

fn help_for_value(variant: &str, expected: &[&str]) -> String {
    match nearest(variant, expected.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known values are {}", list(expected)),
    }
}

fn list(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(MAX_LISTED);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{tail}", shown.join(", "))
}

/// Rust's names of types are not for users.
fn in_words(expected: &str) -> String {
    let number = |least: &str, most: &str| format!("a whole number from {least} to {most}");
    match expected {
        "u8" => number("0", "255"),
        "u16" => number("0", "65535"),
        "u32" => number("0", "4294967295"),
        "u64" | "usize" => "a whole number from 0".into(),
        "i8" => number("-128", "127"),
        "i16" => number("-32768", "32767"),
        "i32" => number("-2147483648", "2147483647"),
        "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        other if other.starts_with("a nonzero ") => "a whole number other than 0".into(),
        other if other.starts_with("struct ") => "a map".into(),
        other => other.to_owned(),
    }
}

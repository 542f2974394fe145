//! Editors of maps: which keys stay, what joins them, what becomes of all values.

use crate::EvalError;
use crate::plan::{ArgumentNode, Path};
use crate::run::{self, Argument, Datum, State};

use super::Pattern;

pub(super) fn delete_key<'a>(
    target: &'a Path,
    key: &'a ArgumentNode,
    state: &mut State<'a>,
) -> Result<(), EvalError> {
    let Datum::Text(key) = key.value(state)? else { return Err("the key must be a string".into()) };
    run::with_map(state, target, |entries, _| Ok(entries.remove(key)))
}

pub(super) fn matching_keys<'a>(
    target: &'a Path,
    pattern: &'a Pattern,
    keeps: bool,
    state: &mut State<'a>,
) -> Result<(), EvalError> {
    pattern.with_matcher(state, |state, matcher| {
        run::with_map(state, target, |entries, _| {
            Ok(entries.retain(|entry| matcher.is_match(entry.key) == keeps))
        })
    })
}

pub(super) fn keep_keys<'a>(
    target: &'a Path,
    keys: &'a ArgumentNode,
    state: &mut State<'a>,
) -> Result<(), EvalError> {
    let Argument::Many(keys) = keys.evaluate(state)? else { return Err("the keys must be a list".into()) };
    let kept = |key: &[u8]| keys.iter().any(|datum| matches!(datum, Datum::Text(text) if *text == key));
    run::with_map(state, target, |entries, _| Ok(entries.retain(|entry| kept(entry.key))))
}

pub(super) fn limit<'a>(
    target: &'a Path,
    limit: usize,
    priority: &'a [Box<[u8]>],
    state: &mut State<'a>,
) -> Result<(), EvalError> {
    run::with_map(state, target, |entries, _| {
        if entries.len() <= limit {
            return Ok(false);
        }
        let has_priority = |key: &[u8]| priority.iter().any(|first| **first == *key);
        let first = entries.iter().filter(|entry| has_priority(entry.key)).count();
        let mut room = limit.saturating_sub(first);
        Ok(entries.retain(|entry| {
            if has_priority(entry.key) {
                return true;
            }
            let stays = room > 0;
            room -= usize::from(stays);
            stays
        }))
    })
}

pub(super) fn merge<'a>(
    target: &'a Path,
    source: &'a ArgumentNode,
    inserts: bool,
    updates: bool,
    state: &mut State<'a>,
) -> Result<(), EvalError> {
    let source = source.value(state)?;
    // Also refuses what cannot be stored, before anything changes.
    let Datum::Map(source) = Datum::read(run::encode(&source, 1, state.arena)?) else {
        return Err("the source must be a map".into());
    };
    run::with_map(state, target, |entries, _| {
        let mut index = run::EntryIndex::new(entries);
        let mut is_changed = false;
        for (key, value) in run::entries(source) {
            match index.get(key) {
                Some(_) if !updates => {}
                None if !inserts => {}
                found => {
                    index.put(entries, found, key, value);
                    is_changed = true;
                }
            }
        }
        Ok(is_changed)
    })
}

pub(super) fn stringify<'a>(target: &'a Path, state: &mut State<'a>) -> Result<(), EvalError> {
    run::with_map(state, target, |entries, state| {
        let mut is_changed = false;
        for entry in entries.iter_mut() {
            let datum = Datum::read(entry.value);
            if !matches!(datum, Datum::Text(_)) {
                let text = Datum::Text(run::plain_text(&datum, state.arena)?);
                entry.put(text.encode(state.arena)?);
                is_changed = true;
            }
        }
        Ok(is_changed)
    })
}

pub(super) fn truncate<'a>(
    target: &'a Path,
    limit: usize,
    is_utf8_safe: bool,
    state: &mut State<'a>,
) -> Result<(), EvalError> {
    run::with_map(state, target, |entries, state| {
        let mut is_changed = false;
        for entry in entries.iter_mut() {
            let Datum::Text(text) = Datum::read(entry.value) else { continue };
            if text.len() <= limit {
                continue;
            }
            let cut = if is_utf8_safe { boundary(text, limit) } else { limit };
            entry.put(Datum::Text(&text[..cut]).encode(state.arena)?);
            is_changed = true;
        }
        Ok(is_changed)
    })
}

/// The last place at or before `limit` where a character begins.
fn boundary(text: &[u8], limit: usize) -> usize {
    let is_start = |at: &usize| text.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (0..=limit).rev().find(is_start).unwrap_or(0)
}

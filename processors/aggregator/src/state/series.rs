//! Series as bytes.

use std::collections::HashMap;
use std::sync::Arc;

use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_bytes, put_fixed64, put_message, put_uint};
use phoenix_series::{Fingerprint, Slot};

use super::values::{put_accumulator, put_window, read_accumulator, read_window};
use super::{Read, put_key, put_place, read_key};
use crate::examples::{Chosen, Example, Examples};
use crate::series::{Head, More, Series, Session, Shown};

pub(super) fn put_series(out: &mut Vec<u8>, plan: usize, slot: Slot, key: Fingerprint, series: &Series) {
    put_place(out, plan, slot);
    put_uint(out, 11, series.head.id);
    put_key(out, 12, key);
    put_bytes(out, 3, &series.attributes);
    put_fixed64(out, 4, series.start);
    put_uint(out, 5, u64::from(series.ended));
    put_message(out, 6, |out| put_window(out, &series.window));
    if !series.running.is_empty() {
        put_message(out, 7, |out| put_accumulator(out, &series.running));
    }
    let Some(more) = &series.more else { return };
    more.tiers.iter().for_each(|window| put_message(out, 8, |out| put_window(out, window)));
    more.parts.iter().for_each(|window| put_message(out, 9, |out| put_window(out, window)));
    for session in &more.sessions {
        put_message(out, 10, |out| put_window(out, &session.window));
        put_fixed64(out, 17, session.earliest);
    }
    if let Some(examples) = &more.examples {
        put_examples(out, examples);
    }
    for (end, window) in &more.corrections {
        put_message(out, 14, |out| {
            put_fixed64(out, 1, *end);
            put_message(out, 2, |out| put_window(out, window));
        });
    }
    for shown in &more.shown {
        put_message(out, 13, |out| {
            put_uint(out, 1, u64::from(shown.which));
            put_fixed64(out, 2, shown.time);
            put_fixed64(out, 3, shown.value.to_bits());
            put_uint(out, 4, u64::from(shown.calm));
        });
    }
}

pub(super) fn read_series(
    body: &[u8],
    heads: &HashMap<u64, Arc<Head>>,
    more: Option<Box<More>>,
) -> Read<(Fingerprint, Series)> {
    let head = heads.get(&Fields::new(body).find(|field| field.number() == 11)?.scalar)?;
    let mut key = None;
    let mut series = Series::new(head.clone(), Box::default(), more);
    let mut tier = 0;
    for field in Fields::new(body) {
        match (field.number(), series.more.as_deref_mut()) {
            (12, _) => key = Some(read_key(&field)?),
            (3, _) => series.attributes = field.body.into(),
            (4, _) => series.start = field.scalar,
            (5, _) => series.ended = field.scalar != 0,
            (6, _) => series.window = read_window(field.body)?,
            (7, _) => series.running = read_accumulator(field.body)?,
            (8, Some(more)) => {
                *more.tiers.get_mut(tier)? = read_window(field.body)?;
                tier += 1;
            }
            (9, Some(more)) => more.parts.push_back(read_window(field.body)?),
            (10, Some(more)) => {
                let window = read_window(field.body)?;
                more.sessions.push(Session { earliest: window.first.saturating_add(1), window });
            }
            (17, Some(more)) => more.sessions.last_mut()?.earliest = field.scalar,
            (14, _) => {
                let mut fields = Fields::new(field.body);
                let (end, window) = (fields.next()?.scalar, read_window(fields.next()?.body)?);
                series.more.get_or_insert_default().corrections.push((end, window));
            }
            (15, _) => read_example(field.body, series.more.get_or_insert_default())?,
            (13, Some(more)) => {
                let number = |wanted| {
                    let found = Fields::new(field.body).find(|field| field.number() == wanted);
                    found.map_or(0, |field| field.scalar)
                };
                let (time, value) = (number(2), f64::from_bits(number(3)));
                let calm = u32::try_from(number(4)).ok()?;
                more.shown.push(Shown { which: u16::try_from(number(1)).ok()?, time, value, calm });
            }
            _ => {}
        }
    }
    Some((key?, series))
}

/// Those of tiers are told apart by the number of theirs, from 1.
fn put_examples(out: &mut Vec<u8>, examples: &Examples) {
    for (tier, chosen) in std::iter::once(&examples.open).chain(&examples.tiers).enumerate() {
        for example in &chosen.0 {
            put_message(out, 15, |out| {
                put_uint(out, 1, tier as u64);
                put_fixed64(out, 2, example.due);
                if let Some(bucket) = example.bucket {
                    put_fixed64(out, 3, bucket as u64);
                }
                put_uint(out, 4, u64::from(example.is_traced));
                put_fixed64(out, 5, example.time);
                put_bytes(out, 6, &example.body);
            });
        }
    }
}

fn read_example(body: &[u8], more: &mut More) -> Read<()> {
    let (mut tier, mut body_of, mut bucket) = (0, None, None);
    let (mut due, mut is_traced, mut time) = (0, false, 0);
    for field in Fields::new(body) {
        match field.number() {
            1 => tier = usize::try_from(field.scalar).ok()?,
            2 => due = field.scalar,
            3 => bucket = Some(field.scalar as i64),
            4 => is_traced = field.scalar != 0,
            5 => time = field.scalar,
            6 => body_of = Some(field.body.into()),
            _ => {}
        }
    }
    let example = Example { due, bucket, is_traced, time, body: body_of? };
    let tiers = more.tiers.len();
    let examples = more.examples.get_or_insert_default();
    match tier.checked_sub(1) {
        None => examples.open.0.push(example),
        Some(tier) if tier < tiers => {
            if examples.tiers.len() <= tier {
                examples.tiers.resize_with(tier + 1, Chosen::default);
            }
            examples.tiers[tier].0.push(example);
        }
        Some(_) => {}
    }
    Some(())
}

//! The state as bytes, for a checkpoint: in the form of protobuf, each message with fields of its own.

mod values;

use std::collections::HashMap;
use std::sync::Arc;

use phoenix_component::Now;
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_bytes, put_fixed64, put_message, put_uint};
use phoenix_series::{Fingerprint, Hasher, Slot};

use crate::kind::Kind;
use crate::plan::Plan;
use crate::series::{Head, More, Series};
use crate::stage::Aggregator;
use crate::stream::{Meaning, Stream, Target};
use values::{
    put_accumulator, put_sample, put_total, put_window, read_accumulator, read_sample, read_total,
    read_window,
};

/// What is to be read is not what was written.
type Read<T> = Option<T>;

fn put_key(out: &mut Vec<u8>, field: u32, key: Fingerprint) {
    put_bytes(out, field, &u128::from(key).to_le_bytes());
}

fn read_key(field: &Field<'_>) -> Read<Fingerprint> {
    Some(u128::from_le_bytes(field.body.try_into().ok()?).into())
}

impl Aggregator {
    /// Writes streams and series.
    pub(crate) fn write_state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_fixed64(&mut out, 1, self.seed);
        put_fixed64(&mut out, 2, self.horizon);
        put_fixed64(&mut out, 3, self.watermark.current());
        put_fixed64(&mut out, 4, self.watermark.newest());
        put_uint(&mut out, 5, u64::from(self.begun));
        // Where series are in the file, by plan and place.
        let mut ordinals: HashMap<(u16, Slot), u64> = HashMap::new();
        for (index, plan) in self.plans.iter().enumerate() {
            for (ordinal, (slot, _)) in plan.table.iter().enumerate() {
                ordinals.insert((index as u16, slot), ordinal as u64);
            }
            put_message(&mut out, 6, |out| put_plan(out, plan));
        }
        for (slot, stream) in self.streams.iter() {
            let Some(key) = self.streams.key(slot) else { continue };
            put_message(&mut out, 7, |out| put_stream(out, key, stream, &ordinals));
        }
        out
    }

    /// Reads what was written, into an aggregator that has nothing yet. Rules that are gone or changed are left out.
    pub(crate) fn read_state(&mut self, state: &[u8], now: Now) -> Read<()> {
        let (mut current, mut newest) = (0, 0);
        let mut places: HashMap<(u64, u64), (u16, Slot)> = HashMap::new();
        let (mut plans, mut kept) = (0, 0);
        for field in Fields::new(state) {
            match field.number() {
                1 => {
                    self.seed = field.scalar;
                    self.hasher = Hasher::new(field.scalar);
                }
                2 => self.horizon = field.scalar,
                3 => current = field.scalar,
                4 => newest = field.scalar,
                5 => self.begun = field.scalar != 0,
                6 => {
                    kept += u64::from(self.read_plan(field.body, plans, &mut places)?);
                    plans += 1;
                }
                _ => {}
            }
        }
        self.watermark.resume(current, newest, now.monotonic);
        let is_same = kept == plans && kept == self.plans.len() as u64;
        for plan in self.plans.iter_mut().filter(|plan| plan.next_end == 0 && current > 0) {
            plan.begin(current.saturating_add(1), newest);
        }
        for field in Fields::new(state).filter(|field| field.number() == 7) {
            self.read_stream(field.body, &places, is_same)?;
        }
        self.count_series();
        Some(())
    }

    /// Tells whether there is such a plan now.
    fn read_plan(
        &mut self,
        body: &[u8],
        number: u64,
        places: &mut HashMap<(u64, u64), (u16, Slot)>,
    ) -> Read<bool> {
        let id = read_key(&Fields::new(body).find(|field| field.number() == 1)?)?;
        let Some(index) = self.plans.iter().position(|plan| plan.id == id) else { return Some(false) };
        let mut heads: Vec<Arc<Head>> = Vec::new();
        let mut ordinal = 0;
        for field in Fields::new(body) {
            match field.number() {
                2 => self.plans[index].next_end = field.scalar,
                3 => self.plans[index].closed = field.scalar,
                4 => self.plans[index].began = field.scalar,
                5 => {
                    let number = self.next_head();
                    let (key, head) = read_head(field.body, number)?;
                    let head = Arc::new(head);
                    self.plans[index].heads.insert(key, Arc::downgrade(&head));
                    heads.push(head);
                }
                6 => {
                    let more = self.plans[index].shape.more();
                    let (key, series) = read_series(field.body, &heads, more)?;
                    let slot = self.plans[index].table.insert(key, series).ok()?;
                    places.insert((number, ordinal), (index as u16, slot));
                    ordinal += 1;
                }
                7 => self.plans[index].books.taken = read_total(field.body)?,
                8 => self.plans[index].books.let_out = read_total(field.body)?,
                9 => self.plans[index].books.dropped = read_total(field.body)?,
                _ => {}
            }
        }
        self.plans[index].busy = true;
        Some(true)
    }

    fn read_stream(
        &mut self,
        body: &[u8],
        places: &HashMap<(u64, u64), (u16, Slot)>,
        is_same: bool,
    ) -> Read<()> {
        let mut key = None;
        let mut stream = Stream::new(Meaning::Levels);
        let mut targets = Vec::new();
        for field in Fields::new(body) {
            match field.number() {
                1 => key = Some(read_key(&field)?),
                2 => {
                    stream.meaning = match field.scalar {
                        0 => Meaning::Increments,
                        1 => Meaning::Sums,
                        _ => Meaning::Levels,
                    }
                }
                3 => stream.last = read_sample(field.body)?,
                4 => stream.ended = field.scalar != 0,
                5 => stream.gap.0 = field.scalar,
                6 => stream.gap.1 = field.scalar,
                7 => {
                    stream.waiting.insert(&mut read_sample(field.body)?);
                }
                8 => {
                    let number = |wanted| {
                        Fields::new(field.body)
                            .find(|field| field.number() == wanted)
                            .map_or(0, |field| field.scalar)
                    };
                    if let Some((plan, slot)) = places.get(&(number(1), number(2))) {
                        targets.push(Target { plan: *plan, slot: *slot, since: number(3) });
                    }
                }
                _ => {}
            }
        }
        stream.generation = if is_same { self.generation } else { 0 };
        for target in &targets {
            if let Some(series) = self.plans[usize::from(target.plan)].table.get_mut(target.slot) {
                series.streams += 1;
                series.live += u32::from(!stream.ended);
            }
        }
        stream.targets = targets.into();
        if let Err(stream) = self.streams.insert(key?, stream) {
            // The limit is lower now.
            self.horizon = self.horizon.max(stream.last.place.time);
            for target in &stream.targets {
                self.plans[usize::from(target.plan)].leave(target.slot, !stream.ended, None);
            }
        }
        Some(())
    }
}

fn put_plan(out: &mut Vec<u8>, plan: &Plan) {
    put_key(out, 1, plan.id);
    put_fixed64(out, 2, plan.next_end);
    put_fixed64(out, 3, plan.closed);
    put_fixed64(out, 4, plan.began);
    let mut heads: HashMap<u64, u64> = HashMap::new();
    for (key, head) in &plan.heads {
        let Some(head) = head.upgrade() else { continue };
        heads.insert(head.id, heads.len() as u64);
        put_message(out, 5, |out| put_head(out, *key, &head));
    }
    for (slot, series) in plan.table.iter() {
        let Some(key) = plan.table.key(slot) else { continue };
        let head = heads.get(&series.head.id).copied().unwrap_or(0);
        put_message(out, 6, |out| put_series(out, key, head, series));
    }
    put_message(out, 7, |out| put_total(out, &plan.books.taken));
    put_message(out, 8, |out| put_total(out, &plan.books.let_out));
    put_message(out, 9, |out| put_total(out, &plan.books.dropped));
}

fn put_head(out: &mut Vec<u8>, key: Fingerprint, head: &Head) {
    put_key(out, 1, key);
    let texts = [
        &head.resource,
        &head.resource_schema,
        &head.scope,
        &head.scope_schema,
        &head.name,
        &head.description,
        &head.unit,
    ];
    for (field, text) in (2..).zip(texts) {
        put_bytes(out, field, text);
    }
    put_uint(out, 9, u64::from(head.kind.number()));
}

fn read_head(body: &[u8], id: u64) -> Read<(Fingerprint, Head)> {
    let mut key = None;
    let mut texts: [Box<[u8]>; 7] = Default::default();
    let mut kind = None;
    for field in Fields::new(body) {
        match field.number() {
            1 => key = Some(read_key(&field)?),
            number @ 2..=8 => texts[number as usize - 2] = field.body.into(),
            9 => kind = Kind::from_number(u8::try_from(field.scalar).ok()?),
            _ => {}
        }
    }
    let [resource, resource_schema, scope, scope_schema, name, description, unit] = texts;
    let kind = kind?;
    Some((key?, Head { id, resource, resource_schema, scope, scope_schema, name, description, unit, kind }))
}

fn put_series(out: &mut Vec<u8>, key: Fingerprint, head: u64, series: &Series) {
    put_key(out, 1, key);
    put_uint(out, 2, head);
    put_bytes(out, 3, &series.attributes);
    put_fixed64(out, 4, series.start);
    put_uint(out, 5, u64::from(series.ended));
    put_message(out, 6, |out| put_window(out, &series.window));
    if let Some(running) = &series.running {
        put_message(out, 7, |out| put_accumulator(out, running));
    }
    let Some(more) = &series.more else { return };
    more.tiers.iter().for_each(|window| put_message(out, 8, |out| put_window(out, window)));
    more.parts.iter().for_each(|window| put_message(out, 9, |out| put_window(out, window)));
    more.sessions.iter().for_each(|window| put_message(out, 10, |out| put_window(out, window)));
}

fn read_series(body: &[u8], heads: &[Arc<Head>], more: Option<Box<More>>) -> Read<(Fingerprint, Series)> {
    let head = Fields::new(body).find(|field| field.number() == 2)?.scalar;
    let head = heads.get(usize::try_from(head).ok()?)?;
    let mut key = None;
    let mut series = Series::new(head.clone(), Box::default(), more);
    let mut tier = 0;
    for field in Fields::new(body) {
        match (field.number(), series.more.as_deref_mut()) {
            (1, _) => key = Some(read_key(&field)?),
            (3, _) => series.attributes = field.body.into(),
            (4, _) => series.start = field.scalar,
            (5, _) => series.ended = field.scalar != 0,
            (6, _) => series.window = read_window(field.body)?,
            (7, _) => series.running = Some(Box::new(read_accumulator(field.body)?)),
            (8, Some(more)) => {
                *more.tiers.get_mut(tier)? = read_window(field.body)?;
                tier += 1;
            }
            (9, Some(more)) => more.parts.push_back(read_window(field.body)?),
            (10, Some(more)) => more.sessions.push(read_window(field.body)?),
            _ => {}
        }
    }
    Some((key?, series))
}

fn put_stream(out: &mut Vec<u8>, key: Fingerprint, stream: &Stream, ordinals: &HashMap<(u16, Slot), u64>) {
    put_key(out, 1, key);
    let meaning = match stream.meaning {
        Meaning::Increments => 0,
        Meaning::Sums => 1,
        Meaning::Levels => 2,
    };
    put_uint(out, 2, meaning);
    put_message(out, 3, |out| put_sample(out, &stream.last));
    put_uint(out, 4, u64::from(stream.ended));
    put_fixed64(out, 5, stream.gap.0);
    put_fixed64(out, 6, stream.gap.1);
    for sample in stream.waiting.iter() {
        put_message(out, 7, |out| put_sample(out, sample));
    }
    for target in &stream.targets {
        let Some(ordinal) = ordinals.get(&(target.plan, target.slot)) else { continue };
        put_message(out, 8, |out| {
            put_uint(out, 1, u64::from(target.plan));
            put_uint(out, 2, *ordinal);
            put_fixed64(out, 3, target.since);
        });
    }
}

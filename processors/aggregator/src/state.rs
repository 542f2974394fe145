//! The state as bytes, for a checkpoint: in the form of protobuf, each message with fields of its own.

mod capture;
mod series;
mod values;

use std::collections::HashMap;
use std::sync::Arc;

use phoenix_component::Now;
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_bytes, put_fixed64, put_message, put_uint};
use phoenix_series::{Fingerprint, Hasher, Slot};
use smallvec::SmallVec;

use crate::kind::Kind;
use crate::plan::Plan;
use crate::replicas::{Lead, Standby};
use crate::route::{Pending, Route};
use crate::series::Head;
use crate::stage::Aggregator;
use crate::stream::{Gap, Meaning, Stream, Target};
use values::{put_sample, put_total, put_window, read_sample, read_total, read_window};

pub(crate) use capture::Capture;
use series::{put_series, read_series};

/// What is to be read is not what was written.
type Read<T> = Option<T>;

/// The fields of a state.
const SEED: u32 = 1;
const HORIZON: u32 = 2;
const CURRENT: u32 = 3;
const NEWEST: u32 = 4;
const BEGUN: u32 = 5;
const PLAN: u32 = 6;
const STREAM: u32 = 7;
/// The last request of the journal that is part of it.
const REQUEST: u32 = 8;
const HEAD: u32 = 9;
const SERIES: u32 = 10;
/// How many streams there are.
const STREAMS: u32 = 11;
/// What streams added together that go to the same series.
const ROUTE: u32 = 12;
/// Which replica of a cluster leads.
const LEAD: u32 = 13;
/// What waits of another one.
const STANDBY: u32 = 14;
/// How far the time of a resource has come that holds the watermark.
const CLOCK: u32 = 15;

fn put_key(out: &mut Vec<u8>, field: u32, key: Fingerprint) {
    put_bytes(out, field, &u128::from(key).to_le_bytes());
}

fn read_key(field: &Field<'_>) -> Read<Fingerprint> {
    Some(u128::from_le_bytes(field.body.try_into().ok()?).into())
}

impl Aggregator {
    /// Writes streams and series, at once.
    #[cfg(test)]
    pub(crate) fn write_state(&mut self) -> Vec<u8> {
        let mut capture = Capture::begin(self);
        while !self.collect(&mut capture, usize::MAX) {}
        capture.finish()
    }

    /// Reads what was written, in parts, into an aggregator that has nothing yet. Rules that are gone or changed are left out.
    pub(crate) fn read_state<P: AsRef<[u8]>>(&mut self, parts: &[P], now: Now) -> Read<()> {
        let fields = || parts.iter().flat_map(|part| Fields::new(part.as_ref()));
        let (mut current, mut newest) = (0, 0);
        // The plans of the file: where they are now.
        let mut plans: Vec<Option<u16>> = Vec::new();
        for field in fields() {
            match field.number() {
                SEED => {
                    self.seed = field.scalar;
                    self.hasher = Hasher::new(field.scalar);
                }
                HORIZON => self.horizon = field.scalar,
                CURRENT => current = field.scalar,
                NEWEST => newest = field.scalar,
                BEGUN => self.begun = field.scalar != 0,
                REQUEST => self.request = field.scalar,
                STREAMS => self.streams.reserve(usize::try_from(field.scalar).ok()?),
                PLAN => plans.push(self.read_plan(field.body)?),
                LEAD => {
                    let lead = read_lead(field.body)?;
                    self.replicas.iter_mut().for_each(|replicas| replicas.restore(lead));
                }
                _ => {}
            }
        }
        self.watermark.resume(current, newest, now.monotonic);
        for field in fields().filter(|field| field.number() == CLOCK) {
            let (resource, newest) = read_clock(field.body)?;
            self.watermark.resume_clock(resource, newest, now.monotonic);
        }
        let kept = plans.iter().flatten().count();
        let is_same = kept == plans.len() && kept == self.plans.len();
        for plan in self.plans.iter_mut().filter(|plan| plan.next_end == 0 && current > 0) {
            plan.begin(current.saturating_add(1), newest);
        }
        let mut heads: HashMap<u64, Arc<Head>> = HashMap::new();
        for field in fields().filter(|field| field.number() == HEAD) {
            let (plan, old, head) = read_head(field.body, self.next_head())?;
            let Some(plan) = *plans.get(plan)? else { continue };
            let head = Arc::new(head);
            self.plans[usize::from(plan)].heads.insert(head.key, Arc::downgrade(&head));
            heads.insert(old, head);
        }
        // Where series are now, by plan and slot in the file.
        let mut places: Vec<Vec<Option<Slot>>> = vec![Vec::new(); plans.len()];
        for field in fields().filter(|field| field.number() == SERIES) {
            let (plan, slot) = read_place(field.body);
            let Some(index) = *plans.get(plan)? else { continue };
            let place = &mut places[plan];
            if place.len() <= slot {
                // What a slot is bounded by.
                u32::try_from(slot).ok()?;
                place.resize(slot + 1, None);
            }
            let target = &mut self.plans[usize::from(index)];
            let (key, mut series) = read_series(field.body, &heads, target.shape.more())?;
            series.is_sample = target.samples(key);
            place[slot] = Some(target.table.insert(key, series).ok()?);
        }
        drop(heads);
        for field in fields().filter(|field| field.number() == ROUTE) {
            self.read_route(field.body, &plans, &places)?;
        }
        self.align();
        for field in fields().filter(|field| field.number() == STREAM) {
            self.read_stream(field.body, &plans, &places, is_same)?;
        }
        for field in fields().filter(|field| field.number() == STANDBY) {
            let (cluster, mut standby) = read_standby(field.body)?;
            self.pool.share(&mut standby.sample.value);
            if let Some(replicas) = &mut self.replicas {
                replicas.keep(cluster, standby);
            }
        }
        self.count_series();
        Some(())
    }

    /// Tells which plan it is now.
    fn read_plan(&mut self, body: &[u8]) -> Read<Option<u16>> {
        let id = read_key(&Fields::new(body).find(|field| field.number() == 1)?)?;
        let Some(index) = self.plans.iter().position(|plan| plan.id == id) else { return Some(None) };
        let plan = &mut self.plans[index];
        for field in Fields::new(body) {
            match field.number() {
                2 => plan.next_end = field.scalar,
                3 => plan.closed = field.scalar,
                4 => plan.began = field.scalar,
                5 => plan.table.reserve(usize::try_from(field.scalar).ok()?),
                7 => plan.books.taken = read_total(field.body)?,
                8 => plan.books.let_out = read_total(field.body)?,
                9 => plan.books.dropped = read_total(field.body)?,
                _ => {}
            }
        }
        plan.busy = true;
        Some(u16::try_from(index).ok())
    }

    /// Hands what streams had added to the series of plans that are there.
    fn read_route(&mut self, body: &[u8], plans: &[Option<u16>], places: &[Vec<Option<Slot>>]) -> Read<()> {
        let mut pending = Pending::default();
        for field in Fields::new(body) {
            match field.number() {
                2 => pending.start = field.scalar,
                3 => pending.window = read_window(field.body)?,
                _ => {}
            }
        }
        for field in Fields::new(body).filter(|field| field.number() == 1) {
            let (plan, slot) = read_place(field.body);
            let found = places.get(plan).and_then(|place| *place.get(slot)?);
            if let (Some(plan), Some(slot)) = (*plans.get(plan)?, found) {
                self.plans[usize::from(plan)].unite(slot, &pending);
            }
        }
        Some(())
    }

    fn read_stream(
        &mut self,
        body: &[u8],
        plans: &[Option<u16>],
        places: &[Vec<Option<Slot>>],
        is_same: bool,
    ) -> Read<()> {
        let mut key = None;
        let mut stream = Stream::new(Meaning::Levels);
        let mut gap = Gap { from: 0, to: 0 };
        let mut targets: SmallVec<[Target; 8]> = SmallVec::new();
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
                3 => {
                    stream.last = read_sample(field.body)?;
                    self.pool.share(&mut stream.last.value);
                }
                4 => stream.ended = field.scalar != 0,
                5 => gap.from = field.scalar,
                6 => gap.to = field.scalar,
                7 => {
                    let mut sample = read_sample(field.body)?;
                    self.pool.share(&mut sample.value);
                    stream.waiting.insert(&mut sample);
                }
                8 => {
                    let (plan, slot) = read_place(field.body);
                    let since = Fields::new(field.body)
                        .find(|field| field.number() == 3)
                        .map_or(0, |field| field.scalar);
                    let found = places.get(plan).and_then(|place| *place.get(slot)?);
                    if let (Some(plan), Some(slot)) = (*plans.get(plan)?, found) {
                        targets.push(Target { plan, slot, since });
                    }
                }
                _ => {}
            }
        }
        stream.gap = (gap.from < gap.to).then(|| Box::new(gap));
        stream.generation = if is_same { self.generation } else { 0 };
        for target in &targets {
            self.plans[usize::from(target.plan)].streams += 1;
            if let Some(series) = self.plans[usize::from(target.plan)].table.get_mut(target.slot) {
                series.streams += 1;
                series.live += u32::from(!stream.ended);
            }
        }
        stream.route = if is_same { self.route_of(stream.meaning, &targets) } else { None };
        stream.targets = targets.iter().copied().collect();
        if let Err(stream) = self.streams.insert(key?, stream) {
            // The limit is lower now.
            self.leave_route(stream.route);
            self.horizon = self.horizon.max(stream.last.place.time);
            for target in stream.targets.iter() {
                self.plans[usize::from(target.plan)].leave(target.slot, !stream.ended, None);
            }
        }
        Some(())
    }
}

fn put_lead(out: &mut Vec<u8>, lead: Lead) {
    put_key(out, 1, lead.cluster);
    put_key(out, 2, lead.leader);
    put_fixed64(out, 3, lead.last);
    put_fixed64(out, 4, lead.since);
}

fn read_lead(body: &[u8]) -> Read<Lead> {
    let mut lead =
        Lead { cluster: Fingerprint::default(), leader: Fingerprint::default(), last: 0, since: 0 };
    for field in Fields::new(body) {
        match field.number() {
            1 => lead.cluster = read_key(&field)?,
            2 => lead.leader = read_key(&field)?,
            3 => lead.last = field.scalar,
            4 => lead.since = field.scalar,
            _ => {}
        }
    }
    Some(lead)
}

fn put_clock(out: &mut Vec<u8>, resource: Fingerprint, newest: u64) {
    put_key(out, 1, resource);
    put_fixed64(out, 2, newest);
}

fn read_clock(body: &[u8]) -> Read<(Fingerprint, u64)> {
    let mut fields = Fields::new(body);
    Some((read_key(&fields.next()?)?, fields.next()?.scalar))
}

fn put_standby(out: &mut Vec<u8>, cluster: Fingerprint, standby: &Standby) {
    put_key(out, 1, cluster);
    put_key(out, 2, standby.replica);
    put_key(out, 3, standby.stream);
    put_key(out, 4, standby.resource);
    put_message(out, 5, |out| put_sample(out, &standby.sample));
}

fn read_standby(body: &[u8]) -> Read<(Fingerprint, Standby)> {
    let mut keys = [Fingerprint::default(); 4];
    let mut sample = None;
    for field in Fields::new(body) {
        match field.number() {
            number @ 1..=4 => keys[number as usize - 1] = read_key(&field)?,
            5 => sample = Some(read_sample(field.body)?),
            _ => {}
        }
    }
    let [cluster, replica, stream, resource] = keys;
    Some((cluster, Standby { number: 0, replica, stream, resource, sample: sample? }))
}

/// Plan and slot of a series: fields that begin a series and the target of a stream.
fn put_place(out: &mut Vec<u8>, plan: usize, slot: Slot) {
    put_uint(out, 1, plan as u64);
    put_uint(out, 2, slot.number() as u64);
}

fn read_place(body: &[u8]) -> (usize, usize) {
    let (mut plan, mut slot) = (0, 0);
    // They come first.
    for field in Fields::new(body).take(2) {
        match field.number() {
            1 => plan = usize::try_from(field.scalar).unwrap_or(usize::MAX),
            2 => slot = usize::try_from(field.scalar).unwrap_or(usize::MAX),
            _ => {}
        }
    }
    (plan, slot)
}

fn put_plan(out: &mut Vec<u8>, plan: &Plan) {
    put_key(out, 1, plan.id);
    put_fixed64(out, 2, plan.next_end);
    put_fixed64(out, 3, plan.closed);
    put_fixed64(out, 4, plan.began);
    put_uint(out, 5, plan.table.len() as u64);
    put_message(out, 7, |out| put_total(out, &plan.books.taken));
    put_message(out, 8, |out| put_total(out, &plan.books.let_out));
    put_message(out, 9, |out| put_total(out, &plan.books.dropped));
}

fn put_head(out: &mut Vec<u8>, plan: usize, head: &Head) {
    put_key(out, 1, head.key);
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
    put_uint(out, 10, plan as u64);
    put_uint(out, 11, head.id);
}

/// A head under the identifier `id`, with its plan and the identifier that it had.
fn read_head(body: &[u8], id: u64) -> Read<(usize, u64, Head)> {
    let (mut plan, mut old, mut key) = (0, 0, None);
    let mut texts: [Box<[u8]>; 7] = Default::default();
    let mut kind = None;
    for field in Fields::new(body) {
        match field.number() {
            1 => key = Some(read_key(&field)?),
            number @ 2..=8 => texts[number as usize - 2] = field.body.into(),
            9 => kind = Kind::from_number(u8::try_from(field.scalar).ok()?),
            10 => plan = usize::try_from(field.scalar).ok()?,
            11 => old = field.scalar,
            _ => {}
        }
    }
    let [resource, resource_schema, scope, scope_schema, name, description, unit] = texts;
    let (key, kind) = (key?, kind?);
    let head =
        Head { id, key, resource, resource_schema, scope, scope_schema, name, description, unit, kind };
    Some((plan, old, head))
}

fn put_route(out: &mut Vec<u8>, route: &Route, pending: &Pending) {
    for (plan, slot) in &route.targets {
        put_message(out, 1, |out| put_place(out, usize::from(*plan), *slot));
    }
    put_fixed64(out, 2, pending.start);
    put_message(out, 3, |out| put_window(out, &pending.window));
}

fn put_stream(out: &mut Vec<u8>, key: Fingerprint, stream: &Stream) {
    put_key(out, 1, key);
    let meaning = match stream.meaning {
        Meaning::Increments => 0,
        Meaning::Sums => 1,
        Meaning::Levels => 2,
    };
    put_uint(out, 2, meaning);
    put_message(out, 3, |out| put_sample(out, &stream.last));
    put_uint(out, 4, u64::from(stream.ended));
    if let Some(gap) = &stream.gap {
        put_fixed64(out, 5, gap.from);
        put_fixed64(out, 6, gap.to);
    }
    for sample in stream.waiting.iter() {
        put_message(out, 7, |out| put_sample(out, sample));
    }
    for target in stream.targets.iter() {
        put_message(out, 8, |out| {
            put_place(out, usize::from(target.plan), target.slot);
            put_fixed64(out, 3, target.since);
        });
    }
}

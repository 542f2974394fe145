//! Collects the state in portions, as it was at one moment, while data goes on coming: what is to be changed is written down
//! before, unless it was already.

use std::collections::HashSet;

use phoenix_pdata::write::{put_fixed64, put_message, put_uint};
use phoenix_series::{Fingerprint, Slot, Table};

use super::{
    BEGUN, CLOCK, CURRENT, HEAD, HORIZON, LEAD, NEWEST, PLAN, REQUEST, ROUTE, SEED, SERIES, STANDBY, STREAM,
    STREAMS, put_clock, put_head, put_lead, put_plan, put_route, put_series, put_standby, put_stream,
};
use crate::replicas::{Replicas, Standby};
use crate::route::Route;
use crate::series::Series;
use crate::stage::Aggregator;
use crate::stream::Stream;

/// Bytes from which on a part is handed over.
const PART: usize = 1 << 20;

/// A state that is being collected.
pub(crate) struct Capture {
    out: Vec<u8>,
    streams: Written,
    routes: Written,
    /// By plan.
    series: Vec<Written>,
    heads: HashSet<u64>,
    /// The table that is walked (streams, routes, then the plans), and where.
    table: usize,
    next: usize,
}

/// Which places of a table are written, or need not be since they were taken later.
struct Written {
    len: usize,
    bits: Vec<u64>,
}

impl Written {
    fn of<T>(table: &Table<T>) -> Written {
        let len = table.places();
        Written { len, bits: vec![0; len.div_ceil(64)] }
    }

    /// Whether a place is still to be written; not any more from here on.
    fn take(&mut self, slot: Slot) -> bool {
        let number = slot.number();
        if number >= self.len {
            return false;
        }
        let bit = 1 << (number % 64);
        let is_open = self.bits[number / 64] & bit == 0;
        self.bits[number / 64] |= bit;
        is_open
    }
}

impl Capture {
    /// The moment whose state is collected.
    pub(crate) fn begin(aggregator: &mut Aggregator) -> Capture {
        aggregator.replicas.iter_mut().for_each(Replicas::begin_saving);
        let mut out = Vec::with_capacity(PART);
        put_fixed64(&mut out, SEED, aggregator.seed);
        put_fixed64(&mut out, HORIZON, aggregator.horizon);
        put_fixed64(&mut out, CURRENT, aggregator.watermark.current());
        put_fixed64(&mut out, NEWEST, aggregator.watermark.newest());
        put_uint(&mut out, BEGUN, u64::from(aggregator.begun));
        put_fixed64(&mut out, REQUEST, aggregator.request());
        put_uint(&mut out, STREAMS, aggregator.streams.len() as u64);
        for lead in aggregator.replicas.iter().flat_map(|replicas| replicas.leads()) {
            put_message(&mut out, LEAD, |out| put_lead(out, lead));
        }
        for (resource, newest) in aggregator.watermark.clocks() {
            put_message(&mut out, CLOCK, |out| put_clock(out, resource, newest));
        }
        for plan in &aggregator.plans {
            put_message(&mut out, PLAN, |out| put_plan(out, plan));
        }
        Capture {
            out,
            streams: Written::of(&aggregator.streams),
            routes: Written::of(&aggregator.routes),
            series: aggregator.plans.iter().map(|plan| Written::of(&plan.table)).collect(),
            heads: HashSet::new(),
            table: 0,
            next: 0,
        }
    }

    /// Writes a data point that waits.
    pub(crate) fn standby(&mut self, cluster: Fingerprint, standby: &Standby) {
        put_message(&mut self.out, STANDBY, |out| put_standby(out, cluster, standby));
    }

    /// Writes a stream, if it was there and is not written.
    pub(crate) fn stream(&mut self, slot: Slot, streams: &Table<Stream>) {
        if self.streams.take(slot)
            && let (Some(key), Some(stream)) = (streams.key(slot), streams.get(slot))
        {
            put_message(&mut self.out, STREAM, |out| put_stream(out, key, stream));
        }
    }

    /// Writes what streams added together, if it was there and is not written.
    pub(crate) fn route(&mut self, slot: Slot, routes: &Table<Route>) {
        if self.routes.take(slot)
            && let Some(route) = routes.get(slot)
            && let Some(pending) = &route.pending
        {
            put_message(&mut self.out, ROUTE, |out| put_route(out, route, pending));
        }
    }

    /// Writes a series, if it was there and is not written.
    pub(crate) fn series(&mut self, plan: usize, slot: Slot, table: &Table<Series>) {
        if self.series[plan].take(slot)
            && let (Some(key), Some(series)) = (table.key(slot), table.get(slot))
        {
            if self.heads.insert(series.head.id) {
                put_message(&mut self.out, HEAD, |out| put_head(out, plan, &series.head));
            }
            put_message(&mut self.out, SERIES, |out| put_series(out, plan, slot, key, series));
        }
    }

    /// A stream came later.
    pub(crate) fn new_stream(&mut self, slot: Slot) {
        self.streams.take(slot);
    }

    /// A route came later.
    pub(crate) fn new_route(&mut self, slot: Slot) {
        self.routes.take(slot);
    }

    /// A series came later.
    pub(crate) fn new_series(&mut self, plan: usize, slot: Slot) {
        self.series[plan].take(slot);
    }

    /// Walks on over so many places. True at the end.
    pub(crate) fn go_on(&mut self, aggregator: &Aggregator, portion: usize) -> bool {
        for _ in 0..portion {
            let len = match self.table {
                0 => self.streams.len,
                1 => self.routes.len,
                table if table - 2 < self.series.len() => self.series[table - 2].len,
                _ => return true,
            };
            if self.next >= len {
                (self.table, self.next) = (self.table + 1, 0);
                continue;
            }
            let number = self.next;
            self.next += 1;
            match self.table {
                0 => {
                    if let Some(slot) = aggregator.streams.place(number) {
                        self.stream(slot, &aggregator.streams);
                    }
                }
                1 => {
                    if let Some(slot) = aggregator.routes.place(number) {
                        self.route(slot, &aggregator.routes);
                    }
                }
                table => {
                    let plan = table - 2;
                    let table = &aggregator.plans[plan].table;
                    if let Some(slot) = table.place(number) {
                        self.series(plan, slot, table);
                    }
                }
            }
        }
        false
    }

    /// A part that is large enough to be handed over.
    pub(crate) fn full_part(&mut self) -> Option<Vec<u8>> {
        (self.out.len() >= PART)
            .then(|| std::mem::replace(&mut self.out, Vec::with_capacity(PART + PART / 8)))
    }

    /// The last part.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}

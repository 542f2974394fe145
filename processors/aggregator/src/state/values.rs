//! Values as bytes.

use phoenix_pdata::view::Number;
use phoenix_pdata::wire::{Field, Fields};
use phoenix_pdata::write::{put_bytes, put_double, put_fixed64, put_message, put_uint};
use phoenix_series::{Buckets, Distinct, Explicit, Exponential, Place, Total};

use super::Read;
use crate::accumulator::{Accumulator, Extent, Level, Moments, Unique};
use crate::members::{Member, Says};
use crate::series::Window;
use crate::value::{Sample, Summary, Value};

fn double(field: &Field<'_>) -> f64 {
    f64::from_bits(field.scalar)
}

fn put_numbers(out: &mut Vec<u8>, field: u32, numbers: impl Iterator<Item = u64>) {
    put_message(out, field, |out| numbers.for_each(|number| out.extend_from_slice(&number.to_le_bytes())));
}

fn read_numbers(field: &Field<'_>) -> impl Iterator<Item = u64> {
    field.body.chunks_exact(8).filter_map(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)))
}

fn put_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Int(value) => put_fixed64(out, 1, value as u64),
        Number::Double(value) => put_double(out, 2, value),
    }
}

fn read_number(body: &[u8]) -> Read<Number> {
    let field = Fields::new(body).next()?;
    match field.number() {
        1 => Some(Number::Int(field.scalar as i64)),
        2 => Some(Number::Double(double(&field))),
        _ => None,
    }
}

pub(super) fn put_total(out: &mut Vec<u8>, total: &Total) {
    let (whole, others) = total.parts();
    put_bytes(out, 1, &whole.to_le_bytes());
    if let Some((sum, lost)) = others {
        put_double(out, 2, sum);
        put_double(out, 3, lost);
    }
}

pub(super) fn read_total(body: &[u8]) -> Read<Total> {
    let (mut whole, mut others) = (0, None);
    for field in Fields::new(body) {
        match field.number() {
            1 => whole = i128::from_le_bytes(field.body.try_into().ok()?),
            2 => others.get_or_insert((0.0, 0.0)).0 = double(&field),
            3 => others.get_or_insert((0.0, 0.0)).1 = double(&field),
            _ => {}
        }
    }
    Some(Total::from_parts(whole, others))
}

pub(super) fn put_sample(out: &mut Vec<u8>, sample: &Sample) {
    put_fixed64(out, 1, sample.place.start);
    put_fixed64(out, 2, sample.place.time);
    match &sample.value {
        Value::Number(number) => put_message(out, 3, |out| put_number(out, *number)),
        Value::Explicit(histogram) => put_message(out, 4, |out| put_explicit(out, histogram)),
        Value::Exponential(histogram) => put_message(out, 5, |out| put_exponential(out, histogram)),
        Value::Summary(bytes) => put_bytes(out, 6, &bytes.0),
        Value::Ended => put_uint(out, 7, 1),
    }
}

pub(super) fn read_sample(body: &[u8]) -> Read<Sample> {
    let mut sample = Sample { place: Place::default(), value: Value::default() };
    for field in Fields::new(body) {
        match field.number() {
            1 => sample.place.start = field.scalar,
            2 => sample.place.time = field.scalar,
            3 => sample.value = Value::Number(read_number(field.body)?),
            4 => sample.value = Value::Explicit(Box::new(read_explicit(field.body)?)),
            5 => sample.value = Value::Exponential(Box::new(read_exponential(field.body)?)),
            6 => sample.value = Value::Summary(Box::new(Summary(field.body.into()))),
            7 => sample.value = Value::Ended,
            _ => {}
        }
    }
    Some(sample)
}

fn put_extremes(out: &mut Vec<u8>, sum: Option<f64>, min: Option<f64>, max: Option<f64>) {
    for (field, value) in [(1, sum), (2, min), (3, max)] {
        if let Some(value) = value {
            put_double(out, field, value);
        }
    }
}

fn put_explicit(out: &mut Vec<u8>, histogram: &Explicit) {
    put_extremes(out, histogram.sum, histogram.min, histogram.max);
    put_numbers(out, 4, histogram.bounds.iter().map(|bound| bound.to_bits()));
    put_numbers(out, 5, histogram.counts.iter().copied());
    put_uint(out, 6, histogram.count);
}

fn read_explicit(body: &[u8]) -> Read<Explicit> {
    let mut histogram = Explicit::default();
    for field in Fields::new(body) {
        match field.number() {
            1 => histogram.sum = Some(double(&field)),
            2 => histogram.min = Some(double(&field)),
            3 => histogram.max = Some(double(&field)),
            4 => histogram.bounds = read_numbers(&field).map(f64::from_bits).collect(),
            5 => histogram.counts = read_numbers(&field).collect(),
            6 => histogram.count = field.scalar,
            _ => {}
        }
    }
    let fits = histogram.counts.is_empty() || histogram.counts.len() == histogram.bounds.len() + 1;
    fits.then_some(histogram)
}

fn put_exponential(out: &mut Vec<u8>, histogram: &Exponential) {
    put_extremes(out, histogram.sum, histogram.min, histogram.max);
    put_fixed64(out, 4, histogram.scale as u64);
    put_uint(out, 5, histogram.zero_count);
    put_double(out, 6, histogram.zero_threshold);
    put_fixed64(out, 7, histogram.positive.offset as u64);
    put_numbers(out, 8, histogram.positive.counts.iter().copied());
    put_fixed64(out, 9, histogram.negative.offset as u64);
    put_numbers(out, 10, histogram.negative.counts.iter().copied());
    put_uint(out, 11, histogram.count);
}

fn read_exponential(body: &[u8]) -> Read<Exponential> {
    let mut histogram = Exponential::default();
    let (mut positive, mut negative) = (Buckets::default(), Buckets::default());
    for field in Fields::new(body) {
        match field.number() {
            1 => histogram.sum = Some(double(&field)),
            2 => histogram.min = Some(double(&field)),
            3 => histogram.max = Some(double(&field)),
            4 => histogram.scale = i32::try_from(field.scalar as i64).ok()?,
            5 => histogram.zero_count = field.scalar,
            6 => histogram.zero_threshold = double(&field),
            7 => positive.offset = field.scalar as i64,
            8 => positive.counts = read_numbers(&field).collect(),
            9 => negative.offset = field.scalar as i64,
            10 => negative.counts = read_numbers(&field).collect(),
            11 => histogram.count = field.scalar,
            _ => {}
        }
    }
    (histogram.positive, histogram.negative) = (positive, negative);
    Some(histogram)
}

pub(super) fn put_window(out: &mut Vec<u8>, window: &Window) {
    put_uint(out, 1, window.points);
    put_uint(out, 2, u64::from(window.series));
    put_fixed64(out, 3, window.first);
    put_fixed64(out, 4, window.last);
    put_message(out, 5, |out| put_accumulator(out, &window.accumulator));
    for (stream, member) in window.members.iter().flat_map(|members| &members.0) {
        put_message(out, 6, |out| put_member(out, *stream, member));
    }
}

fn put_member(out: &mut Vec<u8>, stream: u64, member: &Member) {
    put_fixed64(out, 1, stream);
    put_fixed64(out, 2, member.since);
    put_fixed64(out, 3, member.last);
    match member.says {
        Says::Increase(increase) => put_double(out, 4, increase),
        Says::Level(value) => put_message(out, 5, |out| put_number(out, value)),
        Says::Ended { counts } => put_uint(out, 6, u64::from(counts)),
    }
}

fn read_member(body: &[u8]) -> Read<(u64, Member)> {
    let (mut stream, mut since, mut last, mut says) = (0, 0, 0, None);
    for field in Fields::new(body) {
        match field.number() {
            1 => stream = field.scalar,
            2 => since = field.scalar,
            3 => last = field.scalar,
            4 => says = Some(Says::Increase(double(&field))),
            5 => says = Some(Says::Level(read_number(field.body)?)),
            6 => says = Some(Says::Ended { counts: field.scalar != 0 }),
            _ => {}
        }
    }
    // Zero may be left out on the wire.
    let says = says.unwrap_or(Says::Ended { counts: false });
    Some((stream, Member { since, last, says }))
}

pub(super) fn read_window(body: &[u8]) -> Read<Window> {
    let mut window = Window::default();
    for field in Fields::new(body) {
        match field.number() {
            1 => window.points = field.scalar,
            2 => window.series = u32::try_from(field.scalar).ok()?,
            3 => window.first = field.scalar,
            4 => window.last = field.scalar,
            5 => window.accumulator = read_accumulator(field.body)?,
            6 => {
                let (stream, member) = read_member(field.body)?;
                window.members.get_or_insert_default().0.insert(stream, member);
            }
            _ => {}
        }
    }
    Some(window)
}

pub(super) fn put_accumulator(out: &mut Vec<u8>, accumulator: &Accumulator) {
    match accumulator {
        Accumulator::Empty => {}
        Accumulator::Counter(total) => put_message(out, 1, |out| put_total(out, total)),
        Accumulator::Level(level) => put_message(out, 2, |out| put_level(out, level)),
        Accumulator::Explicit(histogram) => put_message(out, 3, |out| put_explicit(out, histogram)),
        Accumulator::Exponential(histogram) => put_message(out, 4, |out| put_exponential(out, histogram)),
        Accumulator::Summary(last) => put_message(out, 5, |out| {
            put_fixed64(out, 1, last.0);
            put_bytes(out, 2, &last.1);
        }),
    }
}

pub(super) fn read_accumulator(body: &[u8]) -> Read<Accumulator> {
    let Some(field) = Fields::new(body).next() else { return Some(Accumulator::Empty) };
    Some(match field.number() {
        1 => Accumulator::Counter(read_total(field.body)?),
        2 => Accumulator::Level(Box::new(read_level(field.body)?)),
        3 => Accumulator::Explicit(Box::new(read_explicit(field.body)?)),
        4 => Accumulator::Exponential(Box::new(read_exponential(field.body)?)),
        5 => {
            let mut fields = Fields::new(field.body);
            Accumulator::Summary(Box::new((fields.next()?.scalar, fields.next()?.body.into())))
        }
        _ => return None,
    })
}

fn put_level(out: &mut Vec<u8>, level: &Level) {
    put_uint(out, 1, level.series);
    put_message(out, 2, |out| put_total(out, &level.latest));
    if let Some(extent) = &level.extent {
        put_message(out, 3, |out| {
            put_fixed64(out, 1, extent.first.0);
            put_fixed64(out, 2, extent.last.0);
            for (field, value) in (3..).zip([extent.first.1, extent.last.1, extent.min, extent.max]) {
                put_message(out, field, |out| put_number(out, value));
            }
        });
    }
    if let Some(moments) = &level.moments {
        put_message(out, 4, |out| put_moments(out, moments));
    }
}

fn read_level(body: &[u8]) -> Read<Level> {
    let mut level = Level::default();
    for field in Fields::new(body) {
        match field.number() {
            1 => level.series = field.scalar,
            2 => level.latest = read_total(field.body)?,
            3 => level.extent = Some(read_extent(field.body)?),
            4 => level.moments = Some(Box::new(read_moments(field.body)?)),
            _ => {}
        }
    }
    Some(level)
}

fn read_extent(body: &[u8]) -> Read<Extent> {
    let mut times = [0; 2];
    let mut values = [Number::Int(0); 4];
    for field in Fields::new(body) {
        match field.number() {
            number @ 1..=2 => times[number as usize - 1] = field.scalar,
            number @ 3..=6 => values[number as usize - 3] = read_number(field.body)?,
            _ => {}
        }
    }
    let [first, last, min, max] = values;
    Some(Extent { first: (times[0], first), last: (times[1], last), min, max })
}

fn put_moments(out: &mut Vec<u8>, moments: &Moments) {
    put_uint(out, 1, moments.count);
    put_message(out, 2, |out| put_total(out, &moments.sum));
    for (field, value) in (3..).zip([moments.mean, moments.squares, moments.weighted, moments.weight]) {
        put_double(out, field, value);
    }
    if let Some(histogram) = &moments.histogram {
        put_message(out, 7, |out| put_exponential(out, histogram));
    }
    match &moments.unique {
        Some(Unique::Few(values)) => put_numbers(out, 8, values.iter().copied()),
        Some(Unique::Many(distinct)) => put_bytes(out, 9, distinct.registers()),
        None => {}
    }
}

fn read_moments(body: &[u8]) -> Read<Moments> {
    let mut moments = Moments::default();
    for field in Fields::new(body) {
        match field.number() {
            1 => moments.count = field.scalar,
            2 => moments.sum = read_total(field.body)?,
            3 => moments.mean = double(&field),
            4 => moments.squares = double(&field),
            5 => moments.weighted = double(&field),
            6 => moments.weight = double(&field),
            7 => moments.histogram = Some(read_exponential(field.body)?),
            8 => moments.unique = Some(Unique::Few(read_numbers(&field).collect())),
            9 => moments.unique = Some(Unique::Many(Distinct::from_registers(field.body)?)),
            _ => {}
        }
    }
    Some(moments)
}

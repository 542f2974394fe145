//! Series in version 1, each told by its difference from the one before.
//!
//! The series of a histogram are the same but for `le`, the series of a metric the same but for some values of labels,
//! and all samples of a request mostly have one time.

use std::cmp::Ordering;

use phoenix_pdata::wire::{Field, Wire};
use phoenix_pdata::write::{put_key, put_varint};
use phoenix_prometheus::{Cuts, Extra, LabelSet, put_label};

use crate::block::Block;

/// The series of a request, in a snappy block.
#[derive(Debug)]
pub(crate) struct Alike {
    block: Block,
    before: Option<Placed>,
    /// Key and length of the series before.
    head: Vec<u8>,
    /// The label with its name, and what that is made of.
    name_label: Vec<u8>,
    name: String,
    suffix: &'static str,
    /// Its extra label.
    extra_label: Vec<u8>,
    /// What stands behind its labels.
    tail: Vec<u8>,
    /// A label that is being written.
    scratch: Vec<u8>,
}

/// A series in the block: which labels it has, and at which plain bytes its parts begin.
#[derive(Debug)]
struct Placed {
    labels: LabelSet,
    cuts: Cuts,
    head_at: usize,
    labels_at: usize,
    name_at: usize,
    /// The labels between the name and the one that is extra.
    between_at: usize,
    extra_at: usize,
    /// The labels behind that.
    behind_at: usize,
    tail_at: usize,
}

impl Placed {
    /// Where the byte `at` of the encoded labels stands, and up to which of them the next ones follow it. A label in the
    /// place of the one that is extra was left out.
    fn place(&self, at: usize) -> (Option<usize>, usize) {
        let Cuts { name, from, to } = self.cuts;
        match at {
            _ if at < name => (Some(self.labels_at + at), name),
            _ if at < from => (Some(self.between_at + at - name), from),
            _ if at < to => (None, to),
            _ => (Some(self.behind_at + at - to), self.labels.as_bytes().len()),
        }
    }
}

impl Alike {
    /// No series, with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Alike {
        Alike {
            block: Block::with_capacity(capacity),
            before: None,
            head: Vec::new(),
            name_label: Vec::new(),
            name: String::new(),
            suffix: "",
            extra_label: Vec::new(),
            tail: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// How many plain bytes there are.
    pub(crate) fn plain_len(&self) -> usize {
        self.block.plain_len()
    }

    /// The block, with `more` at its end, and where in the bytes it begins.
    pub(crate) fn finish(mut self, more: &[u8]) -> (Vec<u8>, usize) {
        self.block.put(more);
        self.block.finish()
    }

    /// Appends a series: its labels, and what stands behind them.
    pub(crate) fn put(
        &mut self,
        name: &str,
        suffix: &'static str,
        labels: &LabelSet,
        extra: Extra<'_>,
        tail: &[u8],
    ) {
        let before = self.before.take();
        let cuts = labels.cuts(extra);
        let encoded = labels.as_bytes();
        let parts = [0..cuts.name, cuts.name..cuts.from, cuts.to..encoded.len()];
        let head_at = self.block.plain_len();
        self.put_head(before.as_ref(), labels.len(name, suffix, extra) + tail.len());
        let [mut name_at, mut extra_at] = [0; 2];
        let mut parts_at = [0; 3];
        let mut cursor = 0;
        for (index, part) in parts.into_iter().enumerate() {
            match index {
                0 => {}
                1 => {
                    name_at = self.block.plain_len();
                    self.put_name(before.as_ref(), name, suffix);
                }
                _ => {
                    extra_at = self.block.plain_len();
                    self.put_extra(before.as_ref(), extra);
                }
            }
            parts_at[index] = self.block.plain_len();
            match &before {
                None => self.block.put(&encoded[part]),
                Some(before) if before.labels.is(labels) => self.put_again(before, part),
                Some(before) => self.put_changed(before, &mut cursor, &encoded[part]),
            }
        }
        let tail_at = self.block.plain_len();
        self.put_tail(before.as_ref(), tail);
        let [labels_at, between_at, behind_at] = parts_at;
        let labels = match before {
            Some(before) if before.labels.is(labels) => before.labels,
            _ => labels.clone(),
        };
        self.before = Some(Placed {
            labels,
            cuts,
            head_at,
            labels_at,
            name_at,
            between_at,
            extra_at,
            behind_at,
            tail_at,
        });
    }

    fn put_head(&mut self, before: Option<&Placed>, len: usize) {
        self.scratch.clear();
        put_key(&mut self.scratch, 1, Wire::Len);
        put_varint(&mut self.scratch, len as u64);
        match before {
            Some(before) if self.scratch == self.head => self.block.repeat(before.head_at, &self.head),
            _ => {
                self.block.put(&self.scratch);
                std::mem::swap(&mut self.head, &mut self.scratch);
            }
        }
    }

    fn put_name(&mut self, before: Option<&Placed>, name: &str, suffix: &'static str) {
        if let Some(before) = before
            && self.suffix == suffix
            && self.name == name
        {
            self.block.repeat(before.name_at, &self.name_label);
            return;
        }
        self.scratch.clear();
        put_label(&mut self.scratch, "__name__", name, suffix);
        match before {
            Some(before) => put_like(&mut self.block, before.name_at, &self.name_label, &self.scratch),
            None => self.block.put(&self.scratch),
        }
        std::mem::swap(&mut self.name_label, &mut self.scratch);
        self.name.clear();
        self.name.push_str(name);
        self.suffix = suffix;
    }

    fn put_extra(&mut self, before: Option<&Placed>, extra: Extra<'_>) {
        self.scratch.clear();
        if let Some((key, value)) = extra.label() {
            put_label(&mut self.scratch, key, value, "");
        }
        match before {
            Some(before) => put_like(&mut self.block, before.extra_at, &self.extra_label, &self.scratch),
            None => self.block.put(&self.scratch),
        }
        std::mem::swap(&mut self.extra_label, &mut self.scratch);
    }

    /// A part of the same labels.
    fn put_again(&mut self, before: &Placed, part: std::ops::Range<usize>) {
        let encoded = before.labels.as_bytes();
        let mut at = part.start;
        while at < part.end {
            let (place, until) = before.place(at);
            let bytes = &encoded[at..until.min(part.end)];
            match place {
                Some(place) => self.block.repeat(place, bytes),
                None => self.block.put(bytes),
            }
            at += bytes.len();
        }
    }

    /// A part of other labels. Both are sorted: `cursor` is up to where those before were looked at.
    fn put_changed(&mut self, before: &Placed, cursor: &mut usize, part: &[u8]) {
        let old = before.labels.as_bytes();
        let mut rest = part;
        while let Some((label, after)) = first_label(rest) {
            rest = after;
            let same = loop {
                let Some((other, _)) = first_label(&old[*cursor..]) else { break None };
                match if other == label { Ordering::Equal } else { key_of(other).cmp(key_of(label)) } {
                    Ordering::Less => *cursor += other.len(),
                    Ordering::Equal => break before.place(*cursor).0.map(|place| (place, other)),
                    Ordering::Greater => break None,
                }
            };
            match same {
                Some((place, other)) => {
                    put_like(&mut self.block, place, other, label);
                    *cursor += other.len();
                }
                None => self.block.put(label),
            }
        }
    }

    fn put_tail(&mut self, before: Option<&Placed>, tail: &[u8]) {
        match before {
            Some(before) if tail.len() == self.tail.len() => {
                self.block.put_like(before.tail_at, &self.tail, tail);
            }
            _ => self.block.put(tail),
        }
        self.tail.clear();
        self.tail.extend_from_slice(tail);
    }
}

/// The first of encoded labels, and the others.
fn first_label(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, after) = Field::read(encoded)?;
    Some((&encoded[..encoded.len() - after.len()], after))
}

/// The key of an encoded label.
fn key_of(label: &[u8]) -> &[u8] {
    let key = Field::read(label).and_then(|(label, _)| Field::read(label.body));
    key.map_or(&[], |(key, _)| key.body)
}

/// Appends a label that is like `before`, which stands at the plain byte `at`: the key and how its value begins. Where
/// the lengths differ it is like that behind them only.
fn put_like(block: &mut Block, at: usize, before: &[u8], label: &[u8]) {
    let head = |label: &[u8]| label.len() - Field::read(label).map_or(0, |(label, _)| label.body.len());
    let (old, new) = (head(before), head(label));
    if before[..old] == label[..new] {
        block.put_like(at, before, label);
    } else {
        block.put(&label[..new]);
        block.put_like(at + old, &before[old..], &label[new..]);
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    fn plain((bytes, start): (Vec<u8>, usize)) -> Vec<u8> {
        snap::raw::Decoder::new().decompress_vec(&bytes[start..]).expect("a block")
    }

    /// The same series, written one by one.
    fn model(out: &mut Vec<u8>, name: &str, suffix: &str, labels: &LabelSet, extra: Extra<'_>, tail: &[u8]) {
        let mut body = Vec::new();
        labels.put(&mut body, name, suffix, extra);
        body.extend_from_slice(tail);
        put_key(out, 1, Wire::Len);
        put_varint(out, body.len() as u64);
        out.extend_from_slice(&body);
    }

    /// Few names and values, so that much repeats, among them labels that take the place of an extra one.
    fn labels(random: &mut StdRng) -> LabelSet {
        let mut of = Vec::new();
        for name in ["Zone", "a", "host", "le", "path", "quantile", "zone"] {
            if random.random_bool(0.6) {
                let value = "x".repeat(random.random_range(0..140)) + &random.random_range(0..5).to_string();
                of.push((name.to_owned(), value));
            }
        }
        LabelSet::new(of)
    }

    #[test]
    fn what_is_told_by_differences_is_what_it_would_be_in_full() {
        for seed in 0..300 {
            let mut random = StdRng::seed_from_u64(seed);
            let sets: Vec<LabelSet> = (0..4).map(|_| labels(&mut random)).collect();
            let (mut alike, mut expected) = (Alike::with_capacity(0), Vec::new());
            for _ in 0..random.random_range(0..60) {
                let set = &sets[random.random_range(0..sets.len())];
                // Now and then an equal set that is another one.
                let other = LabelSet::new(set.iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect());
                let set = if random.random_bool(0.1) { &other } else { set };
                let name = ["requests_total", "request_size", "x"][random.random_range(0..3)];
                let suffix = ["", "_sum", "_bucket"][random.random_range(0..3)];
                let extra =
                    [Extra::None, Extra::Bucket("0.5"), Extra::Bucket("+Inf"), Extra::Quantile("0.99")]
                        [random.random_range(0..4)];
                let mut tail = vec![7; random.random_range(0..30)];
                for _ in 0..3 {
                    if let Some(byte) = tail.last_mut().filter(|_| random.random_bool(0.3)) {
                        *byte = random.random();
                    }
                    if let Some(byte) = tail.get_mut(5) {
                        *byte = random.random_range(0..3);
                    }
                }
                for _ in 0..random.random_range(1..4) {
                    alike.put(name, suffix, set, extra, &tail);
                    model(&mut expected, name, suffix, set, extra, &tail);
                    assert_eq!(alike.plain_len(), expected.len());
                }
            }
            expected.extend_from_slice(b"metadata");
            assert!(plain(alike.finish(b"metadata")) == expected, "seed {seed}");
        }
    }

    #[test]
    fn a_histogram_takes_at_most_a_fifth_more_than_an_encoder_makes_of_it() {
        let of = |pairs: &[(&str, &str)]| {
            LabelSet::new(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
        };
        let mut random = StdRng::seed_from_u64(1);
        let (mut alike, mut whole) = (Alike::with_capacity(0), Vec::new());
        for host in 0..50 {
            let mut total = 0;
            let (host, path) = (format!("host-{host}.example.org"), format!("/api/v2/accounts/{host}"));
            let set = of(&[("job", "shop"), ("host", &host), ("instance", "7d9f0"), ("path", &path)]);
            for bucket in 0..15_u8 {
                let bound = format!("0.{bucket}");
                total += random.random_range(0..100_u16);
                let mut tail = vec![0x12, 16, 9];
                tail.extend_from_slice(&f64::from(total).to_le_bytes());
                tail.extend_from_slice(&[0x10, 0x80, 0xb2, 0xe8, 0x9c, 0xfa, 0x33]);
                alike.put("http_server_duration_seconds", "_bucket", &set, Extra::Bucket(&bound), &tail);
                model(
                    &mut whole,
                    "http_server_duration_seconds",
                    "_bucket",
                    &set,
                    Extra::Bucket(&bound),
                    &tail,
                );
            }
        }
        let (bytes, start) = alike.finish(b"");
        let encoded = snap::raw::Encoder::new().compress_vec(&whole).expect("a block");
        let (ours, encoders) = (bytes.len() - start, encoded.len());
        assert!(ours * 5 <= encoders * 6, "{ours} {encoders}");
    }
}

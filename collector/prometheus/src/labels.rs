//! The labels of a series, encoded once.

use std::borrow::Cow;
use std::sync::Arc;

use phoenix_pdata::view::{AnyValue, KeyValue, View as _};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_bytes, put_varint, varint_len};

/// What a processor loads at once, in bytes.
const CACHE_LINE: usize = 64;

/// The key of a field 1 of text, bytes or a message.
const FIRST: u8 = 0x0a;

/// The labels of a series but for its name, sorted, as `Label` messages in field 1: what remote write has in a series
/// and the exposition format in a metric. It knows where the name and the labels of buckets and quantiles belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    encoded: Arc<[u8]>,
    // Places in that; more than 4 GiB of labels come in no request.
    name_at: u32,
    bucket: (u32, u32),
    quantile: (u32, u32),
}

/// Name and value of a label, both as they came where nothing had to be changed.
pub type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A label that a series of a histogram or a summary has beside those of its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra<'a> {
    /// None.
    None,
    /// `le`, the upper bound of a bucket.
    Bucket(&'a str),
    /// `quantile`.
    Quantile(&'a str),
}

impl<'a> Extra<'a> {
    /// Its name and value.
    pub fn label(self) -> Option<(&'static str, &'a str)> {
        match self {
            Extra::None => None,
            Extra::Bucket(bound) => Some(("le", bound)),
            Extra::Quantile(quantile) => Some(("quantile", quantile)),
        }
    }
}

impl LabelSet {
    /// Sorts labels and encodes them. Of a name that occurs twice the values are joined by semicolons; empty values and
    /// the name `__name__` are left out, since they would mean something else.
    pub fn new(mut labels: Vec<Label<'_>>) -> LabelSet {
        labels.retain(|(name, value)| !value.is_empty() && !name.is_empty() && name != "__name__");
        join(&mut labels);
        let len = labels.iter().map(|(name, value)| label_len(name.len(), value.len())).sum();
        let mut encoded = Vec::with_capacity(len);
        let mut name_at = None;
        let (mut bucket, mut quantile) = (None, None);
        for (name, value) in &labels {
            let start = encoded.len();
            put_label(&mut encoded, name, "", value);
            let end = encoded.len();
            if &**name > "__name__" {
                name_at.get_or_insert(start);
            }
            for (place, wanted) in [(&mut bucket, "le"), (&mut quantile, "quantile")] {
                if &**name >= wanted {
                    place.get_or_insert((start, if &**name == wanted { end } else { start }));
                }
            }
        }
        let end = encoded.len();
        let place = |(from, to): (usize, usize)| (from as u32, to as u32);
        LabelSet {
            name_at: name_at.unwrap_or(end) as u32,
            bucket: place(bucket.unwrap_or((end, end))),
            quantile: place(quantile.unwrap_or((end, end))),
            encoded: encoded.into(),
        }
    }

    /// The encoded labels.
    pub fn as_bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// Names and values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        labels_in(&self.encoded)
    }

    /// Brings the bytes near: whoever needs those of several sets waits for all of them at once.
    pub(crate) fn fetch(&self) {
        let lines = self.encoded.iter().step_by(CACHE_LINE);
        std::hint::black_box(lines.fold(0, |sum: u8, byte| sum ^ byte));
    }

    /// Whether this is the very same set, not only an equal one.
    pub fn is(&self, other: &LabelSet) -> bool {
        Arc::ptr_eq(&self.encoded, &other.encoded)
    }

    /// How many bytes [`put`](LabelSet::put) writes.
    pub fn len(&self, name: &str, suffix: &str, extra: Extra<'_>) -> usize {
        let own = label_len("__name__".len(), name.len() + suffix.len());
        let added = extra.label().map_or(0, |(key, value)| label_len(key.len(), value.len()));
        let (from, to) = self.place_of(extra);
        self.encoded.len() - (to - from) + own + added
    }

    /// Appends the labels with the name `name` and `suffix`, and with `extra`, in their order.
    pub fn put(&self, out: &mut Vec<u8>, name: &str, suffix: &str, extra: Extra<'_>) {
        let [before, between, behind] = self.parts(extra);
        out.extend_from_slice(before);
        put_label(out, "__name__", name, suffix);
        out.extend_from_slice(between);
        if let Some((key, value)) = extra.label() {
            put_label(out, key, value, "");
        }
        out.extend_from_slice(behind);
    }

    /// What stands before the name, between that and `extra`, and behind it.
    pub fn parts(&self, extra: Extra<'_>) -> [&[u8]; 3] {
        let (from, to) = self.place_of(extra);
        let (before, _) = self.encoded.split_at(self.name_at as usize);
        [before, &self.encoded[before.len()..from], &self.encoded[to..]]
    }

    /// The labels that `extra` takes the place of.
    fn place_of(&self, extra: Extra<'_>) -> (usize, usize) {
        let (from, to) = match extra {
            Extra::None => return (self.encoded.len(), self.encoded.len()),
            Extra::Bucket(_) => self.bucket,
            Extra::Quantile(_) => self.quantile,
        };
        (from as usize, to as usize)
    }
}

/// Sorts labels by name; the values of one name become one, in the order in which they were.
pub(crate) fn join(labels: &mut Vec<Label<'_>>) {
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    labels.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            let value = first.1.to_mut();
            value.push(';');
            value.push_str(&next.1);
        }
        same
    });
}

/// Names and values of encoded labels.
pub fn labels_in(encoded: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    Fields::new(encoded).map(|label| {
        let (mut name, mut value) = ("", "");
        for field in Fields::new(label.body) {
            let text = std::str::from_utf8(field.body).unwrap_or_default();
            match field.number() {
                1 => name = text,
                2 => value = text,
                _ => {}
            }
        }
        (name, value)
    })
}

/// How many bytes [`put_label`] writes, of the lengths of name and value.
pub fn label_len(name: usize, value: usize) -> usize {
    let body = 2 + varint_len(name as u64) + name + varint_len(value as u64) + value;
    1 + varint_len(body as u64) + body
}

/// Appends a label whose value is `value` and `rest`.
pub fn put_label(out: &mut Vec<u8>, name: &str, value: &str, rest: &str) {
    let len = value.len() + rest.len();
    let body = 2 + varint_len(name.len() as u64) + name.len() + varint_len(len as u64) + len;
    out.push(FIRST);
    put_varint(out, body as u64);
    put_bytes(out, 1, name.as_bytes());
    out.push(0x12);
    put_varint(out, len as u64);
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(rest.as_bytes());
}

/// A value as text: what it is, and JSON for lists and maps.
pub fn text_of<'a>(value: &AnyValue<'a>) -> Cow<'a, str> {
    Cow::Owned(match value {
        AnyValue::Empty | AnyValue::StringIndex(_) => return Cow::Borrowed(""),
        AnyValue::String(text) => return text.to_string_lossy(),
        AnyValue::Bool(value) => return Cow::Borrowed(if *value { "true" } else { "false" }),
        AnyValue::Int(value) => value.to_string(),
        AnyValue::Double(value) => json_number(*value),
        AnyValue::Bytes(bytes) => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(bytes)
        }
        AnyValue::Array(_) | AnyValue::Map(_) => json_of(value),
    })
}

fn json_of(value: &AnyValue<'_>) -> String {
    let listed = |parts: Vec<String>, open, close| format!("{open}{}{close}", parts.join(","));
    match value {
        AnyValue::Empty | AnyValue::StringIndex(_) => "null".to_owned(),
        AnyValue::String(_) | AnyValue::Bytes(_) => quoted(&text_of(value)),
        AnyValue::Array(values) => listed(values.iter().map(|value| json_of(&value)).collect(), '[', ']'),
        AnyValue::Map(entries) => {
            let mut entries: Vec<KeyValue<'_>> = entries.bodies().map(KeyValue::new).collect();
            entries.sort_by(|a, b| a.key().cmp(&b.key()));
            let entry = |entry: &KeyValue<'_>| {
                format!("{}:{}", quoted(&entry.key().to_string_lossy()), json_of(&entry.value()))
            };
            listed(entries.iter().map(entry).collect(), '{', '}')
        }
        other => text_of(other).into_owned(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A number as JSON has it: with an exponent where there would be many zeros.
fn json_number(value: f64) -> String {
    if !value.is_finite() {
        return number(value);
    }
    match value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        true => format!("{value}"),
        false => {
            let text = format!("{value:e}");
            if text.contains("e-") { text } else { text.replace('e', "e+") }
        }
    }
}

/// A number as Prometheus reads it, with the fewest digits and no exponent: bounds of buckets, quantiles, values.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    match value.is_infinite() {
        true => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        false => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[(&str, &str)]) -> LabelSet {
        LabelSet::new(labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn every_label_stands_where_it_belongs() {
        let cases: [&[(&str, &str)]; 5] = [
            &[],
            &[("Upper", "1"), ("a", "2"), ("zone", "3")],
            &[("le", "mine"), ("quantile", "mine"), ("x", "1")],
            &[("job", "j"), ("m", "1"), ("le", "mine")],
            &[("A", "1")],
        ];
        for labels in cases {
            let set = set(labels);
            for extra in [Extra::None, Extra::Bucket("0.5"), Extra::Quantile("0.9")] {
                let mut out = Vec::new();
                set.put(&mut out, "name", "_sum", extra);
                assert_eq!(out.len(), set.len("name", "_sum", extra));
                let found: Vec<_> = labels_in(&out).collect();
                assert!(found.is_sorted_by(|a, b| a.0 < b.0), "{found:?}");
                assert!(found.contains(&("__name__", "name_sum")));
                match extra {
                    Extra::None => {}
                    Extra::Bucket(bound) => assert!(found.contains(&("le", bound))),
                    Extra::Quantile(quantile) => assert!(found.contains(&("quantile", quantile))),
                }
            }
        }
    }

    #[test]
    fn what_collides_is_joined_and_what_is_empty_is_left_out() {
        let set = set(&[("b", "2"), ("a", "1"), ("b", "3"), ("c", ""), ("__name__", "x")]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2;3")]);
    }

    #[test]
    fn numbers_are_short_and_without_exponents() {
        for (value, text) in [
            (1.0, "1"),
            (0.005, "0.005"),
            (1e21, "1000000000000000000000"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(json_number(1e21), "1e+21");
        assert_eq!(json_number(1e-7), "1e-7");
    }
}

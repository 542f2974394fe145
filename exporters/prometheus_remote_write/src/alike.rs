//! Series of one data point that differ in name and one label: the count, buckets and quantiles.
//!
//! In version 1 each has all labels again. Two thirds of a request can be such series, and most of the time that a
//! request takes would go into writing, and then searching for, what is known to be the same.

use phoenix_pdata::wire::Wire;
use phoenix_pdata::write::{put_key, put_varint, varint_len};
use phoenix_prometheus::{Extra, LabelSet, label_len, put_label};

use crate::elements::{At, Elements};

const NAME: &str = "__name__";
/// Where the value of a sample stands behind the labels of a series that has nothing else.
const VALUE: std::ops::Range<usize> = 3..11;

/// Series of a request, as snappy elements.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    elements: Elements,
    last: Option<Placed>,
    /// The name of the last one, without its suffix.
    name: String,
    /// What stands behind its labels, where it is one of these.
    tail: Vec<u8>,
    /// Room for a label.
    label: Vec<u8>,
}

/// A series and where it stands.
#[derive(Debug)]
struct Placed {
    labels: LabelSet,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
struct Form {
    suffix: &'static str,
    /// The name of the label that it has besides, and how long its value is.
    extra: Option<(&'static str, usize)>,
    /// The length that its message says.
    len: usize,
    /// How many bytes its labels have.
    of_labels: usize,
    at: At,
}

impl Alike {
    /// None, with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Alike {
        Alike { elements: Elements::with_capacity(capacity), ..Alike::default() }
    }

    /// How many bytes they have when they are not compressed.
    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    /// The elements, and how many bytes they stand for, behind `first_len` others. None are left.
    pub(crate) fn finish(&mut self, first_len: usize) -> (Vec<u8>, usize) {
        self.last = None;
        self.elements.finish(first_len)
    }

    /// Remembers a series that stands at `at` of the bytes before these: others like it may follow.
    pub(crate) fn follow(
        &mut self,
        name: &str,
        suffix: &'static str,
        labels: &LabelSet,
        at: usize,
        of_labels: usize,
        len: usize,
    ) {
        self.tail.clear();
        self.place(name, labels, Form { suffix, extra: None, len, of_labels, at: At::First(at) });
    }

    fn place(&mut self, name: &str, labels: &LabelSet, form: Form) {
        if self.name != name {
            self.name.clear();
            self.name.push_str(name);
        }
        match &mut self.last {
            Some(last) if last.labels.is(labels) => last.form = form,
            last => *last = Some(Placed { labels: labels.clone(), form }),
        }
    }

    /// Appends a series: its labels, which have `of_labels` bytes, and `tail`.
    pub(crate) fn put(
        &mut self,
        name: &str,
        suffix: &'static str,
        labels: &LabelSet,
        extra: Extra<'_>,
        of_labels: usize,
        tail: &[u8],
    ) {
        let at = At::Here(self.elements.len());
        let len = of_labels + tail.len();
        let extra_len = extra.label().map(|(key, value)| (key, value.len()));
        let form = Form { suffix, extra: extra_len, len, of_labels, at };
        let elements = &mut self.elements;
        match self.last.as_mut().filter(|last| last.is_like(labels, extra) && self.name == name) {
            Some(last) => {
                last.put_like(elements, name, extra, &form, &mut self.label);
                match (last.form.at, self.tail.len() == tail.len()) {
                    (At::Here(_), true) => put_tail(elements, last.form.tail_at(), &self.tail, tail),
                    _ => elements.literal(tail),
                }
                last.form = form;
            }
            None => {
                let label = &mut self.label;
                label.clear();
                put_header(label, len);
                labels.put(label, name, suffix, extra);
                elements.literal(label);
                elements.literal(tail);
                self.place(name, labels, form);
            }
        }
        self.tail.clear();
        self.tail.extend_from_slice(tail);
    }
}

impl Form {
    fn labels_at(&self) -> At {
        self.at.plus(1 + varint_len(self.len as u64))
    }

    fn tail_at(&self) -> At {
        self.labels_at().plus(self.of_labels)
    }
}

impl Placed {
    /// Whether a series with these labels has what this one has, whatever its name. A label of the point itself is left
    /// out where `extra` takes its place, so that it has to be the same that does.
    fn is_like(&self, labels: &LabelSet, extra: Extra<'_>) -> bool {
        let key = extra.label().map(|(key, _)| key);
        self.labels.is(labels) && self.form.extra.is_none_or(|(own, _)| Some(own) == key)
    }

    /// Appends all of a series with the same labels but its tail.
    fn put_like(
        &self,
        elements: &mut Elements,
        name: &str,
        extra: Extra<'_>,
        form: &Form,
        label: &mut Vec<u8>,
    ) {
        let last = &self.form;
        let (suffix, len) = (form.suffix, form.len);
        let [before, between, behind] = self.labels.parts(extra);
        let name_len = label_len(NAME.len(), name.len() + last.suffix.len());
        let name_at = last.labels_at().plus(before.len());
        let between_at = name_at.plus(name_len);
        if len == last.len {
            elements.copy(last.at, 1 + varint_len(len as u64));
        } else {
            label.clear();
            put_header(label, len);
            elements.literal(label);
        }
        elements.again(last.labels_at(), before);
        if suffix == last.suffix {
            elements.copy(name_at, name_len);
        } else {
            label.clear();
            put_label(label, NAME, name, suffix);
            elements.literal(&label[..label.len() - name.len() - suffix.len()]);
            elements.again(name_at.plus(name_len - name.len() - last.suffix.len()), name.as_bytes());
            elements.literal(suffix.as_bytes());
        }
        elements.again(between_at, between);
        if let Some((key, value)) = extra.label() {
            label.clear();
            put_label(label, key, value, "");
            let head = label.len() - value.len();
            if last.extra == Some((key, value.len())) {
                elements.again(between_at.plus(between.len()), &label[..head]);
                elements.literal(value.as_bytes());
            } else {
                elements.literal(label);
            }
        }
        elements.again(last.labels_at().plus(last.of_labels - behind.len()), behind);
    }
}

fn put_header(out: &mut Vec<u8>, len: usize) {
    put_key(out, 1, Wire::Len);
    put_varint(out, len as u64);
}

/// Appends `tail`, of which as many bytes as it has stand at `at`. Mostly only the value of its sample is another.
fn put_tail(elements: &mut Elements, at: At, last: &[u8], tail: &[u8]) {
    let is_like = last.len() > VALUE.end
        && last[..VALUE.start] == tail[..VALUE.start]
        && last[VALUE.end..] == tail[VALUE.end..];
    if !is_like {
        return elements.literal(tail);
    }
    // Counts are whole numbers, whose lower half is mostly zero.
    let half = VALUE.start + 4;
    let same = if last[..half] == tail[..half] { half } else { VALUE.start };
    elements.again(at, &tail[..same]);
    match last[same..VALUE.end] == tail[same..VALUE.end] {
        true => elements.again(at.plus(same), &tail[same..VALUE.end]),
        false => elements.literal(&tail[same..VALUE.end]),
    }
    elements.again(at.plus(VALUE.end), &tail[VALUE.end..]);
}

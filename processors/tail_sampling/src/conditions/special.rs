//! Values of traces that are no attributes: the name of the root, and what kinds of errors there are.

use phoenix_pdata::view::{AnyValue, KeyValue, View as _, key_of};
use phoenix_pdata::wire::Fields;
use phoenix_sampling::top_frame;

use crate::facts::FieldId;

/// The name of the root span.
const ROOT_NAME: &str = "root.name";
/// The kinds of errors of a trace: for each exception its type and the frame that raised it; for a span that failed without
/// one what its status says.
pub(crate) const FINGERPRINT: &str = "exception.fingerprint";

/// Field numbers of spans, statuses and events.
const NAME: u32 = 5;
const EVENTS: u32 = 11;
const STATUS: u32 = 15;
const STATUS_MESSAGE: u32 = 2;
const EVENT_NAME: u32 = 2;
const EVENT_ATTRIBUTES: u32 = 3;

/// Which of them are wanted.
#[derive(Debug, Default)]
pub(super) struct Special {
    root_name: Option<FieldId>,
    fingerprint: Option<FieldId>,
}

/// What is known of a span already.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) is_root: bool,
    pub(super) is_error: bool,
}

impl Special {
    /// Where it stands whether this value is wanted; none where it is an attribute.
    pub(super) fn place(&mut self, key: &str) -> Option<&mut Option<FieldId>> {
        match key {
            ROOT_NAME => Some(&mut self.root_name),
            FINGERPRINT => Some(&mut self.fingerprint),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        self.root_name.is_some() || self.fingerprint.is_some()
    }

    /// Hands each value of a span to `add`.
    pub(super) fn observe(&self, span: &[u8], found: Found, add: &mut dyn FnMut(FieldId, &str)) {
        if let Some(field) = self.root_name.filter(|_| found.is_root) {
            let name = Fields::new(span).filter(|field| field.is_len(NAME)).last();
            add(field, &String::from_utf8_lossy(name.map_or(&[], |field| field.body)));
        }
        let Some(field) = self.fingerprint else { return };
        let mut has_exception = false;
        for event in Fields::new(span).filter(|field| field.is_len(EVENTS)) {
            if let Some(kind) = exception(event.body) {
                has_exception = true;
                add(field, &kind);
            }
        }
        if found.is_error && !has_exception {
            let status = Fields::new(span).filter(|field| field.is_len(STATUS)).last();
            let mut parts = Fields::new(status.map_or(&[], |field| field.body));
            let message =
                parts.find(|field| field.is_len(STATUS_MESSAGE)).map_or(&[][..], |field| field.body);
            add(field, &without_digits(&String::from_utf8_lossy(message)));
        }
    }
}

/// The kind of an exception; none where the event is none.
fn exception(event: &[u8]) -> Option<String> {
    let is_exception = Fields::new(event).any(|field| field.is_len(EVENT_NAME) && field.body == b"exception");
    if !is_exception {
        return None;
    }
    let (mut kind, mut frame, mut message) = (String::new(), String::new(), String::new());
    for attribute in Fields::new(event).filter(|field| field.is_len(EVENT_ATTRIBUTES)) {
        let AnyValue::String(text) = KeyValue::new(attribute.body).value() else { continue };
        let text = text.to_string_lossy();
        match key_of(attribute.body) {
            b"exception.type" => kind = text.into_owned(),
            b"exception.stacktrace" => frame = top_frame(&text),
            b"exception.message" => message = without_digits(&text),
            _ => {}
        }
    }
    // Without a frame the message tells errors of one type apart.
    let place = if frame.is_empty() { message } else { frame };
    Some(format!("{kind} {place}"))
}

/// The first bytes of a message without its numbers, which differ each time.
fn without_digits(text: &str) -> String {
    text[..text.floor_char_boundary(256)].chars().filter(|character| !character.is_ascii_digit()).collect()
}

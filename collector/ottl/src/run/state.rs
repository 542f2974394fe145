//! What a pass knows while it walks: the messages from the resource down to the record.

use std::borrow::Cow;

use crate::plan::Levels;
use crate::{Env, EvalError};

use super::entries::Entries;
use super::keys::KeyTable;
use super::message::Message;
use super::{Arena, Shape};

/// Resource, scope, record, event or data point, exemplar.
pub(crate) const DEPTHS: usize = 5;

/// The most metrics that statements may add to one scope.
const MAX_APPENDED: usize = 10_000;

/// What the statements of a pass read and write: known when they are compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// The attribute keys that are read, by depth.
    pub(crate) keys: [KeyTable; DEPTHS],
    /// The depth of each condition that is evaluated once.
    pub(crate) once: Vec<u8>,
    /// The deepest of them.
    pub(crate) deepest_once: u8,
    /// The levels whose attributes are changed in nearly every record.
    pub(crate) lists: Levels,
}

/// The state of a pass.
pub(crate) struct State<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) env: Env<'a>,
    pub(crate) layout: &'a Layout,
    pub(crate) messages: [Message<'a>; DEPTHS],
    pub(crate) cache: Entries<'a>,
    /// What the conditions that are evaluated once gave.
    pub(crate) once: Vec<Option<Result<bool, EvalError>>>,
    /// The depth of the record that statements run over.
    pub(crate) depth: usize,
    pub(crate) event_index: i64,
    /// The entry of the resource or scope that was loaded last.
    pub(crate) entry: &'a [u8],
    /// Metrics that were added to the scope.
    pub(crate) appended: Vec<&'a [u8]>,
    /// The metric with the changes to its points so far, for who asks in the context of a point.
    pub(crate) metric_so_far: Option<Vec<u8>>,
}

impl<'a> State<'a> {
    pub(crate) fn new(layout: &'a Layout, arena: &'a Arena, env: Env<'a>) -> State<'a> {
        let message = |depth| Message::new(&layout.keys[depth], layout.lists.contains(depth));
        State {
            arena,
            env,
            layout,
            messages: std::array::from_fn(message),
            cache: Entries::default(),
            once: vec![None; layout.once.len()],
            depth: 0,
            event_index: 0,
            entry: &[],
            appended: Vec::new(),
            metric_so_far: None,
        }
    }

    /// The message at a depth.
    #[inline(always)]
    pub(crate) fn at(&mut self, depth: u8) -> &mut Message<'a> {
        &mut self.messages[usize::from(depth)]
    }

    /// Turns to a record. What is known of deeper ones, and of this one before, is forgotten.
    #[inline]
    pub(crate) fn load(&mut self, depth: usize, shape: Shape, raw: &'a [u8]) {
        self.messages[depth].load(shape, raw);
        self.forget(depth);
    }

    pub(crate) fn load_entry(&mut self, depth: usize, shape: Shape, entry: &'a [u8]) {
        self.entry = entry;
        self.messages[depth].load_entry(shape, entry);
        self.forget(depth);
    }

    #[inline]
    fn forget(&mut self, depth: usize) {
        if self.once.is_empty() || depth > usize::from(self.layout.deepest_once) {
            return;
        }
        for (result, at) in self.once.iter_mut().zip(&self.layout.once) {
            if usize::from(*at) >= depth {
                *result = None;
            }
        }
    }

    /// Text for functions, which take UTF-8.
    pub(crate) fn text(&self, bytes: &'a [u8]) -> &'a str {
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => self.arena.copy_str(&String::from_utf8_lossy(bytes)),
        }
    }

    /// The record as it stands.
    pub(crate) fn record(&self) -> Cow<'a, [u8]> {
        written(&self.messages[self.depth])
    }

    pub(crate) fn set_record(&mut self, record: &[u8]) {
        let record = self.arena.copy(record);
        self.messages[self.depth].replace(record);
    }

    /// The metric that the record is, or lies in.
    pub(crate) fn metric(&self) -> Cow<'a, [u8]> {
        let message = &self.messages[2];
        match &self.metric_so_far {
            Some(body) => {
                let mut out = Vec::new();
                message.write_over(body, &mut out);
                Cow::Owned(out)
            }
            None => written(message),
        }
    }

    pub(crate) fn append_metric(&mut self, metric: &[u8]) -> Result<(), EvalError> {
        if self.appended.len() == MAX_APPENDED {
            return Err(EvalError::new(format!(
                "statements added {MAX_APPENDED} metrics to one scope; does a statement without `where` visit \
                 what it adds?"
            )));
        }
        self.appended.push(self.arena.copy(metric));
        self.arena.check()
    }
}

fn written<'a>(message: &Message<'a>) -> Cow<'a, [u8]> {
    if !message.is_message_touched() {
        return Cow::Borrowed(message.raw());
    }
    let mut out = Vec::new();
    message.write(&mut out);
    Cow::Owned(out)
}

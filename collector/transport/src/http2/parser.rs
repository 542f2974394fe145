//! What comes from the client, frame by frame (RFC 9113, sections 3.4 to 6). Knows nothing of sockets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::exchange::Exchange;
use super::frame::{self, FrameHead, HEAD_BYTES, Reason, flag, kind, setting};
use super::head::{Heads, Read};
use super::hpack::Block;
use super::streams::{DEFAULT_MAX_FRAME, LARGEST_WINDOW, Streams, Violation, acknowledge};
use super::{Incoming, Limits, Sink};

/// Bytes that a header block may have beyond the list that it is for: sizes of tables, and what the list does not
/// count.
const BLOCK_ALLOWANCE_BYTES: usize = 4096;
/// Largest SETTINGS frame: far more settings than there are.
const MAX_SETTINGS_BYTES: usize = 4096;
/// Streams that a client may reset at once, and how many more in each second. Each costs the work of a request that
/// nobody waits for.
const RESETS_AT_ONCE: f64 = 1000.0;
const RESETS_PER_SECOND: f64 = 200.0;
/// The ping whose answer says that the client has seen that it is to leave.
const LEAVE_PING: [u8; 8] = *b"leaving\n";
const MAX_STREAM: u32 = (1 << 31) - 1;

/// The payload that is under way.
enum Payload {
    None,
    /// Nobody needs it.
    Skip(usize),
    Data(Data),
    /// Part of a header block.
    Block {
        left: usize,
        padding: usize,
        is_last: bool,
    },
}

#[derive(Clone, Copy)]
pub(super) struct Data {
    pub(super) stream: u32,
    pub(super) left: usize,
    padding: usize,
    ends: bool,
    /// Whether the bytes are for a stream.
    wanted: bool,
}

/// A header block that is not complete.
struct Pending {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
}

/// How far the end of the connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// The client is told, and may have opened streams before it knew.
    Announced,
    /// No stream beyond this one is served.
    After(u32),
}

pub(super) struct Parser<B: Sink> {
    limits: Limits,
    heads: Heads,
    payload: Payload,
    pending: Option<Pending>,
    seen_settings: bool,
    last_stream: u32,
    leaving: Leaving,
    /// Requests whose head is there.
    pub(super) accepted: VecDeque<Incoming<B>>,
    /// PING frames of the client, without its answers.
    pub(super) pings: u64,
    /// DATA frames as large as this are worth a buffer of their own.
    pub(super) saw_large: bool,
    reset_credit: f64,
    reset_at: Option<Instant>,
    violations: usize,
}

/// Larger DATA frames are read where they are going to stay. Most clients send frames of 16 KiB, of which a read
/// brings several.
const LARGE_FRAME_BYTES: usize = 24 * 1024;

impl<B: Sink> Parser<B> {
    pub(super) fn new(limits: &Limits) -> Parser<B> {
        Parser {
            limits: limits.clone(),
            heads: Heads::new(limits.max_header_list_bytes as usize),
            payload: Payload::None,
            pending: None,
            seen_settings: false,
            last_stream: 0,
            leaving: Leaving::No,
            accepted: VecDeque::new(),
            pings: 0,
            saw_large: false,
            reset_credit: RESETS_AT_ONCE,
            reset_at: None,
            violations: 0,
        }
    }

    /// Tells the client to open no more streams. Those that it opens before it knows are served.
    pub(super) fn leave(&mut self, streams: &mut Streams<B>) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Announced;
            frame::go_away(&mut streams.out, MAX_STREAM, Reason::NO_ERROR);
            frame::write(&mut streams.out, kind::PING, 0, 0, &LEAVE_PING);
        }
    }

    /// Whether the client is gone as soon as no stream is left.
    pub(super) fn has_left(&self) -> bool {
        matches!(self.leaving, Leaving::After(_))
    }

    pub(super) fn go_away(&mut self, streams: &mut Streams<B>, reason: Reason) {
        frame::go_away(&mut streams.out, self.last_stream, reason);
    }

    /// The payload of a DATA frame that is under way, and that somebody waits for.
    pub(super) fn data(&self) -> Option<Data> {
        match self.payload {
            Payload::Data(data) if data.wanted && data.left > 0 => Some(data),
            _ => None,
        }
    }

    /// Notes that `bytes` of it have reached the sink by another way.
    pub(super) fn data_read(&mut self, streams: &mut Streams<B>, bytes: usize) -> Result<(), Reason> {
        if let Payload::Data(data) = &mut self.payload {
            data.left -= bytes;
            let data = *data;
            let counted = streams.count_body(data.stream, bytes);
            self.excuse(streams, counted)?;
            if data.left == 0 {
                self.end_data(streams, data)?;
            }
        }
        Ok(())
    }

    /// Takes what it can of `input`, and says how much that was. What is left is the beginning of a frame.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        shared: &Arc<Mutex<Streams<B>>>,
        streams: &mut Streams<B>,
        make: &impl Fn() -> B,
    ) -> Result<usize, Reason> {
        let mut rest = input;
        loop {
            match &mut self.payload {
                Payload::None => match self.begin(rest, shared, streams, make)? {
                    Some(taken) => rest = &rest[taken..],
                    None => break,
                },
                Payload::Skip(left) => {
                    let here = (*left).min(rest.len());
                    *left -= here;
                    rest = &rest[here..];
                    if *left > 0 {
                        break;
                    }
                    self.payload = Payload::None;
                }
                Payload::Data(data) => {
                    let (here, after) = rest.split_at(data.left.min(rest.len()));
                    data.left -= here.len();
                    rest = after;
                    let data = *data;
                    if data.wanted && !here.is_empty() {
                        let taken = streams.body(data.stream, here);
                        self.excuse(streams, taken)?;
                    }
                    if data.left > 0 {
                        break;
                    }
                    self.end_data(streams, data)?;
                }
                Payload::Block { left, padding, is_last } => {
                    let (here, after) = rest.split_at((*left).min(rest.len()));
                    *left -= here.len();
                    rest = after;
                    let (left, padding, is_last) = (*left, *padding, *is_last);
                    if let Some(pending) = &mut self.pending {
                        pending.bytes.extend_from_slice(here);
                    }
                    if left > 0 {
                        break;
                    }
                    self.payload = Payload::Skip(padding);
                    if is_last && let Some(pending) = self.pending.take() {
                        self.head(&pending.bytes, pending.stream, pending.ends, shared, streams, make)?;
                    }
                }
            }
        }
        Ok(input.len() - rest.len())
    }

    fn end_data(&mut self, streams: &mut Streams<B>, data: Data) -> Result<(), Reason> {
        self.payload = Payload::Skip(data.padding);
        if data.ends && data.wanted {
            let ended = streams.end(data.stream);
            self.excuse(streams, ended)?;
        }
        Ok(())
    }

    /// A violation that concerns one stream ends that one; too many of them end the connection.
    fn excuse(&mut self, streams: &mut Streams<B>, outcome: Result<(), Violation>) -> Result<(), Reason> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Violation::Connection(reason)) => Err(reason),
            Err(Violation::Stream(id, reason)) => {
                streams.reset(id, reason);
                self.violations += 1;
                if self.violations > self.limits.max_violations {
                    return Err(Reason::ENHANCE_YOUR_CALM);
                }
                Ok(())
            }
        }
    }

    /// Begins with the frame at the start of `input`; a short one it takes whole. None where it has to see more.
    fn begin(
        &mut self,
        input: &[u8],
        shared: &Arc<Mutex<Streams<B>>>,
        streams: &mut Streams<B>,
        make: &impl Fn() -> B,
    ) -> Result<Option<usize>, Reason> {
        let Some(head) = FrameHead::parse(input) else { return Ok(None) };
        let rest = &input[HEAD_BYTES..];
        if head.length > self.limits.max_frame_bytes as usize {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        if !self.seen_settings && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        match &self.pending {
            Some(pending) if head.kind != kind::CONTINUATION || head.stream != pending.stream => {
                return Err(Reason::PROTOCOL_ERROR);
            }
            None if head.kind == kind::CONTINUATION => return Err(Reason::PROTOCOL_ERROR),
            _ => {}
        }
        let begun = match head.kind {
            kind::DATA => self.begin_data(head, rest, streams)?,
            kind::HEADERS => self.begin_headers(head, rest, shared, streams, make)?,
            kind::CONTINUATION => {
                self.begin_block(head.length, 0, head.has(flag::END_HEADERS))?;
                Some(0)
            }
            kind::PUSH_PROMISE => return Err(Reason::PROTOCOL_ERROR),
            kind::PRIORITY | kind::RST_STREAM | kind::SETTINGS | kind::PING | kind::WINDOW_UPDATE => {
                if head.kind == kind::SETTINGS && head.length > MAX_SETTINGS_BYTES {
                    return Err(Reason::ENHANCE_YOUR_CALM);
                }
                match rest.get(..head.length) {
                    Some(payload) => {
                        self.control(head, payload, streams)?;
                        Some(head.length)
                    }
                    None => None,
                }
            }
            kind::GOAWAY if head.stream != 0 => return Err(Reason::PROTOCOL_ERROR),
            kind::GOAWAY if head.length < 8 => return Err(Reason::FRAME_SIZE_ERROR),
            // A client that leaves closes the connection itself; frames that nobody knows mean nothing.
            _ => {
                self.payload = Payload::Skip(head.length);
                Some(0)
            }
        };
        Ok(begun.map(|taken| HEAD_BYTES + taken))
    }

    fn begin_data(
        &mut self,
        head: FrameHead,
        rest: &[u8],
        streams: &mut Streams<B>,
    ) -> Result<Option<usize>, Reason> {
        if head.stream == 0 || head.stream > self.last_stream {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let (before, padding) = match head.has(flag::PADDED) {
            false => (0, 0),
            true => match rest.first() {
                _ if head.length == 0 => return Err(Reason::FRAME_SIZE_ERROR),
                None => return Ok(None),
                Some(padding) if usize::from(*padding) >= head.length => return Err(Reason::PROTOCOL_ERROR),
                Some(padding) => (1, usize::from(*padding)),
            },
        };
        let wanted = match streams.charge_data(head.stream, head.length) {
            Ok(wanted) => wanted,
            Err(violation) => {
                self.excuse(streams, Err(violation))?;
                false
            }
        };
        if wanted && before > 0 {
            streams.padding(head.stream, before + padding);
        }
        let left = head.length - before - padding;
        self.saw_large |= left >= LARGE_FRAME_BYTES;
        let ends = head.has(flag::END_STREAM);
        self.payload = Payload::Data(Data { stream: head.stream, left, padding, ends, wanted });
        Ok(Some(before))
    }

    fn begin_headers(
        &mut self,
        head: FrameHead,
        rest: &[u8],
        shared: &Arc<Mutex<Streams<B>>>,
        streams: &mut Streams<B>,
        make: &impl Fn() -> B,
    ) -> Result<Option<usize>, Reason> {
        if head.stream.is_multiple_of(2) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let padded = usize::from(head.has(flag::PADDED));
        let before = padded + if head.has(flag::PRIORITY) { 5 } else { 0 };
        if head.length < before {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        let Some(prefix) = rest.get(..before) else { return Ok(None) };
        let padding = if padded == 1 { usize::from(prefix[0]) } else { 0 };
        let Some(length) = (head.length - before).checked_sub(padding) else {
            return Err(Reason::PROTOCOL_ERROR);
        };
        if depends_on_itself(&prefix[padded..], head.stream) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let ends = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS)
            && let Some(block) = rest.get(before..before + length)
        {
            self.payload = Payload::Skip(padding);
            self.head(block, head.stream, ends, shared, streams, make)?;
            return Ok(Some(before + length));
        }
        self.pending = Some(Pending { stream: head.stream, ends, bytes: Vec::new() });
        self.begin_block(length, padding, head.has(flag::END_HEADERS))?;
        Ok(Some(before))
    }

    fn begin_block(&mut self, left: usize, padding: usize, is_last: bool) -> Result<(), Reason> {
        let before = self.pending.as_ref().map_or(0, |pending| pending.bytes.len());
        if before + left > self.limits.max_header_list_bytes as usize + BLOCK_ALLOWANCE_BYTES {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        self.payload = Payload::Block { left, padding, is_last };
        Ok(())
    }

    /// Takes a complete header block.
    fn head(
        &mut self,
        block: &[u8],
        id: u32,
        ends: bool,
        shared: &Arc<Mutex<Streams<B>>>,
        streams: &mut Streams<B>,
        make: &impl Fn() -> B,
    ) -> Result<(), Reason> {
        let is_new = id > self.last_stream;
        let known = streams.get(id).map(|stream| (stream.ended, stream.reset));
        let is_trailers = !is_new;
        let read = self.heads.read(block, is_trailers).map_err(|_| Reason::COMPRESSION_ERROR)?;
        let violation = |reason| Err(Violation::Stream(id, reason));
        if is_trailers {
            let outcome = match known {
                Some((_, true)) => Ok(()),
                Some((true, false)) => violation(Reason::STREAM_CLOSED),
                Some(_) if !ends || !matches!(read, Read::Trailers) => violation(Reason::PROTOCOL_ERROR),
                Some(_) => streams.end(id),
                None if streams.was_reset_here(id) => Ok(()),
                None => Err(Violation::Connection(Reason::STREAM_CLOSED)),
            };
            return self.excuse(streams, outcome);
        }
        self.last_stream = id;
        if matches!(self.leaving, Leaving::After(last) if id > last) {
            streams.refuse(id, Reason::REFUSED_STREAM);
            return Ok(());
        }
        if streams.len() >= self.limits.max_concurrent_streams as usize {
            return self.excuse(streams, violation(Reason::REFUSED_STREAM));
        }
        let head = match read {
            Read::Request(head) => head,
            Read::TooLarge => {
                /// Request Header Fields Too Large (RFC 6585).
                const TOO_LARGE: u16 = 431;
                streams.refuse_with_status(id, Block::response(TOO_LARGE).as_bytes(), ends);
                return Ok(());
            }
            Read::Malformed | Read::Trailers => {
                return self.excuse(streams, violation(Reason::PROTOCOL_ERROR));
            }
        };
        streams.open(id, make(), head.content_length);
        if ends {
            let ended = streams.end(id);
            self.excuse(streams, ended)?;
        }
        let exchange = Exchange { streams: shared.clone(), id };
        self.accepted.push_back(Incoming { head: head.parts, exchange });
        Ok(())
    }

    fn control(&mut self, head: FrameHead, payload: &[u8], streams: &mut Streams<B>) -> Result<(), Reason> {
        let is_idle = head.stream > self.last_stream || head.stream.is_multiple_of(2);
        match (head.kind, payload) {
            (kind::SETTINGS, _) => return self.settings(head, payload, streams),
            (kind::PING, _) if head.stream != 0 => return Err(Reason::PROTOCOL_ERROR),
            (kind::PING, payload) if payload.len() == 8 => {
                if !head.has(flag::ACK) {
                    self.pings += 1;
                    acknowledge(&mut streams.out, kind::PING, payload);
                } else if *payload == LEAVE_PING && self.leaving == Leaving::Announced {
                    self.leaving = Leaving::After(self.last_stream);
                    self.go_away(streams, Reason::NO_ERROR);
                }
            }
            (kind::WINDOW_UPDATE, &[a, b, c, d]) => {
                let more = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
                if head.stream != 0 && is_idle {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                let outcome = match (head.stream, more) {
                    (0, 0) => Err(Violation::Connection(Reason::PROTOCOL_ERROR)),
                    (id, 0) => Err(Violation::Stream(id, Reason::PROTOCOL_ERROR)),
                    (id, more) => streams.widen(id, more),
                };
                return self.excuse(streams, outcome);
            }
            (kind::RST_STREAM, &[_, _, _, _]) => {
                if is_idle || head.stream == 0 {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                if streams.reset_by_peer(head.stream) {
                    self.allow_reset(Instant::now())?;
                }
            }
            (kind::PRIORITY, _) if head.stream == 0 => return Err(Reason::PROTOCOL_ERROR),
            (kind::PRIORITY, [_, _, _, _, _]) => {
                if depends_on_itself(payload, head.stream) {
                    return Err(Reason::PROTOCOL_ERROR);
                }
            }
            (kind::PRIORITY, _) => {
                return self.excuse(streams, Err(Violation::Stream(head.stream, Reason::FRAME_SIZE_ERROR)));
            }
            _ => return Err(Reason::FRAME_SIZE_ERROR),
        }
        Ok(())
    }

    /// A client that opens streams only to reset them makes work for nothing (CVE-2023-44487).
    fn allow_reset(&mut self, now: Instant) -> Result<(), Reason> {
        let passed = now - self.reset_at.replace(now).unwrap_or(now);
        let earned = passed.as_secs_f64() * RESETS_PER_SECOND;
        self.reset_credit = (self.reset_credit + earned).min(RESETS_AT_ONCE) - 1.0;
        if self.reset_credit < 0.0 { Err(Reason::ENHANCE_YOUR_CALM) } else { Ok(()) }
    }

    fn settings(&mut self, head: FrameHead, payload: &[u8], streams: &mut Streams<B>) -> Result<(), Reason> {
        if head.stream != 0 {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if head.has(flag::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(Reason::FRAME_SIZE_ERROR) };
        }
        let (entries, []) = payload.as_chunks::<6>() else { return Err(Reason::FRAME_SIZE_ERROR) };
        self.seen_settings = true;
        for [a, b, value @ ..] in entries {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*a, *b]) {
                setting::ENABLE_PUSH if value > 1 => return Err(Reason::PROTOCOL_ERROR),
                setting::INITIAL_WINDOW_SIZE if i64::from(value) > LARGEST_WINDOW => {
                    return Err(Reason::FLOW_CONTROL_ERROR);
                }
                setting::INITIAL_WINDOW_SIZE => {
                    let outcome = streams.set_peer_window(value);
                    self.excuse(streams, outcome)?;
                }
                setting::MAX_FRAME_SIZE if !(DEFAULT_MAX_FRAME..1 << 24).contains(&(value as usize)) => {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                setting::MAX_FRAME_SIZE => streams.set_peer_max_frame(value as usize),
                _ => {}
            }
        }
        acknowledge(&mut streams.out, kind::SETTINGS, &[]);
        Ok(())
    }
}

/// Whether a priority says that a stream depends on itself, which is forbidden.
fn depends_on_itself(priority: &[u8], stream: u32) -> bool {
    priority.first_chunk().is_some_and(|on| u32::from_be_bytes(*on) & 0x7fff_ffff == stream)
}

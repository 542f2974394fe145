//! The streams of a connection, the windows of both directions, and the frames that wait to be written.
//!
//! Everything here is shared by a connection and its exchanges, which live in one task: the lock is never waited for.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::task::{Context, Waker};

use super::Sink;
use super::frame::{self, FrameHead, Reason, flag, kind};
use crate::io::{Spare, lend_buffer};

/// The window of either side before it is told otherwise.
pub(super) const DEFAULT_WINDOW: u32 = 65_535;
/// Largest window that the protocol knows.
pub(super) const LARGEST_WINDOW: i64 = (1 << 31) - 1;
/// Largest frame that a peer takes before it says otherwise.
pub(super) const DEFAULT_MAX_FRAME: usize = 16_384;
/// Streams that were reset by this side and may still bring frames that the peer had sent before it knew.
const REMEMBERED_RESETS: usize = 1024;

/// What a buffer of frames begins with: the answers of one round.
const OUT_BYTES: usize = 8 * 1024;

thread_local! {
    pub(super) static SPARE_OUT: Spare = const { std::cell::RefCell::new(Vec::new()) };
}

/// The peer has broken the rules for one stream, or for the whole connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    Stream(u32, Reason),
    Connection(Reason),
}

/// One stream, from its head until both sides have ended it.
pub(super) struct Stream<B> {
    /// Where the body goes; none once it was taken out, or refused to take more.
    pub(super) sink: Option<B>,
    /// The sink wants no more.
    pub(super) refused: bool,
    /// Bytes of the body so far.
    pub(super) received: u64,
    pub(super) content_length: Option<u64>,
    /// The peer has said everything.
    pub(super) ended: bool,
    /// The stream was reset, by either side.
    pub(super) reset: bool,
    /// What the peer may send until it is told of more.
    pub(super) receive_window: i64,
    /// What was taken since the peer was last told.
    untold: u32,
    /// What may be sent to the peer.
    pub(super) send_window: i64,
    outgoing: Option<Outgoing>,
    answered: bool,
    /// The one that waits for the body or for a reset.
    waker: Option<Waker>,
}

/// The rest of an answer that the peer's window has no room for.
struct Outgoing {
    data: Vec<u8>,
    sent: usize,
    trailers: Vec<u8>,
}

impl<B> Stream<B> {
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

/// Spreads stream ids, which count up by two.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, id: u32) {
        /// 2^64 by the golden ratio.
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(GOLDEN);
        self.0 ^= self.0 >> 32;
    }
}

/// What a connection shares with its exchanges.
pub(super) struct Streams<B> {
    streams: HashMap<u32, Stream<B>, BuildHasherDefault<IdHasher>>,
    /// Frames that are not written yet.
    pub(super) out: Vec<u8>,
    /// Windows of the whole connection.
    receive_window: i64,
    untold: u32,
    send_window: i64,
    /// What this side gives to a stream, and to the connection.
    stream_window: u32,
    connection_window: u32,
    peer_window: i64,
    peer_max_frame: usize,
    /// Streams whose answer waits for a window.
    blocked: VecDeque<u32>,
    reset_here: VecDeque<u32>,
}

impl<B: Sink> Streams<B> {
    pub(super) fn new(stream_window: u32, connection_window: u32) -> Streams<B> {
        Streams {
            streams: HashMap::default(),
            out: Vec::new(),
            receive_window: i64::from(connection_window),
            untold: 0,
            send_window: i64::from(DEFAULT_WINDOW),
            stream_window,
            connection_window,
            peer_window: i64::from(DEFAULT_WINDOW),
            peer_max_frame: DEFAULT_MAX_FRAME,
            blocked: VecDeque::new(),
            reset_here: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn get(&mut self, id: u32) -> Option<&mut Stream<B>> {
        self.streams.get_mut(&id)
    }

    pub(super) fn open(&mut self, id: u32, sink: B, content_length: Option<u64>) {
        let stream = Stream {
            sink: Some(sink),
            refused: false,
            received: 0,
            content_length,
            ended: false,
            reset: false,
            receive_window: i64::from(self.stream_window),
            untold: 0,
            send_window: self.peer_window,
            outgoing: None,
            answered: false,
            waker: None,
        };
        self.streams.insert(id, stream);
    }

    /// Whether frames for `id`, which is not there any more, are to be expected.
    pub(super) fn was_reset_here(&self, id: u32) -> bool {
        self.reset_here.contains(&id)
    }

    /// Tells the peer that a stream is over, and remembers that it did not end it.
    pub(super) fn refuse(&mut self, id: u32, reason: Reason) {
        frame::reset(&mut self.out, id, reason);
        if self.reset_here.len() == REMEMBERED_RESETS {
            self.reset_here.pop_front();
        }
        self.reset_here.push_back(id);
    }

    /// Answers a request that never became a stream with nothing but a status.
    pub(super) fn refuse_with_status(&mut self, id: u32, block: &[u8], ended: bool) {
        frame::headers(&mut self.out, id, block, true, self.peer_max_frame);
        if !ended {
            self.refuse(id, Reason::NO_ERROR);
        }
    }

    /// Ends a stream for a violation of the peer; whoever waits for it hears of it.
    pub(super) fn reset(&mut self, id: u32, reason: Reason) {
        self.refuse(id, reason);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.reset = true;
            stream.sink = None;
            stream.wake();
            if stream.answered {
                self.streams.remove(&id);
            }
        }
    }

    /// Counts the payload of a DATA frame against the windows. True where its bytes are for a stream.
    pub(super) fn charge_data(&mut self, id: u32, length: usize) -> Result<bool, Violation> {
        let length = length as i64;
        if length > self.receive_window {
            return Err(Violation::Connection(Reason::FLOW_CONTROL_ERROR));
        }
        self.receive_window -= length;
        let Some(stream) = self.streams.get_mut(&id) else {
            self.taken(length as u32);
            if !self.was_reset_here(id) {
                frame::reset(&mut self.out, id, Reason::STREAM_CLOSED);
            }
            return Ok(false);
        };
        if stream.reset {
            self.taken(length as u32);
            return Ok(false);
        }
        let violation = if stream.ended {
            Reason::STREAM_CLOSED
        } else if length > stream.receive_window {
            Reason::FLOW_CONTROL_ERROR
        } else {
            stream.receive_window -= length;
            return Ok(true);
        };
        self.taken(length as u32);
        Err(Violation::Stream(id, violation))
    }

    /// Hands `bytes` of a body to its sink, and opens the windows again as far as it takes them. Of a stream whose
    /// sink refuses, the window stays shut.
    pub(super) fn body(&mut self, id: u32, bytes: &[u8]) -> Result<(), Violation> {
        if let Some(stream) = self.streams.get_mut(&id)
            && let Some(sink) = &mut stream.sink
            && !sink.push(bytes)
        {
            stream.refused = true;
            stream.wake();
        }
        self.count_body(id, bytes.len())
    }

    /// Counts bytes that have reached the sink.
    pub(super) fn count_body(&mut self, id: u32, bytes: usize) -> Result<(), Violation> {
        self.taken(bytes as u32);
        let half = self.stream_window / 2;
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.reset) else { return Ok(()) };
        stream.received += bytes as u64;
        if stream.content_length.is_some_and(|length| stream.received > length) {
            return Err(Violation::Stream(id, Reason::PROTOCOL_ERROR));
        }
        if !stream.refused {
            stream.untold += bytes as u32;
            if stream.untold >= half && !stream.ended {
                frame::window_update(&mut self.out, id, stream.untold);
                stream.receive_window += i64::from(stream.untold);
                stream.untold = 0;
            }
        }
        Ok(())
    }

    /// Counts the padding of a DATA frame, which nobody needs.
    pub(super) fn padding(&mut self, id: u32, bytes: usize) {
        self.taken(bytes as u32);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.untold += bytes as u32;
        }
    }

    /// Opens the window of the connection again; the peer is told by the half.
    pub(super) fn taken(&mut self, bytes: u32) {
        self.untold += bytes;
        if self.untold >= self.connection_window / 2 {
            frame::window_update(&mut self.out, 0, self.untold);
            self.receive_window += i64::from(self.untold);
            self.untold = 0;
        }
    }

    /// The peer has said everything on a stream.
    pub(super) fn end(&mut self, id: u32) -> Result<(), Violation> {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.reset) else { return Ok(()) };
        stream.ended = true;
        stream.wake();
        match stream.content_length {
            Some(length) if length != stream.received => Err(Violation::Stream(id, Reason::PROTOCOL_ERROR)),
            _ => Ok(()),
        }
    }

    /// The peer has reset a stream. False where there is none.
    pub(super) fn reset_by_peer(&mut self, id: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        stream.reset = true;
        stream.sink = None;
        stream.wake();
        if stream.answered {
            self.streams.remove(&id);
        }
        true
    }

    /// Takes over what the peer says of itself.
    pub(super) fn set_peer_window(&mut self, window: u32) -> Result<(), Violation> {
        let more = i64::from(window) - self.peer_window;
        self.peer_window = i64::from(window);
        for stream in self.streams.values_mut() {
            stream.send_window += more;
            if stream.send_window > LARGEST_WINDOW {
                return Err(Violation::Connection(Reason::FLOW_CONTROL_ERROR));
            }
        }
        self.send_blocked();
        Ok(())
    }

    pub(super) fn set_peer_max_frame(&mut self, bytes: usize) {
        self.peer_max_frame = bytes;
    }

    /// The peer takes more on a stream, or on the connection where `id` is 0.
    pub(super) fn widen(&mut self, id: u32, more: u32) -> Result<(), Violation> {
        let (window, violation) = match id {
            0 => (&mut self.send_window, Violation::Connection(Reason::FLOW_CONTROL_ERROR)),
            id => match self.streams.get_mut(&id) {
                Some(stream) => (&mut stream.send_window, Violation::Stream(id, Reason::FLOW_CONTROL_ERROR)),
                None => return Ok(()),
            },
        };
        *window += i64::from(more);
        if *window > LARGEST_WINDOW {
            return Err(violation);
        }
        self.send_blocked();
        Ok(())
    }

    /// Writes an answer: its head, and, where there are trailers, `data` and these. What the windows have no room
    /// for goes out as they open.
    pub(super) fn answer(&mut self, id: u32, head: &[u8], body: Option<(&[&[u8]], &[u8])>) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.reset) else { return };
        stream.answered = true;
        if self.out.capacity() == 0 {
            self.out = lend_buffer(&SPARE_OUT, OUT_BYTES);
        }
        frame::headers(&mut self.out, id, head, body.is_none(), self.peer_max_frame);
        let Some((data, trailers)) = body else { return };
        let room = stream.send_window.min(self.send_window);
        let length: usize = data.iter().map(|piece| piece.len()).sum();
        if self.blocked.is_empty() && length <= self.peer_max_frame && length as i64 <= room {
            stream.send_window -= length as i64;
            self.send_window -= length as i64;
            FrameHead { length, kind: kind::DATA, flags: 0, stream: id }.write(&mut self.out);
            data.iter().for_each(|piece| self.out.extend_from_slice(piece));
            frame::headers(&mut self.out, id, trailers, true, self.peer_max_frame);
            return;
        }
        stream.outgoing = Some(Outgoing { data: data.concat(), sent: 0, trailers: trailers.to_vec() });
        self.blocked.push_back(id);
        self.send_blocked();
    }

    /// Sends what the windows have room for, in the order of the answers.
    fn send_blocked(&mut self) {
        for _ in 0..self.blocked.len() {
            let Some(id) = self.blocked.pop_front() else { return };
            if !self.send(id) {
                self.blocked.push_back(id);
            }
        }
    }

    /// Sends of the answer of one stream what there is room for. True where nothing is left.
    fn send(&mut self, id: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.reset) else { return true };
        let Some(outgoing) = &mut stream.outgoing else { return true };
        while outgoing.sent < outgoing.data.len() {
            let left = outgoing.data.len() - outgoing.sent;
            let room = usize::try_from(stream.send_window.min(self.send_window)).unwrap_or(0);
            let now = left.min(room).min(self.peer_max_frame);
            if now == 0 {
                return false;
            }
            let data = &outgoing.data[outgoing.sent..outgoing.sent + now];
            frame::write(&mut self.out, kind::DATA, 0, id, data);
            outgoing.sent += now;
            stream.send_window -= now as i64;
            self.send_window -= now as i64;
        }
        frame::headers(&mut self.out, id, &outgoing.trailers, true, self.peer_max_frame);
        stream.outgoing = None;
        // The exchange may be there still; it closes the stream when it goes.
        if stream.waker.is_none() && stream.sink.is_none() {
            self.close_sent(id);
        }
        true
    }

    fn close_sent(&mut self, id: u32) {
        if let Some(stream) = self.streams.remove(&id)
            && !stream.ended
            && !stream.reset
        {
            self.refuse(id, Reason::NO_ERROR);
        }
    }

    /// Nobody looks at the stream any more. A request that was answered before it was complete is told to end; one
    /// that was not answered at all has failed.
    pub(super) fn let_go(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.waker = None;
        stream.sink = None;
        match (stream.reset, stream.answered, &stream.outgoing) {
            (false, true, Some(_)) => {}
            (false, true, None) => self.close_sent(id),
            (reset, ..) => {
                self.streams.remove(&id);
                if !reset {
                    self.refuse(id, Reason::INTERNAL_ERROR);
                }
            }
        }
    }
}

/// The payload of the acknowledgement of a peer's settings or ping.
pub(super) fn acknowledge(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    frame::write(out, kind, flag::ACK, 0, payload);
}

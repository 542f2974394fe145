use super::{Attributes, Body, Many, Text, view};

view! {
    /// A span.
    Span {
        /// Sixteen bytes, or none.
        1 trace_id: &'a [u8],
        /// Eight bytes, or none.
        2 span_id: &'a [u8],
        /// As in the W3C header `tracestate`.
        3 trace_state: Text<'a>,
        /// Eight bytes, or none for a root.
        4 parent_span_id: &'a [u8],
        /// The name of the operation.
        5 name: Text<'a>,
        /// 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer; a sender may write others.
        6 kind: i32,
        /// Unix time, in nanoseconds.
        7 start_time_unix_nano: u64,
        /// Unix time, in nanoseconds.
        8 end_time_unix_nano: u64,
        /// The attributes.
        9 attributes: Attributes<'a>,
        /// How many attributes the sender dropped.
        10 dropped_attributes_count: u32,
        /// What happened during the span.
        11 events: Many<'a, Event<'a>>,
        /// How many events the sender dropped.
        12 dropped_events_count: u32,
        /// Other spans that this one relates to.
        13 links: Many<'a, Link<'a>>,
        /// How many links the sender dropped.
        14 dropped_links_count: u32,
        /// How it ended.
        15 status: Body<'a> as Option<Status<'a>>,
        /// W3C trace flags in the low byte; bits 8 and 9 say whether the parent is remote.
        16 flags: u32,
    }
}

view! {
    /// Something that happened during a span.
    Event {
        /// Unix time, in nanoseconds.
        1 time_unix_nano: u64,
        /// The name of the event.
        2 name: Text<'a>,
        /// The attributes.
        3 attributes: Attributes<'a>,
        /// How many attributes the sender dropped.
        4 dropped_attributes_count: u32,
    }
}

view! {
    /// A relation to another span.
    Link {
        /// Sixteen bytes, or none.
        1 trace_id: &'a [u8],
        /// Eight bytes, or none.
        2 span_id: &'a [u8],
        /// As in the W3C header `tracestate`.
        3 trace_state: Text<'a>,
        /// The attributes.
        4 attributes: Attributes<'a>,
        /// How many attributes the sender dropped.
        5 dropped_attributes_count: u32,
        /// As those of a span.
        6 flags: u32,
    }
}

view! {
    /// How a span ended.
    Status {
        /// A description for people.
        2 message: Text<'a>,
        /// 0 unset, 1 ok, 2 error; a sender may write others.
        3 code: i32,
    }
}

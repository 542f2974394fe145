use super::{AnyValue, Attributes, Body, Text, view};

view! {
    /// A log record.
    LogRecord {
        /// Unix time of the event in nanoseconds, 0 if unknown.
        1 time_unix_nano: u64,
        /// 1 to 24, four each for trace, debug, info, warn, error and fatal; 0 if unspecified.
        2 severity_number: i32,
        /// The severity as the source calls it.
        3 severity_text: Text<'a>,
        /// What was logged.
        5 body: Body<'a> as AnyValue<'a>,
        /// The attributes.
        6 attributes: Attributes<'a>,
        /// How many attributes the sender dropped.
        7 dropped_attributes_count: u32,
        /// W3C trace flags in the low byte.
        8 flags: u32,
        /// Sixteen bytes, or none.
        9 trace_id: &'a [u8],
        /// Eight bytes, or none.
        10 span_id: &'a [u8],
        /// Unix time at which the record was collected, in nanoseconds.
        11 observed_time_unix_nano: u64,
        /// The name of the event, if the record is one.
        12 event_name: Text<'a>,
    }
}

impl<'a> LogRecord<'a> {
    /// The bytes of the body, if there is one.
    pub fn body_raw(&self) -> Option<&'a [u8]> {
        self.body.0
    }
}

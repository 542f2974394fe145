use std::cmp::Ordering;
use std::sync::Arc;

use jiff::tz::TimeZone;

/// An instant, and the zone that its calendar fields are told in.
#[derive(Clone, Debug)]
pub struct Time {
    /// Nanoseconds since 1970-01-01T00:00:00Z; as wide as the calendar of the original.
    pub unix_nanos: i128,
    /// Where its year, hour and so on are read.
    pub zone: Zone,
}

/// The zone of a [`Time`].
#[derive(Clone, Debug, PartialEq)]
pub enum Zone {
    /// Coordinated universal time.
    Utc,
    /// The zone of the machine.
    Local,
    /// A fixed distance from UTC.
    Fixed {
        /// Seconds east of UTC.
        offset_seconds: i32,
        /// The abbreviation that it was written with, if any.
        abbreviation: Option<Arc<str>>,
    },
    /// A zone with rules, from the database.
    Named(TimeZone),
}

impl Time {
    /// An instant told in UTC.
    pub fn utc(unix_nanos: i64) -> Time {
        Time { unix_nanos: unix_nanos.into(), zone: Zone::Utc }
    }
}

/// The zone does not count.
impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.unix_nanos == other.unix_nanos
    }
}

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        self.unix_nanos.cmp(&other.unix_nanos)
    }
}

//! The static and the dynamic table of HPACK (RFC 7541, sections 2.3 and 4, appendix A).

use std::collections::VecDeque;
use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

/// What an entry costs beyond its name and value.
const ENTRY_OVERHEAD: usize = 32;

/// The name of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Regular(HeaderName),
    /// One that no request may have. It keeps its place in the table all the same.
    Invalid,
}

impl Name {
    fn new(name: &[u8]) -> Name {
        match name {
            b":method" => Name::Method,
            b":scheme" => Name::Scheme,
            b":authority" => Name::Authority,
            b":path" => Name::Path,
            name => HeaderName::from_lowercase(name).map_or(Name::Invalid, Name::Regular),
        }
    }
}

/// A field of a header list. Cloning shares name and value.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: Name,
    /// None where no header may have it.
    pub(crate) value: Option<HeaderValue>,
    name_bytes: usize,
    /// What it counts in tables and limits.
    pub(crate) size: usize,
}

impl Field {
    pub(super) fn new(name: &[u8], value: &[u8]) -> Field {
        Field { name: Name::new(name), name_bytes: name.len(), value: None, size: 0 }.with_value(value)
    }

    pub(super) fn with_value(&self, value: &[u8]) -> Field {
        let size = self.name_bytes + value.len() + ENTRY_OVERHEAD;
        let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value)).ok();
        Field { name: self.name.clone(), value, name_bytes: self.name_bytes, size }
    }
}

/// The dynamic table: the newest entry first.
pub(super) struct Dynamic {
    entries: VecDeque<Field>,
    size: usize,
    max_size: usize,
}

impl Dynamic {
    pub(super) fn new(max_size: usize) -> Dynamic {
        Dynamic { entries: VecDeque::new(), size: 0, max_size }
    }

    pub(super) fn set_max_size(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(0);
    }

    /// Adds a field; one that is larger than the table empties it.
    pub(super) fn insert(&mut self, field: Field) {
        self.evict(field.size);
        if field.size <= self.max_size {
            self.size += field.size;
            self.entries.push_front(field);
        }
    }

    fn evict(&mut self, room: usize) {
        while self.size + room > self.max_size {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size;
        }
    }

    /// The field at `index`, which counts from 1 through both tables.
    pub(super) fn get(&self, index: usize) -> Option<&Field> {
        let index = index.checked_sub(1)?;
        match index.checked_sub(STATIC.len()) {
            None => FIELDS.get(index),
            Some(dynamic) => self.entries.get(dynamic),
        }
    }
}

static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    STATIC.iter().map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())).collect()
});

const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

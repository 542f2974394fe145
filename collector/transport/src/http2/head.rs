//! The head of a request, from the fields of its header block (RFC 9113, section 8.3).

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version, request};

use super::hpack::{Decoder, Field, Name, Undecodable};

/// Headers that belong to connections of HTTP/1.
const OF_CONNECTIONS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// A complete head.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) parts: Arc<request::Parts>,
    /// The length that `content-length` announces.
    pub(crate) content_length: Option<u64>,
}

/// What a header block says.
#[derive(Clone)]
pub(crate) enum Read {
    Request(Head),
    Trailers,
    /// It breaks the rules of requests.
    Malformed,
    /// It has more than the allowed bytes.
    TooLarge,
}

/// Reads the header blocks of a connection.
///
/// Clients send nearly the same head with each request: the same few bytes, and perhaps a timeout or a length that
/// differs. The last block is kept with its head, which a request with the same block shares, and with what its list
/// was before the field that differed the last time, from where on a block that begins alike is read.
pub(crate) struct Heads {
    decoder: Decoder,
    max_list_bytes: usize,
    last_block: Vec<u8>,
    /// Where the fields of that block begin.
    begins: Vec<usize>,
    last: Option<Head>,
    /// Where a list was kept, and that list.
    kept: Option<(usize, List)>,
}

/// Larger blocks are not kept: they are no lists of indices.
const KEPT_BLOCK_BYTES: usize = 512;

impl Heads {
    pub(crate) fn new(max_list_bytes: usize) -> Heads {
        let (last_block, begins) = (Vec::new(), Vec::new());
        Heads { decoder: Decoder::default(), max_list_bytes, last_block, begins, last: None, kept: None }
    }

    /// Reads one block.
    pub(crate) fn read(&mut self, block: &[u8], is_trailers: bool) -> Result<Read, Undecodable> {
        if is_trailers {
            return self.trailers(block);
        }
        let same = common(&self.last_block, block);
        if let Some(last) = &self.last
            && same == block.len()
            && same == self.last_block.len()
        {
            return Ok(Read::Request(last.clone()));
        }
        let (start, mut list) = match &self.kept {
            Some((at, list)) if *at <= same => (*at, list.clone()),
            _ => (0, List::default()),
        };
        // Where to keep the list: before the first field that is another than in the last block.
        let keep_at = self.begins.iter().copied().rfind(|at| *at <= same && *at > start);
        let mut keep = None;
        self.begins.retain(|at| *at < start);
        let (begins, limit) = (&mut self.begins, self.max_list_bytes);
        let changed = self.decoder.decode(block, start, |at, field| {
            begins.push(at);
            if keep_at == Some(at) {
                keep = Some((at, list.clone()));
            }
            list.add(field, limit);
        })?;
        if changed || block.len() > KEPT_BLOCK_BYTES {
            self.forget();
            return Ok(list.read());
        }
        if start == 0 || keep.is_some() {
            self.kept = keep;
        }
        self.last_block.clear();
        self.last_block.extend_from_slice(block);
        let read = list.read();
        self.last = match &read {
            Read::Request(head) => Some(head.clone()),
            _ => None,
        };
        Ok(read)
    }

    fn trailers(&mut self, block: &[u8]) -> Result<Read, Undecodable> {
        let (mut list, limit) = (List::default(), self.max_list_bytes);
        if self.decoder.decode(block, 0, |_, field| list.add(field, limit))? {
            self.forget();
        }
        Ok(match list {
            List { too_large: true, .. } => Read::TooLarge,
            list if list.malformed || list.has_pseudo() => Read::Malformed,
            _ => Read::Trailers,
        })
    }

    /// The table has changed: the same bytes may mean something else.
    fn forget(&mut self) {
        self.last_block.clear();
        self.begins.clear();
        self.last = None;
        self.kept = None;
    }
}

/// How many bytes two blocks have in common from the start.
fn common(a: &[u8], b: &[u8]) -> usize {
    let differs = a.iter().zip(b).position(|(a, b)| a != b);
    differs.unwrap_or(a.len().min(b.len()))
}

/// The fields of a block, as far as they were read.
#[derive(Clone, Default)]
struct List {
    method: Option<Method>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
    headers: HeaderMap,
    content_length: Option<u64>,
    bytes: usize,
    malformed: bool,
    too_large: bool,
}

impl List {
    fn has_pseudo(&self) -> bool {
        self.method.is_some() || self.scheme.is_some() || self.authority.is_some() || self.path.is_some()
    }

    fn add(&mut self, field: &Field, limit: usize) {
        self.bytes = self.bytes.saturating_add(field.size);
        self.too_large |= self.bytes > limit;
        if self.too_large || self.malformed {
            return;
        }
        self.malformed |= self.take(field).is_none();
    }

    /// None where the field may not stand there.
    fn take(&mut self, field: &Field) -> Option<()> {
        let value = field.value.as_ref()?;
        if let Name::Regular(name) = &field.name {
            if OF_CONNECTIONS.contains(name) || (*name == header::TE && value != "trailers") {
                return None;
            }
            if *name == header::CONTENT_LENGTH {
                let length = value.to_str().ok()?.parse().ok()?;
                if self.content_length.is_some_and(|before| before != length) {
                    return None;
                }
                self.content_length = Some(length);
            }
            return self.headers.try_append(name, value.clone()).ok().map(drop);
        }
        if !self.headers.is_empty() {
            return None;
        }
        let bytes = value.as_bytes();
        match field.name {
            Name::Method => once(&mut self.method, Method::from_bytes(bytes)),
            Name::Scheme => once(&mut self.scheme, Scheme::try_from(bytes)),
            Name::Authority => once(&mut self.authority, Authority::try_from(bytes)),
            Name::Path => once(&mut self.path, PathAndQuery::try_from(bytes)),
            Name::Invalid | Name::Regular(_) => None,
        }
    }

    /// What a whole block says that begins a request.
    fn read(self) -> Read {
        match self.too_large {
            true => Read::TooLarge,
            false => self.request().map_or(Read::Malformed, Read::Request),
        }
    }

    fn request(self) -> Option<Head> {
        let (method, scheme, path) = (self.method?, self.scheme?, self.path?);
        if self.malformed || method == Method::CONNECT {
            return None;
        }
        let mut uri = Uri::builder().path_and_query(path);
        if let Some(authority) = self.authority {
            uri = uri.scheme(scheme).authority(authority);
        }
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = method;
        parts.uri = uri.build().ok()?;
        parts.version = Version::HTTP_2;
        parts.headers = self.headers;
        Some(Head { parts: Arc::new(parts), content_length: self.content_length })
    }
}

fn once<T, E>(place: &mut Option<T>, value: Result<T, E>) -> Option<()> {
    match place.replace(value.ok()?) {
        None => Some(()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::hpack::Block;
    use super::*;

    const COMMON: [(&str, &str); 4] =
        [(":method", "POST"), (":scheme", "http"), (":path", "/a/b?c"), (":authority", "there:4317")];

    fn block(fields: &[(&str, &str)]) -> Vec<u8> {
        let block =
            fields.iter().fold(Block::trailers(), |block, (name, value)| block.with(name, value.as_bytes()));
        block.as_bytes().to_vec()
    }

    fn read(fields: &[(&str, &str)], is_trailers: bool) -> Read {
        Heads::new(1000).read(&block(fields), is_trailers).unwrap()
    }

    #[test]
    fn a_request_has_what_was_sent() {
        let fields =
            [&COMMON[..], &[("te", "trailers"), ("x", "1"), ("x", "2"), ("content-length", "7")]].concat();
        let Read::Request(head) = read(&fields, false) else { panic!("a request") };
        assert_eq!((head.parts.method.as_str(), head.content_length), ("POST", Some(7)));
        assert_eq!(head.parts.uri.to_string(), "http://there:4317/a/b?c");
        assert_eq!(head.parts.headers.get_all("x").iter().count(), 2);
    }

    #[test]
    fn what_no_request_may_have_is_malformed() {
        for more in [
            ("connection", "close"),
            ("te", "gzip"),
            ("Upper", "1"),
            (":path", "/twice"),
            (":status", "200"),
            (":protocol", "x"),
            ("content-length", "x"),
            ("x", "line\nbreak"),
        ] {
            let fields = [&COMMON[..], &[more]].concat();
            assert!(matches!(read(&fields, false), Read::Malformed), "{more:?}");
        }
        let late = [&COMMON[1..], &[("x", "1"), COMMON[0]]].concat();
        assert!(matches!(read(&late, false), Read::Malformed), "a pseudo-header after a header");
        for (missing, _) in &COMMON[..3] {
            let fields: Vec<_> = COMMON.iter().copied().filter(|(name, _)| name != missing).collect();
            assert!(matches!(read(&fields, false), Read::Malformed), "without {missing}");
        }
        assert!(matches!(read(&[("x", "1")], true), Read::Trailers));
        assert!(matches!(read(&COMMON[..1], true), Read::Malformed));
        let large = "x".repeat(900);
        assert!(matches!(read(&[&COMMON[..], &[("x", &large)]].concat(), false), Read::TooLarge));
    }

    /// Heads that are alike, read with what is kept of the former ones and without, are the same.
    #[test]
    fn what_is_kept_makes_no_difference() {
        let mut seed = 11u32;
        let mut random = move |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        let mut heads = Heads::new(1000);
        let (mut changes, mut kept) = (Vec::<Vec<u8>>::new(), 0);
        for _ in 0..3000 {
            let mut fields = COMMON.to_vec();
            for _ in 0..random(4) {
                let names = ["a", "content-length", "b"];
                fields.push((names[random(3) as usize], ["", "7", "77"][random(3) as usize]));
            }
            if random(20) == 0 {
                fields.push(("connection", "x"));
            }
            let mut block = block(&fields);
            let inserts = random(10) == 0;
            if inserts {
                block.extend_from_slice(&[0x40, 1, b'x', 1, b'0' + random(9) as u8]);
            } else if !changes.is_empty() && random(3) == 0 {
                block.push(0x80 | 62);
            }
            // The same on a connection that has seen what changes the table and nothing else.
            let mut other = Heads::new(1000);
            changes.iter().rev().take(3).rev().for_each(|before| drop(other.read(before, false)));
            kept += usize::from(heads.kept.is_some());
            match (heads.read(&block, false).unwrap(), other.read(&block, false).unwrap()) {
                (Read::Request(a), Read::Request(b)) => {
                    assert_eq!((&a.parts.headers, &a.parts.uri), (&b.parts.headers, &b.parts.uri));
                    assert_eq!(a.content_length, b.content_length);
                }
                (a, b) => assert_eq!(std::mem::discriminant(&a), std::mem::discriminant(&b)),
            }
            if inserts {
                changes.push(block);
            }
        }
        assert!(kept > 500, "{kept}");
    }

    #[test]
    fn the_same_block_gives_the_same_head_unless_the_table_has_changed() {
        let mut heads = Heads::new(1000);
        let fields = block(&COMMON);
        let mut next = |block: &[u8]| match heads.read(block, false).unwrap() {
            Read::Request(head) => head.parts,
            _ => panic!("a request"),
        };
        let first = next(&fields);
        assert!(Arc::ptr_eq(&first, &next(&fields)));
        // A header of its own, by index 62, which another block puts something else in.
        let with = |value: &str| [&fields[..], &[0x40, 1, b'x', 1], value.as_bytes()].concat();
        let by_index = [&fields[..], &[0x80 | 62]].concat();
        for value in ["1", "2"] {
            assert_eq!(next(&with(value)).headers["x"], value);
            assert_eq!(next(&by_index).headers["x"], value);
            assert_eq!(next(&by_index).headers["x"], value);
        }
    }
}

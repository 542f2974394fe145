//! The two encodings of OTLP over HTTP.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::grpc::{rpc_status_from_json, rpc_status_to_json};

/// How requests and answers are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Format {
    const fn media_type(self) -> &'static str {
        match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        }
    }

    /// The format that the content type names, whatever its parameters, if it is one of these.
    pub fn of(headers: &HeaderMap) -> Option<Format> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next().unwrap_or_default().trim();
        [Format::Protobuf, Format::Json]
            .into_iter()
            .find(|format| media_type.eq_ignore_ascii_case(format.media_type()))
    }

    /// The content type.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(self.media_type())
    }

    /// A `google.rpc.Status`, which is protobuf, in this format.
    pub fn status_from_protobuf(self, status: Bytes) -> Bytes {
        match self {
            Format::Protobuf => status,
            Format::Json => rpc_status_to_json(&status),
        }
    }

    /// A `google.rpc.Status` in this format as protobuf; nothing where it is none.
    pub fn status_to_protobuf(self, status: Bytes) -> Bytes {
        match self {
            Format::Protobuf => status,
            Format::Json => rpc_status_from_json(&status).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_content_type() {
        for (value, format) in [
            ("application/json", Some(Format::Json)),
            ("Application/X-Protobuf; charset=utf-8", Some(Format::Protobuf)),
            (" application/json ;x", Some(Format::Json)),
            ("application/protobuf", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(Format::of(&headers), format, "{value}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), None);
        assert_eq!(Format::Json.content_type(), "application/json");
    }
}

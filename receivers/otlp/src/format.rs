use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use phoenix_transport::grpc::rpc_status_to_json;

use crate::grpc::ALL_ACCEPTED;

/// How requests and answers are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// The format that the content type names, whatever its parameters.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Format> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next().unwrap_or_default().trim();
        [Format::Protobuf, Format::Json]
            .into_iter()
            .find(|format| media_type.eq_ignore_ascii_case(format.media_type()))
    }

    const fn media_type(self) -> &'static str {
        match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        }
    }

    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(self.media_type())
    }

    /// The answer to a request that was accepted.
    pub(crate) fn all_accepted(self) -> Bytes {
        match self {
            Format::Protobuf => ALL_ACCEPTED,
            Format::Json => Bytes::from_static(br#"{"partialSuccess":{}}"#),
        }
    }

    /// A serialized `google.rpc.Status` in this format.
    pub(crate) fn status(self, status: Bytes) -> Bytes {
        match self {
            Format::Protobuf => status,
            Format::Json => rpc_status_to_json(&status),
        }
    }
}

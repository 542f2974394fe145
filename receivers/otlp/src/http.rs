//! OTLP over HTTP, with bodies in protobuf or JSON.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode, request};
use phoenix_component::{Code, Refusal};
use phoenix_pdata::Signal;
use phoenix_transport::compression::Encoding;
use phoenix_transport::grpc::{Status, rpc_status};
use phoenix_transport::http::Format;
use phoenix_transport::http::server::{BodyError, HttpService, Refused, Request as HttpRequest};

use crate::client;
use crate::grpc::ALL_ACCEPTED;
use crate::intake::{Body, Intake, NotTaken, Request};
use crate::metrics::IntakeMetrics;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

pub(crate) struct OtlpHttpService {
    pub(crate) intake: Intake,
    pub(crate) metrics: IntakeMetrics,
    pub(crate) include_metadata: bool,
    /// The path of each signal.
    pub(crate) paths: [String; 3],
}

impl HttpService for OtlpHttpService {
    type Route = (Signal, Format);

    fn route(&self, head: &request::Parts) -> Result<(Signal, Format), Response<Bytes>> {
        let path = head.uri.path();
        let signal = Signal::ALL.into_iter().find(|signal| self.paths[signal.index()] == path);
        let Some(signal) = signal.filter(|signal| self.intake.takes(*signal)) else {
            return Err(plain(StatusCode::NOT_FOUND, "404 page not found\n"));
        };
        if head.method != Method::POST {
            let mut response =
                plain(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed, supported: [POST]");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Err(response);
        }
        let Some(format) = Format::of(&head.headers) else {
            let text = "415 unsupported media type, supported: [application/json, application/x-protobuf]";
            return Err(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        };
        Ok((signal, format))
    }

    /// In the encoding of the request, as every answer of OTLP.
    fn refuse(&self, head: &request::Parts, refused: &Refused) -> Response<Bytes> {
        let status = Status::new(refused.code, refused.message.clone());
        let status = match refused.delay {
            Some(delay) => status.with_retry_delay(delay),
            None => status,
        };
        status_response(Format::of(&head.headers).unwrap_or(Format::Json), (refused.status, status))
    }

    /// What came as JSON becomes protobuf, so it has to be looked into.
    fn takes_encoded(&self, (signal, format): (Signal, Format), encoding: Encoding) -> bool {
        format == Format::Protobuf && self.intake.takes_encoded(signal, encoding)
    }

    async fn call(&self, (signal, format): (Signal, Format), request: HttpRequest) -> Response<Bytes> {
        let body = match request.body {
            Ok(body) => body,
            Err(error) => return status_response(format, body_status(&error)),
        };
        let authority = request.head.uri.authority().map(|authority| authority.as_str());
        let headers = &request.head.headers;
        let client = client::info(headers, authority, &request.peer, request.identity, self.include_metadata);
        let trace = self.intake.trace(&request.head.headers);
        let charged = request.charged;
        let body = Body::new(body, request.encoded);
        let request = Request { signal, format, body, client, deadline: None, trace, charged };
        match self.intake.take(request, &self.metrics).await {
            Ok(()) => answer(StatusCode::OK, format.content_type(), all_accepted(format)),
            Err(NotTaken::Undecodable(undecodable)) => {
                status_response(format, body_status(&undecodable.into()))
            }
            Err(NotTaken::Malformed(reason)) => {
                let status = Status::new(Code::INVALID_ARGUMENT, reason);
                status_response(format, (StatusCode::BAD_REQUEST, status))
            }
            Err(NotTaken::Refused(refusal)) => status_response(format, refusal_status(&refusal)),
        }
    }
}

fn body_status(error: &BodyError) -> (StatusCode, Status) {
    let (http, code) = match error {
        BodyError::OverBudget { delay } => {
            let status = Status::new(Code::UNAVAILABLE, error.to_string()).with_retry_delay(*delay);
            return (StatusCode::SERVICE_UNAVAILABLE, status);
        }
        BodyError::Timeout => (StatusCode::REQUEST_TIMEOUT, Code::DEADLINE_EXCEEDED),
        _ => (StatusCode::BAD_REQUEST, Code::INVALID_ARGUMENT),
    };
    (http, Status::new(code, error.to_string()))
}

/// The HTTP status for a refusal, by the gRPC code that it has over that protocol.
fn refusal_status(refusal: &Refusal) -> (StatusCode, Status) {
    let status = Status::from(refusal);
    let http = match status.code {
        Code::CANCELLED
        | Code::DEADLINE_EXCEEDED
        | Code::ABORTED
        | Code::OUT_OF_RANGE
        | Code::UNAVAILABLE
        | Code::DATA_LOSS => StatusCode::SERVICE_UNAVAILABLE,
        Code::RESOURCE_EXHAUSTED => StatusCode::TOO_MANY_REQUESTS,
        Code::INVALID_ARGUMENT => StatusCode::BAD_REQUEST,
        Code::UNAUTHENTICATED => StatusCode::UNAUTHORIZED,
        Code::PERMISSION_DENIED => StatusCode::FORBIDDEN,
        Code::UNIMPLEMENTED => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (http, status)
}

/// The answer to a request that was accepted.
fn all_accepted(format: Format) -> Bytes {
    match format {
        Format::Protobuf => ALL_ACCEPTED,
        Format::Json => Bytes::from_static(br#"{"partialSuccess":{}}"#),
    }
}

fn status_response(format: Format, (http, status): (StatusCode, Status)) -> Response<Bytes> {
    let delay = status.retry_delay();
    let body = if status.details.is_empty() {
        rpc_status(status.code, &status.message, None)
    } else {
        status.details
    };
    let mut response = answer(http, format.content_type(), format.status_from_protobuf(body));
    if matches!(http, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
        && let Some(delay) = delay
    {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
    }
    response
}

/// Rounded up: a sender that comes back too early is refused again.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    answer(status, PLAIN, Bytes::from_static(text.as_bytes()))
}

fn answer(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

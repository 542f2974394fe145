//! `If-None-Match` where nothing is changed that has a revision: answers that are known already, and what is to be made
//! only where there is none yet (RFC 9110, section 13.1.2).

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::extract::{Whole, tags};
use crate::error::Error;
use crate::etags::Tags;

pub(crate) async fn conditions(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let none_of = match tags(request.headers(), &header::IF_NONE_MATCH) {
        Ok(tags) => tags,
        Err(error) => return error.into_response(),
    };
    let response = next.run(request).await;
    let Some(none_of) = none_of else { return response };
    match method {
        Method::GET | Method::HEAD => unless_known(&none_of, response),
        // What is made has a name that nothing else has: that it is taken is what the client asks about.
        Method::POST if none_of == Tags::Any && response.status() == StatusCode::CONFLICT => {
            Error::Precondition("there is one already".to_owned()).into_response()
        }
        _ => response,
    }
}

/// The answer without its body, where the client has it.
fn unless_known(none_of: &Tags, response: Response) -> Response {
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let is_known =
        response.extensions().get::<Whole>().is_some() && tag.is_some_and(|tag| none_of.has_weakly(tag));
    if !is_known {
        return response;
    }
    let mut answer = StatusCode::NOT_MODIFIED.into_response();
    for name in [header::ETAG, header::CACHE_CONTROL] {
        if let Some(value) = response.headers().get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

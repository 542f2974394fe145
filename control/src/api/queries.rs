//! Queries where none is asked for: whoever writes `?dry_run=true` there means something that would not be done.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use crate::error::Error;

/// The operations, by method and path, and whether each takes a query.
#[derive(Clone)]
pub(crate) struct Queried(Arc<BTreeMap<(&'static str, String), bool>>);

fn takes_query(operation: &Operation) -> bool {
    let is_query = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => false,
    };
    operation.parameters.iter().flatten().any(is_query)
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let PathItem { get, put, post, patch, delete, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("PATCH", patch), ("DELETE", delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

impl Queried {
    /// Those of a document.
    pub(crate) fn of(document: &OpenApi) -> Queried {
        let all = document.paths.paths.iter().flat_map(|(path, item)| {
            operations(item).map(|(method, operation)| ((method, path.clone()), takes_query(operation)))
        });
        Queried(Arc::new(all.collect()))
    }

    /// Whether a request is to an operation that takes none.
    fn takes_none(&self, request: &Request) -> bool {
        let method = if request.method() == "HEAD" { "GET" } else { request.method().as_str() };
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        self.0.iter().any(|((known, of), takes)| *known == method && of == path && !takes)
    }
}

pub(crate) async fn only_known(State(queried): State<Queried>, request: Request, next: Next) -> Response {
    let query = request.uri().query().filter(|query| !query.is_empty());
    match query.filter(|_| queried.takes_none(&request)) {
        None => next.run(request).await,
        Some(query) => {
            let key: String = query.split(['=', '&']).next().unwrap_or_default().chars().take(100).collect();
            Error::field(key, "is no parameter of this operation").into_response()
        }
    }
}

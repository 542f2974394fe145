//! Roles: there are four, and what each may is fixed.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Query;
use super::page::{Page, Paging, page_of};
use crate::audit::Caller;
use crate::error::Result;
use crate::roles::{Permission, Role};

/// A role.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RoleDetails {
    /// Its name, as users and keys have it.
    name: Role,
    /// What it includes.
    permissions: Vec<Permission>,
}

/// Lists the roles and what each may.
#[utoipa::path(get, path = "/roles", tag = "users", params(Paging), responses((status = 200, body = Page<RoleDetails>)))]
pub(crate) async fn list(caller: Caller, Query(paging): Query<Paging>) -> Result<Json<Page<RoleDetails>>> {
    caller.require(Permission::View)?;
    let details = |name: Role| RoleDetails {
        name,
        permissions: Permission::ALL.into_iter().filter(|permission| name.may(*permission)).collect(),
    };
    page_of(Role::ALL.map(details).to_vec(), &paging, |role| role.name.name().to_owned())
}

//! The control service: keeps the wanted configuration of every collector, proves it before it ships, rolls it out
//! in steps, and sees what became of it.
//!
//! - In: REST ([`api`]), and agents over OpAMP ([`opamp`]).
//! - State: one database ([`store`]); what is only in memory ([`hub`]) is who is connected.
//! - Elsewhere: what a configuration means is asked of the collector's own crates ([`validation`]).

pub mod agents;
pub mod api;
pub mod app;
pub mod audit;
pub(crate) mod components;
pub mod configurations;
pub mod cron;
pub mod error;
mod etags;
pub mod freezes;
pub mod groups;
pub mod hub;
pub mod ids;
pub mod instances;
pub mod limits;
pub mod oidc;
pub mod opamp;
pub mod own_telemetry;
pub mod passwords;
pub mod principals;
pub mod roles;
pub mod rollouts;
pub mod schedules;
pub mod selector;
pub mod serve;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod templates;
pub mod time;
pub mod tls;
pub mod validation;

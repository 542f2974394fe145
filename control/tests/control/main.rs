//! The real service on free ports, its clients and its agents.

mod agent;
mod api;
mod approval;
mod changes;
mod collector;
mod conformance;
mod fleet;
mod gates;
mod login;
mod permissions;
mod rig;
mod secure;

//! The real service on free ports, its clients and its agents.

mod agent;
mod api;
mod approval;
mod changes;
mod collector;
mod conformance;
mod faults;
mod fleet;
mod gates;
mod login;
mod own_telemetry;
mod permissions;
mod rig;
mod secure;

//! The real service on free ports, its clients and its agents.

mod agent;
mod api;
mod approval;
mod authenticated;
mod changes;
mod clocks;
mod collector;
mod conditions;
mod conformance;
mod faults;
mod fleet;
mod gates;
mod hops;
mod login;
mod logs;
mod once;
mod own_telemetry;
mod permissions;
mod reference;
mod rig;
mod secure;
mod signing_keys;
mod supervised;

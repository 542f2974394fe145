//! The real service on free ports, its clients and its agents.

mod agent;
mod api;
mod approval;
mod changes;
mod clocks;
mod collector;
mod conformance;
mod faults;
mod fleet;
mod gates;
mod login;
mod logs;
mod own_telemetry;
mod permissions;
mod reference;
mod rig;
mod secure;
mod supervised;

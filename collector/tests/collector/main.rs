//! The whole collector: its house, its configurations, and its behaviour against real peers.

#![allow(clippy::print_stderr, reason = "a test that skips says so")]

mod accounting;
mod admin;
mod backend;
mod bad_input;
mod binary;
mod configs;
mod configuration;
mod encodings;
mod house;
mod inside;
mod load;
mod sdk;
mod signals;
mod swaps;

//! The whole collector: its house, its configurations, and its behaviour against real peers.

#![allow(clippy::print_stderr, reason = "a test that skips says so")]

mod accounting;
mod admin;
mod aggregation;
mod analyze;
mod auth;
mod backend;
mod bad_input;
mod binary;
mod command_lines;
mod configs;
mod configuration;
mod connectors;
mod docs;
mod encodings;
mod examples;
mod files;
mod hostile;
mod hostile_configurations;
mod hosts;
mod house;
mod inside;
mod limits;
mod load;
mod metadata;
mod own_metrics;
mod own_telemetry;
mod prometheus;
mod replicas;
mod sampling;
mod sampling_extension;
mod sdk;
mod secrets;
mod signals;
mod swaps;
mod victoria_metrics;

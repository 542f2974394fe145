//! The whole collector: its house, its configurations, and its behaviour against real peers.

mod binary;
mod configs;
mod house;

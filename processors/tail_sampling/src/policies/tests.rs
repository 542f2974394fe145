//! The policies beyond otelcol's, from their settings to what they keep.

mod budgets;
mod counting;
mod learned;
mod rates;
mod settings;
mod traces;

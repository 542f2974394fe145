//! Requests of series that are let out.

use std::sync::Arc;

use phoenix_pdata::view::Temporality;
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_message, put_uint};
use phoenix_series::Fingerprint;

use crate::choice::Choices;
use crate::kind::Kind;
use crate::output::{Frame, Output};

/// Writes entries of resources for outputs that are sorted by their frames. `points` writes those of one and says how many.
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
    pub(crate) points: u64,
    open: Option<[Fingerprint; 3]>,
    scopes: Vec<u8>,
    metrics: Vec<u8>,
    data: Vec<u8>,
    frame: Option<Arc<Frame>>,
}

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer {
            out: Vec::new(),
            points: 0,
            open: None,
            scopes: Vec::new(),
            metrics: Vec::new(),
            data: Vec::new(),
            frame: None,
        }
    }

    /// Writes what an output has to say. Returns how many points and bytes that were.
    pub(crate) fn write(&mut self, output: &mut Output, last: bool, choices: &Choices) -> (u64, u64) {
        let key = output.frame.key;
        if self.open.is_some_and(|open| open != key) {
            self.close(Some(key));
        }
        self.open = Some(key);
        self.frame = Some(output.frame.clone());
        let before = self.data.len();
        let points = output.write(last, choices, &mut self.data);
        self.points += points;
        let bytes = Fields::new(&self.data[before..]).map(|point| point.body.len() as u64).sum();
        (points, bytes)
    }

    /// Ends the metric that is open, and scope and resource where the next is of another.
    fn close(&mut self, next: Option<[Fingerprint; 3]>) {
        let (Some(frame), Some(key)) = (self.frame.take(), self.open.take()) else { return };
        if !self.data.is_empty() {
            let kind = frame.kind;
            let data = std::mem::take(&mut self.data);
            put_message(&mut self.metrics, 2, |out| {
                out.extend_from_slice(&frame.metric);
                put_message(out, kind.field(), |out| {
                    out.extend_from_slice(&data);
                    let temporality = match kind.temporality() {
                        Some(Temporality::Delta) => 1,
                        Some(Temporality::Cumulative) => 2,
                        _ => 0,
                    };
                    if temporality != 0 {
                        put_uint(out, 2, temporality);
                    }
                    if let Kind::Sum { monotonic: true, .. } = kind {
                        put_uint(out, 3, 1);
                    }
                });
            });
            self.data = data;
            self.data.clear();
        }
        let same_resource = next.is_some_and(|next| next[0] == key[0]);
        let same_scope = same_resource && next.is_some_and(|next| next[1] == key[1]);
        if !same_scope && !self.metrics.is_empty() {
            let metrics = std::mem::take(&mut self.metrics);
            put_message(&mut self.scopes, 2, |out| {
                out.extend_from_slice(&frame.scope);
                out.extend_from_slice(&metrics);
            });
        }
        if !same_resource && !self.scopes.is_empty() {
            let scopes = std::mem::take(&mut self.scopes);
            put_message(&mut self.out, 1, |out| {
                out.extend_from_slice(&frame.resource);
                out.extend_from_slice(&scopes);
            });
        }
    }

    /// Ends everything.
    pub(crate) fn finish(mut self) -> (Vec<u8>, u64) {
        self.close(None);
        (self.out, self.points)
    }
}

//! What samplers decided about traces, for people who ask why one is there or not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_config::ComponentId;
use serde::{Serialize, Serializer};

use crate::{Capabilities, Offer};

/// What a sampler decided about a trace, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceDecision {
    /// `sampled`, `not_sampled` or `dropped`.
    pub outcome: &'static str,
    /// The policy that decided; none where none wanted the trace.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub policy: Option<Arc<str>>,
    /// The part of that policy.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub part: Option<Arc<str>>,
    /// What brought it about: the end of the wait, or why it was earlier.
    pub trigger: &'static str,
    /// How many traces like it this one stands for, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjusted_count: Option<f64>,
    /// When, as Unix time.
    pub unix_nanos: u64,
    /// Spans that were there.
    pub spans: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of the configuration whose policies decided, from 0.
    pub generation: u32,
}

fn as_text<S: Serializer>(text: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(to)
}

/// The latest decisions of one sampler. Its shards, and all its pipelines, write into one book, which goes on over a
/// change of settings.
#[derive(Debug)]
pub struct DecisionBook {
    pages: [Mutex<Page>; DecisionBook::PAGES],
}

/// Two generations: the older goes when the younger is full.
#[derive(Debug, Default)]
struct Page {
    young: HashMap<[u8; 16], TraceDecision>,
    old: HashMap<[u8; 16], TraceDecision>,
}

impl DecisionBook {
    /// Decisions that are remembered at least, where traces are many; twice as many at most.
    pub const MEMORY: usize = 16_384;
    /// Shards write to different pages most of the time.
    const PAGES: usize = 16;

    /// The book of the sampler `id`, open for as long as the offer is held.
    pub fn open(capabilities: &Capabilities, id: &ComponentId) -> (Arc<DecisionBook>, Offer) {
        let book = capabilities.find::<DecisionBook>(id).unwrap_or_default();
        let offer = capabilities.offer(id, book.clone());
        (book, offer)
    }

    /// Notes a decision.
    pub fn note(&self, trace_id: [u8; 16], decision: TraceDecision) {
        let mut page = self.page(&trace_id).lock().unwrap_or_else(PoisonError::into_inner);
        if page.young.len() >= DecisionBook::MEMORY / DecisionBook::PAGES {
            page.old = std::mem::take(&mut page.young);
        }
        page.young.insert(trace_id, decision);
    }

    /// What was decided about a trace, if that was lately.
    pub fn find(&self, trace_id: &[u8; 16]) -> Option<TraceDecision> {
        let page = self.page(trace_id).lock().unwrap_or_else(PoisonError::into_inner);
        page.young.get(trace_id).or_else(|| page.old.get(trace_id)).cloned()
    }

    fn page(&self, trace_id: &[u8; 16]) -> &Mutex<Page> {
        &self.pages[usize::from(trace_id[15]) % DecisionBook::PAGES]
    }
}

impl Default for DecisionBook {
    fn default() -> DecisionBook {
        DecisionBook { pages: std::array::from_fn(|_| Mutex::default()) }
    }
}

/// The identifier of a trace from its 32 hexadecimal digits.
pub fn trace_id(text: &str) -> Option<[u8; 16]> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bits = u128::from_str_radix(text, 16).ok().filter(|_| is_id)?;
    Some(bits.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(spans: u64) -> TraceDecision {
        TraceDecision {
            outcome: "sampled",
            policy: Some("errors".into()),
            part: None,
            trigger: "decision_wait",
            adjusted_count: None,
            unix_nanos: 1,
            spans,
            bytes: 100,
            generation: 0,
        }
    }

    #[test]
    fn the_latest_decisions_are_found_and_their_number_is_bounded() {
        let book = DecisionBook::default();
        for number in 0..200_000_u64 {
            book.note(u128::from(number).to_be_bytes(), decision(number));
        }
        let lately = |number: u64| book.find(&u128::from(number).to_be_bytes()).map(|found| found.spans);
        assert_eq!(lately(199_999), Some(199_999));
        assert_eq!(
            lately(200_000 - DecisionBook::MEMORY as u64),
            Some(200_000 - DecisionBook::MEMORY as u64)
        );
        assert_eq!(lately(0), None);
        let held: usize = book
            .pages
            .iter()
            .map(|page| {
                let page = page.lock().expect("no panic");
                page.young.len() + page.old.len()
            })
            .sum();
        assert!(held <= 2 * DecisionBook::MEMORY, "{held}");
    }

    #[test]
    fn one_sampler_has_one_book() {
        let (table, id) =
            (Capabilities::default(), ComponentId::parse("tail_sampling").expect("an identifier"));
        let (first, first_offer) = DecisionBook::open(&table, &id);
        let (second, _offer) = DecisionBook::open(&table, &id);
        first.note([1; 16], decision(1));
        drop(first_offer);
        assert!(second.find(&[1; 16]).is_some());
        assert_eq!(table.all::<DecisionBook>().len(), 1);
    }

    #[test]
    fn identifiers_are_32_digits() {
        assert_eq!(trace_id("0000000000000000000000000000000F").map(|id| id[15]), Some(15));
        for wrong in ["", "0f", "+000000000000000000000000000000f", "0000000000000000000000000000000g"] {
            assert_eq!(trace_id(wrong), None, "{wrong}");
        }
    }
}

//! Which spans of a large trace are let out: `trace_truncate`.
//!
//! What a trace is looked at for stays: its roots, spans that failed with all that called them, and the critical path,
//! which is found from the end of a root backwards: the child that ended last before what is known of the path began is on it,
//! and then its own children before the others. Of the rest a share stays, chosen by a hash of trace and span, so that
//! replicas choose alike.
//!
//! The threshold in `tracestate` says how often the *trace* is kept, and goes by the randomness of the trace; what is chosen
//! within a trace goes by another one, so no threshold could say it. Those spans carry how many they stand for in
//! [`ADJUSTED_COUNT`], on top of the threshold.
//!
//! - Cost: O(n log n) for n spans of a trace that is cut, once; nothing for others.

use std::collections::HashMap;

use phoenix_pdata::wire::Fields;
use phoenix_sampling::{Randomness, Threshold};
use xxhash_rust::xxh3::xxh3_64;

use crate::conditions::is_error;

/// The attribute of spans that says how many spans of its trace one stands for.
pub(crate) const ADJUSTED_COUNT: &str = "sampling.span.adjusted_count";

/// Bytes that finding out takes for each span of a trace: its bytes' place, its node and fate, who called it and whom it called,
/// and its place in a map, half of which may be free.
pub(crate) const SPAN_BYTES: usize = 16 + size_of::<Node<'static>>() + 2 + 16 + 24 + 8 + 2 * 25;

const SPAN_ID: u32 = 2;
const PARENT: u32 = 4;
const START: u32 = 7;
const END: u32 = 8;

/// Which traces are cut, and what stays of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Truncation {
    /// Traces of so many spans are cut; none where it is 0.
    pub(crate) min_spans: u64,
    /// Traces of so many bytes are.
    pub(crate) min_bytes: u64,
    /// The share that stays of spans that nothing speaks for.
    pub(crate) share: Threshold,
}

impl Truncation {
    /// Whether a trace of this size is cut.
    pub(crate) fn applies_to(&self, spans: u64, bytes: u64) -> bool {
        let reaches = |least: u64, amount: u64| least > 0 && amount >= least;
        reaches(self.min_spans, spans) || reaches(self.min_bytes, bytes)
    }
}

/// What becomes of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays for what it is.
    Kept,
    /// It stays as one of a share.
    Chosen,
    Cut,
}

impl Fate {
    /// Of a span that nothing speaks for.
    fn by_chance(trace: &[u8; 16], span: &[u8], share: Threshold) -> Fate {
        let mut key = [0; 24];
        key[..16].copy_from_slice(trace);
        for (place, byte) in key[16..].iter_mut().zip(span) {
            *place = *byte;
        }
        if share.keeps(Randomness::new(xxh3_64(&key))) { Fate::Chosen } else { Fate::Cut }
    }
}

/// What is looked at of a span.
#[derive(Clone, Copy, Debug, Default)]
struct Node<'a> {
    id: &'a [u8],
    parent: &'a [u8],
    start: u64,
    end: u64,
}

impl<'a> Node<'a> {
    fn of(span: &'a [u8]) -> Node<'a> {
        let mut node = Node::default();
        for field in Fields::new(span) {
            match field.number() {
                SPAN_ID => node.id = field.body,
                PARENT => node.parent = field.body,
                START => node.start = field.scalar,
                END => node.end = field.scalar,
                _ => {}
            }
        }
        node
    }
}

/// The fate of a span that comes once its trace was cut: what else belongs to it is not there any more.
pub(crate) fn fate_of_late(trace: &[u8; 16], span: &[u8], share: Threshold) -> Fate {
    let node = Node::of(span);
    if node.parent.is_empty() || is_error(span) { Fate::Kept } else { Fate::by_chance(trace, node.id, share) }
}

/// The fates of the spans of a trace.
pub(crate) fn fates(trace: &[u8; 16], spans: &[&[u8]], share: Threshold) -> Vec<Fate> {
    let nodes: Vec<Node<'_>> = spans.iter().map(|span| Node::of(span)).collect();
    let family = Family::of(&nodes);
    let mut kept = vec![false; nodes.len()];
    for root in &family.roots {
        kept[*root] = true;
        family.keep_critical_path(*root, &nodes, &mut kept);
    }
    for (index, _) in spans.iter().enumerate().filter(|(_, span)| is_error(span)) {
        family.keep_with_callers(index, &mut kept);
    }
    let fate = |(node, is_kept): (&Node<'_>, bool)| match is_kept {
        true => Fate::Kept,
        false => Fate::by_chance(trace, node.id, share),
    };
    nodes.iter().zip(kept).map(fate).collect()
}

/// Who called whom.
struct Family {
    /// The caller of each span, where it is there.
    parents: Vec<Option<usize>>,
    /// Whom each span called.
    children: Vec<Vec<usize>>,
    /// Spans without a parent; where there is none, those whose parent is not there.
    roots: Vec<usize>,
}

impl Family {
    fn of(nodes: &[Node<'_>]) -> Family {
        let mut by_id: HashMap<&[u8], usize> = HashMap::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            // Of spans with one identifier the first counts.
            by_id.entry(node.id).or_insert(index);
        }
        let parent_of = |(index, node): (usize, &Node<'_>)| {
            let parent = by_id.get(node.parent).copied();
            parent.filter(|parent| !node.parent.is_empty() && *parent != index)
        };
        let parents: Vec<Option<usize>> = nodes.iter().enumerate().map(parent_of).collect();
        let mut children = vec![Vec::new(); nodes.len()];
        for (index, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(index);
            }
        }
        let mut roots: Vec<usize> = (0..nodes.len()).filter(|at| nodes[*at].parent.is_empty()).collect();
        if roots.is_empty() {
            roots.extend((0..nodes.len()).filter(|at| parents[*at].is_none()));
        }
        Family { parents, children, roots }
    }

    /// Keeps a span and all that called it, up to one that is kept: those above it are kept too. So it also ends where
    /// spans call in a circle.
    fn keep_with_callers(&self, index: usize, kept: &mut [bool]) {
        kept[index] = true;
        let mut next = self.parents[index];
        while let Some(at) = next.filter(|at| !kept[*at]) {
            kept[at] = true;
            next = self.parents[at];
        }
    }

    /// Keeps what a root waited for.
    fn keep_critical_path(&self, root: usize, nodes: &[Node<'_>], kept: &mut [bool]) {
        // Spans on the path whose children are still to be looked at. Each comes once, when it is kept.
        let mut open = vec![root];
        while let Some(at) = open.pop() {
            let mut until = nodes[at].end;
            let mut children: Vec<usize> = self.children[at].clone();
            children.sort_unstable_by_key(|child| std::cmp::Reverse((nodes[*child].end, *child)));
            for child in children {
                let node = nodes[child];
                if node.end > until || node.start >= until || kept[child] {
                    continue;
                }
                kept[child] = true;
                open.push(child);
                until = node.start;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use phoenix_pdata::write::{put_bytes, put_fixed64, put_message, put_uint};

    use super::*;

    /// A span of a number, its caller's (0 for none), its times, and whether it failed.
    fn span(id: u64, parent: u64, (start, end): (u64, u64), is_error: bool) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, SPAN_ID, &id.to_be_bytes());
        if parent > 0 {
            put_bytes(&mut out, PARENT, &parent.to_be_bytes());
        }
        put_fixed64(&mut out, START, start);
        put_fixed64(&mut out, END, end);
        if is_error {
            put_message(&mut out, 15, |out| put_uint(out, 3, 2));
        }
        out
    }

    /// The numbers of the spans that are kept for what they are.
    fn kept(spans: &[Vec<u8>]) -> Vec<u64> {
        let views: Vec<&[u8]> = spans.iter().map(Vec::as_slice).collect();
        let fates = fates(&[7; 16], &views, Threshold::NEVER);
        let number = |span: &[u8]| u64::from_be_bytes(Node::of(span).id.try_into().unwrap());
        views
            .iter()
            .zip(fates)
            .filter(|(_, fate)| *fate == Fate::Kept)
            .map(|(span, _)| number(span))
            .collect()
    }

    #[test]
    fn the_critical_path_is_what_the_root_waited_for() {
        let spans = [
            span(1, 0, (0, 100), false),
            // Two in parallel: 3 ends later, so 1 waited for it, and for 4 before it began.
            span(2, 1, (50, 80), false),
            span(3, 1, (50, 90), false),
            span(4, 1, (10, 45), false),
            // Within 3 and 4.
            span(5, 3, (60, 88), false),
            span(6, 3, (55, 70), false),
            span(7, 4, (10, 20), false),
            // Goes on when its caller has ended: nobody waits for it.
            span(8, 1, (20, 130), false),
        ];
        assert_eq!(kept(&spans), [1, 3, 4, 5, 7]);
    }

    #[test]
    fn what_failed_stays_with_all_that_called_it() {
        let spans = [
            span(1, 0, (0, 100), false),
            span(2, 1, (1, 99), false),
            span(3, 1, (0, 5), false),
            span(4, 3, (0, 200), false),
            span(5, 4, (0, 300), true),
            span(6, 4, (0, 300), false),
        ];
        assert_eq!(kept(&spans), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn roots_that_are_missing_and_circles_do_no_harm() {
        let orphans = [span(2, 9, (0, 10), false), span(3, 2, (1, 9), false), span(4, 2, (1, 8), false)];
        assert_eq!(kept(&orphans), [2, 3], "whose caller is elsewhere begins a path");
        let circle = [span(1, 2, (0, 10), true), span(2, 1, (0, 10), false), span(3, 3, (0, 10), false)];
        assert_eq!(kept(&circle), [1, 2, 3], "and one that called itself is one whose caller is not there");
        let twice = [span(1, 0, (0, 9), false), span(1, 1, (0, 9), false), span(1, 0, (0, 9), false)];
        assert_eq!(kept(&twice).len(), 3);
        assert!(kept(&[]).is_empty());
        assert_eq!(fates(&[0; 16], &[&[]], Threshold::NEVER), [Fate::Kept], "nothing has no caller");
    }

    #[test]
    fn a_long_chain_of_failures_takes_no_longer_than_it_is() {
        let spans: Vec<Vec<u8>> = (1..=50_000).map(|n| span(n, n - 1, (n, 200_000 - n), true)).collect();
        assert_eq!(kept(&spans).len(), 50_000);
    }

    #[test]
    fn of_the_rest_a_share_stays_and_counts_for_all() {
        let share = Threshold::of_rate(10.0);
        let spans: Vec<Vec<u8>> = (1..=20_000).map(|n| span(n, u64::from(n > 1), (5, 4), false)).collect();
        let views: Vec<&[u8]> = spans.iter().map(Vec::as_slice).collect();
        let count = |fates: &[Fate], fate| fates.iter().filter(|other| **other == fate).count();
        let first = fates(&[7; 16], &views, share);
        assert_eq!(count(&first, Fate::Kept), 1);
        let chosen = count(&first, Fate::Chosen);
        // 2,000 with a deviation of 42.
        assert!((1_800..2_200).contains(&chosen), "{chosen}");
        let late: Vec<Fate> = views.iter().map(|span| fate_of_late(&[7; 16], span, share)).collect();
        assert_eq!(late, first, "one that comes late has the same chance");
        assert_ne!(fates(&[8; 16], &views, share), first, "and another one in another trace");
    }
}

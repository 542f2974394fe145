use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use phoenix_component::Budget;
use proptest::prelude::*;

use super::*;

fn buffer() -> Buffer {
    Buffer::new(Arc::new(Pool::new(Budget::unlimited(), 0, None)))
}

fn facts(n: u64) -> TraceFacts {
    TraceFacts::new(u128::from(n).to_be_bytes(), Duration::ZERO, 0)
}

/// resource { attributes: [] } and nothing else, made different by an unknown field.
fn shell(n: u8) -> [u8; 4] {
    [0x0a, 0, 0x78, n]
}

/// The bytes of a trace, oldest first.
fn content(buffer: &Buffer, slot: Slot) -> Vec<u8> {
    let mut records: Vec<&[u8]> =
        buffer.records(buffer.traces[slot].head).map(|at| buffer.segments.body(at)).collect();
    records.reverse();
    records.concat()
}

fn scope(buffer: &mut Buffer, n: u8) -> ScopeId {
    let resource = buffer.interned.resource(&shell(n));
    let scope = buffer.interned.scope(resource, &shell(n));
    buffer.interned.let_resource_go(resource);
    scope
}

#[derive(Clone, Debug)]
enum Step {
    Append { trace: u64, scope: u8, len: usize },
    Discard { trace: u64 },
    Tidy,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![8 => 1..3000_usize, 1 => 30_000..70_000_usize, 1 => 300_000..400_000_usize];
    prop_oneof![
        6 => (0..40_u64, 0..4_u8, len).prop_map(|(trace, scope, len)| Step::Append { trace, scope, len }),
        2 => (0..40_u64).prop_map(|trace| Step::Discard { trace }),
        1 => Just(Step::Tidy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_held_is_what_was_put_in(steps in prop::collection::vec(step(), 1..400)) {
        let mut buffer = buffer();
        let mut model: HashMap<u64, (Slot, Vec<u8>)> = HashMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append { trace, scope: n, len } => {
                    let held = scope(&mut buffer, n);
                    let (slot, bytes) = model
                        .entry(trace)
                        .or_insert_with(|| (buffer.traces.insert(facts(trace), 1), Vec::new()));
                    let body = vec![number as u8; len];
                    buffer.append(*slot, held, 0, &body);
                    bytes.extend_from_slice(&body);
                    buffer.interned.let_go(held);
                }
                Step::Discard { trace } => {
                    if let Some((slot, _)) = model.remove(&trace) {
                        buffer.discard(slot);
                    }
                }
                Step::Tidy => while buffer.tidy() {},
            }
        }
        for (trace, (slot, bytes)) in &model {
            prop_assert_eq!(buffer.traces.find(&u128::from(*trace).to_be_bytes()), Some(*slot));
            prop_assert_eq!(&content(&buffer, *slot), bytes);
        }
        while buffer.tidy() {}
        // What is written exceeds what lives by an eighth, a segment's worth, and what is in the one that is filled.
        let (live, written) = (buffer.segments.live_bytes(), buffer.segments.written_bytes());
        prop_assert!(written <= live * 8 / 7 + 3 * pool::SEGMENT + 3 * 400_000, "{} of {}", live, written);
        for (_, (slot, _)) in model {
            buffer.discard(slot);
        }
        prop_assert_eq!(buffer.bytes(), 0);
    }
}

#[test]
fn memory_stays_close_to_what_lives_whatever_the_waits_are() {
    // Nine of ten traces leave soon, one stays: without moving, the few would hold all segments.
    let mut buffer = buffer();
    let mut waiting = std::collections::VecDeque::new();
    let mut worst = 0.0_f64;
    for n in 0..60_000_u64 {
        let held = scope(&mut buffer, 0);
        let slot = buffer.traces.insert(facts(n), 1);
        buffer.append(slot, held, 1, &[7; 500]);
        buffer.interned.let_go(held);
        let leaves = if n % 10 == 0 { n + 40_000 } else { n + 4_000 };
        waiting.push_back((leaves, slot));
        waiting.retain(|(leaves, slot)| {
            let stays = *leaves > n;
            if !stays {
                buffer.discard(*slot);
            }
            stays
        });
        buffer.tidy();
        if n > 10_000 {
            let ratio = buffer.segments.written_bytes() as f64 / buffer.segments.live_bytes() as f64;
            worst = worst.max(ratio);
        }
    }
    assert!(worst < 1.3, "{worst}: an eighth, and a segment of the few there are here");
}

#[test]
fn pools_give_memory_back_to_the_budget() {
    let budget = Budget::new(usize::MAX);
    let pool = Arc::new(Pool::new(budget.clone(), 0, None));
    let mut buffer = Buffer::new(pool);
    let slot = buffer.traces.insert(facts(1), 1);
    let held = scope(&mut buffer, 0);
    for _ in 0..50 {
        buffer.append(slot, held, 1, &[1; 200_000]);
    }
    buffer.interned.let_go(held);
    assert!(budget.used() >= 10_000_000);
    buffer.discard(slot);
    assert!(budget.used() <= 17 * pool::SEGMENT, "spare segments at most: {}", budget.used());
    drop(buffer);
    assert_eq!(budget.used(), 0);
}

#[test]
fn equal_shells_are_held_once() {
    let mut buffer = buffer();
    let (one, two, other) = (scope(&mut buffer, 1), scope(&mut buffer, 1), scope(&mut buffer, 2));
    assert_eq!(one, two);
    assert_ne!(one, other);
    for scope in [one, two, other] {
        buffer.interned.let_go(scope);
    }
    assert_eq!(buffer.interned.bytes(), 0);
}

#[test]
fn an_index_of_many_traces_finds_each() {
    let mut traces = Traces::default();
    let slots: Vec<Slot> = (0..20_000).map(|n| traces.insert(facts(n), 1)).collect();
    for n in (0..20_000).step_by(3) {
        traces.remove(slots[n as usize]);
    }
    for n in 0..20_000_u64 {
        let expected = (n % 3 != 0).then_some(slots[n as usize]);
        assert_eq!(traces.find(&u128::from(n).to_be_bytes()), expected);
    }
    assert_eq!(traces.slots().count(), traces.len());
}

#[test]
fn the_table_of_traces_shrinks_with_their_number() {
    let mut traces = Traces::default();
    let slots: Vec<Slot> = (0..200_000).map(|n| traces.insert(facts(n), 1)).collect();
    assert!(traces.room() >= 200_000);
    let slots: Vec<(u64, Slot)> = (0..).zip(slots).collect();
    let (stay, leave): (Vec<_>, Vec<_>) = slots.into_iter().partition(|(n, _)| *n >= 199_000);
    for (_, slot) in &leave {
        traces.remove(*slot);
        assert_eq!(traces.due(*slot), Entry::GONE, "whether or not its memory is there still");
        assert!(!traces.begin_moving(*slot, 7), "a record that is dead may name it still");
    }
    assert!(traces.room() <= 3 * 4096, "{} places", traces.room());
    assert!(traces.index_room() <= 20_000, "{} places in the index", traces.index_room());
    for (n, slot) in stay {
        assert_eq!(traces.find(&u128::from(n).to_be_bytes()), Some(slot));
    }
    let again: Vec<Slot> = (0..50_000).map(|n| traces.insert(facts(n), 1)).collect();
    assert!((0..50_000).all(|n| traces.find(&u128::from(n as u64).to_be_bytes()) == Some(again[n])));
}

#[test]
fn places_that_empty_in_any_order_are_filled_again() {
    // Of traces that begin together one in two stays, forty times: memory follows what lives.
    let mut traces = Traces::default();
    let mut number = 0;
    for _ in 0..40 {
        let slots: Vec<Slot> = traces.slots().collect();
        slots.into_iter().step_by(2).for_each(|slot| drop(traces.remove(slot)));
        for _ in 0..20_000 {
            traces.insert(facts(number), 1);
            number += 1;
        }
        assert!(traces.room() <= traces.len() * 4 / 3 + 3 * 4096, "{} for {}", traces.room(), traces.len());
        let mut seen = 0;
        traces.look_around(usize::MAX, |_, _| seen += 1);
        assert_eq!(seen, traces.len());
    }
}

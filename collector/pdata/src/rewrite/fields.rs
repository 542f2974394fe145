use proptest::prelude::*;

use super::*;
use crate::wire::{Fields, Wire, key};
use crate::write::{put_bytes, put_key, put_message, put_uint, put_varint};

/// What to do about a field, chosen by a script; the last decision counts for all that follow.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Keep,
    Remove,
    Replace(usize),
    /// Goes inside, and adds so many bytes to the end.
    Enter(usize),
    /// Goes inside, changes something there or not, and leaves it out.
    Discard(bool),
}

fn filler(out: &mut Vec<u8>, len: usize) {
    if len > 0 {
        put_bytes(out, 7, &vec![b'x'; len]);
    }
}

/// Whether a field holds fields, and nothing else.
fn is_message(field: &Field<'_>) -> bool {
    let inside: usize = Fields::new(field.body).map(|field| field.raw.len()).sum();
    field.key & 7 == Wire::Len as u32 && inside == field.body.len()
}

/// The same twice: through a rewriter, and by writing each message from its parts.
fn both<'a>(
    body: &'a [u8],
    depth: usize,
    steps: &mut dyn FnMut() -> Step,
    rewriter: &mut Rewriter<'a>,
) -> Vec<u8> {
    let mut naive = Vec::new();
    for field in Fields::new(body) {
        let step = match steps() {
            Step::Enter(_) | Step::Discard(_) if depth == 0 || !is_message(&field) => Step::Keep,
            step => step,
        };
        match step {
            Step::Keep => naive.extend_from_slice(field.raw),
            Step::Remove => rewriter.remove(&field),
            Step::Replace(len) => {
                rewriter.replace_field(&field, |out| filler(out, len));
                filler(&mut naive, len);
            }
            Step::Enter(len) => {
                rewriter.enter(&field);
                let mut inner = both(field.body, depth - 1, steps, rewriter);
                if len > 0 {
                    rewriter.append(|out| filler(out, len));
                    filler(&mut inner, len);
                }
                rewriter.leave();
                if inner == field.body {
                    naive.extend_from_slice(field.raw);
                } else {
                    put_bytes(&mut naive, field.number(), &inner);
                }
            }
            Step::Discard(touch) => {
                rewriter.enter(&field);
                if touch && let Some(first) = Fields::new(field.body).next() {
                    rewriter.replace_field(&first, |out| filler(out, 9));
                }
                rewriter.leave_and_remove();
            }
        }
    }
    naive
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        (1..6u32, any::<u64>()).prop_map(|(number, value)| {
            let mut out = Vec::new();
            put_uint(&mut out, number, value);
            out
        }),
        (1..6u32, 0..150usize).prop_map(|(number, len)| {
            let mut out = Vec::new();
            put_bytes(&mut out, number, &vec![b'v'; len]);
            out
        }),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        (1..6u32, prop::collection::vec(inner, 0..6)).prop_map(|(number, fields)| {
            let mut out = Vec::new();
            put_message(&mut out, number, |out| fields.iter().for_each(|field| out.extend_from_slice(field)));
            out
        })
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Keep),
        1 => Just(Step::Remove),
        1 => (0..200usize).prop_map(Step::Replace),
        6 => prop_oneof![2 => Just(0usize), 1 => 1..200usize].prop_map(Step::Enter),
        1 => any::<bool>().prop_map(Step::Discard),
    ]
}

proptest! {
    #[test]
    fn equals_writing_from_parts(
        fields in prop::collection::vec(message(), 0..8),
        script in prop::collection::vec(step(), 1..60),
    ) {
        let bytes = fields.concat();
        let mut at = 0;
        let mut steps = || { at += 1; script[(at - 1) % script.len()] };
        let mut rewriter = Rewriter::new(&bytes);
        let naive = both(&bytes, 5, &mut steps, &mut rewriter);
        let unchanged = rewriter.is_unchanged();
        let result = rewriter.finish();
        prop_assert_eq!(unchanged, result.is_none());
        prop_assert_eq!(result.unwrap_or_else(|| bytes.clone()), naive);
    }
}

/// A request of one message with a text in it, and what becomes of it.
fn with_message(leave: impl Fn(&mut Rewriter<'_>)) -> (Bytes, Payload) {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| put_bytes(out, 2, b"text"));
    let piece = Bytes::from(out);
    let payload = rewrite(Payload::from(piece.clone()), |message| {
        let mut rewriter = Rewriter::new(message);
        for field in Fields::new(message) {
            rewriter.enter(&field);
            leave(&mut rewriter);
        }
        rewriter.finish()
    });
    (piece, payload)
}

#[test]
fn without_changes_the_bytes_are_shared() {
    let (piece, payload) = with_message(|rewriter| rewriter.leave());
    assert_eq!(payload.into_contiguous().as_ptr(), piece.as_ptr());
}

#[test]
fn what_is_left_empty_goes() {
    let (_, payload) = with_message(|rewriter| rewriter.leave_and_remove());
    assert!(payload.is_empty());
}

#[test]
fn a_length_that_was_written_with_more_bytes_than_it_needs_is_put_right() {
    let mut message = Vec::new();
    put_key(&mut message, 1, Wire::Len);
    message.extend_from_slice(&[0x83, 0x00]); // 3, in two bytes
    put_varint(&mut message, u64::from(key(2, Wire::Len)));
    message.extend_from_slice(&[1, b'a']);
    let mut rewriter = Rewriter::new(&message);
    for field in Fields::new(&message) {
        rewriter.enter(&field);
        rewriter.append(|out| put_bytes(out, 2, b"b"));
        rewriter.leave();
    }
    assert_eq!(rewriter.finish(), Some(b"\x0a\x06\x12\x01a\x12\x01b".to_vec()));
}

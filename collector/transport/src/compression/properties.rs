//! What holds for any bytes: decoders read what encoders write, stop at their limits, and give everything
//! back.

use phoenix_component::Budget;
use proptest::prelude::*;

use super::*;
use crate::payload::Payload;

const LIMIT: usize = 20_000;

fn any_encoding() -> impl Strategy<Value = Encoding> {
    (1..Encoding::ALL.len()).prop_map(|index| Encoding::ALL[index])
}

/// Bytes that compress in places.
fn any_bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u8>(), 1..400usize).prop_map(|(byte, count)| vec![byte; count]);
    let noise = proptest::collection::vec(any::<u8>(), 0..200);
    proptest::collection::vec(prop_oneof![run, noise], 0..12).prop_map(move |parts| {
        let mut joined = parts.concat();
        joined.truncate(most);
        joined
    })
}

fn compressed(encoding: Encoding, level: i32, pieces: &[Vec<u8>]) -> Bytes {
    let payload: Payload = pieces.iter().map(|piece| Bytes::from(piece.clone())).collect();
    let made = Compressor::new(encoding, level).compress(payload, &Budget::unlimited()).unwrap();
    made.pieces().flat_map(|piece| piece.to_vec()).collect()
}

/// Both ways to read a body, which must agree; and what they held is given back.
fn read(encoding: Encoding, body: &Bytes) -> Option<(Bytes, Option<Coding>)> {
    let budget = Budget::new(16 << 20);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (decoded, looked) = runtime.block_on(async {
        let look = look(encoding, body.clone(), LIMIT, budget.charge_reserve(0), <[u8]>::to_vec);
        let looked = look.await;
        (decode(encoding, body.clone(), LIMIT, budget.charge_reserve(0)).await, looked)
    });
    match (&decoded, &looked) {
        (Ok((plain, coding)), Ok((seen, same))) => {
            assert!(plain == seen && coding == same && plain.len() <= LIMIT);
            if let Some(coding) = coding {
                let again = DecodeAgain(budget.clone()).decode(*coding, body, plain.len());
                assert_eq!(&again, plain);
            }
        }
        // Their words depend on how large the buffer is.
        (Err(_), Err(_)) => {}
        _ => panic!("{encoding}: {decoded:?} and {looked:?}"),
    }
    drop(looked);
    let decoded = decoded.ok();
    let held = decoded.as_ref().map_or(0, |(plain, _)| plain.len());
    assert!((held..=held * 2 + 4096).contains(&budget.used()), "{} for {held}", budget.used());
    decoded
}

proptest! {
    #[test]
    fn whatever_is_compressed_comes_back(
        encoding in any_encoding(),
        level in -3..25i32,
        pieces in proptest::collection::vec(any_bytes(6000), 0..3),
    ) {
        let body = compressed(encoding, level, &pieces);
        let (plain, coding) = read(encoding, &body).expect("whole");
        prop_assert_eq!(&plain, &pieces.concat());
        // What is empty has no frame in some formats.
        prop_assert!(coding == encoding.coding() || plain.is_empty());
    }

    #[test]
    fn whatever_is_damaged_is_an_error_or_other_bytes(
        encoding in any_encoding(),
        bytes in any_bytes(LIMIT * 2),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
        cut in any::<prop::sample::Index>(),
        tail in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let body = compressed(encoding, 0, std::slice::from_ref(&bytes));
        let mut changed = body.to_vec();
        if let Some(byte) = (!changed.is_empty()).then(|| at.index(changed.len())) {
            changed[byte] ^= flip;
        }
        read(encoding, &changed.into());
        let whole = [&body[..], &tail[..]].concat();
        if let Some((plain, Some(_))) = read(encoding, &whole.clone().into()) {
            prop_assert!(tail.is_empty() || plain.len() >= bytes.len());
        }
        let end = cut.index(whole.len() + 1);
        read(encoding, &Bytes::from(whole).slice(..end));
    }

    #[test]
    fn noise_is_no_body_and_no_trouble(
        encoding in any_encoding(),
        magic in any::<bool>(),
        noise in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let start = if magic { compressed(encoding, 0, &[]).slice(..) } else { Bytes::new() };
        let start = start.slice(..start.len().min(6));
        read(encoding, &[&start[..], &noise[..]].concat().into());
    }
}

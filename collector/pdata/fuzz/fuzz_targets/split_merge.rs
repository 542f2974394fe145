//! Cutting and joining keeps every item and gives valid requests.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use phoenix_pdata::{InvalidUtf8, Payload, Signal};
use phoenix_pdata::{coalesce, split_bytes, split_items, take_items, validate};

fuzz_target!(|input: (u8, u16, Vec<u8>)| {
    let (items, bytes, data) = input;
    for signal in Signal::ALL {
        let Ok((mut payload, counts)) = validate(signal, Bytes::from(data.clone()), InvalidUtf8::Pass) else {
            // What nobody validated may come out as anything, but it comes out.
            let payload = Payload::from(Bytes::from(data.clone()));
            split_items(signal, payload.clone(), items.into());
            split_bytes(signal, payload.clone(), bytes.into());
            coalesce(signal, payload);
            continue;
        };
        let chunks = split_items(signal, payload.clone(), items.into());
        assert_eq!(total(signal, chunks.iter().map(|chunk| &chunk.payload)), counts.items);
        assert!(chunks.iter().all(|chunk| chunk.items <= u64::from(items.max(1))));
        let chunks = split_bytes(signal, payload.clone(), bytes.into());
        assert_eq!(total(signal, chunks.iter().map(|chunk| &chunk.payload)), counts.items);
        assert!(chunks.iter().all(|chunk| chunk.items <= 1 || chunk.payload.len() <= bytes.into()));
        let (head, tail) = take_items(signal, payload.clone(), items.into());
        assert_eq!(head.items, counts.items.min(items.into()));
        assert_eq!(head.items + tail.items, counts.items);

        payload.append(payload.clone());
        let joined = coalesce(signal, payload);
        assert_eq!(total(signal, [&joined]), 2 * counts.items);
    }
});

fn total<'a>(signal: Signal, payloads: impl IntoIterator<Item = &'a Payload>) -> u64 {
    let one = |payload: &Payload| {
        let bytes = payload.clone().into_contiguous();
        validate(signal, bytes, InvalidUtf8::Pass).expect("what comes out is valid").1.items
    };
    payloads.into_iter().map(one).sum()
}

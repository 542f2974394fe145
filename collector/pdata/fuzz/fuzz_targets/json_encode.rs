//! Any bytes: what is a request becomes JSON that reads back as the same number of items; what is none does no
//! harm.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use phoenix_pdata::{InvalidUtf8, Payload, Signal, json, validate};

fuzz_target!(|data: &[u8]| {
    for signal in Signal::ALL {
        let request = Bytes::copy_from_slice(data);
        let mut text = Vec::new();
        json::encode(signal, &Payload::from(request.clone()), &mut text);
        let Ok((payload, counts)) = validate(signal, request, InvalidUtf8::Pass) else { continue };
        text.clear();
        json::encode(signal, &payload, &mut text);
        let (_, again) = json::decode(signal, &text, InvalidUtf8::Reject).expect("its own JSON");
        assert_eq!((again.items, again.metrics), (counts.items, counts.metrics));
    }
});

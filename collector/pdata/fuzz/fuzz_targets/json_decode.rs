//! Any text: it is refused, or becomes a request that is valid and reads back from its own JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phoenix_pdata::{InvalidUtf8, Signal, json, validate};

fuzz_target!(|data: &[u8]| {
    for signal in Signal::ALL {
        let reject = json::decode(signal, data, InvalidUtf8::Reject);
        let pass = json::decode(signal, data, InvalidUtf8::Pass);
        assert!(reject.is_err() || pass.is_ok());
        for error in [&reject, &pass].into_iter().filter_map(|read| read.as_ref().err()) {
            assert!(error.offset <= data.len() && !error.to_string().is_empty());
        }
        let Ok((payload, counts)) = json::decode(signal, data, InvalidUtf8::Repair) else { continue };
        let bytes = payload.clone().into_contiguous();
        let (_, validated) = validate(signal, bytes, InvalidUtf8::Reject).expect("valid");
        assert_eq!(validated, counts);
        assert!(payload.len() <= 12 * data.len());
        let mut text = Vec::new();
        json::encode(signal, &payload, &mut text);
        let (again, _) = json::decode(signal, &text, InvalidUtf8::Reject).expect("its own JSON");
        let mut same = Vec::new();
        json::encode(signal, &again, &mut same);
        assert_eq!(text, same);
    }
});

//! Any bytes: they are accepted or refused, policies agree on structure, and views walk what is accepted.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use phoenix_pdata::{InvalidUtf8, Payload, Signal, count_items, validate};

fuzz_target!(|data: &[u8]| {
    for signal in Signal::ALL {
        let request = Bytes::copy_from_slice(data);
        let reject = validate(signal, request.clone(), InvalidUtf8::Reject);
        let pass = validate(signal, request.clone(), InvalidUtf8::Pass);
        let repair = validate(signal, request.clone(), InvalidUtf8::Repair);
        assert!(reject.is_err() || pass.is_ok());
        assert_eq!(pass.is_ok(), repair.is_ok());
        if let Err(error) = &reject {
            assert!(!error.to_string().is_empty());
        }
        if let Ok((payload, counts)) = repair {
            assert_eq!(counts.items, count_items(signal, &payload));
            assert_eq!(counts.bytes, payload.len() as u64);
            let repaired = payload.clone().into_contiguous();
            let (again, same) = validate(signal, repaired.clone(), InvalidUtf8::Reject).expect("repaired");
            assert_eq!(same, counts);
            assert_eq!(again.into_contiguous(), repaired);
            walk(&payload);
        }
        // Views must hold out even if nobody validated.
        walk(&Payload::from(request));
    }
});

fn walk(payload: &Payload) {
    let mut shown = Sink;
    for entry in payload.resource_spans() {
        write(&mut shown, &entry);
    }
    for entry in payload.resource_metrics() {
        write(&mut shown, &entry);
    }
    for entry in payload.resource_logs() {
        write(&mut shown, &entry);
    }
}

fn write(sink: &mut Sink, shown: &impl std::fmt::Debug) {
    std::fmt::write(sink, format_args!("{shown:?}")).expect("a sink takes everything");
}

struct Sink;

impl std::fmt::Write for Sink {
    fn write_str(&mut self, _: &str) -> std::fmt::Result {
        Ok(())
    }
}

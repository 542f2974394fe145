use phoenix_config::{Settings, decode_text};
use serde::Deserialize;

use super::*;

/// As an exporter embeds them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Embedded {
    retry_on_failure: RetrySettings,
    sending_queue: QueueSettings,
}

fn grpc(code: &str) -> Option<u8> {
    code.parse().ok().or_else(|| (code == "UNKNOWN").then_some(2))
}

impl Settings for Embedded {
    fn validate(&self, problems: &mut Problems) {
        problems.within("retry_on_failure", |problems| {
            self.retry_on_failure.validate(problems);
            self.retry_on_failure.validate_codes(problems, grpc, "a name or a number");
        });
        problems.within("sending_queue", |problems| self.sending_queue.validate(problems));
    }
}

fn read(yaml: &str) -> Embedded {
    decode_text(yaml).unwrap_or_else(|problems| panic!("{yaml}: {problems}"))
}

#[test]
fn settings_that_make_no_sense_are_refused_at_their_key() {
    // (block, settings, key that the error names, its text)
    let cases = [
        (
            "retry_on_failure",
            "initial_interval: -1s",
            "initial_interval",
            "'initial_interval' must be non-negative",
        ),
        (
            "retry_on_failure",
            "randomization_factor: 1.5",
            "randomization_factor",
            "'randomization_factor' must be within [0, 1]",
        ),
        (
            "retry_on_failure",
            "{max_elapsed_time: 10s, max_interval: 10s, initial_interval: 11s}",
            "max_elapsed_time",
            "'max_elapsed_time' must not be less than 'initial_interval'",
        ),
        (
            "retry_on_failure",
            "max_elapsed_time: 20s",
            "max_elapsed_time",
            "'max_elapsed_time' must not be less than 'max_interval'",
        ),
        (
            "retry_on_failure",
            "extra_codes: [2, NOPE]",
            "extra_codes::1",
            "invalid code \"NOPE\": a name or a number",
        ),
        ("sending_queue", "num_consumers: 0", "num_consumers", "`num_consumers` must be positive"),
        ("sending_queue", "queue_size: -1", "queue_size", "`queue_size` must be positive"),
        (
            "sending_queue",
            "{storage: file_storage, wait_for_result: true}",
            "wait_for_result",
            "`wait_for_result` is not supported with a persistent queue configured with `storage`",
        ),
        ("sending_queue", "storage: 'file_storage/'", "storage", "should not be empty"),
        ("sending_queue", "sizer: spans", "sizer", "invalid sizer: \"spans\""),
        ("sending_queue", "batch: {nope: 1}", "batch::nope", "nope"),
        (
            "sending_queue",
            "batch: {flush_timeout: 0s}",
            "batch::flush_timeout",
            "`flush_timeout` must be positive, found 0",
        ),
        (
            "sending_queue",
            "batch: {min_size: -1}",
            "batch::min_size",
            "`min_size` must be non-negative, found -1",
        ),
        (
            "sending_queue",
            "batch: {max_size: -1}",
            "batch::max_size",
            "`max_size` must be non-negative, found -1",
        ),
        (
            "sending_queue",
            "batch: {min_size: 2048, max_size: 1024}",
            "batch::max_size",
            "`max_size` (1024) must be greater or equal to `min_size` (2048)",
        ),
        (
            "sending_queue",
            "{sizer: requests, batch: {}}",
            "batch::sizer",
            "`batch` supports only `items` or `bytes` sizer, found \"requests\"",
        ),
        (
            "sending_queue",
            "{sizer: items, batch: {}}",
            "batch::min_size",
            "for sizer items, `min_size` (8192) must be less than or equal to `queue_size` (1000)",
        ),
        (
            "sending_queue",
            "batch: {min_size: 1, sizers: {bytes: {max_size: 9}}}",
            "batch::sizers",
            "cannot specify both `sizers` and legacy fields (`min_size`, `max_size`, `sizer`) in `batch`",
        ),
        (
            "sending_queue",
            "batch: {sizers: {requests: {}}}",
            "batch::sizers::requests",
            "`batch` supports only `items` or `bytes` sizer, found \"requests\"",
        ),
        (
            "sending_queue",
            "batch: {sizers: {bytes: {min_size: 9, max_size: 8}}}",
            "batch::sizers::bytes::max_size",
            "`max_size` (8) must be greater or equal to `min_size` (9) for sizer \"bytes\"",
        ),
        (
            "sending_queue",
            "batch: {partition: {metadata_keys: [tenant, Tenant]}}",
            "batch::partition::metadata_keys::1",
            "duplicate entry in metadata_keys: \"tenant\" (case-insensitive)",
        ),
    ];
    for (block, settings, key, text) in cases {
        let settings =
            if settings.starts_with('{') { settings.to_owned() } else { format!("{{{settings}}}") };
        let problems = decode_text::<Embedded>(&format!("{block}: {settings}")).expect_err(&settings);
        assert_eq!(problems.keys(), [format!("{block}::{key}")], "{settings}");
        assert!(problems.to_string().contains(text), "{problems}");
    }
}

#[test]
fn what_otelcol_takes_is_taken() {
    for fine in [
        "retry_on_failure: {enabled: false, multiplier: -1}",
        "retry_on_failure: {max_elapsed_time: 0s}",
        "sending_queue: {storage: null, batch: {enabled: false, min_size: -1}}",
        "sending_queue: {sizer: bytes, batch: null}",
        "sending_queue: {batch: {sizers: {items: {min_size: 5}, bytes: {max_size: 1000}}}}",
    ] {
        read(fine);
    }
    let codes = read("retry_on_failure: {extra_codes: [5, UNKNOWN]}").retry_on_failure.read_codes(grpc);
    assert_eq!(codes, [5, 2]);
}

#[test]
fn the_sizer_of_batches_is_the_queues_where_both_are_written() {
    let any = u64::MAX;
    // (settings, least items and bytes, most items and bytes)
    let cases = [
        ("{batch: null}", (8192, any), (any, any)),
        ("{sizer: bytes, batch: null}", (8192, any), (any, any)),
        ("{sizer: bytes, queue_size: 9000, batch: {}}", (any, 8192), (any, any)),
        ("{sizer: bytes, batch: {sizer: items, max_size: 9000}}", (8192, any), (9000, any)),
        ("{batch: {min_size: 0, max_size: 5}}", (0, 0), (5, any)),
        ("{batch: {sizers: {items: {min_size: 5}, bytes: {max_size: 7}}}}", (5, any), (any, 7)),
    ];
    for (settings, min, max) in cases {
        let rules = read(&format!("sending_queue: {settings}")).sending_queue.batch_rules().expect(settings);
        let sizes = |extent: Extent| (extent.items, extent.bytes);
        assert_eq!((sizes(rules.min), sizes(rules.max)), (min, max), "{settings}");
    }
}

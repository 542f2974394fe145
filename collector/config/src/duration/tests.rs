use super::*;

#[test]
fn reads_what_go_reads() {
    // (text, nanoseconds)
    let cases = [
        ("0", 0),
        ("0s", 0),
        ("5s", 5 * SECOND),
        ("-5s", -5 * SECOND),
        ("+5s", 5 * SECOND),
        ("1h30m", 90 * MINUTE),
        ("1.5s", 1_500 * MILLISECOND),
        (".5s", 500 * MILLISECOND),
        ("5.s", 5 * SECOND),
        ("1.000000001s", SECOND + 1),
        ("200ms", 200 * MILLISECOND),
        ("3us", 3_000),
        ("3\u{b5}s", 3_000),
        ("3\u{3bc}s", 3_000),
        ("7ns", 7),
        ("0.7ns", 0),
        ("1h1m1s1ms1us1ns", HOUR + MINUTE + SECOND + MILLISECOND + MICROSECOND + 1),
        ("0.3333333333333333333h", 1_199_999_999_999),
        ("9223372036854775807ns", i64::MAX),
        ("-9223372036854775808ns", i64::MIN),
    ];
    for (text, nanos) in cases {
        let read = text.parse::<GoDuration>().map(GoDuration::as_nanos);
        let read = read.expect(text);
        assert!(read.abs_diff(nanos) <= u64::from(text.len() > 20 && text.contains('.')), "{text}: {read}");
    }
}

#[test]
fn refuses_what_go_refuses() {
    let cases = [
        "",
        "3",
        "-",
        "s",
        ".",
        "-.s",
        "1x",
        "5 seconds",
        "1e3s",
        "9223372036854775808ns",
        "3000000h",
        " 5s",
        "5s ",
    ];
    for text in cases {
        assert!(text.parse::<GoDuration>().is_err(), "{text:?}");
    }
}

#[test]
fn prints_as_go_prints() {
    let cases = [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (4 * MINUTE + 5 * SECOND, "4m5s"),
        (4 * MINUTE + 5_001 * MILLISECOND, "4m5.001s"),
        (5 * HOUR + 6 * MINUTE + 7_001 * MILLISECOND, "5h6m7.001s"),
        (8 * MINUTE + 1, "8m0.000000001s"),
        (HOUR, "1h0m0s"),
        (-SECOND, "-1s"),
        (i64::MAX, "2562047h47m16.854775807s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
    ];
    for (nanos, text) in cases {
        assert_eq!(GoDuration(nanos).to_string(), text);
        assert_eq!(text.parse(), Ok(GoDuration(nanos)), "{text}");
    }
}

#[test]
fn is_never_negative_as_a_standard_duration() {
    assert_eq!(GoDuration::from_nanos(-1).as_duration(), Duration::ZERO);
    assert_eq!(GoDuration::from_secs(2).as_duration(), Duration::from_secs(2));
    assert_eq!(GoDuration::from_millis(2).as_duration(), Duration::from_millis(2));
}

#[test]
fn reads_from_other_formats() {
    assert_eq!(serde_json::from_str::<GoDuration>("\"2s\"").ok(), Some(GoDuration::from_secs(2)));
    assert_eq!(serde_json::from_str::<GoDuration>("2").ok(), Some(GoDuration::from_nanos(2)));
    assert!(serde_json::from_str::<GoDuration>("\"2\"").is_err());
}

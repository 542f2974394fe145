//! What holds for any text: nothing panics, and what is promised to be bounded is.

use proptest::prelude::*;

use super::xml::XPath;
use super::{
    case, clf, csv, encode, glob, go_format, go_regex, grok, json, key_value, leef, luhn, number, strings,
    time, url, user_agent, xml,
};
use crate::{Time, Value};

/// Text with what parsers look for.
fn text() -> impl Strategy<Value = String> {
    let hostile = r#"[\[\]{}()<>/\\"'`=:;,.|&#%@!?*+^$~ \t\n\r0-9a-zA-Zé日-]{0,60}"#;
    prop_oneof![hostile, any::<String>()]
}

proptest! {
    #[test]
    fn parsers_do_not_panic(text in text(), other in text()) {
        let _ = json::parse(&text);
        let _ = url::parts(&text);
        let _ = xml::parse(&text);
        let _ = xml::parse_simplified(&text);
        let _ = clf::parse(&text, clf::Format::Combined);
        let _ = leef::parse(&format!("LEEF:2.0|{text}"));
        let _ = luhn::is_valid(&text);
        let _ = user_agent::parse(&text);
        let _ = time::duration::parse(&text);
        let _ = number::parse_float(&text);
        let _ = number::parse_int(&text, 0);
        for mode in [csv::Mode::Strict, csv::Mode::LazyQuotes, csv::Mode::IgnoreQuotes] {
            let _ = csv::parse(&text, ',', &other, ',', mode);
        }
        if let Ok(delimiters) = key_value::Delimiters::new("=", &other) {
            let _ = delimiters.parse(&text);
        }
        for name in ["base64", "base64-raw-url", "utf-16", "shift_jis", "iso-8859-9"] {
            if let Some(charset) = encode::Charset::named(name) {
                let _ = charset.decode(text.as_bytes());
            }
        }
    }

    #[test]
    fn patterns_compile_or_are_refused(pattern in text(), text in text()) {
        if let Ok(regex) = go_regex::compile(&pattern) {
            let template = go_regex::Template::new(&text);
            let _ = go_regex::replace_all(&regex, &text, |captures, out| {
                template.expand(captures, out);
                Ok(())
            });
        }
        if let Ok(glob) = glob::Glob::new(&pattern) {
            glob.is_match(&text);
        }
        if let Ok(grok) = grok::Grok::new(&pattern, false, &[]) {
            let _ = grok.captures(&text);
        }
        if let Ok(path) = XPath::new(&pattern) {
            let _ = xml::get("<a b=\"c\"><d>e</d><d/>f</a>", &path);
            let _ = xml::remove("<a b=\"c\"><d>e</d><d/>f</a>", &path);
        }
        let _ = go_format::sprintf(&pattern, &[go_format::Argument::Text(&text), go_format::Argument::Int(-7)]);
    }

    #[test]
    fn what_go_would_call_plain_is_plain(text in "[a-zA-Z0-9 _é日]{0,20}") {
        let [plain, quoted] = [format!("^{text}$"), format!(r"^\Q{text}\E$")];
        prop_assert!(go_regex::compile(&plain).unwrap().is_match(&text));
        prop_assert!(go_regex::compile(&quoted).unwrap().is_match(&text));
        prop_assert!(glob::Glob::new(&text).unwrap().is_match(&text));
    }

    #[test]
    fn quoted_text_matches_itself(text in r"[^\\]{0,30}") {
        let pattern = format!(r"\A\Q{text}\E\z");
        prop_assert!(go_regex::compile(&pattern).unwrap().is_match(&text));
    }

    #[test]
    fn pieces_stay_within_the_text(text in any::<String>(), start in -2i64..40, length in -2i64..40) {
        if let Ok(piece) = strings::substring(&text, start, length, true) {
            prop_assert!(text.contains(&piece) && piece.len() as i64 <= length);
        }
        prop_assert_eq!(case::upper(&text).chars().count(), text.chars().count());
        prop_assert_eq!(case::lower(&text).chars().count(), text.chars().count());
        case::snake(&text);
        case::camel(&text);
    }

    #[test]
    fn times_come_back(nanos in any::<i64>()) {
        let layout = "%Y-%m-%dT%H:%M:%S.%s%z";
        let written = time::Layout::new(layout).unwrap().format(&Time::utc(nanos));
        let read = time::strptime::Reader::new(layout, None, None).unwrap().parse(&written, &Time::utc(0)).unwrap();
        prop_assert_eq!(read.unix_nanos, i128::from(nanos));
    }

    #[test]
    fn times_are_read_or_refused(text in text(), format in "(%[a-zA-Z][ :./-]?){1,6}") {
        if let Ok(reader) = time::strptime::Reader::new(&format, Some("Europe/Berlin"), Some("de")) {
            let _ = reader.parse(&text, &Time::utc(0));
        }
    }

    #[test]
    fn whole_numbers_come_back(number in any::<i64>(), base in 2i64..=36) {
        prop_assert_eq!(number::parse_int(&number.to_string(), 10).unwrap(), number);
        prop_assert_eq!(number::parse_int(&format!("{number:+}"), 0).unwrap(), number);
        let _ = number::parse_int(&number.to_string(), base);
    }

    #[test]
    fn doubles_come_back(bits in any::<u64>()) {
        let double = f64::from_bits(bits);
        let read = number::parse_float(&number::general_float(double, 21));
        prop_assert!(double.is_nan() || read.unwrap() == double);
    }

    #[test]
    fn hexadecimal_doubles_are_exact(mantissa in 0u64..1 << 52, exponent in -1074i32..=970) {
        let read = number::parse_float(&format!("0x{mantissa:x}p{exponent}")).unwrap();
        let expected = mantissa as f64 * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
        prop_assert!(exponent < -1022 || read == expected);
    }

    #[test]
    fn pairs_come_back(pairs in prop::collection::hash_map("[a-z]{1,5}", "[a-z]{0,5}", 1..5)) {
        let delimiters = key_value::Delimiters::new("=", " ").unwrap();
        let written = delimiters.write(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let read: std::collections::HashMap<_, _> = delimiters.parse(&written).unwrap().into_iter().collect();
        prop_assert_eq!(read, pairs);
    }

    #[test]
    fn json_texts_come_back(text in any::<String>()) {
        let Value::List(values) = json::parse(&serde_json::to_string(&[&text]).unwrap()).unwrap() else {
            panic!("a list")
        };
        prop_assert_eq!(&values[0], &Value::from(text));
    }

    #[test]
    fn xml_is_stable(text in r#"(<a( b="[a-z&<]{0,3}")?>|</a>|<!--x-->|[a-z &;]{0,4}|<\?x\?>){0,8}"#) {
        let path = XPath::new("/nothing").unwrap();
        if let Ok(once) = xml::remove(&text, &path) {
            prop_assert_eq!(xml::remove(&once, &path).unwrap(), once);
        }
    }
}

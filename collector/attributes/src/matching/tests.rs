use phoenix_config::decode_text;
use phoenix_config::{Problems, Settings};
use phoenix_pdata::Signal;
use phoenix_pdata::view::{Resource, Scope};
use phoenix_pdata::write::{put_attribute, put_bytes, put_message, put_uint, put_value_body};

use super::*;

impl Settings for MatchSettings {
    fn validate(&self, problems: &mut Problems) {
        MatchSettings::validate(self, problems);
    }
}

fn settings(text: &str) -> MatchSettings {
    decode_text(text).unwrap_or_else(|report| panic!("{text}: {report}"))
}

#[test]
fn spans_and_what_is_around_them() {
    let (mut resource, mut scope, mut span) = (Vec::new(), Vec::new(), Vec::new());
    put_attribute(&mut resource, 1, "service.name", &"shop".into());
    put_attribute(&mut resource, 1, "n", &7i64.into());
    put_bytes(&mut scope, 1, b"lib");
    put_bytes(&mut scope, 2, b"1.2");
    put_bytes(&mut span, 5, b"GET /a");
    put_uint(&mut span, 6, 2);
    put_attribute(&mut span, 9, "d", &0.5.into());
    put_attribute(&mut span, 9, "s", &"text".into());
    let around = Around { resource: Some(Resource::new(&resource)), scope: Some(Scope::new(&scope)) };
    let span = Span::new(&span);
    // (settings, whether they match)
    let cases = [
        ("{match_type: strict, services: [x, shop]}", true),
        ("{match_type: strict, services: [sho]}", false),
        ("{match_type: regexp, services: [sho]}", true),
        ("{match_type: strict, services: [shop], span_names: [GET]}", false),
        ("{match_type: regexp, span_names: ['^GET']}", true),
        ("{match_type: strict, span_kinds: [SPAN_KIND_SERVER]}", true),
        ("{match_type: strict, span_kinds: [SPAN_KIND_CLIENT]}", false),
        ("{match_type: regexp, span_kinds: [SERVER]}", true),
        ("{match_type: strict, libraries: [{name: lib}]}", true),
        ("{match_type: strict, libraries: [{name: lib, version: '1.3'}]}", false),
        ("{match_type: strict, resources: [{key: n, value: 7}]}", true),
        ("{match_type: strict, resources: [{key: n, value: 7.0}]}", false),
        ("{match_type: strict, resources: [{key: n}, {key: m}]}", false),
        ("{match_type: regexp, resources: [{key: n, value: '^7$'}]}", true),
        ("{match_type: strict, attributes: [{key: d, value: 0.5}, {key: s, value: text}]}", true),
        ("{match_type: regexp, attributes: [{key: d, value: '^0\\.5$'}]}", true),
        ("{match_type: strict, attributes: [{key: s, value: true}]}", false),
    ];
    for (text, expected) in cases {
        let settings = settings(text);
        assert_eq!(settings.fits(Signal::Traces), Ok(()), "{text}");
        for (include, exclude, meant) in
            [(Some(&settings), None, expected), (None, Some(&settings), !expected)]
        {
            let selection = Selection::new(include, exclude).expect("valid");
            let verdict = selection.around(&around);
            assert_eq!(selection.means_span(verdict, &span), meant, "{text}");
        }
    }
    let none = settings("{match_type: strict, services: ['<nil-service-name>']}");
    assert!(Matcher::new(&none).expect("valid").matches_around(&Around::default()), "as in otelcol");
}

#[test]
fn log_records_and_metrics() {
    let mut record = Vec::new();
    put_uint(&mut record, 2, 13);
    put_bytes(&mut record, 3, b"WARN");
    put_message(&mut record, 5, |out| put_value_body(out, &5i64.into()));
    let record = LogRecord::new(&record);
    let cases = [
        ("{match_type: strict, log_bodies: ['5']}", true),
        ("{match_type: strict, log_severity_texts: [WARN]}", true),
        ("{match_type: strict, log_severity_number: {min: 13}}", true),
        ("{match_type: strict, log_severity_number: {min: 14, match_undefined: true}}", false),
    ];
    for (text, expected) in cases {
        let settings = settings(text);
        assert_eq!(settings.fits(Signal::Logs), Ok(()), "{text}");
        assert_eq!(Matcher::new(&settings).expect("valid").matches_log(&record), expected, "{text}");
    }
    let undefined = settings("{match_type: strict, log_severity_number: {min: 1, match_undefined: true}}");
    assert!(Matcher::new(&undefined).expect("valid").matches_log(&LogRecord::new(&[])));

    let mut metric = Vec::new();
    put_bytes(&mut metric, 1, b"a.b");
    let metric = Metric::new(&metric);
    let means = |text: &str| {
        let selection = Selection::new(Some(&settings(text)), None).expect("valid").of_metrics();
        selection.means_metric(selection.around(&Around::default()), &metric)
    };
    assert!(means("{match_type: regexp, metric_names: ['^a']}"));
    assert!(!means("{match_type: strict, metric_names: [a]}"));
    assert!(means("{match_type: strict, resources: [{key: x}]}"), "nothing is said about metrics");
    assert!(means("{match_type: strict, metric_names: [a.b], resources: [{key: x}]}"));
}

#[test]
fn bad_settings_are_named() {
    // (settings, the key that the error names)
    let cases = [
        ("{span_names: [a]}", "match_type"),
        ("{attributes: [{key: a, value: b}]}", "match_type"),
        ("{match_type: expr}", "match_type"),
        ("{match_type: regexp, span_names: [a, '(']}", "span_names::1"),
        ("{match_type: regexp, attributes: [{key: a, value: 1}]}", "attributes::0::value"),
        ("{match_type: regexp, attributes: [{key: a, value: '('}]}", "attributes::0::value"),
        ("{match_type: strict, attributes: [{value: 1}]}", "attributes::0::key"),
        ("{match_type: strict, span_kinds: [SERVER]}", "span_kinds::0"),
        ("{match_type: regexp, libraries: [{name: a, version: '['}]}", "libraries::0::version"),
    ];
    for (text, key) in cases {
        let report = decode_text::<MatchSettings>(text).expect_err(text);
        assert_eq!(report.keys(), [key], "{text}: {report}");
    }
    // Nothing is compared.
    settings("{attributes: [{key: a}], log_severity_number: {min: 9}}");
    let logs = settings("{match_type: strict, log_bodies: [a]}");
    assert!(logs.fits(Signal::Traces).expect_err("of logs").contains("log_bodies"));
    let nothing = settings("{match_type: strict}");
    assert!(nothing.fits(Signal::Logs).expect_err("nothing").contains("log_bodies"));
    assert_eq!(nothing.fits(Signal::Metrics), Ok(()));
}

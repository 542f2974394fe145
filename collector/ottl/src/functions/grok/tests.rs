use super::*;

fn captures(pattern: &str, text: &str, named_only: bool) -> Vec<(String, Value<'static>)> {
    let mut entries: Vec<_> = Grok::new(pattern, named_only, &[])
        .unwrap()
        .captures(text)
        .unwrap()
        .into_iter()
        .map(|(key, value)| (key.into_owned(), value))
        .collect();
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    entries
}

fn entries(expected: &[(&str, Value<'static>)]) -> Vec<(String, Value<'static>)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

#[test]
fn names_and_types() {
    let found = captures("%{WORD:verb} %{INT:code:int} %{NUMBER:t:double}", "GET 200 0.25", true);
    assert_eq!(
        found,
        entries(&[("code", Value::Int(200)), ("t", Value::Double(0.25)), ("verb", "GET".into())])
    );
    let found = captures("%{IP}", "at 10.1.2.3", false);
    assert_eq!(found, entries(&[("IP", "10.1.2.3".into()), ("IPV4", "10.1.2.3".into())]));
    assert_eq!(captures("%{IP}", "at 10.1.2.3", true), []);
    assert_eq!(
        captures("%{WORD:a.b} %{BOOL:c:boolean} (?P<raw>x)", "w true x", true),
        entries(&[("a.b", "w".into()), ("c", Value::Bool(true)), ("raw", "x".into())])
    );
    assert_eq!(captures("%{WORD:w}", "!", true), []);
    assert_eq!(captures("a%{DATA:d}b", "ab", true), []);
    assert_eq!(captures("100%{x", "100%{x", true), []);
}

#[test]
fn own_definitions_come_first() {
    let grok = Grok::new("x=%{NUM5:val} %{WORD:w}", true, &["NUM5=[0-9]", "WORD=z+"]).unwrap();
    assert_eq!(grok.captures("x=5 zz").unwrap().get("val"), Some(&Value::from("5")));
    assert!(grok.captures("x=5 yy").unwrap().is_empty());
}

#[test]
fn refuses() {
    for (pattern, definitions) in [
        ("%{NOPE:x}", &[][..]),
        ("%{A}", &["A=%{A}"]),
        ("%{A}", &["A=%{B}%{B}", "B=%{A}"]),
        ("(", &[]),
        ("x", &["nothing"]),
        ("x", &["=y"]),
    ] {
        assert!(Grok::new(pattern, true, definitions).is_err(), "{pattern}");
    }
    assert!(Grok::new("%{WORD:x:int}", true, &[]).unwrap().captures("abc").is_err());
    assert!(Grok::new("%{WORD:x:date}", true, &[]).unwrap().captures("abc").is_err());
}

#[test]
fn every_definition_compiles() {
    assert!(library().len() > 150);
    for name in library().keys() {
        let pattern = format!("%{{{name}}}");
        Grok::new(&pattern, false, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn common_lines() {
    // (pattern, line, a field, its value)
    let cases = [
        (
            "%{COMBINEDAPACHELOG}",
            r#"127.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326 "http://r/" "curl/8""#,
            "http.response.status_code",
            Value::Int(200),
        ),
        (
            "%{COMMONAPACHELOG}",
            r#"h - - [10/Oct/2000:13:55:36 -0700] "-" 400 -"#,
            "source.address",
            "h".into(),
        ),
        ("%{SYSLOGLINE}", "Mar  7 04:02:16 avas CRON[1234]: hello", "process.pid", Value::Int(1234)),
        (
            "%{SYSLOG5424LINE}",
            "<34>1 2003-10-11T22:14:15.003Z mymachine su 77 ID47 [a b=\"c\"] failed",
            "event.code",
            "ID47".into(),
        ),
        (
            "%{TIMESTAMP_ISO8601:t}",
            "at 2024-02-29T12:30:00.5+02:00!",
            "t",
            "2024-02-29T12:30:00.5+02:00".into(),
        ),
        (
            "%{URI:u}",
            "see https://u@h.example:8080/a/b?c=d now",
            "u",
            "https://u@h.example:8080/a/b?c=d".into(),
        ),
        ("%{IPV6:ip}", "::ffff:1.2.3.4", "ip", "::ffff:1.2.3.4".into()),
        ("%{QS:q}", r#"say "a \" b" now"#, "q", r#""a \" b""#.into()),
        (
            "%{UUID:u} %{LOGLEVEL:l} %{MAC:m}",
            "123e4567-e89b-12d3-a456-426614174000 WARN aa:bb:cc:dd:ee:ff",
            "l",
            "WARN".into(),
        ),
        (
            "%{CATALINALOG}",
            "10-Oct-2023 12:00:01.123 INFO [main] org.apache.Start.run started",
            "java.log.origin.thread.name",
            "main".into(),
        ),
        (
            "%{REDISMONLOG}",
            r#"1339518083.107412 [0 127.0.0.1:60866] "keys" "*""#,
            "redis.command.name",
            "keys".into(),
        ),
        (
            "%{SQUID3}",
            "1525344856.899  16867 10.170.72.111 TCP_TUNNEL/200 6256 CONNECT logs.example:443 - HIER_DIRECT/10.0.0.1 -",
            "http.response.bytes",
            Value::Int(6256),
        ),
    ];
    for (pattern, line, field, value) in cases {
        let found = Grok::new(pattern, true, &[]).unwrap().captures(line).unwrap();
        assert_eq!(found.get(field), Some(&value), "{pattern}: {found:?}");
    }
}

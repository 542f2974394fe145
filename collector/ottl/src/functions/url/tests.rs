use super::*;
use crate::Value;

fn part(url: &str, key: &str) -> Option<String> {
    match parts(url).unwrap().get(key)? {
        Value::String(text) => Some(text.to_string()),
        Value::Int(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_part() {
    let url = "https://u:p@h.example:8443/a/b%20c.txt?q=1#frag";
    let expected = [
        ("url.original", url),
        ("url.domain", "h.example"),
        ("url.scheme", "https"),
        ("url.path", "/a/b c.txt"),
        ("url.port", "8443"),
        ("url.fragment", "frag"),
        ("url.user_info", "u:p"),
        ("url.username", "u"),
        ("url.password", "p"),
        ("url.query", "q=1"),
        ("url.extension", "txt"),
    ];
    for (key, value) in expected {
        assert_eq!(part(url, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(
        parts("http://h").unwrap().keys().collect::<Vec<_>>(),
        ["url.original", "url.domain", "url.scheme", "url.path"]
    );
}

#[test]
fn unusual_ones() {
    let cases = [
        ("http://[::1]:80/", "url.domain", "::1"),
        ("http://[::1]:80/", "url.port", "80"),
        ("HTTP://H/", "url.original", "http://H/"),
        ("/a/b", "url.path", "/a/b"),
        ("/a/b", "url.domain", ""),
        ("http://h/a b", "url.original", "http://h/a%20b"),
        ("http://h/%41%2f", "url.original", "http://h/%41%2f"),
        ("http://h/%41%2f", "url.path", "/A/"),
        ("mailto:a@b", "url.path", ""),
        ("mailto:a@b", "url.original", "mailto:a@b"),
        ("//h/x", "url.domain", "h"),
        ("http://h:/x", "url.domain", "h"),
        ("http://u@h/", "url.user_info", "u"),
        ("http://h/?", "url.original", "http://h/?"),
        ("http://ü.de/", "url.domain", "ü.de"),
        ("file:///etc/x.y", "url.original", "file:///etc/x.y"),
        ("http://h/a.b/c", "url.extension", "b/c"),
    ];
    for (url, key, expected) in cases {
        assert_eq!(part(url, key).as_deref(), Some(expected), "{url} {key}");
    }
    assert_eq!(part("http://h:/x", "url.port"), None);
    assert_eq!(part("http://h/x.", "url.extension"), None);
}

#[test]
fn refuses() {
    for url in [
        "",
        "http://h/%zz",
        "http://h:x/",
        "http://[::1/",
        "http://a b/",
        ":x",
        "a:b:c/d\n",
        "1:2",
        "http://a b@h/",
        "http://h/%4",
    ] {
        assert!(parts(url).is_err(), "{url}");
    }
}

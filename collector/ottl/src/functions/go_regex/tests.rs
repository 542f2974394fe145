use super::*;

#[test]
fn means_what_go_means() {
    let cases = [
        (r"^4\d\d$", "404", true),
        (r"^\w$", "é", false),
        (r"^\d$", "٣", false),
        (r"^\s$", "\u{a0}", false),
        (r"^\s$", "\x0b", false),
        (r"\bé", "é", false),
        (r"x\B", "xy", true),
        (r"^{$", "{", true),
        (r"^a{,5}$", "a{,5}", true),
        (r"^a{2}$", "aa", true),
        (r"^a{2,}$", "aaa", true),
        (r"^a{02}$", "a{02}", true),
        (r"^[[]$", "[", true),
        (r"^[a&&b]$", "&", true),
        (r"^[~~]$", "~", true),
        (r"^\Qa.b\E+$", "a.bb", true),
        (r"^\Q.*", ".*", true),
        (r"^\<\>$", "<>", true),
        (r"^\101\0$", "A\0", true),
        (r"^\x41\x{42}\v$", "AB\x0b", true),
        (r"a.b", "a\nb", false),
        (r"(?s)a.b", "a\nb", true),
        (r"\Ax\d\z", "x1", true),
        (r"a$", "a\n", false),
        (r"(?m)a$", "a\n", true),
        (r"(?i)^abc$", "ABC", true),
        (r"^[\w.-]+$", "a.b-c", true),
        (r"^[^\d]$", "x", true),
        (r"^[\D]$", "1", false),
        (r"^[]a]$", "]", true),
        (r"^[^]a]$", "]", false),
        (r"^[[:alpha:]_]+$", "a_", true),
        (r"^[[:^digit:]]$", "1", false),
        (r"^[a-]$", "-", true),
        (r"^\pL$", "é", true),
        (r"^\p{^Lu}$", "A", false),
        (r"^\P{Greek}$", "α", false),
        (r"^[\pN]$", "٣", true),
        (r"^a#b c$", "a#b c", true),
        (r"^[+--]$", ",", true),
        (r"^[\]\-]$", "-", true),
        (r"^}$", "}", true),
        (r"(?U)a+", "aa", true),
        (r"^[\S]$", "é", true),
        (r"(|a)b", "b", true),
        (r"^\_$", "_", true),
    ];
    for (pattern, text, matches) in cases {
        assert_eq!(compile(pattern).unwrap().is_match(text), matches, "{pattern} on {text:?}");
    }
}

#[test]
fn refuses_what_go_refuses() {
    for pattern in [
        "(",
        ")",
        "a(?!b)",
        "a(?=b)",
        "(?<!a)b",
        "(?<=a)b",
        "(?>a)",
        r"(a)\1",
        "[",
        "[b-a]",
        r"\Z",
        r"\C",
        r"\e",
        r"\8",
        "(?x)a",
        "a**",
        "a*+",
        "a??+",
        "a{1001}",
        "a{3,2}",
        "(?P<x",
        "(?P<x y>a)",
        "[[:foo:]]",
        r"\p{Script=Greek}",
        r"\pX",
        r"[\b]",
        r"\x4",
        "*a",
        r"\é",
        "\\",
        "[a",
        r"(?i",
        "(?P=x)",
    ] {
        assert!(compile(pattern).is_err(), "{pattern}");
    }
    assert!(compile(&"(a{1000}){1000}".repeat(3)).is_err(), "too large");
    let message = compile("a(?!b)").unwrap_err().to_string();
    assert!(message.contains("a(?!b)"), "{message}");
}

#[test]
fn templates() {
    let regex = compile(r"(?P<word>\w+)=(\d)?").unwrap();
    let cases = [
        ("$1", "ab"),
        ("${1}x", "abx"),
        ("$1x", ""),
        ("$word!", "ab!"),
        ("${word}", "ab"),
        ("$$5", "$5"),
        ("$", "$"),
        ("$-", "$-"),
        ("${", "${"),
        ("${a-b}", "${a-b}"),
        ("$2|$9|$nope", "||"),
        ("$0", "ab="),
    ];
    for (template, expected) in cases {
        let mut out = String::new();
        Template::new(template).expand(&regex.captures("ab=").unwrap(), &mut out);
        assert_eq!(out, expected, "{template}");
    }
}

#[test]
fn groups_of_one_name() {
    let regex = compile(r"(?P<a>x)|(?P<a>y)|(?P<b>z)").unwrap();
    let mut out = String::new();
    Template::new("<$a>").expand(&regex.captures("y").unwrap(), &mut out);
    assert_eq!(out, "<y>");
    let groups = named_groups(&regex, "y").unwrap();
    assert_eq!((groups.get("a"), groups.get("b"), groups.len()), (Some(&"y".into()), Some(&"".into()), 2));
    assert_eq!(named_groups(&regex, "x").unwrap().get("a"), Some(&"".into()), "the last group counts");
    assert!(compile(&"(?P<a>x)".repeat(17)).is_err());
    assert!(named_groups(&compile("(x)").unwrap(), "x").is_err());
}

fn replaced(pattern: &str, text: &str, template: &str) -> Result<Option<String>, EvalError> {
    let template = Template::new(template);
    replace_all(&compile(pattern).unwrap(), text, |captures, out| {
        template.expand(captures, out);
        Ok(())
    })
}

#[test]
fn replaces() {
    assert_eq!(replaced("a*", "baac", "X").unwrap().as_deref(), Some("XbXcX"));
    assert_eq!(replaced("z", "abc", "X").unwrap(), None);
    assert_eq!(replaced("", "é", "-").unwrap().as_deref(), Some("-é-"));
}

#[test]
fn results_are_bounded() {
    let text = "x".repeat(2 << 20);
    assert_eq!(replaced("x", &text, "12345678").unwrap().map(|out| out.len()), Some(16 << 20));
    assert!(replaced("x", &text, "123456789").is_err());
    assert!(replaced("(x+)", &text, &"$1".repeat(100)).is_err());
    assert!(replaced("x", "x", &"y".repeat(1 << 20)).is_ok());
}

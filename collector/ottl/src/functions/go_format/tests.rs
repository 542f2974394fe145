use super::Argument::*;
use super::*;

#[test]
fn verbs() {
    let cases: &[(&str, &[Argument<'_>], &str)] = &[
        ("%s-%03d-%.2f-%t", &[Text("a"), Int(7), Double(1.5), Bool(true)], "a-007-1.50-true"),
        ("%v|%v|%q|%x", &[Nil, Int(3), Text("q"), Int(255)], "<nil>|3|\"q\"|ff"),
        ("%d", &[Text("a")], "%!d(string=a)"),
        ("%s %s", &[Text("a")], "a %!s(MISSING)"),
        ("x", &[Int(1), Nil], "x%!(EXTRA int64=1, <nil>)"),
        ("%!", &[], "%!!(MISSING)"),
        ("100%", &[], "100%!(NOVERB)"),
        ("%%", &[], "%"),
        ("%5d|%-5d|%+d|% d", &[Int(3), Int(3), Int(3), Int(3)], "    3|3    |+3| 3"),
        ("%05d", &[Int(-42)], "-0042"),
        ("%x %X %#x %o %b", &[Int(-255), Int(255), Int(255), Int(8), Int(5)], "-ff FF 0xff 10 101"),
        (
            "%e|%g|%v|%E",
            &[Double(123456.789), Double(1e21), Double(0.00001), Double(1.5)],
            "1.234568e+05|1e+21|1e-05|1.500000E+00",
        ),
        ("%.3g|%.10g|%.2g", &[Double(1234.5678), Double(1.5), Double(1e10)], "1.23e+03|1.5|1e+10"),
        (
            "%6.2f|%-8.3f|%08.3f",
            &[Double(1.23456), Double(1.23456), Double(-1.23456)],
            "  1.23|1.235   |-001.235",
        ),
        ("%5s|%-5s|%.2s|%5.1s", &[Text("ab"), Text("ab"), Text("äbc"), Text("xyz")], "   ab|ab   |äb|    x"),
        ("%q", &[Text("a\"\n\u{1}é")], "\"a\\\"\\n\\x01é\""),
        ("%x|% x|%#x", &[Text("hi"), Text("hi"), Text("hi")], "6869|68 69|0x6869"),
        ("%c%c|%q|%U", &[Int(72), Int(0x65e5), Int(65), Int(0x65e5)], "H日|'A'|U+65E5"),
        ("%[2]s %[1]s", &[Text("a"), Text("b")], "b a"),
        ("%[3]d", &[Int(1)], "%!d(BADINDEX)"),
        ("%*d|%-*d|", &[Int(4), Int(7), Int(3), Int(7)], "   7|7  |"),
        ("%T", &[Double(1.0)], "float64"),
        ("%t", &[Int(1)], "%!t(int64=1)"),
        ("%s", &[Nil], "%!s(<nil>)"),
        ("%v %s %x", &[Bytes(&[1, 2]), Bytes(b"hi"), Bytes(&[0xde])], "[1 2] hi de"),
        ("%v|%+v", &[Double(f64::INFINITY), Double(f64::NAN)], "+Inf|+NaN"),
        ("%.3d|%.0d|", &[Int(5), Int(0)], "005||"),
        ("%v %d", &[Other("map", "{\"a\":1}".into()), Other("map", "{}".into())], "{\"a\":1} %!d(map={})"),
        ("%6v|%06d", &[Bool(true), Int(12)], "  true|000012"),
        ("%s", &[Int(5)], "%!s(int64=5)"),
    ];
    for (format, arguments, expected) in cases {
        assert_eq!(sprintf(format, arguments).unwrap(), *expected, "{format}");
    }
}

#[test]
fn results_are_bounded() {
    assert!(sprintf(&"%1000000d".repeat(5), &[Int(1), Int(1), Int(1), Int(1), Int(1)]).is_err());
    assert!(sprintf("%99999999999d", &[Int(1)]).is_ok());
    assert_eq!(sprintf("%.1000000f", &[Double(1.0)]).unwrap().len(), 1_000_002);
    assert!(sprintf("%.70000e", &[Double(1.5)]).unwrap().ends_with("000e+00"));
}

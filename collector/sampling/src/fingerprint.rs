use std::time::Duration;

use crate::{Recent, Threshold};

/// Of errors that are alike keeps the first, then one in so many.
#[derive(Debug)]
pub struct Repeats {
    first: u32,
    rate: f64,
    seen: Recent<u32>,
}

impl Repeats {
    /// Keeps the `first` of each fingerprint, then one in `rate`; fingerprints are forgotten as [`Recent`] does.
    pub fn new(first: u32, rate: f64, seen: Recent<u32>) -> Repeats {
        Repeats { first, rate, seen }
    }

    /// The threshold for the next error of this fingerprint.
    pub fn threshold(&mut self, fingerprint: u64, now: Duration) -> Threshold {
        let seen = self.seen.entry(fingerprint, now);
        if *seen < self.first {
            *seen += 1;
            return Threshold::ALWAYS;
        }
        Threshold::of_rate(self.rate)
    }

    /// Fingerprints that are known.
    pub fn known(&self) -> usize {
        self.seen.len()
    }
}

/// The frame of a stack trace in which the exception was raised, without line numbers and addresses, so that a release
/// that moves lines does not make an error new. Empty where no frame is found.
///
/// Knows the stack traces of Java and other JVM languages, .NET, JavaScript, Python, Ruby, Go, PHP and Rust by their
/// shape. Looks at no more than 64 KiB.
pub fn top_frame(stack: &str) -> String {
    let stack = &stack[..stack.floor_char_boundary(64 << 10)];
    // Python says last what was called last; all others first.
    let frame = if stack.contains("Traceback (most recent call last)") {
        stack.lines().rev().find(|line| is_frame(line.trim()))
    } else {
        stack.lines().find(|line| is_frame(line.trim()))
    };
    frame.map(|line| without_places(line.trim())).unwrap_or_default()
}

fn is_frame(line: &str) -> bool {
    let is_numbered = |line: &str| {
        // PHP: `#0 /srv/a.php(12): f()`; Rust: `0: crate::f`.
        let rest = line.trim_start_matches('#');
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && (rest.len() < line.len() || rest[digits..].starts_with(": "))
    };
    line.starts_with("at ")
        || line.starts_with("File \"")
        || line.contains(":in `")
        || line.contains(":in '")
        || is_numbered(line)
        || is_go_call(line)
}

/// `main.(*Server).handle(0xc000010000, 0x1)`: a call by a path, with nothing behind it.
fn is_go_call(line: &str) -> bool {
    let Some((path, _)) = line.split_once('(').filter(|_| line.ends_with(')')) else { return false };
    let is_path = |path: &str| {
        path.contains('.') && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./_-".contains(&byte))
    };
    is_path(path)
}

/// Digits that say where in a file or in memory: they are left out, those of names stay.
fn without_places(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let follows_name =
            out.ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$');
        let hexadecimal = rest
            .strip_prefix("0x")
            .map_or(0, |digits| 2 + digits.bytes().take_while(u8::is_ascii_hexdigit).count());
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let place = hexadecimal.max(digits);
        if place > 0 && !follows_name {
            rest = &rest[place..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn frames_are_found_in_the_stack_traces_of_languages() {
        let cases = [
            (
                "java.lang.IllegalStateException: no\n\tat com.acme.Cart2.add(Cart2.java:42)\n\tat com.acme.Main.main(Main.java:7)",
                "at com.acme.Cart2.add(Cart2.java:)",
            ),
            (
                "Traceback (most recent call last):\n  File \"/app/main.py\", line 12, in <module>\n    run()\n  File \"/app/cart.py\", line 99, in add\n    raise ValueError(1)\nValueError: 1",
                "File \"/app/cart.py\", line , in add",
            ),
            (
                "TypeError: x\n    at add (/app/cart.js:10:15)\n    at main (/app/index.js:1:1)",
                "at add (/app/cart.js::)",
            ),
            (
                "System.Exception: x\n   at Acme.Cart.Add(Int32 n) in /src/Cart.cs:line 42",
                "at Acme.Cart.Add(Int32 n) in /src/Cart.cs:line ",
            ),
            ("goroutine 1 [running]:\nmain.add(0xc000010000, 0x1)\n\t/app/main.go:12 +0x1d", "main.add(, )"),
            (
                "app/cart.rb:12:in `add': no (ArgumentError)\n\tfrom app.rb:1:in `<main>'",
                "app/cart.rb::in `add': no (ArgumentError)",
            ),
            ("#0 /srv/cart.php(12): Cart->add()\n#1 {main}", "# /srv/cart.php(): Cart->add()"),
            ("no frames here", ""),
            ("", ""),
        ];
        for (stack, expected) in cases {
            assert_eq!(top_frame(stack), expected, "{stack}");
        }
        assert_eq!(top_frame(&"ü".repeat(100_000)), "");
    }

    #[test]
    fn the_first_are_kept_then_one_in_so_many_and_totals_stay_right() {
        let mut repeats = Repeats::new(5, 100.0, Recent::new(1000, Duration::from_secs(3600)));
        let mut chance = Chance::new(6);
        let (mut kept, mut estimate) = (0_u32, 0.0);
        for number in 0..100_000 {
            let threshold = repeats.threshold(1, Duration::from_millis(number));
            let is_kept = threshold.keeps(chance.randomness());
            kept += u32::from(is_kept);
            estimate += if is_kept { threshold.adjusted_count() } else { 0.0 };
            assert!(number >= 5 || is_kept);
        }
        assert!((850..=1150).contains(&kept), "{kept}");
        assert!((estimate / 100_000.0 - 1.0_f64).abs() < 0.13, "{estimate}");
        assert_eq!(repeats.threshold(2, Duration::ZERO), Threshold::ALWAYS, "another error is new");
    }
}

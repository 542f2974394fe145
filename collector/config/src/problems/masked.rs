//! A line of a configuration without its values, for where nobody knows which of them are secret: it could not be read, or
//! its key is not known.

/// What stands for a character of a value.
const MASK: char = '*';

/// The line with the letters, digits and signs of every value masked; keys and what YAML means by its signs stay, each
/// character in its place. What may be either counts as a value.
pub(super) fn masked(line: &str) -> String {
    let mut out: Vec<char> = line.chars().collect();
    let mut at = 0;
    // Whether a key may come next: at the beginning of a line and of an entry between brackets.
    let mut may_be_key = true;
    while let Some(sign) = out.get(at).copied() {
        let ends_word = out.get(at + 1).is_none_or(|next| next.is_whitespace());
        match sign {
            sign if sign.is_whitespace() => at += 1,
            '{' | '[' | ',' | '}' | ']' => {
                may_be_key = true;
                at += 1;
            }
            '-' | ':' | '?' if ends_word => at += 1,
            '#' => {
                mask(&mut out[at + 1..]);
                break;
            }
            _ => {
                let end = scalar_end(&out, at);
                let is_key = may_be_key && is_followed_by_colon(&out, at, end);
                if !is_key {
                    mask(&mut out[at..end]);
                }
                may_be_key = false;
                // Behind a key in quotes no space is needed.
                at = if is_key && out.get(end) == Some(&':') { end + 1 } else { end };
            }
        }
    }
    out.into_iter().collect()
}

/// Where the scalar ends that begins at `at`; one in quotes that are not closed is as long as the line.
fn scalar_end(line: &[char], at: usize) -> usize {
    if let quote @ ('"' | '\'') = line[at] {
        let closes = |end: usize| line[end] == quote && !(quote == '"' && line[end - 1] == '\\');
        return (at + 1..line.len()).find(|end| closes(*end)).map_or(line.len(), |end| end + 1);
    }
    let ends = |end: usize| match line[end] {
        ':' => line.get(end + 1).is_none_or(|next| next.is_whitespace()),
        '{' | '[' | ',' | '}' | ']' => true,
        '#' => line[end - 1].is_whitespace(),
        _ => false,
    };
    (at + 1..line.len()).find(|end| ends(*end)).unwrap_or(line.len())
}

fn is_followed_by_colon(line: &[char], at: usize, end: usize) -> bool {
    let is_quoted = matches!(line[at], '"' | '\'');
    let rest = || line[end..].iter().copied().skip_while(|sign| sign.is_whitespace());
    rest().next() == Some(':') && (is_quoted || rest().nth(1).is_none_or(char::is_whitespace))
}

fn mask(value: &mut [char]) {
    for sign in value.iter_mut().filter(|sign| !sign.is_whitespace() && !matches!(sign, '"' | '\'')) {
        *sign = MASK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_and_keys_stay() {
        // (line, as it is shown)
        let cases = [
            ("  token: hush", "  token: ****"),
            ("  token: 'hu sh'  # hush", "  token: '** **'  # ****"),
            ("token: \"hush, key: hush", "token: \"***** **** ****"),
            ("headers: {x-key: hush, 'y': \"hush\"}", "headers: {x-key: ****, 'y': \"****\"}"),
            ("{\"a\":\"hush\",\"b\":[1,hush]}", "{\"a\":\"****\",\"b\":[*,****]}"),
            ("- hush", "- ****"),
            ("  - name: hush", "  - name: ****"),
            ("hush", "****"),
            ("  hush: [", "  hush: ["),
            ("a: hush: hush", "a: ****: ****"),
            ("url: http://u:hush@h:1", "url: *****************"),
            ("a: b:hush", "a: ******"),
            ("a: |-", "a: **"),
            ("tokens: [hush, hush", "tokens: [****, ****"),
            ("é: hüsh\u{1}", "é: *****"),
            ("", ""),
            ("\"\\\"hush", "\"*\"****"),
        ];
        for (line, shown) in cases {
            assert_eq!(masked(line), shown, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_character_keeps_its_place(line in ".{0,60}") {
            proptest::prop_assert_eq!(masked(&line).chars().count(), line.chars().count());
        }
    }
}

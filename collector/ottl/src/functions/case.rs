//! Upper case, lower case and the spellings of identifiers.

use std::str::FromStr;

use crate::EvalError;

/// A spelling that `ConvertCase` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Every letter small.
    Lower,
    /// Every letter a capital.
    Upper,
    /// `snake_case`.
    Snake,
    /// `CamelCase`.
    Camel,
}

impl FromStr for Case {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        match name {
            "lower" => Ok(Self::Lower),
            "upper" => Ok(Self::Upper),
            "snake" => Ok(Self::Snake),
            "camel" => Ok(Self::Camel),
            _ => Err(EvalError::new(format!(
                "invalid case: {name}, allowed cases are: lower, upper, snake, camel"
            ))),
        }
    }
}

impl Case {
    /// Writes a text in this case.
    pub fn convert(self, text: &str) -> String {
        match self {
            Self::Lower => lower(text),
            Self::Upper => upper(text),
            Self::Snake => snake(text),
            Self::Camel => camel(text),
        }
    }
}

/// Makes letters small, each by itself: one character stays one character, as in Go.
pub fn lower(text: &str) -> String {
    text.chars()
        .map(|character| {
            let mut mapped = character.to_lowercase();
            // Only `İ` has more than one: `i` and a dot above.
            mapped.next().unwrap_or(character)
        })
        .collect()
}

/// Makes letters capitals, each by itself: one character stays one character, as in Go.
pub fn upper(text: &str) -> String {
    text.chars().map(upper_char).collect()
}

fn upper_char(character: char) -> char {
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        // Greek letters with an iota below have a capital of their own; others, like `ß`, stay.
        _ => match character {
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
                shift(character, 8)
            }
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shift(character, 9),
            other => other,
        },
    }
}

fn shift(character: char, by: u32) -> char {
    char::from_u32(character as u32 + by).unwrap_or(character)
}

/// Spells as `snake_case`. Words end at separators (space, `_`, `-`, `.`), where a small letter meets a
/// capital, between letters and digits, and before the last capital of an acronym that goes on small.
/// Only ASCII counts.
pub fn snake(text: &str) -> String {
    let text: Vec<char> = text.trim().chars().collect();
    let mut out = String::with_capacity(text.len() + 4);
    for (position, &character) in text.iter().enumerate() {
        let before = position.checked_sub(1).map(|before| Kind::of(text[before]));
        let after = text.get(position + 1).map_or(Kind::Other, |&after| Kind::of(after));
        let kind = Kind::of(character);
        let acronym_ends = before == Some(Kind::Capital) && kind == Kind::Capital && after == Kind::Small;
        let word_ends = match kind {
            Kind::Small => matches!(after, Kind::Capital | Kind::Digit),
            Kind::Capital => after == Kind::Digit,
            Kind::Digit => matches!(after, Kind::Capital | Kind::Small),
            Kind::Other => false,
        };
        if acronym_ends {
            out.push('_');
        }
        out.push(if is_separator(character) { '_' } else { character.to_ascii_lowercase() });
        if word_ends {
            out.push('_');
        }
    }
    out
}

/// Spells as `CamelCase`: a capital at the start, behind separators and behind digits; further capitals
/// in a row become small. What is neither ASCII letter nor digit goes away.
pub fn camel(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut capital_next, mut after_capital) = (true, false);
    for character in text.trim().chars() {
        let kind = Kind::of(character);
        match kind {
            Kind::Small if capital_next => out.push(character.to_ascii_uppercase()),
            Kind::Capital if after_capital && !capital_next => out.push(character.to_ascii_lowercase()),
            Kind::Small | Kind::Capital | Kind::Digit => out.push(character),
            Kind::Other => {}
        }
        capital_next = match kind {
            Kind::Small | Kind::Capital => false,
            Kind::Digit => true,
            Kind::Other => is_separator(character),
        };
        after_capital = kind == Kind::Capital;
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Small,
    Capital,
    Digit,
    Other,
}

impl Kind {
    fn of(character: char) -> Self {
        match character {
            'a'..='z' => Self::Small,
            'A'..='Z' => Self::Capital,
            '0'..='9' => Self::Digit,
            _ => Self::Other,
        }
    }
}

fn is_separator(character: char) -> bool {
    matches!(character, ' ' | '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stay_one_character() {
        assert_eq!(upper("Straße ᾳ ŉ é"), "STRAßE ᾼ ŉ É");
        assert_eq!(lower("ÀB İ ΣΑΣ"), "àb i σασ");
    }

    #[test]
    fn snakes() {
        let cases = [
            ("HTTPServer2Go", "http_server_2_go"),
            ("userID", "user_id"),
            ("getHTTPResponseCode", "get_http_response_code"),
            ("", ""),
            (" a-b.c d_e ", "a_b_c_d_e"),
            ("JSONData", "json_data"),
            ("v2", "v_2"),
            ("A1", "a_1"),
            ("éÀb", "éÀb"),
            ("AnyKind of_string", "any_kind_of_string"),
        ];
        for (text, expected) in cases {
            assert_eq!(snake(text), expected, "{text}");
        }
    }

    #[test]
    fn camels() {
        let cases = [
            ("some_mixed-case text.v2", "SomeMixedCaseTextV2"),
            ("user_id", "UserId"),
            ("HELLO_WORLD", "HelloWorld"),
            ("a1b", "A1B"),
            ("", ""),
            ("x!y", "Xy"),
            ("ID", "Id"),
            ("numbers2And55with000", "Numbers2And55With000"),
        ];
        for (text, expected) in cases {
            assert_eq!(camel(text), expected, "{text}");
        }
    }

    #[test]
    fn names() {
        assert_eq!("snake".parse::<Case>().unwrap().convert("aB"), "a_b");
        assert!("kebab".parse::<Case>().is_err());
    }
}

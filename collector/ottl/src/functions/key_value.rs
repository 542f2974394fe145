//! Texts of pairs such as `user=alice action="log in"`.

use std::collections::HashMap;

use crate::EvalError;

/// What separates key from value, and pair from pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimiters {
    key: String,
    pair: String,
}

impl Delimiters {
    /// Takes two delimiters.
    ///
    /// # Errors
    ///
    /// Empty or equal ones.
    pub fn new(key: &str, pair: &str) -> Result<Self, EvalError> {
        if key.is_empty() {
            return Err(EvalError::new("delimiter cannot be set to an empty string"));
        }
        if pair.is_empty() {
            return Err(EvalError::new("pair delimiter cannot be set to an empty string"));
        }
        if key == pair {
            return Err(EvalError::new(format!(
                "pair delimiter {pair:?} cannot be equal to delimiter {key:?}"
            )));
        }
        Ok(Self { key: key.into(), pair: pair.into() })
    }

    /// Reads pairs in their order; of a key that comes twice the last value counts.
    ///
    /// # Errors
    ///
    /// An empty text, a quote that is not closed, and a pair without delimiter.
    pub fn parse(&self, text: &str) -> Result<Vec<(String, String)>, EvalError> {
        if text.is_empty() {
            return Err(EvalError::new("cannot parse key values from an empty string"));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for token in self.tokens(text)? {
            let (key, value) = token.split_once(&self.key).ok_or_else(|| {
                EvalError::new(format!(
                    "cannot split {token:?} into key and value, expected the delimiter {:?}",
                    self.key
                ))
            })?;
            pairs.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(last_of_each(pairs))
    }

    /// Splits at the pair delimiter outside of quotes, and drops the quotes.
    fn tokens(&self, text: &str) -> Result<Vec<String>, EvalError> {
        let mut tokens = Vec::new();
        let mut token = String::new();
        let (mut quote, mut escaped) = (None, false);
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if quote.is_none() && rest.starts_with(&self.pair) {
                tokens.push(std::mem::take(&mut token));
                rest = &rest[self.pair.len()..];
                escaped = false;
                continue;
            }
            rest = &rest[character.len_utf8()..];
            match character {
                '"' | '\'' if !escaped && quote.is_none() => quote = Some(character),
                _ if !escaped && quote == Some(character) => quote = None,
                _ => token.push(character),
            }
            escaped = character == '\\' && !escaped;
        }
        if quote.is_some() {
            return Err(EvalError::new("a quote is not closed"));
        }
        tokens.push(token);
        tokens.retain(|token| !token.is_empty());
        Ok(tokens)
    }

    /// Writes pairs; what contains a delimiter goes into quotes.
    pub fn write<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut out = String::new();
        for (position, (key, value)) in pairs.into_iter().enumerate() {
            if position > 0 {
                out.push_str(&self.pair);
            }
            self.write_part(&mut out, key);
            out.push_str(&self.key);
            self.write_part(&mut out, value);
        }
        out
    }

    fn write_part(&self, out: &mut String, part: &str) {
        let escaped = part.replace('"', "\\\"");
        if part.contains(&self.key) || part.contains(&self.pair) {
            out.push('"');
            out.push_str(&escaped);
            out.push('"');
        } else {
            out.push_str(&escaped);
        }
    }
}

/// Keeps the place of the first pair of each key, and the value of the last, in linear time.
fn last_of_each(pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(pairs.len());
    let mut kept: Vec<(String, String)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        match places.get(&key) {
            Some(&place) => kept[place].1 = value,
            None => {
                places.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, key: &str, pair: &str) -> Vec<(String, String)> {
        Delimiters::new(key, pair).unwrap().parse(text).unwrap()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn reads() {
        assert_eq!(
            parse("a=1 b='x y' c=\"q=r\"", "=", " "),
            owned(&[("a", "1"), ("b", "x y"), ("c", "q=r")])
        );
        assert_eq!(parse("k1:v1;k2:v2", ":", ";"), owned(&[("k1", "v1"), ("k2", "v2")]));
        assert_eq!(parse("  a=1   a=2 ", "=", " "), owned(&[("a", "2")]));
        assert_eq!(parse(r#"a="x \"y\" z""#, "=", " "), owned(&[("a", r#"x \"y\" z"#)]));
        assert_eq!(parse("a='it\"s'", "=", " "), owned(&[("a", "it\"s")]));
        assert_eq!(parse("a==b", "=", " "), owned(&[("a", "=b")]));
        assert_eq!(parse("ä→ö⇒ü→ß", "→", "⇒"), owned(&[("ä", "ö"), ("ü", "ß")]));
    }

    #[test]
    fn refuses() {
        let equals = Delimiters::new("=", " ").unwrap();
        for text in ["", "novalue", "a=\"unclosed", "a=1 b"] {
            assert!(equals.parse(text).is_err(), "{text}");
        }
        for (key, pair) in [("", " "), ("=", ""), ("=", "=")] {
            assert!(Delimiters::new(key, pair).is_err());
        }
    }

    #[test]
    fn writes() {
        let equals = Delimiters::new("=", " ").unwrap();
        assert_eq!(
            equals.write([("k", "v"), ("q", "a=b"), ("s", "x y"), ("z", "\"")]),
            r#"k=v q="a=b" s="x y" z=\""#
        );
    }
}

//! One row of comma-separated values, and its header.

use std::str::FromStr;

use crate::EvalError;

/// What quotes mean in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// RFC 4180: a quoted field may hold delimiters, line breaks and doubled quotes.
    #[default]
    Strict,
    /// As strict, and a quote within a field that is not quoted, or one that is not doubled within one
    /// that is, is plain.
    LazyQuotes,
    /// Quotes are plain.
    IgnoreQuotes,
}

impl FromStr for Mode {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        match name {
            "strict" => Ok(Self::Strict),
            "lazyQuotes" => Ok(Self::LazyQuotes),
            "ignoreQuotes" => Ok(Self::IgnoreQuotes),
            _ => Err(EvalError::new(format!(
                "unknown mode: {name}, expected strict, lazyQuotes or ignoreQuotes"
            ))),
        }
    }
}

/// Reads a delimiter: exactly one character.
///
/// # Errors
///
/// No character or several.
pub fn delimiter(text: &str) -> Result<char, EvalError> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(EvalError::new(format!("a delimiter must be one character, got {text:?}"))),
    }
}

/// Names the fields of a row by its header.
///
/// # Errors
///
/// An empty header, a malformed row, and another number of fields than the header has.
pub fn parse(
    row: &str,
    delimiter: char,
    header: &str,
    header_delimiter: char,
    mode: Mode,
) -> Result<Vec<(String, String)>, EvalError> {
    if header.is_empty() {
        return Err(EvalError::new("headers must not be an empty string"));
    }
    let names: Vec<&str> = header.split(header_delimiter).collect();
    let fields = match mode {
        Mode::IgnoreQuotes => row.split(delimiter).map(str::to_owned).collect(),
        mode => fields(row, delimiter, mode == Mode::LazyQuotes)?,
    };
    if fields.len() != names.len() {
        return Err(EvalError::new(format!(
            "wrong number of fields: expected {}, found {}",
            names.len(),
            fields.len()
        )));
    }
    Ok(names.into_iter().map(str::to_owned).zip(fields).collect())
}

/// Splits a row into fields. What a text holds behind its first line that ends outside of quotes goes on
/// in the last field, with the line break.
fn fields(text: &str, delimiter: char, lazy: bool) -> Result<Vec<String>, EvalError> {
    let mut fields = Vec::new();
    let mut lines = records(text, delimiter, lazy)?.into_iter();
    if let Some(first) = lines.next() {
        fields = first;
    }
    for line in lines {
        let mut line = line.into_iter();
        if let (Some(last), Some(first)) = (fields.last_mut(), line.next()) {
            last.push('\n');
            last.push_str(&first);
        }
        fields.extend(line);
    }
    if fields.is_empty() { Err(EvalError::new("no csv line in an empty text")) } else { Ok(fields) }
}

/// Reads all records of a text, as Go's `encoding/csv` does: empty lines are passed over.
fn records(text: &str, delimiter: char, lazy: bool) -> Result<Vec<Vec<String>>, EvalError> {
    let text = text.replace("\r\n", "\n");
    let mut records = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('\n') {
            rest = after;
            continue;
        }
        let mut record = Vec::new();
        loop {
            let (field, end, after) = if let Some(quoted) = rest.strip_prefix('"') {
                quoted_field(quoted, delimiter, lazy)?
            } else {
                plain_field(rest, delimiter, lazy)?
            };
            record.push(field);
            rest = after;
            if end != End::Delimiter {
                break;
            }
        }
        records.push(record);
    }
    Ok(records)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Delimiter,
    Line,
}

fn plain_field(rest: &str, delimiter: char, lazy: bool) -> Result<(String, End, &str), EvalError> {
    let end = rest.find([delimiter, '\n']).unwrap_or(rest.len());
    let field = &rest[..end];
    if !lazy && field.contains('"') {
        return Err(EvalError::new("a bare \" in a field that is not quoted"));
    }
    let mut after = rest[end..].chars();
    let end = if after.next() == Some(delimiter) { End::Delimiter } else { End::Line };
    Ok((field.to_owned(), end, after.as_str()))
}

/// Reads a field behind its opening quote.
fn quoted_field(mut rest: &str, delimiter: char, lazy: bool) -> Result<(String, End, &str), EvalError> {
    let mut field = String::new();
    loop {
        let Some(quote) = rest.find('"') else {
            if !lazy {
                return Err(EvalError::new("a quoted field is not closed"));
            }
            field.push_str(rest);
            return Ok((field, End::Line, ""));
        };
        field.push_str(&rest[..quote]);
        let mut after = rest[quote + 1..].chars();
        let next = after.next();
        match next {
            Some('"') => field.push('"'),
            Some(character) if character == delimiter => return Ok((field, End::Delimiter, after.as_str())),
            Some('\n') | None => return Ok((field, End::Line, after.as_str())),
            Some(character) if lazy => {
                field.push('"');
                field.push(character);
            }
            Some(_) => {
                return Err(EvalError::new("a \" in a quoted field is neither doubled nor at its end"));
            }
        }
        rest = after.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(row: &str, header: &str, mode: Mode) -> Result<Vec<String>, EvalError> {
        Ok(parse(row, ',', header, ',', mode)?.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn rows() {
        let cases = [
            (Mode::Strict, "1,\"two, 2\",3", "a,b,c", vec!["1", "two, 2", "3"]),
            (Mode::Strict, "\"a \"\"q\"\" b\",\"x\ny\"", "a,b", vec!["a \"q\" b", "x\ny"]),
            (Mode::Strict, ",", "a,b", vec!["", ""]),
            (Mode::Strict, "a,b\nc,d", "x,y,z", vec!["a", "b\nc", "d"]),
            (Mode::Strict, "a,b\r\n", "x,y", vec!["a", "b"]),
            (Mode::LazyQuotes, "a \"b\" c,d", "a,b", vec!["a \"b\" c", "d"]),
            (Mode::LazyQuotes, "\"a \"word\" b\",d", "a,b", vec!["a \"word\" b", "d"]),
            (Mode::LazyQuotes, "\"open,d", "a", vec!["open,d"]),
            (Mode::IgnoreQuotes, "\"a,b", "a,b", vec!["\"a", "b"]),
        ];
        for (mode, row, header, expected) in cases {
            assert_eq!(values(row, header, mode).unwrap(), expected, "{row}");
        }
        let named = parse("x|y", '|', "a;b", ';', Mode::Strict).unwrap();
        assert_eq!(named, [("a".into(), "x".into()), ("b".into(), "y".into())]);
    }

    #[test]
    fn refuses() {
        for (mode, row, header) in [
            (Mode::Strict, "a,b", "h1"),
            (Mode::Strict, "a", ""),
            (Mode::Strict, "a\"b,c", "h1,h2"),
            (Mode::Strict, "\"ab\"c", "h"),
            (Mode::Strict, "\"open", "h"),
            (Mode::Strict, "", "h"),
        ] {
            assert!(values(row, header, mode).is_err(), "{row}");
        }
        assert!(delimiter("||").is_err() && delimiter("").is_err());
        assert_eq!(delimiter("é").unwrap(), 'é');
        assert!("zzz".parse::<Mode>().is_err());
    }
}

//! Refinery's conditions as conditions of OTTL.

use serde_json::Value;

use super::policies::Policy;
use super::rules::Test;

/// Where the conditions of a rule have to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Each on any span.
    Trace,
    /// All on one span.
    Span,
}

/// What is asked of a trace.
#[derive(Debug)]
pub(super) enum Condition {
    /// A span for which this holds.
    Span(String),
    /// No span for which this holds.
    NoSpan(String),
    /// The number of spans, within bounds.
    SpanCount { least: i64, most: i64 },
}

impl Condition {
    /// The policy that asks it.
    pub(super) fn into_policy(self, number: usize) -> Policy {
        let name = format!("condition {number}");
        match self {
            Condition::Span(text) => Policy::where_a_span(&name, &text),
            Condition::NoSpan(text) => Policy::not(&name, Policy::where_a_span("a span", &text)),
            Condition::SpanCount { least, most } => {
                let mut settings = vec![("min_spans", least.to_string())];
                if most < i64::MAX {
                    settings.push(("max_spans", most.to_string()));
                }
                Policy::new(&name, "span_count", settings)
            }
        }
    }
}

/// That a resource says to be of an environment.
pub(super) fn environment(attribute: &str, environment: &str) -> Condition {
    Condition::Span(format!("resource.attributes[{}] == {}", literal(attribute), literal(environment)))
}

/// The conditions of a rule, all of which have to hold.
///
/// # Errors
/// What has no equivalent.
pub(super) fn translate(tests: &[Test], scope: Scope) -> Result<Vec<Condition>, String> {
    let mut conditions: Vec<Condition> = tests.iter().map(translate_one).collect::<Result<_, _>>()?;
    if scope == Scope::Span {
        let of_spans: Vec<String> =
            conditions.iter().filter_map(of_span).map(|text| format!("({text})")).collect();
        conditions.retain(|condition| of_span(condition).is_none());
        if !of_spans.is_empty() {
            conditions.insert(0, Condition::Span(of_spans.join(" and ")));
        }
    }
    Ok(conditions)
}

fn of_span(condition: &Condition) -> Option<&String> {
    if let Condition::Span(text) = condition { Some(text) } else { None }
}

fn translate_one(test: &Test) -> Result<Condition, String> {
    let operator = test.operator();
    if operator == "has-root-span" {
        return Ok(match test.value {
            Value::Bool(false) => Condition::NoSpan("IsRootSpan()".into()),
            _ => Condition::Span("IsRootSpan()".into()),
        });
    }
    if test.names() == ["?.NUM_DESCENDANTS"] {
        return span_count(&operator, &test.value);
    }
    let mut paths = Vec::new();
    let mut at_root = false;
    for name in test.names() {
        let plain = name.strip_prefix("root.");
        at_root |= plain.is_some();
        paths.extend(places(plain.unwrap_or(name), &operator)?);
    }
    let asked = Asked { operator: &operator, test };
    let text = asked.of(&paths)?;
    Ok(Condition::Span(if at_root { format!("IsRootSpan() and ({text})") } else { text }))
}

/// Where the value of a field may be; the first that is there counts.
fn places(field: &str, operator: &str) -> Result<Vec<String>, String> {
    let one = |path: &str| Ok(vec![path.to_owned()]);
    match field {
        "duration_ms" => one("(span.end_time_unix_nano - span.start_time_unix_nano)"),
        "name" => one("span.name"),
        "status_code" => one("span.status.code"),
        "status_message" => one("span.status.message"),
        "trace.trace_id" => one("span.trace_id.string"),
        "trace.span_id" => one("span.span_id.string"),
        "trace.parent_id" => one("span.parent_span_id.string"),
        "library.name" => one("scope.name"),
        "library.version" => one("scope.version"),
        "span.kind" | "type" => {
            Err(format!("the field {field} {operator} …: kinds of spans are numbers in OTTL"))
        }
        _ if field.starts_with("meta.") || field.starts_with("?.") => {
            Err(format!("the field {field} is Refinery's own"))
        }
        _ => {
            let key = literal(field);
            Ok(vec![format!("span.attributes[{key}]"), format!("resource.attributes[{key}]")])
        }
    }
}

fn span_count(operator: &str, value: &Value) -> Result<Condition, String> {
    let count = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let count = count
        .ok_or_else(|| format!("?.NUM_DESCENDANTS {operator} {value} is no comparison with a number"))?;
    let (least, most) = match operator {
        ">=" => (count, i64::MAX),
        ">" => (count.saturating_add(1), i64::MAX),
        "=" => (count, count),
        "<=" => (1, count),
        "<" => (1, count - 1),
        _ => return Err(format!("?.NUM_DESCENDANTS {operator} …")),
    };
    if most < 1 {
        return Err(format!("?.NUM_DESCENDANTS {operator} {count} holds for no trace"));
    }
    Ok(Condition::SpanCount { least: least.max(1), most })
}

struct Asked<'a> {
    operator: &'a str,
    test: &'a Test,
}

impl Asked<'_> {
    /// The condition over the first of the places that has a value.
    fn of(&self, places: &[String]) -> Result<String, String> {
        let is_duration = places.len() == 1 && places[0].contains("end_time");
        if places.len() == 1 && places[0] == "span.parent_span_id.string" {
            match self.operator {
                "exists" => return Ok("not IsRootSpan()".into()),
                "not-exists" => return Ok("IsRootSpan()".into()),
                _ => {}
            }
        }
        if self.is_error(places) {
            return Ok(format!("span.status.code == STATUS_CODE_ERROR or {} == true", places[0]));
        }
        let none = places.iter().map(|place| format!("{place} == nil")).collect::<Vec<_>>().join(" and ");
        match self.operator {
            "exists" => {
                let any = places.iter().map(|place| format!("{place} != nil")).collect::<Vec<_>>();
                return Ok(any.join(" or "));
            }
            "not-exists" => return Ok(none),
            _ => {}
        }
        // What holds for a value that is not there.
        let negative = matches!(self.operator, "!=" | "does-not-contain" | "not-in");
        let by_text = self.operator != "!=" || self.test.datatype == "string";
        let mut parts = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let value = self.value(place, is_duration)?;
            let mut part = vec![];
            part.extend(places[..index].iter().map(|place| format!("{place} == nil")));
            if negative {
                part.push(format!("{place} != nil"));
            }
            part.push(value);
            parts.push(part.join(" and "));
        }
        if negative && by_text {
            parts.push(none);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        Ok(parts
            .iter()
            .map(|part| if part.contains(" and ") { format!("({part})") } else { part.clone() })
            .collect::<Vec<_>>()
            .join(" or "))
    }

    /// Honeycomb makes the field `error` from the status.
    fn is_error(&self, places: &[String]) -> bool {
        let asks = self.operator == "exists"
            || self.operator == "=" && matches!(&self.test.value, Value::Bool(true))
            || self.operator == "=" && self.test.value.as_str() == Some("true");
        asks && places.first().is_some_and(|place| place == r#"span.attributes["error"]"#)
    }

    /// What is asked of the value at a place.
    fn value(&self, place: &str, is_duration: bool) -> Result<String, String> {
        let value = &self.test.value;
        let list = || match value {
            Value::Array(values) => values.clone(),
            one => vec![one.clone()],
        };
        let any_of = |path: &str, operator: &str, join: &str| {
            let each: Vec<String> =
                list().iter().map(|value| format!("{path} {operator} {}", self.literal(value))).collect();
            if each.len() == 1 { each[0].clone() } else { format!("({})", each.join(join)) }
        };
        Ok(match self.operator {
            "=" | "!=" | "<" | "<=" | ">" | ">=" if is_duration => {
                let millis = value.as_f64().or_else(|| value.as_str()?.parse().ok());
                let millis = millis.ok_or_else(|| format!("duration_ms {} {value}", self.operator))?;
                format!("{place} {} {}", self.ottl_operator(), (millis * 1e6).round() as i64)
            }
            "=" | "!=" | "<" | "<=" | ">" | ">=" => {
                format!("{} {} {}", self.typed(place), self.ottl_operator(), self.literal(value))
            }
            "in" => any_of(&self.typed_or_text(place), "==", " or "),
            "not-in" => any_of(&self.typed_or_text(place), "!=", " and "),
            "starts-with" => matches(place, &format!("^{}", escaped(&text(value)))),
            "contains" => matches(place, &escaped(&text(value))),
            "does-not-contain" => format!("not {}", matches(place, &escaped(&text(value)))),
            "matches" => matches(place, &text(value)),
            other => return Err(format!("the operator {other}")),
        })
    }

    fn ottl_operator(&self) -> &str {
        if self.operator == "=" { "==" } else { self.operator }
    }

    fn typed(&self, place: &str) -> String {
        match self.test.datatype.as_str() {
            "int" => format!("Int({place})"),
            "float" => format!("Double({place})"),
            "string" | "bool" => format!("String({place})"),
            _ => place.to_owned(),
        }
    }

    /// Lists are compared as text where nothing else is said.
    fn typed_or_text(&self, place: &str) -> String {
        if self.test.datatype.is_empty() { format!("String({place})") } else { self.typed(place) }
    }

    fn literal(&self, value: &Value) -> String {
        let as_text = matches!(self.test.datatype.as_str(), "string" | "bool")
            || self.test.datatype.is_empty() && matches!(self.operator, "in" | "not-in");
        match (self.test.datatype.as_str(), value) {
            _ if as_text => literal(&text(value)),
            ("int" | "float", Value::String(number)) if number.parse::<f64>().is_ok() => number.clone(),
            (_, Value::String(text)) => literal(text),
            (_, other) => other.to_string(),
        }
    }
}

fn matches(place: &str, pattern: &str) -> String {
    format!("IsMatch({place}, {})", literal(pattern))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text as a literal of OTTL.
fn literal(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A pattern that matches just this text.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

//! Views: which instruments are shown how.

use crate::instruments::{Bounds, HistogramValue};
use crate::metrics::{InstrumentKind, Point, Stream, Value};

/// Changes how the instruments that it selects are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Which instruments.
    pub selector: Selector,
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// What becomes of the values.
    pub aggregation: Aggregation,
    /// The attributes that stay; series that differ in others only become one.
    pub attribute_keys: Selection,
}

/// Which instruments a view is about; what is not set fits all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    /// The name, with `*` for any text and `?` for any character.
    pub instrument_name: Option<String>,
    /// The kind.
    pub instrument_kind: Option<InstrumentKind>,
    /// The unit.
    pub unit: Option<String>,
    /// The scope.
    pub meter_name: Option<String>,
    /// The version of the scope.
    pub meter_version: Option<String>,
    /// The schema of the scope, of which there is none: any text but the empty one fits nothing.
    pub meter_schema_url: Option<String>,
}

/// What becomes of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Aggregation {
    /// What fits the instrument.
    #[default]
    Default,
    /// Nothing: the instrument is not shown.
    Drop,
    /// Buckets with these bounds, for a histogram.
    Buckets(Bounds),
}

/// Names that are taken in and left out, with `*` and `?` as wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those that count; none for all.
    pub included: Option<Vec<String>>,
    /// Those that do not, also where `included` has them.
    pub excluded: Vec<String>,
}

impl Selection {
    /// Nothing.
    pub fn nothing() -> Selection {
        Selection { included: Some(Vec::new()), excluded: Vec::new() }
    }

    /// Whether `name` counts.
    pub fn takes(&self, name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, name));
        self.included.as_deref().is_none_or(any) && !any(&self.excluded)
    }
}

/// Whether `text` is what `pattern` says, in time linear in their product.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and how much of the text it has taken.
    let mut star = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, t) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

impl Selector {
    fn selects(&self, stream: &Stream, version: &str) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
        self.instrument_name.as_deref().is_none_or(|pattern| fits(pattern, &stream.name))
            && self.instrument_kind.is_none_or(|kind| kind == stream.kind)
            && is(&self.unit, stream.unit)
            && is(&self.meter_name, stream.scope)
            && is(&self.meter_version, version)
            && is(&self.meter_schema_url, "")
    }
}

/// The bounds that a view gives to the histogram that `stream` describes.
pub(crate) fn bounds_for(views: &[View], stream: &Stream, version: &str) -> Option<Bounds> {
    let mut selecting = views.iter().filter(|view| view.selector.selects(stream, version));
    selecting.find_map(|view| match &view.aggregation {
        Aggregation::Buckets(bounds) => Some(bounds.clone()),
        _ => None,
    })
}

/// What `stream` looks like through the views: as it is where none selects it, else once for each that
/// does.
pub(crate) fn look(views: &[View], stream: Stream, version: &str) -> Vec<Stream> {
    let selecting: Vec<_> = views.iter().filter(|view| view.selector.selects(&stream, version)).collect();
    if selecting.is_empty() {
        return vec![stream];
    }
    let shown = selecting.into_iter().filter(|view| view.aggregation != Aggregation::Drop);
    shown.map(|view| through(view, stream.clone())).collect()
}

fn through(view: &View, mut stream: Stream) -> Stream {
    if let Some(name) = &view.name {
        stream.name = name.clone().into();
    }
    if let Some(text) = &view.description {
        stream.text = text.clone().into();
    }
    if view.attribute_keys != Selection::default() {
        let mut points: Vec<Point> = Vec::with_capacity(stream.points.len());
        for mut point in std::mem::take(&mut stream.points) {
            point.attributes.retain(|(key, _)| view.attribute_keys.takes(key));
            match points.iter_mut().find(|other| other.attributes == point.attributes) {
                Some(other) => join(&mut other.value, &point.value),
                None => points.push(point),
            }
        }
        stream.points = points;
    }
    stream
}

/// Series that became one: what they count adds up.
fn join(value: &mut Value, other: &Value) {
    match (value, other) {
        (Value::Int(a), Value::Int(b)) => *a = a.wrapping_add(*b),
        (Value::Float(a), Value::Float(b)) => *a += b,
        (Value::Histogram(a), Value::Histogram(b)) => HistogramValue::merge(a, b),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_fit_as_they_say() {
        let cases = [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("?b*", "ab", true),
            ("?", "", false),
            ("*_total*", "x_total", true),
            ("a*b*c", "a1b2b3c", true),
            ("exact", "exactly", false),
        ];
        for (pattern, text, outcome) in cases {
            assert_eq!(fits(pattern, text), outcome, "{pattern} {text}");
        }
    }

    #[test]
    fn a_view_drops_renames_and_joins() {
        let stream = Stream {
            name: "otelcol_exporter_sent_spans".into(),
            unit: "{span}",
            text: "Sent.".into(),
            scope: "s",
            kind: InstrumentKind::Counter,
            points: [("a", "1", 3), ("a", "2", 4), ("b", "1", 5)]
                .map(|(exporter, port, value)| Point {
                    attributes: vec![("exporter", exporter.to_owned()), ("server.port", port.to_owned())],
                    value: Value::Int(value),
                })
                .into(),
        };
        let select = |name: &str| Selector { instrument_name: Some(name.to_owned()), ..Selector::default() };
        let drop = View { selector: select("*_sent_*"), aggregation: Aggregation::Drop, ..View::default() };
        assert_eq!(look(&[drop], stream.clone(), "1"), []);
        let joined = View {
            selector: Selector { unit: Some("{span}".to_owned()), ..Selector::default() },
            name: Some("sent".to_owned()),
            attribute_keys: Selection { included: None, excluded: vec!["server.*".to_owned()] },
            ..View::default()
        };
        let seen = look(&[joined], stream.clone(), "1");
        let values: Vec<_> = seen[0].points.iter().map(|p| (&*p.attributes[0].1, p.value.clone())).collect();
        assert_eq!((seen.len(), &*seen[0].name), (1, "sent"));
        assert_eq!(values, [("a", Value::Int(7)), ("b", Value::Int(5))]);
        let other = View { selector: select("nothing"), aggregation: Aggregation::Drop, ..View::default() };
        assert_eq!(look(&[other], stream.clone(), "1"), [stream]);
    }
}

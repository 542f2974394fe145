//! Names of metrics and labels, as Prometheus' own translator makes them.

use std::borrow::Cow;

use phoenix_prometheus_units::{word, word_per};

/// How names become those of Prometheus (`translation_strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// `UnderscoreEscapingWithSuffixes`.
    #[default]
    EscapedWithSuffixes,
    /// `UnderscoreEscapingWithoutSuffixes`.
    Escaped,
    /// `NoUTF8EscapingWithSuffixes`.
    WithSuffixes,
    /// `NoTranslation`.
    AsTheyAre,
}

impl Strategy {
    /// Every name that a configuration may use.
    pub const NAMES: [&str; 4] = [
        "UnderscoreEscapingWithSuffixes",
        "UnderscoreEscapingWithoutSuffixes",
        "NoUTF8EscapingWithSuffixes",
        "NoTranslation",
    ];

    /// Reads a name of [`NAMES`](Strategy::NAMES).
    pub fn parse(name: &str) -> Option<Strategy> {
        use Strategy::{AsTheyAre, Escaped, EscapedWithSuffixes, WithSuffixes};
        let all = [EscapedWithSuffixes, Escaped, WithSuffixes, AsTheyAre];
        Strategy::NAMES.iter().position(|known| *known == name).map(|place| all[place])
    }

    fn escapes(self) -> bool {
        matches!(self, Strategy::EscapedWithSuffixes | Strategy::Escaped)
    }

    fn has_suffixes(self) -> bool {
        matches!(self, Strategy::EscapedWithSuffixes | Strategy::WithSuffixes)
    }
}

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Never falls, but for resets.
    Counter,
    /// Any value.
    Gauge,
    /// Buckets.
    Histogram,
    /// Quantiles.
    Summary,
    /// A constant 1 whose labels matter.
    Info,
}

/// The rules for names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// What stands before the name of each metric.
    pub namespace: String,
    /// How the rest is translated.
    pub strategy: Strategy,
}

impl Naming {
    /// The name of a metric's family.
    pub fn metric(&self, name: &str, unit: &str, kind: Kind) -> String {
        let name = match (self.strategy.escapes(), self.strategy.has_suffixes()) {
            (true, true) => return escaped_with_suffixes(name, unit, kind, &self.namespace),
            (true, false) => underscored(name),
            (false, true) => with_suffixes(name, unit, kind),
            (false, false) => name.to_owned(),
        };
        if !self.namespace.is_empty() {
            let namespace = match self.strategy.escapes() {
                true => Cow::Owned(underscored(&self.namespace)),
                false => Cow::Borrowed(self.namespace.as_str()),
            };
            return not_a_digit_first(format!("{namespace}_{name}"), self.strategy.escapes());
        }
        not_a_digit_first(name, self.strategy.escapes())
    }

    /// The name of a label.
    pub fn label<'a>(&self, key: &'a str) -> Cow<'a, str> {
        if !self.strategy.escapes() {
            return Cow::Borrowed(key);
        }
        let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name: Cow<'a, str> = match key.chars().all(is_valid) {
            true => Cow::Borrowed(key),
            false => {
                let mut name = String::with_capacity(key.len());
                name.extend(key.chars().map(|c| if is_valid(c) { c } else { '_' }));
                Cow::Owned(name)
            }
        };
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            return Cow::Owned(format!("key_{name}"));
        }
        match name.starts_with('_') && !name.starts_with("__") {
            true => Cow::Owned(format!("key{name}")),
            false => name,
        }
    }
}

fn not_a_digit_first(name: String, escapes: bool) -> String {
    match escapes && name.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// Runs of what cannot stand in a name become one underscore each; underscores stay.
fn underscored(name: &str) -> String {
    let parts = name.split(|c: char| !is_token(c) && c != '_').filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("_")
}

fn escaped_with_suffixes(name: &str, unit: &str, kind: Kind, namespace: &str) -> String {
    let mut tokens: Vec<Cow<'_, str>> =
        name.split(|c: char| !is_token(c)).filter(|token| !token.is_empty()).map(Cow::Borrowed).collect();
    let (main, per) = unit_words(unit);
    let (main, per) = (cleaned(&main), cleaned(&per));
    if !main.is_empty() && !tokens.contains(&Cow::Borrowed(main.as_str())) {
        tokens.push(Cow::Owned(main));
    }
    if !per.is_empty() && !tokens.contains(&Cow::Borrowed(per.as_str())) {
        tokens.push(Cow::Owned(format!("per_{per}")));
    }
    if let Some(word) = type_word(unit, kind) {
        tokens.retain(|token| token != word);
        tokens.push(Cow::Borrowed(word));
    }
    if !namespace.is_empty() {
        tokens.insert(0, Cow::Owned(underscored(namespace)));
    }
    not_a_digit_first(tokens.join("_"), true)
}

fn with_suffixes(name: &str, unit: &str, kind: Kind) -> String {
    let (main, per) = unit_words(unit);
    let mut suffixes = Vec::new();
    let mut rest = name;
    if let Some(word) = type_word(unit, kind) {
        rest = without_suffix(rest, word);
        suffixes.push(word.to_owned());
    }
    if !per.is_empty() {
        let per = format!("per_{per}");
        rest = without_suffix(rest, &per);
        suffixes.push(per);
    }
    let mut name = rest.to_owned();
    if !main.is_empty() && !name.ends_with(main.as_ref()) {
        name = format!("{name}_{main}");
    }
    for suffix in suffixes.into_iter().rev() {
        name.push('_');
        name.push_str(&suffix);
    }
    name
}

/// `name` without `word` at its end and the character before that.
fn without_suffix<'a>(name: &'a str, word: &str) -> &'a str {
    match name.strip_suffix(word) {
        Some(rest) if !rest.is_empty() => {
            let last = rest.char_indices().next_back().map_or(0, |(at, _)| at);
            &rest[..last]
        }
        _ => name,
    }
}

fn type_word(unit: &str, kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Counter => Some("total"),
        Kind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    }
}

/// What a unit adds, before and behind its slash. Annotations in braces add nothing.
fn unit_words(unit: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    fn shown(part: &str, word: fn(&str) -> Option<&'static str>) -> Cow<'_, str> {
        let part = part.trim();
        if part.contains(['{', '}']) {
            return Cow::Borrowed("");
        }
        Cow::Borrowed(word(part).unwrap_or(part))
    }
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    (shown(main, word), shown(per, word_per))
}

/// A unit's word as it can stand in a name.
fn cleaned(word: &str) -> String {
    let parts = word.split(|c: char| !is_token(c)).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_prometheus_by_each_strategy() {
        use Kind::{Counter, Gauge, Histogram};
        use Strategy::{AsTheyAre, Escaped, EscapedWithSuffixes, WithSuffixes};
        // (name, unit, kind, escaped with suffixes, escaped, with suffixes)
        let cases = [
            (
                "http.requests",
                "{request}",
                Counter,
                "http_requests_total",
                "http_requests",
                "http.requests_total",
            ),
            (
                "http.requests.total",
                "1",
                Counter,
                "http_requests_total",
                "http_requests_total",
                "http.requests_total",
            ),
            ("total.of.all", "", Counter, "of_all_total", "total_of_all", "total.of.all_total"),
            (
                "http.duration",
                "s",
                Histogram,
                "http_duration_seconds",
                "http_duration",
                "http.duration_seconds",
            ),
            ("duration_seconds", "s", Gauge, "duration_seconds", "duration_seconds", "duration_seconds"),
            ("seconds.left", "s", Gauge, "seconds_left", "seconds_left", "seconds.left_seconds"),
            (
                "cpu.utilization",
                "1",
                Gauge,
                "cpu_utilization_ratio",
                "cpu_utilization",
                "cpu.utilization_ratio",
            ),
            ("net.io", "By/s", Gauge, "net_io_bytes_per_second", "net_io", "net.io_bytes_per_second"),
            ("net.io", "By/{packet}", Gauge, "net_io_bytes", "net_io", "net.io_bytes"),
            ("a..b__c", "", Gauge, "a_b_c", "a_b__c", "a..b__c"),
            ("2xx", "", Gauge, "_2xx", "_2xx", "2xx"),
            ("ns:rate", "1/s", Gauge, "ns:rate_per_second", "ns:rate", "ns:rate_per_second"),
            ("Zürich", "Cel", Gauge, "Z_rich_celsius", "Z_rich", "Zürich_celsius"),
            ("odd", "m^2", Gauge, "odd_m_2", "odd", "odd_m^2"),
        ];
        for (name, unit, kind, full, escaped, plain) in cases {
            for (strategy, expected) in
                [(EscapedWithSuffixes, full), (Escaped, escaped), (WithSuffixes, plain), (AsTheyAre, name)]
            {
                let naming = Naming { namespace: String::new(), strategy };
                assert_eq!(naming.metric(name, unit, kind), expected, "{name} {unit} {strategy:?}");
            }
        }
        let naming = Naming { namespace: "my-app".into(), strategy: EscapedWithSuffixes };
        assert_eq!(naming.metric("2xx", "", Counter), "my_app_2xx_total");
        for name in Strategy::NAMES {
            assert!(Strategy::parse(name).is_some(), "{name}");
        }
        assert_eq!(Strategy::parse("No"), None);
    }

    #[test]
    fn labels_are_escaped_where_names_are() {
        let escaping = Naming::default();
        let cases = [
            ("http.route", "http_route"),
            ("2nd", "key_2nd"),
            ("_private", "key_private"),
            ("__internal", "__internal"),
            ("ok", "ok"),
            ("é", "key_"),
        ];
        for (key, label) in cases {
            assert_eq!(escaping.label(key), label);
        }
        let plain = Naming { strategy: Strategy::AsTheyAre, ..Naming::default() };
        assert_eq!(plain.label("http.route"), "http.route");
    }
}

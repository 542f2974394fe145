use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use phoenix_config::{Described, Key, Problems, Section, Shape, Written, nearest};
use serde::Deserialize;
use serde::de::Deserializer;

use crate::metric::{Catalog, Metric};

/// Which metrics of a scraper are sent: `{name: {enabled: true}}`.
#[derive(Clone)]
pub(crate) struct Switches<C> {
    written: BTreeMap<String, Option<bool>>,
    enabled: Vec<bool>,
    catalog: PhantomData<fn() -> C>,
}

/// What stands below the name of a metric.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Switch {
    enabled: Option<bool>,
}

impl<C: Catalog> Switches<C> {
    fn new(written: BTreeMap<String, Option<bool>>) -> Switches<C> {
        let is_on = |metric: &Metric| written.get(metric.name).copied().flatten().unwrap_or(metric.default);
        let enabled = C::METRICS.iter().map(is_on).collect();
        Switches { written, enabled, catalog: PhantomData }
    }

    pub(crate) fn is_on(&self, metric: C) -> bool {
        self.enabled[metric.index()]
    }

    /// How many are on.
    pub(crate) fn count(&self) -> u64 {
        self.enabled.iter().filter(|is_on| **is_on).count() as u64
    }

    pub(crate) fn is_any_on(&self, metrics: &[C]) -> bool {
        metrics.iter().any(|metric| self.is_on(*metric))
    }

    /// Reports names that are no metric of this scraper.
    pub(crate) fn validate(&self, problems: &mut Problems) {
        for name in self.written.keys() {
            if C::METRICS.iter().all(|metric| metric.name != name) {
                let names: Vec<&str> = C::METRICS.iter().map(|metric| metric.name).collect();
                let help = match nearest(name, names.iter().copied()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("its metrics are {}", names.join(", ")),
                };
                problems.error_with_help(name, "unknown key", help);
            }
        }
    }
}

impl<C: Catalog> Default for Switches<C> {
    fn default() -> Self {
        Switches::new(BTreeMap::new())
    }
}

impl<C> PartialEq for Switches<C> {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl<C> fmt::Debug for Switches<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl<'de, C: Catalog> Deserialize<'de> for Switches<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, Option<Switch>>::deserialize(deserializer)?;
        let written = written.into_iter().map(|(name, switch)| (name, switch.and_then(|it| it.enabled)));
        Ok(Switches::new(written.collect()))
    }
}

impl<C: Catalog> Described for Switches<C> {
    fn shape() -> Shape {
        let key = |metric: &'static Metric| {
            let enabled = Key::new("enabled", Shape::Bool, &["Whether it is sent."])
                .with_default(Some(metric.default.into()));
            let switch = Section::new("Switch", &["A metric."], true, vec![enabled]);
            Key::new(metric.name, Shape::Section(switch), &[metric.text])
        };
        let keys = C::METRICS.iter().map(key).collect();
        Shape::Section(Section::new(C::NAME, &["The metrics of the scraper."], true, keys))
    }

    fn written(&self) -> Option<Written> {
        Some(Written::Object(Default::default()))
    }
}

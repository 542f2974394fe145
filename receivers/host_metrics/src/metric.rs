//! What a metric is: the one place where names, units and types stand is the tables made of this.

/// What the values of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    /// A cumulative sum that only grows.
    Counter,
    /// A cumulative sum that moves both ways.
    UpDownCounter,
}

/// One metric of a scraper.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) kind: Kind,
    /// Whether it is sent unless the settings say otherwise.
    pub(crate) default: bool,
    pub(crate) text: &'static str,
}

/// The metrics of one scraper: an enum with a table.
pub(crate) trait Catalog: Copy + 'static {
    /// The type's name in the reference.
    const NAME: &'static str;
    /// The metrics, in the order of the enum.
    const METRICS: &'static [Metric];

    fn index(self) -> usize;
}

/// Catalogs: `Variant: "name", "unit", Kind, on by default, "what it is";`.
macro_rules! catalogs {
    ($($(#[$doc:meta])* $catalog:ident {
        $($metric:ident: $name:literal, $unit:literal, $kind:ident, $default:literal, $text:literal;)*
    })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $catalog { $($metric),* }

        impl $crate::metric::Catalog for $catalog {
            const NAME: &'static str = stringify!($catalog);
            const METRICS: &'static [$crate::metric::Metric] = &[$($crate::metric::Metric {
                name: $name, unit: $unit, kind: $crate::metric::Kind::$kind, default: $default, text: $text,
            }),*];

            fn index(self) -> usize {
                self as usize
            }
        }
    )* };
}
pub(crate) use catalogs;

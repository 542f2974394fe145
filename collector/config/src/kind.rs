//! The kinds of components, and what a distribution knows of each.

use std::fmt;

/// What a component is in a pipeline, or beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Takes data in.
    Receiver,
    /// Changes, holds or drops data.
    Processor,
    /// Sends data out.
    Exporter,
    /// Ends one pipeline and begins another.
    Connector,
    /// Stands beside the pipelines.
    Extension,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] =
        [Kind::Receiver, Kind::Processor, Kind::Exporter, Kind::Connector, Kind::Extension];

    /// The name of one, for example `receiver`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Receiver => "receiver",
            Kind::Processor => "processor",
            Kind::Exporter => "exporter",
            Kind::Connector => "connector",
            Kind::Extension => "extension",
        }
    }

    /// The key at the top of a configuration, for example `receivers`.
    pub const fn section(self) -> &'static str {
        match self {
            Kind::Receiver => "receivers",
            Kind::Processor => "processors",
            Kind::Exporter => "exporters",
            Kind::Connector => "connectors",
            Kind::Extension => "extensions",
        }
    }

    /// A dense index, for tables of one entry per kind.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a distribution knows of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has it, under this name.
    Canonical,
    /// It has it under another name; this one is deprecated.
    Alias(&'static str),
    /// It does not have it any more, and nothing needs it: it is left out with a warning, which says why.
    Ignored(&'static str),
    /// It does not have it any more; says what to use instead.
    Removed(&'static str),
    /// It does not have it.
    Unknown,
}

/// The types of components that a distribution has.
pub trait Catalog {
    /// What there is under this name.
    fn known(&self, kind: Kind, type_name: &str) -> Known;

    /// All types of a kind, by their own names, in the order in which messages list them.
    fn types(&self, kind: Kind) -> Vec<&str>;
}

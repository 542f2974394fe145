use phoenix_pdata::{Coding, Codings};

/// Which compressed requests the components behind an outlet want as they came: what is compressed so need
/// not be decompressed for longer than it takes to check it.
///
/// It is a hint and never more: a payload that stays compressed is decompressed by whoever looks inside
/// all the same, so a wrong answer costs time and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwards {
    /// Everybody behind forwards these, so that nobody looks inside.
    pub all: Codings,
    /// Somebody behind forwards these.
    pub any: Codings,
}

impl Forwards {
    /// Whoever is behind looks inside.
    pub const NOTHING: Forwards = Forwards { all: Codings::NONE, any: Codings::NONE };
    /// Nobody is behind.
    pub const NOBODY: Forwards = Forwards { all: Codings::ALL, any: Codings::NONE };

    /// For one exporter that sends these on as they came.
    pub const fn only(codings: Codings) -> Forwards {
        Forwards { all: codings, any: codings }
    }

    /// For two branches of a fan-out.
    #[must_use]
    pub const fn and(self, other: Forwards) -> Forwards {
        Forwards { all: self.all.and(other.all), any: self.any.or(other.any) }
    }

    /// Whether nobody behind looks inside what comes in `coding`, and somebody takes it.
    pub const fn whole(self, coding: Coding) -> bool {
        self.all.contains(coding) && self.any.contains(coding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fan_out_forwards_what_all_its_branches_do() {
        let zstd = Forwards::only(Codings::only(Coding::Zstd));
        let both = Forwards::only(Codings::only(Coding::Zstd).or(Codings::only(Coding::Gzip)));
        assert!([zstd, both].into_iter().fold(Forwards::NOBODY, Forwards::and).whole(Coding::Zstd));
        let mixed = zstd.and(both);
        assert!(!mixed.whole(Coding::Gzip) && mixed.any.contains(Coding::Gzip));
        let looking = zstd.and(Forwards::NOTHING);
        assert!(!looking.whole(Coding::Zstd) && looking.any.contains(Coding::Zstd));
        assert!(!Forwards::NOBODY.whole(Coding::Zstd) && !Forwards::NOTHING.whole(Coding::Zstd));
    }
}

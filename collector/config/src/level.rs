//! How much is said: by own metrics, by the `debug` exporter.

use crate::word::read_word;
use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};
use std::fmt;

/// How much is said. Reads its name in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    None,
    /// What is most important.
    Basic,
    /// What helps in everyday use.
    #[default]
    Normal,
    /// All there is.
    Detailed,
}

impl Level {
    /// Every name, from the least said to the most.
    pub const NAMES: &'static [&'static str] = &["none", "basic", "normal", "detailed"];
    const ALL: [Level; 4] = [Level::None, Level::Basic, Level::Normal, Level::Detailed];

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        Level::NAMES[self as usize]
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        let known = |text: &str| Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text));
        read_word(deserializer, Level::NAMES, known)
    }
}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn nothing_keeps_the_default() {
        #[derive(serde::Deserialize)]
        #[serde(default)]
        struct Holder {
            level: Level,
        }
        impl Default for Holder {
            fn default() -> Holder {
                Holder { level: Level::Detailed }
            }
        }
        impl crate::Settings for Holder {}
        for (settings, level) in [
            ("{level: }", Some(Level::Detailed)),
            ("{level: '${env:PHOENIX_TEST_IS_NOT_SET:-}'}", None),
            ("{level: BASIC}", Some(Level::Basic)),
            ("{level: ''}", None),
            ("{level: 5}", None),
        ] {
            let read = crate::decode_text::<Holder>(settings).ok().map(|holder| holder.level);
            assert_eq!(read, level, "{settings}");
        }
    }

    #[test]
    fn reads_any_case() {
        for (text, level) in [("none", Level::None), ("Basic", Level::Basic), ("DETAILED", Level::Detailed)] {
            assert_eq!(serde_json::from_value::<Level>(text.into()).ok(), Some(level));
        }
        assert!(serde_json::from_value::<Level>("loud".into()).is_err());
        assert_eq!(Level::default().to_string(), "normal");
    }
}

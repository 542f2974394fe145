use phoenix_config::{Described, Problems};
use regex::RegexSet;
use serde::Deserialize;

/// How names are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum MatchType {
    /// They are equal.
    Strict,
    /// The regular expression is found in the name.
    Regexp,
}

/// How matches are remembered; there is no need for that here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RegexpCache {
    /// Whether matches are remembered.
    pub cacheenabled: bool,
    /// How many of them.
    pub cachemaxnumentries: i64,
}

/// Names to be matched, under the key that says of what they are.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident, $(#[$field_doc:meta])* $field:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
        #[serde(deny_unknown_fields, default)]
        pub struct $type {
            $(#[$field_doc])*
            pub $field: Vec<String>,
            /// How they are compared; required where there are any.
            pub match_type: Option<MatchType>,
            /// How matches are remembered.
            #[described(no_effect = "compiled expressions are fast enough")]
            pub regexp: Option<RegexpCache>,
        }

        impl $type {
            pub(crate) fn validate(&self, problems: &mut Problems) {
                validate(stringify!($field), &self.$field, self.match_type, problems);
            }

            /// # Errors
            /// An expression that is none; the settings were validated before.
            pub(crate) fn matcher(&self) -> Result<Matcher, regex::Error> {
                Matcher::new(&self.$field, self.match_type)
            }
        }
    };
}

names! {
    /// Which devices.
    DeviceMatch,
    /// Names of devices.
    devices
}
names! {
    /// Which network interfaces.
    InterfaceMatch,
    /// Names of interfaces.
    interfaces
}
names! {
    /// Which types of filesystems.
    FilesystemTypeMatch,
    /// Types of filesystems.
    fs_types
}
names! {
    /// Which mount points.
    MountPointMatch,
    /// Paths of mount points, as the host sees them.
    mount_points
}
names! {
    /// Which processes.
    ProcessMatch,
    /// Names of executables.
    names
}

fn validate(key: &str, names: &[String], match_type: Option<MatchType>, problems: &mut Problems) {
    if names.is_empty() {
        return;
    }
    match match_type {
        None => problems.error_with_help(
            "match_type",
            format!("`match_type` is required where there are `{key}`"),
            "`strict` or `regexp`",
        ),
        Some(MatchType::Regexp) => {
            for (index, name) in names.iter().enumerate() {
                if let Err(error) = regex::Regex::new(name) {
                    problems.error(&format!("{key}::{index}"), error.to_string());
                }
            }
        }
        Some(MatchType::Strict) => {}
    }
}

/// Names, compiled.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    /// There are none.
    Nothing,
    Strict(Vec<String>),
    Regexp(RegexSet),
}

impl Matcher {
    fn new(names: &[String], match_type: Option<MatchType>) -> Result<Matcher, regex::Error> {
        Ok(match match_type {
            _ if names.is_empty() => Matcher::Nothing,
            Some(MatchType::Regexp) => Matcher::Regexp(RegexSet::new(names)?),
            _ => Matcher::Strict(names.to_vec()),
        })
    }

    fn matches(&self, name: &str) -> Option<bool> {
        match self {
            Matcher::Nothing => None,
            Matcher::Strict(names) => Some(names.iter().any(|known| known == name)),
            Matcher::Regexp(set) => Some(set.is_match(name)),
        }
    }
}

/// What is included and what of that is not.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) include: Matcher,
    pub(crate) exclude: Matcher,
}

impl Filter {
    /// Whether `name` is meant; without an include everything is.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.include.matches(name).unwrap_or(true) && !self.exclude.matches(name).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusion_outweighs_inclusion_and_expressions_are_found_anywhere() {
        let names =
            |yaml: &str| serde_json::from_str::<DeviceMatch>(yaml).expect(yaml).matcher().expect(yaml);
        let all = || names("{}");
        let strict = names(r#"{"devices": ["sda", "sdb"], "match_type": "strict"}"#);
        let regexp = names(r#"{"devices": ["b$", "^loop"], "match_type": "regexp"}"#);
        let cases = [
            (all(), all(), "sda", true),
            (strict.clone(), all(), "sda", true),
            (strict.clone(), all(), "sda1", false),
            (strict.clone(), regexp.clone(), "sdb", false),
            (all(), regexp.clone(), "loop0", false),
            (regexp, all(), "sdb", true),
        ];
        for (include, exclude, name, expected) in cases {
            assert_eq!(Filter { include, exclude }.takes(name), expected, "{name}");
        }
    }
}

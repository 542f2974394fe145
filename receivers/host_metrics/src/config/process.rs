use phoenix_config::{Described, GoDuration, Problems};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{ProcessMatch, Switches};
use crate::catalog::ProcessMetric;

const NO_VALUES: &str = "use `include` and `exclude` of the scraper, or the processor `filter`";

/// Settings of the scraper `process`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessConfig {
    /// Which metrics are sent.
    pub(crate) metrics: Switches<ProcessMetric>,
    /// Which attributes their resources have.
    pub resource_attributes: ProcessAttributes,
    /// Processes that are meant, by the name of their executable; all where there are none.
    pub include: ProcessMatch,
    /// Processes that are not.
    pub exclude: ProcessMatch,
    /// Nothing that fails is logged or counted.
    pub mute_process_all_errors: bool,
    /// The same for names that cannot be read.
    pub mute_process_name_error: bool,
    /// The same for the path of the executable, which kernel threads do not have.
    pub mute_process_exe_error: bool,
    /// The same for what was read and written, which only the owner and root may see.
    pub mute_process_io_error: bool,
    /// The same for owners that have no name here.
    pub mute_process_user_error: bool,
    /// The same for the control group.
    pub mute_process_cgroup_error: bool,
    /// How long a process must run before it is meant.
    pub scrape_process_delay: GoDuration,
}

/// Whether a resource has an attribute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AttributeSwitch {
    /// Whether it is sent.
    pub enabled: Option<bool>,
    /// Only resources with these values.
    #[described(unsupported = NO_VALUES)]
    pub metrics_include: Option<IgnoredAny>,
    /// Only resources without these values.
    #[described(unsupported = NO_VALUES)]
    pub metrics_exclude: Option<IgnoredAny>,
}

macro_rules! attributes {
    ($($field:ident $key:literal $default:literal $text:literal;)*) => {
        /// Attributes of the resource that a process is.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
        #[serde(deny_unknown_fields, default)]
        pub struct ProcessAttributes {$(
            #[doc = $text]
            #[serde(rename = $key)]
            pub $field: AttributeSwitch,
        )*}

        impl ProcessAttributes {
            fn validate(&self, problems: &mut Problems) {
                $(
                    for (key, is_set) in [
                        ("metrics_include", self.$field.metrics_include.is_some()),
                        ("metrics_exclude", self.$field.metrics_exclude.is_some()),
                    ] {
                        let path = format!(concat!($key, "::{}"), key);
                        problems.require(!is_set, &path, format!("`{key}` is not supported: {NO_VALUES}"));
                    }
                )*
            }
        }

        /// The same, decided.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct Attributes {$(pub(crate) $field: bool,)*}

        impl From<&ProcessAttributes> for Attributes {
            fn from(written: &ProcessAttributes) -> Attributes {
                Attributes {$($field: written.$field.enabled.unwrap_or($default),)*}
            }
        }
    };
}

attributes! {
    cgroup "process.cgroup" false "Its control groups, as the kernel writes them; off by default.";
    command "process.command" true "The command, the first word of its command line; on by default.";
    command_line "process.command_line" true "Its command line; on by default.";
    executable_name "process.executable.name" true "The name of its executable; on by default.";
    executable_path "process.executable.path" true "The path of its executable; on by default.";
    owner "process.owner" true "The name of the user who owns it; on by default.";
    parent_pid "process.parent_pid" true "The process that started it; on by default.";
    pid "process.pid" true "Its number; on by default.";
}

impl ProcessConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.within("resource_attributes", |problems| self.resource_attributes.validate(problems));
        problems.require(
            !self.metrics.is_on(ProcessMetric::Handles),
            "metrics::process.handles",
            "`process.handles` is not supported: only Windows has handles",
        );
        problems.require(
            !self.scrape_process_delay.is_negative(),
            "scrape_process_delay",
            "`scrape_process_delay` must not be negative",
        );
    }
}

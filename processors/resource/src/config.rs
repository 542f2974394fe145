use phoenix_attributes::{ActionSettings, validate_actions};
use phoenix_config::{Described, Problems, Settings};
use serde::Deserialize;

/// Settings of the `resource` processor: otelcol's keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceConfig {
    /// What to do with the attributes of each resource, in this order; each action sees what the ones before it did.
    #[described(required)]
    pub attributes: Vec<ActionSettings>,
}

impl Settings for ResourceConfig {
    fn validate(&self, problems: &mut Problems) {
        validate_actions(&self.attributes, "attributes", problems);
    }
}

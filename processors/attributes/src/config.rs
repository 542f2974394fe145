use phoenix_attributes::{ActionSettings, MatchSettings, validate_actions};
use phoenix_config::{Described, Problems, Settings};
use serde::Deserialize;

/// Settings of the `attributes` processor: otelcol's keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AttributesConfig {
    /// What to do, in this order; each action sees what the ones before it did.
    #[described(required)]
    pub actions: Vec<ActionSettings>,
    /// The records to change; without it, all.
    pub include: Option<MatchSettings>,
    /// The records to leave alone, of those that are included.
    pub exclude: Option<MatchSettings>,
}

impl Settings for AttributesConfig {
    fn validate(&self, problems: &mut Problems) {
        validate_actions(&self.actions, "actions", problems);
        for (key, settings) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(settings) = settings {
                problems.within(key, |problems| settings.validate(problems));
            }
        }
    }
}

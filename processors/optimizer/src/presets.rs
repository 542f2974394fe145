//! Rules that come with Phoenix. They are written as catalogs, in `presets/`.

use phoenix_config::decode_text;

use crate::config::{Catalog, Preset, RuleConfig};

const HOST: &str = include_str!("../presets/host.yaml");
const PROCESSES: &str = include_str!("../presets/processes.yaml");
const HTTP: &str = include_str!("../presets/http.yaml");
const METADATA: &str = include_str!("../presets/metadata.yaml");

/// The rules of a preset.
pub(crate) fn rules(preset: Preset) -> Vec<RuleConfig> {
    let text = match preset {
        Preset::Host => HOST,
        Preset::Processes => PROCESSES,
        Preset::Http => HTTP,
        Preset::Metadata => METADATA,
    };
    // A test decodes all of them.
    decode_text::<Catalog>(text).map(|catalog| catalog.rules).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conflicts;

    #[test]
    fn presets_are_catalogs_without_conflicts_alone_and_together() {
        let mut all = Vec::new();
        for (text, preset) in [
            (HOST, Preset::Host),
            (PROCESSES, Preset::Processes),
            (HTTP, Preset::Http),
            (METADATA, Preset::Metadata),
        ] {
            let catalog =
                decode_text::<Catalog>(text).unwrap_or_else(|problems| panic!("{preset:?}: {problems}"));
            assert!(!catalog.rules.is_empty());
            all.extend(rules(preset));
        }
        assert_eq!(conflicts::find(&all, None), []);
    }
}

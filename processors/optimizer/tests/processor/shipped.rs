//! The configurations that the project ships.

use std::path::Path;

use phoenix_config::decode_text;
use phoenix_processor_optimizer::OptimizerConfig;

/// The settings of the optimizer in `configs/{name}.yaml`.
pub(crate) fn settings(name: &str) -> OptimizerConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../configs/{name}.yaml"));
    let text = std::fs::read_to_string(path).expect("a configuration");
    let section = text.split_once("\n  optimizer:\n").expect("an optimizer").1;
    // Of its lines each is further in.
    let inside: Vec<&str> = section.lines().take_while(|line| line.starts_with("    ")).collect();
    decode_text(&inside.join("\n")).unwrap_or_else(|problems| panic!("{name}: {problems}"))
}

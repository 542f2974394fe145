//! Feature gates by otelcol's names.

use anyhow::bail;
use phoenix_component::FeatureGate;

/// What a gate of otelcol means here.
enum Meaning {
    /// Off, and cannot be switched on.
    Unsupported(&'static str),
    /// What it asks for is always so.
    Always,
    /// It can be on or off, and is off by default.
    Switch,
}

/// Lists of components under `service` are added to those of earlier sources.
pub(crate) const MERGE_APPEND: &str = "confmap.enableMergeAppendOption";

/// A configuration may be without a pipeline: the reference supervisor of OpAMP starts collectors with such a one.
pub(crate) const NO_PIPELINES: &str = "service.AllowNoPipelines";

const GATES: &[(&str, Meaning)] = &[
    (MERGE_APPEND, Meaning::Switch),
    // Of earlier versions: command lines of that time still carry it.
    ("otelcol.printInitialConfig", Meaning::Always),
    (
        "pkg.exporterhelper.queueBatchEnabled",
        Meaning::Unsupported("write `batch:` into the sending_queue that is to have it"),
    ),
    ("pdata.useProtoPooling", Meaning::Always),
    ("receiverhelper.newReceiverMetrics", Meaning::Unsupported("receivers have the metrics of the default")),
    (NO_PIPELINES, Meaning::Switch),
    ("service.partialReload", Meaning::Always),
    ("service.partialReloadReceivers", Meaning::Always),
    ("service.profilesSupport", Meaning::Unsupported("profiles are not supported")),
    ("telemetry.newPipelineTelemetry", Meaning::Unsupported("components have the metrics of the default")),
];

/// Every gate, for people.
pub(crate) fn all(lists: &[String]) -> Vec<FeatureGate> {
    let gate = |(id, meaning): &(&str, Meaning)| {
        let (enabled, description) = match meaning {
            Meaning::Unsupported(why) => (false, format!("not supported: {why}")),
            Meaning::Always => (true, "always so".to_owned()),
            Meaning::Switch => (is_on(lists, id), "set by --feature-gates".to_owned()),
        };
        FeatureGate { id: (*id).to_owned(), enabled, description }
    };
    GATES.iter().map(gate).collect()
}

/// otelcol's stage of a gate.
fn stage(id: &str) -> &'static str {
    if id == "service.partialReloadReceivers" { "Beta" } else { "Alpha" }
}

/// What `featuregate` prints: a table of all gates, or one of them. `lists` are those of `--feature-gates`.
pub(crate) fn told(lists: &[String], id: Option<&str>) -> anyhow::Result<String> {
    let gates = all(lists);
    if let Some(id) = id {
        let Some(gate) = gates.iter().find(|gate| gate.id == id) else {
            bail!("feature {id:?} not found");
        };
        let (enabled, stage, description) = (gate.enabled, stage(id), &gate.description);
        return Ok(format!(
            "Feature: {id}\nEnabled: {enabled}\nStage: {stage}\nDescription: {description}\n"
        ));
    }
    let width = gates.iter().map(|gate| gate.id.len()).max().unwrap_or_default();
    let row = |id: &str, enabled: &str, stage: &str, description: &str| {
        format!("{id:width$}  {enabled:7}  {stage:5}  {description}\n")
    };
    let rows =
        gates.iter().map(|gate| row(&gate.id, &gate.enabled.to_string(), stage(&gate.id), &gate.description));
    Ok(row("ID", "Enabled", "Stage", "Description") + &rows.collect::<String>())
}

/// Checks the lists of `--feature-gates`.
pub(crate) fn check(lists: &[String]) -> anyhow::Result<()> {
    // A list without anything is no list: command lines made from templates carry `--feature-gates=`.
    let lists = lists.iter().filter(|list| !list.is_empty());
    for (index, gate) in lists.flat_map(|list| list.split(',')).map(str::trim).enumerate() {
        let (id, on) = match gate.strip_prefix('-') {
            Some(id) => (id, false),
            None => (gate.strip_prefix('+').unwrap_or(gate), true),
        };
        if id.is_empty() {
            bail!("empty feature gate identifier at index {index}");
        }
        match (GATES.iter().find(|(name, _)| *name == id), on) {
            (None, _) => {
                let valid: Vec<_> = GATES.iter().map(|(name, _)| *name).collect();
                bail!("no such feature gate {id:?}; valid gates: {}", valid.join(", "));
            }
            (Some((_, Meaning::Unsupported(why))), true) => {
                bail!("feature gate {id:?} is not supported: {why}")
            }
            (Some((_, Meaning::Always)), false) => bail!("feature gate {id:?} cannot be disabled"),
            (Some(_), _) => {}
        }
    }
    Ok(())
}

/// Whether a gate that is off by default was switched on; the last word counts.
pub(crate) fn is_on(lists: &[String], id: &str) -> bool {
    let mut words = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
    let is_about = |word: &&str| word.trim_start_matches(['+', '-']) == id;
    words.rfind(is_about).is_some_and(|word| !word.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::{MERGE_APPEND, check, is_on, told};

    #[test]
    fn gates_are_told_of() {
        let lists = ["confmap.enableMergeAppendOption".to_owned()];
        let table = told(&lists, None).expect("a table");
        let line = |id: &str| table.lines().find(|line| line.starts_with(id)).expect("in the table");
        assert!(table.starts_with("ID   ") && line("ID").ends_with("  Enabled  Stage  Description"));
        assert!(line(MERGE_APPEND).contains("  true     Alpha  set by"));
        assert!(line("service.profilesSupport").contains("  false    Alpha  not supported"));
        let one = told(&[], Some(MERGE_APPEND)).expect("one");
        assert!(one.starts_with("Feature: confmap.enableMergeAppendOption\nEnabled: false\nStage: Alpha\n"));
        assert_eq!(told(&[], Some("nope")).unwrap_err().to_string(), "feature \"nope\" not found");
    }

    #[test]
    fn gates_are_known_or_refused_by_name() {
        let check = |list: &str| check(&[list.to_owned()]).map_err(|error| error.to_string());
        assert_eq!(check("-service.AllowNoPipelines,+service.partialReload"), Ok(()));
        assert!(check("service.profilesSupport").unwrap_err().contains("not supported"));
        assert!(check("-service.partialReload").unwrap_err().contains("cannot be disabled"));
        assert!(check("nope").unwrap_err().contains("no such feature gate \"nope\""));
        assert_eq!(check("confmap.enableMergeAppendOption"), Ok(()));
        let lists = |list: &str| is_on(&[list.to_owned()], MERGE_APPEND);
        assert!(lists("+confmap.enableMergeAppendOption") && !lists("service.partialReload"));
        assert!(!lists("confmap.enableMergeAppendOption,-confmap.enableMergeAppendOption"));
        assert!(check("service.partialReload,,").unwrap_err().contains("index 1"));
        assert_eq!(check(""), Ok(()));
    }
}

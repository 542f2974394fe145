//! Feature gates by otelcol's names.

use anyhow::bail;
use phoenix_component::FeatureGate;

/// What a gate of otelcol means here.
enum Meaning {
    /// Off, and cannot be switched on.
    Unsupported(&'static str),
    /// What it asks for is always so.
    Always,
}

const GATES: &[(&str, Meaning)] = &[
    ("confmap.enableMergeAppendOption", Meaning::Unsupported("lists of a later source replace earlier ones")),
    ("pkg.exporterhelper.queueBatchEnabled", Meaning::Unsupported("use the batch processor")),
    ("pdata.useProtoPooling", Meaning::Always),
    ("receiverhelper.newReceiverMetrics", Meaning::Unsupported("receivers have the metrics of the default")),
    ("service.AllowNoPipelines", Meaning::Unsupported("a configuration needs a pipeline")),
    ("service.partialReload", Meaning::Always),
    ("service.partialReloadReceivers", Meaning::Always),
    ("service.profilesSupport", Meaning::Unsupported("profiles are not supported")),
    ("telemetry.newPipelineTelemetry", Meaning::Unsupported("components have the metrics of the default")),
];

/// Every gate, for people.
pub(crate) fn all() -> Vec<FeatureGate> {
    let gate = |(id, meaning): &(&str, Meaning)| {
        let (enabled, description) = match meaning {
            Meaning::Unsupported(why) => (false, format!("not supported: {why}")),
            Meaning::Always => (true, "always so".to_owned()),
        };
        FeatureGate { id: (*id).to_owned(), enabled, description }
    };
    GATES.iter().map(gate).collect()
}

/// Checks the lists of `--feature-gates`.
pub(crate) fn check(lists: &[String]) -> anyhow::Result<()> {
    for (index, gate) in lists.iter().flat_map(|list| list.split(',')).map(str::trim).enumerate() {
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

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn gates_are_known_or_refused_by_name() {
        let check = |list: &str| check(&[list.to_owned()]).map_err(|error| error.to_string());
        assert_eq!(check("-service.AllowNoPipelines,+service.partialReload"), Ok(()));
        assert!(check("service.profilesSupport").unwrap_err().contains("not supported"));
        assert!(check("-service.partialReload").unwrap_err().contains("cannot be disabled"));
        assert!(check("nope").unwrap_err().contains("no such feature gate \"nope\""));
        assert!(check("service.partialReload,,").unwrap_err().contains("index 1"));
    }
}

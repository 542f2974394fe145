//! The components that agents have, as they say, against those that a configuration needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use crate::agents::labels_of;
use crate::error::{Error, Result};
use crate::groups::Assignment;
use crate::store::Tx;
use crate::validation;

/// The sections of a configuration that name components.
const SECTIONS: [&str; 5] = ["receivers", "processors", "exporters", "connectors", "extensions"];
/// Agents that are named as examples.
const EXAMPLES: usize = 3;

/// Sections and types of components.
pub(crate) type Components = BTreeSet<(String, String)>;

/// A component that agents do not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Lack {
    /// For example `exporters::kafka`.
    component: String,
    /// How many agents lack it.
    agents: i64,
    /// Some of them.
    examples: Vec<String>,
}

/// What a configuration, merged and as JSON, needs.
pub(crate) fn needed(json: &str) -> Components {
    let merged: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let mut needed = Components::new();
    for section in SECTIONS {
        for id in merged[section].as_object().into_iter().flat_map(|all| all.keys()) {
            let kind = id.split('/').next().unwrap_or_default();
            needed.insert((section.to_owned(), kind.to_owned()));
        }
    }
    needed
}

/// What an agent says that it has: `[{"kind": "receivers", "types": […]}]`.
fn told(components: &serde_json::Value) -> Components {
    let mut told = Components::new();
    for kind in components.as_array().into_iter().flatten() {
        let section = kind["kind"].as_str().unwrap_or_default();
        for name in kind["types"].as_array().into_iter().flatten().filter_map(|name| name.as_str()) {
            told.insert((section.to_owned(), name.to_owned()));
        }
    }
    told
}

/// Whether who has `has` takes this component under the name that a configuration calls it by.
fn is_had(has: &Components, (section, name): &(String, String)) -> bool {
    let has = |name: &str| has.contains(&(section.clone(), name.to_owned()));
    has(name) || validation::canonical(section, name).is_some_and(has)
}

/// What agents of a group lack. Those that do not say what they have are not asked.
pub(crate) fn lacking(tx: &mut dyn Tx, group_id: &str, needed: &Components) -> Result<Vec<Lack>> {
    let assignment = Assignment::load(tx)?;
    let sql = "SELECT id, labels, enrolled_labels, extra_labels, components_hash FROM agents
         WHERE revoked_at IS NULL AND components_hash IS NOT NULL ORDER BY id";
    // Most agents of a fleet have the same: each set is read once.
    let mut by_hash: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in tx.query(sql, &[])? {
        let labels = labels_of(&row, [1, 2, 3]);
        if assignment.group_of(&labels).is_some_and(|group| group.id == group_id) {
            by_hash.entry(row.text(4)).or_default().push(row.text(0));
        }
    }
    let mut lacks: BTreeMap<String, Lack> = BTreeMap::new();
    for agents in by_hash.values() {
        let sql = "SELECT components FROM agents WHERE id = ?1";
        let Some(row) = tx.one(sql, crate::args![agents.first().cloned()])? else { continue };
        let has = told(&row.json(0));
        for (section, kind) in needed.iter().filter(|one| !is_had(&has, one)) {
            let component = format!("{section}::{kind}");
            let lack =
                lacks.entry(component.clone()).or_insert(Lack { component, agents: 0, examples: vec![] });
            lack.agents += agents.len() as i64;
            let room = EXAMPLES.saturating_sub(lack.examples.len());
            lack.examples.extend(agents.iter().take(room).cloned());
        }
    }
    Ok(lacks.into_values().collect())
}

/// Refuses where agents lack something.
pub(crate) fn require(lacks: &[Lack]) -> Result<()> {
    if lacks.is_empty() {
        return Ok(());
    }
    let text = |lack: &Lack| {
        format!(
            "{} is missing on {} agents, for example {}",
            lack.component,
            lack.agents,
            lack.examples.join(", ")
        )
    };
    let texts: Vec<String> = lacks.iter().map(text).collect();
    Err(Error::field("version_id", texts.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_needed_and_what_is_there_are_named_alike() {
        let merged =
            json!({"receivers": {"otlp/2": {}, "otlp": {}}, "exporters": {"kafka": {}}, "service": {}});
        let needed = needed(&merged.to_string());
        let has = told(
            &json!([{"kind": "receivers", "types": ["otlp"]}, {"kind": "exporters", "types": ["debug"]}]),
        );
        let missing: Vec<_> = needed.difference(&has).collect();
        assert_eq!(missing, [&("exporters".to_owned(), "kafka".to_owned())]);
        assert_eq!(needed.len(), 2);
        assert!(told(&serde_json::Value::Null).is_empty());
        let has = told(&json!([{"kind": "exporters", "types": ["otlp_http", "nop"]}]));
        let is_had = |name: &str| is_had(&has, &("exporters".to_owned(), name.to_owned()));
        assert!(is_had("otlp_http") && is_had("otlphttp") && is_had("nop"), "under any of its names");
        assert!(!is_had("debug") && !is_had("unheard_of"));
    }
}

//! What a change of the configuration means, said before it happens.
//!
//! A factory says what a change of one component's settings does to its state and its connections
//! ([`Factory::change`](crate::factory::Factory::change)); the engine puts that together for a whole graph
//! ([`Changes`]) and keeps to it when it applies the change. Both are pure: nothing is touched.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Adoption, ComponentKey};

/// What becomes of the state of an instance that is replaced or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fate", content = "what")]
pub enum StateFate {
    /// It has none.
    Stateless,
    /// All of it goes on in the successor.
    Adopted,
    /// None of it goes on; what is held is let out or delivered first, as at a shutdown.
    LetOut,
    /// Some of it goes on; the text says what is lost.
    Partly(String),
    /// The text says what is lost, beyond what is let out.
    Lost(String),
}

impl StateFate {
    /// What is lost whatever happens, if anything is.
    pub fn loss(&self) -> Option<&str> {
        match self {
            StateFate::Partly(what) | StateFate::Lost(what) => Some(what),
            StateFate::Stateless | StateFate::Adopted | StateFate::LetOut => None,
        }
    }

    /// Whether that is what an adoption then turned out to be.
    pub fn foretells(&self, adoption: &Adoption) -> bool {
        match adoption {
            Adoption::Kept => matches!(self, StateFate::Adopted | StateFate::Stateless),
            Adoption::Partly(lost) => matches!(self, StateFate::Partly(what) if what == lost),
            Adoption::Rebuilt => {
                matches!(self, StateFate::Stateless | StateFate::LetOut | StateFate::Lost(_))
            }
        }
    }
}

/// A listener whose connections end: gently, once their requests are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// Protocol and endpoint, for example `grpc localhost:4317`.
    pub listener: String,
    /// Why, for example `moves to localhost:5317`.
    pub why: String,
}

/// What a change of the settings of one component means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// For its state.
    pub state: StateFate,
    /// For its connections.
    pub closes: Vec<Closing>,
}

impl Change {
    /// Neither state nor connections are there to be lost.
    pub fn stateless() -> Change {
        Change::with(StateFate::Stateless)
    }

    /// The successor takes over all state.
    pub fn adopted() -> Change {
        Change::with(StateFate::Adopted)
    }

    /// What is held is let out or delivered first.
    pub fn let_out() -> Change {
        Change::with(StateFate::LetOut)
    }

    /// What a stage holds: a successor takes it over, whatever its settings, and without one it is let out.
    pub fn of_stage<S>(successor: Option<&S>) -> Change {
        if successor.is_some() { Change::adopted() } else { Change::let_out() }
    }

    /// That fate, and no connection ends.
    pub fn with(state: StateFate) -> Change {
        Change { state, closes: Vec::new() }
    }

    /// With a listener more whose connections end.
    #[must_use]
    pub fn closing(mut self, listener: impl Into<String>, why: impl Into<String>) -> Change {
        self.closes.push(Closing { listener: listener.into(), why: why.into() });
        self
    }
}

/// One component that is changed or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentChange {
    /// Which.
    pub component: ComponentKey,
    /// What it means.
    #[serde(flatten)]
    pub change: Change,
    /// Items that it holds now, where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_items: Option<u64>,
    /// Why what would be let out may not get out: the component does not work now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_risk: Option<String>,
}

impl ComponentChange {
    /// What is lost, or likely to be.
    pub fn loss(&self) -> Option<String> {
        let held = self.held_items.unwrap_or(0);
        match (&self.change.state, &self.at_risk) {
            (state, _) if state.loss().is_some() => state.loss().map(str::to_owned),
            (StateFate::LetOut, Some(risk)) if held > 0 => {
                Some(format!("{held} items that it holds may not be delivered in time: {risk}"))
            }
            _ => None,
        }
    }
}

/// What a new configuration changes, against the one that runs or another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Carried over as they are, with their state.
    pub kept: Vec<ComponentKey>,
    /// Replaced by one with other settings.
    pub changed: Vec<ComponentChange>,
    /// New.
    pub added: Vec<ComponentKey>,
    /// Gone.
    pub removed: Vec<ComponentChange>,
    /// Pipelines that are new, gone or composed in another way.
    pub pipelines: PipelineChanges,
    /// Whether logs, metrics or traces of the collector itself are set in another way.
    #[serde(default)]
    pub telemetry_changed: bool,
}

/// What becomes of pipelines as lists of components.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineChanges {
    /// New.
    pub added: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
    /// With other components, or the same in another order.
    pub changed: Vec<String>,
}

impl Changes {
    /// Whether everything stays as it is.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
            && self.added.is_empty()
            && self.removed.is_empty()
            && self.pipelines == PipelineChanges::default()
            && !self.telemetry_changed
    }

    /// Components whose state would be lost, or is likely to be, with what would.
    pub fn losses(&self) -> Vec<(ComponentKey, String)> {
        let affected = self.changed.iter().chain(&self.removed);
        affected.filter_map(|change| Some((change.component.clone(), change.loss()?))).collect()
    }

    /// Every listener whose connections end.
    pub fn closings(&self) -> impl Iterator<Item = (&ComponentKey, &Closing)> {
        let affected = self.changed.iter().chain(&self.removed);
        affected.flat_map(|change| change.change.closes.iter().map(|closing| (&change.component, closing)))
    }
}

fn fate(change: &ComponentChange, gone: bool) -> String {
    let held = match change.held_items {
        Some(items) if items > 0 => format!(" ({items} items held now)"),
        _ => String::new(),
    };
    match &change.change.state {
        StateFate::Stateless if gone => String::new(),
        StateFate::Stateless => "new settings; it has no state".to_owned(),
        StateFate::Adopted => format!("new settings; its state goes on{held}"),
        StateFate::LetOut => format!("what it holds is delivered first{held}"),
        StateFate::Partly(what) => format!("part of its state is lost: {what}{held}"),
        StateFate::Lost(what) => format!("its state is lost: {what}{held}"),
    }
}

/// A report for people, one line for each component.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(
                f,
                "Nothing changes: all {} components are kept with their state.",
                self.kept.len()
            );
        }
        for change in &self.changed {
            writeln!(f, "~ {}: {}", change.component, fate(change, false))?;
        }
        for added in &self.added {
            writeln!(f, "+ {added}")?;
        }
        for change in &self.removed {
            match fate(change, true).as_str() {
                "" => writeln!(f, "- {}", change.component)?,
                fate => writeln!(f, "- {}: {fate}", change.component)?,
            }
        }
        for kept in &self.kept {
            writeln!(f, "= {kept}")?;
        }
        for (mark, pipelines) in
            [("~", &self.pipelines.changed), ("+", &self.pipelines.added), ("-", &self.pipelines.removed)]
        {
            for pipeline in pipelines {
                writeln!(f, "{mark} pipeline {pipeline}")?;
            }
        }
        if self.telemetry_changed {
            writeln!(f, "~ service::telemetry")?;
        }
        for (component, closing) in self.closings() {
            writeln!(f, "connections close: {} of {component}: {}", closing.listener, closing.why)?;
        }
        for (component, what) in self.losses() {
            writeln!(f, "STATE IS LOST: {component}: {what}")?;
        }
        write!(
            f,
            "{} kept, {} changed, {} added, {} removed",
            self.kept.len(),
            self.changed.len(),
            self.added.len(),
            self.removed.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::{ComponentId, Kind};

    use super::*;

    fn key(kind: Kind, id: &str, scope: &str) -> ComponentKey {
        ComponentKey { kind, id: ComponentId::parse(id).expect("an id"), scope: scope.into() }
    }

    fn change(component: ComponentKey, change: Change) -> ComponentChange {
        ComponentChange { component, change, held_items: None, at_risk: None }
    }

    #[test]
    fn a_report_names_every_component_connection_and_loss_and_survives_json() {
        let changes = Changes {
            kept: vec![key(Kind::Exporter, "debug", "traces")],
            changed: vec![
                change(key(Kind::Processor, "batch", "traces"), Change::adopted()),
                change(key(Kind::Processor, "sampler", "traces"), Change::with(StateFate::Lost("x".into()))),
                change(
                    key(Kind::Receiver, "otlp", ""),
                    Change::stateless().closing("grpc localhost:4317", "moves to localhost:5317"),
                ),
            ],
            added: vec![key(Kind::Exporter, "otlp/b", "traces")],
            removed: vec![ComponentChange {
                held_items: Some(7),
                at_risk: Some("connection refused".into()),
                ..change(key(Kind::Exporter, "otlp/a", "traces"), Change::let_out())
            }],
            pipelines: PipelineChanges { changed: vec!["traces".into()], ..PipelineChanges::default() },
            telemetry_changed: true,
        };
        let text = changes.to_string();
        for line in [
            "~ processor batch (traces): new settings; its state goes on",
            "~ processor sampler (traces): its state is lost: x",
            "+ exporter otlp/b (traces)",
            "- exporter otlp/a (traces): what it holds is delivered first (7 items held now)",
            "= exporter debug (traces)",
            "~ pipeline traces",
            "~ service::telemetry",
            "connections close: grpc localhost:4317 of receiver otlp: moves to localhost:5317",
            "STATE IS LOST: processor sampler (traces): x",
            "STATE IS LOST: exporter otlp/a (traces): 7 items that it holds may not be delivered in time: connection refused",
            "1 kept, 3 changed, 1 added, 1 removed",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let json = serde_json::to_string(&changes).expect("JSON");
        assert_eq!(serde_json::from_str::<Changes>(&json).expect("the same"), changes, "{json}");
        assert!(Changes::default().is_empty());
    }

    #[test]
    fn an_outcome_is_compared_with_what_was_foretold() {
        assert!(StateFate::Adopted.foretells(&Adoption::Kept));
        assert!(StateFate::LetOut.foretells(&Adoption::Rebuilt));
        assert!(!StateFate::LetOut.foretells(&Adoption::Kept));
        assert!(StateFate::Partly("a".into()).foretells(&Adoption::Partly("a".into())));
        assert!(!StateFate::Adopted.foretells(&Adoption::Rebuilt));
    }
}

//! How each component is, as the health endpoints and logs tell it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_config::{ComponentId, Kind};
use phoenix_telemetry::logs::Scope;

/// One instance of a component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComponentKey {
    /// Receiver, processor, …
    pub kind: Kind,
    /// Its identifier in the configuration.
    pub id: ComponentId,
    /// What tells instances of one identifier apart: the pipeline of a processor, the signal of an
    /// exporter, nothing for receivers and extensions.
    pub scope: String,
}

impl fmt::Display for ComponentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)?;
        if !self.scope.is_empty() {
            write!(f, " ({})", self.scope)?;
        }
        Ok(())
    }
}

impl ComponentKey {
    /// The fields of its log records, under otelcol's names.
    pub fn log_scope(&self) -> Scope {
        let mut fields = vec![
            ("otelcol.component.id", self.id.to_string()),
            ("otelcol.component.kind", self.kind.to_string()),
        ];
        match self.kind {
            Kind::Processor => {
                let signal = self.scope.split('/').next().unwrap_or_default();
                fields.push(("otelcol.pipeline.id", self.scope.clone()));
                fields.push(("otelcol.signal", signal.to_owned()));
            }
            Kind::Exporter => fields.push(("otelcol.signal", self.scope.clone())),
            Kind::Connector => {
                let (from, to) = self.scope.split_once(" to ").unwrap_or((&self.scope, ""));
                fields.push(("otelcol.signal", from.to_owned()));
                fields.push(("otelcol.signal.output", to.to_owned()));
            }
            Kind::Receiver | Kind::Extension => {}
        }
        Scope::of(fields)
    }
}

/// The status of a component, as otelcol defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Being started.
    Starting,
    /// Works.
    Ok,
    /// Does not work now and may again by itself.
    Recoverable(String),
    /// Will not work again until the configuration changes.
    Permanent(String),
    /// Cannot work at all.
    Fatal(String),
    /// Being stopped.
    Stopping,
    /// Stopped.
    Stopped,
}

impl Status {
    fn may_become(&self, next: &Status) -> bool {
        use Status::{Fatal, Ok, Permanent, Recoverable, Starting, Stopped, Stopping};
        match (self, next) {
            (Fatal(_) | Stopped, _) | (_, Starting) => false,
            (Permanent(_), next) => matches!(next, Stopping),
            (Stopping, next) => matches!(next, Recoverable(_) | Permanent(_) | Fatal(_) | Stopped),
            (Starting | Ok | Recoverable(_), next) => *next != Stopped,
        }
    }
}

/// The status of every component. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<ComponentKey, Status>>>);

impl Health {
    /// The way for one component to say how it is. It counts as starting where it is not known yet; a
    /// successor of one that runs says nothing before [`Health::reset`].
    pub fn reporter(&self, key: ComponentKey) -> StatusReporter {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.entry(key.clone()).or_insert(Status::Starting);
        drop(table);
        StatusReporter { scope: key.log_scope(), key, health: self.clone() }
    }

    /// Every component with its status, by kind and identifier.
    pub fn snapshot(&self) -> Vec<(ComponentKey, Status)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.iter().map(|(key, status)| (key.clone(), status.clone())).collect()
    }

    /// Sets the status of a component whose instance was replaced, whatever the former one said last.
    pub fn reset(&self, key: &ComponentKey, status: Status) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), status);
    }

    /// Forgets a component that is gone.
    pub fn forget(&self, key: &ComponentKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Says how one component is. Clones speak for the same component.
#[derive(Clone, Debug)]
pub struct StatusReporter {
    key: ComponentKey,
    health: Health,
    scope: Scope,
}

impl StatusReporter {
    /// A reporter that nobody listens to: for tests.
    pub fn detached(kind: Kind, id: ComponentId) -> StatusReporter {
        Health::default().reporter(ComponentKey { kind, id, scope: String::new() })
    }

    /// The component that it speaks for.
    pub fn key(&self) -> &ComponentKey {
        &self.key
    }

    /// What its log records carry: for code that runs outside the engine's calls, such as its own tasks.
    pub fn log_scope(&self) -> Scope {
        self.scope
    }

    /// Changes the status; a change that otelcol's state machine does not know is ignored.
    pub fn report(&self, status: Status) {
        let mut table = self.health.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(current) = table.get_mut(&self.key) else { return };
        if *current != status && current.may_become(&status) {
            *current = status;
        }
    }

    /// The status now.
    pub fn status(&self) -> Option<Status> {
        self.health.0.lock().unwrap_or_else(PoisonError::into_inner).get(&self.key).cloned()
    }
}

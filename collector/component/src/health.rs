//! How each component is, as the health endpoints and logs tell it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use phoenix_config::{ComponentId, Kind};
use phoenix_telemetry::logs::Scope;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

/// One instance of a component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "KeyParts", into = "KeyParts")]
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

/// A key as it is written in JSON.
#[derive(Serialize, Deserialize)]
struct KeyParts {
    kind: String,
    id: ComponentId,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
}

impl From<ComponentKey> for KeyParts {
    fn from(key: ComponentKey) -> KeyParts {
        KeyParts { kind: key.kind.name().to_owned(), id: key.id, scope: key.scope }
    }
}

impl TryFrom<KeyParts> for ComponentKey {
    type Error = String;

    fn try_from(parts: KeyParts) -> Result<ComponentKey, String> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == parts.kind);
        let kind = kind.ok_or_else(|| format!("unknown kind of component {:?}", parts.kind))?;
        Ok(ComponentKey { kind, id: parts.id, scope: parts.scope })
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
    /// otelcol's name of it, for example `StatusOK`.
    pub fn name(&self) -> &'static str {
        match self {
            Status::Starting => "StatusStarting",
            Status::Ok => "StatusOK",
            Status::Recoverable(_) => "StatusRecoverableError",
            Status::Permanent(_) => "StatusPermanentError",
            Status::Fatal(_) => "StatusFatalError",
            Status::Stopping => "StatusStopping",
            Status::Stopped => "StatusStopped",
        }
    }

    /// What is wrong, where something is.
    pub fn error(&self) -> Option<&str> {
        match self {
            Status::Recoverable(text) | Status::Permanent(text) | Status::Fatal(text) => Some(text),
            Status::Starting | Status::Ok | Status::Stopping | Status::Stopped => None,
        }
    }

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

/// The status of one component and since when it has been so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSince {
    /// How it is.
    pub status: Status,
    /// Since when, by the clock on the wall.
    pub since: SystemTime,
    /// For how long: kinds of status count, not the words of an error.
    pub lasting: Duration,
}

#[derive(Clone, Debug)]
struct Entry {
    status: Status,
    since: SystemTime,
    began: Instant,
}

impl Entry {
    fn now(status: Status) -> Entry {
        Entry { status, since: SystemTime::now(), began: Instant::now() }
    }
}

/// The status of every component. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<BTreeMap<ComponentKey, Entry>>,
    changes: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared { table: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Health {
    fn table(&self) -> MutexGuard<'_, BTreeMap<ComponentKey, Entry>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }

    /// The way for one component to say how it is. It counts as starting where it is not known yet; a
    /// successor of one that runs says nothing before [`Health::reset`].
    pub fn reporter(&self, key: ComponentKey) -> StatusReporter {
        self.table().entry(key.clone()).or_insert_with(|| Entry::now(Status::Starting));
        self.changed();
        StatusReporter { scope: key.log_scope(), key, health: self.clone() }
    }

    /// Every component with its status, by kind and identifier.
    pub fn snapshot(&self) -> Vec<(ComponentKey, Status)> {
        self.table().iter().map(|(key, entry)| (key.clone(), entry.status.clone())).collect()
    }

    /// Every component with its status and since when it has had it, by kind and identifier.
    pub fn report(&self) -> Vec<(ComponentKey, StatusSince)> {
        let since = |entry: &Entry| StatusSince {
            status: entry.status.clone(),
            since: entry.since,
            lasting: entry.began.elapsed(),
        };
        self.table().iter().map(|(key, entry)| (key.clone(), since(entry))).collect()
    }

    /// Counts up whenever something changes: for who waits for that.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Sets the status of a component whose instance was replaced, whatever the former one said last.
    pub fn reset(&self, key: &ComponentKey, status: Status) {
        self.table().insert(key.clone(), Entry::now(status));
        self.changed();
    }

    /// Tells of every component that it is being stopped, or that it has.
    pub fn stop_all(&self, stopped: bool) {
        for entry in self.table().values_mut() {
            let next = if stopped { Status::Stopped } else { Status::Stopping };
            if entry.status.may_become(&next) {
                *entry = Entry::now(next);
            }
        }
        self.changed();
    }

    /// Forgets a component that is gone.
    pub fn forget(&self, key: &ComponentKey) {
        self.table().remove(key);
        self.changed();
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
        let mut table = self.health.table();
        let Some(current) = table.get_mut(&self.key) else { return };
        if current.status == status || !current.status.may_become(&status) {
            return;
        }
        // Another text of the same trouble does not begin it anew.
        if std::mem::discriminant(&current.status) == std::mem::discriminant(&status) {
            current.status = status;
        } else {
            *current = Entry::now(status);
        }
        drop(table);
        self.health.changed();
    }

    /// The status now.
    pub fn status(&self) -> Option<Status> {
        self.health.table().get(&self.key).map(|entry| entry.status.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_lasts_from_its_beginning_whatever_its_words() {
        let health = Health::default();
        let key = ComponentKey {
            kind: Kind::Exporter,
            id: ComponentId::parse("otlp").expect("an id"),
            scope: "traces".into(),
        };
        let mut changes = health.changes();
        let reporter = health.reporter(key.clone());
        reporter.report(Status::Recoverable("refused".into()));
        tokio::time::advance(Duration::from_secs(7)).await;
        reporter.report(Status::Recoverable("reset".into()));
        let (_, found) = health.report().remove(0);
        assert_eq!(
            (found.status, found.lasting),
            (Status::Recoverable("reset".into()), Duration::from_secs(7))
        );
        assert!(changes.has_changed().expect("the table lives"));
        changes.mark_unchanged();
        reporter.report(Status::Ok);
        assert!(changes.has_changed().expect("the table lives"));
        assert_eq!(health.report()[0].1.lasting, Duration::ZERO);
        health.stop_all(false);
        health.stop_all(true);
        assert_eq!(reporter.status(), Some(Status::Stopped));
        let json = serde_json::to_string(&key).expect("JSON");
        assert_eq!(json, r#"{"kind":"exporter","id":"otlp","scope":"traces"}"#);
        assert_eq!(serde_json::from_str::<ComponentKey>(&json).expect("a key"), key);
        assert!(serde_json::from_str::<ComponentKey>(r#"{"kind":"x","id":"a"}"#).is_err());
    }
}

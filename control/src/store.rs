//! The database: transactions that are written once, in the SQL that SQLite and PostgreSQL share.
//!
//! What a transaction does is a function over [`Tx`], run off the runtime's threads. Statements name their arguments
//! `?1`, `?2`, …; columns hold 64-bit numbers and texts, nothing else.
//!
//! - SQLite: one connection writes, in `BEGIN IMMEDIATE`; a few read beside it (WAL).
//! - PostgreSQL: several instances share it; one of them writes at a time, under a lock. What happens often and concerns
//!   one agent alone goes beside it ([`Db::beside`]).
//! - A function may be run again where the database asks for that, so it has no effect outside.

mod hints;
mod migrations;
mod postgres;
pub(crate) mod record;
mod sqlite;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use postgres::Mode;
pub(crate) use usage::{Connections, Usage};

/// An argument, or what a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number, also yes (1) and no (0).
    Int(i64),
    /// A text.
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Int(i64::from(yes))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        // PostgreSQL has no text with a zero byte in it.
        Value::Text(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        text.to_owned().into()
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        text.clone().into()
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// Arguments of a statement.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::store::Value::from($value)),*] };
}

/// A row of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub(crate) Vec<Value>);

impl Row {
    /// A text; empty where there is none.
    pub fn text(&self, column: usize) -> String {
        self.maybe_text(column).unwrap_or_default()
    }

    /// A text, where there is one.
    pub fn maybe_text(&self, column: usize) -> Option<String> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// A number; 0 where there is none.
    pub fn int(&self, column: usize) -> i64 {
        self.maybe_int(column).unwrap_or_default()
    }

    /// A number, where there is one.
    pub fn maybe_int(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// Yes or no.
    pub fn yes(&self, column: usize) -> bool {
        self.int(column) != 0
    }

    /// A JSON value; null where there is none.
    pub fn json(&self, column: usize) -> serde_json::Value {
        serde_json::from_str(&self.text(column)).unwrap_or_default()
    }
}

/// A transaction.
pub trait Tx {
    /// Changes something, and says how many rows it met.
    ///
    /// # Errors
    /// [`Error::Conflict`] where a rule of the schema would be broken.
    fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64>;

    /// Asks.
    ///
    /// # Errors
    /// Where the database cannot answer.
    fn query(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>>;

    /// Whose SQL is spoken, where it is not the same.
    fn dialect(&self) -> Dialect;

    /// From here on no other transaction does the same, until this one ends.
    ///
    /// # Errors
    /// Where the database cannot answer.
    fn alone(&mut self) -> Result<()>;

    /// The time of the database, in milliseconds since 1970: the clocks of instances may be apart.
    ///
    /// # Errors
    /// Where the database cannot answer.
    fn clock(&mut self) -> Result<i64>;
}

/// Whose SQL is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}

/// How a database that is shared is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// Most connections; one more listens.
    pub connections: usize,
    /// How long a transaction waits for one.
    pub wait: Duration,
    /// The certificates (PEM) that sign the database's; the system's without.
    pub ca: Option<PathBuf>,
}

impl Default for Pooling {
    fn default() -> Pooling {
        Pooling { connections: 10, wait: Duration::from_secs(5), ca: None }
    }
}

impl dyn Tx + '_ {
    /// The only row, where there is one.
    ///
    /// # Errors
    /// Where the database cannot answer.
    pub fn one(&mut self, sql: &str, args: &[Value]) -> Result<Option<Row>> {
        Ok(self.query(sql, args)?.into_iter().next())
    }
}

/// The database. Clones share it.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    backend: Backend,
    usage: Usage,
}

enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Db {
    /// Opens the database of a URL, and brings its schema up to date: `sqlite:PATH`, a plain path, or
    /// `postgres://USER:PASSWORD@HOST/NAME`. Blocks; over PostgreSQL not on a thread of the runtime, but within one.
    ///
    /// # Errors
    /// Where it cannot be opened, or is newer than this program.
    pub fn open(url: &str, pooling: &Pooling) -> Result<Db> {
        let backend = if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Backend::Postgres(postgres::Postgres::open(url, pooling)?)
        } else {
            Backend::Sqlite(sqlite::Sqlite::open(Path::new(url.strip_prefix("sqlite:").unwrap_or(url)))?)
        };
        backend.run(Mode::Write, |tx| migrations::migrate(tx))?;
        Ok(Db(Arc::new(Inner { backend, usage: Usage::default() })))
    }

    /// Whether other instances may work with it.
    pub fn is_shared(&self) -> bool {
        matches!(self.0.backend, Backend::Postgres(_))
    }

    /// What was done over it.
    pub(crate) fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// Its pool of connections, where it has one.
    pub(crate) fn connections(&self) -> Option<Connections> {
        match &self.0.backend {
            Backend::Postgres(postgres) => Some(postgres.connections()),
            Backend::Sqlite(_) => None,
        }
    }

    /// Runs `work` in a transaction that changes something; all of it counts or nothing, and no other one runs at the
    /// same time.
    ///
    /// # Errors
    /// Those of `work`, and where the database fails.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut dyn Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Mode::Write, work).await
    }

    /// The same for what has to know the time of the database, in Unix milliseconds: instances have clocks of their own.
    ///
    /// # Errors
    /// Those of `work`, and where the database fails.
    pub async fn write_at<T: Send + 'static>(
        &self,
        work: impl Fn(&mut dyn Tx, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write(move |tx| {
            let now = tx.clock()?;
            work(tx, now)
        })
        .await
    }

    /// The same as [`write`](Db::write) for what changes nothing that others change: it does not wait for them.
    ///
    /// # Errors
    /// Those of `work`, and where the database fails.
    pub async fn beside<T: Send + 'static>(
        &self,
        work: impl Fn(&mut dyn Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Mode::Beside, work).await
    }

    /// Runs `work`, which only asks, over one state of the database.
    ///
    /// # Errors
    /// Those of `work`, and where the database fails.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&mut dyn Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(Mode::Read, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        mode: Mode,
        work: impl Fn(&mut dyn Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (db, begun) = (self.0.clone(), Instant::now());
        let done = off_the_runtime(move || db.backend.run(mode, work)).await;
        self.0.usage.note(mode, begun.elapsed(), &done);
        done
    }
}

impl Backend {
    fn run<T>(&self, mode: Mode, work: impl Fn(&mut dyn Tx) -> Result<T>) -> Result<T> {
        match (self, mode) {
            (Backend::Postgres(postgres), mode) => postgres.run(mode, work),
            (Backend::Sqlite(sqlite), Mode::Read) => sqlite.read(work),
            (Backend::Sqlite(sqlite), Mode::Write | Mode::Beside) => sqlite.write(work),
        }
    }
}

async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => Err(Error::Internal(format!("a transaction failed: {panic}"))),
    }
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod plans;
#[cfg(test)]
pub(crate) mod rig;

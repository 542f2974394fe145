//! The database: transactions that are written once, in the SQL that SQLite and PostgreSQL share.
//!
//! What a transaction does is a function over [`Tx`], run off the runtime's threads. Statements name their arguments
//! `?1`, `?2`, …; columns hold 64-bit numbers and texts, nothing else.
//!
//! - SQLite: one connection writes, in `BEGIN IMMEDIATE`; a few read beside it (WAL).
//! - A function may be run again where the database asks for that, so it has no effect outside.

mod migrations;
#[cfg(test)]
mod plans;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

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

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Value {
        Value::Text(text.clone())
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
pub struct Db(Arc<sqlite::Sqlite>);

impl Db {
    /// Opens the database of a URL, and brings its schema up to date: `sqlite:PATH`, or a plain path.
    ///
    /// # Errors
    /// Where it cannot be opened, or is newer than this program.
    pub fn open(url: &str) -> Result<Db> {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            return Err(Error::Unavailable("PostgreSQL is not supported yet: use `sqlite:PATH`".to_owned()));
        }
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        let sqlite = sqlite::Sqlite::open(Path::new(path))?;
        sqlite.write(|tx| migrations::migrate(tx))?;
        Ok(Db(Arc::new(sqlite)))
    }

    /// Runs `work` in a transaction that changes something; all of it counts or nothing.
    ///
    /// # Errors
    /// Those of `work`, and where the database fails.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut dyn Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.0.clone();
        off_the_runtime(move || db.write(work)).await
    }

    /// Runs `work`, which only asks, over one state of the database.
    ///
    /// # Errors
    /// Those of `work`, and where the database fails.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&mut dyn Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let db = self.0.clone();
        off_the_runtime(move || db.read(work)).await
    }
}

async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => Err(Error::Internal(format!("a transaction failed: {panic}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &tempfile::TempDir) -> Result<Db> {
        Db::open(&format!("sqlite:{}", folder.path().join("a/control.db").display()))
    }

    #[tokio::test]
    async fn what_fails_leaves_nothing_and_what_is_written_stays() {
        let folder = tempfile::tempdir().expect("made");
        let db = open(&folder).expect("opened");
        let insert = "INSERT INTO schema_steps (step) VALUES (?1)";
        let failed: Result<()> = db
            .write(|tx| {
                tx.execute(insert, args![100i64])?;
                Err(Error::Conflict("no".to_owned()))
            })
            .await;
        assert_eq!(failed, Err(Error::Conflict("no".to_owned())));
        let twice = db.write(|tx| tx.execute(insert, args![1i64])).await;
        assert!(matches!(twice, Err(Error::Conflict(_))), "{twice:?}");
        let count = |db: Db| async move {
            db.read(|tx| tx.one("SELECT count(*), max(step) FROM schema_steps", &[])).await
        };
        let before = count(db.clone()).await.expect("read").expect("a row");
        assert_eq!(before.int(0), before.int(1), "one row for each step");
        drop(db);
        let again = open(&folder).expect("opened again, and no step is taken twice");
        assert_eq!(count(again).await.expect("read").expect("a row"), before);
    }

    #[tokio::test]
    async fn a_database_of_a_later_program_is_left_alone() {
        let folder = tempfile::tempdir().expect("made");
        let db = open(&folder).expect("opened");
        db.write(|tx| tx.execute("INSERT INTO schema_steps (step) VALUES (?1)", args![999i64]))
            .await
            .expect("written");
        drop(db);
        assert!(open(&folder).is_err_and(|error| error.to_string().contains("newer")));
        assert!(
            Db::open("postgres://localhost/x").is_err_and(|error| error.to_string().contains("PostgreSQL"))
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn writers_take_turns() {
        let folder = tempfile::tempdir().expect("made");
        let db = open(&folder).expect("opened");
        db.write(|tx| tx.execute("CREATE TABLE counters (n BIGINT)", &[])).await.expect("made");
        db.write(|tx| tx.execute("INSERT INTO counters (n) VALUES (0)", &[])).await.expect("written");
        let add = |db: Db| async move {
            db.write(|tx| {
                let found = tx.one("SELECT n FROM counters", &[])?.map_or(0, |row| row.int(0));
                tx.execute("UPDATE counters SET n = ?1", args![found + 1])
            })
            .await
            .expect("written");
        };
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..50 {
            all.spawn(add(db.clone()));
        }
        all.join_all().await;
        let total = db.read(|tx| tx.one("SELECT n FROM counters", &[])).await.expect("read");
        assert_eq!(total.map(|row| row.int(0)), Some(50));
    }
}

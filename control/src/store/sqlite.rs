//! SQLite: one writer, and readers beside it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior};

use super::{Dialect, Row, Tx, Value};
use crate::error::{Error, Result};

/// Connections that read at the same time; a further one is opened and closed again.
const SPARE_READERS: usize = 4;
/// How long a statement waits for another process that has the file.
const BUSY: Duration = Duration::from_secs(10);
/// Statements that are kept prepared.
const PREPARED: usize = 128;

pub(super) struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

fn failed(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            Error::Conflict("it exists already, or something refers to it".to_owned())
        }
        Some(rusqlite::ErrorCode::DiskFull) => Error::Unavailable("the disk is full".to_owned()),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            Error::Unavailable("the database is busy".to_owned())
        }
        _ => Error::Internal(format!("SQLite: {error}")),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)
        .map_err(|error| Error::Unavailable(format!("cannot open {}: {error}", path.display())))?;
    let prepare = || {
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // The last commits may be lost with the power, the file stays whole.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)
    };
    prepare().map_err(failed)?;
    Ok(connection)
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Sqlite> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| Error::Unavailable(format!("cannot make {}: {error}", folder.display())))?;
        }
        let writer = connect(path)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(path, private).map_err(|error| {
                Error::Unavailable(format!("cannot make {} private: {error}", path.display()))
            })?;
        }
        Ok(Sqlite { path: path.to_owned(), writer: Mutex::new(writer), readers: Mutex::default() })
    }

    pub(super) fn write<T>(&self, work: impl Fn(&mut dyn Tx) -> Result<T>) -> Result<T> {
        let mut connection = locked(&self.writer);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Dropped without a commit, it is rolled back.
        let done = work(&mut SqliteTx(&transaction))?;
        transaction.commit().map_err(failed)?;
        Ok(done)
    }

    pub(super) fn read<T>(&self, work: impl Fn(&mut dyn Tx) -> Result<T>) -> Result<T> {
        let spare = locked(&self.readers).pop();
        let mut connection = spare.map_or_else(|| connect(&self.path), Ok)?;
        let done = {
            let transaction = connection.transaction().map_err(failed)?;
            work(&mut SqliteTx(&transaction))
        };
        let mut readers = locked(&self.readers);
        if readers.len() < SPARE_READERS {
            readers.push(connection);
        }
        done
    }
}

struct SqliteTx<'c>(&'c Connection);

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl Tx for SqliteTx<'_> {
    fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let met = statement.execute(rusqlite::params_from_iter(args)).map_err(failed)?;
        Ok(met as u64)
    }

    fn query(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(args)).map_err(failed)?;
        let mut read = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let mut values = Vec::with_capacity(columns);
            for column in 0..columns {
                values.push(match row.get_ref(column).map_err(failed)? {
                    ValueRef::Integer(number) => Value::Int(number),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
                });
            }
            read.push(Row(values));
        }
        Ok(read)
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn alone(&mut self) -> Result<()> {
        // There is one writer.
        Ok(())
    }

    fn clock(&mut self) -> Result<i64> {
        Ok(crate::time::now_ms())
    }
}

//! PostgreSQL: a pool of connections, and one writer at a time among all the instances that share the database.
//!
//! A transaction that changes something holds an advisory lock, so it means here what it means over SQLite, whose one
//! writer it is. Under the lock each statement sees what was committed before it. What happens often and touches one
//! agent alone ([`Mode::Beside`]) goes without that lock, and takes it where it writes to the audit log.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Transaction};
use tokio::runtime::Handle;
use tokio_postgres::IsolationLevel;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Connections, Dialect, Pooling, Row, Tx, Value};
use crate::args;
use crate::error::{Error, Result};

/// The lock of the one writer: the first bytes of "phoenix".
const WRITER: i64 = 0x0070_686f_656e_6978;
/// How often a transaction is run that the database gives up for another.
const ATTEMPTS: u32 = 5;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

pub(super) struct Postgres {
    pool: Pool,
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    runtime: Handle,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Changes something; the only one that does.
    Write,
    /// Changes something that others leave alone.
    Beside,
    /// Only asks, over one state of the database.
    Read,
}

fn failed(error: &tokio_postgres::Error) -> Error {
    let Some(state) = error.code() else {
        return Error::Unavailable(format!("the database does not answer: {error}"));
    };
    match *state {
        SqlState::UNIQUE_VIOLATION | SqlState::FOREIGN_KEY_VIOLATION => {
            Error::Conflict("it exists already, or something refers to it".to_owned())
        }
        SqlState::DISK_FULL => Error::Unavailable("the disk is full".to_owned()),
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
            Error::Unavailable("the database is busy".to_owned())
        }
        // Class 57: an administrator stops it, or it starts; class 53: it has no room.
        _ if ["57", "53"].contains(&&state.code()[..2]) => {
            Error::Unavailable(format!("the database refuses: {error}"))
        }
        _ => {
            let told = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
            Error::Internal(format!("PostgreSQL: {told}"))
        }
    }
}

fn no_connection(error: PoolError) -> Error {
    match error {
        PoolError::Timeout(_) => Error::Unavailable("every connection to the database is busy".to_owned()),
        PoolError::Backend(error) => {
            Error::Unavailable(format!("cannot connect to the database: {}", root(&error)))
        }
        error => Error::Unavailable(format!("cannot connect to the database: {error}")),
    }
}

fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

fn tls(pooling: &Pooling) -> Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    match &pooling.ca {
        Some(path) => {
            use rustls_pki_types::pem::PemObject as _;
            let unreadable = |error| Error::Unavailable(format!("cannot read {}: {error}", path.display()));
            let certificates = rustls_pki_types::CertificateDer::pem_file_iter(path).map_err(unreadable)?;
            roots.add_parsable_certificates(certificates.flatten());
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Internal(format!("TLS: {error}")))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

impl Postgres {
    /// Within a runtime, which connections live on.
    pub(super) fn open(url: &str, pooling: &Pooling) -> Result<Postgres> {
        let mut config: tokio_postgres::Config = url.parse().map_err(|error| {
            // The URL may hold a password: it is not repeated.
            Error::Unavailable(format!("the URL of the database cannot be read: {error}"))
        })?;
        config.application_name("phoenix-control");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        let tls = tls(pooling)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config.clone(), tls.clone(), recycling);
        let pool = Pool::builder(manager)
            .max_size(pooling.connections)
            .wait_timeout(Some(pooling.wait))
            .create_timeout(Some(CONNECT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Internal(format!("the pool of connections: {error}")))?;
        Ok(Postgres { pool, config, tls, runtime: Handle::current() })
    }

    /// Runs `work` on this thread, which is none of the runtime's.
    pub(super) fn run<T>(&self, mode: Mode, work: impl Fn(&mut dyn Tx) -> Result<T>) -> Result<T> {
        let mut attempt = 1;
        loop {
            let mut is_in_vain = false;
            let outcome = self.attempt(mode, &work, &mut is_in_vain);
            if !is_in_vain || attempt == ATTEMPTS {
                return outcome;
            }
            attempt += 1;
        }
    }

    fn attempt<T>(
        &self,
        mode: Mode,
        work: &impl Fn(&mut dyn Tx) -> Result<T>,
        is_in_vain: &mut bool,
    ) -> Result<T> {
        let mut client = self.runtime.block_on(self.pool.get()).map_err(no_connection)?;
        let transaction = client.build_transaction().read_only(mode == Mode::Read);
        let transaction = transaction.isolation_level(match mode {
            Mode::Read => IsolationLevel::RepeatableRead,
            Mode::Write | Mode::Beside => IsolationLevel::ReadCommitted,
        });
        let transaction = self.runtime.block_on(transaction.start()).map_err(|error| failed(&error))?;
        let mut tx = PostgresTx { transaction: &transaction, runtime: &self.runtime, is_in_vain: false };
        let done = (|| {
            if mode == Mode::Write {
                tx.alone()?;
            }
            work(&mut tx)
        })();
        *is_in_vain = tx.is_in_vain;
        // Dropped without a commit, it is rolled back.
        let done = done?;
        self.runtime.block_on(transaction.commit()).map_err(|error| failed(&error))?;
        Ok(done)
    }

    pub(super) fn connections(&self) -> Connections {
        let status = self.pool.status();
        let idle = status.available.min(status.size);
        Connections { most: status.max_size, used: status.size - idle, idle, waiting: status.waiting }
    }

    /// A connection of its own, for listening.
    pub(super) fn apart(&self) -> (tokio_postgres::Config, MakeRustlsConnect) {
        (self.config.clone(), self.tls.clone())
    }
}

struct PostgresTx<'c> {
    transaction: &'c Transaction<'c>,
    runtime: &'c Handle,
    /// The database gave this transaction up for another: it may be run again.
    is_in_vain: bool,
}

impl PostgresTx<'_> {
    fn noted(&mut self, error: &tokio_postgres::Error) -> Error {
        let again = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
        self.is_in_vain |= error.code().is_some_and(|code| again.contains(code));
        failed(error)
    }
}

/// Arguments are named `?1` for SQLite, `$1` here. No statement holds a `?` else.
fn dollars(sql: &str) -> String {
    sql.replace('?', "$")
}

impl ToSql for Value {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut bytes::BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) if *of == Type::INT4 => i32::try_from(*number)?.to_sql(of, out),
            Value::Int(number) => number.to_sql(of, out),
            Value::Text(text) => text.to_sql(of, out),
        }
    }

    fn accepts(of: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::TEXT, Type::VARCHAR].contains(of)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(
        of: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Value, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *of {
            Type::INT8 => Value::Int(i64::from_sql(of, raw)?),
            Type::INT4 => Value::Int(i64::from(i32::from_sql(of, raw)?)),
            Type::BOOL => Value::Int(i64::from(bool::from_sql(of, raw)?)),
            _ => Value::Text(String::from_sql(of, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Value, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Value::Null)
    }

    fn accepts(of: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::BOOL, Type::TEXT, Type::VARCHAR, Type::NAME].contains(of)
    }
}

impl Tx for PostgresTx<'_> {
    fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        let given: Vec<&(dyn ToSql + Sync)> = args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect();
        let done = self.runtime.block_on(async {
            let statement = self.transaction.prepare_cached(&dollars(sql)).await?;
            self.transaction.execute(&statement, &given).await
        });
        done.map_err(|error| self.noted(&error))
    }

    fn query(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        let given: Vec<&(dyn ToSql + Sync)> = args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect();
        let rows = self.runtime.block_on(async {
            let statement = self.transaction.prepare_cached(&dollars(sql)).await?;
            self.transaction.query(&statement, &given).await
        });
        let rows = rows.map_err(|error| self.noted(&error))?;
        let read = |row: &tokio_postgres::Row| {
            (0..row.len()).map(|column| row.try_get(column)).collect::<std::result::Result<_, _>>().map(Row)
        };
        rows.iter().map(read).collect::<std::result::Result<_, _>>().map_err(|error| failed(&error))
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn alone(&mut self) -> Result<()> {
        self.query("SELECT pg_advisory_xact_lock(?1) IS NULL", args![WRITER]).map(|_| ())
    }

    fn clock(&mut self) -> Result<i64> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        Ok(self.query(sql, &[])?.first().map_or(0, |row| row.int(0)))
    }
}

//! Databases for tests: SQLite in a folder, and a database of its own in the PostgreSQL that `PHOENIX_TEST_POSTGRES` names.

use super::{Db, Pooling};

/// A database, and what it lies in.
pub(crate) struct TestDb {
    pub(crate) db: Db,
    pub(crate) url: String,
    _folder: tempfile::TempDir,
}

/// Opens a database off the runtime, as the service does.
pub(crate) async fn open(url: &str) -> crate::error::Result<Db> {
    let url = url.to_owned();
    let opened = tokio::task::spawn_blocking(move || Db::open(&url, &Pooling::default())).await;
    opened.expect("no panic")
}

/// A new SQLite.
pub(crate) async fn sqlite() -> TestDb {
    let folder = tempfile::tempdir().expect("made");
    let url = format!("sqlite:{}", folder.path().join("a/control.db").display());
    TestDb { db: open(&url).await.expect("opened"), url, _folder: folder }
}

/// A new database in PostgreSQL; none, and a word about it, where no server is named.
#[expect(clippy::print_stderr, reason = "says that it is skipped")]
pub(crate) async fn postgres() -> Option<TestDb> {
    let Ok(server) = std::env::var("PHOENIX_TEST_POSTGRES") else {
        eprintln!("skipped over PostgreSQL: PHOENIX_TEST_POSTGRES names none (.ci/with-postgres starts one)");
        return None;
    };
    let (client, connection) =
        tokio_postgres::connect(&server, tokio_postgres::NoTls).await.expect("the server answers");
    let driver = tokio::spawn(connection);
    let name = crate::ids::new_id("test", crate::time::now_ms());
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("made");
    drop(client);
    driver.await.expect("no panic").expect("closed");
    let (base, options) =
        server.split_once('?').map_or((server.as_str(), ""), |(base, options)| (base, options));
    let base = base.trim_end_matches('/').rsplit_once('/').map_or(base, |(base, _)| base);
    let url = format!("{base}/{name}?{options}");
    let folder = tempfile::tempdir().expect("made");
    Some(TestDb { db: open(&url).await.expect("opened"), url, _folder: folder })
}

/// Every kind of database that can be had here.
pub(crate) async fn all() -> Vec<TestDb> {
    let mut all = vec![sqlite().await];
    all.extend(postgres().await);
    all
}

//! The schema, as steps that are taken once each, in order.

use super::{Dialect, Tx};
use crate::args;
use crate::error::{Error, Result};

/// Each step's statements, separated by `;`. A step that was released is never changed: a later one corrects it.
const STEPS: &[&str] = &[
    include_str!("../../migrations/0001_schema.sql"),
    include_str!("../../migrations/0002_instances.sql"),
    include_str!("../../migrations/0003_dead_tasks.sql"),
    include_str!("../../migrations/0004_freezes_and_approval.sql"),
    include_str!("../../migrations/0005_scopes_and_rotation.sql"),
    include_str!("../../migrations/0006_templates.sql"),
    include_str!("../../migrations/0007_vitals.sql"),
    include_str!("../../migrations/0008_schedules.sql"),
    include_str!("../../migrations/0009_own_telemetry.sql"),
    include_str!("../../migrations/0010_failures_of_gates.sql"),
    include_str!("../../migrations/0011_events_of_a_thing.sql"),
    include_str!("../../migrations/0012_signed_credentials.sql"),
    include_str!("../../migrations/0013_connections.sql"),
];

pub(super) fn migrate(tx: &mut dyn Tx) -> Result<()> {
    tx.execute("CREATE TABLE IF NOT EXISTS schema_steps (step BIGINT PRIMARY KEY)", &[])?;
    let row = tx.one("SELECT max(step) FROM schema_steps", &[])?;
    let done = row.map_or(0, |row| row.int(0)) as usize;
    if done > STEPS.len() {
        return Err(Error::Unavailable(format!(
            "the database has schema {done}, which is newer than this program's {}",
            STEPS.len()
        )));
    }
    for (index, step) in STEPS.iter().enumerate().skip(done) {
        let step = match tx.dialect() {
            Dialect::Sqlite => (*step).to_owned(),
            // Texts are compared by their bytes, as SQLite does: identifiers sort by time, whatever the locale.
            Dialect::Postgres => step.replace(" TEXT", " TEXT COLLATE \"C\""),
        };
        for statement in step.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            tx.execute(statement, &[])?;
        }
        tx.execute("INSERT INTO schema_steps (step) VALUES (?1)", args![index as i64 + 1])?;
    }
    Ok(())
}

//! Records: what lies in a table under an identifier, found, listed and guarded in one way.

use super::{Row, Tx};
use crate::args;
use crate::error::{Error, Result};
use crate::etags::Seen;

/// A row of a table with an `id`.
pub(crate) trait Record: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Its columns as [`Record::read`] takes them.
    const COLUMNS: &'static str;
    /// What errors call it.
    const NOUN: &'static str;
    /// Whether its revision goes up with all that is told of it, so that the same one means the same answer.
    const IS_TOLD_BY_REVISION: bool = false;

    /// Reads a row of [`Record::COLUMNS`].
    fn read(row: &Row) -> Result<Self>;

    /// Its identifier, which is its place in lists, too.
    fn id(&self) -> &str;

    /// Goes up with each change; 0 where it never changes in a way that people race for.
    fn revision(&self) -> i64 {
        0
    }
}

/// The one with this identifier.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub(crate) fn find<T: Record>(tx: &mut dyn Tx, id: &str) -> Result<T> {
    let sql = format!("SELECT {} FROM {} WHERE id = ?1", T::COLUMNS, T::TABLE);
    let row = tx.one(&sql, args![id])?;
    T::read(&row.ok_or_else(|| Error::NotFound(format!("{} {id}", T::NOUN)))?)
}

/// Those behind `after`, the oldest first.
pub(crate) fn list<T: Record>(tx: &mut dyn Tx, after: &str, limit: i64) -> Result<Vec<T>> {
    let sql = format!("SELECT {} FROM {} WHERE id > ?1 ORDER BY id LIMIT ?2", T::COLUMNS, T::TABLE);
    tx.query(&sql, args![after, limit])?.iter().map(T::read).collect()
}

/// Those before `before`, the newest first.
pub(crate) fn newest<T: Record>(tx: &mut dyn Tx, before: &str, limit: i64) -> Result<Vec<T>> {
    let sql = format!("SELECT {} FROM {} WHERE id < ?1 ORDER BY id DESC LIMIT ?2", T::COLUMNS, T::TABLE);
    tx.query(&sql, args![before, limit])?.iter().map(T::read).collect()
}

/// The one with this identifier, as the client has seen it.
///
/// # Errors
/// [`Error::Precondition`] where it has changed since.
pub(crate) fn find_seen<T: Record>(tx: &mut dyn Tx, id: &str, seen: &Seen) -> Result<T> {
    let found: T = find(tx, id)?;
    seen.expect(found.revision())?;
    Ok(found)
}

/// Says of a conflict at an insert that the name is taken.
pub(crate) fn taken<T: Record>(name: &str) -> impl FnOnce(Error) -> Error + '_ {
    move |error| match error {
        Error::Conflict(_) => Error::Conflict(format!("there is a {} {name:?} already", T::NOUN)),
        error => error,
    }
}

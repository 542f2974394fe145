//! Configurations and their versions, which never change.
//!
//! A configuration may have a parent, whose text comes before its own. A version is bound to the version of the
//! parent that it was made over, so the same version always means the same texts.

use serde::Serialize;
use utoipa::ToSchema;

use crate::args;
use crate::audit::{self, Caller};
use crate::error::{Error, Result};
use crate::etags::Seen;
use crate::ids::{new_id, sha256};
use crate::principals::{check_name, snapshot};
use crate::store::record::{Record, find, find_seen, taken};
use crate::store::{Row, Tx};
use crate::templates::Origin;
use crate::time::rfc3339;
use crate::validation::Layer;

/// Longest text of a version, in bytes.
pub const MAX_TEXT: usize = 4 << 20;
/// Most configurations over each other.
const MAX_LAYERS: usize = 8;

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Configuration {
    /// Identifier.
    pub id: String,
    /// Name, unique.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The configuration that it is laid over.
    pub parent_id: Option<String>,
    /// The number of its latest version; 0 while there is none.
    pub latest: i64,
    /// When it was made.
    pub created_at: String,
    /// Goes up with each change and each version; the ETag.
    pub revision: i64,
}

impl Record for Configuration {
    const TABLE: &'static str = "configurations";
    const NOUN: &'static str = "configuration";
    const IS_TOLD_BY_REVISION: bool = true;
    const COLUMNS: &'static str = "id, name, description, parent_id, latest, created_at, revision";

    fn read(row: &Row) -> Result<Configuration> {
        Ok(Configuration {
            id: row.text(0),
            name: row.text(1),
            description: row.text(2),
            parent_id: row.maybe_text(3),
            latest: row.int(4),
            created_at: rfc3339(row.int(5)),
            revision: row.int(6),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

/// A version, as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Version {
    /// Identifier.
    pub id: String,
    /// Of which configuration.
    pub configuration_id: String,
    /// Number, from 1.
    pub number: i64,
    /// Why it was made.
    pub message: String,
    /// By whom.
    pub author: String,
    /// The version that it was made from.
    pub previous: Option<i64>,
    /// The version of the parent that it is laid over.
    pub parent_version_id: Option<String>,
    /// SHA-256 of its text.
    pub content_hash: String,
    /// When it was made.
    pub created_at: String,
    /// The template that it was made from, and with which values.
    pub template: Option<Origin>,
    /// The text, comments and order as they were written; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Record for Version {
    const TABLE: &'static str = "versions";
    const NOUN: &'static str = "version";
    const COLUMNS: &'static str = "id, configuration_id, number, message, author, previous, parent_version_id, content_hash, created_at, template, text";

    fn read(row: &Row) -> Result<Version> {
        Ok(Version {
            id: row.text(0),
            configuration_id: row.text(1),
            number: row.int(2),
            message: row.text(3),
            author: row.text(4),
            previous: row.maybe_int(5),
            parent_version_id: row.maybe_text(6),
            content_hash: row.text(7),
            created_at: rfc3339(row.int(8)),
            template: serde_json::from_value(row.json(9)).ok(),
            text: row.maybe_text(10),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

pub(crate) fn create(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    name: &str,
    description: &str,
    parent_id: Option<&String>,
) -> Result<Configuration> {
    check_name("name", name)?;
    if let Some(parent) = parent_id
        && let Err(Error::NotFound(_)) = find::<Configuration>(tx, parent)
    {
        return Err(Error::field("parent_id", "there is no such configuration"));
    }
    let id = new_id("cfg", now);
    tx.execute(
        "INSERT INTO configurations (id, name, description, parent_id, latest, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, 1)",
        args![&id, name, description, parent_id, now],
    )
    .map_err(taken::<Configuration>(name))?;
    let made: Configuration = find(tx, &id)?;
    audit::record(tx, caller, now, "configuration.create", &id, "", &snapshot(&made))?;
    Ok(made)
}

pub(crate) fn change(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    seen: &Seen,
    description: &str,
) -> Result<Configuration> {
    let before: Configuration = find_seen(tx, id, seen)?;
    tx.execute(
        "UPDATE configurations SET description = ?2, revision = revision + 1 WHERE id = ?1",
        args![id, description],
    )?;
    let after: Configuration = find(tx, id)?;
    audit::record(tx, caller, now, "configuration.change", id, &snapshot(&before), &snapshot(&after))?;
    Ok(after)
}

pub(crate) fn versions(tx: &mut dyn Tx, id: &str, before: i64, limit: i64) -> Result<Vec<Version>> {
    find::<Configuration>(tx, id)?;
    // Without the texts.
    let columns = Version::COLUMNS.trim_end_matches(", text");
    let sql = format!(
        "SELECT {columns} FROM versions WHERE configuration_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3"
    );
    tx.query(&sql, args![id, before, limit])?.iter().map(Version::read).collect()
}

pub(crate) fn find_version(tx: &mut dyn Tx, id: &str, number: i64) -> Result<Version> {
    let sql =
        format!("SELECT {} FROM versions WHERE configuration_id = ?1 AND number = ?2", Version::COLUMNS);
    let row = tx.one(&sql, args![id, number])?;
    Version::read(&row.ok_or_else(|| Error::NotFound(format!("version {number} of {id}")))?)
}

/// The texts of a version, what is laid over comes first.
pub(crate) fn layers(tx: &mut dyn Tx, version_id: &str) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    let mut next = Some(version_id.to_owned());
    while let Some(id) = next {
        let sql = "SELECT c.name, v.number, v.text, v.parent_version_id FROM versions v
             JOIN configurations c ON c.id = v.configuration_id WHERE v.id = ?1";
        let row = tx.one(sql, args![&id])?.ok_or_else(|| Error::NotFound(format!("version {id}")))?;
        layers.push(Layer { name: format!("{}@{}.yaml", row.text(0), row.int(1)), text: row.text(2) });
        if layers.len() > MAX_LAYERS {
            return Err(Error::Conflict(format!("more than {MAX_LAYERS} configurations over each other")));
        }
        next = row.maybe_text(3);
    }
    layers.reverse();
    Ok(layers)
}

/// What a new version is laid over: the latest version of the parent and its texts.
pub(crate) fn base(tx: &mut dyn Tx, configuration: &Configuration) -> Result<(Option<String>, Vec<Layer>)> {
    let Some(parent) = &configuration.parent_id else { return Ok((None, Vec::new())) };
    let parent: Configuration = find(tx, parent)?;
    if parent.latest == 0 {
        return Err(Error::Conflict(format!("the parent {} has no version yet", parent.name)));
    }
    let version = find_version(tx, &parent.id, parent.latest)?;
    let layers = layers(tx, &version.id)?;
    Ok((Some(version.id), layers))
}

/// Adds a version that was checked over `parent_version_id`.
#[allow(clippy::too_many_arguments, reason = "one column each")]
pub(crate) fn add_version(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    seen: &Seen,
    text: &str,
    message: &str,
    parent_version_id: Option<&String>,
    template: Option<&Origin>,
) -> Result<Version> {
    let found: Configuration = find(tx, id)?;
    seen.expect(found.revision)?;
    let (base, _) = base(tx, &found)?;
    if base.as_ref() != parent_version_id {
        return Err(Error::Conflict("the parent has a new version since; try again".to_owned()));
    }
    let (number, content_hash) = (found.latest + 1, sha256(text));
    let before = match found.latest {
        0 => String::new(),
        latest => {
            let latest = find_version(tx, id, latest)?;
            if latest.content_hash == content_hash && latest.parent_version_id.as_ref() == parent_version_id {
                return Err(Error::Conflict(format!("it is the same text as version {}", latest.number)));
            }
            latest.text.unwrap_or_default()
        }
    };
    let previous = (found.latest > 0).then_some(found.latest);
    tx.execute(
        "INSERT INTO versions (id, configuration_id, number, text, message, author, previous, parent_version_id, content_hash, created_at, template)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        args![
            new_id("ver", now),
            id,
            number,
            text,
            message,
            &caller.actor,
            previous,
            parent_version_id,
            &content_hash,
            now,
            template.map(snapshot)
        ],
    )?;
    tx.execute(
        "UPDATE configurations SET latest = ?2, revision = revision + 1 WHERE id = ?1",
        args![id, number],
    )?;
    audit::record(tx, caller, now, "version.create", &format!("{id}@{number}"), &before, text)?;
    find_version(tx, id, number)
}

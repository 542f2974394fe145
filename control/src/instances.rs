//! The instances of the service that share a database: who is there, where agents are connected, and who does what
//! only one is to do.
//!
//! All times are the database's own. An instance that says nothing for [`LEASE_MS`] counts as gone, with its agents,
//! until those come to another; what it led another leads.

use std::collections::BTreeSet;

use crate::args;
use crate::error::{Error, Result};
use crate::hub::Gone;
use crate::store::Tx;

/// How long an instance counts as there after it was heard of.
pub const LEASE_MS: i64 = 10_000;
/// Instances that were silent for so long are forgotten.
const FORGOTTEN_MS: i64 = 24 * 3600 * 1000;
/// The lease of whoever takes the steps of rollouts.
const ROLLOUTS: &str = "rollouts";

/// Says that `instance` is there; and whether it leads.
pub(crate) fn beat(tx: &mut dyn Tx, instance: &str) -> Result<bool> {
    let now = tx.clock()?;
    let sql =
        "INSERT INTO instances (id, seen_at) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET seen_at = ?2";
    tx.execute(sql, args![instance, now])?;
    tx.execute("DELETE FROM instances WHERE seen_at < ?1", args![now - FORGOTTEN_MS])?;
    let sql = "INSERT INTO leases (name, holder, until) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?3 WHERE leases.holder = ?2 OR leases.until < ?4";
    Ok(tx.execute(sql, args![ROLLOUTS, instance, now + LEASE_MS, now])? > 0)
}

/// Whether `instance` leads now: asked in the transaction that only the leader may do.
pub(crate) fn leads(tx: &mut dyn Tx, instance: &str) -> Result<bool> {
    let now = tx.clock()?;
    let sql = "SELECT 1 FROM leases WHERE name = ?1 AND holder = ?2 AND until >= ?3";
    Ok(tx.one(sql, args![ROLLOUTS, instance, now])?.is_some())
}

/// `instance` stops: others need not wait.
pub(crate) fn leave(tx: &mut dyn Tx, instance: &str) -> Result<()> {
    tx.execute("DELETE FROM instances WHERE id = ?1", args![instance])?;
    tx.execute("DELETE FROM leases WHERE holder = ?1", args![instance])?;
    Ok(())
}

/// A connection of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// Its number: each connection of an agent has a higher one than those before it, whichever instance they are to.
    pub(crate) connection: i64,
    /// Whether the agent is connected to another instance that is there, which is to end that.
    pub(crate) is_elsewhere: bool,
}

/// An agent is connected to `instance`.
///
/// # Errors
/// Where it was locked out meanwhile.
pub(crate) fn attach(tx: &mut dyn Tx, instance: &str, agent: &str) -> Result<Attached> {
    let since = tx.clock()? - LEASE_MS;
    let sql = "SELECT 1 FROM agents a JOIN instances i ON i.id = a.connected_to
         WHERE a.id = ?1 AND i.id <> ?2 AND i.seen_at > ?3";
    let is_elsewhere = tx.one(sql, args![agent, instance, since])?.is_some();
    let sql = "UPDATE agents SET connected_to = ?2, connection = connection + 1 WHERE id = ?1 AND revoked_at IS NULL";
    if tx.execute(sql, args![agent, instance])? == 0 {
        return Err(Error::Forbidden("this agent is locked out".to_owned()));
    }
    let row = tx.one("SELECT connection FROM agents WHERE id = ?1", args![agent])?;
    Ok(Attached { connection: row.map_or(0, |row| row.int(0)), is_elsewhere })
}

/// The connection of an agent to `instance` is over, which has no others since; one that has no number yet is any.
pub(crate) fn detach(tx: &mut dyn Tx, instance: &str, gone: &Gone) -> Result<()> {
    let sql = "UPDATE agents SET last_seen_at = ?2 WHERE id = ?1 AND last_seen_at < ?2";
    tx.execute(sql, args![&gone.agent, gone.seen])?;
    let sql = "UPDATE agents SET connected_to = NULL WHERE id = ?1 AND connected_to = ?2 AND (?3 = 0 OR connection = ?3)";
    tx.execute(sql, args![&gone.agent, instance, gone.connection])?;
    Ok(())
}

/// Every agent that is connected: `here`, and to other instances.
pub(crate) fn connected(
    tx: &mut dyn Tx,
    instance: &str,
    here: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let since = tx.clock()? - LEASE_MS;
    let sql = "SELECT a.id FROM instances i JOIN agents a ON a.connected_to = i.id WHERE i.seen_at > ?1 AND i.id <> ?2";
    let mut all = here.clone();
    all.extend(tx.query(sql, args![since, instance])?.iter().map(|row| row.text(0)));
    Ok(all)
}

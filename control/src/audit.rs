//! The audit log: who did what, each entry bound to the one before by its hash.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::args;
use crate::error::Result;
use crate::ids::sha256;
use crate::roles::Role;
use crate::selector::{Labels, Selector};
use crate::store::{Row, Tx};
use crate::time::rfc3339;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// For example `user:admin`, `key:ci`, `agent:0199…`, `system`.
    pub actor: String,
    /// What they may do.
    pub role: Role,
    /// To which agents that is limited.
    pub scope: Selector,
    /// The request.
    pub request_id: String,
    /// The `Idempotency-Key` under which whatever they change is done once.
    pub once: Option<String>,
}

impl Caller {
    /// Whether agents with these labels are of their scope.
    pub fn sees(&self, labels: &Labels) -> bool {
        self.scope.matches(labels)
    }

    /// The service itself.
    pub fn system() -> Caller {
        Caller {
            actor: "system".to_owned(),
            role: Role::Admin,
            scope: Selector::default(),
            request_id: String::new(),
            once: None,
        }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entry {
    /// Its number, from 1 without gaps.
    pub seq: i64,
    /// When.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What, for example `configuration.create`.
    pub action: String,
    /// To what.
    pub target: String,
    /// SHA-256 of what was there before; empty for nothing.
    pub before_hash: String,
    /// SHA-256 of what is there after; empty for nothing.
    pub after_hash: String,
    /// The request.
    pub request_id: String,
    /// SHA-256 over this entry and the hash of the one before it.
    pub hash: String,
}

pub(crate) const COLUMNS: &str = "seq, at, actor, action, target, before_hash, after_hash, request_id, hash";

pub(crate) fn entry(row: &Row) -> Entry {
    Entry {
        seq: row.int(0),
        at: rfc3339(row.int(1)),
        actor: row.text(2),
        action: row.text(3),
        target: row.text(4),
        before_hash: row.text(5),
        after_hash: row.text(6),
        request_id: row.text(7),
        hash: row.text(8),
    }
}

/// The entries about one thing before the one of this number, the newest first; a configuration's versions, which are
/// called `cfg_…@1`, are about it.
pub(crate) fn of(tx: &mut dyn Tx, target: &str, before: i64, limit: i64) -> Result<Vec<Entry>> {
    let sql =
        format!("SELECT {COLUMNS} FROM audit WHERE target = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3");
    let mut rows = tx.query(&sql, args![target, before, limit])?;
    if target.starts_with("cfg_") {
        let sql = format!(
            "SELECT {COLUMNS} FROM audit WHERE target > ?1 AND target < ?2 AND seq < ?3 ORDER BY seq DESC LIMIT ?4"
        );
        // `A` is what follows `@`.
        rows.extend(tx.query(&sql, args![format!("{target}@"), format!("{target}A"), before, limit])?);
    }
    let mut entries: Vec<Entry> = rows.iter().map(entry).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
    entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(entries)
}

/// An entry as a log record of OTLP, in JSON.
pub(crate) fn log_record(row: &Row) -> serde_json::Value {
    let entry = entry(row);
    let nanos = (i128::from(row.int(1)) * 1_000_000).to_string();
    let text =
        |key: &str, value: &str| json!({"key": format!("audit.{key}"), "value": {"stringValue": value}});
    let mut attributes = vec![json!({"key": "audit.seq", "value": {"intValue": entry.seq.to_string()}})];
    attributes.extend([
        text("actor", &entry.actor),
        text("action", &entry.action),
        text("target", &entry.target),
        text("before_hash", &entry.before_hash),
        text("after_hash", &entry.after_hash),
        text("request_id", &entry.request_id),
        text("hash", &entry.hash),
    ]);
    json!({
        "timeUnixNano": nanos, "observedTimeUnixNano": nanos, "severityNumber": 9, "severityText": "INFO",
        "body": {"stringValue": format!("{} {} {}", entry.actor, entry.action, entry.target)},
        "attributes": attributes,
    })
}

/// Records as a request that any OTLP/HTTP receiver takes.
pub(crate) fn export(records: Vec<serde_json::Value>) -> serde_json::Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let resource =
        [text("service.name", "phoenix-control"), text("service.version", env!("CARGO_PKG_VERSION"))];
    let scope = json!({"scope": {"name": "phoenix.control.audit"}, "logRecords": records});
    json!({"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [scope]}]})
}

/// Each part with its length, so that no text can pass for two.
fn chained(previous: &str, seq: i64, at: i64, parts: [&str; 6]) -> String {
    let mut text = format!("{previous}\n{seq}\n{at}\n");
    for part in parts {
        text += &format!("{}:{part}\n", part.len());
    }
    sha256(text)
}

/// Writes down that `caller` did `action`. `before` and `after` are what was and is there; empty for nothing.
pub(crate) fn record(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    action: &str,
    target: &str,
    before: &str,
    after: &str,
) -> Result<()> {
    let hash_of = |text: &str| if text.is_empty() { String::new() } else { sha256(text) };
    let (before, after) = (hash_of(before), hash_of(after));
    // One entry follows another, whoever else writes.
    tx.alone()?;
    let last = tx.one("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", &[])?;
    let (seq, previous) = last.map_or((1, String::new()), |row| (row.int(0) + 1, row.text(1)));
    let parts = [caller.actor.as_str(), action, target, &before, &after, &caller.request_id];
    let hash = chained(&previous, seq, now, parts);
    tx.execute(
        "INSERT INTO audit (seq, at, actor, action, target, before_hash, after_hash, request_id, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        args![seq, now, &caller.actor, action, target, before, after, &caller.request_id, hash],
    )?;
    if let Some(key) = &caller.once {
        // In one transaction with the change: whoever is killed before the answer was kept has done it all the same.
        let sql = "UPDATE idempotency SET status = 409 WHERE principal = ?1 AND key = ?2 AND status IS NULL";
        tx.execute(sql, args![&caller.actor, key])?;
    }
    tracing::info!(actor = caller.actor, action, target, request_id = caller.request_id, "audit");
    Ok(())
}

/// What a check of the whole log found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Verification {
    /// Entries that were checked.
    pub entries: i64,
    /// Whether all of them are as they were written.
    pub intact: bool,
    /// The first that is not, or that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<i64>,
    /// The hash of the last entry; kept elsewhere, it shows later whether the end was cut off.
    pub head: String,
}

/// Entries that are read at a time.
const CHUNK: i64 = 1000;

/// Checks the whole log.
pub(crate) fn verify(tx: &mut dyn Tx) -> Result<Verification> {
    let (mut seq, mut head) = (0, String::new());
    loop {
        let rows = tx.query(
            &format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2"),
            args![seq, CHUNK],
        )?;
        for row in &rows {
            let entry = entry(row);
            let parts = [
                entry.actor.as_str(),
                &entry.action,
                &entry.target,
                &entry.before_hash,
                &entry.after_hash,
                &entry.request_id,
            ];
            seq += 1;
            if entry.seq != seq || chained(&head, entry.seq, row.int(1), parts) != entry.hash {
                return Ok(Verification { entries: seq - 1, intact: false, broken_at: Some(seq), head });
            }
            head = entry.hash;
        }
        if rows.len() < CHUNK as usize {
            return Ok(Verification { entries: seq, intact: true, broken_at: None, head });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Db, Pooling};

    #[tokio::test]
    async fn tampering_shows() {
        let folder = tempfile::tempdir().expect("made");
        let db =
            Db::open(folder.path().join("db").to_str().expect("UTF-8"), &Pooling::default()).expect("opened");
        db.write(|tx| {
            for number in 0..5 {
                record(tx, &Caller::system(), number, "do", &format!("it {number}"), "", "x")?;
            }
            Ok(())
        })
        .await
        .expect("written");
        let sound = db.read(|tx| verify(tx)).await.expect("read");
        assert_eq!((sound.entries, sound.intact), (5, true));
        for (change, broken) in [
            ("UPDATE audit SET actor = 'nobody' WHERE seq = 3", 3),
            ("UPDATE audit SET actor = 'system' WHERE seq = 3", 0),
            ("DELETE FROM audit WHERE seq = 2", 2),
        ] {
            db.write(move |tx| tx.execute(change, &[])).await.expect("changed");
            let found = db.read(|tx| verify(tx)).await.expect("read");
            assert_eq!(found.broken_at.unwrap_or_default(), broken, "{change}");
        }
    }
}

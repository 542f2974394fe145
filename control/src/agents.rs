//! Agents: what they said of themselves, and the credentials that they come with.

pub(crate) mod credential;

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::args;
use crate::audit::{self, Caller};
use crate::error::{Error, Result};
use crate::etags::Seen;
use crate::ids::{Secret, new_id, same, sha256};
use crate::instances;
use crate::principals::{NewSecret, check_name, snapshot};
use crate::selector::Labels;
use crate::store::record::{Record, find};
use crate::store::{Row, Tx};
use crate::time::rfc3339;

/// Most labels of an agent, and longest key and value.
const MAX_LABELS: usize = 128;
const MAX_LABEL: usize = 256;

/// An agent.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Agent {
    /// Its instance UID, 32 hexadecimal digits.
    pub id: String,
    /// Its name: the host's, the service's, or the identifier.
    pub name: String,
    /// What it said of itself, what its token said, and what operators added, in this order of precedence from the
    /// weakest.
    pub labels: Labels,
    /// What it can do.
    pub capabilities: Vec<&'static str>,
    /// Whether it is connected now, or polled lately.
    pub connected: bool,
    /// When it was last heard of.
    pub last_seen_at: String,
    /// When it came first.
    pub enrolled_at: String,
    /// The token that it came with.
    pub enrolled_with: String,
    /// Since when it is locked out.
    pub revoked_at: Option<String>,
    /// Whether it works; unknown where it does not say.
    pub healthy: Option<bool>,
    /// The hash of the configuration that it last said something of.
    pub reported_hash: Option<String>,
    /// What it said: `applied`, `applying` or `failed`.
    pub reported_status: Option<String>,
    /// Why it failed.
    pub reported_error: Option<String>,
    /// Goes up when operators change it; the ETag.
    pub revision: i64,
}

/// What an agent is asked for one by one.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AgentDetails {
    /// The agent.
    #[serde(flatten)]
    pub agent: Agent,
    /// Those of its labels that operators added.
    pub operator_labels: Labels,
    /// How its components are.
    pub health: serde_json::Value,
    /// What it runs with, as it says; secrets hidden by the agent.
    pub effective_config: Option<String>,
    /// What became of a credential, or of settings of own telemetry, that it was offered: `status`, `error` and when.
    pub connection_settings: serde_json::Value,
    /// The components that it has, by kind.
    pub components: serde_json::Value,
    /// Configurations that failed on it, and are not offered again: by hash, why.
    pub failures: BTreeMap<String, String>,
}

pub(crate) const AGENT: &str = "id, name, labels, extra_labels, capabilities, enrolled_with, enrolled_at, last_seen_at, revoked_at, healthy, reported_hash, reported_status, reported_error, revision, enrolled_labels, (SELECT i.seen_at FROM instances i WHERE i.id = connected_to)";

pub(crate) fn labels_of(row: &Row, columns: [usize; 3]) -> Labels {
    let mut labels = Labels::new();
    for column in columns {
        if let Ok(more) = serde_json::from_str::<Labels>(&row.text(column)) {
            labels.extend(more);
        }
    }
    labels
}

/// The agents that are not revoked and whose labels are meant, by identifier.
pub(crate) fn meant(tx: &mut dyn Tx, means: impl Fn(&Labels) -> bool) -> Result<Vec<String>> {
    let sql =
        "SELECT id, labels, enrolled_labels, extra_labels FROM agents WHERE revoked_at IS NULL ORDER BY id";
    let rows = tx.query(sql, &[])?;
    Ok(rows.iter().filter(|row| means(&labels_of(row, [1, 2, 3]))).map(|row| row.text(0)).collect())
}

/// `here` is when an agent that is connected to this instance was last heard of, `now` the time of the database.
pub(crate) fn agent(row: &Row, here: Option<i64>, now: i64) -> Agent {
    let elsewhere = row.maybe_int(15).filter(|seen| now - seen < instances::LEASE_MS);
    let seen = here.or(elsewhere);
    let bits = row.int(4) as u64;
    let named = phoenix_opamp::agent::NAMES.iter().filter(|(bit, _)| bits & bit != 0);
    Agent {
        id: row.text(0),
        name: row.text(1),
        labels: labels_of(row, [2, 14, 3]),
        capabilities: named.map(|(_, name)| *name).collect(),
        connected: seen.is_some(),
        last_seen_at: rfc3339(seen.unwrap_or_else(|| row.int(7))),
        enrolled_with: row.text(5),
        enrolled_at: rfc3339(row.int(6)),
        revoked_at: row.maybe_int(8).map(rfc3339),
        healthy: row.maybe_int(9).map(|yes| yes != 0),
        reported_hash: row.maybe_text(10),
        reported_status: row.maybe_text(11),
        reported_error: row.maybe_text(12).filter(|text| !text.is_empty()),
        revision: row.int(13),
    }
}

pub(crate) fn rows(tx: &mut dyn Tx, after: &str, limit: i64) -> Result<Vec<Row>> {
    let sql = format!("SELECT {AGENT} FROM agents WHERE id > ?1 ORDER BY id LIMIT ?2");
    tx.query(&sql, args![after, limit])
}

pub(crate) fn row(tx: &mut dyn Tx, id: &str) -> Result<Row> {
    let sql =
        format!("SELECT {AGENT}, health, effective, components, connection_status FROM agents WHERE id = ?1");
    tx.one(&sql, args![id])?.ok_or_else(|| Error::NotFound(format!("agent {id}")))
}

/// The same for somebody whose scope may leave it out: it is then as if it did not exist.
pub(crate) fn row_for(tx: &mut dyn Tx, caller: &Caller, id: &str) -> Result<Row> {
    let found = row(tx, id)?;
    match caller.sees(&labels_of(&found, [2, 14, 3])) {
        true => Ok(found),
        false => Err(Error::NotFound(format!("agent {id}"))),
    }
}

/// Whether an agent is of the caller's scope.
pub(crate) fn is_seen(tx: &mut dyn Tx, caller: &Caller, id: &str) -> Result<bool> {
    if caller.scope.is_everybody() {
        return Ok(true);
    }
    match row_for(tx, caller, id) {
        Ok(_) => Ok(true),
        Err(Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) fn failures(tx: &mut dyn Tx, id: &str) -> Result<BTreeMap<String, String>> {
    let rows = tx.query("SELECT hash, error FROM agent_failures WHERE agent_id = ?1", args![id])?;
    Ok(rows.iter().map(|row| (row.text(0), row.text(1))).collect())
}

fn check_labels(labels: &Labels) -> Result<()> {
    let too_long = |text: &String| text.is_empty() || text.len() > MAX_LABEL;
    if labels.len() > MAX_LABELS || labels.iter().any(|(key, value)| too_long(key) || too_long(value)) {
        let message = format!("at most {MAX_LABELS} labels, each of 1 to {MAX_LABEL} bytes");
        return Err(Error::field("labels", message));
    }
    Ok(())
}

/// Sets the labels that operators gave an agent.
pub(crate) fn label(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    seen: &Seen,
    labels: &Labels,
) -> Result<()> {
    check_labels(labels)?;
    let before = row_for(tx, caller, id)?;
    seen.expect(before.int(13))?;
    let mut after = labels_of(&before, [2, 14, usize::MAX]);
    after.extend(labels.clone());
    if !caller.sees(&after) {
        return Err(Error::Forbidden("the agent would leave your scope by these labels".to_owned()));
    }
    let text = snapshot(labels);
    tx.execute(
        "UPDATE agents SET extra_labels = ?2, revision = revision + 1 WHERE id = ?1",
        args![id, &text],
    )?;
    audit::record(tx, caller, now, "agent.label", id, &before.text(3), &text)
}

/// The agent has shown its new credential.
pub(crate) fn confirm_credential(tx: &mut dyn Tx, id: &str) -> Result<()> {
    tx.execute("UPDATE agents SET former_hash = NULL WHERE id = ?1 AND former_hash IS NOT NULL", args![id])?;
    Ok(())
}

/// What a credential that is to be replaced was made before, and expires before. An age that was changed since counts at
/// once, and whatever the age is now, none expires before it was to be replaced.
fn due(now: i64, age_ms: Option<i64>) -> [i64; 2] {
    // Asked for by somebody where no age is set.
    [age_ms.map_or(1, |age| now - age), now.saturating_add(credential::GRACE_MS)]
}

/// Whether the credential of an agent is to be replaced: after `age_ms`, or because somebody wants it.
pub(crate) fn is_credential_due(tx: &mut dyn Tx, now: i64, id: &str, age_ms: Option<i64>) -> Result<bool> {
    let [made, expires] = due(now, age_ms);
    let sql = "SELECT 1 FROM agents WHERE id = ?1
         AND (credential_at IS NULL OR credential_at < ?2 OR credential_until < ?3)";
    Ok(tx.one(sql, args![id, made, expires])?.is_some())
}

/// The agents with such a credential.
pub(crate) fn with_due_credentials(tx: &mut dyn Tx, now: i64, age_ms: Option<i64>) -> Result<Vec<String>> {
    let [made, expires] = due(now, age_ms);
    let sql = "SELECT id FROM agents WHERE credential_hash IS NOT NULL
         AND (credential_at IS NULL OR credential_at < ?1 OR credential_until < ?2)";
    Ok(tx.query(sql, args![made, expires])?.iter().map(|row| row.text(0)).collect())
}

/// The agent is to have another credential with its next connection.
pub(crate) fn rotate_credential(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str) -> Result<()> {
    row_for(tx, caller, id)?;
    // The beginning of time is before whatever is too old.
    tx.execute("UPDATE agents SET credential_at = 0 WHERE id = ?1", args![id])?;
    audit::record(tx, caller, now, "agent.rotate_credential", id, id, "")
}

/// Locks an agent out.
pub(crate) fn revoke(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str) -> Result<()> {
    row_for(tx, caller, id)?;
    let sql = "UPDATE agents SET revoked_at = ?2, credential_hash = NULL, former_hash = NULL, connected_to = NULL, revision = revision + 1
         WHERE id = ?1 AND revoked_at IS NULL";
    if tx.execute(sql, args![id, now])? > 0 {
        audit::record(tx, caller, now, "agent.revoke", id, id, "")?;
    }
    Ok(())
}

/// Forgets the credential of an agent, which may then enrol again: after it lost its storage.
pub(crate) fn forget_credential(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str) -> Result<()> {
    row_for(tx, caller, id)?;
    tx.execute(
        "UPDATE agents SET credential_hash = NULL, former_hash = NULL, connected_to = NULL WHERE id = ?1",
        args![id],
    )?;
    audit::record(tx, caller, now, "agent.forget_credential", id, id, "")
}

/// Forgets which configurations failed on an agent, so that they are offered again.
pub(crate) fn forgive(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str) -> Result<()> {
    row_for(tx, caller, id)?;
    tx.execute("DELETE FROM agent_failures WHERE agent_id = ?1", args![id])?;
    audit::record(tx, caller, now, "agent.forgive", id, "", "")
}

/// A token that agents enrol with, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EnrolmentToken {
    /// Identifier.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Labels that its agents get.
    pub labels: Labels,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: String,
    /// Until when it is good; none is for ever.
    pub expires_at: Option<String>,
    /// Since when it is no longer good.
    pub revoked_at: Option<String>,
    /// Agents that enrolled with it.
    pub uses: i64,
    /// How many may; none is any number.
    pub max_uses: Option<i64>,
}

impl Record for EnrolmentToken {
    const TABLE: &'static str = "enrolment_tokens";
    const NOUN: &'static str = "enrolment token";
    const COLUMNS: &'static str =
        "id, name, labels, created_by, created_at, expires_at, revoked_at, uses, max_uses";

    fn read(row: &Row) -> Result<EnrolmentToken> {
        Ok(EnrolmentToken {
            id: row.text(0),
            name: row.text(1),
            labels: labels_of(row, [2, usize::MAX, usize::MAX]),
            created_by: row.text(3),
            created_at: rfc3339(row.int(4)),
            expires_at: row.maybe_int(5).map(rfc3339),
            revoked_at: row.maybe_int(6).map(rfc3339),
            uses: row.int(7),
            max_uses: row.maybe_int(8),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

pub(crate) fn add_token(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    name: &str,
    labels: &Labels,
    expires_at: Option<i64>,
    max_uses: Option<i64>,
) -> Result<NewSecret> {
    check_name("name", name)?;
    check_labels(labels)?;
    if !caller.sees(labels) {
        return Err(Error::field("labels", "agents with them would not be of your scope"));
    }
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Error::field("expires_at", "must be in the future"));
    }
    if max_uses.is_some_and(|uses| uses < 1) {
        return Err(Error::field("max_uses", "must be at least 1"));
    }
    let id = new_id("enr", now);
    let secret = Secret::new(&id);
    tx.execute(
        "INSERT INTO enrolment_tokens (id, name, hash, labels, created_by, created_at, expires_at, uses, max_uses)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)",
        args![&id, name, &secret.hash, snapshot(labels), &caller.actor, now, expires_at, max_uses],
    )?;
    audit::record(tx, caller, now, "enrolment_token.create", &id, "", name)?;
    Ok(NewSecret { id, token: secret.token })
}

pub(crate) fn revoke_token(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str) -> Result<()> {
    let found: EnrolmentToken = find(tx, id)?;
    if !caller.sees(&found.labels) {
        return Err(Error::NotFound(format!("enrolment token {id}")));
    }
    let sql = "UPDATE enrolment_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    if tx.execute(sql, args![id, now])? == 0 {
        return Err(Error::NotFound(format!("enrolment token {id}")));
    }
    audit::record(tx, caller, now, "enrolment_token.revoke", id, id, "")
}

/// By what an agent is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its own credential: it is this agent and no other.
    Own(String),
    /// The same, shown for the first time: the one before it counts no more from now on.
    Renewed(String),
    /// The credential before: the agent has not taken the new one, and is offered another.
    Former(String),
    /// An enrolment token, by its identifier.
    Token(String),
}

impl Admission {
    /// The agent that it is; none where that is still to be said.
    pub(crate) fn agent(&self) -> Option<&str> {
        match self {
            Admission::Own(id) | Admission::Renewed(id) | Admission::Former(id) => Some(id),
            Admission::Token(_) => None,
        }
    }
}

/// Who comes with `secret`; none is nobody.
///
/// # Errors
/// Where it is an agent's credential that does not hold.
pub(crate) fn admit(tx: &mut dyn Tx, now: i64, secret: &str) -> Result<Option<Admission>> {
    let hash = sha256(secret);
    let Some(record) = Secret::record(secret) else {
        return match credential::subject(tx, now, secret)? {
            Some(id) => by_credential(tx, &id, &hash),
            None => Ok(None),
        };
    };
    // Earlier versions made credentials of this form; they count until they are replaced.
    if let Some(id) = record.strip_prefix("agt_") {
        return by_credential(tx, id, &hash);
    }
    let sql = "SELECT hash FROM enrolment_tokens
         WHERE id = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)";
    let kept = tx.one(sql, args![record, now])?;
    Ok(kept.filter(|row| same(&row.text(0), &hash)).map(|_| Admission::Token(record.to_owned())))
}

/// By which of its credentials an agent comes, where it is one that counts.
fn by_credential(tx: &mut dyn Tx, id: &str, hash: &str) -> Result<Option<Admission>> {
    let sql = "SELECT credential_hash, former_hash FROM agents WHERE id = ?1 AND revoked_at IS NULL";
    let Some(row) = tx.one(sql, args![id])? else { return Ok(None) };
    let fits = |column| row.maybe_text(column).is_some_and(|kept| same(&kept, hash));
    Ok(match (fits(0), fits(1)) {
        (true, _) if row.maybe_text(1).is_some() => Some(Admission::Renewed(id.to_owned())),
        (true, _) => Some(Admission::Own(id.to_owned())),
        (false, true) => Some(Admission::Former(id.to_owned())),
        (false, false) => None,
    })
}

/// Makes an agent known that came with a token; one that is known already stays as it is.
///
/// # Errors
/// Where it is locked out, or the token is used up.
pub(crate) fn enrol(tx: &mut dyn Tx, now: i64, id: &str, admission: &Admission) -> Result<()> {
    let sql = "SELECT revoked_at, credential_hash FROM agents WHERE id = ?1";
    if let Some(known) = tx.one(sql, args![id])? {
        if known.maybe_int(0).is_some() {
            return Err(Error::Forbidden("this agent is locked out".to_owned()));
        }
        // Whoever has a credential of its own shows that: a token alone must not take over an agent.
        return match (admission, known.maybe_text(1)) {
            (Admission::Token(_), Some(_)) => Err(Error::Forbidden(
                "this agent has a credential of its own, and must show it; where it lost that, or was away until it expired, \
                 DELETE /agents/{id}/credential lets it enrol again"
                    .to_owned(),
            )),
            _ => Ok(()),
        };
    }
    let Admission::Token(token_id) = admission else {
        return Err(Error::NotFound(format!("agent {id}")));
    };
    let sql = "UPDATE enrolment_tokens SET uses = uses + 1
         WHERE id = ?1 AND (max_uses IS NULL OR uses < max_uses)";
    if tx.execute(sql, args![token_id])? == 0 {
        return Err(Error::Forbidden("the enrolment token is used up".to_owned()));
    }
    let labels = tx.one("SELECT labels FROM enrolment_tokens WHERE id = ?1", args![token_id])?;
    tx.execute(
        "INSERT INTO agents (id, name, labels, extra_labels, enrolled_labels, attributes, capabilities, enrolled_with, enrolled_at, last_seen_at, revision)
         VALUES (?1, ?1, '{}', '{}', ?2, '{}', 0, ?3, ?4, ?4, 1)",
        args![id, labels.map(|row| row.text(0)), token_id, now],
    )?;
    let caller = Caller { actor: format!("agent:{id}"), ..Caller::system() };
    audit::record(tx, &caller, now, "agent.enrol", id, "", token_id)
}

/// Gives an agent a credential of its own. The one that it has shown counts until it shows the new one: that may be lost
/// on its way.
pub(crate) fn new_credential(tx: &mut dyn Tx, now: i64, id: &str, age_ms: Option<i64>) -> Result<String> {
    let made = credential::issue(tx, now, id, age_ms)?;
    tx.execute(
        "UPDATE agents SET former_hash = coalesce(former_hash, credential_hash), credential_hash = ?2,
         credential_at = ?3, credential_until = ?4 WHERE id = ?1",
        args![id, sha256(&made.token), now, made.until],
    )?;
    let caller = Caller { actor: format!("agent:{id}"), ..Caller::system() };
    audit::record(tx, &caller, now, "agent.credential", id, "", id)?;
    Ok(made.token)
}

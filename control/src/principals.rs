//! Users, their sessions, and API keys: who stands behind a request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::args;
use crate::audit::{self, Caller};
use crate::error::{Error, Result};
use crate::etags::Seen;
use crate::ids::{Secret, new_id, same, sha256};
use crate::oidc::Vouched;
use crate::roles::Role;
use crate::selector::Selector;
use crate::store::record::{Record, find, find_seen, taken};
use crate::store::{Row, Tx};
use crate::time::rfc3339;

/// How long a login lasts.
pub const SESSION_MS: i64 = 12 * 3600 * 1000;
/// The use of a key is noted no more often than this.
const NOTE_USE_MS: i64 = 60_000;

/// What somebody may do, and with which agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What.
    pub role: Role,
    /// A selector of agents; empty is all of them.
    pub scope: String,
}

impl Grant {
    /// A role over the agents that `scope` means.
    ///
    /// # Errors
    /// Where that is no selector.
    pub fn new(role: Role, scope: String) -> Result<Grant> {
        match Selector::parse(&scope) {
            Ok(_) => Ok(Grant { role, scope }),
            Err(Error::Invalid(mut problems)) => {
                problems.iter_mut().for_each(|problem| problem.field = "scope".to_owned());
                Err(Error::Invalid(problems))
            }
            Err(error) => Err(error),
        }
    }
}

/// Who stands behind a request.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) actor: String,
    pub(crate) role: Role,
    pub(crate) scope: Selector,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Identifier.
    pub id: String,
    /// Name to log in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// With which agents, and groups of them: a selector; empty is all.
    pub scope: String,
    /// Whether they are locked out.
    pub disabled: bool,
    /// Who they are to the provider that they log in with; none has a password here.
    pub subject: Option<String>,
    /// Since when there is such a user.
    pub created_at: String,
    /// Goes up with each change; the ETag.
    pub revision: i64,
}

fn role(row: &Row, column: usize) -> Result<Role> {
    let name = row.text(column);
    Role::parse(&name).ok_or_else(|| Error::Internal(format!("a role {name:?} in the database")))
}

impl Record for User {
    const TABLE: &'static str = "users";
    const NOUN: &'static str = "user";
    const COLUMNS: &'static str = "id, name, role, disabled, created_at, revision, scope, subject";

    fn read(row: &Row) -> Result<User> {
        Ok(User {
            id: row.text(0),
            name: row.text(1),
            role: role(row, 2)?,
            scope: row.text(6),
            disabled: row.yes(3),
            subject: row.maybe_text(7),
            created_at: rfc3339(row.int(4)),
            revision: row.int(5),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

/// The text by which the audit log knows a state.
pub(crate) fn snapshot(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Whether a name can be one: letters, digits, and `._-`, up to 100.
pub(crate) fn check_name(field: &str, name: &str) -> Result<()> {
    let fits = |c: char| c.is_alphanumeric() || "._-@ ".contains(c);
    if name.is_empty() || name.chars().count() > 100 || !name.chars().all(fits) || name.trim() != name {
        return Err(Error::field(field, "must have 1 to 100 letters, digits, spaces or one of . _ - @"));
    }
    Ok(())
}

/// Adds a user whose password has `password_hash`.
pub(crate) fn add_user(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    name: &str,
    grant: &Grant,
    password_hash: &str,
) -> Result<User> {
    check_name("name", name)?;
    let id = new_id("usr", now);
    tx.execute(
        "INSERT INTO users (id, name, role, scope, password_hash, disabled, created_at, revision)
         VALUES (?1, ?2, ?3, ?6, ?4, 0, ?5, 1)",
        args![&id, name, grant.role.name(), password_hash, now, &grant.scope],
    )
    .map_err(taken::<User>(name))?;
    let user: User = find(tx, &id)?;
    audit::record(tx, caller, now, "user.create", &id, "", &snapshot(&user))?;
    Ok(user)
}

/// Changes a user; a new password or a lock ends their sessions. `seen` is what the client agrees to.
#[allow(clippy::too_many_arguments, reason = "one column each")]
pub(crate) fn change_user(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    id: &str,
    seen: &Seen,
    role: Option<Role>,
    scope: Option<&String>,
    disabled: Option<bool>,
    password_hash: Option<&String>,
) -> Result<User> {
    let before: User = find_seen(tx, id, seen)?;
    let disabled = disabled.unwrap_or(before.disabled);
    let grant = Grant::new(role.unwrap_or(before.role), scope.unwrap_or(&before.scope).clone())?;
    if before.subject.is_some() && password_hash.is_some() {
        return Err(Error::field("password", "this user logs in with the provider and has none"));
    }
    tx.execute(
        "UPDATE users SET role = ?2, scope = ?4, disabled = ?3, revision = revision + 1 WHERE id = ?1",
        args![id, grant.role.name(), disabled, &grant.scope],
    )?;
    if let Some(hash) = password_hash {
        tx.execute("UPDATE users SET password_hash = ?2 WHERE id = ?1", args![id, hash])?;
    }
    if disabled || password_hash.is_some() {
        tx.execute("DELETE FROM sessions WHERE user_id = ?1", args![id])?;
    }
    keep_an_admin(tx, now)?;
    let after: User = find(tx, id)?;
    audit::record(tx, caller, now, "user.change", id, &snapshot(&before), &snapshot(&after))?;
    Ok(after)
}

pub(crate) fn remove_user(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str, seen: &Seen) -> Result<()> {
    let before: User = find_seen(tx, id, seen)?;
    tx.execute("DELETE FROM sessions WHERE user_id = ?1", args![id])?;
    tx.execute("DELETE FROM users WHERE id = ?1", args![id])?;
    keep_an_admin(tx, now)?;
    audit::record(tx, caller, now, "user.remove", id, &snapshot(&before), "")
}

/// Nobody locks everybody out: a key that has expired administers no more.
fn keep_an_admin(tx: &mut dyn Tx, now: i64) -> Result<()> {
    let users =
        tx.one("SELECT count(*) FROM users WHERE role = 'admin' AND scope = '' AND disabled = 0", &[])?;
    let keys = tx.one(
        "SELECT count(*) FROM api_keys WHERE role = 'admin' AND scope = '' AND revoked_at IS NULL
             AND (expires_at IS NULL OR expires_at > ?1)",
        args![now],
    )?;
    let left = users.map_or(0, |row| row.int(0)) + keys.map_or(0, |row| row.int(0));
    if left == 0 {
        return Err(Error::Conflict("nobody would be left who administers".to_owned()));
    }
    Ok(())
}

/// What a login is checked against: the user, and the hash of the password.
pub(crate) fn login(tx: &mut dyn Tx, name: &str) -> Result<Option<(User, String)>> {
    let sql = format!(
        "SELECT {}, password_hash FROM users WHERE name = ?1 AND disabled = 0 AND subject IS NULL",
        User::COLUMNS
    );
    tx.one(&sql, args![name])?.map(|row| Ok((User::read(&row)?, row.text(8)))).transpose()
}

/// The user whom a provider vouches for, as it says now what they may do; a new one where nobody knows them.
pub(crate) fn vouched_user(tx: &mut dyn Tx, caller: &Caller, now: i64, who: &Vouched) -> Result<User> {
    let grant = &who.grant;
    let sql = format!("SELECT {} FROM users WHERE subject = ?1", User::COLUMNS);
    if let Some(row) = tx.one(&sql, args![&who.subject])? {
        let before = User::read(&row)?;
        if before.disabled {
            return Err(Error::Forbidden("this user is locked out".to_owned()));
        }
        if before.role == grant.role && before.scope == grant.scope {
            return Ok(before);
        }
        tx.execute(
            "UPDATE users SET role = ?2, scope = ?3, revision = revision + 1 WHERE id = ?1",
            args![&before.id, grant.role.name(), &grant.scope],
        )?;
        let after: User = find(tx, &before.id)?;
        audit::record(tx, caller, now, "user.change", &before.id, &snapshot(&before), &snapshot(&after))?;
        return Ok(after);
    }
    // Names of providers hold more than ours may.
    let fits = |c: char| if c.is_alphanumeric() || "._-@".contains(c) { c } else { '-' };
    let name: String = who.name.chars().take(100).map(fits).collect();
    let user = add_user(tx, caller, now, &name, grant, "")?;
    tx.execute("UPDATE users SET subject = ?2 WHERE id = ?1", args![&user.id, &who.subject])?;
    find(tx, &user.id)
}

pub(crate) fn open_session(tx: &mut dyn Tx, caller: &Caller, now: i64, user: &User) -> Result<Secret> {
    tx.execute("DELETE FROM sessions WHERE expires_at <= ?1", args![now])?;
    let id = new_id("ses", now);
    let secret = Secret::new(&id);
    tx.execute(
        "INSERT INTO sessions (id, user_id, hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        args![&id, &user.id, &secret.hash, now, now + SESSION_MS],
    )?;
    audit::record(tx, caller, now, "session.open", &user.id, "", &id)?;
    Ok(secret)
}

pub(crate) fn close_session(tx: &mut dyn Tx, caller: &Caller, now: i64, token: &str) -> Result<()> {
    let hash = sha256(token);
    let Some(row) = tx.one("SELECT id, user_id FROM sessions WHERE hash = ?1", args![&hash])? else {
        return Ok(());
    };
    tx.execute("DELETE FROM sessions WHERE hash = ?1", args![hash])?;
    audit::record(tx, caller, now, "session.close", &row.text(1), &row.text(0), "")
}

/// What a page of the browser shows besides the cookie, which another site's page cannot know.
pub(crate) fn csrf_token(session_token: &str) -> String {
    sha256(format!("csrf {session_token}"))
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApiKey {
    /// Identifier.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// With which agents, and groups of them: a selector; empty is all.
    pub scope: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: String,
    /// Until when it is good; none is for ever.
    pub expires_at: Option<String>,
    /// Since when it is no longer good.
    pub revoked_at: Option<String>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<String>,
}

impl Record for ApiKey {
    const TABLE: &'static str = "api_keys";
    const NOUN: &'static str = "API key";
    const COLUMNS: &'static str =
        "id, name, role, created_by, created_at, expires_at, revoked_at, last_used_at, scope";

    fn read(row: &Row) -> Result<ApiKey> {
        Ok(ApiKey {
            id: row.text(0),
            name: row.text(1),
            role: role(row, 2)?,
            scope: row.text(8),
            created_by: row.text(3),
            created_at: rfc3339(row.int(4)),
            expires_at: row.maybe_int(5).map(rfc3339),
            revoked_at: row.maybe_int(6).map(rfc3339),
            last_used_at: row.maybe_int(7).map(rfc3339),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// A key that was made, with its secret, which is not shown again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewSecret {
    /// Identifier.
    pub id: String,
    /// What to send as `Authorization: Bearer …`. Not shown again.
    pub token: String,
}

pub(crate) fn add_key(
    tx: &mut dyn Tx,
    caller: &Caller,
    now: i64,
    name: &str,
    grant: &Grant,
    expires_at: Option<i64>,
) -> Result<NewSecret> {
    check_name("name", name)?;
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Error::field("expires_at", "must be in the future"));
    }
    let id = new_id("key", now);
    let secret = Secret::new(&id);
    tx.execute(
        "INSERT INTO api_keys (id, name, role, hash, created_by, created_at, expires_at, scope)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        args![&id, name, grant.role.name(), &secret.hash, &caller.actor, now, expires_at, &grant.scope],
    )?;
    audit::record(
        tx,
        caller,
        now,
        "api_key.create",
        &id,
        "",
        &format!("{name} {} {}", grant.role.name(), grant.scope),
    )?;
    Ok(NewSecret { id, token: secret.token })
}

pub(crate) fn revoke_key(tx: &mut dyn Tx, caller: &Caller, now: i64, id: &str) -> Result<()> {
    let sql = "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    if tx.execute(sql, args![id, now])? == 0 {
        return Err(Error::NotFound(format!("API key {id}")));
    }
    keep_an_admin(tx, now)?;
    audit::record(tx, caller, now, "api_key.revoke", id, id, "")
}

/// Who shows `token`.
pub(crate) fn identify(tx: &mut dyn Tx, now: i64, token: &str) -> Result<Option<Identity>> {
    let Some(id) = Secret::record(token) else { return Ok(None) };
    let hash = sha256(token);
    let is_key = id.starts_with("key_");
    let sql = if is_key {
        "SELECT name, role, hash, scope FROM api_keys
         WHERE id = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)"
    } else {
        "SELECT u.name, u.role, s.hash, u.scope FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.id = ?1 AND s.expires_at > ?2 AND u.disabled = 0"
    };
    let Some(row) = tx.one(sql, args![id, now])?.filter(|row| same(&row.text(2), &hash)) else {
        return Ok(None);
    };
    let name = row.text(0);
    let actor = if is_key { format!("key:{id}:{name}") } else { format!("user:{name}") };
    Ok(Some(Identity { actor, role: role(&row, 1)?, scope: Selector::parse(&row.text(3))? }))
}

/// Notes that a key was used, to the minute.
pub(crate) fn note_use(tx: &mut dyn Tx, now: i64, id: &str) -> Result<()> {
    let sql = "UPDATE api_keys SET last_used_at = ?2
         WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?3)";
    tx.execute(sql, args![id, now, now - NOTE_USE_MS])?;
    Ok(())
}

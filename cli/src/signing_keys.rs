//! The keys that the credentials of agents are signed with.

use serde_json::json;

use crate::Exit;
use crate::args::SigningKeys;
use crate::client::Client;
use crate::output::{Column, Output};

/// What people see of keys.
pub(crate) const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("SIGNS", "signs"),
    ("CREATED", "created_at"),
    ("NEEDED UNTIL", "needed_until"),
    ("PUBLIC KEY", "public_key"),
];

/// `phoenix signing-keys`.
pub(crate) fn run(client: &Client, asked: &SigningKeys, out: &Output) -> anyhow::Result<Exit> {
    match asked {
        SigningKeys::List => out.items(&client.list("/signing-keys")?, COLUMNS)?,
        SigningKeys::Replace { renew } => {
            let made = client.post("/signing-keys", &json!({"renew": renew}))?;
            let goes_on = match renew {
                true => "agents are sent for credentials of it",
                false => "credentials of the keys before it go on to count",
            };
            let line = format!("{} signs from now on; {goes_on}", made["id"].as_str().unwrap_or_default());
            out.said(&made, &line)?;
        }
    }
    Ok(Exit::Fine)
}

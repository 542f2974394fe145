//! Logging in and out.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use crate::Exit;
use crate::args::Login;
use crate::client::Client;
use crate::credentials::Credentials;
use crate::output::Output;

/// Asks for a secret: not shown while it is typed, or the first line of what is piped in.
pub(crate) fn ask(what: &str) -> anyhow::Result<String> {
    let input = std::io::stdin();
    let mut line = String::new();
    if input.is_terminal() {
        let mut out = std::io::stderr();
        write!(out, "{what}: ")?;
        out.flush()?;
        let before = tcgetattr(&input)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Flush, &silent)?;
        let read = input.lock().read_line(&mut line);
        tcsetattr(&input, OptionalActions::Flush, &before)?;
        writeln!(out)?;
        read?;
    } else {
        input.lock().read_line(&mut line)?;
    }
    let secret = line.trim_end_matches(['\r', '\n']).to_owned();
    anyhow::ensure!(!secret.is_empty(), "{what} is missing");
    Ok(secret)
}

/// Logs in, and remembers it once the service has said who that is.
pub(crate) fn login(server: Option<&str>, asked: &Login, out: &Output) -> anyhow::Result<Exit> {
    let named = server.map(str::to_owned).or_else(|| std::env::var("PHOENIX_SERVER").ok());
    let server = match named.filter(|named| !named.is_empty()) {
        Some(server) => server,
        None => Credentials::kept()?.context("name the service: `phoenix login --server URL`")?.server,
    };
    let token = match &asked.user {
        None => ask("API key")?,
        Some(name) => {
            let password = ask("password")?;
            let session =
                Client::new(&server, "")?.post("/sessions", &json!({"name": name, "password": password}))?;
            session["token"].as_str().context("the service gave no session")?.to_owned()
        }
    };
    let client = Client::new(&server, &token)?;
    let me = client.get("/me")?;
    let kept = Credentials { server: client.server.clone(), token }.keep()?;
    let (actor, role) = (me["actor"].as_str().unwrap_or_default(), me["role"].as_str().unwrap_or_default());
    out.said(
        &me,
        &format!("{actor} ({role}) is logged in at {}; kept in {}", client.server, kept.display()),
    )?;
    Ok(Exit::Fine)
}

/// Ends the session where there is one, and forgets the login in any case.
pub(crate) fn logout(out: &Output) -> anyhow::Result<Exit> {
    let Some(kept) = Credentials::kept()? else {
        out.text("nobody was logged in\n")?;
        return Ok(Exit::Fine);
    };
    // A key is no session, and a service that is away cannot be told.
    let ended = Client::new(&kept.server, &kept.token)?.delete("/sessions/current");
    Credentials::forget()?;
    let note = if ended.is_ok() { "" } else { "; the service could not be told" };
    out.text(&format!("logged out of {}{note}\n", kept.server))?;
    Ok(Exit::Fine)
}

/// Who is logged in where.
pub(crate) fn status(client: &Client, out: &Output) -> anyhow::Result<Exit> {
    let mut me = client.get("/me")?;
    me["server"] = client.server.clone().into();
    let told = |key: &str| me[key].as_str().unwrap_or_default().to_owned();
    out.said(&me, &format!("{} ({}) at {}", told("actor"), told("role"), client.server))?;
    Ok(Exit::Fine)
}

//! `phoenix`: the control service from a terminal, and from files in Git.
//!
//! - What is asked goes over the REST API of `phoenix-control` and nothing else: no state is kept here but where the
//!   service is and the key for it.
//! - Exit codes: 0 done, or nothing differs; 1 a mistake; 2 something differs, or a rollout did not succeed.

mod agents;
mod args;
mod changes;
mod client;
mod credentials;
mod drift;
mod events;
mod lines;
mod login;
mod manifest;
mod output;
mod resources;
mod rollouts;
mod schedules;
mod signing_keys;
mod tasks;

use std::process::ExitCode;

use args::{Arguments, Command};
use clap::{CommandFactory as _, Parser as _};
use client::Client;
use output::Output;

/// How a command ended that made no mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Fine,
    /// Something differs, or did not succeed.
    Differs,
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = u8::from(error.use_stderr());
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(arguments) {
        Ok(Exit::Fine) => ExitCode::SUCCESS,
        Ok(Exit::Differs) => ExitCode::from(2),
        // Whoever reads the output may have enough of it.
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let out = Output::new(arguments.output);
    let server = arguments.server.as_deref();
    let client = || Client::connect(server);
    match arguments.command {
        Command::Login(asked) => login::login(server, &asked, &out),
        Command::Logout => login::logout(&out),
        Command::Status => login::status(&client()?, &out),
        Command::Get(asked) => resources::get(&client()?, &asked, &out),
        Command::Create(asked) => resources::create(&client()?, &asked, &out),
        Command::Plan(asked) => changes::plan(&client()?, &asked, &out),
        Command::Apply(asked) => changes::apply(&client()?, &asked, &out),
        Command::Diff(asked) => drift::diff(&client()?, &asked, &out),
        Command::Rollout(asked) => rollouts::run(&client()?, &asked, &out),
        Command::Tasks(asked) => tasks::run(&client()?, &asked, &out),
        Command::Schedules(asked) => schedules::run(&client()?, &asked, &out),
        Command::Agents(asked) => agents::run(&client()?, &asked, &out),
        Command::SigningKeys(asked) => signing_keys::run(&client()?, &asked, &out),
        Command::Events(asked) => events::run(&client()?, &asked, &out),
        Command::Roles => resources::roles(&client()?, &out),
        Command::Logs(asked) => tasks::logs(&client()?, &asked, &out),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "phoenix", &mut script);
            out.text(&String::from_utf8(script)?)?;
            Ok(Exit::Fine)
        }
    }
}

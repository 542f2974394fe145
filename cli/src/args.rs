//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use phoenix_config::GoDuration;

/// Changes the configurations of a fleet of collectors, and tells how they are.
#[derive(Debug, Parser)]
#[command(
    version,
    name = "phoenix",
    after_help = "Examples:\n  phoenix login --server https://control.example.com\n  phoenix plan -f fleet.yaml\n  phoenix apply -f fleet.yaml --wait\n  phoenix agents list -o json\n\nExit codes: 0 done, or nothing differs; 1 a mistake; 2 something differs, or a rollout did not succeed.\nPHOENIX_SERVER and PHOENIX_TOKEN take the place of a login."
)]
pub(crate) struct Arguments {
    /// Where the control service is, for example `http://localhost:8080`; that of the login without.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// How what is told is written.
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Form,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// As the service says it.
    Json,
    /// The same as YAML.
    Yaml,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Remembers where the service is, and a key or a session for it.
    Login(Login),
    /// Ends the session and forgets it.
    Logout,
    /// Tells who is logged in where.
    Status,
    /// Lists things, or shows one.
    Get(Get),
    /// Makes an enrolment token, an API key, a user or a schedule.
    #[command(subcommand)]
    Create(Create),
    /// Tells what `apply` would do, and changes nothing. Exits with 2 where it would do something.
    Plan(Files),
    /// Makes the service have what the files say: configurations, groups, rollouts.
    Apply(Apply),
    /// Shows how files, service and agents differ, or two versions of a configuration. Exits with 2 where they do.
    Diff(Diff),
    /// Starts rollouts, steers them and waits for them.
    #[command(subcommand)]
    Rollout(Rollout),
    /// Gives tasks to agents, and tells what came of them.
    #[command(subcommand)]
    Tasks(Tasks),
    /// Lists tasks that come again, holds them and removes them.
    #[command(subcommand)]
    Schedules(Schedules),
    /// Lists agents, labels them, and locks them out.
    #[command(subcommand)]
    Agents(Agents),
    /// Lists the keys that credentials of agents are signed with, and makes the next one before its time.
    #[command(subcommand)]
    SigningKeys(SigningKeys),
    /// Shows what happened to one thing, the latest last.
    Events(Events),
    /// Lists the roles of users and keys, and what each may.
    Roles,
    /// Shows the latest log records of an agent.
    Logs(Logs),
    /// Prints a script that completes this command in a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Login {
    /// Logs in as this user, with a password; without, an API key is asked for. Either is read from standard input
    /// where that is no terminal.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    #[value(aliases = ["configuration", "config", "configs"])]
    Configurations,
    #[value(alias = "group")]
    Groups,
    #[value(alias = "agent")]
    Agents,
    #[value(alias = "rollout")]
    Rollouts,
    #[value(alias = "task")]
    Tasks,
    #[value(alias = "schedule")]
    Schedules,
    #[value(alias = "template")]
    Templates,
    #[value(alias = "user")]
    Users,
    #[value(name = "api-keys", aliases = ["keys", "key"])]
    Keys,
    #[value(name = "enrolment-tokens", aliases = ["tokens", "token"])]
    Tokens,
    #[value(alias = "signing-key")]
    SigningKeys,
    #[value(alias = "role")]
    Roles,
    Audit,
}

#[derive(Args, Debug)]
pub(crate) struct Get {
    pub(crate) kind: Kind,
    /// By name or identifier; a list without.
    pub(crate) name: Option<String>,
    /// A version of a configuration; the latest without.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) version: Option<i64>,
    /// With a configuration: as agents get it, merged with what it is laid over.
    #[arg(long, requires = "name")]
    pub(crate) effective: bool,
    /// With a configuration: its versions.
    #[arg(long, requires = "name", conflicts_with_all = ["version", "effective"])]
    pub(crate) versions: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Create {
    /// A token that agents enrol with. It is shown once.
    EnrolmentToken {
        name: String,
        /// A label that its agents get. May be repeated.
        #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        /// How many agents may enrol with it.
        #[arg(long, value_name = "NUMBER")]
        max_uses: Option<i64>,
    },
    /// A key for a program. It is shown once.
    ApiKey {
        name: String,
        /// viewer, editor, deployer or admin.
        #[arg(long)]
        role: String,
        /// Only for agents with these labels: `env=prod`.
        #[arg(long, default_value = "")]
        scope: String,
    },
    /// A user, whose password is asked for.
    User {
        name: String,
        /// viewer, editor, deployer or admin.
        #[arg(long)]
        role: String,
        /// Only for agents with these labels: `env=prod`.
        #[arg(long, default_value = "")]
        scope: String,
    },
    /// A schedule: a task that agents do again and again.
    Schedule {
        name: String,
        /// When, as in cron and in UTC: `0 3 * * *`, `@daily`.
        #[arg(long)]
        cron: String,
        /// diagnostics, dry_run, log_level, reload, restart or tap.
        #[arg(long)]
        kind: String,
        /// The agents with these labels when it is due; all without.
        #[arg(long, default_value = "", conflicts_with = "agent")]
        selector: String,
        /// One agent alone.
        #[arg(long)]
        agent: Option<String>,
        /// A setting of the task, as with `tasks run`. May be repeated.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = label)]
        settings: Vec<(String, String)>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedules {
    /// Lists schedules.
    List,
    /// Tells of one.
    Get { name: String },
    /// Gives no further tasks, until it is resumed.
    Pause { name: String },
    /// Goes on with it; what it passed over is not made up for.
    Resume { name: String },
    /// Removes one; tasks that it gave stay.
    Remove { name: String },
}

#[derive(Args, Debug)]
pub(crate) struct Files {
    /// The file that says what there is to be, or a folder with a `fleet.yaml`.
    #[arg(short, long, value_name = "PATH", default_value = "fleet.yaml")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Why; the last commit without, where the files are in Git.
    #[arg(short, long)]
    pub(crate) message: Option<String>,
    /// Keeps configurations and groups, and rolls nothing out.
    #[arg(long)]
    pub(crate) no_rollout: bool,
    /// Rolls out again what was rolled back before.
    #[arg(long, conflicts_with = "no_rollout")]
    pub(crate) retry: bool,
    /// Waits for the rollouts, at most as long.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "1h",
        value_parser = duration, conflicts_with = "no_rollout")]
    pub(crate) wait: Option<Duration>,
}

#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// A configuration; without, the files are compared with the service and with its agents.
    pub(crate) configuration: Option<String>,
    /// The older version; the one before the newer without.
    #[arg(requires = "configuration")]
    pub(crate) from: Option<i64>,
    /// The newer version; the latest without.
    #[arg(requires = "configuration")]
    pub(crate) to: Option<i64>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Lists rollouts, the newest first.
    List,
    /// Tells of one: its stage, and how its agents are.
    Get { id: String },
    /// Starts one.
    Start {
        /// The group.
        group: String,
        /// The configuration.
        configuration: String,
        /// Its version; the latest without.
        #[arg(long, value_name = "NUMBER")]
        version: Option<i64>,
        /// The stages, as `percent` or `percent:soak`, for example `10:10m,100`.
        #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "100", value_parser = stage)]
        stages: Vec<(i64, i64)>,
        /// A gate, as the API calls it: `max_failed=1`, `max_send_failed_percent=none`. May be repeated.
        #[arg(long = "gate", value_name = "KEY=VALUE", value_parser = label)]
        gates: Vec<(String, String)>,
        /// Waits for its end.
        #[arg(long)]
        wait: bool,
    },
    /// Holds it where it is.
    Pause { id: String },
    /// Goes on with it.
    Resume { id: String },
    /// Lets one begin that somebody else started and that waits for a second person.
    Approve { id: String },
    /// Takes it back.
    Back { id: String },
    /// Waits for its end; exits with 2 where it does not succeed.
    Wait {
        id: String,
        /// At most as long.
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
        timeout: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tasks {
    /// Lists tasks, the newest first.
    List {
        /// Only those of this agent.
        #[arg(long)]
        agent: Option<String>,
    },
    /// Tells of one, with its result.
    Get { id: String },
    /// Gives an agent a task.
    Run {
        agent: String,
        /// diagnostics, dry_run, log_level, reload, restart or tap.
        kind: String,
        /// A setting of the task. May be repeated: `level=debug`; `redact[]=user.*` adds to a list.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = label)]
        settings: Vec<(String, String)>,
        /// Waits for the result, at most as long.
        #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "2m",
            value_parser = duration)]
        wait: Option<Duration>,
    },
    /// Puts a dead one back.
    Requeue { id: String },
    /// Takes one back that nobody has begun.
    Cancel { id: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agents {
    /// Lists agents.
    List {
        /// Only those with this label. May be repeated.
        #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
    },
    /// Tells of one: health, what it runs, what failed on it.
    Get { agent: String },
    /// Sets labels (`key=value`) or removes them (`key-`).
    Label {
        agent: String,
        #[arg(required = true)]
        labels: Vec<String>,
    },
    /// Locks one out, and ends its connection.
    Revoke { agent: String },
    /// Forgets the credential of one, which then enrols again.
    ForgetCredential { agent: String },
    /// Gives one another credential: its connection ends, and it comes back.
    RotateCredential { agent: String },
    /// Offers what failed on one again.
    Forgive { agent: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SigningKeys {
    /// Lists them, the newest first.
    List,
    /// Makes the next one now. Credentials of the former ones go on to count.
    Replace {
        /// Sends agents for credentials of the new key, a few at a time.
        #[arg(long)]
        renew: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Events {
    /// What kind of thing.
    pub(crate) kind: Kind,
    /// By name or identifier.
    pub(crate) name: String,
    /// The latest events at most, 1 to 500.
    #[arg(short, long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) limit: u16,
    /// Goes on with each further event, until it is ended.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// By name or identifier.
    pub(crate) agent: String,
    /// How long to wait for the agent.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub(crate) wait: Duration,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    if parsed.is_negative() { Err("must not be negative".to_owned()) } else { Ok(parsed.as_duration()) }
}

fn stage(text: &str) -> Result<(i64, i64), String> {
    let (percent, soak) = text.split_once(':').unwrap_or((text, "0s"));
    let percent = percent.trim_end_matches('%').parse().map_err(|_| "the percentage must be a number")?;
    let soak = duration(soak)?.as_secs();
    Ok((percent, i64::try_from(soak).map_err(|_| "the soak is too long")?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        assert_eq!(stage("10%:10m"), Ok((10, 600)));
        assert_eq!(stage("100"), Ok((100, 0)));
        assert!(stage("ten").is_err() && stage("10:never").is_err());
    }
}

//! `phoenix-control`: the control service, and beside it the collector that it was built with.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use phoenix_collector::TelemetryDestination;
use phoenix_config::Opaque;
use phoenix_control::oidc::{OidcSettings, RoleRule};
use phoenix_control::serve::{self, Options};
use phoenix_control::store::Pooling;
use phoenix_control::tls::TlsFiles;
use phoenix_telemetry::logs::{Encoding, LogLevel, LogOptions};
use tokio::signal::unix::{SignalKind, signal};

/// How long the rest of the log may take to be written at the end.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// Keeps the configurations of a fleet of collectors, and rolls them out.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the service. Needs no set-up: the database is made, and the first start prints an administrator's key.
    Serve(Box<Serve>),
    /// Prints the OpenAPI document of the API.
    Openapi,
    /// Runs the collector of the same version: `phoenix-control collector --config=collector.yaml`.
    #[command(disable_help_flag = true)]
    Collector {
        /// What `phoenix-collector` takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Args)]
struct Serve {
    /// The database: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/NAME`, which several instances may share.
    #[arg(
        long,
        env = "PHOENIX_CONTROL_DATABASE",
        hide_env_values = true,
        default_value = "sqlite:phoenix-control.db"
    )]
    database: String,
    /// Most connections to PostgreSQL; one more listens.
    #[arg(long, default_value_t = Pooling::default().connections, value_parser = connections)]
    database_connections: usize,
    /// Seconds that a transaction waits for one of them.
    #[arg(long, default_value_t = Pooling::default().wait.as_secs(), value_parser = clap::value_parser!(u64).range(1..=300))]
    database_wait_seconds: u64,
    /// Certificates (PEM) that PostgreSQL's is checked with; the system's without.
    #[arg(long)]
    database_ca: Option<PathBuf>,
    /// Where the API listens.
    #[arg(long, default_value = "localhost:8080")]
    listen: String,
    /// Where agents connect to, over OpAMP.
    #[arg(long, default_value = "localhost:4320")]
    opamp_listen: String,
    /// Where agents find this service, for example `wss://control.example.com:4320`: said with each credential to agents that
    /// ask for it, as the reference supervisor does.
    #[arg(long)]
    opamp_public_url: Option<String>,
    /// How often agents are to be heard of, in seconds.
    #[arg(long, default_value_t = phoenix_opamp::HEARTBEAT.as_secs())]
    heartbeat_seconds: u64,
    /// Requests that one client may make per second, on average; twice as many at once.
    #[arg(long, default_value_t = 100)]
    requests_per_second: u32,
    /// Agents that are let in at the same time; further ones are told when to come back.
    #[arg(long, default_value_t = 256, value_parser = connections)]
    admission: usize,
    /// Certificate (PEM) of both listeners, with those that sign it behind it; read again when it changes.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Authorities (PEM) of agents' certificates: every agent must show one, besides its token or credential.
    #[arg(long, requires = "tls_cert")]
    opamp_client_ca: Option<PathBuf>,
    /// Days after which an agent gets another credential; the former expires 90 days later. 0 is never.
    #[arg(long, default_value_t = 30)]
    credential_days: u32,
    /// Where own traces are sent, over OTLP/HTTP: `http://localhost:4318`. None are made without.
    #[arg(long)]
    traces_endpoint: Option<String>,
    /// A header that is sent with them: `NAME=VALUE`. May be repeated; in the variable one per line.
    #[arg(long = "traces-header", env = "PHOENIX_CONTROL_TRACES_HEADERS", hide_env_values = true, value_delimiter = '\n',
        value_parser = header, requires = "traces_endpoint")]
    traces_headers: Vec<(String, Opaque)>,
    /// How the log is written, to standard error.
    #[arg(long, value_enum, default_value = "console")]
    log_format: LogFormat,
    /// The least severe records of the log: debug, info, warn or error.
    #[arg(long, default_value = "info")]
    log_level: LogLevel,
    #[command(flatten)]
    oidc: OidcArguments,
}

/// A form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    Console,
    /// One object a line.
    Json,
}

fn header(text: &str) -> Result<(String, Opaque), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), Opaque::new(value)))
}

/// People log in with a provider of OpenID Connect.
#[derive(Args)]
struct OidcArguments {
    /// The issuer, exactly as its tokens name it.
    #[arg(long, requires_all = ["oidc_client_id", "oidc_public_url", "oidc_role"])]
    oidc_issuer: Option<String>,
    /// What this service is called there.
    #[arg(long, requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// Its secret there; none for a public client.
    #[arg(long, env = "PHOENIX_OIDC_CLIENT_SECRET", hide_env_values = true)]
    oidc_client_secret: Option<String>,
    /// Where browsers find this service, for example `https://control.example.com`.
    #[arg(long, requires = "oidc_issuer")]
    oidc_public_url: Option<String>,
    /// Authorities (PEM) of the provider's certificate; the system's without.
    #[arg(long)]
    oidc_ca: Option<PathBuf>,
    /// The claim that names the user.
    #[arg(long, default_value = "email")]
    oidc_name_claim: String,
    /// The claim that says what they may do.
    #[arg(long, default_value = "groups")]
    oidc_role_claim: String,
    /// What a value of it stands for: `VALUE=ROLE` or `VALUE=ROLE:SCOPE`; `*` is any value. The first that fits counts.
    #[arg(long, requires = "oidc_issuer")]
    oidc_role: Vec<RoleRule>,
}

impl OidcArguments {
    fn settings(self) -> Option<OidcSettings> {
        Some(OidcSettings {
            issuer: self.oidc_issuer?,
            client_id: self.oidc_client_id?,
            client_secret: self.oidc_client_secret,
            public_url: self.oidc_public_url?,
            ca: self.oidc_ca,
            name_claim: self.oidc_name_claim,
            role_claim: self.oidc_role_claim,
            roles: self.oidc_role,
        })
    }
}

fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 2..=1000) => Ok(count),
        _ => Err("must be 2 to 1000".to_owned()),
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(asked) => run(*asked),
        Command::Openapi => print_document(),
        Command::Collector { arguments } => {
            let command = std::iter::once(OsString::from("phoenix-collector"));
            return phoenix_collector::run_with(
                phoenix_collector::default_distribution(),
                command.chain(arguments),
            );
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_document() -> anyhow::Result<()> {
    let document = phoenix_control::api::document().to_pretty_json()?;
    Ok(writeln!(std::io::stdout(), "{document}")?)
}

fn run(asked: Serve) -> anyhow::Result<()> {
    let encoding = match asked.log_format {
        LogFormat::Console => Encoding::Console,
        LogFormat::Json => Encoding::Json,
    };
    let logs = phoenix_telemetry::logs::install();
    logs.apply(LogOptions { level: asked.log_level, encoding, ..LogOptions::default() })?;
    let outcome = serve(asked);
    logs.flush(LOG_PATIENCE);
    outcome
}

fn serve(asked: Serve) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let tls = asked.tls_cert.zip(asked.tls_key);
        let options = Options {
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key, agent_ca: asked.opamp_client_ca }),
            admission: asked.admission,
            credential_days: asked.credential_days,
            oidc: asked.oidc.settings(),
            database: asked.database,
            pooling: Pooling {
                connections: asked.database_connections,
                wait: Duration::from_secs(asked.database_wait_seconds),
                ca: asked.database_ca,
            },
            listen: asked.listen,
            opamp_listen: asked.opamp_listen,
            opamp_public_url: asked.opamp_public_url,
            heartbeat_seconds: asked.heartbeat_seconds,
            traces: asked
                .traces_endpoint
                .map(|endpoint| TelemetryDestination { endpoint, headers: asked.traces_headers }),
            requests_per_second: asked.requests_per_second,
        };
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let running = serve::start(&options).await?;
        greet(&running, options.tls.is_some())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        running.stop().await;
        Ok(())
    })
}

/// Says where everything is; the only time that the first key is shown.
fn greet(running: &serve::Running, over_tls: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let s = if over_tls { "s" } else { "" };
    writeln!(out, "API:    http{s}://{}/api/v1 (described at /api/v1/docs)", running.api)?;
    writeln!(out, "OpAMP:  ws{s}://{}/v1/opamp", running.opamp)?;
    if let Some(key) = &running.first_key {
        writeln!(
            out,
            "\nThe first start made a key for the administrator. It is not shown again:\n\n  {key}\n"
        )?;
    }
    Ok(out.flush()?)
}

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use http::{Method, Response, StatusCode, request};
use phoenix_component::{BoxFuture, Extension, Host, StartError};
use phoenix_profiling::{Capture, CaptureError, memory};
use phoenix_transport::http::server::{HttpService, Request};
use phoenix_transport::http::side::{self, SideServer};
use phoenix_transport::settings::HttpServerSettings;

use crate::{PprofConfig, SavedProfile};

/// The time of a CPU profile where a request names none, as in Go.
const DEFAULT_SECONDS: u64 = 30;
/// The longest.
const LONGEST_SECONDS: u64 = 600;

/// Profiles over HTTP.
pub struct Pprof {
    config: PprofConfig,
    id: String,
    server: SideServer,
    saved: Arc<SavedProfile>,
    saving: Mutex<Option<u64>>,
}

impl Pprof {
    /// The extension, which listens once it is started; `id` names it in the metrics.
    pub fn new(config: PprofConfig, id: &str, saved: Arc<SavedProfile>) -> Pprof {
        Pprof { config, id: id.to_owned(), server: SideServer::default(), saved, saving: Mutex::default() }
    }

    /// Where it listens, while it does.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.local_addr()
    }

    fn listen(&self, host: &Host) -> Result<(), StartError> {
        let settings =
            HttpServerSettings { endpoint: self.config.endpoint.clone(), ..HttpServerSettings::default() };
        let mut options = SideServer::options(&settings);
        options.write_timeout = Some(Duration::from_secs(LONGEST_SECONDS + 60));
        self.server.start(&settings, options, Service { host: host.clone() }, &self.id, host)?;
        if !self.config.save_to_file.is_empty() {
            let instance = self.saved.begin(self.config.save_to_file.as_ref());
            *self.saving.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance?);
        }
        tracing::info!(
            extension = self.id,
            endpoint = self.config.endpoint,
            "Starting net/http/pprof server"
        );
        Ok(())
    }
}

impl Extension for Pprof {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            let _control = host.control.enter();
            self.listen(host)
        })
    }

    fn stop(&self, deadline: tokio::time::Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(instance) = saving {
                let (saved, path) = (self.saved.clone(), PathBuf::from(&self.config.save_to_file));
                // Names are looked up and a file is written.
                let _ = tokio::task::spawn_blocking(move || saved.finish(instance, &path)).await;
            }
            self.server.stop(deadline).await;
        })
    }
}

struct Service {
    host: Host,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Index,
    CommandLine,
    Cpu,
    Memory,
    Threads,
}

/// Go's profiles that have no counterpart, and why.
const ABSENT: [(&str, &str); 5] = [
    ("goroutine", "there are no goroutines; /debug/pprof/threads lists the threads"),
    ("block", "it is a profile of Go's scheduler"),
    ("mutex", "it is a profile of Go's scheduler"),
    ("trace", "it is a trace of Go's scheduler"),
    (
        "allocs",
        "glibc's allocator keeps no record of who allocates; /debug/pprof/heap says what memory is mapped for",
    ),
];

impl HttpService for Service {
    type Route = Route;

    fn route(&self, head: &request::Parts) -> Result<Route, Response<Bytes>> {
        let Some(name) = head.uri.path().strip_prefix("/debug/pprof") else {
            return Err(side::text(StatusCode::NOT_FOUND, "404 page not found\n"));
        };
        let name = name.trim_matches('/');
        let route = match name {
            "" => Route::Index,
            "cmdline" => Route::CommandLine,
            "profile" => Route::Cpu,
            "heap" => Route::Memory,
            "threads" | "threadcreate" => Route::Threads,
            _ => {
                let why = ABSENT.iter().find(|(absent, _)| *absent == name);
                let why = why
                    .map_or("no such profile".to_owned(), |(name, why)| format!("no {name} profile: {why}"));
                return Err(side::text(StatusCode::NOT_FOUND, why + "\n"));
            }
        };
        side::only(head, &[Method::GET, Method::HEAD])?;
        Ok(route)
    }

    async fn call(&self, route: Route, request: Request) -> Response<Bytes> {
        let head = &request.head;
        match route {
            Route::Index => side::text(StatusCode::OK, INDEX),
            Route::CommandLine => side::text(StatusCode::OK, command_line(std::env::args())),
            Route::Threads => side::text(StatusCode::OK, threads()),
            Route::Cpu => cpu(head).await,
            Route::Memory => {
                let mappings = memory::mappings();
                match side::query(head, "debug").is_some_and(|level| level != "0") {
                    true => side::text(StatusCode::OK, memory::text(&mappings) + &budget(&self.host)),
                    false => {
                        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                        let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
                        download("heap", memory::profile(&mappings, now))
                    }
                }
            }
        }
    }
}

const INDEX: &str = "\
/debug/pprof/profile?seconds=30  CPU time by function and thread; for `go tool pprof`
/debug/pprof/heap                resident memory by mapping; for `go tool pprof`
/debug/pprof/heap?debug=1        the same as text, with the budget of bytes
/debug/pprof/threads             threads with their CPU time
/debug/pprof/cmdline             the command line, values hidden
";

fn download(name: &str, profile: Vec<u8>) -> Response<Bytes> {
    let mut response = side::answer(StatusCode::OK, "application/octet-stream", profile);
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    response
}

/// Takes a CPU profile. A client that goes away ends it.
/// How much of the budget of bytes is in use, for people.
fn budget(host: &Host) -> String {
    let limit = match host.budget.limit() {
        usize::MAX => "unlimited".to_owned(),
        limit => limit.to_string(),
    };
    let (used, refusals) = (host.budget.used(), host.budget.refusals());
    format!("\n# The budget of bytes\nused:\t{used}\nlimit:\t{limit}\nrefusals:\t{refusals}\n")
}

async fn cpu(head: &request::Parts) -> Response<Bytes> {
    let seconds = match side::query(head, "seconds").map(|text| text.parse::<u64>()) {
        None => DEFAULT_SECONDS,
        Some(Ok(seconds @ 1..=LONGEST_SECONDS)) => seconds,
        Some(_) => {
            let text = format!("`seconds` must be between 1 and {LONGEST_SECONDS}\n");
            return side::text(StatusCode::BAD_REQUEST, text);
        }
    };
    let failed = |error: CaptureError| {
        let status = match error {
            CaptureError::Busy => StatusCode::CONFLICT,
            CaptureError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        side::text(status, format!("{error}\n"))
    };
    let capture = match Capture::start() {
        Ok(capture) => capture,
        Err(error) => return failed(error),
    };
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    // Looking names up takes time that the control thread does not have.
    match tokio::task::spawn_blocking(move || capture.profile()).await {
        Ok(Ok(profile)) => download("profile", profile),
        Ok(Err(error)) => failed(error),
        Err(panic) => side::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the profile failed: {panic}\n")),
    }
}

/// The arguments with zero bytes between them, as Go writes them; values that may be secrets are hidden.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut after_set = false;
    let shown = arguments.map(|argument| {
        let is_value = std::mem::replace(&mut after_set, argument == "--set");
        let set = argument.strip_prefix("--set=").or(is_value.then_some(argument.as_str()));
        match set.map(|set| set.split('=').next().unwrap_or_default()) {
            Some(key) if is_value => format!("{key}=[REDACTED]"),
            Some(key) => format!("--set={key}=[REDACTED]"),
            None => match argument.split_once("yaml:") {
                Some((before, _)) => format!("{before}yaml:[REDACTED]"),
                None => argument,
            },
        }
    });
    shown.collect::<Vec<_>>().join("\0")
}

/// Each thread with its name and the CPU time that it has used, in ticks of the kernel.
fn threads() -> String {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        // The name may hold anything; the fields follow its parenthesis.
        let fields: Vec<_> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
        let field = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let state = fields.first().copied().unwrap_or("?").to_owned();
        rows.push((field(11), field(12), state, read("comm").trim_end().to_owned()));
    }
    rows.sort_by_key(|(user, system, ..)| std::cmp::Reverse(user + system));
    let mut out = format!(
        "# {} threads; CPU time in ticks (usually 10 ms)\n#  user   system  state  name\n",
        rows.len()
    );
    for (user, system, state, name) in rows {
        out += &format!("{user:>7}{system:>9}  {state:<5}  {name}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::command_line;

    #[test]
    fn a_command_line_hides_values() {
        let arguments =
            ["c", "--config=a.yaml", "--set=a.b=secret=1", "--set", "c.d=secret", "--config=yaml:k: secret"];
        let shown = command_line(arguments.into_iter().map(str::to_owned));
        assert_eq!(
            shown.split('\0').collect::<Vec<_>>(),
            [
                "c",
                "--config=a.yaml",
                "--set=a.b=[REDACTED]",
                "--set",
                "c.d=[REDACTED]",
                "--config=yaml:[REDACTED]"
            ]
        );
    }
}

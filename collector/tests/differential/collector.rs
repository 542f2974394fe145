//! A collector that runs cases: a receiver, a pipeline and a file for each.

use std::fmt;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::cases::{Case, Connector, ROUTES};

const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The status of each request, and the requests that came out.
    Ran { statuses: Vec<u16>, out: Vec<Value> },
    /// The configuration is not taken; what is said.
    Refused(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Ran { statuses, out } => write!(f, "{statuses:?} {}", Value::from(out.clone())),
            Outcome::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// Runs cases in one collector; where it takes not all of them, in several.
pub(crate) fn run(program: &Path, cases: &[Case]) -> Vec<Outcome> {
    match try_run(program, cases) {
        Ok(outcomes) => outcomes,
        Err(why) if cases.len() <= 1 => cases.iter().map(|_| Outcome::Refused(why.clone())).collect(),
        Err(_) => {
            let (first, second) = cases.split_at(cases.len() / 2);
            [run(program, first), run(program, second)].concat()
        }
    }
}

fn try_run(program: &Path, cases: &[Case]) -> Result<Vec<Outcome>, String> {
    let folder = tempfile::tempdir().expect("made");
    let ports: Vec<u16> = {
        let listeners: Vec<_> =
            cases.iter().map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port")).collect();
        listeners.iter().map(|listener| listener.local_addr().expect("bound").port()).collect()
    };
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, configuration(cases, &ports, folder.path()).to_string()).expect("written");
    let mut running = Running::start(program, &config);
    running.wait_for(&ports)?;
    let statuses: Vec<Vec<u16>> = cases
        .iter()
        .zip(&ports)
        .map(|(case, port)| case.inputs.iter().map(|input| post(*port, case, input)).collect())
        .collect();
    running.stop();
    let written = |name: &str| -> Vec<Value> {
        // A text that was cut within a character is in Go's file as it is.
        let bytes = std::fs::read(folder.path().join(format!("{name}.json"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let outcome = |(index, (statuses, case)): (usize, (Vec<u16>, &Case))| {
        let out = match &case.connector {
            None | Some(Connector::Count(_)) => written(&index.to_string()),
            Some(Connector::Routing(_)) => {
                let of_route = |route: &&str| json!({*route: written(&format!("{index}_{route}"))});
                ROUTES.iter().map(of_route).collect()
            }
        };
        Outcome::Ran { statuses, out }
    };
    Ok(statuses.into_iter().zip(cases).enumerate().map(outcome).collect())
}

fn configuration(cases: &[Case], ports: &[u16], folder: &Path) -> Value {
    let [mut receivers, mut processors, mut connectors, mut exporters, mut pipelines] =
        std::array::from_fn(|_| Map::new());
    for (index, (case, port)) in cases.iter().zip(ports).enumerate() {
        let endpoint = format!("127.0.0.1:{port}");
        receivers.insert(format!("otlp/{index}"), json!({"protocols": {"http": {"endpoint": endpoint}}}));
        let mut file = |name: &str| {
            let path = folder.join(format!("{name}.json"));
            exporters.insert(format!("file/{name}"), json!({"path": path}));
            format!("file/{name}")
        };
        let signal = &case.signal;
        let end = match &case.connector {
            None => file(&index.to_string()),
            Some(connector) => format!("{}/{index}", connector.name()),
        };
        match &case.connector {
            None => {}
            Some(Connector::Count(settings)) => {
                let pipeline = json!({"receivers": [end], "exporters": [file(&index.to_string())]});
                // No case has the name.
                pipelines.insert(format!("metrics/count_{index}"), pipeline);
                connectors.insert(end.clone(), settings.clone());
            }
            Some(Connector::Routing(settings)) => {
                // Names of pipelines are those of the whole configuration.
                let mut settings = settings.to_string();
                for route in ROUTES {
                    let (before, name) = (format!("\"{signal}/{route}\""), format!("{index}_{route}"));
                    let is_used = settings.contains(&before);
                    settings = settings.replace(&before, &format!("\"{signal}/{name}\""));
                    if is_used {
                        let pipeline = json!({"receivers": [end], "exporters": [file(&name)]});
                        pipelines.insert(format!("{signal}/{name}"), pipeline);
                    }
                }
                connectors.insert(end.clone(), serde_json::from_str(&settings).expect("JSON as before"));
            }
        }
        let mut chain = Vec::new();
        for (name, settings) in case.processors.as_object().into_iter().flatten() {
            let id = format!("{name}/{index}");
            processors.insert(id.clone(), settings.clone());
            chain.push(id);
        }
        let pipeline = json!({
            "receivers": [format!("otlp/{index}")], "processors": chain, "exporters": [end],
        });
        pipelines.insert(format!("{}/{index}", case.signal), pipeline);
    }
    let telemetry = json!({"metrics": {"level": "none"}, "logs": {"level": "error"}});
    json!({
        "receivers": receivers, "processors": processors, "connectors": connectors, "exporters": exporters,
        "service": {"telemetry": telemetry, "pipelines": pipelines},
    })
}

fn post(port: u16, case: &Case, input: &str) -> u16 {
    let url = format!("http://127.0.0.1:{port}/v1/{}", case.signal);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let sent = agent.post(&url).header("content-type", "application/json").send(input);
    sent.map_or(0, |answer| answer.status().as_u16())
}

struct Running(Child);

impl Running {
    fn start(program: &Path, config: &Path) -> Running {
        // What runs away is ended before the machine is.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 8388608; exec \"$0\" --config \"$1\""]).arg(program).arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Running(command.spawn().expect("the collector starts"))
    }

    /// Waits until every port is open; if the process ends first, says what it said.
    fn wait_for(&mut self, ports: &[u16]) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        for port in ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                if self.0.try_wait().expect("waits").is_some() {
                    let mut said = String::new();
                    if let Some(stream) = &mut self.0.stderr {
                        let _ = stream.read_to_string(&mut said);
                    }
                    return Err(said.chars().take(1500).collect());
                }
                assert!(Instant::now() < deadline, "port {port} does not open");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    fn stop(mut self) {
        let status = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status();
        assert!(status.expect("kill runs").success());
        let deadline = Instant::now() + PATIENCE;
        while self.0.try_wait().expect("waits").is_none() {
            assert!(Instant::now() < deadline, "the collector does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already where it was stopped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

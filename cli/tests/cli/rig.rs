//! A service on free ports, the command beside it, and an agent that obeys.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use futures_util::{SinkExt as _, StreamExt as _};
use phoenix_control::serve::{self, Options, Running};
use phoenix_control::store::Pooling;
use phoenix_opamp::{
    AgentDescription, AgentToServer, ComponentHealth, CustomCapabilities, CustomMessage, KeyValue,
    RemoteConfigStatus, RemoteConfigStatuses, ServerToAgent, agent, decode_frame, encode_frame,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const TASKS: &str = "io.phoenix.tasks/v1";

pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) key: String,
    pub(crate) api: SocketAddr,
    opamp: SocketAddr,
    running: Running,
}

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// What it printed, where it ended with this code.
    pub(crate) fn code(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self.out
    }

    pub(crate) fn json(self) -> Value {
        let out = self.code(0);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }
}

impl Rig {
    pub(crate) async fn start() -> Rig {
        let folder = tempfile::tempdir().expect("made");
        let options = Options {
            database: format!("sqlite:{}", folder.path().join("control.db").display()),
            pooling: Pooling::default(),
            listen: "127.0.0.1:0".to_owned(),
            opamp_listen: "127.0.0.1:0".to_owned(),
            heartbeat_seconds: 30,
            requests_per_second: 1000,
            ..Options::default()
        };
        let running = serve::start(&options).await.expect("started");
        let key = running.first_key.clone().expect("the first start makes a key");
        let (api, opamp) = (running.api, running.opamp);
        Rig { folder, key, api, opamp, running }
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// Runs the command with nothing of this test's environment.
    pub(crate) async fn bare(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command
            .args(arguments)
            .env_clear()
            .env("XDG_CONFIG_HOME", self.folder.path())
            .envs(environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        command.env("PATH", std::env::var("PATH").unwrap_or_default()).current_dir(self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        let ran = tokio::task::spawn_blocking(move || {
            use std::io::Write as _;
            let mut child = command.spawn().expect("started");
            // It may end without reading.
            let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
            child.wait_with_output().expect("ended")
        });
        let ran = ran.await.expect("ran");
        Ran {
            code: ran.status.code().expect("not killed"),
            out: String::from_utf8(ran.stdout).expect("UTF-8"),
            err: String::from_utf8(ran.stderr).expect("UTF-8"),
        }
    }

    /// Runs the command as the administrator.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        let server = format!("http://{}", self.api);
        self.bare(arguments, &[("PHOENIX_SERVER", &server), ("PHOENIX_TOKEN", &self.key)], "").await
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// An agent of the group `env=prod`, which applies whatever does not say `refuse`, and does its tasks.
    pub(crate) async fn agent(&self, number: u8) -> tokio::task::JoinHandle<()> {
        let token = self.run(&["create", "enrolment-token", "test", "--label", "env=prod"]).await.code(0);
        let mut request = format!("ws://{}/v1/opamp", self.opamp).into_client_request().expect("a request");
        let value = format!("Bearer {}", token.trim()).parse().expect("a header");
        request.headers_mut().insert("authorization", value);
        let stream = TcpStream::connect(self.opamp).await.expect("connected");
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("let in");
        let mut sequence = 0;
        let mut message = move || {
            sequence += 1;
            AgentToServer {
                instance_uid: vec![number; 16],
                sequence_num: sequence,
                capabilities: agent::REPORTS_STATUS
                    | agent::ACCEPTS_REMOTE_CONFIG
                    | agent::REPORTS_HEALTH
                    | agent::REPORTS_REMOTE_CONFIG,
                ..AgentToServer::default()
            }
        };
        let mut first = message();
        first.agent_description = Some(AgentDescription {
            identifying_attributes: vec![KeyValue::text("host.name", format!("host-{number}"))],
            non_identifying_attributes: Vec::new(),
        });
        first.health = Some(ComponentHealth { healthy: true, ..ComponentHealth::default() });
        first.custom_capabilities = Some(CustomCapabilities { capabilities: vec![TASKS.to_owned()] });
        socket.send(Frame::Binary(encode_frame(&first))).await.expect("sent");
        let answered = socket.next().await.expect("an answer").expect("an answer");
        assert!(answered.is_binary());
        tokio::spawn(async move {
            while let Some(Ok(frame)) = socket.next().await {
                let Frame::Binary(frame) = frame else { continue };
                let said: ServerToAgent = decode_frame(&frame).expect("a message");
                let mut answer = message();
                if let Some(offer) = said.remote_config {
                    let files = offer.config.unwrap_or_default().config_map;
                    let refuses =
                        files.values().any(|file| String::from_utf8_lossy(&file.body).contains("refuse"));
                    let status =
                        if refuses { RemoteConfigStatuses::Failed } else { RemoteConfigStatuses::Applied };
                    answer.remote_config_status = Some(RemoteConfigStatus {
                        last_remote_config_hash: offer.config_hash,
                        status: status.into(),
                        error_message: if refuses { "it says refuse".to_owned() } else { String::new() },
                    });
                } else if let Some(task) = said.custom_message {
                    let task: Value = serde_json::from_slice(&task.data).expect("JSON");
                    let result = json!({"id": task["id"], "fence": task["fence"],
                        "result": {"version": "1", "logs": ["first line", "second line"], "given": task["payload"]}});
                    let data = result.to_string().into_bytes();
                    let (capability, kind) = (TASKS.to_owned(), "result".to_owned());
                    answer.custom_message = Some(CustomMessage { capability, r#type: kind, data });
                } else {
                    continue;
                }
                if socket.send(Frame::Binary(encode_frame(&answer))).await.is_err() {
                    return;
                }
            }
        })
    }
}

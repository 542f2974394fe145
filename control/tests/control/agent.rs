//! An agent that does as a test says, over both transports.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use phoenix_opamp::{
    AgentConfigMap, AgentDescription, AgentRemoteConfig, AgentToServer, AvailableComponents,
    ComponentDetails, ComponentHealth, CustomCapabilities, CustomMessage, EffectiveConfig, KeyValue,
    Message as _, RemoteConfigStatus, RemoteConfigStatuses, ServerToAgent, agent, decode_frame, encode_frame,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::rig::Rig;

const TASKS: &str = "io.phoenix.tasks/v1";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    WebSocket,
    Http,
}

enum Link {
    WebSocket(Box<WebSocketStream<TcpStream>>),
    Http { address: std::net::SocketAddr, token: String },
}

pub(crate) struct Agent {
    link: Link,
    uid: [u8; 16],
    sequence: u64,
    offers: VecDeque<AgentRemoteConfig>,
    tasks: VecDeque<Value>,
}

impl Agent {
    /// Connects; the status where it is refused at the door.
    pub(crate) async fn connect(rig: &Rig, kind: Kind, number: u8, token: &str) -> Result<Agent, u16> {
        let address = rig.opamp;
        let link = match kind {
            Kind::Http => Link::Http { address, token: token.to_owned() },
            Kind::WebSocket => {
                let mut request =
                    format!("ws://{address}/v1/opamp").into_client_request().expect("a request");
                let value = format!("Bearer {token}").parse().expect("a header");
                request.headers_mut().insert("authorization", value);
                let stream = TcpStream::connect(address).await.expect("connected");
                match tokio_tungstenite::client_async(request, stream).await {
                    Ok((socket, _)) => Link::WebSocket(Box::new(socket)),
                    Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                        return Err(answer.status().as_u16());
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let mut agent =
            Agent { link, uid: [number; 16], sequence: 0, offers: VecDeque::new(), tasks: VecDeque::new() };
        if let Link::Http { .. } = agent.link {
            // Whether it is let in shows with the first request only.
            let probe = agent.post(&AgentToServer::default()).await;
            if probe.0 != 200 {
                return Err(probe.0);
            }
        }
        Ok(agent)
    }

    /// The credential of its own that an answer brings.
    pub(crate) fn credential_in(answer: &ServerToAgent) -> Option<String> {
        let settings = answer.connection_settings.as_ref()?.opamp.as_ref()?;
        let header = settings.headers.as_ref()?.headers.first()?;
        header.value.strip_prefix("Bearer ").map(str::to_owned)
    }

    pub(crate) fn id(&self) -> String {
        self.uid.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn skip(&mut self) {
        self.sequence += 1;
    }

    pub(crate) fn move_to(&mut self, rig: &Rig) {
        if let Link::Http { address, .. } = &mut self.link {
            *address = rig.opamp;
        }
    }

    fn message(&mut self) -> AgentToServer {
        self.sequence += 1;
        let capabilities = agent::REPORTS_STATUS
            | agent::ACCEPTS_REMOTE_CONFIG
            | agent::REPORTS_EFFECTIVE_CONFIG
            | agent::REPORTS_HEALTH
            | agent::REPORTS_REMOTE_CONFIG
            | agent::REPORTS_HEARTBEAT
            | agent::ACCEPTS_OPAMP_CONNECTION_SETTINGS;
        AgentToServer {
            instance_uid: self.uid.to_vec(),
            sequence_num: self.sequence,
            capabilities,
            ..AgentToServer::default()
        }
    }

    /// Everything there is to tell, and the answer to it.
    pub(crate) async fn say_all(&mut self) -> ServerToAgent {
        self.say_all_at(0).await
    }

    /// The same with this time in all that has one.
    pub(crate) async fn say_all_at(&mut self, nanos: u64) -> ServerToAgent {
        let mut message = self.message();
        message.agent_description = Some(AgentDescription {
            identifying_attributes: vec![KeyValue::text("service.name", "test")],
            non_identifying_attributes: vec![KeyValue::text("zone", "a")],
        });
        message.health = Some(ComponentHealth {
            healthy: true,
            start_time_unix_nano: nanos,
            status_time_unix_nano: nanos,
            ..ComponentHealth::default()
        });
        message.effective_config =
            Some(EffectiveConfig { config_map: Some(AgentConfigMap::single("", "a: 1\n")) });
        message.custom_capabilities = Some(CustomCapabilities { capabilities: vec![TASKS.to_owned()] });
        self.ask(&message).await
    }

    pub(crate) async fn beat(&mut self) -> ServerToAgent {
        let message = self.message();
        self.ask(&message).await
    }

    /// Says which components it has: receivers and exporters.
    pub(crate) async fn has(&mut self, receivers: &[&str], exporters: &[&str]) {
        let details = |names: &[&str]| ComponentDetails {
            sub_component_map: names
                .iter()
                .map(|name| ((*name).to_owned(), ComponentDetails::default()))
                .collect(),
            ..ComponentDetails::default()
        };
        let components = [("receivers", receivers), ("exporters", exporters)]
            .map(|(kind, names)| (kind.to_owned(), details(names)));
        let mut message = self.message();
        message.available_components =
            Some(AvailableComponents { components: components.into(), hash: vec![self.uid[0], 1] });
        self.ask(&message).await;
    }

    pub(crate) async fn report(&mut self, hash: &[u8], status: RemoteConfigStatuses, error: &str) {
        let mut message = self.message();
        message.remote_config_status = Some(RemoteConfigStatus {
            last_remote_config_hash: hash.to_vec(),
            status: status.into(),
            error_message: error.to_owned(),
        });
        let answer = self.ask(&message).await;
        assert!(answer.error_response.is_none(), "{answer:?}");
    }

    pub(crate) async fn finish(&mut self, result: &Value) {
        let mut message = self.message();
        message.custom_message = Some(CustomMessage {
            capability: TASKS.to_owned(),
            r#type: "result".to_owned(),
            data: result.to_string().into_bytes(),
        });
        let answer = self.ask(&message).await;
        assert!(answer.error_response.is_none(), "{answer:?}");
    }

    /// A custom message, and the answer to it.
    pub(crate) async fn custom(&mut self, capability: &str, data: &[u8]) -> ServerToAgent {
        let mut message = self.message();
        message.custom_message = Some(CustomMessage {
            capability: capability.to_owned(),
            r#type: "x".to_owned(),
            data: data.to_vec(),
        });
        self.ask(&message).await
    }

    /// The next configuration that is offered within `patience`.
    pub(crate) async fn offer(&mut self, patience: Duration) -> Option<AgentRemoteConfig> {
        self.wait(patience, |agent| agent.offers.pop_front()).await
    }

    /// The next task that is handed out within `patience`.
    pub(crate) async fn task(&mut self, patience: Duration) -> Option<Value> {
        self.wait(patience, |agent| agent.tasks.pop_front()).await
    }

    async fn wait<T>(&mut self, patience: Duration, take: impl Fn(&mut Agent) -> Option<T>) -> Option<T> {
        let end = tokio::time::Instant::now() + patience;
        loop {
            if let Some(found) = take(self) {
                return Some(found);
            }
            if tokio::time::Instant::now() >= end {
                return None;
            }
            match self.link {
                Link::Http { .. } => {
                    self.beat().await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Link::WebSocket(_) => {
                    let _ = tokio::time::timeout_at(end, self.receive()).await;
                }
            }
        }
    }

    async fn ask(&mut self, message: &AgentToServer) -> ServerToAgent {
        match &mut self.link {
            Link::Http { .. } => {
                let (status, body) = self.post(message).await;
                assert_eq!(status, 200);
                let answer = ServerToAgent::decode(body.as_slice()).expect("a message");
                self.keep(&answer);
                answer
            }
            Link::WebSocket(socket) => {
                socket.send(Frame::Binary(encode_frame(message))).await.expect("sent");
                loop {
                    let answer = self.receive().await.expect("an answer");
                    // What comes by itself between is kept for later.
                    if answer.remote_config.is_none() && answer.custom_message.is_none()
                        || answer.capabilities != 0
                    {
                        return answer;
                    }
                }
            }
        }
    }

    fn keep(&mut self, message: &ServerToAgent) {
        let settings = message.connection_settings.as_ref().and_then(|offers| offers.opamp.as_ref());
        let headers = settings.iter().flat_map(|opamp| &opamp.headers).flat_map(|headers| &headers.headers);
        for header in headers {
            // Each poll shows who it is from.
            if let (Link::Http { token, .. }, Some(own)) =
                (&mut self.link, header.value.strip_prefix("Bearer "))
            {
                own.clone_into(token);
            }
        }
        self.offers.extend(message.remote_config.clone());
        let tasks = message.custom_message.iter().filter(|custom| custom.r#type == "task");
        self.tasks.extend(tasks.map(|custom| serde_json::from_slice(&custom.data).expect("JSON")));
    }

    pub(crate) async fn send_raw(&mut self, frame: Vec<u8>) {
        if let Link::WebSocket(socket) = &mut self.link {
            socket.send(Frame::Binary(frame.into())).await.expect("sent");
        }
    }

    /// The next message; none where the connection ended.
    pub(crate) async fn receive(&mut self) -> Option<ServerToAgent> {
        let Link::WebSocket(socket) = &mut self.link else { return None };
        loop {
            match socket.next().await {
                Some(Ok(Frame::Binary(frame))) => {
                    let message = decode_frame::<ServerToAgent>(&frame).expect("a message");
                    self.keep(&message);
                    return Some(message);
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    async fn post(&mut self, message: &AgentToServer) -> (u16, Vec<u8>) {
        let Link::Http { address, token } = &self.link else { return (0, Vec::new()) };
        let body = message.encode_to_vec();
        let head = format!(
            "POST /v1/opamp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/x-protobuf\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("written");
        stream.write_all(&body).await.expect("written");
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.expect("read");
        let end = read.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, read[end + 4..].to_vec())
    }
}

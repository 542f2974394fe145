//! One simulated agent: enrols, tells, beats, applies what it is offered, and comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use phoenix_opamp::{
    AgentConfigMap, AgentDescription, AgentToServer, ComponentHealth, EffectiveConfig, KeyValue,
    RemoteConfigStatus, RemoteConfigStatuses, ServerToAgent, agent, decode_frame, encode_frame,
};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

/// Between attempts to connect, as the collector's own agent has it.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(60);

/// What all agents share: where to, and what was counted.
pub(crate) struct Fleet {
    address: SocketAddr,
    token: String,
    heartbeat: Duration,
    /// Agents that had an answer to all that they told since this was set to zero.
    pub(crate) settled: AtomicU64,
    pub(crate) beats: AtomicU64,
    pub(crate) offered: AtomicU64,
    /// Agents whose word that they applied it was answered.
    pub(crate) acknowledged: AtomicU64,
    /// Refusals that name a time to come back, and those that do not.
    pub(crate) told_when: AtomicU64,
    pub(crate) refused: AtomicU64,
}

impl Fleet {
    pub(crate) fn new(address: SocketAddr, token: String, heartbeat_seconds: u64) -> Fleet {
        Fleet {
            address,
            token,
            heartbeat: Duration::from_secs(heartbeat_seconds),
            settled: AtomicU64::new(0),
            beats: AtomicU64::new(0),
            offered: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            told_when: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

struct Agent {
    uid: [u8; 16],
    sequence: u64,
    credential: Option<String>,
    applied: Vec<u8>,
}

impl Agent {
    fn message(&mut self) -> AgentToServer {
        self.sequence += 1;
        AgentToServer {
            instance_uid: self.uid.to_vec(),
            sequence_num: self.sequence,
            capabilities: agent::REPORTS_STATUS
                | agent::ACCEPTS_REMOTE_CONFIG
                | agent::REPORTS_EFFECTIVE_CONFIG
                | agent::REPORTS_HEALTH
                | agent::REPORTS_REMOTE_CONFIG
                | agent::REPORTS_HEARTBEAT
                | agent::ACCEPTS_OPAMP_CONNECTION_SETTINGS,
            ..AgentToServer::default()
        }
    }

    fn status(&self) -> Option<RemoteConfigStatus> {
        (!self.applied.is_empty()).then(|| RemoteConfigStatus {
            last_remote_config_hash: self.applied.clone(),
            status: RemoteConfigStatuses::Applied.into(),
            error_message: String::new(),
        })
    }

    fn full(&mut self, number: u64) -> AgentToServer {
        let status = self.status();
        let mut message = self.message();
        message.agent_description = Some(AgentDescription {
            identifying_attributes: vec![
                KeyValue::text("service.name", "simulated"),
                KeyValue::text("host.name", format!("host-{number}")),
            ],
            non_identifying_attributes: vec![KeyValue::text("os.type", "linux")],
        });
        message.health = Some(ComponentHealth { healthy: true, ..ComponentHealth::default() });
        message.effective_config =
            Some(EffectiveConfig { config_map: Some(AgentConfigMap::single("", "receivers: {nop: {}}\n")) });
        message.remote_config_status = status;
        message
    }
}

enum Lost {
    /// Refused, with a time to come back or without.
    Refused(Option<Duration>),
    Broken,
}

/// Runs agent `number` for as long as the program does; `turns` spreads the very first connections.
pub(crate) async fn simulate(fleet: Arc<Fleet>, number: u64, turns: Arc<Semaphore>) {
    let mut uid = [0x70; 16];
    uid[8..].copy_from_slice(&number.to_be_bytes());
    let mut agent = Agent { uid, sequence: 0, credential: None, applied: Vec::new() };
    let mut turn = turns.acquire_owned().await.ok();
    let mut failures = 0u32;
    loop {
        let lost = session(&fleet, &mut agent, number, &mut failures, &mut turn).await;
        let ceiling = (FIRST_DELAY * 2u32.pow(failures.min(6))).min(LAST_DELAY);
        failures += 1;
        let jittered = ceiling.mul_f64(rand::random_range(0.5..1.0));
        let named = match lost {
            Lost::Refused(Some(after)) => {
                fleet.told_when.fetch_add(1, Ordering::SeqCst);
                after
            }
            Lost::Refused(None) => {
                fleet.refused.fetch_add(1, Ordering::SeqCst);
                Duration::ZERO
            }
            Lost::Broken => Duration::ZERO,
        };
        tokio::time::sleep(named + jittered).await;
    }
}

async fn connect(fleet: &Fleet, agent: &Agent) -> Result<WebSocketStream<TcpStream>, Lost> {
    let request = format!("ws://{}/v1/opamp", fleet.address).into_client_request();
    let mut request = request.map_err(|_| Lost::Broken)?;
    let secret = agent.credential.as_ref().unwrap_or(&fleet.token);
    let value = format!("Bearer {secret}").parse().map_err(|_| Lost::Broken)?;
    request.headers_mut().insert("authorization", value);
    let stream = TcpStream::connect(fleet.address).await.map_err(|_| Lost::Broken)?;
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let after =
                answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            Err(Lost::Refused(after.map(Duration::from_secs)))
        }
        Err(_) => Err(Lost::Broken),
    }
}

async fn session(
    fleet: &Fleet,
    agent: &mut Agent,
    number: u64,
    failures: &mut u32,
    turn: &mut Option<tokio::sync::OwnedSemaphorePermit>,
) -> Lost {
    let mut socket = match connect(fleet, agent).await {
        Ok(socket) => socket,
        Err(lost) => return lost,
    };
    let first = agent.full(number);
    if socket.send(Frame::Binary(encode_frame(&first))).await.is_err() {
        return Lost::Broken;
    }
    let (mut is_first, mut waits_for_word) = (true, false);
    // Agents do not beat in step.
    let mut beat = tokio::time::Instant::now() + fleet.heartbeat.mul_f64(rand::random_range(0.0..1.0));
    loop {
        let frame = tokio::select! {
            frame = socket.next() => frame,
            () = tokio::time::sleep_until(beat) => {
                beat += fleet.heartbeat;
                fleet.beats.fetch_add(1, Ordering::SeqCst);
                let message = agent.message();
                if socket.send(Frame::Binary(encode_frame(&message))).await.is_err() {
                    return Lost::Broken;
                }
                continue;
            }
        };
        let said: ServerToAgent = match frame {
            Some(Ok(Frame::Binary(frame))) => match decode_frame(&frame) {
                Ok(said) => said,
                Err(_) => return Lost::Broken,
            },
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
            _ => return Lost::Broken,
        };
        if let Some(error) = said.error_response {
            let after = error.retry_info.map(|retry| Duration::from_nanos(retry.retry_after_nanoseconds));
            return Lost::Refused(after);
        }
        let settings = said.connection_settings.as_ref().and_then(|offers| offers.opamp.as_ref());
        let headers = settings.iter().flat_map(|opamp| &opamp.headers).flat_map(|headers| &headers.headers);
        for header in headers {
            agent.credential = header.value.strip_prefix("Bearer ").map(str::to_owned);
        }
        if is_first {
            (is_first, *failures) = (false, 0);
            *turn = None;
            fleet.settled.fetch_add(1, Ordering::SeqCst);
        }
        match said.remote_config {
            Some(offer) => {
                fleet.offered.fetch_add(1, Ordering::SeqCst);
                agent.applied = offer.config_hash;
                let status = agent.status();
                let mut message = agent.message();
                message.remote_config_status = status;
                waits_for_word = true;
                if socket.send(Frame::Binary(encode_frame(&message))).await.is_err() {
                    return Lost::Broken;
                }
            }
            None if waits_for_word => {
                waits_for_word = false;
                fleet.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            None => {}
        }
    }
}

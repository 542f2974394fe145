//! OpAMP on the wire: the messages that agents and servers exchange, and their frames over WebSocket.
//!
//! - Input: bytes of a frame or of an HTTP body; output: messages, and the other way round.
//! - Bounds: [`MAX_MESSAGE_BYTES`] in each direction, and 100 levels of nesting.
//! - Elsewhere: connections, retries and what a message means.
//!
//! The messages are those of `opamp.proto.v1`, by their numbers; fields that nobody here uses are passed over when
//! they come, and never sent.

mod bits;
mod config;
mod custom;
mod frame;
mod json;
mod messages;

pub use bits::{Set, agent, agent_flags, server, server_flags};
pub use config::{components_hash, config_hash};
pub use custom::{Items, TASKS, VITALS, Vitals};
pub use frame::{FrameError, decode_frame, encode_frame};
pub use json::{from_json, to_json};
pub use messages::*;
pub use prost::Message;

/// Largest message, uncompressed: what the specification recommends.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// The path that both transports are served at.
pub const PATH: &str = "/v1/opamp";

/// The `Content-Type` of requests and answers over plain HTTP.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// The `Content-Type` of the same as JSON, for networks that let nothing else through.
pub const JSON_TYPE: &str = "application/json";

/// Where an agent that speaks JSON waits for what the server has to say, by `GET` with `?wait_seconds=`.
pub const MESSAGES_PATH: &str = "/v1/opamp/messages";

/// The header that tells who asks over plain HTTP: a UUID.
pub const UID_HEADER: &str = "opamp-instance-uid";

/// How often an agent is heard of where nobody says otherwise.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(30);

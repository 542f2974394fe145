//! The `otlp` receiver: OTLP over gRPC, and over HTTP with protobuf or JSON.
//!
//! A request is collected into one buffer, validated in one scan and sent into the pipelines within its
//! connection's task; the answer is that of the pipelines. Nothing is decoded, but JSON is rewritten as protobuf.
//!
//! - Input: OTLP requests; output: batches of validated bytes, each with its number of items.
//! - Cost: one copy of the body into a buffer of exactly its size, one scan, a few allocations a request.
//! - Elsewhere: connections, limits, TLS and compression are `phoenix-transport`'s, validation is
//!   `phoenix-pdata`'s.

mod change;
mod client;
mod config;
mod grpc;
mod health;
mod http;
mod intake;
mod metrics;
mod receiver;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ReceiverFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Outlets, Receiver, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::{OtlpHttpSettings, OtlpReceiverConfig, Protocols, Utf8Policy};

/// Makes `otlp` receivers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OtlpReceiverFactory;

impl Factory for OtlpReceiverFactory {
    fn descriptor(&self) -> &Descriptor {
        static SIGNALS: [Support; 3] = Support::all(Stability::Stable);
        static DESCRIPTOR: Descriptor =
            Descriptor { name: "otlp", aliases: &[], signals: &SIGNALS, module: env!("CARGO_PKG_NAME") };
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<OtlpReceiverConfig>(section, problems)
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        change::change(settings_of(old), new.map(settings_of))
    }

    fn shape(&self) -> Shape {
        OtlpReceiverConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<OtlpReceiverConfig>(settings).touches()
    }
}

impl ReceiverFactory for OtlpReceiverFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        outlets: Outlets,
    ) -> Result<Arc<dyn Receiver>, StartError> {
        let config = settings_of::<OtlpReceiverConfig>(settings).clone();
        Ok(Arc::new(receiver::OtlpReceiver::new(config, &cx, outlets)))
    }
}

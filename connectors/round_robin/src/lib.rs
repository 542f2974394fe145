//! Gives each request to the next one of several pipelines, in turn: to spread work over pipelines that each do it one
//! after the other.
//!
//! It is a call: nothing is copied or held, and what the pipeline answers travels back by return. A request that is
//! refused is not given to another pipeline; when its sender tries again it is another one's turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{
    Batch, BoxFuture, Change, Connector, ConnectorFlow, Forwards, Outlet, Refusal, StartError,
};
use phoenix_config::{Described, Settings};
use serde::Deserialize;

/// Settings of the `round_robin` connector: there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RoundRobinConfig {}

impl Settings for RoundRobinConfig {}

phoenix_component::connector_factory! {
    /// Makes `round_robin` connectors.
    RoundRobinFactory: "round_robin", RoundRobinConfig;
    create: |_, _, _, outlets| {
        let pipelines: Vec<Outlet> = outlets.by_pipeline.into_iter().map(|(_, outlet)| outlet).collect();
        if pipelines.is_empty() {
            return Err(StartError::new("no pipeline lists this connector among its receivers"));
        }
        Ok(Connector::Flow(Arc::new(RoundRobin { pipelines, turn: AtomicUsize::new(0) })))
    },
    aliases: ["roundrobin"],
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
}

/// A `round_robin` connector of one signal.
#[derive(Debug)]
pub struct RoundRobin {
    /// At least one.
    pipelines: Vec<Outlet>,
    turn: AtomicUsize,
}

impl ConnectorFlow for RoundRobin {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.pipelines.len();
        Box::pin(self.pipelines[turn].send(batch))
    }

    fn forwards(&self) -> Forwards {
        // Each request goes to one of them, and it is not known yet to which.
        self.pipelines.iter().map(Outlet::forwards).fold(Forwards::NOBODY, Forwards::and)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use phoenix_component::factory::{ConnectorFactory as _, Factory as _};
    use phoenix_component::harness::with_context;
    use phoenix_component::{ConnectorOutlets, Consumer};
    use phoenix_config::{KeyPath, Kind, Location, PipelineId, Problems, Resolver, YamlProvider};
    use phoenix_pdata::{Payload, Signal};

    use super::*;

    /// Counts items, and answers as told.
    #[derive(Default)]
    struct Sink {
        items: Mutex<u64>,
        refusal: Option<Refusal>,
    }

    impl Consumer for Sink {
        fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
            if self.refusal.is_none() {
                *self.items.lock().expect("not poisoned") += batch.items;
            }
            let refusal = self.refusal.clone();
            Box::pin(async move { refusal.map_or(Ok(()), Err) })
        }
    }

    fn make(sinks: &[Arc<Sink>]) -> Result<Arc<dyn ConnectorFlow>, StartError> {
        let by_pipeline = sinks.iter().enumerate().map(|(number, sink)| {
            let outlet = Outlet::unwired(Signal::Logs);
            outlet.wire(Some(sink.clone()));
            (PipelineId::parse(&format!("logs/{number}")).expect("a pipeline"), outlet)
        });
        let outlets =
            ConnectorOutlets { all: Outlet::unwired(Signal::Logs), by_pipeline: by_pipeline.collect() };
        let made = with_context(Kind::Connector, "round_robin", |cx| {
            RoundRobinFactory.create(&RoundRobinConfig {}, cx, Signal::Logs, Signal::Logs, outlets)
        });
        made.map(|connector| match connector {
            Connector::Flow(flow) => flow,
            _ => panic!("it holds nothing"),
        })
    }

    #[tokio::test]
    async fn pipelines_take_turns_and_a_refusal_goes_back() {
        let down = Refusal::retryable("busy", "not now");
        let sinks = [
            Arc::default(),
            Arc::default(),
            Arc::new(Sink { refusal: Some(down.clone()), ..Sink::default() }),
        ];
        let flow = make(&sinks).expect("made");
        let send = |items| {
            flow.consume(Batch::new(Signal::Logs, Payload::default(), items)).now_or_never().expect("inline")
        };
        let outcomes: Vec<_> = (0..6).map(|turn| send(1 + turn)).collect();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(down.clone())).count(), 2);
        let items: Vec<u64> = sinks.iter().map(|sink| *sink.items.lock().expect("not poisoned")).collect();
        assert_eq!(items, [1 + 4, 2 + 5, 0]);
    }

    #[tokio::test]
    async fn takes_no_settings_and_needs_a_pipeline() {
        let error = make(&[]).err().expect("nothing to give to");
        assert!(error.to_string().contains("no pipeline"), "{error}");
        let parse = |yaml: &str| {
            let resolver = Resolver::new().with(YamlProvider);
            let root = resolver.resolve(&[format!("yaml:{yaml}")], &[]).expect("YAML").root;
            let mut problems = Problems::in_section(KeyPath::root(), &root, &Location::nowhere());
            (RoundRobinFactory.parse(&root, &mut problems).is_some(), problems.has_errors())
        };
        assert_eq!(parse("{}"), (true, false));
        assert_eq!(parse("{weights: [1]}"), (false, true));
    }
}

//! Passes data on to other pipelines of the same signal, as it is: to merge pipelines, or to fork one.
//!
//! It is a call: nothing is copied or held, and what the pipelines behind it answer travels back by return.

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, ConnectorFactory, CreateContext, Descriptor, Factory, SharedSettings, Stability, Support,
    parse_settings,
};
use phoenix_component::{
    Batch, BoxFuture, Change, Connector, ConnectorFlow, ConnectorOutlets, Outlet, Refusal, StartError,
};
use phoenix_config::{Described, Node, Problems, Settings, Shape};
use phoenix_pdata::Signal;
use serde::Deserialize;

/// Settings of the `forward` connector: there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardConfig {}

impl Settings for ForwardConfig {}

/// Makes `forward` connectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForwardFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "forward",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for ForwardFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<ForwardConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        ForwardConfig::shape()
    }
}

impl ConnectorFactory for ForwardFactory {
    fn create(
        &self,
        _settings: &dyn AnySettings,
        _cx: CreateContext<'_>,
        _from: Signal,
        _to: Signal,
        outlets: ConnectorOutlets,
    ) -> Result<Connector, StartError> {
        Ok(Connector::Flow(Arc::new(Forward { to: outlets.all })))
    }
}

/// A `forward` connector of one signal.
#[derive(Clone, Debug)]
pub struct Forward {
    to: Outlet,
}

impl ConnectorFlow for Forward {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(self.to.send(batch))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use phoenix_component::Consumer;
    use phoenix_component::harness::with_context;
    use phoenix_config::{KeyPath, Kind, Location, Resolver, YamlProvider};
    use phoenix_pdata::Payload;

    use super::*;

    /// Remembers what came and answers as told.
    #[derive(Default)]
    struct Sink {
        got: Mutex<Vec<Batch>>,
        refusal: Option<Refusal>,
    }

    impl Consumer for Sink {
        fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
            self.got.lock().expect("not poisoned").push(batch);
            let refusal = self.refusal.clone();
            Box::pin(async move { refusal.map_or(Ok(()), Err) })
        }
    }

    fn forward_to(outlet: &Outlet) -> Arc<dyn ConnectorFlow> {
        let outlets = ConnectorOutlets { all: outlet.clone(), by_pipeline: Vec::new() };
        let made = with_context(Kind::Connector, "forward", |cx| {
            ForwardFactory.create(&ForwardConfig {}, cx, Signal::Logs, Signal::Logs, outlets)
        });
        match made.expect("made") {
            Connector::Flow(flow) => flow,
            Connector::Stage { .. } => panic!("it holds nothing"),
        }
    }

    #[tokio::test]
    async fn passes_a_batch_on_as_it_is_and_the_answer_back() {
        let outlet = Outlet::unwired(Signal::Logs);
        let flow = forward_to(&outlet);
        let batch = || Batch { waiting: 3, owned: true, ..Batch::new(Signal::Logs, Payload::default(), 7) };
        let refusal = flow.consume(batch()).now_or_never().expect("inline").expect_err("wired to nothing");
        assert!(refusal.is_retryable(), "{refusal}");

        let sink = Arc::new(Sink::default());
        outlet.wire(Some(sink.clone()));
        assert_eq!(flow.consume(batch()).now_or_never(), Some(Ok(())));
        let got = sink.got.lock().expect("not poisoned").pop().expect("passed on");
        assert_eq!((got.items, got.waiting, got.owned), (7, 3, true));

        for refusal in [Refusal::permanent("bad", "never"), Refusal::retryable("busy", "not now")] {
            outlet.wire(Some(Arc::new(Sink { refusal: Some(refusal.clone()), ..Sink::default() })));
            assert_eq!(flow.consume(batch()).now_or_never(), Some(Err(refusal)));
        }
    }

    #[test]
    fn takes_no_settings_and_only_one_signal() {
        let parse = |yaml: &str| {
            let root = Resolver::new()
                .with(YamlProvider)
                .resolve(&[format!("yaml:{yaml}")], &[])
                .expect("YAML")
                .root;
            let mut problems = Problems::in_section(KeyPath::root(), &root, &Location::nowhere());
            let settings = ForwardFactory.parse(&root, &mut problems);
            (settings.is_some(), problems.has_errors())
        };
        assert_eq!(parse("{}"), (true, false));
        assert_eq!(parse("{to: traces}"), (false, true));
        assert_eq!(ForwardFactory.change(&ForwardConfig {}, None), Change::stateless());
        let descriptor = ForwardFactory.descriptor();
        assert!(descriptor.supports(Signal::Metrics, Signal::Metrics));
        assert!(!descriptor.supports(Signal::Traces, Signal::Metrics));
    }
}

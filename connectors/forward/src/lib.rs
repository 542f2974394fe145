//! Passes data on to other pipelines of the same signal, as it is: to merge pipelines, or to fork one.
//!
//! It is a call: nothing is copied or held, and what the pipelines behind it answer travels back by return.

use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Batch, BoxFuture, Change, Connector, ConnectorFlow, Outlet, Refusal};
use phoenix_config::{Described, Settings};
use serde::Deserialize;

/// Settings of the `forward` connector: there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardConfig {}

impl Settings for ForwardConfig {}

phoenix_component::connector_factory! {
    /// Makes `forward` connectors.
    ForwardFactory: "forward", ForwardConfig;
    create: |_, _, _, outlets| Ok(Connector::Flow(Arc::new(Forward { to: outlets.all }))),
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
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
    use phoenix_component::factory::{ConnectorFactory as _, Factory as _};
    use phoenix_component::harness::with_context;
    use phoenix_component::{ConnectorOutlets, Consumer};
    use phoenix_config::{KeyPath, Kind, Location, Problems, Resolver, YamlProvider};
    use phoenix_pdata::{Payload, Signal};

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
            _ => panic!("it holds nothing"),
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

//! A collector inside the test's process, from a configuration as the binary would run it, so that its
//! books can be read.

use std::sync::Arc;
use std::time::Duration;

use phoenix_component::factory::Registry;
use phoenix_component::{
    Budget, BuildInfo, Capabilities, CoreThreads, Cores, Health, Host, Leases, Lost, SystemMemory,
};
use phoenix_config::{Config, EnvProvider, Problems, Resolver};
use phoenix_engine::{Applied, ApplyError, Book, Engine, EngineOptions, Plan, SwapReport};
use phoenix_telemetry::Metrics;
use phoenix_telemetry::logs::LogHandle;
use phoenix_telemetry::traces::Tracer;
use tokio::time::Instant;

#[path = "../../src/registry.rs"]
pub(crate) mod registry;

/// A collector on two cores.
pub(crate) struct Inside {
    pub(crate) engine: Engine,
    _threads: CoreThreads,
}

impl Inside {
    pub(crate) async fn start(yaml: &str) -> Inside {
        Inside::start_with(registry::registry(), yaml).await
    }

    /// One of another distribution.
    pub(crate) async fn start_with(registry: Registry, yaml: &str) -> Inside {
        let (cores, threads) = Cores::start(2).expect("threads");
        let options =
            EngineOptions { drain_timeout: Duration::from_secs(3), ..EngineOptions::for_memory(2 << 30) };
        let host = Host {
            budget: Budget::new(options.budget_bytes),
            cores,
            control: tokio::runtime::Handle::current(),
            leases: Leases::default(),
            capabilities: Capabilities::default(),
            metrics: Metrics::default(),
            logs: LogHandle::default(),
            tracer: Tracer::default(),
            health: Health::default(),
            memory: Arc::new(SystemMemory),
            build: BuildInfo::default(),
            collector: phoenix_component::CollectorHandle::default(),
        };
        let inside = Inside { engine: Engine::new(Arc::new(registry), host, options), _threads: threads };
        match inside.apply(yaml).await {
            Ok(_) => {}
            Err(Ok(error)) => panic!("it does not start: {error}"),
            Err(Err(problems)) => panic!("it has mistakes: {problems}"),
        }
        inside
    }

    /// Applies a configuration; one with mistakes is an error of the first kind.
    pub(crate) async fn apply(&self, yaml: &str) -> Result<SwapReport, Result<ApplyError, Box<Problems>>> {
        let plan = self.plan(yaml).map_err(Err)?;
        self.engine.apply(&plan).await.map_err(Ok)
    }

    /// Applies a configuration and holds the outcome against what was foretold.
    pub(crate) async fn apply_as_foretold(&self, yaml: &str) -> Applied {
        let plan = self.plan(yaml).unwrap_or_else(|problems| panic!("it has mistakes: {problems}"));
        let foretold = self.engine.preview(&plan);
        let applied = self.engine.apply_if(&plan, |_| true).await.expect("applied");
        let keys = |changes: &[phoenix_component::ComponentChange]| -> Vec<_> {
            changes.iter().map(|change| change.component.clone()).collect()
        };
        let report = &applied.report;
        assert_eq!((&foretold.kept, &foretold.added), (&report.kept, &report.added));
        assert_eq!(keys(&foretold.changed), report.changed);
        assert_eq!(keys(&foretold.removed), report.removed);
        applied
    }

    fn plan(&self, yaml: &str) -> Result<Plan, Box<Problems>> {
        let resolver = Resolver::with_environment(EnvProvider::new(|_| None));
        let resolved = resolver.resolve::<String>(&[format!("yaml:{yaml}")], &[])?;
        let mut problems = resolved.problems;
        let config = Config::read(&resolved.root, &**self.engine.registry(), &mut problems);
        Plan::new(&config, self.engine.registry(), &mut problems).ok_or_else(|| Box::new(problems))
    }

    pub(crate) fn metric(&self, name: &str, attributes: &[(&str, &str)]) -> i64 {
        self.engine.host().metrics.sum(name, attributes)
    }

    /// The books of every component, each of which must balance once the collector is quiet.
    pub(crate) async fn balanced_books(&self) -> Vec<Book> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let books = self.engine.books().await;
            match books.iter().find(|book| book.imbalance() != 0) {
                None => return books,
                Some(book) => assert!(Instant::now() < deadline, "the books do not balance: {book:?}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What can tell where data went: books that do not balance, or with something held or dropped, and what
    /// was dropped in all, by reason.
    pub(crate) async fn suspicious_books(&self) -> (Vec<Book>, Vec<String>) {
        let mut books = self.engine.books().await;
        books.retain(|book| book.imbalance() != 0 || book.held != 0 || book.dropped != 0);
        let is_loss =
            |name: &str| ["dropped", "lost", "partial", "failed"].iter().any(|word| name.contains(word));
        let samples = self.engine.host().metrics.snapshot().into_iter();
        let losses = samples
            .filter(|sample| {
                is_loss(sample.description.name) && sample.value != phoenix_telemetry::Value::Int(0)
            })
            .map(|sample| format!("{} {:?} {:?}", sample.description.name, sample.attributes, sample.value));
        (books, losses.collect())
    }

    /// The balanced books once nothing is held any more.
    pub(crate) async fn empty_books(&self) -> Vec<Book> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let books = self.balanced_books().await;
            if books.iter().all(|book| book.held == 0) {
                return books;
            }
            assert!(Instant::now() < deadline, "something is still held: {books:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn shutdown(&self, timeout: Duration) -> Lost {
        self.engine.shutdown(Instant::now() + timeout).await
    }
}

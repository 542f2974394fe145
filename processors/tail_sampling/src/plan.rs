//! From settings to what is evaluated: conditions for spans, policies for traces.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use phoenix_config::Problems;

use crate::conditions::{Condition, Conditions};
use crate::config::{
    CompatConfig, PolicyConfig, PolicyType, Randomness, SamplingStrategy, TailSamplingConfig,
};
use crate::facts::{ConditionId, FieldId};
use crate::policies;
use crate::policy::Policy;

/// A policy that decides about whole traces, by its name.
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) kind: PolicyType,
    pub(crate) policy: Box<dyn Policy>,
}

/// What one configuration evaluates: the conditions of all its policies, and the policies.
pub(crate) struct Plan {
    pub(crate) conditions: Conditions,
    /// Those of type `drop` first, each group in the order of the configuration.
    pub(crate) policies: Vec<Named>,
}

/// What the policies of all shards share, by the path of their names.
#[derive(Default)]
pub struct Shared(HashMap<String, Arc<dyn Any + Send + Sync>>);

/// Builds policies: gives out conditions and fields, and collects problems.
pub struct Builder<'b> {
    pub(crate) conditions: Conditions,
    pub(crate) compat: &'b CompatConfig,
    pub(crate) randomness: Randomness,
    /// Parts that decide in parallel.
    pub(crate) shards: u32,
    at_ingest: bool,
    shared: &'b mut Shared,
    problems: &'b mut Problems,
    /// The names of the policies around, and of the one that is built.
    path: String,
    depth: usize,
}

/// Policies in policies, at most.
const MAX_DEPTH: usize = 16;

impl Builder<'_> {
    /// A condition, evaluated for each span as it comes. Equal ones are evaluated once.
    pub(crate) fn condition(&mut self, condition: Condition) -> ConditionId {
        self.conditions.add(condition)
    }

    /// An attribute of resources and spans, whose distinct values are gathered for each trace.
    pub fn field(&mut self, key: &str) -> FieldId {
        self.conditions.add_field(key)
    }

    /// The state that the policies at this place share over all shards; `make` makes it for the first.
    pub fn shared<T: Any + Send + Sync>(&mut self, make: impl FnOnce() -> T) -> Arc<T> {
        let entry = self.shared.0.entry(self.path.clone()).or_insert_with(|| Arc::new(make()));
        match entry.clone().downcast::<T>() {
            Ok(shared) => shared,
            Err(_) => unreachable!("one place has policies of one type"),
        }
    }

    /// Where problems with the policy go; keys are relative to the processor's section.
    pub fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    /// Builds the policy that stands at `key`; none where something is wrong with it, which is reported.
    pub fn policy(&mut self, config: &PolicyConfig, key: &str) -> Option<Box<dyn Policy>> {
        if self.depth == MAX_DEPTH {
            self.problems.error(key, format!("policies may stand in each other up to {MAX_DEPTH} times"));
            return None;
        }
        if self.at_ingest && is_stateful(config.kind) {
            let text =
                "counts traces, and cannot with sampling_strategy span-ingest, which asks several times";
            self.problems.error(&format!("{key}::type"), text);
            return None;
        }
        let outside = self.path.len();
        self.path.push('/');
        self.path.push_str(&config.name);
        self.depth += 1;
        let policy = policies::build(self, config, key);
        self.depth -= 1;
        self.path.truncate(outside);
        policy
    }

    /// Builds the policies of a list that stands at `key`. Names are there and unique.
    pub fn list(&mut self, configs: &[PolicyConfig], key: &str) -> Vec<Option<Box<dyn Policy>>> {
        let mut built = Vec::with_capacity(configs.len());
        for (index, config) in configs.iter().enumerate() {
            let at = format!("{key}::{index}");
            let name = config.name.as_str();
            let name_at = format!("{at}::name");
            self.problems.require(!name.is_empty(), &name_at, "must not be empty");
            let is_new = !configs[..index].iter().any(|other| other.name == name);
            self.problems.require(
                is_new || name.is_empty(),
                &name_at,
                format!("duplicate policy name: {name:?}"),
            );
            built.push(self.policy(config, &at));
        }
        built
    }
}

/// Whether a policy's answer changes what it answers next.
fn is_stateful(kind: PolicyType) -> bool {
    matches!(kind, PolicyType::RateLimiting | PolicyType::BytesLimiting | PolicyType::Composite)
}

impl Plan {
    /// The plan of a configuration; its problems are reported, and policies that have any are left out.
    pub(crate) fn new(config: &TailSamplingConfig, shared: &mut Shared, problems: &mut Problems) -> Plan {
        let mut builder = Builder {
            conditions: Conditions::default(),
            compat: &config.compat,
            randomness: config.randomness,
            shards: config.num_shards.max(1),
            at_ingest: config.sampling_strategy == SamplingStrategy::SpanIngest,
            shared,
            problems,
            path: String::new(),
            depth: 0,
        };
        let built = builder.list(&config.policies, "policies");
        let (mut drops, mut others) = (Vec::new(), Vec::new());
        for (policy, config) in built.into_iter().zip(&config.policies) {
            let Some(policy) = policy else { continue };
            let list = if config.kind == PolicyType::Drop { &mut drops } else { &mut others };
            list.push(Named { name: config.name.as_str().into(), kind: config.kind, policy });
        }
        drops.append(&mut others);
        Plan { conditions: builder.conditions, policies: drops }
    }
}

/// Reports what is wrong with the policies.
pub(crate) fn validate(config: &TailSamplingConfig, problems: &mut Problems) {
    Plan::new(config, &mut Shared::default(), problems);
}

//! From settings to what is evaluated: conditions for spans, policies for traces.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use phoenix_component::Capabilities;
use phoenix_config::Problems;
use phoenix_sampling::Threshold;

use crate::conditions::{Condition, Conditions};
use crate::config::{
    CompatConfig, Evaluation, PolicyConfig, PolicyType, Randomness, SamplingStrategy, TailSamplingConfig,
};
use crate::facts::{ConditionId, FieldId};
use crate::policies;
use crate::policy::Policy;
use crate::truncation::Truncation;

/// A policy that decides about whole traces, by its name.
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) kind: PolicyType,
    pub(crate) policy: Box<dyn Policy>,
    /// Asked and counted, and not heard.
    pub(crate) is_shadow: bool,
    /// Its class of retention, as an index: the lowest is the highest.
    pub(crate) class: Option<u16>,
}

/// What one configuration evaluates: the conditions of all its policies, and the policies.
pub(crate) struct Plan {
    pub(crate) conditions: Conditions,
    /// Those of type `drop` first, each group in the order of the configuration; with `first_match` all in that order.
    pub(crate) policies: Vec<Named>,
    pub(crate) evaluation: Evaluation,
    /// Classes of retention, the highest first.
    pub(crate) classes: Vec<Arc<str>>,
    /// How large traces are cut: the first that applies to a trace does.
    pub(crate) truncations: Vec<Truncation>,
}

/// What the policies of all shards share, by the path of their names.
#[derive(Default)]
pub struct Shared {
    by_path: HashMap<String, Arc<dyn Any + Send + Sync>>,
    /// What extensions offer; none while nothing runs, and settings are only checked.
    pub(crate) capabilities: Option<Capabilities>,
    /// The shard whose plan is made next.
    pub(crate) shard: usize,
}

impl Shared {
    /// Of policies that may ask extensions.
    pub(crate) fn with_extensions(capabilities: Capabilities) -> Shared {
        Shared { capabilities: Some(capabilities), ..Shared::default() }
    }
}

/// Builds policies: gives out conditions and fields, and collects problems.
pub struct Builder<'b> {
    pub(crate) conditions: Conditions,
    pub(crate) compat: &'b CompatConfig,
    pub(crate) randomness: Randomness,
    /// The number of the shard, and how many there are.
    pub(crate) shard: (usize, usize),
    /// What extensions offer, where anything runs.
    pub(crate) capabilities: Option<Capabilities>,
    at_ingest: bool,
    shared: &'b mut Shared,
    problems: &'b mut Problems,
    /// The names of the policies around, and of the one that is built.
    path: String,
    /// Their types.
    around: Vec<PolicyType>,
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
        let entry = self.shared.by_path.entry(self.path.clone()).or_insert_with(|| Arc::new(make()));
        match entry.clone().downcast::<T>() {
            Ok(shared) => shared,
            Err(_) => unreachable!("one place has policies of one type"),
        }
    }

    /// Whether the policy that is built decides by itself, or together with conditions in an `and`: what it passes on is passed on.
    pub(crate) fn passes_on(&self) -> bool {
        let (_, outside) = self.around.split_last().unwrap_or((&PolicyType::And, &[]));
        outside.iter().all(|kind| *kind == PolicyType::And)
    }

    /// Where problems with the policy go; keys are relative to the processor's section.
    pub fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    /// Builds the policy that stands at `key`; none where something is wrong with it, which is reported.
    pub fn policy(&mut self, config: &PolicyConfig, key: &str) -> Option<Box<dyn Policy>> {
        self.labelled(config, &config.name, key)
    }

    /// The same of one of several, which have labels that differ.
    fn labelled(&mut self, config: &PolicyConfig, label: &str, key: &str) -> Option<Box<dyn Policy>> {
        if self.around.len() == MAX_DEPTH {
            self.problems.error(key, format!("policies may stand in each other up to {MAX_DEPTH} times"));
            return None;
        }
        for (name, is_set) in
            [("shadow", config.shadow), ("retention_class", !config.retention_class.is_empty())]
        {
            let text =
                "is for policies of the first level: those inside of another do not decide by themselves";
            self.problems.require(self.around.is_empty() || !is_set, &format!("{key}::{name}"), text);
        }
        if self.at_ingest && is_stateful(config.kind) {
            let text =
                "counts traces, and cannot with sampling_strategy span-ingest, which asks several times";
            self.problems.error(&format!("{key}::type"), text);
            return None;
        }
        let outside = self.path.len();
        self.path.push('/');
        self.path.push_str(label);
        self.around.push(config.kind);
        let policy = policies::build(self, config, key);
        self.around.pop();
        self.path.truncate(outside);
        policy
    }

    /// Builds the policies of a list that stands at `key`. On the first level names are there and unique.
    pub fn list(&mut self, configs: &[PolicyConfig], key: &str) -> Vec<Option<Box<dyn Policy>>> {
        let mut built = Vec::with_capacity(configs.len());
        for (index, (config, label)) in configs.iter().zip(labels(configs)).enumerate() {
            let at = format!("{key}::{index}");
            let name = config.name.as_str();
            if self.around.is_empty() {
                let name_at = format!("{at}::name");
                self.problems.require(!name.is_empty(), &name_at, "must not be empty");
                let text = format!("duplicate policy name: {name:?}");
                self.problems.require(label == name || name.is_empty(), &name_at, text);
            }
            let is_cut = self.around.is_empty() && config.kind == PolicyType::TraceTruncate;
            built.push(if is_cut { None } else { self.labelled(config, &label, &at) });
        }
        built
    }

    /// How large traces are cut, by the policies on the first level.
    fn truncations(&mut self, configs: &[PolicyConfig]) -> Vec<Truncation> {
        let mut truncations = Vec::new();
        for (index, of) in configs.iter().enumerate().filter(|(_, of)| of.kind == PolicyType::TraceTruncate) {
            let config = &of.trace_truncate;
            let percentage = config.sampling_percentage;
            let text = "has no effect on a policy that keeps nothing";
            let require = [
                ("shadow", !of.shadow, text),
                ("retention_class", of.retention_class.is_empty(), text),
                (
                    "type",
                    !self.at_ingest,
                    "needs sampling_strategy trace-complete: else a trace is let out before it is large",
                ),
                (
                    "trace_truncate",
                    config.min_spans > 0 || config.min_bytes > 0,
                    "needs min_spans or min_bytes, above 0",
                ),
                (
                    "trace_truncate::sampling_percentage",
                    (0.0..100.0).contains(&percentage),
                    "must be at least 0 and below 100",
                ),
            ];
            for (name, holds, text) in require {
                self.problems.require(holds, &format!("policies::{index}::{name}"), text);
            }
            let share =
                if percentage > 0.0 { Threshold::of_rate(100.0 / percentage) } else { Threshold::NEVER };
            truncations.push(Truncation { min_spans: config.min_spans, min_bytes: config.min_bytes, share });
        }
        truncations
    }
}

/// What tells the policies of a list apart: their names, and where these do not, their places too.
pub(crate) fn labels(configs: &[PolicyConfig]) -> Vec<String> {
    let label = |(index, config): (usize, &PolicyConfig)| {
        let name = &config.name;
        let is_new = !name.is_empty() && !configs[..index].iter().any(|other| other.name == *name);
        if is_new { name.clone() } else { format!("{name}#{index}") }
    };
    configs.iter().enumerate().map(label).collect()
}

/// Whether a policy's answer changes what it answers next.
fn is_stateful(kind: PolicyType) -> bool {
    use PolicyType::{
        Budget, BytesLimiting, Composite, EmaDynamic, EmaThroughput, ErrorFingerprint, Extension, FairShare,
        LatencyQuantile, Novelty, Priority, RateLimiting,
    };
    matches!(
        kind,
        RateLimiting
            | BytesLimiting
            | Composite
            | Budget
            | FairShare
            | Priority
            | EmaDynamic
            | EmaThroughput
            | Novelty
            | LatencyQuantile
            | ErrorFingerprint
            | Extension
    )
}

impl Plan {
    /// The plan of a configuration; its problems are reported, and policies that have any are left out.
    pub(crate) fn new(config: &TailSamplingConfig, shared: &mut Shared, problems: &mut Problems) -> Plan {
        let mut builder = Builder {
            conditions: Conditions::default(),
            compat: &config.compat,
            randomness: config.randomness,
            shard: (shared.shard, config.num_shards.max(1) as usize),
            capabilities: shared.capabilities.clone(),
            at_ingest: config.sampling_strategy == SamplingStrategy::SpanIngest,
            shared,
            problems,
            path: String::new(),
            around: Vec::new(),
        };
        let built = builder.list(&config.policies, "policies");
        let truncations = builder.truncations(&config.policies);
        let (mut drops, mut others) = (Vec::new(), Vec::new());
        let in_order = config.evaluation == Evaluation::FirstMatch;
        for (index, (policy, of)) in built.into_iter().zip(&config.policies).enumerate() {
            let class = of.retention_class.as_str();
            let known = config.retention_classes.iter().position(|known| known == class);
            builder.problems.require(
                class.is_empty() || known.is_some(),
                &format!("policies::{index}::retention_class"),
                format!("{class:?} is not one of retention_classes"),
            );
            let Some(policy) = policy else { continue };
            let list = if of.kind == PolicyType::Drop && !in_order { &mut drops } else { &mut others };
            list.push(Named {
                name: of.name.as_str().into(),
                kind: of.kind,
                policy,
                is_shadow: of.shadow,
                class: known.and_then(|index| u16::try_from(index).ok()),
            });
        }
        drops.append(&mut others);
        Plan {
            conditions: builder.conditions,
            policies: drops,
            evaluation: config.evaluation,
            classes: config.retention_classes.iter().map(|class| class.as_str().into()).collect(),
            truncations,
        }
    }
}

/// Reports what is wrong with the policies.
pub(crate) fn validate(config: &TailSamplingConfig, problems: &mut Problems) {
    Plan::new(config, &mut Shared::default(), problems);
}

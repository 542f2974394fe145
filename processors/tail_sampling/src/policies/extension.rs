//! Policies that extensions offer, by their identifier as `type`.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, Once};

use arc_swap::ArcSwap;
use phoenix_component::{
    Capabilities, ObservedSpan, ObservedTrace, SamplingPolicies, SamplingPolicy, SamplingVote, Slot,
};
use phoenix_config::{ComponentId, Foreign};
use serde_json::Value;

use crate::facts::{NoteId, TraceFacts};
use crate::plan::Builder;
use crate::policy::{Moment, Policy, Verdict, Vote};

/// The policy as the extension made it, and the extension.
struct Made {
    by: Arc<dyn SamplingPolicies>,
    policy: Arc<dyn SamplingPolicy>,
}

/// A policy of an extension. All shards share it.
pub(crate) struct Asked {
    id: ComponentId,
    name: String,
    settings: Value,
    slot: Arc<Slot<dyn SamplingPolicies>>,
    made: ArcSwap<Made>,
    /// Held by the shard that asks the extension again.
    renewing: Mutex<()>,
    adopted: Once,
}

impl Asked {
    /// Asks the extension for the policy.
    fn new(
        capabilities: &Capabilities,
        id: &ComponentId,
        name: &str,
        settings: &Value,
    ) -> Result<Asked, String> {
        let slot = capabilities.find::<Slot<dyn SamplingPolicies>>(id);
        let offered = slot.and_then(|slot| slot.get().map(|by| (slot, by)));
        let Some((slot, by)) = offered else {
            return Err(format!(
                "unknown sampling policy type {id}: no extension of that name offers policies; list it under \
                 service::extensions"
            ));
        };
        let policy =
            by.policy(name, settings).map_err(|error| format!("unable to load extension {id}: {error}"))?;
        Ok(Asked {
            id: id.clone(),
            name: name.to_owned(),
            settings: settings.clone(),
            slot,
            made: ArcSwap::from_pointee(Made { by, policy: policy.into() }),
            renewing: Mutex::new(()),
            adopted: Once::new(),
        })
    }

    pub(crate) fn observe(&self, span: &ObservedSpan<'_>, note: &mut u64) {
        self.made.load().policy.observe(span, note);
    }

    /// Where another extension has taken the place of the former, because its settings changed, has that one make the policy.
    fn renew(&self) {
        let Some(by) = self.slot.get() else { return };
        if Arc::ptr_eq(&by, &self.made.load().by) {
            return;
        }
        let Ok(_only_one) = self.renewing.try_lock() else { return };
        let old = self.made.load_full();
        if Arc::ptr_eq(&by, &old.by) {
            return;
        }
        let policy: Arc<dyn SamplingPolicy> = match by.policy(&self.name, &self.settings) {
            Ok(policy) => policy.into(),
            Err(error) => {
                tracing::error!(
                    extension = %self.id,
                    policy = self.name,
                    error,
                    "the extension does not make this policy any more: it goes on as it was"
                );
                self.made.store(Arc::new(Made { by, policy: old.policy.clone() }));
                return;
            }
        };
        policy.adopt(&*old.policy);
        self.made.store(Arc::new(Made { by, policy }));
    }

    /// Goes on with the state of a policy of a former configuration; once, for all shards.
    fn adopt(&self, old: &Asked) {
        if self.id == old.id {
            self.adopted.call_once(|| self.made.load().policy.adopt(&*old.made.load().policy));
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.id)
    }
}

/// The policy within a shard.
struct OfExtension {
    asked: Arc<Asked>,
    note: NoteId,
    /// Where it does not keep a trace, that is nothing to it: with `first_match` the next one is asked.
    passes_on: bool,
}

impl Policy for OfExtension {
    fn decide(&mut self, trace: &TraceFacts, now: Moment) -> Verdict {
        let made = self.asked.made.load();
        let observed = ObservedTrace {
            id: trace.id(),
            spans: trace.spans(),
            bytes: trace.bytes(),
            duration_nanos: trace.duration_nanos(),
            has_root: trace.has_root(),
            has_error: trace.has_error(),
            note: trace.note(self.note),
            now: (now.monotonic, now.unix_nanos),
        };
        let vote = match made.policy.decide(&observed) {
            SamplingVote::Sampled => Vote::Sampled,
            SamplingVote::NotSampled => Vote::NotSampled,
            SamplingVote::Dropped => Vote::Dropped,
            SamplingVote::Failed(error) => {
                tracing::debug!(policy = self.asked.name, error, "a sampling policy failed");
                Vote::Error
            }
        };
        let is_certain = made.policy.is_condition() || vote == Vote::NotSampled && self.passes_on;
        if is_certain { Verdict::certain(vote) } else { Verdict::uncertain(vote) }
    }

    fn end_of_round(&mut self, _: Moment) {
        self.asked.renew();
    }

    fn adopt(&mut self, old: &mut dyn Policy) {
        if let Some(old) = old.as_any().downcast_ref::<OfExtension>() {
            self.asked.adopt(&old.asked);
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Stands for the policy while nothing runs, and nobody can be asked.
struct Unasked;

impl Policy for Unasked {
    fn decide(&mut self, _: &TraceFacts, _: Moment) -> Verdict {
        Verdict::uncertain(Vote::NotSampled)
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(crate) fn build(
    builder: &mut Builder<'_>,
    name: &str,
    foreign: &Foreign,
    key: &str,
) -> Option<Box<dyn Policy>> {
    let at = format!("{key}::type");
    let id = match ComponentId::parse(&foreign.kind) {
        Ok(id) => id,
        Err(error) => {
            builder.problems().error(&at, format!("is neither a type of policy nor an extension: {error}"));
            return None;
        }
    };
    let Some(capabilities) = builder.capabilities.clone() else { return Some(Box::new(Unasked)) };
    let passes_on = builder.passes_on();
    let asked = builder.shared(|| Asked::new(&capabilities, &id, name, &foreign.settings).map(Arc::new));
    match &*asked {
        Ok(asked) => {
            let note = builder.conditions.add_observer(asked.clone());
            Some(Box::new(OfExtension { asked: asked.clone(), note, passes_on }))
        }
        Err(error) => {
            builder.problems().error(&at, error.clone());
            None
        }
    }
}

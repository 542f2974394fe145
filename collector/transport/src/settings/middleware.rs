use phoenix_component::limiter::Limiter;
use phoenix_component::{Capabilities, RequestLimiter, Slot, StartError};
use phoenix_config::{Capability, ComponentId, Described, Problems};
use serde::Deserialize;

use crate::Gate;

/// The types of the extensions that listeners can ask.
const TYPES: [&str; 2] = ["memory_limiter", "rate_limiter"];

/// One of the `middlewares` of a listener: an extension that looks at requests before they are read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields)]
pub struct Middleware {
    /// The extension: a `memory_limiter` or a `rate_limiter`.
    #[described(names = Capability::Middleware)]
    pub id: String,
}

/// Reports entries that name no extension of a type that can be asked.
pub(super) fn validate(middlewares: &[Middleware], problems: &mut Problems) {
    for (index, middleware) in middlewares.iter().enumerate() {
        let key = format!("middlewares::{index}::id");
        match ComponentId::parse(&middleware.id) {
            Ok(id) if TYPES.contains(&id.type_name()) => {}
            Ok(id) => problems.error_with_help(
                &key,
                format!("middleware \"{id}\" is not supported: only memory_limiter and rate_limiter extensions are"),
                "remove it, or name a limiter",
            ),
            Err(error) => problems.error(&key, format!("{:?} is no identifier: {error}", middleware.id)),
        }
    }
}

/// What the middlewares of a listener amount to.
pub(super) fn gate(middlewares: &[Middleware], capabilities: &Capabilities) -> Result<Gate, StartError> {
    let (mut limiters, mut rates) = (Vec::new(), Vec::new());
    for Middleware { id } in middlewares {
        let found = ComponentId::parse(id).ok().and_then(|id| {
            let limiter = capabilities.find::<Limiter>(&id).map(|limiter| limiters.push(limiter));
            let rate = || capabilities.find::<Slot<dyn RequestLimiter>>(&id).map(|rate| rates.push(rate));
            limiter.or_else(rate)
        });
        found.ok_or_else(|| {
            StartError::new(format!(
                "failed to resolve middleware \"{id}\": middleware not found; name it in `service::extensions` too"
            ))
        })?;
    }
    Ok(Gate::new(limiters).with_rates(rates))
}

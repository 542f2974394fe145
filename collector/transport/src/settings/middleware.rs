use phoenix_component::limiter::Limiter;
use phoenix_component::{Capabilities, StartError};
use phoenix_config::{ComponentId, Described, Problems};
use serde::Deserialize;

use crate::Gate;

/// The type of the extensions that listeners can ask.
const MEMORY_LIMITER: &str = "memory_limiter";

/// One of the `middlewares` of a listener: an extension that looks at requests before they are read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields)]
pub struct Middleware {
    /// The extension; so far that has to be a `memory_limiter`.
    pub id: String,
}

/// Reports entries that name no extension of a type that can be asked.
pub(super) fn validate(middlewares: &[Middleware], problems: &mut Problems) {
    for (index, middleware) in middlewares.iter().enumerate() {
        let key = format!("middlewares::{index}::id");
        match ComponentId::parse(&middleware.id) {
            Ok(id) if id.type_name() == MEMORY_LIMITER => {}
            Ok(id) => problems.error_with_help(
                &key,
                format!("middleware \"{id}\" is not supported: only memory_limiter extensions are"),
                "remove it, or name a memory_limiter",
            ),
            Err(error) => problems.error(&key, format!("{:?} is no identifier: {error}", middleware.id)),
        }
    }
}

/// What the middlewares of a listener amount to.
pub(super) fn gate(middlewares: &[Middleware], capabilities: &Capabilities) -> Result<Gate, StartError> {
    let find = |middleware: &Middleware| {
        let id = ComponentId::parse(&middleware.id).ok();
        let limiter = id.and_then(|id| capabilities.find::<Limiter>(&id));
        limiter.ok_or_else(|| {
            let id = &middleware.id;
            StartError::new(format!(
                "failed to resolve middleware \"{id}\": middleware not found; name it in `service::extensions` too"
            ))
        })
    };
    middlewares.iter().map(find).collect::<Result<_, _>>().map(Gate::new)
}

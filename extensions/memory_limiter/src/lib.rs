//! Refuses requests while the process uses too much memory, before they are read.
//!
//! It measures resident memory once per `check_interval`, and offers the verdict to the listeners that
//! name it among their `middlewares`; to these a request costs one atomic load. Its soft limit also bounds the
//! collector's budget of bytes, as that of the processor of the same name does.

mod extension;

use std::sync::Arc;

use phoenix_component::Change;
use phoenix_component::factory::{Stability, Support};
use phoenix_component::limiter::MemoryLimiterConfig;
use phoenix_config::Capability;

pub use extension::MemoryLimiter;

phoenix_component::extension_factory! {
    /// Makes `memory_limiter` extensions. Listeners keep the verdict, which the next extension of this name gives.
    MemoryLimiterFactory: "memory_limiter", MemoryLimiterConfig;
    create: |config, cx| Ok(Arc::new(MemoryLimiter::new(config, cx))),
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
    offers: |_| vec![Capability::Middleware],
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(
            &MemoryLimiterFactory,
            include_str!("../README.md"),
            "extensions::memory_limiter",
        );
    }
}

//! Limits what each client may send, by token buckets.
//!
//! Listeners name it among their `middlewares`, and all that name the same one share its buckets: a client has one
//! allowance, whatever it connects by. The number of clients that are told apart has a bound.

mod buckets;
mod config;
mod extension;
mod key;

use std::sync::Arc;

use phoenix_component::Change;
use phoenix_config::Capability;

pub use config::{KeySource, RateLimiterConfig};
pub use extension::RateLimiter;

phoenix_component::extension_factory! {
    /// Makes `rate_limiter` extensions. Listeners keep the way to the next of this name; its buckets begin full again.
    RateLimiterFactory: "rate_limiter", RateLimiterConfig;
    create: |config, cx| Ok(Arc::new(RateLimiter::new(config, cx))),
    signals: [],
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
            &RateLimiterFactory,
            include_str!("../README.md"),
            "extensions::rate_limiter",
        );
    }
}

//! OpenID Connect: listeners let in who shows a JWT that one of the configured providers has signed.
//!
//! The claims, the signature and the keys are plain functions of bytes and a time ([`jwt`], [`jwks`]); a task for
//! each provider fetches keys, and nothing else touches the network.

mod config;
mod extension;
pub mod jwks;
pub mod jwt;
mod keys;
mod provider;
mod server;

use phoenix_config::Capability;

pub use config::{OidcConfig, ProviderSettings};
pub use extension::Oidc;

phoenix_component::extension_factory! {
    /// Makes `oidc` extensions.
    OidcFactory: "oidc", OidcConfig => Oidc, |_| vec![Capability::ServerAuth]
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(&OidcFactory, include_str!("../README.md"), "extensions::oidc");
    }
}

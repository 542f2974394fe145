//! Bearer tokens: listeners let in who shows one of them, clients show the first.
//!
//! Tokens are compared in a time that depends on their lengths alone; those of a file are read again when it
//! changes.

mod config;
mod extension;
mod tokens;

use phoenix_config::Capability;

pub use config::BearerTokenAuthConfig;
pub use extension::BearerTokenAuth;

phoenix_component::extension_factory! {
    /// Makes `bearertokenauth` extensions.
    BearerTokenAuthFactory: "bearertokenauth", BearerTokenAuthConfig => BearerTokenAuth,
    |_| vec![Capability::ServerAuth, Capability::ClientAuth]
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(
            &BearerTokenAuthFactory,
            include_str!("../README.md"),
            "extensions::bearertokenauth",
        );
    }
}

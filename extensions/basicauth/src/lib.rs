//! Basic authentication: listeners look users up in an htpasswd, clients show one user's password.
//!
//! Passwords are hashed off the I/O runtimes, and a password that was right is known by a keyed digest, so that
//! bcrypt is paid once and not with every request.

mod config;
mod credentials;
mod extension;
pub mod htpasswd;
mod server;
mod sha_crypt;

use phoenix_config::Capability;

pub use config::{BasicAuthConfig, ClientAuthSettings, HtpasswdSettings};
pub use extension::BasicAuth;

phoenix_component::extension_factory! {
    /// Makes `basicauth` extensions.
    BasicAuthFactory: "basicauth", BasicAuthConfig => BasicAuth, |config| match config {
        None => vec![Capability::ServerAuth, Capability::ClientAuth],
        Some(config) if config.htpasswd.get().is_some() => vec![Capability::ServerAuth],
        Some(_) => vec![Capability::ClientAuth],
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(&BasicAuthFactory, include_str!("../README.md"), "extensions::basicauth");
    }
}

//! OAuth 2.0 client credentials (RFC 6749, section 4.4): exporters send a token that this fetches, keeps and renews.

mod config;
mod extension;
mod metrics;
mod token;
mod token_source;

use phoenix_config::Capability;

pub use config::OAuth2ClientConfig;
pub use extension::OAuth2Client;

phoenix_component::extension_factory! {
    /// Makes `oauth2client` extensions.
    OAuth2ClientFactory: "oauth2client", OAuth2ClientConfig => OAuth2Client, |_| vec![Capability::ClientAuth]
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(
            &OAuth2ClientFactory,
            include_str!("../README.md"),
            "extensions::oauth2client",
        );
    }
}

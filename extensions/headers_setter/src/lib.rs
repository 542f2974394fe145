//! Sets headers of what exporters send: to fixed values, to metadata of the request that the data came with, or to
//! what an authenticator found of its sender.

mod config;
mod extension;
mod headers;

use phoenix_config::Capability;

pub use config::{ActionKind, HeaderSettings, HeadersSetterConfig};
pub use extension::HeadersSetter;

phoenix_component::extension_factory! {
    /// Makes `headers_setter` extensions.
    HeadersSetterFactory: "headers_setter", HeadersSetterConfig => HeadersSetter, |_| vec![Capability::ClientAuth]
}

#[cfg(test)]
mod tests {
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(
            &HeadersSetterFactory,
            include_str!("../README.md"),
            "extensions::headers_setter",
        );
    }
}

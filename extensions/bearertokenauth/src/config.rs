use http::HeaderName;
use phoenix_component::Touch;
use phoenix_config::{Described, Opaque, Problems, Settings};
use serde::Deserialize;

use crate::tokens::Tokens;

/// Settings of the `bearertokenauth` extension: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BearerTokenAuthConfig {
    /// The header that holds the token.
    pub header: String,
    /// What stands before the token; nothing where empty.
    pub scheme: String,
    /// The token.
    pub token: Opaque,
    /// Several tokens: listeners take any of them, clients send the first.
    pub tokens: Vec<Opaque>,
    /// A file with a token on each line, read again when it changes; it takes the place of the tokens above.
    pub filename: String,
}

impl Default for BearerTokenAuthConfig {
    fn default() -> BearerTokenAuthConfig {
        BearerTokenAuthConfig {
            header: "Authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            token: Opaque::default(),
            tokens: Vec::new(),
            filename: String::new(),
        }
    }
}

impl BearerTokenAuthConfig {
    /// The tokens that are written down.
    pub(crate) fn written(&self) -> Vec<&str> {
        let one = Some(&self.token).filter(|token| !token.is_empty());
        one.into_iter().chain(&self.tokens).map(Opaque::reveal).collect()
    }

    pub(crate) fn touches(&self) -> Vec<Touch> {
        let file = Some(&self.filename).filter(|file| !file.is_empty());
        file.map(|file| Touch::read("filename", file)).into_iter().collect()
    }
}

impl Settings for BearerTokenAuthConfig {
    fn validate(&self, problems: &mut Problems) {
        let written = self.written();
        problems.require(
            HeaderName::try_from(&self.header).is_ok(),
            "header",
            format!("{:?} is no header name", self.header),
        );
        problems.require(
            self.token.is_empty() || self.tokens.is_empty(),
            "tokens",
            "either tokens or token should be provided, not both",
        );
        if self.filename.is_empty() && written.is_empty() {
            let help = "set one of `token`, `tokens` and `filename`";
            problems.error_with_help("", "no bearer token provided", help);
        } else if !self.filename.is_empty() && !written.is_empty() {
            problems.warn("filename", "takes the place of the tokens that are written down");
        }
        let key = if self.token.is_empty() { "tokens" } else { "token" };
        if !written.is_empty()
            && let Err(reason) = Tokens::new(&self.scheme, written)
        {
            problems.error(key, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings, keys that the errors name)
        let cases: [(&str, &[&str]); 8] = [
            ("{token: a}", &[]),
            ("{filename: /x}", &[]),
            ("{tokens: [a, b], scheme: '', header: x-key}", &[]),
            ("{}", &[""]),
            ("{token: a, tokens: [b]}", &["tokens"]),
            ("{token: a, header: 'a b'}", &["header"]),
            (r#"{token: "a\nb"}"#, &["token"]),
            ("{tokens: [a, '']}", &["tokens"]),
        ];
        for (settings, keys) in cases {
            let found = match phoenix_config::decode_text::<BearerTokenAuthConfig>(settings) {
                Ok(_) => Vec::new(),
                Err(problems) => problems.errors().map(|problem| problem.path.to_string()).collect(),
            };
            assert_eq!(found, keys, "{settings}");
        }
        let printed =
            format!("{:?}", phoenix_config::decode_text::<BearerTokenAuthConfig>("{tokens: [hush]}"));
        assert!(!printed.contains("hush"), "{printed}");
    }
}

use std::collections::BTreeSet;

use http::{HeaderName, Uri};
use phoenix_component::Touch;
use phoenix_config::{Described, Problems, Settings};
use serde::Deserialize;

/// Settings of the `oidc` extension: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OidcConfig {
    /// The header that holds the token, behind a word such as `Bearer`.
    pub attribute: String,
    /// Whose tokens are taken.
    pub providers: Vec<ProviderSettings>,
    /// The only provider, as it was written before there were several.
    pub issuer_url: String,
    /// Of that provider.
    pub audience: String,
    /// Of that provider.
    pub ignore_audience: bool,
    /// Of that provider.
    pub issuer_ca_path: String,
    /// Of that provider.
    pub username_claim: String,
    /// Of that provider.
    pub groups_claim: String,
}

impl Default for OidcConfig {
    fn default() -> OidcConfig {
        let none = ProviderSettings::default();
        OidcConfig {
            attribute: "authorization".to_owned(),
            providers: Vec::new(),
            issuer_url: none.issuer_url,
            audience: none.audience,
            ignore_audience: none.ignore_audience,
            issuer_ca_path: none.issuer_ca_path,
            username_claim: none.username_claim,
            groups_claim: none.groups_claim,
        }
    }
}

/// One of the `providers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// The issuer, exactly as its tokens name it; its keys are found below.
    #[described(required)]
    pub issuer_url: String,
    /// Whom tokens must be meant for.
    pub audience: String,
    /// Takes tokens whomever they are meant for.
    pub ignore_audience: bool,
    /// PEM file of the authorities of the issuer's certificate; those of the system where empty.
    pub issuer_ca_path: String,
    /// The claim that names the sender, in the place of `sub`.
    pub username_claim: String,
    /// The claim that lists the sender's groups.
    pub groups_claim: String,
    /// A file with the issuer's keys as a JWK set: nothing is fetched then. It is read again when it changes.
    pub public_keys_file: String,
}

impl OidcConfig {
    /// All providers, with the keys at which their problems are reported.
    pub(crate) fn all_providers(&self) -> Vec<(String, ProviderSettings)> {
        let single = ProviderSettings {
            issuer_url: self.issuer_url.clone(),
            audience: self.audience.clone(),
            ignore_audience: self.ignore_audience,
            issuer_ca_path: self.issuer_ca_path.clone(),
            username_claim: self.username_claim.clone(),
            groups_claim: self.groups_claim.clone(),
            public_keys_file: String::new(),
        };
        let single = (single != ProviderSettings::default()).then_some((String::new(), single));
        let listed = self.providers.iter().cloned().enumerate();
        single
            .into_iter()
            .chain(listed.map(|(index, provider)| (format!("providers::{index}"), provider)))
            .collect()
    }

    pub(crate) fn touches(&self) -> Vec<Touch> {
        let mut touches = Vec::new();
        for (key, provider) in self.all_providers() {
            for (name, file) in [
                ("issuer_ca_path", &provider.issuer_ca_path),
                ("public_keys_file", &provider.public_keys_file),
            ] {
                let key = if key.is_empty() { name.to_owned() } else { format!("{key}::{name}") };
                touches.extend((!file.is_empty()).then(|| Touch::read(key, file)));
            }
        }
        touches
    }
}

impl Settings for OidcConfig {
    fn validate(&self, problems: &mut Problems) {
        let is_name = HeaderName::try_from(&self.attribute).is_ok();
        problems.require(is_name, "attribute", format!("{:?} is no header name", self.attribute));
        let providers = self.all_providers();
        if providers.is_empty() {
            problems.error_with_help(
                "providers",
                "no provider is named",
                "write one with `issuer_url` and `audience`",
            );
        }
        let mut issuers = BTreeSet::new();
        for (key, provider) in &providers {
            let is_new = provider.issuer_url.is_empty() || issuers.insert(&provider.issuer_url);
            problems.within(key, |problems| {
                provider.validate(problems);
                let text = format!("duplicate issuer URL found: {}", provider.issuer_url);
                problems.require(is_new, "issuer_url", text);
            });
        }
    }
}

impl ProviderSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(
            !self.audience.is_empty() || self.ignore_audience,
            "audience",
            "no Audience provided for the OIDC configuration",
        );
        match (self.issuer_url.as_str(), self.issuer_url.parse::<Uri>()) {
            ("", _) => problems.error("issuer_url", "no IssuerURL provided for the OIDC configuration"),
            // Only its tokens are looked at, by name.
            _ if !self.public_keys_file.is_empty() => {}
            (_, Ok(url)) if url.scheme_str() == Some("https") && url.host().is_some() => {}
            (_, Ok(url)) if url.scheme_str() == Some("http") && url.host().is_some() => {
                if !matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]")) {
                    problems.warn(
                        "issuer_url",
                        "keys come without TLS: whoever is on the way can let anybody in",
                    );
                }
            }
            (url, _) => problems.error("issuer_url", format!("{url:?} is no URL of http or https")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings, keys that the errors name)
        let cases: [(&str, &[&str]); 11] = [
            ("{issuer_url: 'https://i', audience: a, username_claim: email}", &[]),
            (
                "{providers: [{issuer_url: 'https://i', audience: a}, {issuer_url: 'https://j', ignore_audience: true}]}",
                &[],
            ),
            ("{providers: [{issuer_url: any, audience: a, public_keys_file: /k}]}", &[]),
            ("{}", &["providers"]),
            ("{providers: []}", &["providers"]),
            ("{issuer_url: 'https://i'}", &["audience"]),
            ("{audience: a}", &["issuer_url"]),
            ("{providers: [{issuer_url: 'ldap://i', audience: a}]}", &["providers::0::issuer_url"]),
            (
                "{issuer_url: 'https://i', audience: a, providers: [{issuer_url: 'https://i', audience: b}]}",
                &["providers::0::issuer_url"],
            ),
            ("{issuer_url: 'https://i', audience: a, attribute: 'a b'}", &["attribute"]),
            ("{issuer_url: 'https://i', audience: a, ignore_issuer: true}", &["ignore_issuer"]),
        ];
        for (settings, keys) in cases {
            let found = match phoenix_config::decode_text::<OidcConfig>(settings) {
                Ok(_) => Vec::new(),
                Err(problems) => problems.errors().map(|problem| problem.path.to_string()).collect(),
            };
            assert_eq!(found, keys, "{settings}");
        }
    }
}

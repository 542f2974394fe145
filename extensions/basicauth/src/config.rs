use phoenix_component::Touch;
use phoenix_config::{Block, Described, Opaque, Problems, Settings};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::htpasswd::Htpasswd;

/// Settings of the `basicauth` extension: otelcol's keys. One of the two sides.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuthConfig {
    /// Users whom listeners let in.
    pub htpasswd: Block<HtpasswdSettings>,
    /// The user as whom clients come.
    pub client_auth: Block<ClientAuthSettings>,
}

/// `htpasswd`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HtpasswdSettings {
    /// The file, read again when it changes.
    pub file: String,
    /// Lines of such a file; they count before those of the file.
    pub inline: Opaque,
}

/// `client_auth`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct ClientAuthSettings {
    /// The user.
    pub username: String,
    /// A file that holds the user instead, read again when it changes.
    pub username_file: String,
    /// The password.
    pub password: Opaque,
    /// A file that holds the password instead, read again when it changes.
    pub password_file: String,
    /// A secret of AWS that holds both.
    #[described(unsupported = NO_AWS)]
    pub aws_secrets_manager: Option<IgnoredAny>,
}

const NO_AWS: &str = "Phoenix does not talk to AWS; have the secret written to a file";

impl BasicAuthConfig {
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let htpasswd = self.htpasswd.get().map(|htpasswd| ("htpasswd::file", &htpasswd.file));
        let client = self.client_auth.get();
        let client = client.map(|client| {
            let user = ("client_auth::username_file", &client.username_file);
            [user, ("client_auth::password_file", &client.password_file)]
        });
        let files = htpasswd.into_iter().chain(client.into_iter().flatten());
        files.filter(|(_, file)| !file.is_empty()).map(|(key, file)| Touch::read(key, file)).collect()
    }
}

impl Settings for BasicAuthConfig {
    fn validate(&self, problems: &mut Problems) {
        match (self.htpasswd.get(), self.client_auth.get()) {
            (Some(_), Some(_)) => {
                problems.error("", "only one of `htpasswd` or `client_auth` can be specified");
            }
            (None, None) => problems.error_with_help(
                "",
                "no credential source provided",
                "`htpasswd` for listeners, `client_auth` for clients",
            ),
            (Some(htpasswd), None) => {
                problems.within("htpasswd", |problems| htpasswd.validate(problems));
            }
            (None, Some(client)) => problems.within("client_auth", |problems| client.validate(problems)),
        }
    }
}

impl HtpasswdSettings {
    fn validate(&self, problems: &mut Problems) {
        if self.file.is_empty() && self.inline.is_empty() {
            problems.error("", "no credential source provided");
        }
        if let Err(error) = Htpasswd::parse(self.inline.reveal()) {
            problems.error("inline", error.to_string());
        }
    }
}

impl ClientAuthSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(
            !self.username.is_empty() || !self.username_file.is_empty(),
            "username",
            "no username provided",
        );
        problems.require(!self.username.contains(':'), "username", "a colon ends the name of a user");
        problems.require(
            self.aws_secrets_manager.is_none(),
            "aws_secrets_manager",
            format!("`aws_secrets_manager` is not supported: {NO_AWS}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings, keys that the errors name)
        let cases: [(&str, &[&str]); 10] = [
            ("{htpasswd: {inline: 'ann:secret'}}", &[]),
            ("{htpasswd: {file: /x}}", &[]),
            ("{client_auth: {username: ann, password: x}}", &[]),
            ("{client_auth: {username_file: /u, password_file: /p}}", &[]),
            ("{}", &[""]),
            ("{htpasswd: {}}", &["htpasswd"]),
            ("{htpasswd: {file: x}, client_auth: {username: a}}", &[""]),
            ("{htpasswd: {inline: 'ann'}}", &["htpasswd::inline"]),
            ("{client_auth: {username: 'a:b'}}", &["client_auth::username"]),
            (
                "{client_auth: {username: a, aws_secrets_manager: {secret_arn: x}}}",
                &["client_auth::aws_secrets_manager"],
            ),
        ];
        for (settings, keys) in cases {
            let found = match phoenix_config::decode_text::<BasicAuthConfig>(settings) {
                Ok(_) => Vec::new(),
                Err(problems) => problems.errors().map(|problem| problem.path.to_string()).collect(),
            };
            assert_eq!(found, keys, "{settings}");
        }
        let settings = "{htpasswd: {inline: 'ann:hush'}}";
        let printed = format!("{:?}", phoenix_config::decode_text::<BasicAuthConfig>(settings));
        assert!(!printed.contains("hush"), "{printed}");
    }
}

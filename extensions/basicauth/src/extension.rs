use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use phoenix_component::auth::{AuthPublication, ClientAuth};
use phoenix_component::factory::CreateContext;
use phoenix_component::files::{self, Fingerprint};
use phoenix_component::{BoxFuture, ClientInfo, Extension, Host, Refusal, StartError};
use tokio::time::Instant;

use crate::htpasswd::Htpasswd;
use crate::server::Users;
use crate::{BasicAuthConfig, ClientAuthSettings, HtpasswdSettings, credentials};

/// Judges passwords, or shows one.
pub struct BasicAuth {
    side: Side,
    files: Vec<PathBuf>,
    seen: Fingerprint,
    id: String,
    publication: AuthPublication,
}

#[derive(Clone)]
enum Side {
    Server(Arc<Users>, HtpasswdSettings),
    Client(Arc<Client>, ClientAuthSettings),
}

struct Client(ArcSwap<HeaderValue>);

impl Side {
    /// Reads the files again.
    fn read_again(&self) -> Result<(), String> {
        match self {
            Side::Server(users, settings) => users.replace(read_users(settings)?),
            Side::Client(client, settings) => client.0.store(Arc::new(read_client(settings)?)),
        }
        Ok(())
    }
}

fn read(key: &str, file: &str) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{key} {file:?}: {error}"))
}

fn read_users(settings: &HtpasswdSettings) -> Result<Htpasswd, String> {
    let mut text = String::new();
    if !settings.file.is_empty() {
        text = read("htpasswd::file", &settings.file)?;
        // Line numbers of a mistake are those of the file.
        Htpasswd::parse(&text).map_err(|error| format!("htpasswd::file {:?}: {error}", settings.file))?;
        text.push('\n');
    }
    text.push_str(settings.inline.reveal());
    Htpasswd::parse(&text).map_err(|error| error.to_string())
}

fn read_client(settings: &ClientAuthSettings) -> Result<HeaderValue, String> {
    let line = |key, file: &str, text: &str| match file {
        "" => Ok(text.to_owned()),
        file => read(key, file).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()),
    };
    let user = line("client_auth::username_file", &settings.username_file, &settings.username)?;
    let password = line("client_auth::password_file", &settings.password_file, settings.password.reveal())?;
    credentials::header(&user, &password).ok_or_else(|| "a colon ends the name of a user".to_owned())
}

impl BasicAuth {
    /// An extension that is not published yet.
    ///
    /// # Errors
    /// Where a file cannot be read or understood.
    pub fn new(config: &BasicAuthConfig, cx: &CreateContext<'_>) -> Result<BasicAuth, StartError> {
        let named = |files: &[&String]| -> Vec<PathBuf> {
            files.iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect()
        };
        let files = match (config.htpasswd.get(), config.client_auth.get()) {
            (Some(htpasswd), _) => named(&[&htpasswd.file]),
            (None, Some(client)) => named(&[&client.username_file, &client.password_file]),
            (None, None) => Vec::new(),
        };
        let seen = files::fingerprint(&files);
        let (side, publication) = match (config.htpasswd.get(), config.client_auth.get()) {
            (Some(settings), _) => {
                let users = Arc::new(Users::new(read_users(settings).map_err(StartError::new)?));
                let publication = AuthPublication::new(cx, Some(users.clone()), None);
                (Side::Server(users, settings.clone()), publication)
            }
            (None, Some(settings)) => {
                let header = read_client(settings).map_err(StartError::new)?;
                let client = Arc::new(Client(ArcSwap::from_pointee(header)));
                let publication = AuthPublication::new(cx, None, Some(client.clone()));
                (Side::Client(client, settings.clone()), publication)
            }
            (None, None) => return Err(StartError::new("no credential source provided")),
        };
        Ok(BasicAuth { side, files, seen, id: cx.id.to_string(), publication })
    }
}

impl Extension for BasicAuth {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            let (side, id) = (self.side.clone(), self.id.clone());
            self.publication.watch(host, self.files.clone(), self.seen.clone(), move || {
                match side.read_again() {
                    Ok(()) => tracing::info!(extension = id, "credentials were read again"),
                    Err(error) => {
                        tracing::error!(
                            extension = id,
                            error,
                            "credentials could not be read again, those before stay"
                        );
                    }
                }
            });
            self.publication.start(host);
            Ok(())
        })
    }

    fn pipelines_ready(&self, ready: bool) {
        self.publication.pipelines_ready(ready);
    }

    fn stop(&self, _deadline: Instant) -> BoxFuture<'_, ()> {
        self.publication.stop();
        Box::pin(async {})
    }
}

impl ClientAuth for Client {
    fn authorize<'a>(
        &'a self,
        headers: &'a mut HeaderMap,
        _client: Option<&'a ClientInfo>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        headers.insert(AUTHORIZATION, self.0.load().as_ref().clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use phoenix_component::StatusReporter;
    use phoenix_component::factory::Shared;
    use phoenix_config::{Block, ComponentId, Kind, Opaque};

    use super::*;

    async fn shown(config: &BasicAuthConfig) -> Result<HeaderMap, String> {
        let (host, shared) = (Host::for_tests(), Shared::default());
        let id = ComponentId::parse("basicauth").expect("an identifier");
        let status = StatusReporter::detached(Kind::Extension, id.clone());
        let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
        let extension = BasicAuth::new(config, &cx).map_err(|error| error.to_string())?;
        extension.start(&host).await.map_err(|error| error.to_string())?;
        let client = host.capabilities.client_auth(&id).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        client
            .get()
            .expect("there")
            .authorize(&mut headers, None)
            .await
            .map_err(|error| error.to_string())?;
        Ok(headers)
    }

    #[tokio::test]
    async fn a_client_shows_what_stands_in_its_files() {
        let folder = tempfile::tempdir().expect("made");
        let file = folder.path().join("password");
        std::fs::write(&file, "pass word\n").expect("written");
        let client = ClientAuthSettings {
            username: "ann".to_owned(),
            password_file: file.display().to_string(),
            ..ClientAuthSettings::default()
        };
        let config = BasicAuthConfig { client_auth: Block::on(client), ..BasicAuthConfig::default() };
        let headers = shown(&config).await.expect("authorized");
        assert_eq!(headers["authorization"], "Basic YW5uOnBhc3Mgd29yZA==");
        std::fs::remove_file(&file).expect("removed");
        let error = shown(&config).await.expect_err("no file");
        assert!(error.contains("password_file") && error.contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn a_file_with_a_bad_line_is_refused_by_its_number() {
        let folder = tempfile::tempdir().expect("made");
        let file = folder.path().join("htpasswd");
        std::fs::write(&file, "ann:x\nbob\n").expect("written");
        let settings =
            HtpasswdSettings { file: file.display().to_string(), inline: Opaque::new("eve:$9$hush") };
        let error = read_users(&settings).err().expect("refused");
        assert!(error.contains("line 2") && error.contains("htpasswd"), "{error}");
        std::fs::write(&file, "ann:x\n").expect("written");
        let error = read_users(&settings).err().expect("refused");
        assert!(!error.contains("hush"), "{error}");
        let config = BasicAuthConfig {
            htpasswd: Block::on(HtpasswdSettings { inline: Opaque::new("ann:y"), ..settings }),
            ..BasicAuthConfig::default()
        };
        let error = shown(&config).await.expect_err("it is for listeners");
        assert!(error.contains("not a client authenticator"), "{error}");
    }
}

use std::sync::Arc;

use phoenix_component::auth::{ClientAuth, ServerAuth};
use phoenix_component::{Capabilities, Slot, StartError};
use phoenix_config::{Capability, ComponentId, Described, Problems};
use serde::Deserialize;

/// `auth` of a client: the extension that adds credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSettings {
    /// The extension; it must be named in `service::extensions` too.
    #[described(required, names = Capability::ClientAuth)]
    pub authenticator: String,
}

/// `auth` of a gRPC listener: the extension that checks credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcAuthSettings {
    /// The extension; it must be named in `service::extensions` too.
    #[described(required, names = Capability::ServerAuth)]
    pub authenticator: String,
}

/// `auth` of an HTTP listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HttpAuthSettings {
    /// The extension; it must be named in `service::extensions` too.
    #[described(required, names = Capability::ServerAuth)]
    pub authenticator: String,
    /// Parameters of the query that may hold credentials, beside the headers.
    pub request_params: Vec<String>,
}

impl AuthSettings {
    /// Reports what is no identifier.
    pub fn validate(&self, problems: &mut Problems) {
        validate(&self.authenticator, problems);
    }

    /// What adds the credentials of a client.
    ///
    /// # Errors
    /// Where no extension that runs does.
    pub fn client(&self, capabilities: &Capabilities) -> Result<Arc<Slot<dyn ClientAuth>>, StartError> {
        capabilities.client_auth(&id(&self.authenticator)?).map_err(StartError::because)
    }
}

impl GrpcAuthSettings {
    /// Reports what is no identifier.
    pub fn validate(&self, problems: &mut Problems) {
        validate(&self.authenticator, problems);
    }

    /// What checks the credentials of a listener.
    ///
    /// # Errors
    /// Where no extension that runs does.
    pub fn server(&self, capabilities: &Capabilities) -> Result<Arc<Slot<dyn ServerAuth>>, StartError> {
        server(&self.authenticator, capabilities)
    }
}

impl HttpAuthSettings {
    /// Reports what is no identifier.
    pub fn validate(&self, problems: &mut Problems) {
        validate(&self.authenticator, problems);
    }

    /// What checks the credentials of a listener.
    ///
    /// # Errors
    /// Where no extension that runs does.
    pub fn server(&self, capabilities: &Capabilities) -> Result<Arc<Slot<dyn ServerAuth>>, StartError> {
        server(&self.authenticator, capabilities)
    }
}

fn server(authenticator: &str, capabilities: &Capabilities) -> Result<Arc<Slot<dyn ServerAuth>>, StartError> {
    capabilities.server_auth(&id(authenticator)?).map_err(StartError::because)
}

fn id(text: &str) -> Result<ComponentId, StartError> {
    ComponentId::parse(text).map_err(|error| StartError::new(format!("authenticator {text:?}: {error}")))
}

fn validate(authenticator: &str, problems: &mut Problems) {
    if authenticator.is_empty() {
        let help = "write the identifier of an extension, for example `basicauth`";
        problems.error_with_help("authenticator", "names no extension", help);
    } else if let Err(error) = ComponentId::parse(authenticator) {
        problems.error("authenticator", format!("{authenticator:?} is no identifier: {error}"));
    }
}

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use phoenix_component::{AdminEndpoint, BoxFuture, Extension, Host, ListenerLease, StartError};
use phoenix_transport::http::side::SideServer;
use phoenix_transport::settings::HttpServerSettings;

use crate::AdminConfig;
use crate::config::is_local;
use crate::guard::{Guard, own_uid};
use crate::service::AdminService;

/// Read and write for the owner, nothing for others.
const PRIVATE_SOCKET: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;

/// The administration of the collector that it runs in.
pub struct Admin {
    config: AdminConfig,
    id: String,
    server: Arc<SideServer>,
}

impl Admin {
    /// The extension, which listens once it is started; `id` names it in the metrics.
    pub fn new(config: AdminConfig, id: &str) -> Admin {
        Admin { config, id: id.to_owned(), server: Arc::default() }
    }

    /// Where it listens, while it does; none for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.local_addr()
    }

    fn listen(&self, host: &Host) -> Result<(), StartError> {
        let endpoint = AdminEndpoint::parse(&self.config.endpoint).map_err(StartError::new)?;
        let lease = match &endpoint {
            AdminEndpoint::Unix(path) => listen_unix(host, path)?,
            AdminEndpoint::Loopback(address) => {
                host.leases.listen_tcp(address).map_err(StartError::because)?
            }
        };
        if !is_local(lease.local_addr()) {
            return Err(StartError::new(format!(
                "{} resolves to {:?}, which is not loopback",
                self.config.endpoint,
                lease.local_addr()
            )));
        }
        let mut options = SideServer::options(&HttpServerSettings::default());
        options.max_body_bytes = self.config.max_request_body_size;
        // A change may take as long as the old parts drain.
        options.write_timeout = Some(crate::service::LONGEST_WAIT * 2);
        let service = AdminService {
            guard: Guard { own_uid: own_uid(), token: self.config.token.clone() },
            host: host.clone(),
        };
        self.server.start_on(lease, None, options, service, &self.id, host)?;
        tracing::info!(extension = self.id, endpoint = self.config.endpoint, "administration is served");
        Ok(())
    }
}

/// A socket that only its owner can connect to, in a folder that is made where it is missing.
fn listen_unix(host: &Host, path: &Path) -> Result<ListenerLease, StartError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder).map_err(|error| {
            StartError::new(format!(
                "cannot make the folder {} for the socket: {error}; make it for the collector's user, or set `endpoint`",
                folder.display()
            ))
        })?;
    }
    let lease = host.leases.listen_unix(path).map_err(StartError::because)?;
    // Who connects before this is refused by the user that the kernel names.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(PRIVATE_SOCKET))
        .map_err(|error| StartError::new(format!("cannot make {} private: {error}", path.display())))?;
    Ok(lease)
}

impl Extension for Admin {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move {
            // Sockets belong to the control runtime, whoever starts them.
            let _control = host.control.enter();
            self.listen(host)
        })
    }

    /// Lets go of the listener and returns at once: the request under way may be the very change that ends
    /// this instance, and waits for its end.
    fn stop(&self, deadline: tokio::time::Instant) -> BoxFuture<'_, ()> {
        let server = self.server.clone();
        Box::pin(async move {
            tokio::spawn(async move { server.stop(deadline).await });
        })
    }
}

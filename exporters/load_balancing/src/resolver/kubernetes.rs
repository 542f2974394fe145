//! Follows the EndpointSlices of a service: a list, then a watch from there on, over plain HTTPS with the pod's
//! service account.
//!
//! Only endpoints that are ready are used. Those that terminate get nothing new, unless there are no others and they
//! still serve, as kube-proxy has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use phoenix_component::{Cores, Host, StartError};
use phoenix_transport::http::client::{Client, Options, Stream};
use phoenix_transport::settings::TlsClientSettings;
use phoenix_transport::tls::{Alpn, TlsConnector};
use serde::Deserialize;

use super::or_default;
use crate::config::Kubernetes;
use crate::router::{Dial, State};

/// Where a pod finds its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Slices that are asked for at once.
const PAGE: u32 = 500;
const MAX_LIST_BYTES: usize = 64 << 20;
const MAX_EVENT_BYTES: usize = 8 << 20;
/// Longest wait for a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failure; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The server of the cluster, and what it knows this pod by.
pub(crate) struct Cluster {
    url: String,
    account: PathBuf,
    user_agent: String,
    cores: Cores,
}

/// Follows one service.
pub(crate) struct Watcher {
    cluster: Cluster,
    settings: Kubernetes,
    service: String,
    namespace: String,
    slices: BTreeMap<String, Vec<Found>>,
    /// From where a watch goes on; none where a list has to come first.
    version: Option<String>,
}

/// One endpoint, by the names that it has on the ring.
struct Found {
    names: Vec<String>,
    is_ready: bool,
    serves: bool,
}

/// Why a list or a watch ended.
#[derive(Debug)]
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<Slice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: serde_json::Value,
}

#[derive(Deserialize)]
struct Slice {
    metadata: Metadata,
    /// Null where there are none.
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    resource_version: String,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    conditions: Conditions,
}

/// A condition that is not told counts as good.
#[derive(Default, Deserialize)]
struct Conditions {
    #[serde(default)]
    ready: Option<bool>,
    #[serde(default)]
    serving: Option<bool>,
}

impl Watcher {
    /// For the cluster that this pod runs in.
    ///
    /// # Errors
    /// Where this is no pod.
    pub(crate) fn in_cluster(settings: &Kubernetes, host: &Host) -> Result<Watcher, StartError> {
        let variable = |name: &str| {
            std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
                StartError::new(format!(
                    "the k8s resolver works inside a cluster only: the environment has no {name}"
                ))
            })
        };
        let (address, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        let address = if address.contains(':') { format!("[{address}]") } else { address };
        let cluster = Cluster {
            url: format!("https://{address}:{port}"),
            account: ACCOUNT.into(),
            user_agent: host.build.user_agent(),
            cores: host.cores.clone(),
        };
        Watcher::new(settings, cluster)
    }

    fn new(settings: &Kubernetes, cluster: Cluster) -> Result<Watcher, StartError> {
        let (service, namespace) = settings.names().map_err(StartError::new)?;
        let namespace = match namespace {
            Some(namespace) => namespace.to_owned(),
            None => own_namespace(&cluster.account),
        };
        Ok(Watcher {
            cluster,
            settings: settings.clone(),
            service: service.to_owned(),
            namespace,
            slices: BTreeMap::new(),
            version: None,
        })
    }

    /// Asks for the endpoints for the first time; where that fails, `follow` goes on trying.
    pub(crate) async fn begin<D: Dial>(&mut self, state: &State<D>) {
        if let Err(Failure(error)) = self.list(state).await {
            self.complain(state, &error);
        }
    }

    /// Follows what becomes of them; ends never.
    pub(crate) async fn follow<D: Dial>(&mut self, state: &State<D>) {
        let mut wait = FIRST_WAIT;
        loop {
            let outcome = match self.version {
                Some(_) => self.watch(state).await,
                None => self.list(state).await,
            };
            match outcome {
                Ok(()) => wait = FIRST_WAIT,
                Err(Failure(error)) => {
                    self.version = None;
                    self.complain(state, &error);
                    tokio::time::sleep(wait.mul_f64(0.8 + 0.4 * rand::random::<f64>())).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    fn complain<D: Dial>(&self, state: &State<D>, error: &str) {
        state.resolved(false);
        tracing::warn!(
            service = self.service,
            namespace = self.namespace,
            error,
            "failed to resolve; the last list of backends stays in force"
        );
    }

    /// Asks for all slices.
    async fn list<D: Dial>(&mut self, state: &State<D>) -> Result<(), Failure> {
        let (mut slices, mut next) = (BTreeMap::new(), String::new());
        let version = loop {
            let page = async {
                let query = match next.as_str() {
                    "" => format!("limit={PAGE}"),
                    next => format!("limit={PAGE}&continue={}", escaped(next)),
                };
                let answer = self.get(&query).await?;
                Ok::<List, Failure>(serde_json::from_slice(&answer.whole(MAX_LIST_BYTES).await?)?)
            };
            let page = tokio::time::timeout(LIST_TIMEOUT, page).await.map_err(|_| {
                Failure(format!("{} does not answer within {LIST_TIMEOUT:?}", self.cluster.url))
            })??;
            for slice in page.items {
                let found = self.endpoints(&slice);
                slices.insert(slice.metadata.name, found);
            }
            next = page.metadata.next;
            if next.is_empty() {
                break page.metadata.resource_version;
            }
        };
        self.slices = slices;
        self.version = Some(version);
        self.tell(state).await;
        Ok(())
    }

    /// Watches until the server ends that, which it does after the time that it was asked for.
    async fn watch<D: Dial>(&mut self, state: &State<D>) -> Result<(), Failure> {
        let version = self.version.clone().unwrap_or_default();
        let timeout = or_default(self.settings.timeout, Kubernetes::default().timeout);
        let seconds = timeout.as_secs().max(1);
        let query = format!(
            "watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={seconds}",
            escaped(&version)
        );
        let watch = async {
            let mut events = self.get(&query).await?;
            while let Some(line) = events.line(MAX_EVENT_BYTES).await? {
                self.heard(serde_json::from_slice(&line)?, state).await?;
            }
            Ok(())
        };
        // A server that has gone away without a word would otherwise be listened to for ever.
        let grace = timeout + LIST_TIMEOUT;
        tokio::time::timeout(grace, watch)
            .await
            .unwrap_or_else(|_| Err(Failure("the watch is stuck".to_owned())))
    }

    async fn heard<D: Dial>(&mut self, event: Event, state: &State<D>) -> Result<(), Failure> {
        if event.kind == "ERROR" {
            let message = event.object.get("message").and_then(serde_json::Value::as_str);
            return Err(Failure(format!("the watch has failed: {}", message.unwrap_or("no reason given"))));
        }
        let slice: Slice = serde_json::from_value(event.object)?;
        self.version = Some(slice.metadata.resource_version.clone());
        match event.kind.as_str() {
            "ADDED" | "MODIFIED" => {
                let found = self.endpoints(&slice);
                self.slices.insert(slice.metadata.name, found);
            }
            "DELETED" => {
                self.slices.remove(&slice.metadata.name);
            }
            // A bookmark: only the version.
            _ => return Ok(()),
        }
        self.tell(state).await;
        Ok(())
    }

    /// Hands on the backends that are to be used now.
    async fn tell<D: Dial>(&self, state: &State<D>) {
        state.resolved(true);
        let all = || self.slices.values().flatten();
        let names = |found: &Found| found.names.clone();
        let mut backends: Vec<String> = all().filter(|found| found.is_ready).flat_map(names).collect();
        if backends.is_empty() {
            backends = all().filter(|found| found.serves).flat_map(names).collect();
        }
        state.update(backends).await;
    }

    fn endpoints(&self, slice: &Slice) -> Vec<Found> {
        let endpoints = slice.endpoints.iter().flatten();
        let found = endpoints.map(|endpoint| {
            let hosts = match (self.settings.return_hostnames, endpoint.hostname.as_deref()) {
                (false, _) => endpoint.addresses.clone(),
                (true, Some(hostname)) if !hostname.is_empty() => {
                    vec![format!("{hostname}.{}.{}", self.service, self.namespace)]
                }
                (true, _) => {
                    tracing::warn!(
                        slice = slice.metadata.name,
                        "an endpoint has no hostname and is left out: is the service headless, of a StatefulSet?"
                    );
                    Vec::new()
                }
            };
            let ports = &self.settings.ports;
            let names = match ports.as_slice() {
                [] => hosts,
                ports => hosts.iter().flat_map(|host| ports.iter().map(|port| joined(host, *port))).collect(),
            };
            Found {
                names,
                is_ready: endpoint.conditions.ready.unwrap_or(true),
                serves: endpoint.conditions.serving.or(endpoint.conditions.ready).unwrap_or(true),
            }
        });
        found.collect()
    }

    /// Asks the server. Token and authority are read each time, as they are replaced while a pod runs.
    async fn get(&self, query: &str) -> Result<Stream, Failure> {
        let Cluster { url, account, user_agent, cores } = &self.cluster;
        let is_secure = url.starts_with("https://");
        let tls = TlsClientSettings {
            ca_file: account.join("ca.crt").display().to_string(),
            ..TlsClientSettings::default()
        };
        let tls = is_secure.then(|| TlsConnector::new(&tls, Alpn::Http1)).transpose()?;
        let options = Options { tls, user_agent: user_agent.clone(), ..Options::default() };
        let client = Client::new(options, cores)?;
        // A few bytes in memory, once in a while.
        let token = std::fs::read_to_string(account.join("token"));
        let token = token
            .map_err(|error| Failure(format!("cannot read the token of the service account: {error}")))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.trim()))?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (namespace, service) = (&self.namespace, &self.service);
        let url = format!(
            "{url}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{service}&{query}"
        );
        let answer = client.stream(&client.destination(&url)?, &headers).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let help = match status.as_u16() {
            401 | 403 => "; the service account needs list and watch on endpointslices of discovery.k8s.io",
            _ => "",
        };
        Err(Failure(format!("the Kubernetes API answered {status}{help}")))
    }
}

/// The namespace of this pod.
fn own_namespace(account: &Path) -> String {
    match std::fs::read_to_string(account.join("namespace")) {
        Ok(namespace) if !namespace.trim().is_empty() => namespace.trim().to_owned(),
        _ => {
            tracing::warn!("could not determine the namespace of this collector; \"default\" is used");
            "default".to_owned()
        }
    }
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A value of a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;

//! Where the list of backends comes from. A list that cannot be had leaves the last one in force.

mod kubernetes;

use std::sync::Arc;
use std::time::Duration;

use phoenix_component::{Host, StartError};
use phoenix_config::GoDuration;
use tokio_util::sync::CancellationToken;

use crate::config::{Dns, Kubernetes, ResolverSettings};
use crate::router::{Dial, State};

use kubernetes::Watcher;

/// Follows one source of backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    Static(Vec<String>),
    Dns(Dns),
    Kubernetes(Kubernetes),
}

impl Resolver {
    /// The one that the settings name.
    pub(crate) fn new(settings: &ResolverSettings) -> Option<Resolver> {
        let ResolverSettings { fixed, dns, k8s, .. } = settings.clone();
        let fixed = fixed.map(|fixed| Resolver::Static(fixed.hostnames));
        fixed.or(dns.map(Resolver::Dns)).or(k8s.map(Resolver::Kubernetes))
    }

    /// Its name in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Resolver::Static(_) => "static",
            Resolver::Dns(_) => "dns",
            Resolver::Kubernetes(_) => "k8s",
        }
    }

    /// Finds the backends for the first time, and follows what becomes of them until `stop`.
    ///
    /// # Errors
    /// Where there is nobody to ask. That nobody answers now is none.
    pub(crate) async fn start<D: Dial>(
        self,
        state: Arc<State<D>>,
        host: &Host,
        stop: CancellationToken,
    ) -> Result<(), StartError> {
        match self {
            Resolver::Static(names) => {
                state.update(names).await;
                state.resolved(true);
            }
            Resolver::Dns(dns) => {
                look_up(&dns, &state).await;
                let interval = or_default(dns.interval, Dns::default().interval);
                host.control.spawn(async move {
                    while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
                        stop.run_until_cancelled(look_up(&dns, &state)).await;
                    }
                });
            }
            Resolver::Kubernetes(settings) => {
                let mut watcher = Watcher::in_cluster(&settings, host)?;
                watcher.begin(&state).await;
                host.control.spawn(async move {
                    stop.run_until_cancelled(watcher.follow(&state)).await;
                });
            }
        }
        Ok(())
    }
}

fn or_default(duration: GoDuration, default: GoDuration) -> Duration {
    if duration.is_positive() { duration } else { default }.as_duration()
}

/// Asks the system's resolver once.
async fn look_up<D: Dial>(dns: &Dns, state: &State<D>) {
    let timeout = or_default(dns.timeout, Dns::default().timeout);
    let answer = tokio::time::timeout(timeout, tokio::net::lookup_host((dns.hostname.as_str(), 0))).await;
    let answer = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    state.resolved(answer.is_ok());
    match answer {
        Ok(addresses) => {
            let names: Vec<String> = addresses.map(|address| backend(address.ip(), &dns.port)).collect();
            if !names.is_empty() {
                state.update(names).await;
            }
        }
        Err(error) => tracing::warn!(hostname = dns.hostname, %error, "failed to resolve"),
    }
}

/// An address as otelcol writes it, which is what stands on the ring.
fn backend(address: std::net::IpAddr, port: &str) -> String {
    let host = match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => format!("[{address}]"),
        },
    };
    if port.is_empty() { host } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_otelcol_writes_them() {
        for (address, port, name) in [
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "4317", "10.0.0.1:4317"),
            ("fd00::1", "", "[fd00::1]"),
            ("fd00::1", "55690", "[fd00::1]:55690"),
            ("::ffff:10.0.0.1", "1", "10.0.0.1:1"),
        ] {
            assert_eq!(backend(address.parse().expect(address), port), name);
        }
    }
}

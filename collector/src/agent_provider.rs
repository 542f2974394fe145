//! `agent:NAME`: what only the machine knows that a collector runs on, so that one configuration fits many of them.

use phoenix_component::cpu::cores;
use phoenix_component::{MemoryReader as _, SystemMemory};
use phoenix_config::{Provider, ProviderError, Retrieved, nearest};

/// The scheme.
pub(crate) const SCHEME: &str = "agent";

/// What can be asked for.
const NAMES: [&str; 6] = ["cores", "memory_limit_mib", "host_name", "host_id", "os", "arch"];

/// Values of this machine; each shows in the effective configuration.
pub(crate) struct AgentProvider;

fn line_of(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The memory that this process may use: the limit of its cgroup, or else the machine's.
pub(crate) fn memory_limit_mib() -> u64 {
    SystemMemory.total() >> 20
}

impl Provider for AgentProvider {
    fn scheme(&self) -> &str {
        SCHEME
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        let name = uri.split_once(':').map_or(uri, |(_, name)| name);
        let unknown =
            |what: &str| ProviderError::unavailable(format!("this machine does not tell its {what}"));
        let text = match name {
            "cores" => return Ok(Retrieved::yaml(cores().to_string())),
            "memory_limit_mib" => return Ok(Retrieved::yaml(memory_limit_mib().to_string())),
            "host_name" => line_of("/proc/sys/kernel/hostname").ok_or_else(|| unknown("name"))?,
            "host_id" => line_of("/etc/machine-id").ok_or_else(|| unknown("identity"))?,
            "os" => std::env::consts::OS.to_owned(),
            "arch" => std::env::consts::ARCH.to_owned(),
            other => {
                let error =
                    ProviderError::new(format!("an agent knows no {other:?}; it knows {}", NAMES.join(", ")));
                return Err(match nearest(other, NAMES) {
                    Some(near) => error.with_help(format!("is it ${{agent:{near}}}?")),
                    None => error,
                });
            }
        };
        Ok(Retrieved { text, verbatim: true, ..Retrieved::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_knows_its_machine() {
        let told = |name: &str| AgentProvider.retrieve(&format!("agent:{name}")).map(|found| found.text);
        assert!(told("cores").expect("known").parse::<usize>().is_ok_and(|cores| cores > 0));
        assert!(told("memory_limit_mib").expect("known").parse::<u64>().is_ok_and(|limit| limit > 0));
        assert!(told("host_name").is_ok_and(|name| !name.is_empty()));
        let error = told("core").expect_err("unknown");
        assert!(error.to_string().contains("knows no"), "{error}");
    }
}

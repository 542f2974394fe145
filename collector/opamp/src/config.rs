use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{AgentConfigMap, AvailableComponents};

/// The hash by which a configuration is known: SHA-256 over names, types and bodies, in the order of names. Opaque to
/// agents.
pub fn config_hash(config: &AgentConfigMap) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for (name, file) in &config.config_map {
        part(name.as_bytes());
        part(file.content_type.as_bytes());
        part(&file.body);
    }
    hash.finalize().to_vec()
}

/// The hash by which a set of components is known; none of its own goes into it.
pub fn components_hash(components: &AvailableComponents) -> Vec<u8> {
    let named = AvailableComponents { components: components.components.clone(), hash: Vec::new() };
    Sha256::digest(named.encode_to_vec()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bodies_do_not_run_into_each_other() {
        let hash = |name: &str, body: &str| config_hash(&AgentConfigMap::single(name, body));
        assert_eq!(hash("a", "b"), hash("a", "b"));
        assert_eq!(hash("a", "b").len(), 32);
        assert_ne!(hash("a", "b"), hash("ab", ""));
        assert_ne!(hash("", "ab"), hash("a", "b"));
        assert_ne!(config_hash(&AgentConfigMap::default()), hash("", ""));
    }
}

//! Which combinations of client metadata there are: each has batches of its own.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_component::{Batch, ClientInfo, Partition, Refusal};
use phoenix_telemetry::Gauge;

/// Clears who sent a request but for the metadata by which batches are kept apart, and refuses those that
/// would make one combination too many.
pub(crate) struct Combinations {
    /// In lower case.
    keys: Vec<String>,
    /// The most combinations; 0 for no limit.
    limit: usize,
    hasher: RandomState,
    known: Mutex<Known>,
    cardinality: Gauge,
}

/// One shared description for each combination. They stay until the configuration changes, as in otelcol.
#[derive(Default)]
struct Known {
    by_hash: HashMap<u64, Vec<Arc<ClientInfo>>>,
    count: usize,
}

impl Combinations {
    pub(crate) fn new(keys: &[String], limit: usize, cardinality: Gauge) -> Combinations {
        if keys.is_empty() {
            // The one combination of nothing.
            cardinality.add(1);
        }
        Combinations {
            keys: keys.iter().map(|key| key.to_ascii_lowercase()).collect(),
            limit,
            hasher: RandomState::new(),
            known: Mutex::default(),
            cardinality,
        }
    }

    /// The metadata of `client` that counts, in the order of the keys.
    fn values<'a>(&'a self, client: Option<&'a ClientInfo>) -> impl Iterator<Item = (&'a str, &'a str)> {
        let of_key = move |key: &'a String| {
            let values = client.into_iter().flat_map(move |client| client.metadata(key));
            values.map(move |value| (key.as_str(), value))
        };
        self.keys.iter().flat_map(of_key)
    }

    /// The combination of `client`; none where it would be one too many. Allocates only for a new one.
    fn find(&self, client: Option<&ClientInfo>) -> Option<Arc<ClientInfo>> {
        let mut hasher = self.hasher.build_hasher();
        self.values(client).for_each(|pair| pair.hash(&mut hasher));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *known;
        let candidates = known.by_hash.entry(hasher.finish());
        let is_same = |other: &&Arc<ClientInfo>| {
            let theirs = other.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            theirs.eq(self.values(client))
        };
        if let std::collections::hash_map::Entry::Occupied(candidates) = &candidates
            && let Some(found) = candidates.get().iter().find(is_same)
        {
            return Some(found.clone());
        }
        if self.limit != 0 && known.count >= self.limit {
            return None;
        }
        let metadata = self.values(client).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let combination = Arc::new(ClientInfo { metadata, ..ClientInfo::default() });
        candidates.or_default().push(combination.clone());
        known.count += 1;
        self.cardinality.add(1);
        Some(combination)
    }
}

impl Drop for Combinations {
    fn drop(&mut self) {
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        let count = if self.keys.is_empty() { 1 } else { known.count };
        self.cardinality.add(-(count as i64));
    }
}

impl Partition for Combinations {
    fn prepare(&self, mut batch: Batch, emit: &mut dyn FnMut(u64, Batch)) -> Result<(), Refusal> {
        if batch.items == 0 {
            // Resources without records carry nothing; otelcol lets them end here too.
            return Ok(());
        }
        batch.client = if self.keys.is_empty() {
            None
        } else {
            let combination = self.find(batch.client.as_deref()).ok_or_else(|| {
                Refusal::permanent("metadata_cardinality", "too many batcher metadata-value combinations")
            })?;
            Some(combination)
        };
        emit(0, batch);
        Ok(())
    }
}

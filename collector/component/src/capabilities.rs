//! What extensions offer to other components, by identifier and type: a memory limiter, for example.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_config::ComponentId;

type Key = (ComponentId, TypeId);
type Thing = Arc<dyn Any + Send + Sync>;

/// The table of what is offered. Clones share it.
#[derive(Clone, Default)]
pub struct Capabilities(Arc<Mutex<HashMap<Key, (Thing, usize)>>>);

/// Keeps what is offered in the table until it is dropped.
pub struct Offer {
    table: Capabilities,
    key: Key,
    thing: Thing,
}

impl Capabilities {
    /// Offers `thing` under the identifier of an extension, in the place of what was offered before. While
    /// a configuration changes, the former and the next extension may offer the same.
    #[must_use = "it is offered until this is dropped"]
    pub fn offer<T: Any + Send + Sync>(&self, id: &ComponentId, thing: Arc<T>) -> Offer {
        let (key, thing) = ((id.clone(), TypeId::of::<T>()), thing as Thing);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (offered, count) = table.entry(key.clone()).or_insert_with(|| (thing.clone(), 0));
        match Arc::ptr_eq(offered, &thing) {
            true => *count += 1,
            false => (*offered, *count) = (thing.clone(), 1),
        }
        Offer { table: self.clone(), key, thing }
    }

    /// What the extension `id` offers, if it is of that type.
    pub fn find<T: Any + Send + Sync>(&self, id: &ComponentId) -> Option<Arc<T>> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (thing, _) = table.get(&(id.clone(), TypeId::of::<T>()))?;
        thing.clone().downcast().ok()
    }

    /// Everything of that type, by who offers it, in the order of identifiers.
    pub fn all<T: Any + Send + Sync>(&self) -> Vec<(ComponentId, Arc<T>)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_type = table.iter().filter(|((_, of), _)| *of == TypeId::of::<T>());
        let mut found: Vec<(ComponentId, Arc<T>)> = of_type
            .filter_map(|((id, _), (thing, _))| Some((id.clone(), thing.clone().downcast().ok()?)))
            .collect();
        found.sort_by_key(|(id, _)| id.to_string());
        found
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(table.keys().map(|(id, _)| id.to_string())).finish()
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let mut table = self.table.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((offered, count)) = table.get_mut(&self.key) else { return };
        if Arc::ptr_eq(offered, &self.thing) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_there_until_the_last_offer_is_withdrawn() {
        let (table, id) = (Capabilities::default(), ComponentId::parse("limiter/x").expect("an identifier"));
        let thing = Arc::new(7);
        let (former, next) = (table.offer(&id, thing.clone()), table.offer(&id, thing));
        drop(former);
        assert_eq!(table.find::<i32>(&id).as_deref(), Some(&7));
        assert_eq!(table.find::<String>(&id), None, "it is of another type");
        let other = table.offer(&id, Arc::new(8));
        drop(next);
        assert_eq!(table.find::<i32>(&id).as_deref(), Some(&8), "the latest counts");
        drop(other);
        assert_eq!(table.find::<i32>(&id), None);
    }
}

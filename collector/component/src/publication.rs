//! Things of extensions that whoever found them keeps while settings change.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use phoenix_config::ComponentId;

use crate::{Host, Offer};

/// The place of a thing that may be replaced, or gone.
pub struct Slot<T: ?Sized>(ArcSwapOption<Arc<T>>);

impl<T: ?Sized> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot(ArcSwapOption::empty())
    }
}

impl<T: ?Sized> Slot<T> {
    /// What is there now.
    pub fn get(&self) -> Option<Arc<T>> {
        self.0.load().as_deref().cloned()
    }

    fn set(&self, thing: Option<&Arc<T>>) {
        self.0.store(thing.map(|thing| Arc::new(thing.clone())));
    }

    fn holds(&self, thing: &Arc<T>) -> bool {
        self.0.load().as_deref().is_some_and(|held| Arc::ptr_eq(held, thing))
    }
}

/// A thing on its way into a slot that the extensions of one identifier share, and out of it again.
///
/// While a configuration changes, the former and the next extension run side by side, and the next one may
/// come to nothing: so it takes the place once its pipelines run.
pub struct Publication<T: ?Sized + Send + Sync + 'static> {
    id: ComponentId,
    slot: Arc<Slot<T>>,
    thing: Arc<T>,
    offer: Mutex<Option<Offer>>,
}

impl<T: ?Sized + Send + Sync + 'static> Publication<T> {
    /// `thing`, to be put into `slot` under the identifier of its extension.
    pub fn new(id: &ComponentId, slot: Arc<Slot<T>>, thing: Arc<T>) -> Publication<T> {
        Publication { id: id.clone(), slot, thing, offer: Mutex::default() }
    }

    /// Offers the slot to other components. An empty one is filled at once: they are about to start.
    pub fn start(&self, host: &Host) {
        if self.slot.get().is_none() {
            self.slot.set(Some(&self.thing));
        }
        let offer = host.capabilities.offer(&self.id, self.slot.clone());
        *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = Some(offer);
    }

    /// Takes the place of a former extension once the pipelines run.
    pub fn pipelines_ready(&self, ready: bool) {
        if ready {
            self.slot.set(Some(&self.thing));
        }
    }

    /// Withdraws the offer, and leaves the slot empty where no other extension has taken it.
    pub fn stop(&self) {
        self.offer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.slot.holds(&self.thing) {
            self.slot.set(None);
        }
    }
}

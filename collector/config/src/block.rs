//! Optional blocks of settings, with the three states that otelcol gives them.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// The name under which [`Block`] announces itself to a deserializer.
pub(crate) const NAME: &str = "$phoenix::Block";
/// The name under which [`PresentBlock`] announces itself to a deserializer.
pub(crate) const PRESENT_NAME: &str = "$phoenix::PresentBlock";
/// The key that turns a block on or off.
pub(crate) const ENABLED: &str = "enabled";

/// A block that is off, or on with settings. `null` leaves what the surrounding settings have as default, so
/// `Block::off()` there is otelcol's state *none* and `Block::on(T::default())` is its state *some*.
///
/// Every block takes `enabled: false`, which turns it off; the rest of it is read all the same. `T` must not have a
/// key `enabled` of its own, and its own `Default` holds what a block that is present in part is completed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<T>(Option<T>);

/// A block that is off when absent, and on with defaults when present, be it as `null` or `{}`: otelcol's state
/// *default*. For the rest see [`Block`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentBlock<T>(Option<T>);

macro_rules! block {
    ($block:ident, $name:expr) => {
        impl<T> $block<T> {
            /// A block that is off.
            pub const fn off() -> Self {
                $block(None)
            }

            /// A block that is on.
            pub const fn on(settings: T) -> Self {
                $block(Some(settings))
            }

            /// Whether the block is on.
            pub const fn is_on(&self) -> bool {
                self.0.is_some()
            }

            /// The settings of a block that is on.
            pub const fn get(&self) -> Option<&T> {
                self.0.as_ref()
            }

            /// The settings of a block that is on.
            pub fn into_inner(self) -> Option<T> {
                self.0
            }
        }

        /// Off.
        impl<T> Default for $block<T> {
            fn default() -> Self {
                $block(None)
            }
        }

        impl<'de, T: DeserializeOwned> Deserialize<'de> for $block<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_newtype_struct($name, BlockVisitor(PhantomData)).map($block)
            }
        }
    };
}

block!(Block, NAME);
block!(PresentBlock, PRESENT_NAME);

/// Takes the pair (enabled, settings) from this crate's own deserializer; takes the block apart itself for others.
struct BlockVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for BlockVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of settings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Option<T>, A::Error> {
        let enabled = pair.next_element::<bool>()?.unwrap_or(true);
        let settings = pair.next_element::<T>()?;
        Ok(if enabled { settings } else { None })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        let mut value = serde_json::Value::deserialize(deserializer)?;
        if value.is_null() {
            value = serde_json::Value::Object(serde_json::Map::new());
        }
        let enabled = value.as_object_mut().and_then(|map| map.remove(ENABLED)).unwrap_or(true.into());
        let enabled = enabled.as_bool().ok_or_else(|| D::Error::custom("'enabled' must be true or false"))?;
        let settings = serde_json::from_value(value).map_err(D::Error::custom)?;
        Ok(enabled.then_some(settings))
    }
}

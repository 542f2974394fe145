//! The keys that a program reads, found among the attributes of a record in one walk.

/// A set of attribute keys, each with a number.
#[derive(Clone, Debug)]
pub(crate) struct KeyTable {
    keys: Vec<Box<[u8]>>,
    /// The lengths that there are, a bit for each; the last stands for all longer ones.
    lengths: u64,
    /// The first key with a hash, plus one.
    heads: Box<[u16; HEADS]>,
    /// The next key with the same hash, plus one.
    next: Vec<u16>,
}

const HEADS: usize = 256;

/// Length and both ends tell nearly all keys of one program apart.
#[inline(always)]
fn hash(key: &[u8]) -> usize {
    let (first, last) = match key {
        [] => (0, 0),
        [.., last] => (usize::from(key[key.len() / 2]), usize::from(*last)),
    };
    (key.len().wrapping_mul(31) ^ first.wrapping_mul(7) ^ last.wrapping_mul(13)) % HEADS
}

#[inline(always)]
fn length_bit(key: &[u8]) -> u64 {
    1 << key.len().min(63)
}

impl Default for KeyTable {
    fn default() -> KeyTable {
        KeyTable { keys: Vec::new(), lengths: 0, heads: Box::new([0; HEADS]), next: Vec::new() }
    }
}

impl KeyTable {
    /// The number of a key, which is added if it is new. `None` once there are too many.
    pub(crate) fn add(&mut self, key: &[u8]) -> Option<u16> {
        if let Some(index) = self.find(key) {
            return Some(index);
        }
        let index = u16::try_from(self.keys.len()).ok().filter(|index| *index < u16::MAX)?;
        let head = &mut self.heads[hash(key)];
        self.next.push(*head);
        *head = index + 1;
        self.lengths |= length_bit(key);
        self.keys.push(key.into());
        Some(index)
    }

    /// The number of a key.
    #[inline(always)]
    pub(crate) fn find(&self, key: &[u8]) -> Option<u16> {
        if self.lengths & length_bit(key) == 0 {
            return None;
        }
        let mut at = self.heads[hash(key)];
        while at != 0 {
            let index = usize::from(at - 1);
            if *self.keys[index] == *key {
                return Some(at - 1);
            }
            at = self.next[index];
        }
        None
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_added_and_nothing_else() {
        let mut table = KeyTable::default();
        let keys: Vec<_> = (0..1000).map(|number| format!("key.{number}").into_bytes()).collect();
        for (key, index) in keys.iter().zip(0..) {
            assert_eq!(table.add(key), Some(index));
        }
        for (key, index) in keys.iter().zip(0..) {
            assert_eq!((table.find(key), table.add(key)), (Some(index), Some(index)));
        }
        assert_eq!(table.find(b"key.1000"), None);
        assert_eq!(table.find(b""), None);
        assert_eq!(table.add(b""), Some(1000));
    }
}

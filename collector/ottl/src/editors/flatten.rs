//! `flatten`: nested maps and lists become entries with longer keys. The algorithm of the original, with
//! what is odd about it.

use std::collections::{HashMap, HashSet};

use crate::EvalError;
use crate::plan::Path;
use crate::run::{self, Datum, Entries, State};

/// The most entries that one map may be flattened to.
const MAX_ENTRIES: usize = 100_000;

pub(crate) struct Flatten {
    pub(crate) prefix: Option<Box<str>>,
    /// How many levels are opened.
    pub(crate) depth: i64,
    pub(crate) resolves_conflicts: bool,
}

/// The entries that came out so far.
struct Flattened<'a> {
    entries: Vec<(Vec<u8>, &'a [u8])>,
    places: HashMap<Vec<u8>, usize>,
    /// With conflicts resolved: how often a key came.
    taken: HashSet<Vec<u8>>,
    counts: HashMap<Vec<u8>, u64>,
    resolves_conflicts: bool,
}

impl Flatten {
    pub(super) fn run<'a>(&self, target: &'a Path, state: &mut State<'a>) -> Result<(), EvalError> {
        run::with_map(state, target, |entries, state| {
            let mut out = Flattened {
                entries: Vec::new(),
                places: HashMap::new(),
                taken: HashSet::new(),
                counts: HashMap::new(),
                resolves_conflicts: self.resolves_conflicts,
            };
            let prefix = self.prefix.as_deref().unwrap_or("").as_bytes();
            let fields = entries.iter().map(|entry| (entry.key, entry.value));
            out.map(fields, prefix, self.depth)?;
            let mut flat = Entries::default();
            for (key, value) in out.entries {
                flat.push(state.arena.copy(&key), value);
            }
            *entries = flat;
            Ok(true)
        })
    }
}

impl<'a> Flattened<'a> {
    fn map(
        &mut self,
        entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        prefix: &[u8],
        depth: i64,
    ) -> Result<(), EvalError> {
        let prefix = if prefix.is_empty() { Vec::new() } else { [prefix, b"."].concat() };
        for (key, value) in entries {
            let key = [&prefix[..], key].concat();
            match Datum::read(value) {
                Datum::Map(map) if depth > 0 => self.map(run::entries(map), &key, depth - 1)?,
                Datum::List(list) if depth > 0 => self.list(list, &key, depth)?,
                _ => self.put(key, value)?,
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &'a [u8], key: &[u8], depth: i64) -> Result<(), EvalError> {
        for (index, item) in run::items(list).enumerate() {
            let number = index.to_string();
            let numbered = [key, b".", number.as_bytes()].concat();
            match Datum::read(item) {
                Datum::Map(map) if depth > 1 => self.map(run::entries(map), &numbered, depth - 2)?,
                // The indices of lists in lists have no dot before them.
                Datum::List(inner) if depth > 1 => {
                    for (inner_index, inner_item) in run::items(inner).enumerate() {
                        let place = [&numbered[..], inner_index.to_string().as_bytes()].concat();
                        match Datum::read(inner_item) {
                            Datum::Map(map) if depth > 2 => self.map(run::entries(map), &place, depth - 3)?,
                            _ => self.put(place, inner_item)?,
                        }
                    }
                }
                _ if self.resolves_conflicts => self.put(key.to_vec(), item)?,
                _ => self.put(numbered, item)?,
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Vec<u8>, value: &'a [u8]) -> Result<(), EvalError> {
        if self.entries.len() >= MAX_ENTRIES {
            return Err("the map would have more than 100000 entries".into());
        }
        let key = if self.resolves_conflicts { self.free(key) } else { key };
        match self.places.get(&key) {
            Some(place) => self.entries[*place].1 = value,
            None => {
                self.places.insert(key.clone(), self.entries.len());
                self.entries.push((key, value));
            }
        }
        Ok(())
    }

    /// The key, or with the first number behind it that is free.
    fn free(&mut self, key: Vec<u8>) -> Vec<u8> {
        if self.taken.insert(key.clone()) {
            return key;
        }
        let count = self.counts.entry(key.clone()).or_default();
        loop {
            let numbered = [&key[..], b".", count.to_string().as_bytes()].concat();
            *count += 1;
            if self.taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

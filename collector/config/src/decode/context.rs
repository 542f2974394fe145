//! What one run of the deserializer knows beside the value in front of it.

use super::error::{Error, Fault};
use crate::path::KeyPath;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// What a run learned about a node.
#[derive(Clone, Debug)]
pub(super) enum Note {
    /// It is a substitution and was read as text.
    Text,
    /// It was read, but not as it stands.
    Warning(String),
}

pub(super) struct Context<'a> {
    left_out: &'a HashSet<KeyPath>,
    state: RefCell<Finished>,
}

/// What is left of a run.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Where it stopped, if it failed.
    pub(super) path: KeyPath,
    pub(super) notes: Vec<(KeyPath, Note)>,
    /// The keys that each section knows.
    pub(super) known: HashMap<KeyPath, &'static [&'static str]>,
    /// Sections that also know `enabled`.
    pub(super) blocks: HashSet<KeyPath>,
    /// Nodes that were to be read as secrets, whether or not that worked.
    pub(super) hidden: HashSet<KeyPath>,
}

impl<'a> Context<'a> {
    pub(super) fn new(left_out: &'a HashSet<KeyPath>) -> Context<'a> {
        Context { left_out, state: RefCell::default() }
    }

    pub(super) fn finish(self) -> Finished {
        self.state.into_inner()
    }

    pub(super) fn depth(&self) -> usize {
        self.state.borrow().path.len()
    }

    /// Whether the child of the current node under `key` is to be left out.
    pub(super) fn leaves_out(&self, depth: usize, key: &str) -> bool {
        if self.left_out.is_empty() {
            return false;
        }
        let mut path = self.state.borrow().path.clone();
        path.truncate(depth);
        path.push(key);
        self.left_out.contains(&path)
    }

    /// Reads the child under `key` of the node at `depth`. After an error the path stays where it happened.
    pub(super) fn below<T>(
        &self,
        depth: usize,
        key: &str,
        read: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        {
            let path = &mut self.state.borrow_mut().path;
            path.truncate(depth);
            path.push(key);
        }
        let value = read()?;
        self.state.borrow_mut().path.truncate(depth);
        Ok(value)
    }

    pub(super) fn note(&self, note: Note) {
        let mut state = self.state.borrow_mut();
        let path = state.path.clone();
        state.notes.push((path, note));
    }

    pub(super) fn knows(&self, fields: &'static [&'static str]) {
        let mut state = self.state.borrow_mut();
        let path = state.path.clone();
        state.known.insert(path, fields);
    }

    pub(super) fn is_block(&self) {
        let mut state = self.state.borrow_mut();
        let path = state.path.clone();
        state.blocks.insert(path);
    }

    pub(super) fn is_secret(&self) {
        let mut state = self.state.borrow_mut();
        let path = state.path.clone();
        state.hidden.insert(path);
    }

    pub(super) fn mismatch(&self, expected: &str, found: String, help: Option<String>) -> Error {
        Fault::Mismatch { expected: expected.to_owned(), found, help }.into()
    }
}

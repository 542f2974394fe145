//! Resources and scopes, by content: held once, however many spans belong to them.

use hashbrown::HashTable;
use phoenix_pdata::wire::Fields;
use xxhash_rust::xxh3::xxh3_64;

use crate::conditions::OfResource;

/// A resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResourceId(pub(crate) u32);

/// A scope of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScopeId(pub(crate) u32);

/// What stands around records: an entry of a request without its records.
struct Shell {
    bytes: Box<[u8]>,
    hash: u64,
    /// Of a scope, its resource.
    inside: u32,
    /// Who holds it; nobody where the place is free.
    holders: u32,
    /// Of a resource: what a generation's conditions found.
    found: Option<(u32, OfResource)>,
}

#[derive(Default)]
struct Table {
    shells: Vec<Shell>,
    free: Vec<u32>,
    index: HashTable<u32>,
    bytes: usize,
}

/// Bytes of a shell beside its content.
const SHELL_BYTES: usize = size_of::<Shell>() + 8;

impl Table {
    /// The shell of that content, held once more; true where it is new.
    fn intern(&mut self, bytes: &[u8], inside: u32) -> (u32, bool) {
        let hash = xxh3_64(bytes) ^ u64::from(inside).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let shells = &self.shells;
        let same = |at: &u32| {
            let shell = &shells[*at as usize];
            shell.inside == inside && *shell.bytes == *bytes
        };
        if let Some(at) = self.index.find(hash, same).copied() {
            self.shells[at as usize].holders += 1;
            return (at, false);
        }
        let shell = Shell { bytes: bytes.into(), hash, inside, holders: 1, found: None };
        self.bytes += bytes.len() + SHELL_BYTES;
        let at = match self.free.pop() {
            Some(at) => {
                self.shells[at as usize] = shell;
                at
            }
            None => {
                self.shells.push(shell);
                self.shells.len() as u32 - 1
            }
        };
        let shells = &self.shells;
        self.index.insert_unique(hash, at, |at| shells[*at as usize].hash);
        (at, true)
    }

    /// One holder less; the place around it where that was the last one.
    fn let_go(&mut self, at: u32) -> Option<u32> {
        let shell = &mut self.shells[at as usize];
        shell.holders -= 1;
        if shell.holders > 0 {
            return None;
        }
        self.bytes -= shell.bytes.len() + SHELL_BYTES;
        shell.bytes = Box::default();
        shell.found = None;
        let (hash, inside) = (shell.hash, shell.inside);
        if let Ok(found) = self.index.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        self.free.push(at);
        Some(inside)
    }
}

/// The resources and scopes of a shard.
#[derive(Default)]
pub(crate) struct Interned {
    resources: Table,
    scopes: Table,
    scratch: Vec<u8>,
}

/// The number of the field that holds scopes in the entry of a resource, and spans in that of a scope.
pub(crate) const INSIDE: u32 = 2;

impl Interned {
    pub(crate) fn bytes(&self) -> usize {
        self.resources.bytes + self.scopes.bytes
    }

    fn shell<'s>(scratch: &'s mut Vec<u8>, entry: &[u8]) -> &'s [u8] {
        scratch.clear();
        for field in Fields::new(entry).filter(|field| !field.is_len(INSIDE)) {
            scratch.extend_from_slice(field.raw);
        }
        scratch
    }

    /// The resource of an entry; held until it is let go.
    pub(crate) fn resource(&mut self, entry: &[u8]) -> ResourceId {
        let shell = Interned::shell(&mut self.scratch, entry);
        ResourceId(self.resources.intern(shell, 0).0)
    }

    /// The scope of an entry; held until it is let go.
    pub(crate) fn scope(&mut self, resource: ResourceId, entry: &[u8]) -> ScopeId {
        let shell = Interned::shell(&mut self.scratch, entry);
        let (scope, is_new) = self.scopes.intern(shell, resource.0);
        if is_new {
            self.resources.shells[resource.0 as usize].holders += 1;
        }
        ScopeId(scope)
    }

    pub(crate) fn hold(&mut self, scope: ScopeId) {
        self.scopes.shells[scope.0 as usize].holders += 1;
    }

    pub(crate) fn let_go(&mut self, scope: ScopeId) {
        if let Some(resource) = self.scopes.let_go(scope.0) {
            self.let_resource_go(ResourceId(resource));
        }
    }

    pub(crate) fn let_resource_go(&mut self, resource: ResourceId) {
        self.resources.let_go(resource.0);
    }

    pub(crate) fn resource_of(&self, scope: ScopeId) -> ResourceId {
        ResourceId(self.scopes.shells[scope.0 as usize].inside)
    }

    /// The fields of the entry of a resource, without its scopes.
    pub(crate) fn resource_bytes(&self, resource: ResourceId) -> &[u8] {
        &self.resources.shells[resource.0 as usize].bytes
    }

    /// The fields of the entry of a scope, without its spans.
    pub(crate) fn scope_bytes(&self, scope: ScopeId) -> &[u8] {
        &self.scopes.shells[scope.0 as usize].bytes
    }

    /// What the conditions of a generation find in a resource; found out once while the resource is held.
    pub(crate) fn found_in(
        &mut self,
        resource: ResourceId,
        generation: u32,
        find_out: impl FnOnce(&[u8]) -> OfResource,
    ) -> &OfResource {
        let shell = &mut self.resources.shells[resource.0 as usize];
        if shell.found.as_ref().is_none_or(|(of, _)| *of != generation) {
            shell.found = Some((generation, find_out(&shell.bytes)));
        }
        shell.found.as_ref().map(|(_, found)| found).expect("it was found out")
    }
}

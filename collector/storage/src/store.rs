//! A directory, and who may work in it.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::commit::Commits;
use crate::disk::Disk;
use crate::disk::real::RealDisk;
use crate::{Client, Log, OpenError, Options};

const LOCK: &str = "phoenix.lock";

/// The name of a client in its directory, in letters that every file system knows: different names stay different.
pub fn client_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => safe.push(char::from(byte)),
            byte => safe.push_str(&format!("~{byte:02x}")),
        }
    }
    safe
}

/// A directory that is open. It is let go of when this and all its clients are gone.
pub struct Store(Arc<Shared>);

struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    commits: Arc<Commits>,
    state: Mutex<State>,
    lock: Lock,
}

struct State {
    options: Options,
    clients: HashMap<String, Weak<Client>>,
}

/// Ends the thread, and lets go of the lock after that.
struct Lock {
    commits: Arc<Commits>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    _file: Box<dyn Any + Send + Sync>,
}

impl Lock {
    fn thread(&self) -> MutexGuard<'_, Option<std::thread::JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.commits.close();
        // The thread itself may be what lets go last.
        if let Some(thread) =
            self.thread().take().filter(|thread| thread.thread().id() != std::thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

impl Store {
    /// The one name of a directory, which is made with the mode `create` where there is none; without a mode
    /// none is made.
    ///
    /// # Errors
    /// Where there is none, or the system refuses.
    pub fn prepare(dir: &Path, create: Option<u32>) -> Result<PathBuf, OpenError> {
        let failed = |source| OpenError::Io { path: dir.to_owned(), source };
        if !dir.is_dir() {
            let Some(mode) = create else { return Err(OpenError::Missing { path: dir.to_owned() }) };
            std::fs::DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(failed)?;
            let made = dir.canonicalize().map_err(failed)?;
            // Its name, and those of the folders above it that are new as well; not all may be opened.
            made.ancestors().skip(1).for_each(|above| drop(RealDisk.sync_dir(above)));
        }
        dir.canonicalize().map_err(failed)
    }

    /// Opens a directory, for which another process has to let go of it within `patience`. Blocks on the disk.
    ///
    /// # Errors
    /// Where another process has it, or the system refuses.
    pub fn open(dir: &Path, patience: Duration, options: Options) -> Result<Store, OpenError> {
        Store::on_disk(Arc::new(RealDisk), dir, patience, options)
    }

    /// The same on any disk, in a directory that exists.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn on_disk(
        disk: Arc<dyn Disk>,
        dir: &Path,
        patience: Duration,
        options: Options,
    ) -> Result<Store, OpenError> {
        let store = Store::by_hand(disk, dir, patience, options)?;
        let of_thread = store.0.commits.clone();
        let thread = std::thread::Builder::new().name("storage".to_owned()).spawn(move || of_thread.run());
        let failed = |source| OpenError::Io { path: dir.to_owned(), source };
        *store.0.lock.thread() = Some(thread.map_err(failed)?);
        Ok(store)
    }

    /// The same without a thread, for tests that say when what was handed over is written: by [`Store::step`].
    #[doc(hidden)]
    pub fn by_hand(
        disk: Arc<dyn Disk>,
        dir: &Path,
        patience: Duration,
        options: Options,
    ) -> Result<Store, OpenError> {
        let failed = |source| OpenError::Io { path: dir.to_owned(), source };
        let path = dir.join(LOCK);
        let Some(file) = disk.lock(&path, patience).map_err(failed)? else {
            let owner = std::fs::read_to_string(&path).unwrap_or_default();
            let owner = owner.trim().parse::<u32>().map(|id| format!(" ({id})")).unwrap_or_default();
            return Err(OpenError::Locked { path: dir.to_owned(), owner });
        };
        let commits = Arc::new(Commits::default());
        let lock = Lock { commits: commits.clone(), thread: Mutex::default(), _file: file };
        let state = Mutex::new(State { options, clients: HashMap::new() });
        Ok(Store(Arc::new(Shared { disk, dir: dir.to_owned(), commits, state, lock })))
    }

    /// Writes what was handed over, where no thread does.
    #[doc(hidden)]
    pub fn step(&self) {
        self.0.commits.step();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// How its logs work from now on.
    pub fn set_options(&self, options: Options) {
        let mut state = self.state();
        state.options = options;
        let clients: Vec<Arc<Client>> = state.clients.values().filter_map(Weak::upgrade).collect();
        drop(state);
        clients.iter().for_each(|client| client.log().set_options(options));
    }

    /// The client of that name: whoever asks for the same name gets the same. Blocks on the disk.
    ///
    /// # Errors
    /// Where a later version of Phoenix wrote its log, or the system refuses.
    pub fn client(&self, name: &str) -> Result<Arc<Client>, OpenError> {
        let mut state = self.state();
        if let Some(client) = state.clients.get(name).and_then(Weak::upgrade) {
            return Ok(client);
        }
        let dir = self.0.dir.join(format!("{name}.queue"));
        let log = Log::open(self.0.disk.clone(), &dir, state.options)?;
        let client = Arc::new(Client::new(name, log, self.0.commits.clone(), self.0.clone()));
        state.clients.retain(|_, client| client.strong_count() > 0);
        state.clients.insert(name.to_owned(), Arc::downgrade(&client));
        Ok(client)
    }
}

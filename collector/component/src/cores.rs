//! One I/O runtime per core, and who is busy.
//!
//! Each core is a thread with a single-threaded runtime, so a request that stays on it needs no wake-up
//! of another thread. Connections are dealt to the core with the least of them; a complete request may
//! go to another core while its own is *behind*, that is, has not been idle for some time.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use crossbeam_utils::CachePadded;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A core that has not been idle for this long is behind: a request of 100 spans takes about 0.1 ms.
const BEHIND_AFTER_NANOS: u64 = 400_000;

/// The I/O runtimes of one collector. Clones share them.
#[derive(Clone)]
pub struct Cores(Arc<[Core]>);

/// One I/O runtime.
pub struct Core {
    handle: Handle,
    activity: Arc<Activity>,
}

struct Activity {
    epoch: Instant,
    /// Nanoseconds since `epoch` at which the thread last woke up; 0 while it is idle.
    busy_since: CachePadded<AtomicU64>,
    connections: AtomicUsize,
}

thread_local!(static CURRENT: Cell<Option<usize>> = const { Cell::new(None) });

impl Cores {
    /// Starts `count` runtimes (at least one), each on a thread of its own named `phoenix-io-N`. They end,
    /// with whatever still runs on them, when the returned threads' guard is dropped.
    ///
    /// # Errors
    /// Where a thread or a runtime cannot be made.
    pub fn start(count: usize) -> std::io::Result<(Cores, CoreThreads)> {
        let mut cores = Vec::new();
        let mut threads = CoreThreads(Vec::new());
        for index in 0..count.max(1) {
            let activity = Arc::new(Activity::new());
            let (parked, woken) = (activity.clone(), activity.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .on_thread_park(move || parked.busy_since.store(0, Relaxed))
                .on_thread_unpark(move || woken.busy_since.store(woken.now(), Relaxed))
                .build()?;
            cores.push(Core { handle: runtime.handle().clone(), activity });
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let thread =
                std::thread::Builder::new().name(format!("phoenix-io-{index}")).spawn(move || {
                    CURRENT.set(Some(index));
                    // Either end of the channel means stop.
                    let _ = runtime.block_on(stopped);
                })?;
            threads.0.push((stop, thread));
        }
        Ok((Cores(cores.into()), threads))
    }

    /// The runtime of the caller as the only core: for tests and tools.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn current_runtime() -> Cores {
        let activity = Arc::new(Activity::new());
        Cores(Arc::new([Core { handle: Handle::current(), activity }]))
    }

    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The index of the core that the caller runs on, or 0 elsewhere: for tables with an entry per core.
    pub fn current_index(&self) -> usize {
        CURRENT.get().filter(|index| *index < self.0.len()).unwrap_or(0)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Core> {
        self.0.iter()
    }

    /// The core with the fewest connections; count one on it with [`Core::connection`].
    pub fn least_connections(&self) -> &Core {
        self.0.iter().min_by_key(|core| core.activity.connections.load(Relaxed)).expect("at least one core")
    }

    /// An idle core for a complete request, where the caller's own core is behind.
    pub fn idle_instead_of_this(&self) -> Option<&Core> {
        if self.0.len() < 2 {
            return None;
        }
        let own = self.0.get(CURRENT.get()?)?;
        if !own.activity.is_behind() {
            return None;
        }
        self.0.iter().find(|core| core.activity.busy_since.load(Relaxed) == 0)
    }
}

impl Core {
    /// Runs a task on this core.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(task)
    }

    /// Counts a connection on this core until the guard is dropped.
    pub fn connection(&self) -> ConnectionGuard {
        self.activity.connections.fetch_add(1, Relaxed);
        ConnectionGuard(self.activity.clone())
    }
}

impl Activity {
    fn new() -> Activity {
        Activity {
            epoch: Instant::now(),
            // Busy until it idles for the first time.
            busy_since: CachePadded::new(AtomicU64::new(1)),
            connections: AtomicUsize::new(0),
        }
    }

    /// Never 0, which means idle.
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64 | 1
    }

    fn is_behind(&self) -> bool {
        let since = self.busy_since.load(Relaxed);
        since != 0 && self.now().saturating_sub(since) > BEHIND_AFTER_NANOS
    }
}

/// A connection that counts on its core.
pub struct ConnectionGuard(Arc<Activity>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// The threads of the runtimes. Dropping it ends them and waits.
pub struct CoreThreads(Vec<(tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>)>);

impl Drop for CoreThreads {
    fn drop(&mut self) {
        for (stop, thread) in self.0.drain(..) {
            drop(stop);
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_dealt_to_the_core_with_the_fewest() {
        let (cores, _threads) = Cores::start(2).expect("threads");
        let first = cores.least_connections().connection();
        let _second = cores.least_connections().connection();
        drop(first);
        let counts: Vec<_> = cores.iter().map(|core| core.activity.connections.load(Relaxed)).collect();
        assert_eq!(counts, [0, 1]);
    }

    #[test]
    fn a_busy_core_names_an_idle_one() {
        let (cores, _threads) = Cores::start(2).expect("threads");
        while cores.iter().any(|core| core.activity.busy_since.load(Relaxed) != 0) {
            std::thread::yield_now();
        }
        let (tell, told) = std::sync::mpsc::channel();
        let inner = cores.clone();
        let busy = cores.iter().next().expect("two").spawn(async move {
            let started = Instant::now();
            let early = inner.idle_instead_of_this().is_some();
            while started.elapsed().as_nanos() < u128::from(2 * BEHIND_AFTER_NANOS) {
                std::hint::spin_loop();
            }
            tell.send((early, inner.idle_instead_of_this().is_some(), inner.current_index()))
                .expect("receiver");
        });
        let (early, late, index) = told.recv().expect("an answer");
        assert_eq!((early, late, index), (false, true, 0));
        drop(busy);
        assert!(cores.idle_instead_of_this().is_none(), "the caller is on none of them");
    }
}

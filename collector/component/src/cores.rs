//! One I/O runtime per core, and who is busy.
//!
//! Each core is a thread with a single-threaded runtime, so a request that stays on it needs no wake-up
//! of another thread. Connections are dealt to the core with the least of them; a complete request may
//! go to another core while its own is *behind*: busy for nearly all of the last ten milliseconds, while the
//! other had time to spare. (Looking at the moment only would move requests about under any even load, and
//! each move costs two wake-ups.)

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Timers that end later than this cost no system call.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// The time over which the load of a core is measured.
const WINDOW_NANOS: u64 = 10_000_000;
/// A core that was busy for this part of the window, in permille, is behind.
const BEHIND: u64 = 900;
/// A core that was busy for no more than this can help.
const HELPFUL: u64 = 600;

/// The I/O runtimes of one collector. Clones share them.
#[derive(Clone)]
pub struct Cores(Arc<[Core]>);

/// One I/O runtime.
pub struct Core {
    handle: Handle,
    activity: Arc<Activity>,
}

/// When a core's thread woke up and went to sleep, in nanoseconds since `epoch`. Only that thread writes,
/// whenever it parks; anybody may read, and a torn picture costs no more than one odd choice of a core.
struct Activity {
    epoch: Instant,
    connections: AtomicUsize,
    clock: CachePadded<Clock>,
}

#[derive(Default)]
struct Clock {
    /// When the thread last changed between busy and idle.
    changed: AtomicU64,
    /// 1 while it is busy.
    busy: AtomicU64,
    /// When the window began, and how long it was busy since then.
    window: AtomicU64,
    busy_in_window: AtomicU64,
    /// The load over the last complete window, in permille.
    load: AtomicU64,
}

thread_local!(static CURRENT: Cell<Option<usize>> = const { Cell::new(None) });

impl Cores {
    /// Starts `count` runtimes (at least one), each on a thread of its own named `phoenix-io-N`. They end,
    /// with whatever still runs on them, when the returned threads' guard is dropped.
    ///
    /// # Errors
    /// Where a thread or a runtime cannot be made.
    pub fn start(count: usize) -> std::io::Result<(Cores, CoreThreads)> {
        let epoch = Instant::now();
        let mut cores = Vec::new();
        let mut threads = CoreThreads(Vec::new());
        for index in 0..count.max(1) {
            let activity = Arc::new(Activity::new(epoch));
            let (parked, woken) = (activity.clone(), activity.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .on_thread_park(move || parked.change(false))
                .on_thread_unpark(move || woken.change(true))
                .build()?;
            cores.push(Core { handle: runtime.handle().clone(), activity });
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let thread =
                std::thread::Builder::new().name(format!("phoenix-io-{index}")).spawn(move || {
                    CURRENT.set(Some(index));
                    runtime.spawn(heartbeat());
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
        Cores::of(Handle::current())
    }

    /// A runtime that is not one of the collector's, as the only core: for servers of what is not data.
    pub fn of(handle: Handle) -> Cores {
        let activity = Arc::new(Activity::new(Instant::now()));
        Cores(Arc::new([Core { handle, activity }]))
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

    /// A core with time to spare for a complete request, where the caller's own core is behind.
    pub fn idle_instead_of_this(&self) -> Option<&Core> {
        if self.0.len() < 2 {
            return None;
        }
        let own = self.0.get(CURRENT.get()?)?;
        let now = own.activity.now();
        if own.activity.load(now) < BEHIND {
            return None;
        }
        let others = self.0.iter().map(|core| (core.activity.load(now), core));
        others.filter(|(load, _)| *load <= HELPFUL).min_by_key(|(load, _)| *load).map(|(_, core)| core)
    }
}

/// Keeps a timer in the wheel of its runtime at all times. While there is none, tokio wakes the runtime
/// through the kernel for each timer that is set, which cost a system call and a spurious wake-up for
/// every request with a deadline (seen with `perf record -e syscalls:sys_enter_write`).
async fn heartbeat() {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
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
    fn new(epoch: Instant) -> Activity {
        // A thread is busy until it sleeps for the first time.
        let clock = Clock { busy: AtomicU64::new(1), ..Clock::default() };
        Activity { epoch, connections: AtomicUsize::new(0), clock: CachePadded::new(clock) }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// The thread wakes up or goes to sleep.
    fn change(&self, busy: bool) {
        let (clock, now) = (&*self.clock, self.now());
        let since = clock.changed.swap(now, Relaxed);
        let was_busy = clock.busy.swap(u64::from(busy), Relaxed) == 1;
        let mut in_window = clock.busy_in_window.load(Relaxed);
        if was_busy {
            in_window += now - since;
        }
        let length = now - clock.window.load(Relaxed);
        if length >= WINDOW_NANOS {
            clock.load.store(in_window * 1000 / length, Relaxed);
            clock.window.store(now, Relaxed);
            in_window = 0;
        }
        clock.busy_in_window.store(in_window, Relaxed);
    }

    /// Busy time in permille: of the last complete window, or of what goes on for longer than that.
    fn load(&self, now: u64) -> u64 {
        let clock = &*self.clock;
        if now.saturating_sub(clock.changed.load(Relaxed)) > WINDOW_NANOS {
            return clock.busy.load(Relaxed) * 1000;
        }
        clock.load.load(Relaxed)
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
    fn the_load_is_that_of_the_last_window_or_of_what_goes_on() {
        let started = Instant::now();
        let activity = Activity::new(started);
        assert_eq!(activity.load(5), 0);
        let clock = &activity.clock;
        assert_eq!(activity.load(WINDOW_NANOS + 1), 1000, "busy all along");
        clock.load.store(430, Relaxed);
        clock.changed.store(WINDOW_NANOS, Relaxed);
        assert_eq!(activity.load(WINDOW_NANOS + 7), 430);
        clock.busy.store(0, Relaxed);
        assert_eq!(activity.load(3 * WINDOW_NANOS), 0, "asleep for long");
    }

    #[test]
    fn a_busy_core_names_an_idle_one() {
        let (cores, _threads) = Cores::start(2).expect("threads");
        let (tell, told) = std::sync::mpsc::channel();
        let inner = cores.clone();
        let busy = cores.iter().next().expect("two").spawn(async move {
            let started = Instant::now();
            while started.elapsed().as_nanos() < u128::from(2 * WINDOW_NANOS) {
                std::hint::spin_loop();
            }
            let other = inner.idle_instead_of_this().map(|core| core.handle.id());
            tell.send((other, inner.current_index())).expect("receiver");
        });
        let (other, index) = told.recv().expect("an answer");
        let second = cores.iter().nth(1).expect("two").handle.id();
        assert_eq!((other, index), (Some(second), 0));
        drop(busy);
        assert!(cores.idle_instead_of_this().is_none(), "the caller is on none of them");
    }
}

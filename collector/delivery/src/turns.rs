//! Threads that take turns, for tests: one of them runs at a time, and at each lock of a queue a seed decides who is
//! next. So an interleaving in which something is lost is found, and found again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// Turns after which whatever goes on is taken to do so for ever.
const MOST: usize = 100_000;

type Job = Box<dyn FnOnce() + Send>;

/// Decides whose turn it is.
pub(crate) struct Turns {
    state: Mutex<State>,
    /// Of each thread: told when it is its turn.
    next: Vec<Condvar>,
}

struct State {
    dice: u64,
    /// Taken so far.
    count: usize,
    /// Of a seed that is odd, one goes on until it has to let others go first; else any may be next.
    is_steady: bool,
    /// Those that have not ended, those who go first before others.
    alive: Vec<usize>,
    running: usize,
    /// What would run on a thread of its own.
    jobs: VecDeque<Job>,
}

thread_local!(static CURRENT: RefCell<Option<(Arc<Turns>, usize)>> = const { RefCell::new(None) });

/// Hands the turn on, however its thread ends.
struct Turn(Arc<Turns>, usize);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.alive.retain(|index| *index != self.1);
        self.0.pick(&mut state);
    }
}

impl Turns {
    /// Runs all of these to their end.
    pub(crate) fn run(seed: u64, actors: Vec<Box<dyn FnOnce() + Send + '_>>) {
        let count = actors.len();
        let dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let state = State {
            dice,
            count: 0,
            is_steady: seed % 2 == 1,
            alive: (0..count).collect(),
            running: 0,
            jobs: VecDeque::new(),
        };
        let next = (0..count).map(|_| Condvar::new()).collect();
        let turns = Arc::new(Turns { state: Mutex::new(state), next });
        std::thread::scope(|scope| {
            for (index, actor) in actors.into_iter().enumerate() {
                let turns = turns.clone();
                scope.spawn(move || {
                    CURRENT.set(Some((turns.clone(), index)));
                    let _turn = Turn(turns.clone(), index);
                    turns.wait(turns.state(), index);
                    actor();
                });
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, state: &mut State) {
        if state.alive.is_empty() {
            return;
        }
        // Xorshift: good enough to choose by.
        state.dice ^= state.dice << 13;
        state.dice ^= state.dice >> 7;
        state.dice ^= state.dice << 17;
        let chosen = (state.dice >> 32) as usize;
        let count = state.alive.len();
        state.running = match state.is_steady {
            false => state.alive[chosen % count],
            true => {
                if chosen.is_multiple_of(8) {
                    // Whoever has run goes last from now on, or (rarely) somebody else.
                    let place = if chosen.is_multiple_of(64) { (chosen >> 6) % count } else { 0 };
                    state.alive[place..].rotate_left(1);
                }
                state.alive[0]
            }
        };
        self.next[state.running].notify_one();
    }

    fn wait(&self, mut state: MutexGuard<'_, State>, index: usize) {
        while state.running != index {
            state = self.next[index].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn current() -> Option<(Arc<Turns>, usize)> {
    CURRENT.with_borrow(Clone::clone)
}

/// Somebody else may go on here.
pub(crate) fn point() {
    if let Some((turns, index)) = current() {
        let mut state = turns.state();
        state.count += 1;
        let has_end = state.count < MOST || std::thread::panicking();
        turns.pick(&mut state);
        turns.wait(state, index);
        assert!(has_end, "this does not come to an end");
    }
}

/// Locks, where threads take turns after one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    if current().is_none() {
        return mutex.lock().unwrap_or_else(PoisonError::into_inner);
    }
    loop {
        point();
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(error)) => return error.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

/// Keeps a job of `owner` for [`run_job`], where threads take turns; else gives that back.
pub(crate) fn later<T: Send + 'static>(owner: T, job: impl FnOnce(T) + Send + 'static) -> Option<T> {
    match current() {
        None => Some(owner),
        Some((turns, _)) => {
            turns.state().jobs.push_back(Box::new(|| job(owner)));
            None
        }
    }
}

/// Runs a job that was kept, if there is one.
pub(crate) fn run_job() {
    let job = current().and_then(|(turns, _)| turns.state().jobs.pop_front());
    if let Some(job) = job {
        job();
    }
}

//! The thread of a directory that writes what its clients hand to it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::client::{Client, Place};
use crate::{AppendError, Entry, Weight};

/// Longest time for which marks wait for an append to be written with: after a crash what they are of comes
/// again. The thread looks for them that long after an append, so that they need not wake it.
const MARKS_WAIT: Duration = Duration::from_millis(20);

pub(crate) type Answer = Box<dyn FnOnce(Result<Place, AppendError>) + Send>;

/// What clients have handed over.
#[derive(Default)]
pub(crate) struct Commits {
    state: Mutex<State>,
    /// Told when there is something to do for the thread, if it waits.
    work: Condvar,
}

/// What is to be done at once.
struct Work {
    appends: VecDeque<(Arc<Client>, Entry, Answer)>,
    marks: Vec<(Arc<Client>, u64, Weight)>,
    flushes: Vec<Box<dyn FnOnce() + Send>>,
}

#[derive(Default)]
struct State {
    appends: VecDeque<(Arc<Client>, Entry, Answer)>,
    marks: Vec<(Arc<Client>, u64, Weight)>,
    flushes: Vec<Box<dyn FnOnce() + Send>>,
    sleep: Sleep,
    is_closed: bool,
}

/// What the thread waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sleep {
    /// It works.
    #[default]
    Awake,
    /// Appends; marks it will find by itself.
    Light,
    /// Anything.
    Deep,
}

impl Commits {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn append(&self, client: Arc<Client>, entry: Entry, answer: Answer) {
        let mut state = self.state();
        if state.is_closed {
            drop(state);
            return answer(Err(AppendError::Closed));
        }
        state.appends.push_back((client, entry, answer));
        self.wake(state);
    }

    /// Notes marks. They are written with the next append, or soon.
    pub(crate) fn mark(&self, client: Arc<Client>, number: u64, weight: Weight) {
        let mut state = self.state();
        state.marks.push((client, number, weight));
        if state.sleep == Sleep::Deep {
            self.wake(state);
        }
    }

    /// Calls back once everything that was handed over before is written.
    pub(crate) fn flush(&self, done: Box<dyn FnOnce() + Send>) {
        let mut state = self.state();
        if state.is_closed {
            drop(state);
            return done();
        }
        state.flushes.push(done);
        self.wake(state);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let sleep = std::mem::take(&mut state.sleep);
        drop(state);
        if sleep != Sleep::Awake {
            self.work.notify_one();
        }
    }

    /// Ends the thread, once it has written what there is.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        self.wake(state);
    }

    /// What the thread does until the end.
    pub(crate) fn run(&self) {
        let mut state = self.state();
        let mut is_quiet = false;
        loop {
            while state.appends.is_empty() && state.flushes.is_empty() && !state.is_closed {
                if is_quiet && state.marks.is_empty() {
                    state.sleep = Sleep::Deep;
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                    is_quiet = false;
                    continue;
                }
                state.sleep = Sleep::Light;
                let waited = self.work.wait_timeout(state, MARKS_WAIT);
                let (waiting, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = waiting;
                state.sleep = Sleep::Awake;
                if timeout.timed_out() {
                    is_quiet = true;
                    if !state.marks.is_empty() {
                        break;
                    }
                }
            }
            is_quiet &= state.appends.is_empty();
            let work = state.take_work();
            if state.is_closed && work.is_empty() {
                return;
            }
            drop(state);
            work.run();
            state = self.state();
        }
    }

    /// Does once what the thread does again and again, where there is something to do.
    pub(crate) fn step(&self) {
        let work = self.state().take_work();
        work.run();
    }
}

impl State {
    fn take_work(&mut self) -> Work {
        Work {
            appends: std::mem::take(&mut self.appends),
            marks: std::mem::take(&mut self.marks),
            flushes: std::mem::take(&mut self.flushes),
        }
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        self.appends.is_empty() && self.marks.is_empty() && self.flushes.is_empty()
    }

    fn run(self) {
        // Marks first: what they free is room for what comes.
        by_client(self.marks.into_iter().map(|(client, number, weight)| (client, (number, weight))))
            .for_each(|(client, marks)| client.write_marks(&marks));
        by_client(self.appends.into_iter().map(|(client, entry, answer)| (client, (entry, answer))))
            .for_each(|(client, appends)| client.write(appends));
        self.flushes.into_iter().for_each(|done| done());
    }
}

/// Sorts by client, in the order in which things came for each.
fn by_client<T>(all: impl Iterator<Item = (Arc<Client>, T)>) -> impl Iterator<Item = (Arc<Client>, Vec<T>)> {
    let mut sorted: Vec<(Arc<Client>, Vec<T>)> = Vec::new();
    for (client, one) in all {
        match sorted.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &client)) {
            Some((_, of_client)) => of_client.push(one),
            None => sorted.push((client, vec![one])),
        }
    }
    sorted.into_iter()
}

//! The thread that compresses, writes and reads, so that no shard waits for any of it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::block::Codec;

/// Something to do.
pub(crate) type Job = Box<dyn FnOnce(&mut Codec) + Send>;

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut codec = Codec::default();
        loop {
            let mut state = self.state();
            let job = loop {
                match state.jobs.pop_front() {
                    Some(job) => break job,
                    None if state.is_closed => return,
                    None => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(state);
            job(&mut codec);
        }
    }
}

/// Who does the jobs, one after the other. Ends with what it has begun.
pub(crate) enum Worker {
    Thread(Thread),
    /// Whoever asks, at once; then this is called.
    #[cfg(test)]
    AtOnce(Mutex<Codec>, Box<dyn Fn() + Send + Sync>),
}

pub(crate) struct Thread {
    queue: Arc<Queue>,
    handle: Option<JoinHandle<()>>,
}

impl Worker {
    /// A thread of its own.
    pub(crate) fn start() -> std::io::Result<Worker> {
        let queue = Arc::new(Queue::default());
        let of_thread = queue.clone();
        let handle =
            std::thread::Builder::new().name("tail-spill".to_owned()).spawn(move || of_thread.run())?;
        Ok(Worker::Thread(Thread { queue, handle: Some(handle) }))
    }

    pub(crate) fn push(&self, job: Job) {
        match self {
            Worker::Thread(thread) => {
                thread.queue.state().jobs.push_back(job);
                thread.queue.work.notify_one();
            }
            #[cfg(test)]
            Worker::AtOnce(codec, after) => {
                job(&mut codec.lock().unwrap_or_else(PoisonError::into_inner));
                after();
            }
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.queue.state().is_closed = true;
        self.queue.work.notify_one();
        if let Some(handle) = self.handle.take() {
            // A panic of a job was reported where it happened.
            let _ = handle.join();
        }
    }
}

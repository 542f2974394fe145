//! The connections of one core, and which of them takes the next call.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use h2::client::SendRequest;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Balancer, Config, backoff, connect};
use crate::endpoint::Address;
use crate::payload::Framed;

/// Names are asked for again at most this often.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
/// A connection that fails sooner than this counts as a failed attempt.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Channel {
    config: Arc<Config>,
    state: Mutex<State>,
    /// Told whenever a call that waits should look again.
    changed: Notify,
}

struct State {
    subchannels: Vec<Subchannel>,
    /// Whose turn it is.
    next: usize,
    next_id: u64,
    names: Names,
}

/// What is known of the target's addresses.
enum Names {
    /// They never change.
    Fixed,
    Unknown,
    Asking,
    Known {
        at: Instant,
    },
    Failed {
        until: Instant,
        failures: u32,
        error: Arc<str>,
    },
}

/// One connection, wanted or there, to one of `addresses`.
struct Subchannel {
    id: u64,
    addresses: Vec<Address>,
    link: Link,
    failures: u32,
}

enum Link {
    Idle,
    Connecting,
    /// `active` counts the calls.
    Ready {
        send: SendRequest<Framed>,
        since: Instant,
        active: Arc<AtomicUsize>,
    },
    Failed {
        until: Instant,
        error: Arc<str>,
    },
}

/// A connection for a call.
pub(super) struct Picked {
    pub(super) send: SendRequest<Framed>,
    pub(super) id: u64,
    pub(super) since: Instant,
    pub(super) active: Arc<AtomicUsize>,
}

pub(super) enum Pick {
    Ready(Picked),
    /// Something is on its way.
    Wait,
    /// Nothing is, before the given time.
    Failed(Arc<str>, Instant),
}

impl Channel {
    pub(super) fn new(config: Arc<Config>) -> Channel {
        let mut state = State { subchannels: Vec::new(), next: 0, next_id: 0, names: Names::Unknown };
        if let Some(address) = config.dialled().fixed() {
            state.names = Names::Fixed;
            state.set_addresses(vec![address], config.options.balancer);
        }
        Channel { config, state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// A connection that is ready, after starting those that are wanted. Needs a runtime.
    pub(super) fn pick(self: &Arc<Self>) -> Pick {
        let state = &mut *self.lock();
        let count = state.subchannels.len();
        let mut waiting = self.ask_for_names(state);
        let mut ready = None;
        let mut failed: Option<(Arc<str>, Instant)> = None;
        for step in 0..count {
            let index = (state.next + step) % count;
            let subchannel = &mut state.subchannels[index];
            match &subchannel.link {
                Link::Ready { send, since, active } => {
                    let (id, since) = (subchannel.id, *since);
                    let pick = || Picked { send: send.clone(), id, since, active: active.clone() };
                    ready = Some(ready.unwrap_or_else(|| (index, pick())));
                    continue;
                }
                Link::Connecting => {
                    waiting = true;
                    continue;
                }
                Link::Failed { until, error } if Instant::now() < *until => {
                    if failed.as_ref().is_none_or(|(_, at)| until < at) {
                        failed = Some((error.clone(), *until));
                    }
                    continue;
                }
                Link::Failed { .. } | Link::Idle => {}
            }
            subchannel.link = Link::Connecting;
            waiting = true;
            let (id, addresses) = (subchannel.id, subchannel.addresses.clone());
            tokio::spawn(connect::run(self.config.clone(), Arc::downgrade(self), id, addresses));
        }
        match (ready, failed, &state.names) {
            (Some((index, picked)), ..) => {
                state.next = index + 1;
                Pick::Ready(picked)
            }
            _ if waiting => Pick::Wait,
            (_, Some((error, until)), _) => Pick::Failed(error, until),
            (_, _, Names::Failed { until, error, .. }) => Pick::Failed(error.clone(), *until),
            _ => Pick::Wait,
        }
    }

    /// Asks the resolver where that is due; whether calls without a connection should wait for it.
    fn ask_for_names(self: &Arc<Self>, state: &mut State) -> bool {
        let failures = match &state.names {
            Names::Fixed | Names::Known { .. } => return false,
            Names::Asking => return state.subchannels.is_empty(),
            Names::Failed { until, .. } if Instant::now() < *until => return false,
            Names::Failed { failures, .. } => *failures,
            Names::Unknown => 0,
        };
        state.names = Names::Asking;
        let (config, channel) = (self.config.clone(), Arc::downgrade(self));
        tokio::spawn(async move {
            let target = config.dialled();
            let answer = tokio::time::timeout(crate::endpoint::CONNECT_TIMEOUT, target.resolve()).await;
            let answer = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            let Some(channel) = channel.upgrade() else { return };
            let now = Instant::now();
            let mut state = channel.lock();
            match answer {
                Ok(addresses) => {
                    state.names = Names::Known { at: now };
                    state.set_addresses(addresses, config.options.balancer);
                }
                Err(error) => {
                    let error = format!("cannot resolve {target}: {error}").into();
                    let until = now + backoff::delay(failures + 1, crate::spread());
                    state.names = Names::Failed { until, failures: failures + 1, error };
                }
            }
            drop(state);
            channel.changed.notify_waiters();
        });
        state.subchannels.is_empty()
    }

    /// A connection is there.
    pub(super) fn connected(&self, id: u64, send: SendRequest<Framed>, active: Arc<AtomicUsize>) {
        if let Some(subchannel) = self.lock().find(id) {
            subchannel.link = Link::Ready { send, since: Instant::now(), active };
        }
        self.changed.notify_waiters();
    }

    /// The attempt that began at `started` failed.
    pub(super) fn failed(&self, id: u64, started: Instant, error: &str) {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(subchannel) = state.find(id) {
            subchannel.failures += 1;
            let until = (started + backoff::delay(subchannel.failures, crate::spread())).max(now);
            subchannel.link = Link::Failed { until, error: error.into() };
        }
        state.names_may_have_changed(now);
        drop(state);
        self.changed.notify_waiters();
    }

    /// The connection that was ready since `since` takes no more calls.
    pub(super) fn lost(&self, id: u64, since: Instant, error: Option<&str>) {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(subchannel) = state.find(id)
            && matches!(&subchannel.link, Link::Ready { since: current, .. } if *current == since)
        {
            match error {
                Some(error) if now < since + SETTLED_AFTER => {
                    subchannel.failures += 1;
                    let until = since + backoff::delay(subchannel.failures, crate::spread());
                    subchannel.link = Link::Failed { until, error: error.into() };
                }
                _ => {
                    subchannel.failures = 0;
                    subchannel.link = Link::Idle;
                }
            }
            state.names_may_have_changed(now);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// When the connection became ready, where it is.
    pub(super) fn ready_since(&self, id: u64) -> Option<Instant> {
        match self.lock().find(id)?.link {
            Link::Ready { since, .. } => Some(since),
            _ => None,
        }
    }
}

impl State {
    fn find(&mut self, id: u64) -> Option<&mut Subchannel> {
        self.subchannels.iter_mut().find(|subchannel| subchannel.id == id)
    }

    fn names_may_have_changed(&mut self, now: Instant) {
        if matches!(self.names, Names::Known { at } if now >= at + RESOLVE_INTERVAL) {
            self.names = Names::Unknown;
        }
    }

    /// Keeps what still has its addresses, drops the rest (their calls go on) and adds what is new.
    fn set_addresses(&mut self, addresses: Vec<Address>, balancer: Balancer) {
        let wanted: Vec<Vec<Address>> = match balancer {
            Balancer::RoundRobin => addresses.into_iter().map(|address| vec![address]).collect(),
            Balancer::PickFirst => vec![addresses],
        };
        let mut before = std::mem::take(&mut self.subchannels);
        for addresses in wanted {
            let kept = before.iter().position(|old| old.addresses == addresses);
            let subchannel = kept.map(|index| before.swap_remove(index)).unwrap_or_else(|| {
                self.next_id += 1;
                Subchannel { id: self.next_id, addresses, link: Link::Idle, failures: 0 }
            });
            self.subchannels.push(subchannel);
        }
    }
}

#[cfg(test)]
mod tests;

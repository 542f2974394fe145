//! The agents that are connected to this process, and what is on its way to them.
//!
//! What is only known here (who is there, when they were last heard of) is not written with each heartbeat.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use phoenix_opamp::{ServerToAgent, Vitals};
use tokio::sync::{Notify, mpsc};

/// Messages that may wait for one agent; one that does not take them is behind and will ask anew.
const OUTBOX: usize = 16;

/// One agent.
struct Session {
    /// Tells this session from an older one of the same agent.
    number: u64,
    /// Its number among the connections of the agent to all instances; 0 until the database gave it one.
    connection: i64,
    /// The connections below this one are over, heard before this one had a number.
    ends_below: i64,
    outbox: mpsc::Sender<ServerToAgent>,
    last_seen: i64,
    last_sequence: u64,
    /// Over plain HTTP there is no connection to see the end of.
    polls_every_ms: Option<i64>,
    /// What waits for the next poll.
    held: Option<mpsc::Receiver<ServerToAgent>>,
    takes_tasks: bool,
    /// What it last told of its data, and nobody has looked at.
    vitals: Option<Vitals>,
    /// The hash of the settings of own telemetry that it was offered last.
    settings: String,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<String, Session>,
    next_number: u64,
}

/// The connected agents. Clones share them.
#[derive(Clone, Default)]
pub struct Hub(Arc<Shared>);

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    /// Somebody is to look who needs what.
    changed: Notify,
    /// An agent said what became of a configuration, or how it is.
    reported: Notify,
    /// There are tasks to hand out.
    work: Notify,
    /// Other instances are to hear of it.
    told: Notify,
    tells_change: AtomicBool,
    tells_work: AtomicBool,
    /// Of which agents the connections below which number are over.
    tells_expelled: Mutex<Vec<(String, i64)>>,
}

/// Above the number of every connection.
pub(crate) const EVERY_CONNECTION: i64 = i64::MAX;

/// An agent is there no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) agent: String,
    /// The number of its connection; 0 where it got none.
    pub(crate) connection: i64,
    /// When it was last heard of.
    pub(crate) seen: i64,
}

impl Session {
    fn gone(&self, agent: &str) -> Gone {
        Gone { agent: agent.to_owned(), connection: self.connection, seen: self.last_seen }
    }
}

/// What a new session gets.
pub(crate) struct Opened {
    pub(crate) number: u64,
    pub(crate) inbox: mpsc::Receiver<ServerToAgent>,
    /// There was another session of the same agent.
    pub(crate) replaced: bool,
}

impl Hub {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent is there; a former session of it counts no more.
    pub(crate) fn open(&self, agent: &str, now: i64, polls_every_ms: Option<i64>) -> Opened {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let mut table = self.table();
        table.next_number += 1;
        let number = table.next_number;
        let session = Session {
            number,
            connection: 0,
            ends_below: 0,
            outbox,
            last_seen: now,
            last_sequence: 0,
            polls_every_ms,
            held: None,
            takes_tasks: false,
            vitals: None,
            settings: String::new(),
        };
        let replaced = table.sessions.insert(agent.to_owned(), session).is_some();
        Opened { number, inbox, replaced }
    }

    /// The session of an agent that polls: the one that there is, or a new one, which is then the first poll of it.
    pub(crate) fn polling(&self, agent: &str, now: i64, every_ms: i64) -> (u64, bool) {
        if let Some(session) = self.table().sessions.get(agent)
            && session.polls_every_ms.is_some()
        {
            return (session.number, false);
        }
        let opened = self.open(agent, now, Some(every_ms));
        if let Some(session) = self.table().sessions.get_mut(agent) {
            session.held = Some(opened.inbox);
        }
        (opened.number, true)
    }

    /// What waits for an agent that polls.
    pub(crate) fn waiting(&self, agent: &str) -> Option<ServerToAgent> {
        self.table().sessions.get_mut(agent)?.held.as_mut()?.try_recv().ok()
    }

    /// Waits for a message to an agent that polls, until `until`; an error where it has no session, or another request
    /// of it waits already.
    pub(crate) async fn wait(
        &self,
        agent: &str,
        now: i64,
        until: tokio::time::Instant,
    ) -> Result<Option<ServerToAgent>, NotWaiting> {
        let mut waiting = {
            let mut table = self.table();
            let session = table.sessions.get_mut(agent).ok_or(NotWaiting::NoSession)?;
            session.last_seen = now;
            let inbox = session.held.take().ok_or(NotWaiting::Waits)?;
            Waiting { hub: self.clone(), agent: agent.to_owned(), number: session.number, inbox: Some(inbox) }
        };
        let Some(inbox) = &mut waiting.inbox else { return Err(NotWaiting::Waits) };
        match tokio::time::timeout_at(until, inbox.recv()).await {
            Ok(Some(message)) => Ok(Some(message)),
            Ok(None) => Err(NotWaiting::NoSession),
            Err(_) => Ok(None),
        }
    }

    /// The session is over; says what there is to note of it, where it was still the one that counts.
    pub(crate) fn close(&self, agent: &str, number: u64) -> Option<Gone> {
        let mut table = self.table();
        let current = table.sessions.get(agent).is_some_and(|session| session.number == number);
        current.then(|| table.sessions.remove(agent).map(|session| session.gone(agent)))?
    }

    /// The database gave a session its number among the connections of its agent. It is over where one with a higher
    /// number was heard of meanwhile.
    pub(crate) fn attached(&self, agent: &str, number: u64, connection: i64) {
        let mut table = self.table();
        let Some(session) = table.sessions.get_mut(agent).filter(|session| session.number == number) else {
            return;
        };
        session.connection = connection;
        if connection < session.ends_below {
            table.sessions.remove(agent);
        }
    }

    /// Ends the connections of an agent below a number, wherever they are: [`EVERY_CONNECTION`] where it is locked out.
    pub(crate) fn expel(&self, agent: &str, below: i64) {
        self.expel_here(agent, below);
        self.expel_elsewhere(agent, below);
    }

    /// Ends those that an agent has with other instances: the newest counts.
    pub(crate) fn expel_elsewhere(&self, agent: &str, below: i64) {
        let mut told = self.0.tells_expelled.lock().unwrap_or_else(PoisonError::into_inner);
        told.push((agent.to_owned(), below));
        self.0.told.notify_one();
    }

    /// The same, heard of another instance. The agent may be back by now, with a connection that is newer.
    pub(crate) fn expel_here(&self, agent: &str, below: i64) {
        let mut table = self.table();
        let Some(session) = table.sessions.get_mut(agent) else { return };
        if session.connection == 0 {
            session.ends_below = session.ends_below.max(below);
        } else if session.connection < below {
            table.sessions.remove(agent);
        }
    }

    /// An agent was heard of. Says whether messages between its last one and this one were lost, and whether the
    /// session still counts.
    pub(crate) fn heard(&self, agent: &str, number: u64, sequence: u64, now: i64) -> Heard {
        let mut table = self.table();
        match table.sessions.get_mut(agent) {
            Some(session) if session.number == number => {
                session.last_seen = now;
                let last = std::mem::replace(&mut session.last_sequence, sequence);
                if last + 1 == sequence { Heard::InOrder } else { Heard::Gap }
            }
            _ => Heard::Replaced,
        }
    }

    /// Keeps what an agent tells of its data until somebody wants to know: most of the time, nobody does.
    pub(crate) fn set_vitals(&self, agent: &str, vitals: Vitals) {
        if let Some(session) = self.table().sessions.get_mut(agent) {
            session.vitals = Some(vitals);
        }
    }

    /// Takes what an agent has told of its data since somebody last asked, where that is about `hash`.
    pub(crate) fn take_vitals(&self, agent: &str, hash: &str) -> Option<Vitals> {
        let mut table = self.table();
        table.sessions.get_mut(agent)?.vitals.take_if(|told| told.hash == hash)
    }

    /// Remembers that an agent is offered the settings with this hash; whether it was offered others before.
    pub(crate) fn offers_settings(&self, agent: &str, hash: &[u8]) -> bool {
        let hash = String::from_utf8_lossy(hash);
        let mut table = self.table();
        let Some(session) = table.sessions.get_mut(agent) else { return false };
        let is_new = session.settings != hash;
        if is_new {
            session.settings = hash.into_owned();
        }
        is_new
    }

    pub(crate) fn set_takes_tasks(&self, agent: &str, takes: bool) {
        if let Some(session) = self.table().sessions.get_mut(agent) {
            session.takes_tasks = takes;
        }
    }

    /// Those of `agents` that are there and take tasks.
    pub(crate) fn takers(&self, agents: Vec<String>) -> Vec<String> {
        let table = self.table();
        let takes = |agent: &String| table.sessions.get(agent).is_some_and(|session| session.takes_tasks);
        agents.into_iter().filter(takes).collect()
    }

    /// Sends a message; false where the agent is not there, or takes nothing.
    pub(crate) fn send(&self, agent: &str, message: ServerToAgent) -> bool {
        self.table().sessions.get(agent).is_some_and(|session| session.outbox.try_send(message).is_ok())
    }

    /// When an agent that is there was last heard of.
    pub(crate) fn seen(&self, agent: &str) -> Option<i64> {
        self.table().sessions.get(agent).map(|session| session.last_seen)
    }

    /// Who is there.
    pub(crate) fn connected(&self) -> BTreeSet<String> {
        self.table().sessions.keys().cloned().collect()
    }

    /// Whether an agent that is there has a socket, and does not poll.
    pub(crate) fn has_socket(&self, agent: &str) -> bool {
        self.table().sessions.get(agent).is_some_and(|session| session.polls_every_ms.is_none())
    }

    /// How many are there: over sockets, and by polling.
    pub(crate) fn count(&self) -> (usize, usize) {
        let table = self.table();
        let polling = table.sessions.values().filter(|session| session.polls_every_ms.is_some()).count();
        (table.sessions.len() - polling, polling)
    }

    /// Lets agents go that poll and have not for three times as long as they should.
    pub(crate) fn expire(&self, now: i64) -> Vec<Gone> {
        let mut gone = Vec::new();
        self.table().sessions.retain(|agent, session| {
            let late = session.polls_every_ms.is_some_and(|every| now - session.last_seen > 3 * every);
            if late {
                gone.push(session.gone(agent));
            }
            !late
        });
        gone
    }

    /// What agents are to have may be another now; other instances hear of it, too.
    pub(crate) fn changed(&self) {
        self.look_at_changes();
        self.0.tells_change.store(true, Ordering::Release);
        self.0.told.notify_one();
    }

    /// The same, heard of another instance.
    pub(crate) fn look_at_changes(&self) {
        self.0.changed.notify_one();
    }

    /// Waits until other instances are to hear of something: `change`, `work`, or `expel`, an agent and a number.
    pub(crate) async fn until_told(&self) -> Vec<String> {
        self.0.told.notified().await;
        let expelled = self.0.tells_expelled.lock().unwrap_or_else(PoisonError::into_inner).split_off(0);
        let mut told: Vec<String> =
            expelled.iter().map(|(agent, below)| format!("expel {agent} {below}")).collect();
        for (flag, what) in [(&self.0.tells_change, "change"), (&self.0.tells_work, "work")] {
            if flag.swap(false, Ordering::AcqRel) {
                told.push(what.to_owned());
            }
        }
        told
    }

    /// Waits until that is so.
    pub(crate) async fn until_changed(&self) {
        self.0.changed.notified().await;
    }

    /// An agent said what a rollout may wait for.
    pub(crate) fn reported(&self) {
        self.0.reported.notify_one();
    }

    /// Waits until that is so.
    pub(crate) async fn until_reported(&self) {
        self.0.reported.notified().await;
    }

    /// There are new tasks; other instances hear of it, too.
    pub(crate) fn work_came(&self) {
        self.look_for_work();
        self.0.tells_work.store(true, Ordering::Release);
        self.0.told.notify_one();
    }

    /// The same, heard of another instance, or for agents of this one alone.
    pub(crate) fn look_for_work(&self) {
        self.0.work.notify_one();
    }

    /// Waits until that is so.
    pub(crate) async fn until_work(&self) {
        self.0.work.notified().await;
    }
}

/// Why nobody can wait for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotWaiting {
    /// The agent has said nothing yet, or was let go.
    NoSession,
    /// Another request of it waits, or it is connected otherwise.
    Waits,
}

/// Gives the inbox back, however the waiting ends: the request may be given up at any moment.
struct Waiting {
    hub: Hub,
    agent: String,
    number: u64,
    inbox: Option<mpsc::Receiver<ServerToAgent>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut table = self.hub.table();
        if let Some(session) = table.sessions.get_mut(&self.agent)
            && session.number == self.number
        {
            session.held = self.inbox.take();
        }
    }
}

/// How a message fits to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is the next.
    InOrder,
    /// Some were lost, or it is the first.
    Gap,
    /// Another session of the same agent came since.
    Replaced,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_session_counts() {
        let hub = Hub::default();
        let old = hub.open("a", 1, None);
        assert_eq!(hub.heard("a", old.number, 5, 2), Heard::Gap);
        assert_eq!(hub.heard("a", old.number, 6, 3), Heard::InOrder);
        let mut new = hub.open("a", 4, None);
        assert!(new.replaced);
        assert_eq!(hub.heard("a", old.number, 7, 5), Heard::Replaced);
        assert_eq!(hub.close("a", old.number), None);
        assert!(hub.send("a", ServerToAgent::default()));
        assert!(new.inbox.try_recv().is_ok());
        let gone = hub.close("a", new.number);
        assert_eq!(gone, Some(Gone { agent: "a".to_owned(), connection: 0, seen: 4 }));
        assert!(!hub.send("a", ServerToAgent::default()));
    }

    #[test]
    fn what_ends_a_former_connection_leaves_the_newest() {
        let hub = Hub::default();
        let open = |now| hub.open("a", now, None).number;
        let is_there = || hub.seen("a").is_some();
        // It came here, went elsewhere (2) and is back (3) before the word of that arrives.
        let first = open(1);
        hub.attached("a", first, 1);
        let back = open(2);
        hub.attached("a", back, 3);
        hub.expel_here("a", 2);
        assert!(is_there(), "the newest stays");
        hub.expel_here("a", 4);
        assert!(!is_there(), "a newer one ends it");
        // The word comes before this one knows its number.
        for (below, stays) in [(5, true), (6, false), (EVERY_CONNECTION, false)] {
            let number = open(3);
            hub.expel_here("a", below);
            assert!(is_there(), "{below}: nothing is known yet");
            hub.attached("a", number, 5);
            assert_eq!(is_there(), stays, "{below}");
            hub.close("a", number);
        }
        // A number that comes late for one that was replaced here is of no account.
        let (late, newest) = (open(4), open(5));
        hub.attached("a", late, 9);
        hub.attached("a", newest, 8);
        assert_eq!(hub.close("a", newest).map(|gone| gone.connection), Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_waits_and_gives_back_what_it_waits_with() {
        let hub = Hub::default();
        let soon = || tokio::time::Instant::now() + std::time::Duration::from_secs(1);
        assert_eq!(hub.wait("a", 0, soon()).await, Err(NotWaiting::NoSession));
        hub.polling("a", 0, 1000);
        assert_eq!(hub.wait("a", 1, soon()).await, Ok(None));
        assert_eq!(hub.seen("a"), Some(1));
        {
            let (first, second) = (hub.wait("a", 2, soon()), hub.wait("a", 2, soon()));
            tokio::pin!(first);
            assert!(futures_util::poll!(&mut first).is_pending());
            assert_eq!(second.await, Err(NotWaiting::Waits));
        }
        assert!(hub.send("a", ServerToAgent::default()), "the one that was given up took nothing with it");
        assert_eq!(hub.wait("a", 3, soon()).await, Ok(Some(ServerToAgent::default())));
    }

    #[test]
    fn vitals_are_taken_once_by_whom_they_concern() {
        let hub = Hub::default();
        let _session = hub.open("a", 0, None);
        let told = Vitals { hash: "1".to_owned(), ..Vitals::default() };
        hub.set_vitals("a", told.clone());
        hub.set_vitals("b", told.clone());
        assert_eq!((hub.take_vitals("a", "2"), hub.take_vitals("b", "1")), (None, None));
        assert_eq!((hub.take_vitals("a", "1"), hub.take_vitals("a", "1")), (Some(told), None));
    }

    #[test]
    fn who_polls_no_more_is_gone_and_outboxes_are_bounded() {
        let hub = Hub::default();
        let _poller = hub.open("p", 0, Some(10));
        let _socket = hub.open("s", 0, None);
        assert_eq!(hub.expire(30), []);
        assert_eq!(hub.expire(31), [Gone { agent: "p".to_owned(), connection: 0, seen: 0 }]);
        assert_eq!(hub.connected().into_iter().collect::<Vec<_>>(), ["s"]);
        let sent = (0..100).filter(|_| hub.send("s", ServerToAgent::default())).count();
        assert_eq!(sent, OUTBOX);
    }
}

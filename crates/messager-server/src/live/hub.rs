//! The sockets that are open, and the lines of packets to them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::{
    metrics::Counts,
    values::{AccountId, DeviceId, Moment, RoomId},
};

/// Packets that wait for one socket. One that does not keep up is closed: its
/// client connects again and syncs, and the others lose nothing.
const LINE: usize = 1024;

/// Sockets of one account. More than anybody has devices: one more is a client that
/// makes them without end, and closes its own oldest.
const MOST: usize = 32;

/// Bytes that wait for one socket: a client that takes nothing while large messages
/// come costs no more than this.
const LINE_BYTES: usize = 8 * 1024 * 1024;

/// How long somebody counts as looking at a room.
const LOOKING: Duration = Duration::from_secs(60 * 60);

/// Why the server closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The same device has connected again.
    Replaced,
    /// Its account has opened too many others since.
    Crowded,
    /// It does not take its packets.
    Slow,
    /// Its device has no token any more.
    Revoked,
    /// The server stops.
    Stopping,
}

#[derive(Debug)]
struct Socket {
    id: u64,
    device: DeviceId,
    /// The device that has the token: the same, or the one that a watch belongs to.
    login: DeviceId,
    packets: mpsc::Sender<Bytes>,
    /// How many bytes wait in the line.
    waiting: Arc<AtomicUsize>,
    ending: watch::Sender<Option<Ending>>,
}

#[derive(Debug, Default)]
struct State {
    sockets: HashMap<AccountId, Vec<Socket>>,
    looking: HashMap<(RoomId, AccountId), Moment>,
    last: u64,
    is_stopping: bool,
}

/// The sockets that are open.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    state: Mutex<State>,
    counts: Arc<Counts>,
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is counted.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Registers a socket of a login, as a device. An older one of the same device
    /// is closed.
    pub(super) fn register(
        self: &Arc<Self>,
        (account, login): (AccountId, DeviceId),
        device: DeviceId,
    ) -> Line {
        let (packets, line) = mpsc::channel(LINE);
        let (ending, ended) = watch::channel(None);
        let mut state = self.state();
        state.last += 1;
        let id = state.last;
        if state.is_stopping {
            ending.send_replace(Some(Ending::Stopping));
        }
        let sockets = state.sockets.entry(account).or_default();
        for older in sockets.extract_if(.., |socket| socket.device == device) {
            older.ending.send_replace(Some(Ending::Replaced));
        }
        let waiting = Arc::<AtomicUsize>::default();
        sockets.push(Socket { id, device, login, packets, waiting: waiting.clone(), ending });
        if sockets.len() > MOST {
            sockets.remove(0).ending.send_replace(Some(Ending::Crowded));
        }
        self.counts.sockets.inc();
        Line { hub: self.clone(), account, id, packets: line, waiting, ending: ended }
    }

    fn unregister(&self, account: AccountId, id: u64) {
        let mut state = self.state();
        if let Some(sockets) = state.sockets.get_mut(&account) {
            sockets.retain(|socket| socket.id != id);
            if sockets.is_empty() {
                state.sockets.remove(&account);
                state.looking.retain(|(_, who), _| *who != account);
            }
        }
        self.counts.sockets.dec();
    }

    /// The logins of the sockets that are open.
    pub(crate) fn logins(&self) -> BTreeSet<(AccountId, DeviceId)> {
        let state = self.state();
        let of = |(account, sockets): (&AccountId, &Vec<Socket>)| {
            let account = *account;
            sockets.iter().map(move |socket| (account, socket.login.clone())).collect::<Vec<_>>()
        };
        state.sockets.iter().flat_map(of).collect()
    }

    /// Closes the sockets of a login. Nothing that is sent from now on reaches them.
    pub(crate) fn revoke(&self, account: AccountId, login: &DeviceId) {
        let mut state = self.state();
        let Some(sockets) = state.sockets.get_mut(&account) else { return };
        for socket in sockets.extract_if(.., |socket| socket.login == *login) {
            socket.ending.send_replace(Some(Ending::Revoked));
        }
    }

    /// Whether a device of an account is connected.
    pub(crate) fn is_online(&self, account: AccountId) -> bool {
        self.state().sockets.contains_key(&account)
    }

    /// Whether this device is connected.
    pub(crate) fn is_connected(&self, account: AccountId, device: &str) -> bool {
        let state = self.state();
        let sockets = state.sockets.get(&account).map(Vec::as_slice).unwrap_or_default();
        sockets.iter().any(|socket| socket.device.as_str() == device)
    }

    /// Puts a packet into the lines of all devices of some accounts.
    pub(crate) fn send_to_accounts(&self, accounts: &[AccountId], packet: &Bytes) {
        let mut state = self.state();
        for account in accounts {
            self.put(state.sockets.get_mut(account), packet, |_| true);
        }
    }

    /// Puts a packet into the line of one device.
    pub(crate) fn send_to_device(&self, account: AccountId, device: &DeviceId, packet: &Bytes) {
        let mut state = self.state();
        let is_it = |socket: &Socket| socket.device == *device;
        self.put(state.sockets.get_mut(&account), packet, is_it);
    }

    fn put(
        &self,
        sockets: Option<&mut Vec<Socket>>,
        packet: &Bytes,
        wanted: impl Fn(&Socket) -> bool,
    ) {
        let Some(sockets) = sockets else { return };
        for socket in sockets.iter().filter(|socket| wanted(socket)) {
            let waiting = socket.waiting.fetch_add(packet.len(), Relaxed);
            let is_heavy = waiting > 0 && waiting.saturating_add(packet.len()) > LINE_BYTES;
            let put = match is_heavy {
                true => Err(mpsc::error::TrySendError::Full(packet.clone())),
                false => socket.packets.try_send(packet.clone()),
            };
            match put {
                Ok(()) => {
                    self.counts.packets.inc();
                }
                Err(mpsc::error::TrySendError::Full(_)) => {
                    let slow = |ending: &mut Option<Ending>| {
                        let is_first = ending.is_none();
                        ending.get_or_insert(Ending::Slow);
                        is_first
                    };
                    if socket.ending.send_if_modified(slow) {
                        self.counts.sockets_slow.inc();
                    }
                }
                // It is closing by itself.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }

    /// Notes that somebody looks at a room, or not any more.
    pub(super) fn look(&self, room: RoomId, account: AccountId, until: Option<Moment>) {
        let mut state = self.state();
        match until {
            Some(until) => state.looking.insert((room, account), until),
            None => state.looking.remove(&(room, account)),
        };
    }

    /// Until when somebody who begins to look counts as looking.
    pub(super) fn looking_until(now: Moment) -> Moment {
        now.after(LOOKING)
    }

    /// Whether somebody looks at a room.
    pub(crate) fn is_subscribed(&self, room: RoomId, account: AccountId) -> bool {
        let until = self.state().looking.get(&(room, account)).copied();
        until.is_some_and(|until| until > Moment::now())
    }

    /// Closes all sockets, and those that are opened from now on.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.is_stopping = true;
        for socket in state.sockets.values().flatten() {
            socket.ending.send_replace(Some(Ending::Stopping));
        }
    }
}

/// The packets of one socket. Dropped, the socket is no longer registered.
#[derive(Debug)]
pub(super) struct Line {
    hub: Arc<Hub>,
    account: AccountId,
    id: u64,
    packets: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    ending: watch::Receiver<Option<Ending>>,
}

/// What a line has for its socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Packet(Bytes),
    End(Ending),
}

impl Line {
    /// Waits for a packet, or for the end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            ending = self.ending.wait_for(Option::is_some) => {
                Next::End(ending.ok().and_then(|ending| *ending).unwrap_or(Ending::Replaced))
            }
            Some(packet) = self.packets.recv() => {
                self.waiting.fetch_sub(packet.len(), Relaxed);
                Next::Packet(packet)
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hub.unregister(self.account, self.id);
    }
}

#[cfg(test)]
mod tests;

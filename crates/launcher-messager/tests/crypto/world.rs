//! People with devices, rooms, and the clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use launcher_core::secret::{PickleKey, Secret};
use launcher_messager::crypto::{
    AccountId, Action, Address, Answer, Audience, Body, DeviceName, Draft, Envelope, Finding,
    Freshness, Machine, Opened, PeerDevice, ReadRow, Received, RoomId, Row, RowId, Step, Withheld,
};
use tempfile::TempDir;

use crate::server::Server;

/// Stands in every text and name, and must stand nowhere else.
pub(crate) const MARKER: &str = "MARKER";

/// How often something is tried before it counts as endless.
const ENOUGH: usize = 60;

/// When the process is killed, counted in calls of machines.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kill {
    /// After the call's work, before it is on the disk.
    Before(usize),
    /// When it is on the disk, before anybody acts upon what it says.
    After(usize),
}

/// The process was killed, and started again.
#[derive(Debug)]
pub(crate) struct Killed;

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) now: u64,
    pub(crate) kill: Option<Kill>,
    pub(crate) calls: usize,
    /// Calls that changed something on the disk, if that is looked at.
    pub(crate) changes: Option<Vec<usize>>,
    /// What machines said about devices.
    pub(crate) findings: Vec<(Address, Finding)>,
    /// What machines say to devices that ask for a key.
    pub(crate) answer: Answer,
    /// Whom a device may give keys.
    pub(crate) allowed: Option<BTreeMap<Address, PeerDevice>>,
    /// Whom a device gives no keys.
    pub(crate) withheld: BTreeMap<Address, Withheld>,
    machines: BTreeMap<Address, Machine>,
    folder: TempDir,
}

pub(crate) fn account(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

pub(crate) fn room(number: u8) -> RoomId {
    RoomId::from_bytes([100 + number; 16])
}

pub(crate) fn address(number: u8, device: &str) -> Address {
    Address::new(account(number), DeviceName::new(device).unwrap())
}

pub(crate) fn key() -> PickleKey {
    Secret::new([7; 32])
}

/// A folder in memory where there is one: thousands of stores are made.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => TempDir::new_in(memory).unwrap(),
        false => TempDir::new().unwrap(),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            server: Server::default(),
            now: 1_763_800_000_000,
            kill: None,
            calls: 0,
            changes: None,
            findings: Vec::new(),
            answer: Answer::Share,
            allowed: None,
            withheld: BTreeMap::new(),
            machines: BTreeMap::new(),
            folder: folder(),
        }
    }

    /// A world with a device for each, all of them members of room 1.
    pub(crate) fn of(devices: &[&Address]) -> Self {
        let mut world = Self::new();
        for device in devices {
            world.add_device(device);
            world.server.members.entry(room(1)).or_default().insert(device.account);
        }
        world
    }

    pub(crate) fn path(&self, who: &Address) -> PathBuf {
        self.folder.path().join(format!("{}-{}.db", who.account, who.device.as_str()))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn add_device(&mut self, who: &Address) {
        let machine = Machine::create(&self.path(who), &key(), who, self.now).unwrap();
        self.machines.insert(who.clone(), machine);
        while self.publish(who).is_err() {}
    }

    /// The device is revoked: the server shows it no more.
    pub(crate) fn remove_device(&mut self, who: &Address) {
        self.server.replace(who, None);
    }

    pub(crate) fn machine(&mut self, who: &Address) -> &mut Machine {
        self.machines.get_mut(who).unwrap()
    }

    /// Ends the process and starts it again.
    pub(crate) fn restart(&mut self, who: &Address) {
        drop(self.machines.remove(who));
        let machine = Machine::open(&self.path(who), &key(), who).unwrap().unwrap();
        self.machines.insert(who.clone(), machine);
    }

    /// Calls a machine; this is where the process can be killed.
    pub(crate) fn call<T>(
        &mut self,
        who: &Address,
        call: impl FnOnce(&mut Machine, u64) -> T,
    ) -> Result<T, Killed> {
        self.calls += 1;
        let (now, path) = (self.now, self.path(who));
        let before = match self.kill {
            Some(Kill::Before(number)) if number == self.calls => Some(copy_store(&path)),
            _ if self.changes.is_some() => Some(copy_store(&path)),
            _ => None,
        };
        let done = call(self.machine(who), now);
        if let Some(changes) = &mut self.changes
            && before.as_ref() != Some(&copy_store(&path))
        {
            changes.push(self.calls);
        }
        match self.kill {
            Some(Kill::Before(number) | Kill::After(number)) if number == self.calls => {
                drop(self.machines.remove(who));
                if let Some(before) = before {
                    restore_store(&path, &before);
                }
                self.restart(who);
                Err(Killed)
            }
            _ => Ok(done),
        }
    }

    fn publish(&mut self, who: &Address) -> Result<(), Killed> {
        if let Some(upload) = self.call(who, |machine, now| machine.upload(now).unwrap())? {
            self.server.upload(&upload);
            self.call(who, |machine, now| machine.uploaded(upload.mark, now).unwrap())?;
        }
        Ok(())
    }

    pub(crate) fn look_up(&mut self, who: &Address, account: AccountId) -> Result<(), Killed> {
        let shown = self.server.show(account);
        let found =
            self.call(who, |machine, now| machine.devices(account, &shown, now).unwrap())?;
        self.findings.extend(found.into_iter().map(|finding| (who.clone(), finding)));
        Ok(())
    }

    fn claim(&mut self, who: &Address, account: AccountId) -> Result<(), Killed> {
        let shown = self.server.claim(account);
        let found =
            self.call(who, |machine, now| machine.claimed(account, &shown, now).unwrap())?;
        self.findings.extend(found.into_iter().map(|finding| (who.clone(), finding)));
        Ok(())
    }

    fn deliver(
        &mut self,
        who: &Address,
        fanouts: &[launcher_messager::crypto::Fanout],
    ) -> Result<(), Killed> {
        for fanout in fanouts {
            match self.server.fanout(who, fanout) {
                Ok(()) => {
                    self.call(who, |machine, _| machine.delivered(fanout).unwrap())?;
                }
                // What is to be delivered is asked anew.
                Err(_) => return self.look_up(who, fanout.account),
            }
        }
        Ok(())
    }

    /// Takes in one envelope as a transport does.
    pub(crate) fn receive(
        &mut self,
        who: &Address,
        envelope: &Envelope,
    ) -> Result<Received, Killed> {
        let take_in = |freshness| {
            move |machine: &mut Machine, now: u64| {
                machine.receive(envelope, freshness, now).unwrap()
            }
        };
        let received = self.call(who, take_in(Freshness::AsKnown))?;
        let Received::LookUp(account) = received else { return Ok(received) };
        self.look_up(who, account)?;
        self.call(who, take_in(Freshness::JustLookedUp))
    }

    /// Has one device do what there is to do. Whether there was anything.
    pub(crate) fn settle_once(&mut self, who: &Address) -> Result<bool, Killed> {
        self.publish(who)?;
        let mut is_busy = false;
        while let Some(envelope) =
            self.server.envelopes.get(who).and_then(|waiting| waiting.first().cloned())
        {
            is_busy = true;
            self.receive(who, &envelope)?;
            // It is acknowledged after it is on the disk.
            self.server.envelopes.get_mut(who).unwrap().retain(|there| there.id != envelope.id);
        }
        for ask in self.call(who, |machine, _| machine.asks().unwrap())? {
            is_busy = true;
            let answer = self.answer;
            self.call(who, |machine, _| machine.answer(&ask, answer).unwrap())?;
        }
        let work = self.call(who, |machine, now| machine.work(now).unwrap())?;
        for account in &work.look_up {
            self.look_up(who, *account)?;
        }
        for account in &work.claim {
            self.claim(who, *account)?;
        }
        self.deliver(who, &work.deliver)?;
        let is_idle = work.deliver.is_empty() && work.claim.is_empty() && work.look_up.is_empty();
        Ok(is_busy || !is_idle)
    }

    /// Has everybody do everything that there is to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..ENOUGH {
            let everybody: Vec<Address> = self.machines.keys().cloned().collect();
            let mut is_busy = false;
            for who in everybody {
                is_busy |= self.settle_once(&who).unwrap_or(true);
            }
            if !is_busy {
                return;
            }
        }
        panic!("it does not settle");
    }

    /// Sends a message until the server has it.
    pub(crate) fn send(&mut self, who: &Address, draft: &Draft) -> RowId {
        for _ in 0..ENOUGH {
            if let Ok(Some(row)) = self.send_once(who, draft) {
                return row;
            }
        }
        panic!("it is not sent");
    }

    /// One step of sending.
    pub(crate) fn send_once(
        &mut self,
        who: &Address,
        draft: &Draft,
    ) -> Result<Option<RowId>, Killed> {
        let members = self.server.members[&draft.room].clone();
        let (allowed, withheld) = (self.allowed.clone(), self.withheld.clone());
        let audience = Audience { members, allowed, withheld, ..Audience::default() };
        let step = self.call(who, |machine, now| machine.send(draft, &audience, now).unwrap())?;
        match step {
            Step::LookUp(accounts) => {
                accounts.iter().try_for_each(|account| self.look_up(who, *account))?;
            }
            Step::Claim(accounts) => {
                accounts.iter().try_for_each(|account| self.claim(who, *account))?;
            }
            Step::Deliver(fanouts) => self.deliver(who, &fanouts)?,
            Step::Post(sealed) => {
                let row = self.server.post(who.account, &sealed);
                if self.server.is_silent {
                    return Ok(None);
                }
                let name = &draft.client_message_id;
                self.call(who, |machine, _| machine.posted(name, row).unwrap())?;
            }
            Step::Posted(row) => return Ok(Some(row)),
        }
        Ok(None)
    }

    /// Says something in a room.
    pub(crate) fn say(&mut self, who: &Address, room: RoomId, name: &str) -> RowId {
        self.send(who, &draft(room, name, Action::New))
    }

    /// Opens a row.
    pub(crate) fn open(&mut self, who: &Address, row: &Row) -> Opened {
        let now = self.now;
        self.machine(who).open_row(row, now).unwrap()
    }

    /// The row as the server has it.
    pub(crate) fn row(&self, id: RowId) -> Row {
        self.server.rows.iter().find(|row| row.id == id).unwrap().clone()
    }

    /// What a device makes of the row, which it has to be able to read.
    pub(crate) fn read(&mut self, who: &Address, row: &Row) -> ReadRow {
        match self.open(who, row) {
            Opened::Read(read) => *read,
            other => panic!("{who:?} gets {other:?}"),
        }
    }

    /// The texts of all rows that a device can read.
    pub(crate) fn texts(&mut self, who: &Address) -> BTreeSet<String> {
        let rows = self.server.rows.clone();
        let text = |row: &Row| match self.open(who, row) {
            Opened::Read(read) => Some(read.content.body.text),
            _ => None,
        };
        rows.iter().filter_map(text).collect()
    }

    /// Lets time pass, so that lists of devices are asked for anew.
    pub(crate) fn wait(&mut self, millis: u64) {
        self.now += millis;
    }

    /// Makes sure that the marker stands nowhere at the server, nor on a disk.
    pub(crate) fn assert_sealed(&self) {
        assert!(!contains(&self.server.wire, MARKER.as_bytes()), "at the server");
        for entry in self.folder.path().read_dir().unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            assert!(!contains(&bytes, MARKER.as_bytes()), "in {}", path.display());
        }
    }
}

/// A message with the marker in its text.
pub(crate) fn draft(room: RoomId, name: &str, action: Action) -> Draft {
    let body = match action {
        Action::Delete { .. } => Body::default(),
        _ => Body::text(format!("{MARKER} {name}")),
    };
    Draft { room, client_message_id: format!("name {name}"), action, body }
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// The store's files as they are.
pub(crate) fn copy_store(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let files = path.parent().unwrap().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let of_store =
        files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(name));
    of_store.map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect()
}

/// Puts the store's files back.
pub(crate) fn restore_store(path: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for file in copy_store(path).keys() {
        std::fs::remove_file(file).unwrap();
    }
    for (file, bytes) in files {
        std::fs::write(file, bytes).unwrap();
    }
}

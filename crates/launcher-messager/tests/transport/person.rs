//! Somebody who talks to agents: a machine and a client, driven by hand, so
//! that a test can leave out a step or send what no client would.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use launcher_core::secret::Secret;
use launcher_messager::{
    client::{Client, Delivery, Direct, Group, MemberState, TimelineKind},
    crypto::{
        AccountId, Action, Address, Audience, Body, Draft, Fanout, Freshness, Machine, Opened,
        Received, RoomId, RowId, Step, Withheld,
    },
};
use tempfile::TempDir;

use crate::world::{World, key, soon};

/// A person with one device.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) machine: Machine,
    pub(crate) account: AccountId,
    /// Devices that get no keys.
    pub(crate) withheld: BTreeMap<Address, Withheld>,
    /// Envelopes that are kept back, and sent by [`Person::let_go`].
    pub(crate) kept_back: Option<Vec<Fanout>>,
    since: u64,
    heard: Vec<Heard>,
    number: u32,
    _folder: TempDir,
}

/// A message that a person has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) room: RoomId,
    pub(crate) row: RowId,
    pub(crate) from: Address,
    pub(crate) action: Action,
    pub(crate) body: Body,
}

impl Person {
    /// A new device of an account, which is made if there is none.
    pub(crate) async fn new(world: &World, name: &str) -> Self {
        Self::with_token(world, world.token(name)).await
    }

    pub(crate) async fn with_token(world: &World, token: Secret<String>) -> Self {
        let client = Client::new(&world.connections, world.url(), token);
        let me = client.me().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let address = Address::new(me.account, me.device);
        let path = folder.path().join("crypto.db");
        let machine = Machine::create(&path, &key(), &address, now()).unwrap();
        let mut person = Self {
            client,
            machine,
            account: me.account,
            withheld: BTreeMap::new(),
            kept_back: None,
            since: 0,
            heard: Vec::new(),
            number: 0,
            _folder: folder,
        };
        person.publish().await;
        person
    }

    async fn publish(&mut self) {
        if let Some(upload) = self.machine.upload(now()).unwrap() {
            self.client.upload_bundle(&upload).await.unwrap();
            self.machine.uploaded(upload.mark, now()).unwrap();
        }
    }

    /// An encrypted direct chat, once the other one has joined.
    pub(crate) async fn chat_with(&mut self, other: AccountId) -> RoomId {
        let room = self.client.create_direct(other, Direct::Encrypted).await.unwrap().id;
        self.wait_for_members(room, 2).await;
        room
    }

    /// An encrypted group, once all have joined.
    pub(crate) async fn group_with(&mut self, others: &[AccountId]) -> RoomId {
        let room = self.client.create_group("the group", Group::Encrypted).await.unwrap().id;
        for other in others {
            self.client.invite(room, *other).await.unwrap();
        }
        self.wait_for_members(room, others.len() + 1).await;
        room
    }

    /// Waits until so many are in a room.
    pub(crate) async fn wait_for_members(&self, room: RoomId, count: usize) {
        soon(async {
            while self.active(room).await.len() < count {
                tokio::time::sleep(TICK).await;
            }
        })
        .await;
    }

    async fn active(&self, room: RoomId) -> BTreeSet<AccountId> {
        let members = self.client.members(room).await.unwrap();
        let active = members.iter().filter(|member| member.state == MemberState::Active);
        active.map(|member| member.account).collect()
    }

    /// Says something; returns its row.
    pub(crate) async fn say(&mut self, room: RoomId, text: &str) -> RowId {
        self.send(room, Action::New, Body::text(text)).await
    }

    /// Sends something.
    pub(crate) async fn send(&mut self, room: RoomId, action: Action, body: Body) -> RowId {
        self.number += 1;
        let client_message_id = format!("m{}", self.number);
        let draft = Draft { room, client_message_id, action, body };
        let members = self.active(room).await;
        loop {
            let withheld = self.withheld.clone();
            let members = members.clone();
            let audience = Audience { members, withheld, ..Audience::default() };
            match self.machine.send(&draft, &audience, now()).unwrap() {
                Step::LookUp(accounts) => self.look_up(&accounts, false).await,
                Step::Claim(accounts) => self.look_up(&accounts, true).await,
                Step::Deliver(fanouts) => {
                    for fanout in fanouts {
                        self.deliver(fanout).await;
                    }
                }
                Step::Post(sealed) => {
                    let row = self.client.post(&sealed).await.unwrap();
                    self.machine.posted(&sealed.client_message_id, row).unwrap();
                }
                Step::Posted(row) => return row,
            }
        }
    }

    async fn look_up(&mut self, accounts: &[AccountId], is_claim: bool) {
        for account in accounts {
            if is_claim {
                let shown = self.client.claim(*account).await.unwrap();
                self.machine.claimed(*account, &shown, now()).unwrap();
            } else {
                let shown = self.client.devices(*account).await.unwrap();
                self.machine.devices(*account, &shown, now()).unwrap();
            }
        }
    }

    async fn deliver(&mut self, fanout: Fanout) {
        if let Some(kept_back) = &mut self.kept_back {
            self.machine.delivered(&fanout).unwrap();
            kept_back.push(fanout);
            return;
        }
        match self.client.fanout(&fanout).await.unwrap() {
            Delivery::Taken | Delivery::NoAccount => self.machine.delivered(&fanout).unwrap(),
            Delivery::OtherDevices => self.look_up(&[fanout.account], false).await,
        }
    }

    /// Sends the envelopes that were kept back.
    pub(crate) async fn let_go(&mut self) {
        for fanout in self.kept_back.take().unwrap_or_default() {
            assert_eq!(self.client.fanout(&fanout).await.unwrap(), Delivery::Taken);
        }
    }

    /// Reads what is new, and does what is to be done for others.
    pub(crate) async fn catch_up(&mut self) {
        loop {
            let page = self.client.sync_all(self.since).await.unwrap();
            self.receive().await;
            for row in page.rows {
                let TimelineKind::Encrypted(row) = row.kind else { continue };
                if let Opened::Read(read) = self.machine.open_row(&row, now()).unwrap()
                    && !read.is_own
                {
                    self.heard.push(Heard {
                        room: row.room,
                        row: row.id,
                        from: read.sender.address,
                        action: read.content.action,
                        body: read.content.body,
                    });
                }
            }
            self.since = page.position;
            if page.is_last {
                break;
            }
        }
        let work = self.machine.work(now()).unwrap();
        self.look_up(&work.look_up, false).await;
        self.look_up(&work.claim, true).await;
        for fanout in work.deliver {
            self.deliver(fanout).await;
        }
        self.publish().await;
    }

    async fn receive(&mut self) {
        loop {
            let pending = self.client.pending_envelopes().await.unwrap();
            if pending.envelopes.is_empty() {
                return;
            }
            for envelope in pending.envelopes {
                let mut freshness = Freshness::AsKnown;
                while let Received::LookUp(account) =
                    self.machine.receive(&envelope, freshness, now()).unwrap()
                {
                    self.look_up(&[account], false).await;
                    freshness = Freshness::JustLookedUp;
                }
                self.client.acknowledge(envelope.id).await.unwrap();
            }
        }
    }

    /// What was said in a room by others so far.
    pub(crate) fn heard_in(&self, room: RoomId) -> Vec<&str> {
        let heard = self.heard.iter().filter(|heard| heard.room == room);
        heard.map(|heard| heard.body.text.as_str()).collect()
    }

    /// Everything that was read.
    pub(crate) fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// Waits until a room has heard exactly this much, and returns it.
    pub(crate) async fn hear(&mut self, room: RoomId, count: usize) -> Vec<String> {
        soon(async {
            while self.heard_in(room).len() < count {
                tokio::time::sleep(TICK).await;
                self.catch_up().await;
            }
        })
        .await;
        self.heard_in(room).into_iter().map(str::to_owned).collect()
    }
}

/// How often a test looks whether something is as it waits for it to be.
pub(crate) const TICK: std::time::Duration = std::time::Duration::from_millis(15);

/// This moment, in milliseconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

//! A server in memory: keeps what an honest one keeps, and shows all of it to
//! the test, which can change it.

use std::collections::{BTreeMap, BTreeSet};

use launcher_messager::crypto::{
    AccountId, Action, Address, DeviceName, Envelope, EnvelopeId, Fanout, OneTimeKey, PublicBundle,
    RoomId, Row, RowId, RowKind, SCHEME, SealedRow, Upload,
};

/// The server's word that the devices in a fan-out are not those that there are.
#[derive(Debug)]
pub(crate) struct DevicesMismatch;

#[derive(Clone)]
struct Published {
    bundle: PublicBundle,
    pool: BTreeMap<i32, OneTimeKey>,
    used: BTreeSet<i32>,
}

#[derive(Clone, Default)]
pub(crate) struct Server {
    devices: BTreeMap<Address, Published>,
    pub(crate) members: BTreeMap<RoomId, BTreeSet<AccountId>>,
    /// Every row, the oldest first. An edited message's row has the last edit.
    pub(crate) rows: Vec<Row>,
    /// Envelopes that wait for a device.
    pub(crate) envelopes: BTreeMap<Address, Vec<Envelope>>,
    revoked: BTreeSet<Address>,
    taken: BTreeSet<(Address, Address, String)>,
    posted: BTreeMap<(AccountId, String), RowId>,
    /// All bytes that it was ever given.
    pub(crate) wire: Vec<u8>,
    number: u128,
    /// It takes rows and does not answer.
    pub(crate) is_silent: bool,
}

impl Server {
    pub(crate) fn number(&mut self) -> [u8; 16] {
        self.number += 1;
        self.number.to_be_bytes()
    }

    pub(crate) fn upload(&mut self, upload: &Upload) {
        self.wire.extend(format!("{upload:?}").bytes());
        let bundle = upload.bundle.clone();
        if self.revoked.contains(&bundle.address) {
            return;
        }
        let published = self.devices.entry(bundle.address.clone()).or_insert_with(|| Published {
            bundle: bundle.clone(),
            pool: BTreeMap::new(),
            used: BTreeSet::new(),
        });
        published.bundle = bundle;
        for key in &upload.one_time_keys {
            if !published.used.contains(&key.id) {
                published.pool.entry(key.id).or_insert_with(|| key.clone());
            }
        }
    }

    pub(crate) fn show(&self, account: AccountId) -> Vec<PublicBundle> {
        let of_account = self.devices.iter().filter(|(address, _)| address.account == account);
        of_account.map(|(_, published)| published.bundle.clone()).collect()
    }

    pub(crate) fn claim(&mut self, account: AccountId) -> Vec<PublicBundle> {
        let of_account = self.devices.iter_mut().filter(|(address, _)| address.account == account);
        let claim = |(_, published): (&Address, &mut Published)| {
            let one_time_pre_key = published.pool.pop_first().map(|(_, key)| key);
            published.used.extend(one_time_pre_key.as_ref().map(|key| key.id));
            PublicBundle { one_time_pre_key, ..published.bundle.clone() }
        };
        of_account.map(claim).collect()
    }

    /// Puts another bundle in a device's place, or takes the device away.
    pub(crate) fn replace(&mut self, address: &Address, bundle: Option<PublicBundle>) {
        match (bundle, self.devices.get_mut(address)) {
            (Some(bundle), Some(published)) => published.bundle = bundle,
            (None, _) => {
                self.devices.remove(address);
                self.revoked.insert(address.clone());
            }
            (Some(_), None) => panic!("there is no such device"),
        }
    }

    pub(crate) fn fanout(
        &mut self,
        sender: &Address,
        fanout: &Fanout,
    ) -> Result<(), DevicesMismatch> {
        let of_account = self.devices.keys().filter(|address| address.account == fanout.account);
        let there: BTreeSet<&DeviceName> = of_account.map(|address| &address.device).collect();
        let given: BTreeSet<&DeviceName> =
            fanout.payloads.iter().map(|payload| &payload.device).collect();
        assert_eq!(given.len(), fanout.payloads.len(), "a device twice in one fan-out");
        if there != given {
            return Err(DevicesMismatch);
        }
        for payload in &fanout.payloads {
            assert!(payload.client_message_id.len() <= 128);
            self.wire.extend(&payload.ciphertext);
            let recipient = Address::new(fanout.account, payload.device.clone());
            let name = payload.client_message_id.clone();
            if !self.taken.insert((sender.clone(), recipient.clone(), name)) {
                continue;
            }
            let envelope = Envelope {
                id: EnvelopeId::from_bytes(self.number()),
                sender: sender.clone(),
                kind: fanout.kind.number(),
                group: fanout.group,
                ciphertext: payload.ciphertext.clone(),
            };
            self.envelopes.entry(recipient).or_default().push(envelope);
        }
        Ok(())
    }

    /// It takes messages that it has already as new ones.
    pub(crate) fn forget_posts(&mut self) {
        self.posted.clear();
    }

    /// Takes a row; the id that the sender is told.
    pub(crate) fn post(&mut self, sender: AccountId, row: &SealedRow) -> RowId {
        self.wire.extend(&row.ciphertext);
        self.wire.extend(row.client_message_id.bytes());
        assert!(self.members[&row.room].contains(&sender), "only members may post");
        if let Some(id) = self.posted.get(&(sender, row.client_message_id.clone())) {
            return *id;
        }
        let id = RowId::from_bytes(self.number());
        let mut new = Row {
            id,
            room: row.room,
            sender,
            kind: RowKind::Message,
            scheme: SCHEME.to_owned(),
            epoch: row.epoch,
            message_type: row.action.label().to_owned(),
            client_message_id: Some(row.client_message_id.clone()),
            ciphertext: row.ciphertext.clone(),
        };
        let answer = match row.action {
            Action::New => id,
            Action::Edit { target } => {
                let message = self.rows.iter_mut().find(|row| row.id == target).unwrap();
                assert_eq!(message.sender, sender);
                message.epoch = new.epoch;
                message.message_type.clone_from(&new.message_type);
                message.ciphertext.clone_from(&new.ciphertext);
                new.kind = RowKind::Update { of: target };
                target
            }
            Action::Delete { target } => {
                self.rows.retain(|row| row.id != target || row.kind != RowKind::Message);
                new.kind = RowKind::Delete { of: target };
                target
            }
        };
        self.rows.push(new);
        self.posted.insert((sender, row.client_message_id.clone()), answer);
        answer
    }
}

//! Messages on their way, rooms, and what was told about devices.

use std::collections::BTreeMap;

use super::{History, HistoryError, KnownRoom};
use crate::{
    chat::devices::DeviceState,
    client::Mode,
    crypto::{AccountId, Address, DeviceName, Draft, RoomId},
};

impl History {
    /// Keeps a message until the server has it.
    pub(in crate::chat) fn put_draft(&self, draft: &Draft) -> Result<(), HistoryError> {
        let client = &draft.client_message_id;
        let record = self.seal(draft, b"draft", client.as_bytes())?;
        self.execute("INSERT INTO draft (client, record) VALUES (?1, ?2)", (client, record))
    }

    /// Messages that the server does not have, the oldest first.
    pub(in crate::chat) fn drafts(&self) -> Result<Vec<Draft>, HistoryError> {
        let sql = "SELECT client, record FROM draft ORDER BY number";
        let found: Vec<(String, _)> = self.records(sql, [], b"draft")?;
        Ok(found.into_iter().map(|(_, draft)| draft).collect())
    }

    pub(in crate::chat) fn drop_draft(&self, client: &str) -> Result<(), HistoryError> {
        self.execute("DELETE FROM draft WHERE client = ?1", [client])
    }

    pub(in crate::chat) fn rooms(&self) -> Result<BTreeMap<RoomId, KnownRoom>, HistoryError> {
        let found = self.all("SELECT room, mode, is_member, other FROM room", [], |row| {
            let mode = match row.get::<_, Option<i64>>(1)? {
                Some(1) => Some(Mode::Direct),
                Some(2) => Some(Mode::SenderKeys),
                _ => None,
            };
            let other = row.get::<_, Option<[u8; 16]>>(3)?.map(AccountId::from_bytes);
            let known = KnownRoom { mode, other, is_member: row.get(2)? };
            Ok((RoomId::from_bytes(row.get(0)?), known))
        })?;
        Ok(found.into_iter().collect())
    }

    /// Notes how a room is encrypted, unless that is known: it stays what it
    /// was, whatever the server says later.
    pub(in crate::chat) fn note_mode(&self, room: RoomId, mode: Mode) -> Result<(), HistoryError> {
        let number = match mode {
            Mode::Direct => 1,
            Mode::SenderKeys => 2,
            Mode::Plain | Mode::Unknown(_) => return Ok(()),
        };
        let sql = "INSERT INTO room (room, mode, is_member) VALUES (?1, ?2, 0)
                   ON CONFLICT DO UPDATE SET mode = coalesce(mode, excluded.mode)";
        self.execute(sql, (room.as_bytes(), number))
    }

    /// Notes whom a room is with if it is for two, unless that is known: it stays
    /// so, whatever the server says later.
    pub(in crate::chat) fn note_other(
        &self,
        room: RoomId,
        other: AccountId,
    ) -> Result<(), HistoryError> {
        let sql = "INSERT INTO room (room, is_member, other) VALUES (?1, 0, ?2)
                   ON CONFLICT DO UPDATE SET other = excluded.other WHERE other IS NULL";
        self.execute(sql, (room.as_bytes(), other.as_bytes()))
    }

    /// It was told whether this account is in a room.
    pub(in crate::chat) fn note_member(
        &self,
        room: RoomId,
        is_member: bool,
    ) -> Result<(), HistoryError> {
        let sql = "INSERT INTO room (room, mode, is_member) VALUES (?1, NULL, ?2)
                   ON CONFLICT DO UPDATE SET is_member = excluded.is_member";
        self.execute(sql, (room.as_bytes(), is_member))
    }

    /// Notes an account before its devices are asked for.
    pub(in crate::chat) fn watch(&self, account: AccountId) -> Result<(), HistoryError> {
        self.execute("INSERT OR IGNORE INTO account VALUES (?1)", [account.as_bytes()])
    }

    pub(in crate::chat) fn watched(&self) -> Result<Vec<AccountId>, HistoryError> {
        self.all("SELECT account FROM account", [], |row| row.get(0).map(AccountId::from_bytes))
    }

    /// What was told about the devices of an account.
    pub(in crate::chat) fn told(
        &self,
        account: AccountId,
    ) -> Result<BTreeMap<DeviceName, DeviceState>, HistoryError> {
        let sql = "SELECT device, record FROM told WHERE account = ?1";
        let found: Vec<(String, _)> = self.records(sql, [account.as_bytes()], b"told")?;
        let named = |(device, state)| {
            Ok((DeviceName::new(device).map_err(|_| HistoryError::Damaged)?, state))
        };
        found.into_iter().map(named).collect()
    }

    pub(in crate::chat) fn note_told(
        &self,
        address: &Address,
        state: &DeviceState,
    ) -> Result<(), HistoryError> {
        let device = address.device.as_str();
        let record = self.seal(state, b"told", device.as_bytes())?;
        let sql = "INSERT OR REPLACE INTO told VALUES (?1, ?2, ?3)";
        self.execute(sql, (address.account.as_bytes(), device, record))
    }
}

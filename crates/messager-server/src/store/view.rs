//! From the tables to what stands in bodies.

mod messages;
mod rows;

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use self::rows::{MEMBER, ROOM, account, member, room};
use super::Stop;
use crate::{
    refusal::Refusal,
    values::{AccountId, MemberId, RoomId},
    wire::{Account, Member, Room},
};

/// Reads rows with everything that stands in them. What stands in many of them
/// is read once.
#[derive(Debug)]
pub(crate) struct Viewer<'a> {
    connection: &'a Connection,
    /// The one who asks; nobody for packets, which are the same for all.
    reader: Option<AccountId>,
    accounts: HashMap<AccountId, Account>,
    members: HashMap<MemberId, Member>,
    rooms: HashMap<RoomId, Room>,
}

impl<'a> Viewer<'a> {
    pub(crate) fn new(connection: &'a Connection, reader: Option<AccountId>) -> Self {
        let (accounts, members, rooms) = Default::default();
        Self { connection, reader, accounts, members, rooms }
    }

    pub(crate) fn account(&mut self, id: AccountId) -> Result<Account, Stop> {
        if let Some(known) = self.accounts.get(&id) {
            return Ok(known.clone());
        }
        let sql = "SELECT id, name, nick, created_at, updated_at FROM accounts WHERE id = ?1";
        let found = self.connection.prepare_cached(sql)?.query_row([id], account).optional()?;
        let found = found.ok_or(Refusal::NotFound("account"))?;
        self.accounts.insert(id, found.clone());
        Ok(found)
    }

    /// A membership, whatever became of it.
    pub(crate) fn member(&mut self, id: MemberId) -> Result<Member, Stop> {
        if let Some(known) = self.members.get(&id) {
            return Ok(known.clone());
        }
        let sql = format!("SELECT {MEMBER} FROM members m WHERE m.id = ?1");
        let found = self.connection.prepare_cached(&sql)?.query_row([id], member).optional()?;
        let found = self.with_accounts(found.ok_or(Refusal::NotFound("member"))??)?;
        self.members.insert(id, found.clone());
        Ok(found)
    }

    fn with_accounts(&mut self, row: rows::MemberRow) -> Result<Member, Stop> {
        let account = self.account(row.account_id)?;
        let invited_by = row.invited_by_id.map(|id| self.account(id)).transpose()?;
        Ok(row.into_member(account, invited_by))
    }

    /// Members of a room that match a condition on `m`, which has `?1` for the
    /// room; at most `take` behind the first `offset`.
    pub(crate) fn members(
        &mut self,
        condition: &str,
        room: RoomId,
        (take, offset): (i64, i64),
    ) -> Result<Vec<Member>, Stop> {
        let sql = format!(
            "SELECT {MEMBER} FROM members m WHERE m.room_id = ?1 AND m.deleted_at IS NULL AND \
             {condition} ORDER BY m.joined_at IS NULL, m.joined_at, m.id LIMIT ?2 OFFSET ?3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows: Vec<_> =
            statement.query_map((room, take, offset), member)?.collect::<Result<_, _>>()?;
        rows.into_iter().map(|row| self.with_accounts(row?)).collect()
    }

    /// A room as it stands in its messages: without its members.
    pub(crate) fn room(&mut self, id: RoomId) -> Result<Room, Stop> {
        if let Some(known) = self.rooms.get(&id) {
            return Ok(known.clone());
        }
        let sql = format!("SELECT {ROOM} FROM rooms r WHERE r.id = ?1 AND r.deleted_at IS NULL");
        let found = self.connection.prepare_cached(&sql)?.query_row([id], room).optional()?;
        let mut found = found.ok_or(Refusal::NotFound("room"))??;
        found.account = Some(self.account(found.account_id)?);
        self.rooms.insert(id, found.clone());
        Ok(found)
    }

    /// A room as those get it who ask for it: with the other members, if it is a
    /// direct chat of theirs.
    pub(crate) fn room_with_members(&mut self, id: RoomId) -> Result<Room, Stop> {
        let mut room = self.room(id)?;
        if room.kind == crate::values::RoomKind::Direct {
            let members = self.members("m.leave_at IS NULL", id, (-1, 0))?;
            let is_reader = |member: &Member| Some(member.account_id) == self.reader;
            if members.iter().any(is_reader) {
                room.members = members.into_iter().filter(|member| !is_reader(member)).collect();
            }
        }
        Ok(room)
    }
}

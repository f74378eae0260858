//! Columns, in the order in which they are read.

use rusqlite::Row;
use serde::de::DeserializeOwned;

use crate::{
    store::Stop,
    values::{AccountId, MemberId, Moment, RoomId},
    wire::{Account, Member, Picture, Room, TimeoutCause},
};

/// A column with JSON in it.
pub(super) fn json<T: DeserializeOwned>(text: Option<String>) -> Result<Option<T>, Stop> {
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

pub(super) fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        name: row.get(1)?,
        nick: row.get(2)?,
        created_at: row.get(3)?,
        updated_at: row.get(4)?,
        deleted_at: None,
    })
}

pub(super) const ROOM: &str = "r.id, r.kind, r.name, r.description, r.picture_id, \
     r.background_id, r.is_community, r.is_public, r.mode, r.policy, r.account_id, r.created_at, \
     r.updated_at";

pub(super) fn room(row: &Row<'_>) -> rusqlite::Result<Result<Room, Stop>> {
    let policy = row.get(9)?;
    let id: RoomId = row.get(0)?;
    let picture = |id: Option<String>| id.map(|id| Picture { id });
    let room = Room {
        id,
        kind: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        picture: picture(row.get(4)?),
        background: picture(row.get(5)?),
        is_community: row.get(6)?,
        is_public: row.get(7)?,
        encryption_mode: row.get(8)?,
        e2ee_policy: None,
        account_id: row.get(10)?,
        account: None,
        realm_id: None,
        realm: None,
        members: Vec::new(),
        resource_identifier: format!("chatroom:{id}"),
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
        deleted_at: None,
    };
    Ok(json(policy).map(|e2ee_policy| Room { e2ee_policy, ..room }))
}

pub(super) const MEMBER: &str = "m.id, m.room_id, m.account_id, m.nick, m.notify, \
     m.last_read_at, m.joined_at, m.leave_at, m.invited_by_id, m.break_until, m.timeout_until, \
     m.timeout_cause, m.created_at, m.updated_at, m.deleted_at";

/// A member without the accounts that stand in it.
pub(super) struct MemberRow {
    id: MemberId,
    room_id: RoomId,
    pub account_id: AccountId,
    nick: Option<String>,
    notify: i64,
    last_read_at: Option<Moment>,
    joined_at: Option<Moment>,
    leave_at: Option<Moment>,
    pub invited_by_id: Option<AccountId>,
    break_until: Option<Moment>,
    timeout_until: Option<Moment>,
    timeout_cause: Option<TimeoutCause>,
    created_at: Moment,
    updated_at: Moment,
    deleted_at: Option<Moment>,
}

pub(super) fn member(row: &Row<'_>) -> rusqlite::Result<Result<MemberRow, Stop>> {
    let cause = row.get(11)?;
    let member = MemberRow {
        id: row.get(0)?,
        room_id: row.get(1)?,
        account_id: row.get(2)?,
        nick: row.get(3)?,
        notify: row.get(4)?,
        last_read_at: row.get(5)?,
        joined_at: row.get(6)?,
        leave_at: row.get(7)?,
        invited_by_id: row.get(8)?,
        break_until: row.get(9)?,
        timeout_until: row.get(10)?,
        timeout_cause: None,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
        deleted_at: row.get(14)?,
    };
    Ok(json(cause).map(|timeout_cause| MemberRow { timeout_cause, ..member }))
}

impl MemberRow {
    pub(super) fn into_member(self, account: Account, invited_by: Option<Account>) -> Member {
        Member {
            id: self.id,
            chat_room_id: self.room_id,
            chat_room: None,
            account_id: self.account_id,
            account,
            status: None,
            nick: self.nick,
            notify: self.notify,
            last_read_at: self.last_read_at,
            joined_at: self.joined_at,
            leave_at: self.leave_at,
            invited_by_id: self.invited_by_id,
            invited_by,
            break_until: self.break_until,
            timeout_until: self.timeout_until,
            timeout_cause: self.timeout_cause,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        }
    }
}

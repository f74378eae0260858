//! Who is in a room.

use rusqlite::{Connection, OptionalExtension};

use super::{
    Stop, Work,
    rooms::{Facts, facts, known},
    timeline::{Change, tell_change},
    view::Viewer,
};
use crate::{
    live::Hub,
    refusal::Refusal,
    rules::{Door, Membership, may_join, may_leave, may_manage},
    values::{AccountId, MemberId, Moment, RoomId},
    wire::{Member, NotifyBody, Room, TimeoutBody, TimeoutCause},
};

/// What there is about an account in a room, unless it declined.
pub(crate) fn membership(
    connection: &Connection,
    room: RoomId,
    account: AccountId,
) -> rusqlite::Result<Option<Membership>> {
    let sql = "SELECT id, account_id, joined_at, leave_at, timeout_until FROM members \
               WHERE room_id = ?1 AND account_id = ?2 AND deleted_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let membership = statement.query_row((room, account), |row| {
        Ok(Membership {
            id: row.get(0)?,
            account: row.get(1)?,
            joined: row.get(2)?,
            left: row.get(3)?,
            timeout: row.get(4)?,
        })
    });
    membership.optional()
}

/// The membership of somebody who is in the room.
pub(super) fn own(
    connection: &Connection,
    room: RoomId,
    account: AccountId,
) -> Result<Membership, Stop> {
    let own = membership(connection, room, account)?.filter(Membership::is_active);
    Ok(own.ok_or(Refusal::NotFound("member"))?)
}

/// How many others are in a room or invited to it.
pub(super) fn present(
    connection: &Connection,
    room: RoomId,
    without: AccountId,
) -> rusqlite::Result<usize> {
    count(connection, room, without, "leave_at IS NULL")
}

/// How many others are in a room.
pub(super) fn joined(
    connection: &Connection,
    room: RoomId,
    without: AccountId,
) -> rusqlite::Result<usize> {
    count(connection, room, without, "leave_at IS NULL AND joined_at IS NOT NULL")
}

fn count(
    connection: &Connection,
    room: RoomId,
    without: AccountId,
    condition: &str,
) -> rusqlite::Result<usize> {
    let sql = format!(
        "SELECT count(*) FROM members WHERE room_id = ?1 AND account_id <> ?2 \
         AND deleted_at IS NULL AND {condition}"
    );
    connection.prepare_cached(&sql)?.query_row((room, without), |row| row.get(0))
}

/// Puts an account into a room, or invites it. A row that is there is used
/// again: whatever happened before, it says what is now.
pub(super) fn insert(
    work: &Work<'_>,
    room: RoomId,
    account: AccountId,
    joined: Option<Moment>,
    invited_by: Option<AccountId>,
) -> Result<MemberId, Stop> {
    let sql = "INSERT INTO members (id, room_id, account_id, joined_at, invited_by_id, \
               created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) \
               ON CONFLICT (room_id, account_id) DO UPDATE SET joined_at = excluded.joined_at, \
               invited_by_id = excluded.invited_by_id, leave_at = NULL, deleted_at = NULL, \
               updated_at = excluded.updated_at RETURNING id";
    let values = (MemberId::new(work.now)?, room, account, joined, invited_by, work.now);
    Ok(work.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
}

/// Which members are listed: all but those who left.
const LISTED: &str = "m.leave_at IS NULL";

/// Refuses who may not see the members of a room.
fn may_look(connection: &Connection, room: RoomId, reader: Option<AccountId>) -> Result<(), Stop> {
    let facts = facts(connection, room)?;
    if facts.as_ref().is_some_and(|facts| facts.is_public) {
        return Ok(());
    }
    // A room that is not there looks like a private one.
    let reader = reader.ok_or(Refusal::LoginNeeded)?;
    facts.ok_or(Refusal::NotFound("room"))?;
    let own = membership(connection, room, reader)?;
    match own.is_some_and(|own| own.is_active()) {
        true => Ok(()),
        false => Err(Refusal::Forbidden("You are not a member of this chat room.").into()),
    }
}

/// A page of members, those who are invited as well, and how many there are.
pub(crate) fn list(
    connection: &Connection,
    room: RoomId,
    reader: Option<AccountId>,
    page: (i64, i64),
) -> Result<(Vec<Member>, i64), Stop> {
    may_look(connection, room, reader)?;
    let members = Viewer::new(connection, reader).members(LISTED, room, page)?;
    let sql = "SELECT count(*) FROM members WHERE room_id = ?1 AND leave_at IS NULL \
               AND deleted_at IS NULL";
    let total = connection.prepare_cached(sql)?.query_row([room], |row| row.get(0))?;
    Ok((members, total))
}

/// How many members are connected.
pub(crate) fn online(
    connection: &Connection,
    room: RoomId,
    reader: Option<AccountId>,
    hub: &Hub,
) -> Result<usize, Stop> {
    may_look(connection, room, reader)?;
    let active = super::timeline::active(connection, room)?;
    Ok(active.into_iter().filter(|account| hub.is_online(*account)).count())
}

/// One's own membership.
pub(crate) fn me(
    connection: &Connection,
    room: RoomId,
    account: AccountId,
) -> Result<Member, Stop> {
    known(connection, room)?;
    let own = own(connection, room, account)?;
    Viewer::new(connection, Some(account)).member(own.id)
}

/// What joining gives: the room the first time, then the membership.
#[derive(Debug)]
pub(crate) enum Joined {
    First(Box<Room>),
    Again(Box<Member>),
}

/// Joins a community.
pub(crate) fn join(work: &mut Work<'_>, room: RoomId, account: AccountId) -> Result<Joined, Stop> {
    let facts = known(work.connection, room)?;
    let before = membership(work.connection, room, account)?;
    let Facts { kind, mode, is_community, .. } = facts;
    let others = present(work.connection, room, account)?;
    may_join(Door { kind, mode, is_community, others }, before.as_ref())?;
    insert(work, room, account, Some(work.now), None)?;
    let own = own(work.connection, room, account)?;
    tell_change(work, room, &own, own.id, Change::Joined)?;
    let mut viewer = Viewer::new(work.connection, Some(account));
    Ok(match before {
        None => Joined::First(Box::new(viewer.room_with_members(room)?)),
        Some(_) => Joined::Again(Box::new(viewer.member(own.id)?)),
    })
}

/// Leaves a room.
pub(crate) fn leave(work: &mut Work<'_>, room: RoomId, account: AccountId) -> Result<(), Stop> {
    let facts = known(work.connection, room)?;
    let own = membership(work.connection, room, account)?;
    may_leave(facts.owner == account, own.as_ref())?;
    let own = own.ok_or(Refusal::NotFound("member"))?;
    end(work, own.id)?;
    tell_change(work, room, &own, own.id, Change::Left)
}

fn end(work: &Work<'_>, member: MemberId) -> Result<(), Stop> {
    let sql = "UPDATE members SET leave_at = ?2, updated_at = ?2 WHERE id = ?1";
    work.connection.prepare_cached(sql)?.execute((member, work.now))?;
    Ok(())
}

/// Removes somebody, or takes back an invitation.
pub(crate) fn kick(
    work: &mut Work<'_>,
    room: RoomId,
    account: AccountId,
    target: AccountId,
) -> Result<(), Stop> {
    let (operator, target) = managed(work, room, account, target)?;
    if target.account == account {
        return Err(Refusal::bad("To leave a chat room is not to be removed from it.").into());
    }
    end(work, target.id)?;
    if !target.is_active() {
        return super::invites::withdraw(work, target.id);
    }
    tell_change(work, room, &target, operator.id, Change::Removed)
}

/// The one who manages a room, and somebody who is in it or invited.
fn managed(
    work: &Work<'_>,
    room: RoomId,
    account: AccountId,
    target: AccountId,
) -> Result<(Membership, Membership), Stop> {
    let facts = known(work.connection, room)?;
    let operator = membership(work.connection, room, account)?;
    may_manage(facts.manager(account, operator.as_ref()))?;
    let operator = operator.ok_or(Refusal::NotFound("member"))?;
    let target = membership(work.connection, room, target)?.filter(|target| target.left.is_none());
    Ok((operator, target.ok_or(Refusal::NotFound("member"))?))
}

/// Keeps somebody from writing until a moment; without one, no longer.
pub(crate) fn time_out(
    work: &mut Work<'_>,
    room: RoomId,
    (account, target): (AccountId, AccountId),
    body: Option<&TimeoutBody>,
) -> Result<(), Stop> {
    let (operator, target) = managed(work, room, account, target)?;
    let cause = body.map(|body| TimeoutCause {
        reason: body.reason.clone(),
        kind: 0,
        sender_id: operator.id.to_string(),
        since: work.now.to_string(),
    });
    let cause = cause.as_ref().map(serde_json::to_string).transpose()?;
    let sql = "UPDATE members SET timeout_until = ?2, timeout_cause = ?3, updated_at = ?4 \
               WHERE id = ?1";
    let until = body.map(|body| body.timeout_until);
    work.connection.prepare_cached(sql)?.execute((target.id, until, cause, work.now))?;
    Ok(())
}

/// Changes what a member wants to be told.
pub(crate) fn notify(
    work: &mut Work<'_>,
    room: RoomId,
    account: AccountId,
    body: &NotifyBody,
) -> Result<Member, Stop> {
    known(work.connection, room)?;
    let own = own(work.connection, room, account)?;
    let sql = "UPDATE members SET notify = coalesce(?2, notify), \
               break_until = coalesce(?3, break_until), updated_at = ?4 WHERE id = ?1";
    let values = (own.id, body.notify_level, body.break_until, work.now);
    work.connection.prepare_cached(sql)?.execute(values)?;
    Viewer::new(work.connection, Some(account)).member(own.id)
}

/// Notes that a member has read all rows that there are.
pub(crate) fn read(work: &mut Work<'_>, room: RoomId, account: AccountId) -> Result<(), Stop> {
    let facts = known(work.connection, room)?;
    let own = own(work.connection, room, account)?;
    let sql = "UPDATE members SET last_read_at = ?2 WHERE id = ?1";
    work.connection.prepare_cached(sql)?.execute((own.id, work.now.max(facts.newest)))?;
    // A row that comes in this very millisecond lies behind it.
    work.newest = work.newest.max(Some(work.now));
    Ok(())
}

//! Invitations.

use rusqlite::Connection;
use serde_json::json;

use super::{
    Effect, Recipients, Stop, Work,
    members::{insert, joined, membership, present},
    rooms::known,
    timeline::{Change, tell_change},
    view::Viewer,
};
use crate::{
    push::Push,
    refusal::Refusal,
    rules::{may_accept, may_invite},
    values::{AccountId, MemberId, RoomId},
    wire::{Member, Packet},
};

/// Invites somebody, again if need be.
pub(crate) fn invite(
    work: &mut Work<'_>,
    room: RoomId,
    account: AccountId,
    invitee: AccountId,
) -> Result<Member, Stop> {
    let facts = known(work.connection, room)?;
    let own = membership(work.connection, room, account)?;
    let before = membership(work.connection, room, invitee)?;
    let others = present(work.connection, room, invitee)?;
    may_invite(facts.manager(account, own.as_ref()), facts.mode, others, before.as_ref())?;
    if !super::accounts::exists(work.connection, invitee)? {
        return Err(Refusal::NotFound("user").into());
    }
    let member = insert(work, room, invitee, None, Some(account))?;
    tell_invitee(work, room, account, (member, invitee))?;
    Viewer::new(work.connection, Some(account)).member(member)
}

/// The invitations of an account, each with its room.
pub(crate) fn list(connection: &Connection, account: AccountId) -> Result<Vec<Member>, Stop> {
    let sql = "SELECT m.id, m.room_id FROM members m JOIN rooms r ON r.id = m.room_id \
               WHERE m.account_id = ?1 AND m.joined_at IS NULL AND m.leave_at IS NULL \
               AND m.deleted_at IS NULL AND r.deleted_at IS NULL ORDER BY m.updated_at, m.id";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([account], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(MemberId, RoomId)> = rows.collect::<Result<_, _>>()?;
    let mut viewer = Viewer::new(connection, Some(account));
    rows.into_iter().map(|row| with_room(&mut viewer, row)).collect()
}

/// An invitation as the one who is invited sees it.
fn with_room(viewer: &mut Viewer<'_>, (member, room): (MemberId, RoomId)) -> Result<Member, Stop> {
    let room = viewer.room_with_members(room)?;
    Ok(Member { chat_room: Some(Box::new(room)), ..viewer.member(member)? })
}

/// Accepts one.
pub(crate) fn accept(
    work: &mut Work<'_>,
    room: RoomId,
    account: AccountId,
) -> Result<Member, Stop> {
    let facts = known(work.connection, room)?;
    let before = membership(work.connection, room, account)?;
    let others = joined(work.connection, room, account)?;
    may_accept(facts.mode, others, before.as_ref())?;
    let own = before.ok_or(Refusal::NotFound("invitation"))?;
    let sql = "UPDATE members SET joined_at = ?2, updated_at = ?2 WHERE id = ?1";
    work.connection.prepare_cached(sql)?.execute((own.id, work.now))?;
    tell_change(work, room, &own, own.id, Change::Joined)?;
    Viewer::new(work.connection, Some(account)).member(own.id)
}

/// Declines one. Whoever declined can be invited again.
pub(crate) fn decline(work: &mut Work<'_>, room: RoomId, account: AccountId) -> Result<(), Stop> {
    known(work.connection, room)?;
    let own = membership(work.connection, room, account)?.filter(|own| own.is_invited());
    withdraw(work, own.ok_or(Refusal::NotFound("invitation"))?.id)
}

/// Hides a row about an invitation. It stays, since messages may hang on it.
pub(super) fn withdraw(work: &mut Work<'_>, member: MemberId) -> Result<(), Stop> {
    let sql = "UPDATE members SET deleted_at = ?2, updated_at = ?2 WHERE id = ?1";
    work.connection.prepare_cached(sql)?.execute((member, work.now))?;
    Ok(())
}

/// What invitations are called, as packets and as pushes.
const TOPIC: &str = "invites.chats";

/// Tells somebody that they are invited: whoever is connected by a packet, and a
/// webhook, if there is one.
pub(super) fn tell_invitee(
    work: &mut Work<'_>,
    room: RoomId,
    by: AccountId,
    (member, invitee): (MemberId, AccountId),
) -> Result<(), Stop> {
    let mut viewer = Viewer::new(work.connection, Some(invitee));
    let bytes = Packet::new(TOPIC, with_room(&mut viewer, (member, room))?).bytes()?;
    work.effects.push(Effect::Packet(Recipients::Accounts(vec![invitee]), bytes));
    if !work.is_pushing {
        return Ok(());
    }
    let (inviter, name) = (viewer.account(by)?, viewer.room(room)?.name);
    let what = name.clone().unwrap_or_else(|| "a direct chat".to_owned());
    work.effects.push(Effect::Push(Push {
        account_id: invitee,
        topic: TOPIC,
        title: "New chat invitation".to_owned(),
        body: format!("{} invites you to {what}.", inviter.nick),
        meta: json!({ "room_id": room, "room_name": name, "user_id": by }),
        action: format!("/chat/{room}"),
    }));
    Ok(())
}

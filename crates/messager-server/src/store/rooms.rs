//! Rooms: found, made, changed, encrypted, deleted.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value, json};

use super::{
    Stop, Work,
    members::{insert, membership},
    timeline::tell,
    view::Viewer,
};
use crate::{
    refusal::{EncryptionRule, Refusal},
    rules::{
        Manager, Membership, Reads, enabled_mode, may_manage, may_open, may_own, mode_of_new,
        mode_stays,
    },
    values::{AccountId, Mode, Moment, RoomId, RoomKind},
    wire::{DirectBody, EnableBody, Room, RoomBody, RowKind},
};

/// What the rules want to know about a room.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub kind: RoomKind,
    pub mode: Mode,
    pub is_public: bool,
    pub is_community: bool,
    pub owner: AccountId,
    pub name: Option<String>,
    pub newest: Moment,
}

impl Facts {
    pub(crate) fn reads(&self) -> Reads {
        Reads { mode: self.mode, is_public: self.is_public }
    }

    pub(crate) fn manager<'a>(
        &self,
        account: AccountId,
        membership: Option<&'a Membership>,
    ) -> Manager<'a> {
        Manager { kind: self.kind, is_owner: self.owner == account, membership }
    }
}

/// Looks at a room that is not deleted.
pub(crate) fn facts(connection: &Connection, room: RoomId) -> rusqlite::Result<Option<Facts>> {
    let sql = "SELECT kind, mode, is_public, is_community, account_id, name, last_row_at \
               FROM rooms WHERE id = ?1 AND deleted_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let facts = statement.query_row([room], |row| {
        Ok(Facts {
            kind: row.get(0)?,
            mode: row.get(1)?,
            is_public: row.get(2)?,
            is_community: row.get(3)?,
            owner: row.get(4)?,
            name: row.get(5)?,
            newest: row.get(6)?,
        })
    });
    facts.optional()
}

/// A room that has to be there.
pub(super) fn known(connection: &Connection, room: RoomId) -> Result<Facts, Stop> {
    Ok(facts(connection, room)?.ok_or(Refusal::NotFound("room"))?)
}

/// A room, for whoever knows its id.
pub(crate) fn show(
    connection: &Connection,
    room: RoomId,
    reader: Option<AccountId>,
) -> Result<Room, Stop> {
    Viewer::new(connection, reader).room_with_members(room)
}

/// The rooms that an account is in.
pub(crate) fn joined(connection: &Connection, account: AccountId) -> Result<Vec<Room>, Stop> {
    let ids = joined_ids(connection, account)?;
    let mut viewer = Viewer::new(connection, Some(account));
    ids.into_iter().map(|(id, _)| viewer.room_with_members(id)).collect()
}

/// Their ids and modes.
pub(super) fn joined_ids(
    connection: &Connection,
    account: AccountId,
) -> rusqlite::Result<Vec<(RoomId, Mode)>> {
    let sql = "SELECT r.id, r.mode FROM members m JOIN rooms r ON r.id = m.room_id \
               WHERE m.account_id = ?1 AND m.joined_at IS NOT NULL AND m.leave_at IS NULL \
               AND m.deleted_at IS NULL AND r.deleted_at IS NULL ORDER BY r.id";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([account], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Direct chats of two accounts: those with two rows, whatever became of these.
/// The encrypted one first, then the newest.
fn directs(
    connection: &Connection,
    [one, other]: [AccountId; 2],
) -> rusqlite::Result<Vec<(RoomId, Mode)>> {
    let sql = "SELECT r.id, r.mode FROM rooms r \
               JOIN members a ON a.room_id = r.id AND a.account_id = ?1 AND a.deleted_at IS NULL \
               JOIN members b ON b.room_id = r.id AND b.account_id = ?2 AND b.deleted_at IS NULL \
               WHERE r.kind = 1 AND r.deleted_at IS NULL AND 2 = (SELECT count(*) FROM members c \
               WHERE c.room_id = r.id AND c.deleted_at IS NULL) \
               ORDER BY r.mode DESC, r.created_at DESC, r.id DESC";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([one, other], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The direct chat with somebody.
pub(crate) fn direct(
    connection: &Connection,
    account: AccountId,
    peer: AccountId,
) -> Result<Room, Stop> {
    let found = directs(connection, [account, peer])?;
    let (room, _) = found.first().ok_or(Refusal::NotFound("direct chat"))?;
    show(connection, *room, Some(account))
}

/// Makes a direct chat and invites the other.
pub(crate) fn make_direct(
    work: &mut Work<'_>,
    account: AccountId,
    body: &DirectBody,
) -> Result<Room, Stop> {
    let peer = body.related_user_id;
    let mode = mode_of_new(RoomKind::Direct, body.encryption_mode)?;
    if !super::accounts::exists(work.connection, peer)? {
        return Err(Refusal::bad("There is no such user.").into());
    }
    if peer == account {
        return Err(Refusal::bad("A direct chat is with somebody else.").into());
    }
    if directs(work.connection, [account, peer])?.iter().any(|(_, of)| *of == mode) {
        return Err(Refusal::bad("You already have a DM with this user.").into());
    }
    let room = RoomId::new(work.now)?;
    insert_room(work, room, (RoomKind::Direct, mode, account), &Settings::default())?;
    insert(work, room, account, Some(work.now), None)?;
    let invited = insert(work, room, peer, None, Some(account))?;
    super::invites::tell_invitee(work, room, account, (invited, peer))?;
    show(work.connection, room, Some(account))
}

/// What can be said about a room.
#[derive(Debug, Default)]
struct Settings<'a> {
    name: Option<&'a str>,
    description: Option<&'a str>,
    picture_id: Option<&'a str>,
    background_id: Option<&'a str>,
    is_community: bool,
    is_public: bool,
    policy: Option<&'a Map<String, Value>>,
}

fn policy(settings: &Settings<'_>) -> Result<Option<String>, Stop> {
    Ok(settings.policy.map(serde_json::to_string).transpose()?)
}

fn insert_room(
    work: &Work<'_>,
    room: RoomId,
    (kind, mode, owner): (RoomKind, Mode, AccountId),
    settings: &Settings<'_>,
) -> Result<(), Stop> {
    let sql = "INSERT INTO rooms (id, kind, mode, account_id, name, description, picture_id, \
               background_id, is_community, is_public, policy, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)";
    work.connection.prepare_cached(sql)?.execute(rusqlite::params![
        room,
        kind,
        mode,
        owner,
        settings.name,
        settings.description,
        settings.picture_id,
        settings.background_id,
        settings.is_community,
        settings.is_public,
        policy(settings)?,
        work.now,
    ])?;
    Ok(())
}

impl<'a> Settings<'a> {
    fn of(body: &'a RoomBody) -> Self {
        Self {
            name: Some(&body.name),
            description: body.description.as_deref(),
            picture_id: body.picture_id.as_deref(),
            background_id: body.background_id.as_deref(),
            is_community: body.is_community.unwrap_or(false),
            is_public: body.is_public.unwrap_or(false),
            policy: body.e2ee_policy.as_ref(),
        }
    }
}

/// Makes a group.
pub(crate) fn make(work: &mut Work<'_>, account: AccountId, body: &RoomBody) -> Result<Room, Stop> {
    let mode = mode_of_new(RoomKind::Group, body.encryption_mode)?;
    let room = RoomId::new(work.now)?;
    insert_room(work, room, (RoomKind::Group, mode, account), &Settings::of(body))?;
    insert(work, room, account, Some(work.now), None)?;
    show(work.connection, room, Some(account))
}

/// Changes what is said about a room. What the body leaves out stays.
pub(crate) fn change(
    work: &mut Work<'_>,
    room: RoomId,
    account: AccountId,
    body: &RoomBody,
) -> Result<Room, Stop> {
    let facts = known(work.connection, room)?;
    let own = membership(work.connection, room, account)?;
    may_manage(facts.manager(account, own.as_ref()))?;
    mode_stays(body.encryption_mode)?;
    may_open(facts.kind, body.is_community)?;
    let before = show(work.connection, room, Some(account))?;
    let sql = "UPDATE rooms SET name = ?2, description = coalesce(?3, description), \
               picture_id = coalesce(?4, picture_id), \
               background_id = coalesce(?5, background_id), \
               is_community = coalesce(?6, is_community), is_public = coalesce(?7, is_public), \
               policy = coalesce(?8, policy), updated_at = ?9 WHERE id = ?1";
    work.connection.prepare_cached(sql)?.execute(rusqlite::params![
        room,
        body.name,
        body.description,
        body.picture_id,
        body.background_id,
        body.is_community,
        body.is_public,
        policy(&Settings::of(body))?,
        work.now,
    ])?;
    let after = show(work.connection, room, Some(account))?;
    let changes = changes(&before, &after)?;
    if let Some(own) = own.filter(|own| own.is_active() && !changes.is_empty()) {
        let names: Vec<&str> = changes.keys().map(String::as_str).collect();
        let content = format!("Chat info was updated ({}).", names.join(", "));
        let meta = json!({ "event": "chat_info_updated", "changes": changes });
        tell(work, room, (RowKind::RoomUpdated, own.id), content, meta)?;
    }
    Ok(after)
}

/// What is different, by name: what it was and what it is.
fn changes(before: &Room, after: &Room) -> Result<Map<String, Value>, Stop> {
    let [before, after] = [serde_json::to_value(before)?, serde_json::to_value(after)?];
    let names = ["name", "description", "picture", "background", "is_community", "is_public"];
    let changed = names.into_iter().chain(["e2ee_policy"]).filter_map(|name| {
        let (old, new) = (before.get(name)?, after.get(name)?);
        (old != new).then(|| (name.to_owned(), json!({ "old": old, "new": new })))
    });
    Ok(changed.collect())
}

/// Turns encryption on, for ever.
pub(crate) fn enable(
    work: &mut Work<'_>,
    room: RoomId,
    account: AccountId,
    body: &EnableBody,
) -> Result<Room, Stop> {
    let facts = known(work.connection, room)?;
    let own = membership(work.connection, room, account)?;
    may_manage(facts.manager(account, own.as_ref()))?;
    let mode = enabled_mode(facts.kind, facts.mode, body.encryption_mode)?;
    if mode == Mode::Direct && super::members::present(work.connection, room, account)? > 1 {
        let text = "An encrypted direct chat is for two people.";
        return Err(Refusal::Encryption(EncryptionRule::MemberLimit, text).into());
    }
    let sql = "UPDATE rooms SET mode = ?2, updated_at = ?3 WHERE id = ?1";
    work.connection.prepare_cached(sql)?.execute((room, mode, work.now))?;
    if let Some(own) = own.filter(Membership::is_active) {
        let meta = json!({ "event": "e2ee_enabled", "room_id": room, "mode": mode.name() });
        let content = "This chat now uses E2EE.".to_owned();
        tell(work, room, (RowKind::EncryptionEnabled, own.id), content, meta)?;
    }
    show(work.connection, room, Some(account))
}

/// Deletes a room: it is not shown any more.
pub(crate) fn delete(work: &mut Work<'_>, room: RoomId, account: AccountId) -> Result<(), Stop> {
    let facts = known(work.connection, room)?;
    may_own(facts.manager(account, None))?;
    let sql = "UPDATE rooms SET deleted_at = ?2, updated_at = ?2 WHERE id = ?1";
    work.connection.prepare_cached(sql)?.execute((room, work.now))?;
    Ok(())
}

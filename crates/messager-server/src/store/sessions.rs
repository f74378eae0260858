//! Conversations of two accounts in Pass.

use rusqlite::Connection;

use super::{
    Stop, Work,
    bundles::{meta, text},
};
use crate::{
    refusal::Refusal,
    values::{AccountId, Moment, SessionId},
    wire::{Session, SessionBody},
};

/// Finds or makes the conversation with somebody. What the body has is kept.
pub(crate) fn ensure(
    work: &mut Work<'_>,
    account: AccountId,
    peer: AccountId,
    body: &SessionBody,
) -> Result<Session, Stop> {
    if peer == account {
        return Err(Refusal::bad("A session is with somebody else.").into());
    }
    if !super::accounts::exists(work.connection, peer)? {
        return Err(Refusal::NotFound("user").into());
    }
    let sql = "INSERT INTO sessions (id, account_a_id, account_b_id, initiated_by_id, hint, meta, \
               created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) \
               ON CONFLICT (account_a_id, account_b_id) DO UPDATE SET \
               hint = coalesce(excluded.hint, hint), meta = coalesce(excluded.meta, meta), \
               updated_at = excluded.updated_at \
               RETURNING id, account_a_id, account_b_id, initiated_by_id, last_message_at, hint, \
               meta, created_at, updated_at";
    let values = rusqlite::params![
        SessionId::new(work.now)?,
        account.min(peer),
        account.max(peer),
        account,
        body.hint,
        text(body.meta.as_ref())?,
        work.now,
    ];
    let (session, words) = work.connection.prepare_cached(sql)?.query_row(values, |row| {
        let session = Session {
            id: row.get(0)?,
            account_a_id: row.get(1)?,
            account_b_id: row.get(2)?,
            initiated_by_id: row.get(3)?,
            last_message_at: row.get(4)?,
            hint: row.get(5)?,
            meta: None,
            created_at: row.get(7)?,
            updated_at: row.get(8)?,
            deleted_at: None,
        };
        Ok((session, row.get(6)?))
    })?;
    Ok(Session { meta: meta(words)?, ..session })
}

/// Notes that something was sent in a conversation of these two. Any other id is
/// passed over.
pub(super) fn touch(
    connection: &Connection,
    session: Option<SessionId>,
    [one, other]: [AccountId; 2],
    now: Moment,
) -> rusqlite::Result<()> {
    let sql = "UPDATE sessions SET last_message_at = ?2 WHERE id = ?1 AND account_a_id = ?3 \
               AND account_b_id = ?4";
    let values = (session, now, one.min(other), one.max(other));
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

//! Envelopes: in order for each recipient, there until they are acknowledged.

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value as Sql};

use super::{
    Effect, Recipients, Stop, Work,
    bundles::{meta, text},
    sessions,
};
use crate::{
    refusal::Refusal,
    values::{AccountId, DeviceId, EnvelopeId, Octets, SessionId, is_blank},
    wire::{Envelope, EnvelopePacket, Packet},
};

const PENDING: i64 = 0;
const DELIVERED: i64 = 1;
const ACKNOWLEDGED: i64 = 2;

/// Whom an envelope is for: an account as a whole, or one of its devices.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    pub account: AccountId,
    /// Empty for the account as a whole.
    pub device: String,
}

/// An envelope that is to be sent.
#[derive(Debug)]
pub(super) struct Draft {
    pub sender: AccountId,
    pub sender_device: DeviceId,
    pub recipient: Recipient,
    pub session: Option<SessionId>,
    pub kind: i64,
    pub group: Option<String>,
    pub client_message_id: Option<String>,
    pub ciphertext: Octets,
    pub header: Option<Octets>,
    pub signature: Option<Octets>,
    pub expires_at: Option<crate::values::Moment>,
    pub meta: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Stores an envelope and pushes it if its recipient is connected. One with the
/// `client_message_id` of an earlier one is that one; see [`remind`].
pub(super) fn post(work: &mut Work<'_>, mut draft: Draft) -> Result<Envelope, Stop> {
    draft.client_message_id = draft.client_message_id.filter(|id| !is_blank(Some(id)));
    if let Some(earlier) = earlier(work.connection, &draft)? {
        return remind(work, earlier);
    }
    if !super::accounts::exists(work.connection, draft.recipient.account)? {
        return Err(Refusal::NotFound("recipient").into());
    }
    let pair = [draft.sender, draft.recipient.account];
    sessions::touch(work.connection, draft.session, pair, work.now)?;
    let is_there = match draft.recipient.device.as_str() {
        "" => work.hub.is_online(draft.recipient.account),
        device => work.hub.is_connected(draft.recipient.account, device),
    };
    let status = if is_there { DELIVERED } else { PENDING };
    let id = EnvelopeId::new(work.now)?;
    let sql = "INSERT INTO envelopes (id, sender_id, sender_device_id, recipient_id, \
               recipient_device_id, session_id, kind, group_id, client_message_id, ciphertext, \
               header, signature, status, delivered_at, expires_at, meta, created_at, updated_at, \
               sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
               ?15, ?16, ?17, ?17, (SELECT coalesce(max(sequence), 0) + 1 FROM envelopes \
               WHERE recipient_id = ?4 AND recipient_device_id = ?5))";
    work.connection.prepare_cached(sql)?.execute(rusqlite::params![
        id,
        draft.sender,
        draft.sender_device.as_str(),
        draft.recipient.account,
        draft.recipient.device,
        draft.session,
        draft.kind,
        draft.group,
        draft.client_message_id,
        draft.ciphertext,
        draft.header,
        draft.signature,
        status,
        is_there.then_some(work.now),
        draft.expires_at,
        text(draft.meta.as_ref())?,
        work.now,
    ])?;
    let stored = read(work.connection, "id = ?1", [id.into()])?.pop();
    let stored = stored.ok_or(Refusal::Broken)?;
    if is_there {
        push(work, &stored)?;
    }
    Ok(stored)
}

fn push(work: &mut Work<'_>, envelope: &Envelope) -> Result<(), Stop> {
    let account = envelope.recipient_account_id;
    let recipients = match &envelope.recipient_device_id {
        None => Recipients::Accounts(vec![account]),
        Some(device) => Recipients::Device(account, device.clone()),
    };
    let bytes = Packet::new("e2ee.envelope", EnvelopePacket::from(envelope)).bytes()?;
    work.effects.push(Effect::Packet(recipients, bytes));
    Ok(())
}

/// Pushes an envelope again that is sent again: its sender may have seen that the
/// device did not get it. Not one that was acknowledged or has expired, and none for
/// an account as a whole. What has happened to it never goes back.
fn remind(work: &mut Work<'_>, envelope: Envelope) -> Result<Envelope, Stop> {
    let Some(device) = &envelope.recipient_device_id else { return Ok(envelope) };
    let is_over = envelope.expires_at.is_some_and(|until| until <= work.now);
    if envelope.delivery_status == ACKNOWLEDGED
        || is_over
        || !work.hub.is_connected(envelope.recipient_account_id, device.as_str())
    {
        return Ok(envelope);
    }
    push(work, &envelope)?;
    delivered(work, envelope)
}

/// Notes that an envelope is delivered, if it was not before.
fn delivered(work: &Work<'_>, mut envelope: Envelope) -> Result<Envelope, Stop> {
    if envelope.delivery_status == PENDING {
        let sql = "UPDATE envelopes SET status = 1, delivered_at = ?2, updated_at = ?2 \
                   WHERE id = ?1 AND status = 0";
        work.connection.prepare_cached(sql)?.execute((envelope.id, work.now))?;
        envelope.delivery_status = DELIVERED;
        envelope.delivered_at = Some(work.now);
        envelope.updated_at = work.now;
    }
    Ok(envelope)
}

/// What was sent before with the same `client_message_id`, as it is now.
fn earlier(connection: &Connection, draft: &Draft) -> Result<Option<Envelope>, Stop> {
    let Some(client_message_id) = &draft.client_message_id else { return Ok(None) };
    let sql = "SELECT id FROM envelopes WHERE sender_id = ?1 AND sender_device_id = ?2 \
               AND recipient_id = ?3 AND recipient_device_id = ?4 AND client_message_id = ?5";
    let values = (
        draft.sender,
        draft.sender_device.as_str(),
        draft.recipient.account,
        &draft.recipient.device,
        client_message_id,
    );
    let id = connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    let found = id.map(|id: EnvelopeId| read(connection, "id = ?1", [id.into()])).transpose()?;
    Ok(found.and_then(|mut found| found.pop()))
}

const ENVELOPE: &str = "id, sender_id, sender_device_id, recipient_id, recipient_device_id, \
     session_id, kind, group_id, client_message_id, sequence, ciphertext, header, signature, \
     status, delivered_at, acked_at, expires_at, meta, created_at, updated_at";

fn envelope(row: &Row<'_>) -> rusqlite::Result<(Envelope, Option<String>)> {
    let device: String = row.get(4)?;
    let recipient = row.get(3)?;
    let envelope = Envelope {
        id: row.get(0)?,
        sender_id: row.get(1)?,
        recipient_id: recipient,
        session_id: row.get(5)?,
        kind: row.get(6)?,
        group_id: row.get(7)?,
        client_message_id: row.get(8)?,
        sequence: row.get(9)?,
        ciphertext: row.get(10)?,
        header: row.get(11)?,
        signature: row.get(12)?,
        delivery_status: row.get(13)?,
        delivered_at: row.get(14)?,
        acked_at: row.get(15)?,
        expires_at: row.get(16)?,
        meta: None,
        sender_device_id: DeviceId(row.get(2)?),
        recipient_account_id: recipient,
        legacy_account_scoped: device.is_empty(),
        recipient_device_id: Some(device).filter(|device| !device.is_empty()).map(DeviceId),
        created_at: row.get(18)?,
        updated_at: row.get(19)?,
        deleted_at: None,
    };
    Ok((envelope, row.get(17)?))
}

fn read(
    connection: &Connection,
    rest: &str,
    values: impl IntoIterator<Item = Sql>,
) -> Result<Vec<Envelope>, Stop> {
    let sql = format!("SELECT {ENVELOPE} FROM envelopes WHERE {rest}");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), envelope)?;
    rows.map(|row| {
        let (envelope, words) = row?;
        Ok(Envelope { meta: meta(words)?, ..envelope })
    })
    .collect()
}

/// What waits for a recipient, in order. Each is delivered with that, and is
/// given again until it is acknowledged.
pub(crate) fn pending(
    work: &mut Work<'_>,
    recipient: &Recipient,
    take: i64,
) -> Result<Vec<Envelope>, Stop> {
    let whose =
        [recipient.account.into(), recipient.device.clone().into(), work.now.0.into(), take.into()];
    let rest = "recipient_id = ?1 AND recipient_device_id = ?2 AND status <> 2 \
                AND (expires_at IS NULL OR expires_at > ?3) ORDER BY sequence LIMIT ?4";
    let found = read(work.connection, rest, whose)?;
    found.into_iter().map(|envelope| delivered(work, envelope)).collect()
}

/// Acknowledges an envelope, also one that has expired, and also again.
pub(crate) fn acknowledge(
    work: &mut Work<'_>,
    envelope: EnvelopeId,
    recipient: &Recipient,
) -> Result<Envelope, Stop> {
    let sql = "UPDATE envelopes SET status = ?5, acked_at = ?4, updated_at = ?4, \
               delivered_at = coalesce(delivered_at, ?4) \
               WHERE id = ?1 AND recipient_id = ?2 AND recipient_device_id = ?3";
    let values = (envelope, recipient.account, &recipient.device, work.now, ACKNOWLEDGED);
    if work.connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Err(Refusal::NotFound("envelope").into());
    }
    let found = read(work.connection, "id = ?1", [envelope.into()])?.pop();
    Ok(found.ok_or(Refusal::NotFound("envelope"))?)
}

/// Refuses a device that is not one of the account's.
pub(crate) fn check_device(
    connection: &Connection,
    account: AccountId,
    device: &str,
) -> Result<(), Stop> {
    let sql = "SELECT 1 FROM devices WHERE account_id = ?1 AND device_id = ?2";
    match connection.prepare_cached(sql)?.exists((account, device))? {
        true => Ok(()),
        false => Err(Refusal::NotFound("device").into()),
    }
}

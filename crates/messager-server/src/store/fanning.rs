//! Envelopes for one account, for several, and for each device of one.

use super::{
    Stop, Work,
    bundles::active,
    envelopes::{Draft, Recipient, post},
};
use crate::{
    refusal::Refusal,
    rules::covered,
    values::{AccountId, DeviceId},
    wire::{DistributeBody, Envelope, EnvelopeBody, FanoutBody},
};

/// Who sends, and from which device.
pub(crate) type Sender = (AccountId, DeviceId);

fn legacy() -> DeviceId {
    DeviceId(DeviceId::LEGACY.to_owned())
}

/// Sends an envelope to an account as a whole.
pub(crate) fn send(
    work: &mut Work<'_>,
    sender: AccountId,
    body: EnvelopeBody,
) -> Result<Envelope, Stop> {
    if body.recipient_id == sender {
        return Err(Refusal::bad("An envelope is for somebody else.").into());
    }
    if body.ciphertext.0.is_empty() {
        return Err(Refusal::field("ciphertext", "is required").into());
    }
    let draft = Draft {
        sender,
        sender_device: legacy(),
        recipient: Recipient { account: body.recipient_id, device: String::new() },
        session: body.session_id,
        kind: body.kind,
        group: body.group_id,
        client_message_id: body.client_message_id,
        ciphertext: body.ciphertext,
        header: body.header,
        signature: body.signature,
        expires_at: body.expires_at,
        meta: body.meta,
    };
    post(work, draft)
}

/// Sends a sender key to several accounts, to all or to none.
pub(crate) fn distribute(
    work: &mut Work<'_>,
    sender: AccountId,
    body: DistributeBody,
) -> Result<usize, Stop> {
    let sent = body.items.len();
    for item in body.items {
        let draft = Draft {
            sender,
            sender_device: legacy(),
            recipient: Recipient { account: item.recipient_id, device: String::new() },
            session: None,
            kind: 1,
            group: Some(body.group_id.clone()),
            client_message_id: item.client_message_id,
            ciphertext: item.ciphertext,
            header: item.header,
            signature: item.signature,
            expires_at: body.expires_at,
            meta: item.meta,
        };
        post(work, draft)?;
    }
    Ok(sent)
}

/// Sends an envelope to each device of an account, to all or to none.
pub(crate) fn fan_out(
    work: &mut Work<'_>,
    (sender, sender_device): Sender,
    body: FanoutBody,
) -> Result<Vec<Envelope>, Stop> {
    let account = body.recipient_account_id;
    if !super::accounts::exists(work.connection, account)? {
        return Err(Refusal::NotFound("recipient").into());
    }
    let addressed: Vec<&str> =
        body.payloads.iter().map(|item| item.recipient_device_id.as_str()).collect();
    covered(&active(work.connection, account)?, &addressed)?;
    let mut envelopes = Vec::with_capacity(body.payloads.len());
    for item in body.payloads {
        let draft = Draft {
            sender,
            sender_device: sender_device.clone(),
            recipient: Recipient { account, device: item.recipient_device_id },
            session: body.session_id,
            kind: body.kind,
            group: body.group_id.clone(),
            client_message_id: item.client_message_id,
            ciphertext: item.ciphertext,
            header: item.header,
            signature: item.signature,
            expires_at: body.expires_at,
            meta: item.meta,
        };
        envelopes.push(post(work, draft)?);
    }
    Ok(envelopes)
}

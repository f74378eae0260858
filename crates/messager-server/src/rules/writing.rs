//! Sending, editing, deleting and reacting.

use super::{
    Ability, Membership,
    payload::{Purpose, complete, nothing_plain, sealed},
};
use crate::{
    refusal::{EncryptionRule, Refusal},
    values::{Mode, Moment, is_blank},
    wire::{DeleteBody, RowKind, SendBody},
};

/// Where something is to be written, and by whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub mode: Mode,
    /// That of the one who writes, if there is a row at all.
    pub membership: Option<&'a Membership>,
    pub ability: Ability,
    pub now: Moment,
}

impl Place<'_> {
    fn member(&self) -> Result<&Membership, Refusal> {
        let member = self.membership.filter(|member| member.is_active());
        member.ok_or(Refusal::Forbidden("You need to be a member to send messages here."))
    }

    fn is_let_speak(&self) -> Result<(), Refusal> {
        match self.membership.is_some_and(|member| member.is_timed_out(self.now)) {
            true => Err(Refusal::Forbidden("You have been timed out in this chat.")),
            false => Ok(()),
        }
    }
}

/// The message that is to be edited or deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Original {
    pub kind: RowKind,
    /// Whether the one who asks wrote it.
    pub is_own: bool,
}

/// Whether a message can be sent.
pub(crate) fn may_send(place: &Place<'_>, body: &SendBody) -> Result<(), Refusal> {
    place.member()?;
    place.is_let_speak()?;
    place.ability.suits(place.mode)?;
    says_something_good(place.mode, body, Purpose::New)
}

/// Whether somebody may know which messages there are: before any is looked for, so
/// that nobody learns that from an answer, or whether the room is encrypted.
pub(crate) fn may_look_for(place: &Place<'_>) -> Result<(), Refusal> {
    place.member().map(drop)
}

/// Whether a message can be replaced by another.
pub(crate) fn may_edit(
    place: &Place<'_>,
    original: Original,
    body: &SendBody,
) -> Result<(), Refusal> {
    place.ability.suits(place.mode)?;
    if !original.is_own {
        return Err(Refusal::Forbidden("You can only edit your own messages."));
    }
    place.member()?;
    place.is_let_speak()?;
    if original.kind != RowKind::Text {
        return Err(Refusal::bad("Only text messages can be edited."));
    }
    says_something_good(place.mode, body, Purpose::Edit)
}

fn says_something_good(mode: Mode, body: &SendBody, purpose: Purpose) -> Result<(), Refusal> {
    if mode.is_encrypted() {
        let payload = body.payload();
        if body.is_encrypted != Some(true) {
            // As if there were no payload: what it lacks is the word that it is one.
            complete(&crate::wire::Payload::default(), purpose)?;
        }
        complete(&payload, purpose)?;
        sealed(&payload)?;
        return nothing_plain(body);
    }
    if body.is_encrypted == Some(true) {
        return Err(Refusal::bad("This room is not encrypted: is_encrypted cannot be true."));
    }
    if body.fund_id.is_some() || body.poll_id.is_some() {
        return Err(Refusal::bad("This server has no funds and no polls."));
    }
    let is_empty = is_blank(body.content.as_deref())
        && body.attachments_id.as_ref().is_none_or(Vec::is_empty)
        && body.forwarded_message_id.is_none();
    match is_empty {
        true => Err(Refusal::bad("You cannot send an empty message.")),
        false => Ok(()),
    }
}

/// Whether a message can be deleted.
pub(crate) fn may_delete(
    place: &Place<'_>,
    original: Original,
    body: &DeleteBody,
) -> Result<(), Refusal> {
    let payload = body.payload();
    place.ability.suits(place.mode)?;
    if place.mode.is_encrypted() {
        sealed(&payload)?;
    }
    if !original.is_own {
        return Err(Refusal::Forbidden("You can only delete your own messages."));
    }
    place.member()?;
    if !matches!(original.kind, RowKind::Text | RowKind::Voice) {
        return Err(Refusal::bad("Only text and voice messages can be deleted."));
    }
    match place.mode.is_encrypted() {
        true => complete(&payload, Purpose::Delete),
        false => Ok(()),
    }
}

/// Whether a voice clip can be sent.
///
/// The client's ability is not looked at: with it or without, the answer in an
/// encrypted room is that there are no clips.
pub(crate) fn may_speak(place: &Place<'_>) -> Result<(), Refusal> {
    place.member()?;
    place.is_let_speak()?;
    match place.mode.is_encrypted() {
        false => Ok(()),
        true => Err(Refusal::Encryption(
            EncryptionRule::Voice,
            "Voice endpoint is not supported for E2EE rooms in v1.",
        )),
    }
}

/// Whether a reaction can be added or taken back.
pub(crate) fn may_react(place: &Place<'_>) -> Result<(), Refusal> {
    place.member()?;
    place.is_let_speak()
}

#[cfg(test)]
mod tests;

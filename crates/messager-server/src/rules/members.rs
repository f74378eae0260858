//! Who is in a room, who may change that, and what it does to encryption.

use crate::{
    refusal::{EncryptionRule, Refusal},
    values::{AccountId, MemberId, Mode, Moment, RoomKind},
};

/// What a row about an account in a room says.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub id: MemberId,
    pub account: AccountId,
    pub joined: Option<Moment>,
    pub left: Option<Moment>,
    pub timeout: Option<Moment>,
}

impl Membership {
    /// Whether they joined and did not leave.
    pub(crate) fn is_active(&self) -> bool {
        self.joined.is_some() && self.left.is_none()
    }

    /// Whether they are invited and did not answer.
    pub(crate) fn is_invited(&self) -> bool {
        self.joined.is_none() && self.left.is_none()
    }

    /// Whether they may not write now.
    pub(crate) fn is_timed_out(&self, now: Moment) -> bool {
        self.timeout.is_some_and(|until| until > now)
    }
}

/// Who wants to change something about a room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manager<'a> {
    pub kind: RoomKind,
    pub is_owner: bool,
    pub membership: Option<&'a Membership>,
}

impl Manager<'_> {
    fn is_member(&self) -> bool {
        self.membership.is_some_and(Membership::is_active)
    }
}

/// Whether somebody may change a room and its members: its owner, and in a
/// direct chat both.
pub(crate) fn may_manage(who: Manager<'_>) -> Result<(), Refusal> {
    match (who.kind, who.is_owner) {
        (_, true) => Ok(()),
        (RoomKind::Direct, false) if who.is_member() => Ok(()),
        (RoomKind::Direct | RoomKind::Group, false) => {
            Err(Refusal::Forbidden("You need to be the owner of the chat room."))
        }
    }
}

/// Whether somebody may do what only the owner may.
pub(crate) fn may_own(who: Manager<'_>) -> Result<(), Refusal> {
    match who.is_owner {
        true => Ok(()),
        false => Err(Refusal::Forbidden("You need to be the owner of the chat room.")),
    }
}

/// Whether somebody may be invited. `others` counts who is in the room or
/// invited to it, without the one who is to be.
pub(crate) fn may_invite(
    who: Manager<'_>,
    mode: Mode,
    others: usize,
    invitee: Option<&Membership>,
) -> Result<(), Refusal> {
    may_manage(who)?;
    if !who.is_member() {
        return Err(Refusal::Forbidden("You need to be a member of the chat room."));
    }
    has_room(mode, others)?;
    match invitee.is_some_and(Membership::is_active) {
        true => Err(Refusal::bad("This user is a member of the chat room already.")),
        false => Ok(()),
    }
}

/// Whether an invitation can be accepted. `others` counts who is in the room.
pub(crate) fn may_accept(
    mode: Mode,
    others: usize,
    invitee: Option<&Membership>,
) -> Result<(), Refusal> {
    match invitee.is_some_and(Membership::is_invited) {
        false => Err(Refusal::NotFound("invitation")),
        true => has_room(mode, others),
    }
}

/// Refuses a third person in an encrypted direct chat.
fn has_room(mode: Mode, others: usize) -> Result<(), Refusal> {
    match mode {
        Mode::Direct if others >= 2 => Err(Refusal::Encryption(
            EncryptionRule::MemberLimit,
            "An encrypted direct chat is for two people.",
        )),
        Mode::Plain | Mode::Direct | Mode::SenderKeys => Ok(()),
    }
}

/// A room that somebody wants to join without an invitation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub kind: RoomKind,
    pub mode: Mode,
    pub is_community: bool,
    /// Who is in the room or invited to it, without the one who wants to join.
    pub others: usize,
}

/// Whether somebody may join without an invitation.
///
/// A direct chat is never joined, whatever its row says: it was made for two.
pub(crate) fn may_join(door: Door, own: Option<&Membership>) -> Result<(), Refusal> {
    if !door.is_community || door.kind == RoomKind::Direct {
        return Err(Refusal::Forbidden("This chat room is not a community: it takes invitations."));
    }
    if own.is_some_and(|own| own.left.is_none()) {
        let text = "You are a member of this chat room, or invited to it, already.";
        return Err(Refusal::bad(text));
    }
    has_room(door.mode, door.others)
}

/// Refuses to make a direct chat a community. `wanted` is from a change of a room.
pub(crate) fn may_open(kind: RoomKind, wanted: Option<bool>) -> Result<(), Refusal> {
    match (kind, wanted) {
        (RoomKind::Direct, Some(true)) => {
            Err(Refusal::bad("A direct chat is no community: is_community cannot be true."))
        }
        (RoomKind::Direct | RoomKind::Group, _) => Ok(()),
    }
}

/// Whether somebody may leave.
pub(crate) fn may_leave(is_owner: bool, own: Option<&Membership>) -> Result<(), Refusal> {
    if !own.is_some_and(Membership::is_active) {
        return Err(Refusal::NotFound("member"));
    }
    match is_owner {
        true => Err(Refusal::bad("The owner cannot leave the chat room.")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(joined: bool, left: bool) -> Membership {
        Membership {
            id: MemberId::new(Moment(1)).unwrap(),
            account: AccountId::new(Moment(1)).unwrap(),
            joined: joined.then_some(Moment(1)),
            left: left.then_some(Moment(2)),
            timeout: None,
        }
    }

    #[test]
    fn both_people_manage_a_direct_chat_and_the_owner_a_group() {
        let (active, gone) = (row(true, false), row(true, true));
        let who = |kind, is_owner, membership| Manager { kind, is_owner, membership };
        may_manage(who(RoomKind::Direct, false, Some(&active))).unwrap();
        may_manage(who(RoomKind::Direct, false, Some(&gone))).unwrap_err();
        may_manage(who(RoomKind::Group, false, Some(&active))).unwrap_err();
        may_manage(who(RoomKind::Group, true, Some(&active))).unwrap();
        may_own(who(RoomKind::Direct, false, Some(&active))).unwrap_err();
    }

    #[test]
    fn an_encrypted_direct_chat_counts_who_is_invited_too() {
        let own = row(true, false);
        let who = Manager { kind: RoomKind::Direct, is_owner: true, membership: Some(&own) };
        let limit =
            |result| matches!(result, Err(Refusal::Encryption(EncryptionRule::MemberLimit, _)));
        assert!(limit(may_invite(who, Mode::Direct, 2, None)));
        assert!(!limit(may_invite(who, Mode::Plain, 2, None)));
        may_invite(who, Mode::Direct, 1, Some(&row(true, true))).unwrap();
        assert!(matches!(
            may_invite(who, Mode::Direct, 1, Some(&row(true, false))),
            Err(Refusal::Bad(_))
        ));
        let invited = row(false, false);
        assert!(limit(may_accept(Mode::Direct, 2, Some(&invited))));
        may_accept(Mode::Direct, 1, Some(&invited)).unwrap();
        assert_eq!(may_accept(Mode::Plain, 1, Some(&own)), Err(Refusal::NotFound("invitation")));
    }

    #[test]
    fn an_invitation_is_not_a_way_to_join_a_community() {
        let (kind, mode) = (RoomKind::Group, Mode::SenderKeys);
        let open = Door { kind, mode, is_community: true, others: 5 };
        may_join(open, None).unwrap();
        may_join(open, Some(&row(true, true))).unwrap();
        assert!(matches!(may_join(open, Some(&row(false, false))), Err(Refusal::Bad(_))));
        let closed = Door { is_community: false, ..open };
        assert!(matches!(may_join(closed, None), Err(Refusal::Forbidden(_))));
    }

    #[test]
    fn a_direct_chat_is_never_a_community() {
        let kind = RoomKind::Direct;
        let door = Door { kind, mode: Mode::Plain, is_community: true, others: 1 };
        assert!(matches!(may_join(door, None), Err(Refusal::Forbidden(_))));
        assert!(matches!(may_open(kind, Some(true)), Err(Refusal::Bad(_))));
        may_open(kind, Some(false)).unwrap();
        may_open(RoomKind::Group, Some(true)).unwrap();
        // Nor is there a third in the mode of two, were it that of another kind of room.
        let full = Door { kind: RoomKind::Group, mode: Mode::Direct, others: 2, ..door };
        assert!(matches!(
            may_join(full, None),
            Err(Refusal::Encryption(EncryptionRule::MemberLimit, _))
        ));
    }

    #[test]
    fn the_owner_stays() {
        assert!(matches!(may_leave(true, Some(&row(true, false))), Err(Refusal::Bad(_))));
        may_leave(false, Some(&row(true, false))).unwrap();
        assert_eq!(may_leave(false, Some(&row(false, false))), Err(Refusal::NotFound("member")));
    }
}

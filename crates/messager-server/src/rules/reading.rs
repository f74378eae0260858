//! Who may read which room.

use super::{Ability, Membership};
use crate::{
    refusal::Refusal,
    values::{Mode, Moment},
};

/// What a room says about who may read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reads {
    pub mode: Mode,
    pub is_public: bool,
}

/// Whether the timeline of a room may be read.
///
/// 401, 404, 403, 409: in this order nobody learns from an answer whether a
/// room that they are not in is encrypted. `login` is whether somebody asks who
/// has an account.
pub(crate) fn may_read(
    login: bool,
    room: Option<Reads>,
    membership: Option<&Membership>,
    ability: Ability,
) -> Result<(), Refusal> {
    let is_for_all = room.is_some_and(|room| room.is_public && !room.mode.is_encrypted());
    if !login && !is_for_all {
        return Err(Refusal::LoginNeeded);
    }
    match is_for_all {
        true => Ok(()),
        false => may_sync(room, membership, ability),
    }
}

/// Whether a room may be synced: by members only.
pub(crate) fn may_sync(
    room: Option<Reads>,
    membership: Option<&Membership>,
    ability: Ability,
) -> Result<(), Refusal> {
    let room = room.ok_or(Refusal::NotFound("room"))?;
    if !membership.is_some_and(Membership::is_active) {
        return Err(Refusal::Forbidden("You are not a member of this chat room."));
    }
    ability.suits(room.mode)
}

/// Which moment a page of rows ends with, when at most `most` fit.
///
/// `moments` are in order, one more than fit if there are more. Rows of several
/// rooms can share a millisecond, and the next page begins behind the last
/// one's: a page never ends between two of them. Gives how many rows the page has.
pub(crate) fn page(moments: &[Moment], most: usize) -> usize {
    if moments.len() <= most {
        return moments.len();
    }
    let cut = moments.get(most).copied();
    let whole = moments.iter().take_while(|moment| Some(**moment) != cut).count();
    match whole {
        // The first of them share one: then the page is longer.
        0 => moments.iter().take_while(|moment| Some(**moment) == cut).count(),
        whole => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{AccountId, MemberId};

    fn member() -> Membership {
        let id = MemberId::new(Moment(1)).unwrap();
        let account = AccountId::new(Moment(1)).unwrap();
        Membership { id, account, joined: Some(Moment(1)), left: None, timeout: None }
    }

    fn room(mode: Mode, is_public: bool) -> Option<Reads> {
        Some(Reads { mode, is_public })
    }

    #[test]
    fn an_encrypted_room_is_for_members_with_able_clients_even_if_it_is_public() {
        let (able, unable) = (Ability::Encrypts, Ability::None);
        let secret = room(Mode::SenderKeys, true);
        let member = member();
        assert_eq!(may_read(false, secret, None, able), Err(Refusal::LoginNeeded));
        assert!(matches!(may_read(true, secret, None, unable), Err(Refusal::Forbidden(_))));
        let refused = may_read(true, secret, Some(&member), unable);
        assert!(matches!(refused, Err(Refusal::Encryption(..))));
        assert_eq!(may_read(true, secret, Some(&member), able), Ok(()));
    }

    #[test]
    fn only_public_rooms_in_the_clear_are_for_everybody() {
        let open = room(Mode::Plain, true);
        assert_eq!(may_read(false, open, None, Ability::None), Ok(()));
        let private = room(Mode::Plain, false);
        assert_eq!(may_read(false, private, None, Ability::None), Err(Refusal::LoginNeeded));
        let left = Membership { left: Some(Moment(2)), ..member() };
        for membership in [None, Some(&left)] {
            let refused = may_read(true, private, membership, Ability::None);
            assert!(matches!(refused, Err(Refusal::Forbidden(_))));
        }
        assert!(matches!(may_sync(open, None, Ability::None), Err(Refusal::Forbidden(_))));
    }

    #[test]
    fn without_a_login_a_missing_room_looks_like_a_private_one() {
        let nowhere = |login| may_read(login, None, None, Ability::None);
        assert_eq!(nowhere(false), Err(Refusal::LoginNeeded));
        assert_eq!(nowhere(true), Err(Refusal::NotFound("room")));
    }

    #[test]
    fn a_page_never_ends_between_two_rows_of_one_millisecond() {
        let paged = |moments: &[i64], most| {
            page(&moments.iter().map(|at| Moment(*at)).collect::<Vec<_>>(), most)
        };
        assert_eq!(paged(&[], 2), 0);
        assert_eq!(paged(&[1, 2], 2), 2);
        assert_eq!(paged(&[1, 2, 3], 2), 2);
        assert_eq!(paged(&[1, 2, 2], 2), 1);
        assert_eq!(paged(&[2, 2, 2], 2), 3);
        assert_eq!(paged(&[2, 2, 3], 1), 2);
    }
}

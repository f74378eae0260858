//! Which rooms can be encrypted, how, and that it is for ever.

use crate::{
    refusal::{EncryptionRule, Refusal},
    values::{Mode, RoomKind},
};

/// The mode of a room that is made. `wanted` is a number from a body.
pub(crate) fn mode_of_new(kind: RoomKind, wanted: Option<i64>) -> Result<Mode, Refusal> {
    let Some(wanted) = wanted else { return Ok(Mode::Plain) };
    match (kind, Mode::of(wanted)) {
        (_, Some(Mode::Plain)) => Ok(Mode::Plain),
        (RoomKind::Direct, Some(Mode::Direct)) => Ok(Mode::Direct),
        (RoomKind::Group, Some(Mode::SenderKeys)) => Ok(Mode::SenderKeys),
        (_, None) => Err(invalid("Encryption mode is not valid for this room type.")),
        (RoomKind::Direct, Some(Mode::SenderKeys)) => {
            Err(invalid("Encryption mode is not valid for direct message room."))
        }
        (RoomKind::Group, Some(Mode::Direct)) => {
            Err(invalid("Encryption mode is not valid for group room."))
        }
    }
}

fn invalid(text: &'static str) -> Refusal {
    Refusal::Encryption(EncryptionRule::ModeInvalid, text)
}

/// The mode that a room gets when its encryption is turned on; without a
/// `wanted` one, that of its kind.
pub(crate) fn enabled_mode(
    kind: RoomKind,
    current: Mode,
    wanted: Option<i64>,
) -> Result<Mode, Refusal> {
    if current.is_encrypted() {
        return Err(Refusal::Encryption(
            EncryptionRule::AlreadyEnabled,
            "Encryption is on in this room and cannot be turned off.",
        ));
    }
    let usual = match kind {
        RoomKind::Direct => Mode::Direct,
        RoomKind::Group => Mode::SenderKeys,
    };
    match mode_of_new(kind, Some(wanted.unwrap_or(usual.number())))? {
        Mode::Plain => Err(invalid("Encryption mode cannot be None when enabling encryption.")),
        mode @ (Mode::Direct | Mode::SenderKeys) => Ok(mode),
    }
}

/// Refuses any mode in a change of a room.
pub(crate) fn mode_stays(wanted: Option<i64>) -> Result<(), Refusal> {
    match wanted {
        None => Ok(()),
        Some(_) => Err(Refusal::Encryption(
            EncryptionRule::EnableEndpointRequired,
            "Use the e2ee/enable endpoint to turn encryption on. It cannot be turned off.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule<T>(result: Result<T, Refusal>) -> EncryptionRule {
        match result {
            Err(Refusal::Encryption(rule, _)) => rule,
            _ => panic!("was not refused by a rule of encryption"),
        }
    }

    #[test]
    fn direct_chats_take_mode_1_and_groups_mode_2() {
        use RoomKind::{Direct, Group};
        assert_eq!(mode_of_new(Direct, None), Ok(Mode::Plain));
        assert_eq!(mode_of_new(Direct, Some(1)), Ok(Mode::Direct));
        assert_eq!(mode_of_new(Group, Some(2)), Ok(Mode::SenderKeys));
        for (kind, wanted) in [(Direct, 2), (Group, 1), (Direct, 3), (Group, -1), (Group, 99)] {
            assert_eq!(rule(mode_of_new(kind, Some(wanted))), EncryptionRule::ModeInvalid);
        }
    }

    #[test]
    fn encryption_is_turned_on_once_and_never_off() {
        let on = |current, wanted| enabled_mode(RoomKind::Group, current, wanted);
        assert_eq!(on(Mode::Plain, None), Ok(Mode::SenderKeys));
        assert_eq!(rule(on(Mode::Plain, Some(0))), EncryptionRule::ModeInvalid);
        // That it is on already comes before what is wrong with the mode.
        assert_eq!(rule(on(Mode::SenderKeys, Some(1))), EncryptionRule::AlreadyEnabled);
        assert_eq!(rule(mode_stays(Some(0))), EncryptionRule::EnableEndpointRequired);
        assert_eq!(mode_stays(None), Ok(()));
    }
}

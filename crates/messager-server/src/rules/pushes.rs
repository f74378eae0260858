//! Who is told about a message on a device that is not looking.

use crate::values::{AccountId, Moment};

/// A member of the room, as far as pushes are concerned.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub account: AccountId,
    /// 0 all messages, 1 those that mention them, 2 none.
    pub notify: i64,
    pub break_until: Option<Moment>,
    /// Whether they are looking at the room.
    pub is_subscribed: bool,
    /// Whether the message names them. One that is encrypted names nobody.
    pub is_mentioned: bool,
}

/// Whether a member is pushed a new message.
pub(crate) fn is_pushed(sender: AccountId, reader: &Reader, now: Moment) -> bool {
    let wants = match reader.notify {
        0 => true,
        1 => reader.is_mentioned,
        _ => false,
    };
    wants
        && reader.account != sender
        && !reader.is_subscribed
        && reader.break_until.is_none_or(|until| until <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_pushed_who_wants_quiet_or_is_looking() {
        let now = Moment(100);
        let [sender, account] = [1, 2].map(|at| AccountId::new(Moment(at)).unwrap());
        let reader = Reader {
            account,
            notify: 0,
            break_until: None,
            is_subscribed: false,
            is_mentioned: false,
        };
        assert!(is_pushed(sender, &reader, now));
        assert!(is_pushed(sender, &Reader { break_until: Some(now), ..reader.clone() }, now));
        for quiet in [
            Reader { account: sender, ..reader.clone() },
            Reader { notify: 1, ..reader.clone() },
            Reader { notify: 2, is_mentioned: true, ..reader.clone() },
            Reader { break_until: Some(now.next()), ..reader.clone() },
            Reader { is_subscribed: true, ..reader.clone() },
        ] {
            assert!(!is_pushed(sender, &quiet, now), "{quiet:?}");
        }
        assert!(is_pushed(sender, &Reader { notify: 1, is_mentioned: true, ..reader }, now));
    }
}

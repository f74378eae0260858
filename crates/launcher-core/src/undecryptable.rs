//! What is known, done and said about a message whose key is missing.
//!
//! A room key travels another way than the message, so it may come later; most
//! that are missing at first arrive within a second. Therefore nothing is said
//! about a missing key before some time has passed, and the message is kept
//! and tried again.

use std::{fmt, time::Duration};

use crate::trust::Refusal;

/// Why a message could not be decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The session's key has not arrived.
    UnknownSession,
    /// The key that arrived begins after this message.
    UnknownIndex,
    /// The sender's client said that it withholds the key, with this code
    /// (spec 10.12.2.5, `m.room_key.withheld`).
    Withheld(String),
    /// It is readable, and the sender's device is not one that is obeyed.
    SenderNotTrusted(Refusal),
    /// The event is damaged.
    Malformed(String),
}

impl Cause {
    /// Every name that a cause can have, see [`Cause::code`].
    pub const CODES: [&'static str; 5] =
        ["unknown_session", "unknown_index", "withheld", "sender_not_trusted", "malformed"];

    /// The cause in one word, for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownSession => "unknown_session",
            Self::UnknownIndex => "unknown_index",
            Self::Withheld(_) => "withheld",
            Self::SenderNotTrusted(_) => "sender_not_trusted",
            Self::Malformed(_) => "malformed",
        }
    }

    /// What more there is to the cause: a code, a level, an error.
    pub fn detail(&self) -> &str {
        match self {
            Self::UnknownSession | Self::UnknownIndex => "",
            Self::SenderNotTrusted(refusal) => refusal.code(),
            Self::Withheld(detail) | Self::Malformed(detail) => detail,
        }
    }

    /// The cause from what [`Cause::code`] and [`Cause::detail`] gave.
    pub fn from_parts(code: &str, detail: &str) -> Self {
        let detail = detail.to_owned();
        match code {
            "unknown_session" => Self::UnknownSession,
            "unknown_index" => Self::UnknownIndex,
            "withheld" => Self::Withheld(detail),
            // What an earlier version wrote is looked at anew before it counts.
            "sender_not_trusted" => {
                Self::SenderNotTrusted(Refusal::from_code(&detail).unwrap_or(Refusal::Unsigned))
            }
            _ => Self::Malformed(detail),
        }
    }

    /// Whether a key, or a signature, that comes later can help.
    pub fn can_heal(&self) -> bool {
        match self {
            Self::UnknownSession | Self::UnknownIndex | Self::Withheld(_) => true,
            Self::SenderNotTrusted(refusal) => refusal.can_heal(),
            Self::Malformed(_) => false,
        }
    }

    /// What is said in the room: why, and what the sender can do.
    pub fn notice(&self) -> &'static str {
        match self {
            Self::Withheld(code) if code == "m.unverified" => {
                "I cannot read this message: your client does not send keys to unverified \
                 sessions, and mine is one to it. Verify me, or allow unverified sessions in \
                 your client's security settings, and send the message again."
            }
            Self::Withheld(code) if code == "m.blacklisted" => {
                "I cannot read this message: your client has blocked my session. Unblock it in \
                 your client and send the message again."
            }
            Self::Withheld(code) if code == "m.no_olm" => {
                "I cannot read this message: your client could not set up a secure channel to \
                 me. That usually heals by itself within a few minutes; if nothing happens, \
                 please send the message again."
            }
            Self::Withheld(_) => {
                "I cannot read this message: your client refused to send me its key. Please \
                 send the message again; if that does not help, look at the security settings \
                 of your client."
            }
            Self::SenderNotTrusted(_) => {
                "I do not act on this message: the session it was sent from is not verified by \
                 its owner. Verify it from another of your sessions, or with your recovery key, \
                 and send the message again."
            }
            Self::UnknownIndex => {
                "I cannot read this message: the key that I have begins after it. Please send \
                 the message again."
            }
            Self::UnknownSession => {
                "I cannot read this message yet: its key has not reached me. If I do not answer \
                 in a while, please send the message again."
            }
            Self::Malformed(_) => {
                "I cannot read this message: it arrived damaged. Please send it again."
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSession => formatter.write_str("unknown session"),
            Self::UnknownIndex => formatter.write_str("the key starts later"),
            Self::Withheld(code) => write!(formatter, "withheld: {code}"),
            Self::SenderNotTrusted(refusal) => write!(formatter, "sender not trusted: {refusal}"),
            Self::Malformed(what) => write!(formatter, "malformed: {what}"),
        }
    }
}

/// How long after the `tries`-th attempt an event is tried again when nothing
/// points at it before. Keys announce themselves; this is for the ways that
/// do not, such as a backup that was filled later.
pub fn next_try(tries: u32) -> Duration {
    match tries {
        0 => Duration::from_secs(5),
        1 => Duration::from_secs(60),
        2 => Duration::from_secs(600),
        _ => Duration::from_secs(3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [fn() -> Cause; 6] = [
        || Cause::UnknownSession,
        || Cause::UnknownIndex,
        || Cause::Withheld("m.unverified".into()),
        || Cause::Withheld("m.something_new".into()),
        || Cause::SenderNotTrusted(Refusal::Unsigned),
        || Cause::Malformed("no ciphertext".into()),
    ];

    #[test]
    fn a_cause_survives_being_written_down() {
        for make in ALL {
            let cause = make();
            assert_eq!(Cause::from_parts(cause.code(), cause.detail()), cause);
        }
    }

    /// The causes, one after the other: a new one does not compile before it has
    /// its place here.
    fn after(cause: &Cause) -> Option<Cause> {
        Some(match cause {
            Cause::UnknownSession => Cause::UnknownIndex,
            Cause::UnknownIndex => Cause::Withheld(String::new()),
            Cause::Withheld(_) => Cause::SenderNotTrusted(Refusal::Unsigned),
            Cause::SenderNotTrusted(_) => Cause::Malformed(String::new()),
            Cause::Malformed(_) => return None,
        })
    }

    #[test]
    fn the_list_of_codes_is_complete() {
        let all = std::iter::successors(Some(Cause::UnknownSession), after);
        assert_eq!(all.map(|cause| cause.code()).collect::<Vec<_>>(), Cause::CODES);
    }

    #[test]
    fn every_notice_says_what_the_sender_can_do() {
        for make in ALL {
            assert!(make().notice().contains("send"), "{}", make());
        }
    }

    #[test]
    fn the_pauses_grow() {
        assert!((0..5).all(|tries| next_try(tries) <= next_try(tries + 1)));
    }
}

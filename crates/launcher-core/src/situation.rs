//! Everything that can be the matter with an agent's device, and what follows.

use crate::{
    fault::Fault,
    preflight::{Mismatch, Verdict},
};

/// How an agent's files, its session and the server stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// Neither side has keys.
    Fresh,
    /// Both sides have the same keys.
    KeysEqual,
    /// Keys were made and not uploaded yet.
    FirstUploadPending,
    /// The store is gone, the device is not.
    StoreLost,
    /// The server has other keys for the device.
    KeysDiffer,
    /// The server had the device's keys and has them no more.
    KeysVanished,
    /// The store belongs to another device of the account.
    OtherDevice,
    /// Store or token belong to another account.
    OtherAccount,
    /// The pickle key does not open the store.
    WrongKey,
    /// The store's file is damaged.
    Corrupt,
    /// Another process has the store.
    Held,
    /// The folder is older than the agent's last life.
    RolledBack,
    /// The agent lives somewhere else.
    Cloned,
    /// The server does not know the token.
    TokenUnknown,
    /// The server ended the session and kept the device.
    SoftLogout,
    /// The server ended the session and removed the device: after a new login
    /// its keys are not there.
    DeviceDeleted,
}

/// What follows from a situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Go on as this device.
    GoOn,
    /// Log in again as the same device, and look again.
    LogInAgain,
    /// Become another device, if that is allowed (see [`crate::reset`]).
    NewDevice,
    /// Nothing, until a person acts.
    Park,
}

/// One line per situation.
pub const TABLE: [(Situation, Course); 16] = [
    (Situation::Fresh, Course::GoOn),
    (Situation::KeysEqual, Course::GoOn),
    (Situation::FirstUploadPending, Course::GoOn),
    (Situation::StoreLost, Course::NewDevice),
    (Situation::KeysDiffer, Course::NewDevice),
    (Situation::KeysVanished, Course::NewDevice),
    (Situation::OtherDevice, Course::Park),
    (Situation::OtherAccount, Course::Park),
    (Situation::WrongKey, Course::Park),
    (Situation::Corrupt, Course::NewDevice),
    (Situation::Held, Course::Park),
    (Situation::RolledBack, Course::NewDevice),
    (Situation::Cloned, Course::Park),
    (Situation::TokenUnknown, Course::LogInAgain),
    (Situation::SoftLogout, Course::LogInAgain),
    (Situation::DeviceDeleted, Course::NewDevice),
];

impl Situation {
    /// What follows.
    pub fn course(self) -> Course {
        let line = TABLE.iter().find(|(situation, _)| *situation == self);
        line.map_or(Course::Park, |(_, course)| *course)
    }

    /// The situation in which a store may be used with its account.
    pub fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fresh => Self::Fresh,
            Verdict::Equal => Self::KeysEqual,
            Verdict::FirstUploadPending => Self::FirstUploadPending,
        }
    }

    /// The situation that a fault tells of, if it is about the device at all.
    pub fn of(fault: &Fault) -> Option<Self> {
        match fault {
            Fault::Mismatched { mismatch } => Some(match mismatch {
                Mismatch::StoreLost { .. } => Self::StoreLost,
                Mismatch::KeysDiffer { .. } => Self::KeysDiffer,
                Mismatch::KeysVanished { .. } => Self::KeysVanished,
                Mismatch::OtherDevice { .. } => Self::OtherDevice,
                Mismatch::OtherAccount { .. } | Mismatch::OtherToken { .. } => Self::OtherAccount,
                Mismatch::RolledBack { .. } => Self::RolledBack,
                Mismatch::Cloned { .. } => Self::Cloned,
            }),
            Fault::StoreKeyWrong { .. } => Some(Self::WrongKey),
            Fault::StoreCorrupt { .. } => Some(Self::Corrupt),
            Fault::StoreLocked { .. } => Some(Self::Held),
            Fault::TokenInvalid { .. } => Some(Self::TokenUnknown),
            Fault::ConfigInvalid { .. }
            | Fault::StoreUnusable { .. }
            | Fault::NoDevice { .. }
            | Fault::LoginRefused { .. }
            | Fault::AccountUnusable { .. }
            | Fault::ServerUnavailable { .. }
            | Fault::StoreFailed { .. }
            | Fault::NotReset { .. }
            | Fault::Advised { .. }
            | Fault::Stuck { .. }
            | Fault::Panicked { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mismatched(mismatch: Mismatch) -> Option<Course> {
        follows(Fault::Mismatched { mismatch })
    }

    fn follows(fault: Fault) -> Option<Course> {
        Situation::of(&fault).map(Situation::course)
    }

    #[test]
    fn every_situation_has_exactly_one_line() {
        for (number, (situation, course)) in TABLE.iter().enumerate() {
            assert_eq!(situation.course(), *course);
            assert!(!TABLE[..number].iter().any(|(before, _)| before == situation));
        }
    }

    #[test]
    fn what_agrees_goes_on() {
        for verdict in [Verdict::Fresh, Verdict::Equal, Verdict::FirstUploadPending] {
            assert_eq!(Situation::of_verdict(verdict).course(), Course::GoOn);
        }
    }

    #[test]
    fn a_lost_store_leads_to_a_new_device() {
        let mismatch = Mismatch::StoreLost { device: "D".into() };
        assert_eq!(mismatched(mismatch), Some(Course::NewDevice));
    }

    #[test]
    fn keys_that_differ_lead_to_a_new_device() {
        let mismatch = Mismatch::KeysDiffer { device: "D".into() };
        assert_eq!(mismatched(mismatch), Some(Course::NewDevice));
    }

    #[test]
    fn keys_that_vanished_lead_to_a_new_device() {
        let mismatch = Mismatch::KeysVanished { device: "D".into() };
        assert_eq!(mismatched(mismatch), Some(Course::NewDevice));
        assert_eq!(Situation::DeviceDeleted.course(), Course::NewDevice);
    }

    #[test]
    fn a_store_of_another_device_parks() {
        let mismatch = Mismatch::OtherDevice { stored: "A".into(), session: "B".into() };
        assert_eq!(mismatched(mismatch), Some(Course::Park));
    }

    #[test]
    fn a_store_or_a_token_of_another_account_parks() {
        let (stored, token, configured) = ("@a:hs", "@b:hs", "@c:hs".to_owned());
        let mismatch =
            Mismatch::OtherAccount { stored: stored.into(), configured: configured.clone() };
        assert_eq!(mismatched(mismatch), Some(Course::Park));
        let mismatch = Mismatch::OtherToken { token: token.into(), configured };
        assert_eq!(mismatched(mismatch), Some(Course::Park));
    }

    #[test]
    fn a_wrong_key_parks() {
        assert_eq!(follows(Fault::StoreKeyWrong { path: "/s".into() }), Some(Course::Park));
    }

    #[test]
    fn a_damaged_store_leads_to_a_new_device() {
        let fault = Fault::StoreCorrupt { path: "/s".into(), detail: "zeros".into() };
        assert_eq!(follows(fault), Some(Course::NewDevice));
    }

    #[test]
    fn a_store_that_is_held_parks() {
        assert_eq!(follows(Fault::StoreLocked { path: "/s".into() }), Some(Course::Park));
    }

    #[test]
    fn a_folder_that_was_restored_leads_to_a_new_device() {
        let mismatch = Mismatch::RolledBack { device: "D".into(), detail: "older".into() };
        assert_eq!(mismatched(mismatch), Some(Course::NewDevice));
    }

    #[test]
    fn a_clone_parks() {
        let mismatch = Mismatch::Cloned { user: "@a:hs".into() };
        assert_eq!(mismatched(mismatch), Some(Course::Park));
    }

    #[test]
    fn a_session_that_ended_is_begun_again_on_the_same_device() {
        let (homeserver, user) = ("hs".into(), "@a:hs".into());
        let fault = Fault::TokenInvalid { homeserver, user, password: true };
        assert_eq!(follows(fault), Some(Course::LogInAgain));
        assert_eq!(Situation::SoftLogout.course(), Course::LogInAgain);
    }

    #[test]
    fn a_server_that_is_away_says_nothing_about_the_device() {
        let fault = Fault::ServerUnavailable {
            homeserver: "hs".into(),
            detail: "away".into(),
            retry_after: None,
        };
        assert_eq!(follows(fault), None);
    }
}

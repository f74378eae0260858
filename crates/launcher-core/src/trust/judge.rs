//! What follows for a device and for a message. docs/guide/trust.md has the
//! same as a table.

use std::fmt;

use super::{DeviceRecord, UserRecord};
use crate::spec::TrustMode;

/// What follows for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets keys, and is obeyed.
    Trusted,
    /// Neither.
    Refused(Refusal),
}

/// Why a device gets no keys, or a message is not acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// An operator blocked the user or the device.
    Blocked,
    /// The device is not signed by its owner.
    Unsigned,
    /// No operator has approved the device yet.
    AwaitingApproval,
    /// The user was verified or approved, and has another identity since.
    IdentityChanged,
    /// Nobody knows the device; it may be gone from the account.
    UnknownDevice,
    /// The key came from a backup or from somebody else, so nothing proves who
    /// wrote the message.
    Unproven,
    /// The message was not encrypted, so no device stands for it.
    InTheClear,
}

/// What is told to a device that gets no key (spec 10.12.2.5, `m.room_key.withheld`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// `m.blacklisted`
    Blacklisted,
    /// `m.unverified`
    Unverified,
}

/// How sure it is who wrote a message. Higher is surer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// It was sent in the clear: the homeserver says so.
    #[default]
    InTheClear,
    /// It was encrypted, and nothing proves by which device.
    Unproven,
    /// A device of the sender wrote it that its owner has not signed.
    Unsigned,
    /// A device that its owner has signed.
    Signed,
    /// A device of a user whom the agent's operator has verified, signed by
    /// them; or one that the operator has approved.
    Verified,
}

/// Who sent a message, as far as the encryption proves it.
#[derive(Clone, Copy, Debug)]
pub enum Sender<'a> {
    /// It was not encrypted.
    InTheClear,
    /// Its key came from a backup or from a store of the agent's own.
    Unproven,
    /// Its key came from somebody else than the sender.
    Forwarded,
    /// A device that is not in the account.
    Unknown,
    /// This device, which may be gone by now.
    Device(&'a DeviceRecord),
}

/// Whether a device gets keys and is obeyed. `own` says that it belongs to the
/// agent's own account.
pub fn judge(mode: TrustMode, user: &UserRecord, device: &DeviceRecord, own: bool) -> Verdict {
    if user.is_blocked() || device.is_blocked() {
        return Verdict::Refused(Refusal::Blocked);
    }
    if device.gone.is_some() {
        return Verdict::Refused(Refusal::UnknownDevice);
    }
    match mode {
        TrustMode::Tofu => Verdict::Trusted,
        // Whoever holds the account's signing keys speaks for its owner, the operator; and only they.
        TrustMode::CrossSigning | TrustMode::Manual if own => {
            match device.signed && user.verified.is_some() {
                true => Verdict::Trusted,
                false => Verdict::Refused(Refusal::Unsigned),
            }
        }
        TrustMode::CrossSigning if user.is_violated() => Verdict::Refused(Refusal::IdentityChanged),
        TrustMode::CrossSigning if device.signed => Verdict::Trusted,
        TrustMode::CrossSigning => Verdict::Refused(Refusal::Unsigned),
        TrustMode::Manual if device.is_approved() => Verdict::Trusted,
        TrustMode::Manual if user.verified.is_some() && device.signed => Verdict::Trusted,
        TrustMode::Manual if user.changed.as_ref().is_some_and(was_trusted) => {
            Verdict::Refused(Refusal::IdentityChanged)
        }
        TrustMode::Manual => Verdict::Refused(Refusal::AwaitingApproval),
    }
}

/// Whether a message is acted upon; if so, how sure it is who wrote it.
///
/// `user` is `None` for a sender of whom the ledger knows nothing.
///
/// # Errors
///
/// Why not.
pub fn judge_message(
    mode: TrustMode,
    user: Option<&UserRecord>,
    sender: Sender<'_>,
) -> Result<Assurance, Refusal> {
    if user.is_some_and(UserRecord::is_blocked) {
        return Err(Refusal::Blocked);
    }
    match (sender, user) {
        (Sender::Device(device), _) if device.is_blocked() => Err(Refusal::Blocked),
        (Sender::Device(device), Some(user)) if device.gone.is_none() => {
            match judge(mode, user, device, false) {
                Verdict::Trusted => Ok(assurance(user, device)),
                Verdict::Refused(refusal) => Err(refusal),
            }
        }
        // Whoever hands out keys could hand out keys of their own making.
        (Sender::Forwarded, _) => Err(Refusal::Unproven),
        // Whatever is less than a device is good enough where every device is.
        (Sender::InTheClear, _) if mode == TrustMode::Tofu => Ok(Assurance::InTheClear),
        (_, _) if mode == TrustMode::Tofu => Ok(Assurance::Unproven),
        (Sender::InTheClear, _) => Err(Refusal::InTheClear),
        (Sender::Unproven, _) => Err(Refusal::Unproven),
        (Sender::Unknown | Sender::Device(_), _) => Err(Refusal::UnknownDevice),
    }
}

fn was_trusted(change: &super::IdentityChange) -> bool {
    change.was_verified || change.was_approved
}

fn assurance(user: &UserRecord, device: &DeviceRecord) -> Assurance {
    match (device.signed, user.verified.is_some()) {
        _ if device.is_approved() => Assurance::Verified,
        (true, true) => Assurance::Verified,
        (true, false) => Assurance::Signed,
        (false, _) => Assurance::Unsigned,
    }
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Blocked,
        Self::Unsigned,
        Self::AwaitingApproval,
        Self::IdentityChanged,
        Self::UnknownDevice,
        Self::Unproven,
        Self::InTheClear,
    ];

    /// The reason in one word, for machines: stable, `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Unsigned => "unsigned",
            Self::AwaitingApproval => "awaiting_approval",
            Self::IdentityChanged => "identity_changed",
            Self::UnknownDevice => "unknown_device",
            Self::Unproven => "unproven",
            Self::InTheClear => "in_the_clear",
        }
    }

    /// The reason from its [`Refusal::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// Whether a signature, a verification or an operator's word that comes
    /// later can help, so that the message is kept.
    pub fn can_heal(self) -> bool {
        match self {
            Self::Unsigned
            | Self::AwaitingApproval
            | Self::IdentityChanged
            // Its owner's server may have been away.
            | Self::UnknownDevice => true,
            Self::Blocked | Self::Unproven | Self::InTheClear => false,
        }
    }

    /// What the device is told that gets no key.
    pub fn withheld(self) -> Withheld {
        match self {
            Self::Blocked => Withheld::Blacklisted,
            Self::Unsigned
            | Self::AwaitingApproval
            | Self::IdentityChanged
            | Self::UnknownDevice
            | Self::Unproven
            | Self::InTheClear => Withheld::Unverified,
        }
    }

    /// What the sender is told, in a few words: they are shown as a reaction to
    /// the message. `None` for somebody who was blocked.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Blocked => None,
            Self::Unsigned => Some("🔏 please verify this session"),
            Self::AwaitingApproval => Some("⏳ waiting for my operator to approve you"),
            Self::IdentityChanged => Some("⏳ your identity changed: my operator has to check"),
            Self::Unproven | Self::UnknownDevice => Some("🔑 please send this again"),
            Self::InTheClear => Some("🔒 I only act in encrypted rooms"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Blocked => "blocked by an operator",
            Self::Unsigned => "not signed by its owner",
            Self::AwaitingApproval => "waits for an operator's approval",
            Self::IdentityChanged => "its owner has another identity than before",
            Self::UnknownDevice => "nobody knows the device",
            Self::Unproven => "nothing proves who wrote it",
            Self::InTheClear => "it was not encrypted",
        })
    }
}

impl Withheld {
    /// The code as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blacklisted => "m.blacklisted",
            Self::Unverified => "m.unverified",
        }
    }
}

impl Assurance {
    /// In one word, for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::InTheClear => "in_the_clear",
            Self::Unproven => "unproven",
            Self::Unsigned => "unsigned",
            Self::Signed => "signed",
            Self::Verified => "verified",
        }
    }

    /// From [`Assurance::code`]; what is not known is the least.
    pub fn from_code(code: &str) -> Self {
        [Self::Unproven, Self::Unsigned, Self::Signed, Self::Verified]
            .into_iter()
            .find(|assurance| assurance.code() == code)
            .unwrap_or_default()
    }

    /// What is said to somebody whose command needs a verified device.
    ///
    /// # Errors
    ///
    /// Why it is refused, and what helps.
    pub fn require_verified(self) -> Result<(), &'static str> {
        match self {
            Self::Verified => Ok(()),
            Self::Signed => {
                Err("this needs a verified sender: your session is signed by you, and \
                 nobody has compared your identity with my operator yet. Please verify me from \
                 your client, or ask my operator to")
            }
            Self::Unsigned => Err("this needs a verified sender: the session you wrote from is \
                 not verified by yourself. Verify it from another of your sessions, or with your \
                 recovery key"),
            Self::Unproven => Err("this needs a verified sender: the key of your message did not \
                 come from your device, so nothing proves that you wrote it. Please send it again"),
            Self::InTheClear => Err("this needs a verified sender: your message was not \
                 encrypted, so nothing proves that you wrote it. Please use an encrypted room"),
        }
    }
}

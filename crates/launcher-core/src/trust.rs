//! Decides who gets the agent's keys, and whose messages it acts upon.
//!
//! Three things go in: the operator's [`TrustMode`], what the *ledger* knows
//! of a user ([`UserRecord`]), and what the homeserver shows of that user now
//! ([`SeenUser`]). [`reconcile()`] brings the last two together and says what
//! changed; [`judge()`] says what follows. The same verdict governs both
//! directions, so an agent never obeys a device that it would not talk to.
//!
//! The ledger remembers what was seen first. A homeserver can show other keys
//! tomorrow, and whoever does not remember cannot notice.

mod judge;
mod ledger;
mod order;
mod reconcile;

pub use self::{
    judge::{Assurance, Refusal, Sender, Verdict, Withheld, judge, judge_message},
    ledger::{
        Decided, Decision, DeviceRecord, IdentityChange, Method, SeenDevice, SeenIdentity,
        SeenUser, UnderWay, UserRecord, Verified,
    },
    order::{Order, OrderRefused, carry_out, verified},
    reconcile::{Finding, Reconciled, reconcile},
};

use crate::spec::TrustMode;

impl TrustMode {
    /// The mode as it is written in a configuration file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tofu => "tofu",
            Self::CrossSigning => "cross-signing",
            Self::Manual => "manual",
        }
    }
}

#[cfg(test)]
mod tests;

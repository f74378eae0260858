//! What is asked and answered about whom an agent trusts.

use launcher_core::{
    names::{DeviceId, UserId},
    spec::{AgentSpec, TrustMode},
    trust::{
        Decided, Decision, DeviceRecord, IdentityChange, Method, Order, UserRecord, Verdict,
        Verified, judge,
    },
};
use serde::{Deserialize, Serialize};

/// The verdict about a device that gets keys and is obeyed.
pub const TRUSTED: &str = "trusted";

/// The answer to `GET /v1/agents/{id}/trust`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustReply {
    /// The agent's `trust_mode`, by which every verdict was found.
    pub mode: String,
    /// Everybody whom the agent has seen, by user id.
    pub users: Vec<UserReply>,
}

/// A user in the agent's trust ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserReply {
    /// The user.
    pub user: String,
    /// When they were first seen, in milliseconds since 1970.
    pub first_seen_ms: u64,
    /// Their cross-signing identity: its public master key, base64.
    pub identity: Option<String>,
    /// That this identity is another one than before, and nobody has acted.
    pub changed: Option<ChangeReply>,
    /// That an operator of this agent's account has verified the user.
    pub verified: Option<VerifiedReply>,
    /// What an operator decided about the user as a whole.
    pub decision: Option<DecisionReply>,
    /// When they were told why they are not obeyed, in milliseconds since 1970.
    pub told: Option<u64>,
    /// Their devices by id, those that are gone included.
    pub devices: Vec<KnownDeviceReply>,
}

/// A device of a [`UserReply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDeviceReply {
    /// Its id.
    pub device_id: String,
    /// Its fingerprint, base64.
    pub ed25519: String,
    /// When it was first seen, in milliseconds since 1970.
    pub first_seen_ms: u64,
    /// Whether its user was known before without it.
    pub new: bool,
    /// Whether its owner has signed it.
    pub signed: bool,
    /// When it was found to be gone from the account, in milliseconds since 1970.
    pub gone_ms: Option<u64>,
    /// What an operator decided about it.
    pub decision: Option<DecisionReply>,
    /// `trusted`, or why not: a code.
    pub verdict: String,
    /// Why not, in words; none if it is trusted.
    pub reason: Option<String>,
}

/// That a user has another identity than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReply {
    /// When that was noticed, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether the identity before was verified.
    pub was_verified: bool,
}

/// That a user was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedReply {
    /// When it was noted, in milliseconds since 1970.
    pub at_ms: u64,
    /// `emoji` or `qr`; none if another device of the agent's account did it.
    pub method: Option<Method>,
}

/// What an operator decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionReply {
    /// `approved` or `blocked`.
    pub decided: Decided,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// The body of `POST /v1/agents/{id}/trust`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustRequest {
    /// What to do.
    pub action: TrustAction,
    /// About whom.
    pub user: UserId,
    /// About which of their devices only; nothing can be withdrawn from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
}

/// What an operator wants done about a user or a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustAction {
    /// Trust what is there now.
    Approve,
    /// Give no keys and do not obey.
    Block,
    /// Take back what was decided, and that the user was verified.
    Withdraw,
}

impl TrustReply {
    /// The ledger of this agent, with verdicts.
    pub fn new(spec: &AgentSpec, records: &[UserRecord]) -> Self {
        Self {
            mode: spec.encryption.trust_mode.as_str().to_owned(),
            users: records.iter().map(|record| UserReply::new(spec, record)).collect(),
        }
    }
}

impl UserReply {
    /// A user in the ledger of this agent, with verdicts.
    pub fn new(spec: &AgentSpec, record: &UserRecord) -> Self {
        let mode = spec.encryption.trust_mode;
        let own = record.user.as_str() == spec.account.user_id;
        let devices = record.devices.iter();
        Self {
            user: record.user.to_string(),
            first_seen_ms: record.first_seen,
            identity: record.master_key.clone(),
            changed: record.changed.as_ref().map(Into::into),
            verified: record.verified.as_ref().map(Into::into),
            decision: record.decision.as_ref().map(Into::into),
            told: record.told,
            devices: devices
                .map(|(id, device)| KnownDeviceReply::new(mode, record, id, device, own))
                .collect(),
        }
    }
}

impl KnownDeviceReply {
    fn new(
        mode: TrustMode,
        record: &UserRecord,
        id: &DeviceId,
        device: &DeviceRecord,
        own: bool,
    ) -> Self {
        let (verdict, reason) = match judge(mode, record, device, own) {
            Verdict::Trusted => (TRUSTED, None),
            Verdict::Refused(refusal) => (refusal.code(), Some(refusal.to_string())),
        };
        Self {
            device_id: id.to_string(),
            ed25519: device.ed25519.clone(),
            first_seen_ms: device.first_seen,
            new: device.late,
            signed: device.signed,
            gone_ms: device.gone,
            decision: device.decision.as_ref().map(Into::into),
            verdict: verdict.to_owned(),
            reason,
        }
    }

    /// Whether it gets keys and is obeyed.
    pub fn is_trusted(&self) -> bool {
        self.verdict == TRUSTED
    }
}

impl From<&IdentityChange> for ChangeReply {
    fn from(change: &IdentityChange) -> Self {
        Self { at_ms: change.at, was_verified: change.was_verified }
    }
}

impl From<&Verified> for VerifiedReply {
    fn from(verified: &Verified) -> Self {
        Self { at_ms: verified.at, method: verified.method }
    }
}

impl From<&Decision> for DecisionReply {
    fn from(decision: &Decision) -> Self {
        Self { decided: decision.decided, at_ms: decision.at }
    }
}

impl TrustRequest {
    /// As the ledger takes it; `None` if something is to be withdrawn from one device.
    pub fn order(&self) -> Option<Order> {
        match (self.action, self.device.clone()) {
            (TrustAction::Approve, device) => Some(Order::Approve(device)),
            (TrustAction::Block, device) => Some(Order::Block(device)),
            (TrustAction::Withdraw, None) => Some(Order::Withdraw),
            (TrustAction::Withdraw, Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_order() {
        let order = |json: &str| serde_json::from_str::<TrustRequest>(json).map(|it| it.order());
        let device = Some(DeviceId::new("D"));
        assert_eq!(
            order(r#"{"action":"approve","user":"@a:b"}"#).unwrap(),
            Some(Order::Approve(None))
        );
        assert_eq!(
            order(r#"{"action":"block","user":"@a:b","device":"D"}"#).unwrap(),
            Some(Order::Block(device))
        );
        assert_eq!(order(r#"{"action":"withdraw","user":"@a:b","device":"D"}"#).unwrap(), None);
        assert!(order(r#"{"action":"approve","user":"@a:b","more":1}"#).is_err());
        assert!(order(r#"{"action":"trust","user":"@a:b"}"#).is_err());
    }
}

//! The forms in which the control API asks and answers. Their names are a
//! promise to scripts: they may grow, what is there keeps its meaning.
//!
//! [`operator`] has what is asked and answered about one agent's account and
//! files, [`message`] about what it is to send, [`rooms`] about its rooms and
//! invitations, [`trust`] and [`verification`] about whom it trusts, [`refusal`] how
//! the answer "no" looks, [`secret`] the values that nobody may print.

pub mod message;
pub mod operator;
pub mod refusal;
pub mod rooms;
pub mod secret;
pub mod trust;
pub mod verification;

use launcher_core::spec::Network;
use launcher_runtime::AgentStatus;
use serde::{Deserialize, Serialize};

pub use self::{
    message::{AcknowledgeRequest, AcknowledgedReply, FileQuery, MessageRequest, SentReply},
    operator::{
        BackupReply, BackupRequest, CheckReply, ChecksReply, DeviceReply, DevicesReply, Grade,
        RecoveryKey, RekeyRequest, ResetRequest, StoreReply, StoresReply,
    },
    refusal::Refusal,
    rooms::{
        DirectReply, DirectRequest, InviteAction, InviteReply, InviteRequest, InvitesReply,
        LeaveRequest, MadeRoomReply, MembershipWord, NotInvitedReply, RefusedDeviceReply,
        RoomReply, RoomRequest, RoomsReply,
    },
    secret::{KeyText, SecretText},
    trust::{
        ChangeReply, DecisionReply, KnownDeviceReply, TrustAction, TrustReply, TrustRequest,
        UserReply, VerifiedReply,
    },
    verification::{
        AnswerRequest, AnswerWord, CodeBytes, EmojiReply, StageReply, VerificationReply,
        VerificationRequest, VerificationsReply,
    },
};

/// The answer to `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// All agents, by id.
    pub agents: Vec<AgentReply>,
}

/// One agent in a [`StatusReply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReply {
    /// The name of its folder.
    pub id: String,
    /// `starting`, `running`, `degraded`, `backoff`, `parked`, `stopping` or `stopped`.
    pub state: String,
    /// Why, where that is not obvious.
    pub reason: Option<String>,
    /// The command or edit that helps.
    pub action: Option<String>,
    /// `matrix` or `messager`.
    #[serde(default = "matrix")]
    pub network: String,
    /// The account it speaks as.
    pub user_id: Option<String>,
    /// Its device.
    pub device_id: Option<String>,
    /// The device's fingerprint, base64.
    pub ed25519: Option<String>,
    /// Whether the account's owner has signed the device. On Messager nobody does.
    pub cross_signed: bool,
    /// The key backup in use.
    pub backup_version: Option<String>,
    /// When the server last answered a sync, in milliseconds since 1970.
    pub last_sync_ms: Option<u64>,
    /// Messages that arrived.
    pub received: u64,
    /// Messages that were answered.
    pub answered: u64,
    /// Messages that could not be decrypted when they arrived.
    pub undecryptable: u64,
    /// Those that still wait for their key.
    pub undecryptable_pending: u64,
    /// Times the crypto store was replaced.
    pub resets: u64,
    /// Whether an operator knows that it is parked, and since when.
    #[serde(default)]
    pub acknowledged: Option<AcknowledgedReply>,
}

/// What a launcher is about that does not say it.
fn matrix() -> String {
    Network::Matrix.as_str().to_owned()
}

impl AgentReply {
    /// Whether its device is signed; `None` where nobody signs devices.
    pub fn is_signed(&self) -> Option<bool> {
        (self.network != Network::Messager.as_str()).then_some(self.cross_signed)
    }
}

impl From<AgentStatus> for AgentReply {
    fn from(status: AgentStatus) -> Self {
        Self {
            id: status.id.to_string(),
            state: status.standing.state.as_str().to_owned(),
            reason: status.standing.reason,
            action: status.standing.action,
            network: status.facts.network.as_str().to_owned(),
            user_id: status.facts.user_id,
            device_id: status.facts.device_id,
            ed25519: status.facts.ed25519,
            cross_signed: status.facts.cross_signed,
            backup_version: status.facts.backup_version,
            last_sync_ms: status.last_sync_ms,
            received: status.received,
            answered: status.answered,
            undecryptable: status.undecryptable,
            undecryptable_pending: status.undecryptable_pending,
            resets: status.resets,
            acknowledged: None,
        }
    }
}

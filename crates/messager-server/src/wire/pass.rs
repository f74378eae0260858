//! Keys, sessions and envelopes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::values::{AccountId, BundleId, DeviceId, EnvelopeId, Moment, Octets, SessionId};

/// Keys as they are stored; without the one-time keys.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct DeviceBundle {
    pub id: BundleId,
    pub account_id: AccountId,
    /// `legacy-account` for the keys of an account as a whole.
    pub device_id: DeviceId,
    pub algorithm: String,
    pub identity_key: Octets,
    pub signed_pre_key_id: Option<i64>,
    pub signed_pre_key: Octets,
    pub signed_pre_key_signature: Octets,
    pub signed_pre_key_expires_at: Option<Moment>,
    pub meta: Option<Map<String, Value>>,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

/// Keys as others get them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct PublicBundle {
    pub account_id: AccountId,
    pub device_id: DeviceId,
    pub device_label: Option<String>,
    pub algorithm: String,
    pub identity_key: Octets,
    pub signed_pre_key_id: Option<i64>,
    pub signed_pre_key: Octets,
    pub signed_pre_key_signature: Octets,
    pub signed_pre_key_expires_at: Option<Moment>,
    /// Claimed for the one who asks, and for nobody else ever; null if none are left.
    pub one_time_pre_key: Option<OneTimePreKey>,
    pub meta: Option<Map<String, Value>>,
}

/// A key that is used once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OneTimePreKey {
    pub key_id: i64,
    pub public_key: Octets,
}

/// A conversation of two accounts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Session {
    pub id: SessionId,
    /// The one of the two ids that sorts first.
    pub account_a_id: AccountId,
    pub account_b_id: AccountId,
    pub initiated_by_id: AccountId,
    pub last_message_at: Option<Moment>,
    pub hint: Option<String>,
    pub meta: Option<Map<String, Value>>,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

/// A message in Pass. Senders and recipients are accounts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Envelope {
    pub id: EnvelopeId,
    pub sender_id: AccountId,
    pub recipient_id: AccountId,
    pub session_id: Option<SessionId>,
    /// 0 pairwise, 1 sender key distribution, 2 sender key message, 3 control.
    #[serde(rename = "type")]
    pub kind: i64,
    pub group_id: Option<String>,
    pub client_message_id: Option<String>,
    /// Counted from one for each recipient, or for each of its devices.
    pub sequence: i64,
    pub ciphertext: Octets,
    pub header: Option<Octets>,
    pub signature: Option<Octets>,
    /// 0 pending, 1 delivered, 2 acknowledged.
    pub delivery_status: i64,
    pub delivered_at: Option<Moment>,
    pub acked_at: Option<Moment>,
    pub expires_at: Option<Moment>,
    pub meta: Option<Map<String, Value>>,
    pub sender_device_id: DeviceId,
    pub recipient_account_id: AccountId,
    /// Null if it is for the account as a whole.
    pub recipient_device_id: Option<DeviceId>,
    pub legacy_account_scoped: bool,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

/// How many envelopes of a distribution there are now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Sent {
    pub sent: usize,
}

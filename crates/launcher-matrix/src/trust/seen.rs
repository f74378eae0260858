//! What the SDK's store shows of users and devices, in the core's words.

use launcher_core::{
    fault::Fault,
    names::{DeviceId, UserId},
    spec::TrustMode,
    trust::{
        Assurance, Refusal, SeenDevice, SeenIdentity, SeenUser, Sender, UserRecord, judge_message,
    },
};
use matrix_sdk::{
    Client,
    deserialized_responses::{
        AlgorithmInfo, DeviceLinkProblem, EncryptionInfo, VerificationLevel, VerificationState,
    },
    encryption::identities::{Device, UserIdentity},
    ruma::{self, DeviceKeyAlgorithm},
};

use super::store_failed;

/// A user as the store shows them, and the SDK's devices.
pub(super) struct Look {
    pub(super) user: SeenUser,
    pub(super) devices: Vec<Device>,
}

/// Looks at a user; `None` if that is no user id.
pub(super) async fn look(client: &Client, user: &UserId) -> Result<Option<Look>, Fault> {
    let Ok(id) = ruma::UserId::parse(user.as_str()) else { return Ok(None) };
    let identity = identity(client, user).await?.and_then(|identity| {
        let master_key = identity.master_key().get_first_key()?.to_base64();
        Some(SeenIdentity { master_key, verified: identity.is_verified() })
    });
    let own = client.device_id();
    let devices = client.encryption().get_user_devices(&id).await.map_err(store_failed)?;
    let is_other = |device: &Device| {
        Some(device.device_id()) != own || client.user_id() != Some(device.user_id())
    };
    let devices: Vec<Device> = devices.devices().filter(is_other).collect();
    let user = SeenUser {
        user: user.clone(),
        identity,
        devices: devices.iter().filter_map(device).collect(),
    };
    Ok(Some(Look { user, devices }))
}

/// The cross-signing identity of a user, if the store has one.
pub(super) async fn identity(
    client: &Client,
    user: &UserId,
) -> Result<Option<UserIdentity>, Fault> {
    let Ok(id) = ruma::UserId::parse(user.as_str()) else { return Ok(None) };
    client.encryption().get_user_identity(&id).await.map_err(store_failed)
}

fn device(device: &Device) -> Option<SeenDevice> {
    Some(SeenDevice {
        id: DeviceId::new(device.device_id().as_str()),
        ed25519: device.ed25519_key()?.to_base64(),
        curve25519: device.curve25519_key()?.to_base64(),
        signed: device.is_cross_signed_by_owner(),
    })
}

/// Whether a message is acted upon that was encrypted like this.
pub(super) fn judge(
    mode: TrustMode,
    record: Option<&UserRecord>,
    info: &EncryptionInfo,
) -> Result<Assurance, Refusal> {
    let insecure = VerificationLevel::None(DeviceLinkProblem::InsecureSource);
    // Whoever is blocked could claim another fingerprint, but not another identity key.
    if keys(info).zip(record).is_some_and(|((curve25519, _), record)| record.blocks_key(curve25519))
    {
        return Err(Refusal::Blocked);
    }
    let sender = match &info.verification_state {
        _ if info.forwarder.is_some() => Sender::Forwarded,
        VerificationState::Unverified(level) if *level == insecure => Sender::Unproven,
        // A device can be published with somebody else's identity key, but not with both keys.
        _ => match record.zip(keys(info)).and_then(|(record, keys)| {
            let (curve25519, ed25519) = keys;
            record.device_by_keys(curve25519, ed25519)
        }) {
            Some(device) => Sender::Device(device),
            None => Sender::Unknown,
        },
    };
    judge_message(mode, record, sender)
}

/// The identity and the fingerprint key of the device that made the session.
fn keys(info: &EncryptionInfo) -> Option<(&str, &str)> {
    match &info.algorithm_info {
        AlgorithmInfo::MegolmV1AesSha2 { curve25519_key, sender_claimed_keys, .. } => {
            let ed25519 = sender_claimed_keys.get(&DeviceKeyAlgorithm::Ed25519)?;
            Some((curve25519_key, ed25519))
        }
        AlgorithmInfo::OlmV1Curve25519AesSha2 { .. } => None,
    }
}

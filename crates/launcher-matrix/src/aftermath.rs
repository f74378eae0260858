//! What a life that did not end in order leaves behind, and what is done about it.

use std::collections::BTreeSet;

use launcher_core::{fault::Fault, spec::AgentSpec};
use matrix_sdk::{Client, RoomMemberships};
use matrix_sdk_base::crypto::{
    olm::OlmMessageHash,
    store::CryptoStore,
    vodozemac::{
        Curve25519PublicKey,
        olm::{Account, AccountPickle, OlmMessage, PreKeyMessage, SessionConfig},
    },
};
use matrix_sdk_sqlite::SqliteCryptoStore;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::{login::Login, reading, rest::Rest, store::StorePlace};

/// Asks for to-device messages only.
const TO_DEVICE: &str = concat!(
    r#"{"presence":{"not_types":["*"]},"account_data":{"not_types":["*"]},"#,
    r#""room":{"rooms":[],"timeline":{"limit":0}}}"#
);

/// Asks for the devices of everybody in the encrypted rooms.
///
/// Where the state store was lost and the crypto store was not, the first sync
/// of all does not say whose devices have changed meanwhile, and the SDK takes
/// what it knows for current.
pub(crate) async fn ask_for_devices(client: &Client) {
    let mut users = BTreeSet::new();
    for room in client.joined_rooms() {
        match room.members(RoomMemberships::ACTIVE).await {
            Ok(members) => users.extend(members.iter().map(|member| member.user_id().to_owned())),
            Err(error) => warn!(room = %room.room_id(), %error, "asking for members failed"),
        }
    }
    info!(users = users.len(), "the state store was lost; devices are asked for again");
    for user in users {
        if let Err(error) = client.encryption().request_user_identity(&user).await {
            warn!(%user, %error, "asking for devices failed");
        }
    }
}

/// Removes Olm sessions that were made of a message whose content was lost.
///
/// When a message opens a new Olm session, the SDK stores the session at once
/// and everything else, the room key in the message included, at the end of the
/// whole batch. A kill in between leaves a session that has used up its first
/// message, so that message cannot be decrypted when the server gives it again,
/// and the key is lost. Without the session it is as new: the one-time key is
/// still there, because the account is stored last.
///
/// `since` is the position that the SDK will sync from. Must run before
/// anything has loaded a session.
pub(crate) async fn forget_half_made_sessions(
    spec: &AgentSpec,
    rest: &Rest,
    place: &StorePlace,
    store: &SqliteCryptoStore,
    login: &Login,
    since: Option<&str>,
) -> Result<(), Fault> {
    let failed = |error: &dyn std::fmt::Display| Fault::StoreFailed { detail: error.to_string() };
    let Some(account) = store.load_account().await.map_err(|error| failed(&error))? else {
        return Ok(());
    };
    let own = account.identity_keys().curve25519.to_base64();
    let pickle = serde_json::to_value(account.pickle().pickle).map_err(|error| failed(&error))?;
    let wait = reading::unlike_before();
    let answer = rest
        .poll(login.access_token.expose(), since.unwrap_or_default(), TO_DEVICE, wait)
        .await
        .map_err(|error| rest.fault(&spec.account, error))?;
    for event in answer["to_device"]["events"].as_array().into_iter().flatten() {
        let Some((sender, message)) = opening(event, &own) else { continue };
        let id = message.session_id();
        let known =
            store.get_sessions(&sender.to_base64()).await.map_err(|error| failed(&error))?;
        let is_there =
            known.is_some_and(|known| known.iter().any(|session| session.session_id() == id));
        if !is_there {
            continue;
        }
        let hash = hash(&sender, &message);
        if store.is_message_known(&hash).await.map_err(|error| failed(&error))? {
            continue;
        }
        let Ok(pickle) = serde_json::from_value::<AccountPickle>(pickle.clone()) else { continue };
        let mut copy = Account::from_pickle(pickle);
        let config = SessionConfig::version_1();
        let can_be_made = copy.create_inbound_session(config, sender, &message).is_ok();
        if can_be_made && place.forget_session(&id)? {
            info!(
                session_id = id,
                "an Olm session was made and its first message lost; both are made anew"
            );
        }
    }
    Ok(())
}

/// The message of a to-device event to the device with the key `own`, if it
/// is one that can open a session, and its sender's key.
fn opening(event: &Value, own: &str) -> Option<(Curve25519PublicKey, PreKeyMessage)> {
    let content = &event["content"];
    if content["algorithm"] != "m.olm.v1.curve25519-aes-sha2" {
        return None;
    }
    let sender = Curve25519PublicKey::from_base64(content["sender_key"].as_str()?).ok()?;
    let message = &content["ciphertext"][own];
    if message["type"] != 0 {
        return None;
    }
    Some((sender, PreKeyMessage::from_base64(message["body"].as_str()?).ok()?))
}

/// What the SDK remembers of a message that it has dealt with.
fn hash(sender: &Curve25519PublicKey, message: &PreKeyMessage) -> OlmMessageHash {
    let sender_key = sender.to_base64();
    let (kind, body) = OlmMessage::PreKey(message.clone()).to_parts();
    let hash = Sha256::new()
        .chain_update(sender_key.as_bytes())
        .chain_update([u8::try_from(kind).unwrap_or_default()])
        .chain_update(body)
        .finalize();
    let hash = matrix_sdk_base::crypto::vodozemac::base64_encode(hash);
    OlmMessageHash { sender_key, hash }
}

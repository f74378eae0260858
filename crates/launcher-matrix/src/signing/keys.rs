//! A signature with an account's cross-signing keys, without a client.
//!
//! A machine in memory signs with them. It believes to be a device of the
//! account that nobody else knows. Its own keys are never uploaded and end with
//! it, and the device that is signed is to it one of the account's other
//! devices. A client on that device's id would publish new keys for it instead,
//! and so destroy it.

use std::collections::BTreeMap;

use launcher_core::fault::Fault;
use matrix_sdk::ruma::{
    DeviceId, OwnedUserId, TransactionId, UserId, api::client::keys::get_keys::v3 as query,
};
use matrix_sdk_base::crypto::{OlmMachine, SecretImportError, store::types::CrossSigningKeyExport};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::login;

/// Why nothing can be signed with the keys that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// What the server shows as the account's identity is not complete, or its
    /// parts do not belong together.
    Identity,
    /// The private keys are not those of the identity.
    PrivateKeys,
    /// The device has not signed its own keys.
    Device,
}

/// Signs a device's keys with the account's self-signing key. `keys` is the
/// answer to `/keys/query`; the result is what is to be uploaded.
///
/// # Errors
///
/// What does not fit is the inner result.
pub(super) async fn signature(
    user: &str,
    keys: &Value,
    device: &str,
    private: CrossSigningKeyExport,
) -> Result<Result<Value, Unfit>, Fault> {
    let machine = machine(user).await?;
    let answer = answer(keys, machine.user_id())?;
    machine.mark_request_as_sent(&TransactionId::new(), &answer).await.map_err(broken)?;
    if machine.get_identity(machine.user_id(), None).await.map_err(broken)?.is_none() {
        return Ok(Err(Unfit::Identity));
    }
    match machine.import_cross_signing_keys(private).await {
        Ok(status) if status.is_complete() => {}
        Ok(_) | Err(SecretImportError::MismatchedPublicKeys { .. }) => {
            return Ok(Err(Unfit::PrivateKeys));
        }
        Err(SecretImportError::Key { .. }) => return Ok(Err(Unfit::PrivateKeys)),
        Err(error) => return Err(broken(error)),
    }
    let device: &DeviceId = device.into();
    let found = machine.get_device(machine.user_id(), device, None).await.map_err(broken)?;
    let Some(device) = found else { return Ok(Err(Unfit::Device)) };
    let request = device.verify().await.map_err(broken)?;
    Ok(Ok(serde_json::to_value(request.signed_keys).map_err(broken)?))
}

async fn machine(user: &str) -> Result<OlmMachine, Fault> {
    let user = UserId::parse(user).map_err(broken)?;
    let device = login::new_device_id()?;
    Ok(OlmMachine::new(&user, device.as_str().into()).await)
}

/// What an answer to `/keys/query` says about one user.
fn answer(keys: &Value, user: &UserId) -> Result<query::Response, Fault> {
    let mut answer = query::Response::new();
    answer.device_keys = part(keys, "device_keys", user)?;
    answer.master_keys = part(keys, "master_keys", user)?;
    answer.self_signing_keys = part(keys, "self_signing_keys", user)?;
    answer.user_signing_keys = part(keys, "user_signing_keys", user)?;
    Ok(answer)
}

fn part<T: DeserializeOwned>(
    keys: &Value,
    name: &str,
    user: &UserId,
) -> Result<BTreeMap<OwnedUserId, T>, Fault> {
    let found = &keys[name][user.as_str()];
    if found.is_null() {
        return Ok(BTreeMap::new());
    }
    let found = serde_json::from_str(&found.to_string()).map_err(broken)?;
    Ok(BTreeMap::from([(user.to_owned(), found)]))
}

/// An error of the machine in memory. There is no disk that could be full, so
/// it means that the server said something that makes no sense.
fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::StoreFailed { detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use matrix_sdk_base::crypto::types::requests::AnyOutgoingRequest;
    use serde_json::json;

    use super::*;
    use crate::{
        devices::is_signed,
        signing::identity::{Made, make},
    };

    const USER: &str = "@a:hs";

    /// The keys that a new client with the device `DEVICE` uploads.
    async fn device_keys() -> Value {
        let user = UserId::parse(USER).unwrap();
        let machine = OlmMachine::new(&user, "DEVICE".into()).await;
        for request in machine.outgoing_requests().await.unwrap() {
            if let AnyOutgoingRequest::KeysUpload(upload) = request.request() {
                return serde_json::to_value(upload.device_keys.as_ref().unwrap()).unwrap();
            }
        }
        panic!("nothing to upload");
    }

    fn fresh() -> Made {
        make(USER, &CrossSigningKeyExport::default()).unwrap()
    }

    fn published(public: &Value, device: &Value) -> Value {
        json!({
            "device_keys": { USER: { "DEVICE": device } },
            "master_keys": { USER: public["master_key"] },
            "self_signing_keys": { USER: public["self_signing_key"] },
            "user_signing_keys": { USER: public["user_signing_key"] },
        })
    }

    fn copy(keys: &CrossSigningKeyExport) -> CrossSigningKeyExport {
        let mut copy = CrossSigningKeyExport::default();
        copy.master_key.clone_from(&keys.master_key);
        copy.self_signing_key.clone_from(&keys.self_signing_key);
        copy.user_signing_key.clone_from(&keys.user_signing_key);
        copy
    }

    #[tokio::test]
    async fn a_device_is_signed_with_keys_that_were_made_here() {
        let made = fresh();
        let device = device_keys().await;
        let mut keys = published(&made.public, &device);
        assert!(!is_signed(&keys, USER, "DEVICE"));
        let signed = signature(USER, &keys, "DEVICE", made.private).await.unwrap().unwrap();
        let added = &signed[USER]["DEVICE"]["signatures"][USER];
        assert_eq!(added.as_object().unwrap().len(), 1, "only the new signature is uploaded");
        let (key, signature) = added.as_object().unwrap().iter().next().unwrap();
        keys["device_keys"][USER]["DEVICE"]["signatures"][USER][key] = signature.clone();
        assert!(is_signed(&keys, USER, "DEVICE"));
    }

    #[tokio::test]
    async fn keys_of_another_identity_sign_nothing() {
        let (made, other) = (fresh(), fresh());
        let keys = published(&made.public, &device_keys().await);
        let found = signature(USER, &keys, "DEVICE", other.private).await.unwrap();
        assert_eq!(found, Err(Unfit::PrivateKeys));
    }

    #[tokio::test]
    async fn an_identity_whose_parts_do_not_belong_together_signs_nothing() {
        let (made, other) = (fresh(), fresh());
        let mut keys = published(&made.public, &device_keys().await);
        keys["self_signing_keys"][USER] = other.public["self_signing_key"].clone();
        let found = signature(USER, &keys, "DEVICE", copy(&made.private)).await.unwrap();
        assert_eq!(found, Err(Unfit::Identity));
        keys["self_signing_keys"][USER] = Value::Null;
        let found = signature(USER, &keys, "DEVICE", made.private).await.unwrap();
        assert_eq!(found, Err(Unfit::Identity));
    }

    #[tokio::test]
    async fn a_device_whose_keys_were_changed_is_not_signed() {
        let made = fresh();
        let mut device = device_keys().await;
        device["keys"]["curve25519:DEVICE"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let keys = published(&made.public, &device);
        let found = signature(USER, &keys, "DEVICE", made.private).await.unwrap();
        assert_eq!(found, Err(Unfit::Device));
    }
}

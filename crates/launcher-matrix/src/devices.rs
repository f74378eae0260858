//! The devices of an agent's account, as the server shows them.

use std::cmp::Reverse;

use launcher_core::{fault::Fault, spec::AgentSpec};
use launcher_runtime::ports::maintenance::DeviceEntry;
use matrix_sdk::ruma::CanonicalJsonValue;
use matrix_sdk_base::crypto::vodozemac::{Ed25519PublicKey, Ed25519Signature};
use serde_json::Value;

use crate::{lineage, login, rest::Rest, vault::Vault};

/// All devices of the account, the agent's own first.
pub(crate) async fn list(
    spec: &AgentSpec,
    rest: &Rest,
    token: &str,
    vault: &Vault,
) -> Result<Vec<DeviceEntry>, Fault> {
    let fault = |error| rest.fault(&spec.account, error);
    let user = &spec.account.user_id;
    let devices = rest.devices(token).await.map_err(fault)?;
    let keys = rest.query_keys(token, user).await.map_err(fault)?;
    let own = vault.device_id.as_deref();
    let name_of_ours = login::device_name(spec);
    let living = rest.account_data(token, user, lineage::KIND).await.map_err(fault)?;
    let living = living.and_then(|living| living["device"].as_str().map(ToOwned::to_owned));
    let mut found: Vec<DeviceEntry> = devices
        .iter()
        .filter_map(|device| {
            let device_id = device["device_id"].as_str()?.to_owned();
            let name = device["display_name"].as_str().map(ToOwned::to_owned);
            let own = own == Some(&device_id);
            Some(DeviceEntry {
                last_seen: device["last_seen_ts"].as_u64(),
                has_keys: keys["device_keys"][user][&device_id].is_object(),
                signed: is_signed(&keys, user, &device_id),
                own,
                stale: !own
                    && name.as_ref() == Some(&name_of_ours)
                    && living.as_ref() != Some(&device_id),
                name,
                device_id,
            })
        })
        .collect();
    found.sort_by_key(|device| Reverse((device.own, device.last_seen)));
    Ok(found)
}

/// Whether the owner's self-signing key has signed a device, and the owner's
/// master key has signed that one, in the answer to `/keys/query`.
pub(crate) fn is_signed(keys: &Value, user: &str, device: &str) -> bool {
    let master = &keys["master_keys"][user];
    let self_signing = &keys["self_signing_keys"][user];
    let (Some(master), Some(signer)) = (public_key(master), public_key(self_signing)) else {
        return false;
    };
    has_signature(self_signing, user, &master)
        && has_signature(&keys["device_keys"][user][device], user, &signer)
}

/// The one key of a cross-signing key object, base64.
fn public_key(object: &Value) -> Option<String> {
    object["keys"].as_object()?.values().next()?.as_str().map(ToOwned::to_owned)
}

/// Whether a JSON object carries a valid signature of `user` by the key `signer`.
///
/// Source: "Signing JSON" in the appendices of the Matrix specification.
fn has_signature(object: &Value, user: &str, signer: &str) -> bool {
    let signature = object["signatures"][user][format!("ed25519:{signer}")].as_str();
    let (Some(signature), Ok(key)) = (signature, Ed25519PublicKey::from_base64(signer)) else {
        return false;
    };
    let Ok(signature) = Ed25519Signature::from_base64(signature) else { return false };
    let mut signed = object.clone();
    if let Some(fields) = signed.as_object_mut() {
        fields.remove("signatures");
        fields.remove("unsigned");
    }
    let Ok(canonical) = CanonicalJsonValue::try_from(signed) else { return false };
    key.verify(canonical.to_string().as_bytes(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use matrix_sdk_base::crypto::vodozemac::Ed25519SecretKey;
    use serde_json::json;

    use super::*;

    fn sign(mut object: Value, key: &Ed25519SecretKey) -> Value {
        let canonical = CanonicalJsonValue::try_from(object.clone()).unwrap().to_string();
        let signature = key.sign(canonical.as_bytes()).to_base64();
        let id = format!("ed25519:{}", key.public_key().to_base64());
        object["signatures"]["@a:hs"][id] = json!(signature);
        object
    }

    fn cross_signing_key(key: &Ed25519SecretKey) -> Value {
        let public = key.public_key().to_base64();
        json!({ "user_id": "@a:hs", "keys": { format!("ed25519:{public}"): public } })
    }

    fn answer(signer: &Ed25519SecretKey) -> Value {
        let (master, self_signing) = (Ed25519SecretKey::new(), Ed25519SecretKey::new());
        let signer = if signer.public_key() == master.public_key() { &master } else { signer };
        let device = json!({ "device_id": "D", "keys": { "ed25519:D": "key" } });
        json!({
            "master_keys": { "@a:hs": cross_signing_key(&master) },
            "self_signing_keys": { "@a:hs": sign(cross_signing_key(signer), &master) },
            "device_keys": { "@a:hs": {
                "D": sign(device.clone(), signer), "E": sign(device, &self_signing),
            } },
        })
    }

    #[test]
    fn a_device_is_signed_if_the_whole_chain_of_signatures_holds() {
        let keys = answer(&Ed25519SecretKey::new());
        assert!(is_signed(&keys, "@a:hs", "D"));
        assert!(!is_signed(&keys, "@a:hs", "E"), "signed by a key of nobody");
        assert!(!is_signed(&keys, "@a:hs", "F"), "not there");
        assert!(!is_signed(&keys, "@b:hs", "D"), "somebody else's");
    }

    #[test]
    fn a_changed_device_or_a_changed_identity_is_not_signed() {
        let mut keys = answer(&Ed25519SecretKey::new());
        keys["device_keys"]["@a:hs"]["D"]["keys"]["ed25519:D"] = json!("other");
        assert!(!is_signed(&keys, "@a:hs", "D"));
        let mut keys = answer(&Ed25519SecretKey::new());
        keys["master_keys"]["@a:hs"] = cross_signing_key(&Ed25519SecretKey::new());
        assert!(!is_signed(&keys, "@a:hs", "D"));
    }
}

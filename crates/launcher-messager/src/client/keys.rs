//! Keys of devices, and envelopes between them.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Client, ClientError, Me,
    http::taken,
    wire::{Elements, Octets, as_envelope, element, lenient},
};
use crate::crypto::{
    AccountId, Address, DeviceName, Envelope, EnvelopeId, Fanout, OneTimeKey, PublicBundle, RoomId,
    SignedPreKey, Upload,
};

/// How many envelopes are asked for at a time. That many of the largest stay
/// under what is read of an answer.
const TAKE: &str = "40";

/// The server's word for a fan-out that has not one envelope for each device.
const MISMATCH: &str = "e2ee.fanout_devices_mismatch";

/// What became of a fan-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server has the envelopes: report it by
    /// [`Machine::delivered`](crate::crypto::Machine::delivered).
    Taken,
    /// The account has other devices by now: hand those to
    /// [`Machine::devices`](crate::crypto::Machine::devices), and ask what is to
    /// be delivered again.
    OtherDevices,
    /// There is no such account any more: the envelopes are delivered to nobody.
    NoAccount,
}

/// Envelopes that wait for this device, the oldest first.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Those that can be read. There may be more when these are acknowledged.
    pub envelopes: Vec<Envelope>,
    /// Those that nobody can read. Acknowledge them, or they come for ever.
    pub unreadable: Vec<EnvelopeId>,
}

/// What cannot be read of it counts as missing.
#[derive(Deserialize)]
struct BundleWire {
    account_id: AccountId,
    device_id: String,
    #[serde(default, deserialize_with = "lenient")]
    algorithm: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    identity_key: Option<Octets>,
    #[serde(default, deserialize_with = "lenient")]
    signed_pre_key_id: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    signed_pre_key: Option<Octets>,
    #[serde(default, deserialize_with = "lenient")]
    signed_pre_key_signature: Option<Octets>,
    #[serde(default, deserialize_with = "lenient")]
    one_time_pre_key: Option<OneTimeWire>,
    #[serde(default, deserialize_with = "lenient")]
    meta: Option<Value>,
}

#[derive(Serialize, Deserialize)]
struct OneTimeWire {
    key_id: i64,
    public_key: Octets,
}

#[derive(Serialize)]
struct UploadWire<'a> {
    algorithm: &'a str,
    identity_key: Octets,
    signed_pre_key_id: i32,
    signed_pre_key: Octets,
    signed_pre_key_signature: Octets,
    one_time_pre_keys: Vec<OneTimeWire>,
    meta: &'a Value,
}

#[derive(Serialize)]
struct FanoutWire<'a> {
    recipient_account_id: AccountId,
    #[serde(rename = "type")]
    kind: i32,
    group_id: Option<RoomId>,
    payloads: Vec<PayloadWire<'a>>,
}

#[derive(Serialize)]
struct PayloadWire<'a> {
    recipient_device_id: &'a DeviceName,
    client_message_id: &'a str,
    ciphertext: Octets,
}

impl BundleWire {
    /// A bundle of another kind, or one that cannot be read, is one as well: the
    /// server wants an envelope for its device. What is in it is judged by who
    /// uses it. `None` if its device has no name.
    fn bundle(self) -> Option<PublicBundle> {
        let device = DeviceName::new(self.device_id).ok()?;
        let octets = |octets: Option<Octets>| octets.unwrap_or_default().0;
        let number = |id: i64| i32::try_from(id).ok();
        let one_time =
            |key: OneTimeWire| Some(OneTimeKey { id: number(key.key_id)?, key: key.public_key.0 });
        Some(PublicBundle {
            address: Address::new(self.account_id, device),
            algorithm: self.algorithm.unwrap_or_default(),
            identity_key: octets(self.identity_key),
            signed_pre_key: SignedPreKey {
                id: self.signed_pre_key_id.and_then(number).unwrap_or_default(),
                key: octets(self.signed_pre_key),
                signature: octets(self.signed_pre_key_signature),
            },
            one_time_pre_key: self.one_time_pre_key.and_then(one_time),
            meta: self.meta.unwrap_or_default(),
        })
    }
}

impl Client {
    /// Publishes this device's keys.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn upload_bundle(&self, upload: &Upload) -> Result<(), ClientError> {
        let bundle = &upload.bundle;
        let pre_key = &bundle.signed_pre_key;
        let one_time = |key: &OneTimeKey| OneTimeWire {
            key_id: key.id.into(),
            public_key: Octets(key.key.clone()),
        };
        let body = UploadWire {
            algorithm: &bundle.algorithm,
            identity_key: Octets(bundle.identity_key.clone()),
            signed_pre_key_id: pre_key.id,
            signed_pre_key: Octets(pre_key.key.clone()),
            signed_pre_key_signature: Octets(pre_key.signature.clone()),
            one_time_pre_keys: upload.one_time_keys.iter().map(one_time).collect(),
            meta: &bundle.meta,
        };
        let path = ["api", "e2ee", "devices", "me", "bundle"];
        taken(self.request(Method::PUT, &path).json(&body)).await.map(drop)
    }

    /// What the server shows of the device that the token is for; `None` if
    /// there is nothing.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn own_bundle(&self, me: &Me) -> Result<Option<PublicBundle>, ClientError> {
        let shown = self.devices(me.account).await?;
        Ok(shown.into_iter().find(|bundle| bundle.address.device == me.device))
    }

    /// The devices of an account with their keys, none claimed. Those that
    /// cannot be read are devices without keys.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn devices(&self, account: AccountId) -> Result<Vec<PublicBundle>, ClientError> {
        self.bundles(account, false).await
    }

    /// The same with a one-time key claimed of each device that has one.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]. Keys that were claimed are used up, also if the
    /// answer is lost.
    pub async fn claim(&self, account: AccountId) -> Result<Vec<PublicBundle>, ClientError> {
        self.bundles(account, true).await
    }

    async fn bundles(
        &self,
        account: AccountId,
        is_claim: bool,
    ) -> Result<Vec<PublicBundle>, ClientError> {
        let path = ["api", "e2ee", "keys", &account.to_string(), "devices"];
        let request = self.request(Method::GET, &path).query(&[("consumeOneTimePreKey", is_claim)]);
        let shown: Elements = super::http::ask(request).await?;
        let bundles: Vec<PublicBundle> =
            shown.iter().filter_map(|bundle| element::<BundleWire>(bundle)?.bundle()).collect();
        match bundles.iter().all(|bundle| bundle.address.account == account) {
            true => Ok(bundles),
            false => Err(ClientError::nonsense("with keys of another account")),
        }
    }

    /// Sends envelopes to all devices of an account, all of them or none.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]. Sent again, they are the same.
    pub async fn fanout(&self, fanout: &Fanout) -> Result<Delivery, ClientError> {
        let payloads = fanout.payloads.iter().map(|payload| PayloadWire {
            recipient_device_id: &payload.device,
            client_message_id: &payload.client_message_id,
            ciphertext: Octets(payload.ciphertext.clone()),
        });
        let body = FanoutWire {
            recipient_account_id: fanout.account,
            kind: fanout.kind.number(),
            group_id: fanout.group,
            payloads: payloads.collect(),
        };
        let path = ["api", "e2ee", "messages", "fanout"];
        match taken(self.request(Method::POST, &path).json(&body)).await {
            Ok(_) => Ok(Delivery::Taken),
            Err(error) if error.is_by(MISMATCH) => Ok(Delivery::OtherDevices),
            Err(error) if is_no_recipient(&error) => Ok(Delivery::NoAccount),
            Err(error) => Err(error),
        }
    }

    /// Envelopes that wait for this device.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 404 before the first
    /// [`upload_bundle`](Self::upload_bundle).
    pub async fn pending_envelopes(&self) -> Result<Pending, ClientError> {
        let path = ["api", "e2ee", "envelopes", "pending"];
        let request = self.request(Method::GET, &path).query(&[("take", TAKE)]);
        let values: Elements = super::http::ask(request).await?;
        let mut pending = Pending { envelopes: Vec::new(), unreadable: Vec::new() };
        for value in &values {
            match as_envelope(value) {
                Ok(envelope) => pending.envelopes.push(envelope),
                Err(id) => pending.unreadable.extend(id),
            }
        }
        match !values.is_empty() && pending.envelopes.is_empty() && pending.unreadable.is_empty() {
            true => Err(ClientError::nonsense("of envelopes without ids")),
            false => Ok(pending),
        }
    }

    /// Tells the server that an envelope is not needed any more. Again, it
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 404 if there is none.
    pub async fn acknowledge(&self, envelope: EnvelopeId) -> Result<(), ClientError> {
        let path = ["api", "e2ee", "envelopes", &envelope.to_string(), "ack"];
        self.order(Method::POST, &path).await
    }

    /// Takes a device of this account out of use. Again, it changes nothing.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 404 if there is none.
    pub async fn revoke_device(&self, device: &DeviceName) -> Result<(), ClientError> {
        let path = ["api", "e2ee", "devices", device.as_str(), "revoke"];
        taken(self.request(Method::POST, &path).json(&json!({}))).await.map(drop)
    }
}

/// Whether the server says that the account is not there, and not only that
/// the address leads nowhere.
fn is_no_recipient(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 404, detail, .. } if detail.contains("recipient"))
}

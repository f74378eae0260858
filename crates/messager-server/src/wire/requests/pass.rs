//! Keys and envelopes, as they are sent.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{Input, Limits, OneTimePreKey};
use crate::values::{AccountId, Moment, Octets, SessionId};

/// Lengths of keys and signatures of Curve25519 and Ed25519.
const KEY: usize = 32;
const SIGNATURE: usize = 64;

/// The most of what can be in one list.
const MOST: usize = 1000;

/// The keys of a device, or of an account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct BundleBody {
    #[serde(default = "x25519")]
    pub algorithm: String,
    /// 32 bytes.
    pub identity_key: Octets,
    pub signed_pre_key_id: Option<i64>,
    /// 32 bytes.
    pub signed_pre_key: Octets,
    /// 64 bytes. The server does not look into it: clients have to.
    pub signed_pre_key_signature: Octets,
    pub signed_pre_key_expires_at: Option<Moment>,
    /// They are added to those that are there.
    pub one_time_pre_keys: Option<Vec<OneTimePreKey>>,
    /// For keys of a device only.
    pub device_label: Option<String>,
    pub meta: Option<Map<String, Value>>,
}

fn x25519() -> String {
    "x25519".to_owned()
}

impl Input for BundleBody {
    const CAMEL_CASE_TOO: bool = true;

    fn check(&mut self, limits: &mut Limits) {
        limits.free("meta", self.meta.as_ref());
        limits.text("algorithm", Some(&self.algorithm), 32);
        limits.text("device_label", self.device_label.as_deref(), 1024);
        limits.key("identity_key", &self.identity_key, KEY);
        limits.key("signed_pre_key", &self.signed_pre_key, KEY);
        limits.key("signed_pre_key_signature", &self.signed_pre_key_signature, SIGNATURE);
        let keys = self.one_time_pre_keys.as_deref().unwrap_or_default();
        limits.count("one_time_pre_keys", keys.len(), 0, MOST);
        for key in keys {
            limits.key("one_time_pre_keys", &key.public_key, KEY);
        }
        let ids: BTreeSet<i64> = keys.iter().map(|key| key.key_id).collect();
        if ids.len() < keys.len() {
            limits.wrong("one_time_pre_keys", "has a key_id twice");
        }
    }
}

/// What is known about a conversation.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct SessionBody {
    pub hint: Option<String>,
    pub meta: Option<Map<String, Value>>,
}

impl Input for SessionBody {
    const CAMEL_CASE_TOO: bool = true;

    fn check(&mut self, limits: &mut Limits) {
        limits.free("meta", self.meta.as_ref());
        limits.text("hint", self.hint.as_deref(), 128);
    }
}

/// An envelope for an account as a whole.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct EnvelopeBody {
    pub recipient_id: AccountId,
    pub session_id: Option<SessionId>,
    /// 0 pairwise, 1 sender key distribution, 2 sender key message, 3 control.
    #[serde(rename = "type", default)]
    pub kind: i64,
    pub group_id: Option<String>,
    /// What a repetition is known by.
    pub client_message_id: Option<String>,
    #[serde(default)]
    pub ciphertext: Octets,
    pub header: Option<Octets>,
    pub signature: Option<Octets>,
    pub expires_at: Option<Moment>,
    pub meta: Option<Map<String, Value>>,
}

impl Input for EnvelopeBody {
    const CAMEL_CASE_TOO: bool = true;

    fn check(&mut self, limits: &mut Limits) {
        limits.number("type", Some(self.kind), 0, 3);
        limits.text("group_id", self.group_id.as_deref(), 256);
        limits.text("client_message_id", self.client_message_id.as_deref(), 128);
        limits.free("meta", self.meta.as_ref());
        limits.bytes("ciphertext", Some(&self.ciphertext));
        limits.bytes("header", self.header.as_ref());
        limits.bytes("signature", self.signature.as_ref());
    }
}

/// A sender key for several accounts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct DistributeBody {
    pub group_id: String,
    /// At least one.
    pub items: Vec<DistributeItem>,
    pub expires_at: Option<Moment>,
}

/// A sender key for one account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct DistributeItem {
    pub recipient_id: AccountId,
    #[serde(default)]
    pub ciphertext: Octets,
    pub header: Option<Octets>,
    pub signature: Option<Octets>,
    pub client_message_id: Option<String>,
    pub meta: Option<Map<String, Value>>,
}

impl Input for DistributeBody {
    const CAMEL_CASE_TOO: bool = true;

    fn check(&mut self, limits: &mut Limits) {
        limits.text("group_id", Some(&self.group_id), 256);
        limits.count("items", self.items.len(), 1, MOST);
        for item in &self.items {
            check_sealed(limits, "items", &item.ciphertext, [&item.header, &item.signature]);
            limits.free("items", item.meta.as_ref());
            limits.text("items", item.client_message_id.as_deref(), 128);
        }
    }
}

fn check_sealed(limits: &mut Limits, name: &str, sealed: &Octets, rest: [&Option<Octets>; 2]) {
    if sealed.0.is_empty() {
        limits.wrong(name, "has an item without a ciphertext");
    }
    limits.bytes(name, Some(sealed));
    for bytes in rest {
        limits.bytes(name, bytes.as_ref());
    }
}

/// An envelope for each device of an account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct FanoutBody {
    pub recipient_account_id: AccountId,
    pub session_id: Option<SessionId>,
    /// 0 pairwise, 1 sender key distribution, 2 sender key message, 3 control.
    #[serde(rename = "type", default)]
    pub kind: i64,
    pub group_id: Option<String>,
    pub expires_at: Option<Moment>,
    /// At least one.
    pub payloads: Vec<FanoutItem>,
}

/// An envelope for one device.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct FanoutItem {
    pub recipient_device_id: String,
    pub client_message_id: Option<String>,
    #[serde(default)]
    pub ciphertext: Octets,
    pub header: Option<Octets>,
    pub signature: Option<Octets>,
    pub meta: Option<Map<String, Value>>,
}

impl Input for FanoutBody {
    const CAMEL_CASE_TOO: bool = true;

    fn check(&mut self, limits: &mut Limits) {
        limits.number("type", Some(self.kind), 0, 3);
        limits.text("group_id", self.group_id.as_deref(), 256);
        limits.count("payloads", self.payloads.len(), 1, MOST);
        for item in &self.payloads {
            check_sealed(limits, "payloads", &item.ciphertext, [&item.header, &item.signature]);
            limits.free("payloads", item.meta.as_ref());
            limits.text("payloads", item.client_message_id.as_deref(), 128);
            limits.text("payloads", Some(&item.recipient_device_id), 512);
        }
    }
}

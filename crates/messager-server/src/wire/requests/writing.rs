//! Messages, as they are sent.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{Input, Limits};
use crate::values::{MessageId, Octets, scrub};

/// The encrypted part of a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    pub ciphertext: Option<Octets>,
    pub header: Option<Octets>,
    pub signature: Option<Octets>,
    pub scheme: Option<String>,
    pub epoch: Option<i64>,
    pub message_type: Option<String>,
}

impl Payload {
    fn check(&self, limits: &mut Limits) {
        limits.bytes("ciphertext", self.ciphertext.as_ref());
        limits.bytes("encryption_header", self.header.as_ref());
        limits.bytes("encryption_signature", self.signature.as_ref());
        limits.text("encryption_scheme", self.scheme.as_deref(), 128);
        limits.text("encryption_message_type", self.message_type.as_deref(), 128);
    }
}

/// A message, or what it is replaced by.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct SendBody {
    /// 4,096 characters at most.
    pub content: Option<String>,
    pub nonce: Option<String>,
    /// What a repetition is known by: sent again, it is the same message.
    pub client_message_id: Option<String>,
    pub fund_id: Option<String>,
    pub poll_id: Option<String>,
    pub attachments_id: Option<Vec<String>>,
    pub meta: Option<Map<String, Value>>,
    pub replied_message_id: Option<MessageId>,
    pub forwarded_message_id: Option<MessageId>,
    pub is_encrypted: Option<bool>,
    /// 64 KiB at most.
    pub ciphertext: Option<Octets>,
    pub encryption_header: Option<Octets>,
    pub encryption_signature: Option<Octets>,
    pub encryption_scheme: Option<String>,
    /// At least zero.
    pub encryption_epoch: Option<i64>,
    /// `content.new`; in an edit `content.edit`.
    pub encryption_message_type: Option<String>,
}

/// The messages that a message answers and hands on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct References {
    pub replied: Option<MessageId>,
    pub forwarded: Option<MessageId>,
}

impl SendBody {
    /// What it answers and hands on.
    pub(crate) fn references(&self) -> References {
        References { replied: self.replied_message_id, forwarded: self.forwarded_message_id }
    }

    /// Its encrypted part.
    pub(crate) fn payload(&self) -> Payload {
        Payload {
            ciphertext: self.ciphertext.clone(),
            header: self.encryption_header.clone(),
            signature: self.encryption_signature.clone(),
            scheme: self.encryption_scheme.clone(),
            epoch: self.encryption_epoch,
            message_type: self.encryption_message_type.clone(),
        }
    }
}

impl Input for SendBody {
    fn check(&mut self, limits: &mut Limits) {
        self.content = self.content.take().map(|text| scrub(&text));
        limits.text("content", self.content.as_deref(), 4096);
        limits.text("nonce", self.nonce.as_deref(), 36);
        limits.text("client_message_id", self.client_message_id.as_deref(), 128);
        limits.text("fund_id", self.fund_id.as_deref(), 36);
        limits.text("poll_id", self.poll_id.as_deref(), 36);
        let attachments = self.attachments_id.as_deref().unwrap_or_default();
        limits.free("meta", self.meta.as_ref());
        limits.count("attachments_id", attachments.len(), 0, 100);
        for id in attachments {
            limits.text("attachments_id", Some(id), 32);
        }
        self.payload().check(limits);
    }
}

/// What a message is deleted with.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct DeleteBody {
    pub client_message_id: Option<String>,
    pub ciphertext: Option<Octets>,
    pub encryption_header: Option<Octets>,
    pub encryption_signature: Option<Octets>,
    pub encryption_scheme: Option<String>,
    pub encryption_epoch: Option<i64>,
    /// `content.delete`.
    pub encryption_message_type: Option<String>,
}

impl DeleteBody {
    /// Its encrypted part.
    pub(crate) fn payload(&self) -> Payload {
        Payload {
            ciphertext: self.ciphertext.clone(),
            header: self.encryption_header.clone(),
            signature: self.encryption_signature.clone(),
            scheme: self.encryption_scheme.clone(),
            epoch: self.encryption_epoch,
            message_type: self.encryption_message_type.clone(),
        }
    }
}

impl Input for DeleteBody {
    fn check(&mut self, limits: &mut Limits) {
        limits.text("client_message_id", self.client_message_id.as_deref(), 128);
        self.payload().check(limits);
    }
}

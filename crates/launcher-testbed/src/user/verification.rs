//! Verification: asked for, answered, and gone through step by step.
//!
//! A verification goes by the id of its request (`flow`), which is the same on
//! both sides.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::JsUser;
use crate::{DEFAULT_TIMEOUT, TestbedError};

/// How a verification ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VerificationEnd {
    /// Whether both sides found that all is well.
    pub done: bool,
    /// Whether one of them broke it off.
    pub cancelled: bool,
    /// Why it was broken off (`m.user`, `m.mismatched_sas`).
    pub code: Option<String>,
    /// Whether the one who was asked did that. None if nobody did, and between
    /// devices of one account, where the SDK does not tell.
    pub cancelled_by_us: Option<bool>,
}

impl JsUser {
    // === Asking and answering ===

    /// Asks another user, in a room that both are in, for a verification.
    ///
    /// After one that went well the SDK breaks the next one with the same user
    /// off, code `m.user`, until it has synced: whoever wants another lets both
    /// see a message first.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`] when the other has no identity.
    pub fn request_verification(
        &self,
        room_id: &str,
        user_id: &str,
    ) -> Result<String, TestbedError> {
        let params = json!({ "room_id": room_id, "user_id": user_id });
        self.ask("request_verification", params, DEFAULT_TIMEOUT)
    }

    /// Asks all other devices of this account for a verification. Those that
    /// do not know this one yet ignore it, see [`Self::wait_for_device`].
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the account has no identity.
    pub fn request_own_verification(&self) -> Result<String, TestbedError> {
        self.ask("request_own_verification", json!({}), DEFAULT_TIMEOUT)
    }

    /// Asks one device for a verification, without a room. It ignores a device
    /// that it does not know yet, see [`Self::wait_for_device`].
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`] when this user does not get to know it.
    pub fn request_device_verification(
        &self,
        user_id: &str,
        device_id: &str,
    ) -> Result<String, TestbedError> {
        let params = json!({ "user_id": user_id, "device_id": device_id });
        self.ask("request_device_verification", params, DEFAULT_TIMEOUT)
    }

    /// Waits until a user, or another device of this account, asks for a
    /// verification. It may have done so already; each request is returned
    /// once.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_verification_request(
        &self,
        from_user: &str,
        timeout: Duration,
    ) -> Result<String, TestbedError> {
        self.ask("wait_for_verification_request", json!({ "from_user": from_user }), timeout)
    }

    /// Says that this user is willing.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when it has said so, or it is over.
    pub fn accept_verification(&self, flow: &str) -> Result<(), TestbedError> {
        self.ask("accept_verification", json!({ "flow": flow }), DEFAULT_TIMEOUT)
    }

    /// Breaks a verification off, or refuses it, with the code `m.user`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the homeserver refuses.
    pub fn cancel_verification(&self, flow: &str) -> Result<(), TestbedError> {
        self.ask("cancel_verification", json!({ "flow": flow }), DEFAULT_TIMEOUT)
    }

    // === Emojis ===

    /// Begins to compare emojis, once the other side is willing. If the other
    /// side has begun already, this one follows; both may begin at once.
    ///
    /// Whoever does not begin goes on with [`Self::wait_for_emojis`].
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when it is over.
    pub fn start_sas(&self, flow: &str) -> Result<(), TestbedError> {
        self.ask("start_sas", json!({ "flow": flow }), DEFAULT_TIMEOUT)
    }

    /// Waits for the seven emojis, following the other side if that begins.
    ///
    /// Until this or [`Self::start_sas`] is called, a user leaves the start of
    /// the other side unanswered.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`]; [`TestbedError::Js`], which names the code,
    /// when it is over.
    pub fn wait_for_emojis(
        &self,
        flow: &str,
        timeout: Duration,
    ) -> Result<Vec<String>, TestbedError> {
        self.ask("wait_for_emojis", json!({ "flow": flow }), timeout)
    }

    /// Says that the emojis are the same on both sides.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when none were shown.
    pub fn confirm_emojis(&self, flow: &str) -> Result<(), TestbedError> {
        self.ask("confirm_emojis", json!({ "flow": flow }), DEFAULT_TIMEOUT)
    }

    /// Says that the emojis are not the same, which breaks it off with the code
    /// `m.mismatched_sas`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when none were shown.
    pub fn mismatch_emojis(&self, flow: &str) -> Result<(), TestbedError> {
        self.ask("mismatch_emojis", json!({ "flow": flow }), DEFAULT_TIMEOUT)
    }

    // === QR codes ===

    /// The bytes of a QR code for the other side to scan, once that is willing.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when the other side cannot scan one.
    pub fn show_qr(&self, flow: &str) -> Result<Vec<u8>, TestbedError> {
        self.ask("show_qr", json!({ "flow": flow }), DEFAULT_TIMEOUT)
    }

    /// Scans the QR code that the other side shows.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when it is not of this verification, or its keys
    /// are not those that this user knows.
    pub fn scan_qr(&self, flow: &str, code: &[u8]) -> Result<(), TestbedError> {
        self.ask("scan_qr", json!({ "flow": flow, "code": code }), DEFAULT_TIMEOUT)
    }

    /// Waits until the other side has scanned the code that this one shows, and
    /// says that it has seen that happen.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`]; [`TestbedError::Js`] when it is over.
    pub fn confirm_scan(&self, flow: &str, timeout: Duration) -> Result<(), TestbedError> {
        self.ask("confirm_scan", json!({ "flow": flow }), timeout)
    }

    // === How it goes ===

    /// Waits until a verification has ended, well or not.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`], with the phase it is in.
    pub fn wait_for_verification_end(
        &self,
        flow: &str,
        timeout: Duration,
    ) -> Result<VerificationEnd, TestbedError> {
        self.ask("wait_for_verification_end", json!({ "flow": flow }), timeout)
    }

    /// How far a verification is: `requested`, `ready`, `started`, `done` or
    /// `cancelled`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Js`] when this user knows no such verification.
    pub fn verification_phase(&self, flow: &str) -> Result<String, TestbedError> {
        self.ask("verification_phase", json!({ "flow": flow }), DEFAULT_TIMEOUT)
    }
}

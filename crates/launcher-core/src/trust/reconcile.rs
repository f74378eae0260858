//! Brings the ledger up to what is seen now, and says what is new.

use super::{Decided, DeviceRecord, IdentityChange, SeenUser, UserRecord, Verified};
use crate::names::DeviceId;

/// A user's record, up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// The record.
    pub record: UserRecord,
    /// What is different from before; empty if the record did not change.
    pub findings: Vec<Finding>,
}

/// Something that the ledger did not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A device of a user who was never seen before.
    DeviceFirstSeen {
        /// The device.
        device: DeviceId,
        /// Whether its owner has signed it.
        signed: bool,
    },
    /// A device that a known user did not have before.
    DeviceNew {
        /// The device.
        device: DeviceId,
        /// Whether its owner has signed it.
        signed: bool,
    },
    /// A device that was unsigned is signed, or the other way round.
    SignatureChanged {
        /// The device.
        device: DeviceId,
        /// Whether its owner has signed it.
        signed: bool,
    },
    /// A device is gone from the account.
    DeviceGone {
        /// The device.
        device: DeviceId,
    },
    /// A device has other keys than it had. The library refuses that for a
    /// device that it knows, so the device was gone in between, or the crypto
    /// store was lost.
    DeviceKeysChanged {
        /// The device.
        device: DeviceId,
        /// Whether its owner has signed it.
        signed: bool,
    },
    /// The user made a cross-signing identity, and had none before.
    IdentityMade,
    /// The user has another identity than before.
    IdentityChanged {
        /// Whether the one before was verified.
        was_verified: bool,
    },
    /// The user is verified now.
    Verified,
}

/// Brings a record up to date; `None` is a user who was never seen.
///
/// Whatever an operator approved holds for the keys that were there then: a
/// new identity voids approvals, and so do new keys of a device. What was
/// blocked stays blocked.
pub fn reconcile(record: Option<&UserRecord>, seen: &SeenUser, now: u64) -> Reconciled {
    // Whoever was blocked by name before they were seen is still met for the first time.
    let is_new =
        record.is_none_or(|record| record.devices.is_empty() && record.master_key.is_none());
    let mut record = record.cloned().unwrap_or_else(|| UserRecord::new(seen.user.clone(), now));
    let mut findings = Vec::new();
    reconcile_identity(&mut record, seen, now, &mut findings);
    reconcile_devices(&mut record, seen, now, is_new, &mut findings);
    Reconciled { record, findings }
}

fn reconcile_identity(
    record: &mut UserRecord,
    seen: &SeenUser,
    now: u64,
    findings: &mut Vec<Finding>,
) {
    // A server that shows no identity any more takes nothing back: the library keeps the last one.
    let Some(identity) = &seen.identity else { return };
    match &record.master_key {
        None => {
            record.master_key = Some(identity.master_key.clone());
            if !record.devices.is_empty() {
                findings.push(Finding::IdentityMade);
            }
        }
        Some(before) if *before != identity.master_key => {
            let earlier = record.changed.take();
            let was = |look: fn(&IdentityChange) -> bool| earlier.as_ref().is_some_and(look);
            let was_verified = record.verified.is_some() || was(|change| change.was_verified);
            let approved = record.devices.values().any(DeviceRecord::is_approved);
            let was_approved = approved || was(|change| change.was_approved);
            record.withdrawn = None;
            record.changed =
                Some(IdentityChange { at: now, from: before.clone(), was_verified, was_approved });
            record.master_key = Some(identity.master_key.clone());
            record.verified = None;
            record.told = None;
            void_approvals(record);
            findings.push(Finding::IdentityChanged { was_verified });
        }
        Some(_) => {}
    }
    let is_withdrawn = record.withdrawn.as_ref() == Some(&identity.master_key);
    // Signatures come by the server, which can leave them out: what an operator has found out about
    // this very key stays found out.
    if identity.verified && !is_withdrawn && record.verified.is_none() {
        record.verified = Some(Verified { at: now, method: None });
        record.changed = None;
        record.told = None;
        findings.push(Finding::Verified);
    }
}

fn void_approvals(record: &mut UserRecord) {
    let is_approval = |decided: Option<Decided>| decided == Some(Decided::Approved);
    if is_approval(record.decision.as_ref().map(|decision| decision.decided)) {
        record.decision = None;
    }
    for device in record.devices.values_mut().filter(|device| device.is_approved()) {
        device.decision = None;
    }
}

fn reconcile_devices(
    record: &mut UserRecord,
    seen: &SeenUser,
    now: u64,
    is_new: bool,
    findings: &mut Vec<Finding>,
) {
    for device in &seen.devices {
        let (id, signed) = (device.id.clone(), device.signed);
        let fresh = DeviceRecord {
            ed25519: device.ed25519.clone(),
            curve25519: device.curve25519.clone(),
            first_seen: now,
            late: !is_new,
            signed,
            gone: None,
            decision: None,
        };
        let Some(known) = record.devices.get_mut(&device.id) else {
            findings.push(match is_new {
                true => Finding::DeviceFirstSeen { device: id.clone(), signed },
                false => Finding::DeviceNew { device: id.clone(), signed },
            });
            record.devices.insert(id, fresh);
            continue;
        };
        if known.ed25519 != device.ed25519 || known.curve25519 != device.curve25519 {
            let blocked = known.decision.take_if(|decision| decision.decided == Decided::Blocked);
            *known = DeviceRecord { late: true, decision: blocked, ..fresh };
            findings.push(Finding::DeviceKeysChanged { device: id, signed });
            continue;
        }
        if known.gone.take().is_some() {
            findings.push(Finding::DeviceNew { device: id.clone(), signed });
        } else if known.signed != signed {
            findings.push(Finding::SignatureChanged { device: id, signed });
        }
        known.signed = signed;
    }
    for (id, device) in &mut record.devices {
        let is_there = seen.devices.iter().any(|seen| seen.id == *id);
        if !is_there && device.gone.is_none() {
            device.gone = Some(now);
            findings.push(Finding::DeviceGone { device: id.clone() });
        }
    }
}

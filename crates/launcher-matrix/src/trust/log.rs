//! What is said in the log about users and devices.

use launcher_core::{
    names::DeviceId,
    spec::TrustMode,
    trust::{Finding, UserRecord, Verdict, judge},
};
use tracing::{info, warn};

/// Findings that are logged one by one at most; of the rest, how many there are.
const ONE_BY_ONE: usize = 100;

/// Says what is new.
pub(super) fn findings(changed: &[(UserRecord, Vec<Finding>)]) {
    let all = changed
        .iter()
        .flat_map(|(record, findings)| findings.iter().map(move |finding| (record, finding)));
    let mut left_out = 0;
    for (number, (record, finding)) in all.enumerate() {
        // What asks for a look is never left out.
        let matters = matches!(finding, Finding::IdentityChanged { .. } | Finding::Verified);
        match number < ONE_BY_ONE || matters {
            true => say(record, finding),
            false => left_out += 1,
        }
    }
    if left_out > 0 {
        info!(
            event = "device_first_seen",
            count = left_out,
            "more users and devices were seen for the first time, or changed"
        );
    }
}

fn say(record: &UserRecord, finding: &Finding) {
    let user = record.user.as_str();
    match finding {
        Finding::DeviceFirstSeen { device, signed } => {
            info!(event = "device_first_seen", user, device_id = %device, signed, "met a device for the first time");
        }
        Finding::DeviceNew { device, signed } => {
            warn!(event = "device_new", user, device_id = %device, signed, "somebody has a device that they did not have before");
        }
        Finding::DeviceKeysChanged { device, signed } => {
            warn!(event = "device_new", user, device_id = %device, signed, keys_changed = true, "a device has other keys than it had");
        }
        Finding::SignatureChanged { device, signed: true } => {
            info!(event = "device_signed", user, device_id = %device, "its owner has signed a device");
        }
        Finding::SignatureChanged { device, signed: false } => {
            warn!(event = "device_unsigned", user, device_id = %device, "a device is not signed by its owner any more");
        }
        Finding::DeviceGone { device } => {
            info!(event = "device_removed", user, device_id = %device, "a device is gone from its account");
        }
        Finding::IdentityMade => {
            info!(event = "identity_first_seen", user, "somebody has a cross-signing identity now");
        }
        Finding::IdentityChanged { was_verified } => {
            warn!(
                event = "identity_changed",
                user, was_verified, "somebody has another cross-signing identity than before"
            );
        }
        Finding::Verified => {
            info!(event = "user_verified", user, "the agent's account has verified somebody");
        }
    }
}

/// Says which of the devices about which something is new get no keys.
pub(super) fn refused(mode: TrustMode, record: &UserRecord, findings: &[Finding], own: bool) {
    let user = record.user.as_str();
    let all = findings.iter().any(|finding| matches!(finding, Finding::IdentityChanged { .. }));
    for (id, device) in record.devices.iter().filter(|(_, device)| device.gone.is_none()) {
        let Verdict::Refused(refusal) = judge(mode, record, device, own) else { continue };
        if all || findings.iter().any(|finding| device_of(finding) == Some(id)) {
            info!(
                event = "key_withheld",
                user,
                device_id = %id,
                code = refusal.withheld().as_str(),
                reason = %refusal,
                "a device gets no keys"
            );
        }
    }
}

fn device_of(finding: &Finding) -> Option<&DeviceId> {
    match finding {
        Finding::DeviceFirstSeen { device, .. }
        | Finding::DeviceNew { device, .. }
        | Finding::DeviceKeysChanged { device, .. }
        | Finding::SignatureChanged { device, .. } => Some(device),
        Finding::DeviceGone { .. }
        | Finding::IdentityMade
        | Finding::IdentityChanged { .. }
        | Finding::Verified => None,
    }
}

//! The ledger as a table.

use std::{cmp::Reverse, time::Duration};

use launcher_control::wire::{DecisionReply, KnownDeviceReply, TrustReply, UserReply};
use launcher_core::{
    spec::{Account, Network},
    trust::{Decided, Method, Refusal},
};

use crate::{table::Table, units};

/// How much something needs a look; what needs it most is greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    None,
    New,
    Waits,
    Changed,
}

/// Everybody in the ledger, what needs a look first. `own` is the agent's account.
pub(super) fn of(shown: &TrustReply, own: &Account) -> String {
    let head = format!("trust_mode: {}\n\n", shown.mode);
    if shown.users.is_empty() {
        return format!("{head}the agent has seen nobody yet\n");
    }
    let mut users: Vec<&UserReply> = shown.users.iter().collect();
    users.sort_by_key(|user| Reverse(user_urgency(user)));
    let mut table = Table::new(["WHO", "SINCE", "VERDICT", "NOTES"]);
    for user in users {
        table.row([
            user.user.clone(),
            moment(user.first_seen_ms),
            "-".to_owned(),
            user_notes(user, own).join(", "),
        ]);
        let mut devices: Vec<&KnownDeviceReply> = user.devices.iter().collect();
        devices.sort_by_key(|device| {
            (device.gone_ms.is_some(), Reverse(device_urgency(user, device)))
        });
        for device in devices {
            table.row([
                format!("  {}", device.device_id),
                moment(device.first_seen_ms),
                device.reason.clone().unwrap_or_else(|| device.verdict.clone()),
                device_notes(user, device, own.network).join(", "),
            ]);
        }
    }
    format!("{head}{table}")
}

fn user_urgency(user: &UserReply) -> Urgency {
    match &user.changed {
        Some(_) if !is_blocked(user.decision.as_ref()) => Urgency::Changed,
        _ => {
            let devices = user.devices.iter().map(|device| device_urgency(user, device));
            devices.max().unwrap_or(Urgency::None)
        }
    }
}

fn device_urgency(user: &UserReply, device: &KnownDeviceReply) -> Urgency {
    let waits = [Refusal::AwaitingApproval.code(), Refusal::IdentityChanged.code()];
    match () {
        () if waits.contains(&device.verdict.as_str()) => Urgency::Waits,
        () if is_new(user, device) => Urgency::New,
        () => Urgency::None,
    }
}

/// Whether it came later than its user, and nobody vouches for it yet.
fn is_new(user: &UserReply, device: &KnownDeviceReply) -> bool {
    let is_vouched_for = user.verified.is_some() && device.signed;
    let is_decided = device.decision.is_some() || is_blocked(user.decision.as_ref());
    device.new && device.gone_ms.is_none() && !is_vouched_for && !is_decided
}

fn is_blocked(decision: Option<&DecisionReply>) -> bool {
    decision.is_some_and(|decision| decision.decided == Decided::Blocked)
}

fn user_notes(user: &UserReply, own: &Account) -> Vec<String> {
    let mut notes = Vec::new();
    if user.user == own.user_id {
        notes.push("the agent's own account".to_owned());
    }
    if let Some(change) = &user.changed {
        let was = if change.was_verified { ", was verified before" } else { "" };
        notes.push(format!("changed identity {}{was}", moment(change.at_ms)));
    }
    if let Some(verified) = &user.verified {
        let how = match verified.method {
            Some(Method::Emoji) => "by emojis",
            Some(Method::Qr) => "by QR code",
            None => "by another device of the agent's account",
        };
        notes.push(format!("verified {how} {}", moment(verified.at_ms)));
    }
    let is_signing = own.network == Network::Matrix;
    if is_signing && user.identity.is_none() && !user.devices.is_empty() {
        notes.push("no cross-signing identity".to_owned());
    }
    notes.extend(user.decision.as_ref().map(decided));
    notes
}

fn device_notes(user: &UserReply, device: &KnownDeviceReply, network: Network) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(gone) = device.gone_ms {
        notes.push(format!("gone {}", moment(gone)));
    }
    if is_new(user, device) {
        notes.push("new".to_owned());
    }
    notes.push(match network {
        Network::Matrix if device.signed => "signed".to_owned(),
        Network::Matrix => "not signed".to_owned(),
        // Nobody vouches for it: operators compare its key with its owner.
        Network::Messager => format!("key {}", device.ed25519),
    });
    notes.extend(device.decision.as_ref().map(decided));
    notes
}

fn decided(decision: &DecisionReply) -> String {
    let what = match decision.decided {
        Decided::Approved => "approved",
        Decided::Blocked => "blocked",
    };
    format!("{what} by an operator {}", moment(decision.at_ms))
}

fn moment(millis: u64) -> String {
    units::moment(Duration::from_millis(millis))
}

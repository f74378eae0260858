//! What an operator says about a user or a device.

use super::{Decided, Decision, Method, UserRecord, Verified};
use crate::names::DeviceId;

/// What an operator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Trust the user's devices as they are now, or this one.
    Approve(Option<DeviceId>),
    /// Give no keys to the user, or to this device, and do not obey.
    Block(Option<DeviceId>),
    /// Take back what was decided about the user, and that they were verified.
    Withdraw,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// The ledger does not know such a device.
    #[error("{user} has no device {device}")]
    NoSuchDevice {
        /// Whose device it would be.
        user: String,
        /// The device.
        device: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A device cannot be approved while its user is blocked.
    #[error("{user} is blocked as a whole")]
    UserBlocked {
        /// The user.
        user: String,
    },
    /// There is nothing to approve.
    #[error("no device of {user} is known")]
    NoDevices {
        /// The user.
        user: String,
    },
}

/// The record of a user whom this agent's operator has just verified; `None` if
/// their identity is another one than the one that was verified.
pub fn verified(
    record: &UserRecord,
    master_key: &str,
    method: Method,
    now: u64,
) -> Option<UserRecord> {
    if record.master_key.as_deref() != Some(master_key) {
        return None;
    }
    let mut record = record.clone();
    record.verified = Some(Verified { at: now, method: Some(method) });
    record.withdrawn = None;
    record.changed = None;
    record.told = None;
    Some(record)
}

/// The record after an order of an operator.
///
/// # Errors
///
/// [`OrderRefused`]; then nothing was decided. A user can be blocked before
/// they were ever seen; to be approved they have to be known.
pub fn carry_out(record: &UserRecord, order: &Order, now: u64) -> Result<UserRecord, OrderRefused> {
    let mut record = record.clone();
    let decision = |decided| Some(Decision { decided, at: now });
    match order {
        Order::Approve(None) => {
            let user = record.user.to_string();
            if record.devices.values().all(|device| device.gone.is_some()) {
                return Err(OrderRefused::NoDevices { user });
            }
            record.decision = decision(Decided::Approved);
            for device in record.devices.values_mut().filter(|device| device.gone.is_none()) {
                device.decision = decision(Decided::Approved);
            }
            record.changed = None;
            record.told = None;
        }
        Order::Approve(Some(id)) => {
            if record.is_blocked() {
                return Err(OrderRefused::UserBlocked { user: record.user.to_string() });
            }
            device_mut(&mut record, id)?.decision = decision(Decided::Approved);
            record.changed = None;
            record.told = None;
        }
        Order::Block(None) => record.decision = decision(Decided::Blocked),
        Order::Block(Some(id)) => {
            device_mut(&mut record, id)?.decision = decision(Decided::Blocked);
        }
        Order::Withdraw => {
            record.decision = None;
            record.changed = None;
            if record.verified.take().is_some() {
                record.withdrawn.clone_from(&record.master_key);
            }
            record.told = None;
            for device in record.devices.values_mut() {
                device.decision = None;
            }
        }
    }
    Ok(record)
}

fn device_mut<'a>(
    record: &'a mut UserRecord,
    id: &DeviceId,
) -> Result<&'a mut super::DeviceRecord, OrderRefused> {
    let known = record.devices.iter().filter(|(_, device)| device.gone.is_none());
    let known: Vec<String> = known.map(|(id, _)| id.to_string()).collect();
    let user = record.user.to_string();
    record
        .devices
        .get_mut(id)
        .filter(|device| device.gone.is_none())
        .ok_or_else(|| OrderRefused::NoSuchDevice { user, device: id.to_string(), known })
}

//! Accounts and devices that are there.

use std::path::Path;

use serde::Serialize;

use crate::{
    refusal::Refusal,
    store::{Folder, OpenError, Stop, accounts as tables},
    values::{AccountId, DeviceId, Moment},
};

/// An account, as whoever runs the server sees it. As JSON its moments are in
/// ISO 8601.
#[derive(Clone, Debug, Serialize)]
pub struct KnownAccount {
    /// Its id.
    pub account_id: AccountId,
    /// What it is found by.
    pub name: String,
    pub(crate) created_at: Moment,
    /// Its devices, the oldest first.
    pub devices: Vec<KnownDevice>,
}

/// A device of an account.
#[derive(Clone, Debug, Serialize)]
pub struct KnownDevice {
    /// The device, in Pass and on the websocket.
    pub device_id: DeviceId,
    /// What people call it.
    pub label: Option<String>,
    pub(crate) created_at: Moment,
    pub(crate) last_bundle_at: Option<Moment>,
    pub(crate) revoked_at: Option<Moment>,
    /// Whether it has a token, so that it is let in.
    pub has_token: bool,
}

impl KnownDevice {
    /// Whether its keys are out of use. A device that revoked itself still has
    /// its token; one that was revoked by [`revoke_device`] has none.
    pub fn is_revoked(&self) -> bool {
        self.revoked_at.is_some()
    }
}

/// Lists the accounts of a folder by name; also while a server runs on it.
///
/// # Errors
///
/// See [`OpenError`]; also when no server has ever used the folder.
pub fn accounts(folder: &Path) -> Result<Vec<KnownAccount>, OpenError> {
    let connection = Folder::existing(folder)?.connections().open()?;
    Ok(tables::list(&connection)?)
}

/// Why no device was revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// There is no account of this name, or it has no such device.
    #[error("there is no such {what}")]
    NotThere {
        /// `account` or `device`.
        what: &'static str,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The tables could not be written; the log says why.
    #[error("the device could not be revoked")]
    Tables,
}

/// Revokes a device of the account of a name for good; also while a server runs
/// on the folder, and also again.
///
/// When this returns its token counts no more, nobody gets its keys, and no row
/// that is written from then on reaches it. A server that runs closes its sockets
/// within a second. What waited for it stays until it is swept away.
///
/// # Errors
///
/// See [`RevokeError`]. Then nothing was revoked.
pub fn revoke_device(folder: &Path, name: &str, device: &str) -> Result<(), RevokeError> {
    let mut connection =
        Folder::existing(folder)?.connections().open().map_err(OpenError::Tables)?;
    match tables::revoke_device(&mut connection, name, device) {
        Ok(()) => Ok(()),
        Err(Stop::Refused(Refusal::NotFound(what))) => Err(RevokeError::NotThere { what }),
        Err(Stop::Sqlite(error)) => Err(OpenError::Tables(error).into()),
        Err(stop @ (Stop::Refused(_) | Stop::Json(_) | Stop::Random(_))) => {
            let _: Refusal = stop.into_refusal();
            Err(RevokeError::Tables)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::add_device;

    #[test]
    fn a_revoked_device_is_listed_as_one_without_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let [bob, _] =
            ["bob", "alice"].map(|name| add_device(folder, name, Some("phone")).unwrap());
        let other = add_device(folder, "bob", None).unwrap();
        for _ in 0..2 {
            revoke_device(folder, "BOB", bob.device_id.as_str()).unwrap();
        }
        let listed = accounts(folder).unwrap();
        let names: Vec<&str> = listed.iter().map(|account| account.name.as_str()).collect();
        assert_eq!(names, ["alice", "bob"]);
        let seen = |device: &KnownDevice| {
            (device.device_id.clone(), device.is_revoked(), device.has_token)
        };
        let devices: Vec<_> = listed[1].devices.iter().map(seen).collect();
        assert_eq!(devices.len(), 2);
        assert!(devices.contains(&(bob.device_id, true, false)), "{devices:?}");
        assert!(devices.contains(&(other.device_id, false, true)), "{devices:?}");
    }

    #[test]
    fn what_is_not_there_is_not_revoked_and_no_folder_is_made_for_it() {
        let parent = tempfile::tempdir().unwrap();
        let nowhere = parent.path().join("nowhere");
        assert!(matches!(accounts(&nowhere), Err(OpenError::Folder { .. })));
        let refused = revoke_device(&nowhere, "alice", "a");
        assert!(matches!(refused, Err(RevokeError::Open(OpenError::Folder { .. }))));
        assert!(!nowhere.exists());
        let [alice, bob] = ["alice", "bob"].map(|name| add_device(parent.path(), name, None));
        let (alice, bob) = (alice.unwrap(), bob.unwrap());
        let device = alice.device_id.as_str();
        for (name, device, missing) in
            [("carol", device, "account"), ("bob", device, "device"), ("bob", "", "device")]
        {
            let refused = revoke_device(parent.path(), name, device);
            assert!(matches!(refused, Err(RevokeError::NotThere { what }) if what == missing));
        }
        let listed = accounts(parent.path()).unwrap();
        assert!(listed.iter().flat_map(|account| &account.devices).all(|device| device.has_token));
        assert_eq!(listed[1].devices[0].device_id, bob.device_id);
    }
}

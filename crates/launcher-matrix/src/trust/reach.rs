//! Whom of a user's devices something can be said to.

use std::collections::BTreeSet;

use launcher_core::{
    fault::Fault,
    names::{DeviceId, RoomId, UserId},
    trust::{Refusal, Verdict, judge},
};
use matrix_sdk::{Client, ruma};
use matrix_sdk_base::crypto::{olm::ShareInfo, store::CryptoStore};

use super::{Ledger, ask, store_failed};
use crate::store::StorePlace;

/// The devices that a user has now.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    /// Those that get keys.
    pub(crate) able: BTreeSet<DeviceId>,
    /// Those that do not, and why.
    pub(crate) refused: Vec<(DeviceId, Refusal)>,
}

impl Ledger {
    /// The devices that a user has now, after the server was asked for them if
    /// `fresh`.
    pub(crate) async fn devices_of(
        &self,
        client: &Client,
        user: &UserId,
        fresh: bool,
    ) -> Result<Devices, Fault> {
        if fresh {
            ask(client, user).await;
        }
        let mut state = self.state.lock().await;
        self.reconcile_in(&mut state, client, std::slice::from_ref(user)).await?;
        let Some(record) = state.known.get(user) else { return Ok(Devices::default()) };
        let mut devices = Devices::default();
        for (id, device) in record.devices.iter().filter(|(_, device)| device.gone.is_none()) {
            match judge(self.mode, record, device, *user == self.own) {
                Verdict::Trusted => drop(devices.able.insert(id.clone())),
                Verdict::Refused(refusal) => devices.refused.push((id.clone(), refusal)),
            }
        }
        Ok(devices)
    }
}

/// The user's devices that have the key of the room's current session, by the
/// crypto store's own record of what was sent to them.
pub(crate) async fn holders(
    place: &StorePlace,
    room: &RoomId,
    user: &UserId,
) -> Result<BTreeSet<DeviceId>, Fault> {
    let (Ok(room), Ok(user)) =
        (ruma::RoomId::parse(room.as_str()), ruma::UserId::parse(user.as_str()))
    else {
        return Ok(BTreeSet::new());
    };
    let store = place.open_crypto().await?;
    // A session belongs to the account that the store has loaded.
    store.load_account().await.map_err(store_failed)?;
    let session = store.get_outbound_group_session(&room).await.map_err(store_failed)?;
    let Some(session) = session else { return Ok(BTreeSet::new()) };
    let shared = session.pickle().await.shared_with_set;
    let devices = shared.get(&user).into_iter().flatten();
    let has_it = devices.filter(|(_, share)| matches!(share, ShareInfo::Shared(_)));
    Ok(has_it.map(|(device, _)| DeviceId::new(device.as_str())).collect())
}

//! What is new about devices.
//!
//! The engine says it once, and a kill could come before the person knows. So
//! what is known is compared with what was told, whenever it may have changed
//! and at each start; an account is noted before its devices are asked for.

use serde::{Deserialize, Serialize};
use vodozemac::Ed25519PublicKey;

use super::{Chat, ChatError, DeviceNews, Entry, Happening, Mark};
use crate::crypto::{AccountId, Finding, PeerDevice};

/// A device as it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeviceState {
    ed25519: Ed25519PublicKey,
    is_gone: bool,
    is_disputed: bool,
}

impl DeviceState {
    fn of(device: &PeerDevice) -> Self {
        Self {
            ed25519: device.ed25519,
            is_gone: device.gone.is_some(),
            is_disputed: device.is_disputed(),
        }
    }

    /// What is new compared with what was told before.
    fn news(&self, device: &PeerDevice, told: Option<&Self>) -> Option<DeviceNews> {
        let Some(told) = told else {
            return Some(match (self.is_disputed, device.late) {
                (true, _) => DeviceNews::KeysDisputed,
                (false, true) => DeviceNews::New,
                (false, false) => DeviceNews::FirstSeen,
            });
        };
        match (self.is_disputed && !told.is_disputed, self.is_gone, told.is_gone) {
            (true, _, _) => Some(DeviceNews::KeysDisputed),
            (false, true, false) => Some(DeviceNews::Gone),
            (false, false, true) => Some(DeviceNews::New),
            // With other keys it is another device.
            (false, _, _) if self.ed25519 != told.ed25519 => Some(DeviceNews::New),
            (false, _, _) => None,
        }
    }
}

impl Chat {
    /// Lines up what is new about the devices of an account.
    pub(super) fn tell_devices(&mut self, account: AccountId) -> Result<(), ChatError> {
        let mut told = self.history.told(account)?;
        for device in self.machine.known(account)? {
            let address = device.address.clone();
            let state = DeviceState::of(&device);
            let before = self.telling.get(&address).cloned();
            let before = before.or_else(|| told.remove(&address.device));
            if before.as_ref() == Some(&state) {
                continue;
            }
            let news = state.news(&device, before.as_ref());
            let happening = news.map(|news| Happening::Device { address: address.clone(), news });
            self.telling.insert(address.clone(), state.clone());
            self.queue.push_back(Entry { happening, mark: Mark::Device { address, state } });
        }
        Ok(())
    }

    /// Takes in the devices that the server shows of an account.
    pub(super) async fn look_up(&mut self, account: AccountId) -> Result<(), ChatError> {
        self.history.watch(account)?;
        let shown = self.client.devices(account).await?;
        let found = self.machine.devices(account, &shown, self.now())?;
        self.tell_found(account, found)
    }

    /// Takes in the devices of an account with a key claimed of each.
    pub(super) async fn claim(&mut self, account: AccountId) -> Result<(), ChatError> {
        self.history.watch(account)?;
        let shown = self.client.claim(account).await?;
        let found = self.machine.claimed(account, &shown, self.now())?;
        self.tell_found(account, found)
    }

    fn tell_found(&mut self, account: AccountId, found: Vec<Finding>) -> Result<(), ChatError> {
        for finding in found {
            let (address, news) = match finding {
                Finding::OwnKeysReplaced(address) => (address, DeviceNews::OwnKeysReplaced),
                Finding::Unusable(address, problem) => (address, DeviceNews::Unusable(problem)),
                // What is known of them says so.
                Finding::DeviceFirstSeen(_)
                | Finding::DeviceNew(_)
                | Finding::DeviceGone(_)
                | Finding::KeysChanged(_) => continue,
            };
            self.tell(Happening::Device { address, news });
        }
        self.tell_devices(account)
    }
}

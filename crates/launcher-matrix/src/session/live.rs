//! A client with its stores open.

use std::{collections::BTreeSet, pin::Pin, sync::PoisonError};

use futures_util::{FutureExt, Stream, StreamExt};
use launcher_core::names::UserId;
use matrix_sdk::{Client, store::StateStoreDataKey, sync::RoomUpdates};
use matrix_sdk_base::crypto::store::types::RoomKeyInfo;
use tokio::sync::broadcast::Receiver;

use crate::undecryptable::Keys;

/// A client with its stores open.
pub(super) struct Live {
    pub(super) client: Client,
    updates: std::sync::Mutex<Receiver<RoomUpdates>>,
    keys: std::sync::Mutex<Option<KeyStream>>,
    people: std::sync::Mutex<Option<PeopleStream>>,
}

/// Announces room keys that arrived, by whatever way. `None`: some were missed.
type KeyStream = Pin<Box<dyn Stream<Item = Option<Vec<RoomKeyInfo>>> + Send>>;

/// Announces users whose identity or devices are new or changed.
type PeopleStream = Pin<Box<dyn Stream<Item = BTreeSet<UserId>> + Send>>;

/// The SDK keeps that many announcements for somebody who does not listen, and
/// drops older ones without a word.
const ANNOUNCEMENTS: usize = 20;

/// About whom there is something new.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum People {
    /// These users.
    Some(BTreeSet<UserId>),
    /// Announcements may have been dropped: it can be anybody.
    Anybody,
}

impl Live {
    pub(super) async fn new(client: Client) -> Self {
        let updates = std::sync::Mutex::new(client.subscribe_to_all_room_updates());
        let keys = client.encryption().room_keys_received_stream().await;
        let keys = keys.map(|stream| stream.map(Result::ok).boxed());
        let people = people(&client).await;
        Self {
            client,
            updates,
            keys: std::sync::Mutex::new(keys),
            people: std::sync::Mutex::new(people),
        }
    }

    /// Whether the server once refused one-time keys because it has others
    /// under the same ids. The SDK remembers that in its state store.
    pub(super) async fn has_key_conflict(&self) -> bool {
        let key = StateStoreDataKey::OneTimeKeyAlreadyUploaded;
        matches!(self.client.state_store().get_kv_data(key).await, Ok(Some(_)))
    }

    /// The sessions whose keys arrived since this was last asked.
    pub(super) fn received_keys(&self) -> Keys {
        let mut stream = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = stream.as_mut() else { return Keys::Unknown };
        let mut found = BTreeSet::new();
        while let Some(Some(keys)) = stream.next().now_or_never() {
            let Some(keys) = keys else { return Keys::Unknown };
            found.extend(keys.into_iter().map(|key| (key.room_id.to_string(), key.session_id)));
        }
        Keys::Of(found)
    }

    /// The users about whom something is new since this was last asked.
    pub(super) fn changed_people(&self) -> People {
        let mut stream = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = stream.as_mut() else { return People::Anybody };
        let mut found = BTreeSet::new();
        let mut count = 0;
        while let Some(Some(people)) = stream.next().now_or_never() {
            found.extend(people);
            count += 1;
        }
        match count < ANNOUNCEMENTS {
            true => People::Some(found),
            false => People::Anybody,
        }
    }

    pub(super) fn forget_updates(&self) {
        while self.last_update().is_some() {}
    }

    pub(super) fn last_update(&self) -> Option<RoomUpdates> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }
}

async fn people(client: &Client) -> Option<PeopleStream> {
    let encryption = client.encryption();
    let devices = encryption.devices_stream().await.ok()?.map(|updates| {
        let users = updates.new.keys().chain(updates.changed.keys());
        users.map(|user| UserId::new(user.as_str())).collect()
    });
    let identities = encryption.user_identities_stream().await.ok()?.map(|updates| {
        let users = updates.new.keys().chain(updates.changed.keys());
        users.map(|user| UserId::new(user.as_str())).collect()
    });
    Some(futures_util::stream::select(devices, identities).boxed())
}

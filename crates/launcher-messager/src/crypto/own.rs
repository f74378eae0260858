//! This device's own keys: what is published, topped up and replaced.

use serde::{Deserialize, Serialize};
use vodozemac::{
    Curve25519PublicKey,
    olm::{Account, AccountPickle},
};

use super::{
    bundle::{
        ALGORITHM, OneTimeKey, PublicBundle, SignedPreKey, Statement, Upload, UploadMark, listed,
    },
    ids::Address,
    rotation::Keys,
};

/// As many one-time keys as there should be at the server.
const WANTED: usize = 50;

/// With fewer than this, new ones are made.
const FEW: usize = 25;

/// The longest list that is signed. Older keys are no longer vouched for.
const LONGEST_LIST: usize = 100;

/// How long a pre-key is published, in milliseconds: a week.
const PRE_KEY_AGE: u64 = 7 * 24 * 60 * 60 * 1000;

/// How long the one before still opens sessions, in milliseconds: two days,
/// counted from when the server had the new one.
const OVERLAP: u64 = 2 * 24 * 60 * 60 * 1000;

/// Keys are made because somebody used up all at most this often: an hour.
const REFILL_PAUSE: u64 = 60 * 60 * 1000;

/// The device's keys with what is known about them.
pub(crate) struct Own {
    pub(crate) account: Account,
    pub(crate) notes: Notes,
}

/// What the Olm account does not know about itself.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Notes {
    pub(crate) address: Address,
    keys: Keys,
    /// One-time keys that are not known to be used, the oldest first.
    one_time: Vec<(i32, Curve25519PublicKey)>,
    next_id: i32,
    pre_key: PreKey,
    /// When the pre-key before this one is forgotten.
    forget_previous: Option<u64>,
    published: Option<UploadMark>,
    /// The latest generation of which something may be at the server.
    #[serde(default)]
    offered: u64,
    /// Somebody had to use the pre-key, so the server has no one-time keys.
    drained: bool,
    refilled: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct PreKey {
    id: i32,
    key: Curve25519PublicKey,
    made: u64,
}

impl Notes {
    /// Whose keys they are.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn keys(&self) -> Keys {
        self.keys
    }

    /// Whether keys are to be made or forgotten.
    fn is_due(&self, now: u64) -> bool {
        self.is_forgetting_due(now) || self.is_pre_key_due(now) || self.wanted(now) > 0
    }

    fn is_forgetting_due(&self, now: u64) -> bool {
        self.forget_previous.is_some_and(|due| due <= now)
    }

    /// A clock that went back makes a key early, which harms nobody.
    fn is_pre_key_due(&self, now: u64) -> bool {
        let is_published = self.published.is_some_and(|mark| mark.pre_key_id == self.pre_key.id);
        let is_settled = is_published && self.forget_previous.is_none();
        is_settled && now.abs_diff(self.pre_key.made) >= PRE_KEY_AGE
    }

    /// How many one-time keys are to be made.
    fn wanted(&self, now: u64) -> usize {
        match self.one_time.len() {
            _ if self.drained && now.abs_diff(self.refilled) >= REFILL_PAUSE => WANTED,
            there if there < FEW => WANTED - there,
            _ => 0,
        }
    }

    fn mark(&self, generation: u64) -> UploadMark {
        UploadMark { generation, next_id: self.next_id, pre_key_id: self.pre_key.id }
    }

    /// Whether nothing is to be made, and the server has all.
    pub(crate) fn is_current(&self, generation: u64, now: u64) -> bool {
        !self.is_due(now) && self.published == Some(self.mark(generation))
    }

    /// The latest generation of which something may be at the server.
    pub(crate) fn offered(&self) -> u64 {
        self.offered
    }
}

impl Own {
    /// A new device.
    pub(crate) fn new(address: Address, now: u64) -> Self {
        let mut account = Account::new();
        let pre_key = make_pre_key(&mut account, 1, now);
        let notes = Notes {
            address,
            keys: Keys { curve25519: account.curve25519_key(), ed25519: account.ed25519_key() },
            one_time: Vec::new(),
            next_id: 1,
            pre_key,
            forget_previous: None,
            published: None,
            offered: 0,
            drained: false,
            refilled: now,
        };
        let mut own = Self { account, notes };
        own.refresh(now);
        own
    }

    pub(crate) fn from_pickle(account: AccountPickle, notes: Notes) -> Self {
        Self { account: Account::from_pickle(account), notes }
    }

    pub(crate) fn keys(&self) -> Keys {
        self.notes.keys
    }

    /// Makes the keys that are due, and forgets those that are over.
    pub(crate) fn refresh(&mut self, now: u64) {
        if self.notes.is_forgetting_due(now) {
            self.account.forget_fallback_key();
            self.notes.forget_previous = None;
        }
        if self.notes.is_pre_key_due(now) {
            let id = self.notes.pre_key.id.saturating_add(1);
            self.notes.pre_key = make_pre_key(&mut self.account, id, now);
        }
        let wanted = self.notes.wanted(now);
        if wanted == 0 {
            return;
        }
        self.notes.drained = false;
        self.notes.refilled = now;
        for key in self.account.generate_one_time_keys(wanted).created {
            self.notes.one_time.push((self.notes.next_id, key));
            self.notes.next_id = self.notes.next_id.saturating_add(1);
        }
        let surplus = self.notes.one_time.len().saturating_sub(LONGEST_LIST);
        self.notes.one_time.drain(..surplus);
    }

    /// A session was opened with one of the keys.
    pub(crate) fn used(&mut self, key: &Curve25519PublicKey) {
        let before = self.notes.one_time.len();
        self.notes.one_time.retain(|(_, there)| there != key);
        self.notes.drained |= self.notes.one_time.len() == before;
    }

    /// What has to be published, if anything has.
    pub(crate) fn upload(&self, generation: u64) -> Option<Upload> {
        let mark = self.notes.mark(generation);
        if self.notes.published == Some(mark) {
            return None;
        }
        let list: Vec<u8> =
            self.notes.one_time.iter().flat_map(|(id, key)| listed(*id, key)).collect();
        let statement = Statement {
            address: &self.notes.address,
            keys: self.keys(),
            generation,
            pre_key_id: self.notes.pre_key.id,
            pre_key: self.notes.pre_key.key,
            list: &list,
        };
        let bundle = PublicBundle {
            address: self.notes.address.clone(),
            algorithm: ALGORITHM.to_owned(),
            identity_key: self.account.curve25519_key().to_vec(),
            signed_pre_key: SignedPreKey {
                id: self.notes.pre_key.id,
                key: self.notes.pre_key.key.to_vec(),
                signature: self.account.sign(statement.bytes()).to_bytes().to_vec(),
            },
            one_time_pre_key: None,
            meta: statement.meta(),
        };
        let one_time_keys = self.notes.one_time.iter();
        let one_time_keys =
            one_time_keys.map(|(id, key)| OneTimeKey { id: *id, key: key.to_vec() }).collect();
        Some(Upload { bundle, one_time_keys, mark })
    }

    /// Something of this generation is about to be uploaded.
    pub(crate) fn offer(&mut self, generation: u64) {
        self.notes.offered = self.notes.offered.max(generation);
    }

    /// The server has what was uploaded.
    pub(crate) fn uploaded(&mut self, mark: UploadMark, now: u64) {
        let before = self.notes.published.map(|published| published.pre_key_id);
        if before.is_some_and(|before| before != mark.pre_key_id) {
            self.notes.forget_previous = Some(now.saturating_add(OVERLAP));
        }
        // Keys that were made meanwhile are uploaded again; the server passes over what it has.
        self.account.mark_keys_as_published();
        self.notes.published = Some(mark);
    }
}

fn make_pre_key(account: &mut Account, id: i32, now: u64) -> PreKey {
    account.generate_fallback_key();
    let made = account.fallback_key().into_values().next();
    // A fallback key that was made in the line above is there.
    let key = made.unwrap_or_else(|| account.curve25519_key());
    PreKey { id, key, made: now }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{AccountId, BundleProblem, DeviceName, bundle::check};

    const HOUR: u64 = 60 * 60 * 1000;

    fn own() -> Own {
        let account = AccountId::from_bytes([1; 16]);
        Own::new(Address::new(account, DeviceName::new("phone").unwrap()), 0)
    }

    #[test]
    fn a_bundle_is_accepted_with_each_of_its_one_time_keys() {
        let upload = own().upload(1).unwrap();
        assert_eq!(upload.one_time_keys.len(), 50);
        for key in upload.one_time_keys {
            let bundle =
                PublicBundle { one_time_pre_key: Some(key.clone()), ..upload.bundle.clone() };
            assert_eq!(check(&bundle).unwrap().opening.to_vec(), key.key);
        }
    }

    #[test]
    fn no_field_of_a_bundle_can_be_changed() {
        let bundle = own().upload(1).unwrap().bundle;
        let problem = |change: fn(&mut PublicBundle)| {
            let mut changed = bundle.clone();
            change(&mut changed);
            check(&changed).map(|_| ()).unwrap_err()
        };
        let signature = BundleProblem::Signature;
        assert_eq!(problem(|bundle| bundle.identity_key[0] ^= 1), signature);
        assert_eq!(problem(|bundle| bundle.signed_pre_key.key[0] ^= 1), signature);
        assert_eq!(problem(|bundle| bundle.signed_pre_key.id += 1), signature);
        assert_eq!(problem(|bundle| bundle.signed_pre_key.signature[0] ^= 1), signature);
        assert_eq!(problem(|bundle| bundle.meta["generation"] = 2.into()), signature);
        assert_eq!(problem(|bundle| bundle.meta["one_time_keys"] = "".into()), signature);
        let other = AccountId::from_bytes([2; 16]);
        let changed = PublicBundle {
            address: Address::new(other, bundle.address.device.clone()),
            ..bundle.clone()
        };
        assert_eq!(check(&changed).map(|_| ()), Err(signature));
        assert_eq!(problem(|bundle| bundle.algorithm.clear()), BundleProblem::Algorithm);
        assert_eq!(problem(|bundle| bundle.identity_key.clear()), BundleProblem::Incomplete);
        assert_eq!(
            problem(|bundle| bundle.meta = serde_json::Value::Null),
            BundleProblem::Incomplete
        );
    }

    #[test]
    fn a_one_time_key_of_the_servers_own_making_is_passed_over() {
        let mut bundle = own().upload(1).unwrap().bundle;
        bundle.one_time_pre_key = Some(OneTimeKey { id: 1, key: vec![9; 32] });
        assert_eq!(check(&bundle).unwrap().opening.to_vec(), bundle.signed_pre_key.key);
    }

    #[test]
    fn keys_are_made_when_few_are_left_and_their_numbers_grow() {
        let mut own = own();
        let first = own.upload(1).unwrap();
        own.uploaded(first.mark, 0);
        assert_eq!(own.upload(1), None);
        let keys: Vec<_> = own.notes.one_time.iter().map(|(_, key)| *key).collect();
        for key in &keys[..26] {
            own.used(key);
        }
        own.refresh(1);
        let second = own.upload(1).unwrap();
        assert_eq!(second.one_time_keys.len(), 50);
        assert_eq!(second.one_time_keys.last().unwrap().id, 76);
    }

    #[test]
    fn a_drained_pool_is_refilled_once_an_hour() {
        let mut own = own();
        for hour in 1..4 {
            let pre_key = own.notes.pre_key.key;
            own.used(&pre_key);
            own.refresh(hour * HOUR);
            own.used(&pre_key);
            own.refresh(hour * HOUR + 1);
            assert_eq!(own.notes.next_id, 51 + i32::try_from(hour).unwrap() * 50);
            assert!(own.notes.one_time.len() <= LONGEST_LIST);
        }
    }

    #[test]
    fn a_pre_key_is_replaced_each_week_and_the_old_one_works_for_two_days_more() {
        let mut own = own();
        own.uploaded(own.upload(1).unwrap().mark, 0);
        let old = own.notes.pre_key.key;
        own.refresh(PRE_KEY_AGE);
        assert_ne!(own.notes.pre_key.key, old);
        own.uploaded(own.upload(1).unwrap().mark, PRE_KEY_AGE);
        own.refresh(PRE_KEY_AGE + OVERLAP - 1);
        assert!(own.notes.forget_previous.is_some());
        own.refresh(PRE_KEY_AGE + OVERLAP);
        assert!(own.notes.forget_previous.is_none());
    }
}

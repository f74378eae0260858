//! The trust ledger of an agent that runs: what the machine knows of devices
//! goes in, and who may have keys and is obeyed comes out.
//!
//! The core's ledger and the machine's own list of devices are two stores. The
//! machine's is changed first, and the ledger brought up to it before it is
//! used; so after a kill in between, nothing is used that was not announced.

use std::{collections::BTreeMap, sync::Arc};

use launcher_core::{
    fault::Fault,
    names::{DeviceId, UserId},
    spec::{AgentSpec, TrustMode},
    trust::{
        Assurance, DeviceRecord, Finding, Order, Reconciled, Refusal, SeenDevice, SeenUser, Sender,
        UserRecord, Verdict, carry_out, judge, judge_message, reconcile,
    },
};
use launcher_runtime::{
    ports::{journal::Journal, trust::TrustError},
    stamp,
};
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use crate::{
    crypto::{self, AccountId, Address, PeerDevice, RowSender, Withheld},
    engine::Engine,
    names,
};

/// One agent's trust ledger.
pub(crate) struct Ledger {
    spec: AgentSpec,
    mode: TrustMode,
    engine: Engine,
    journal: Arc<dyn Journal>,
    /// Who reads a record to change it.
    turn: Mutex<()>,
}

/// A user as the ledger and the machine know them.
struct Known {
    record: UserRecord,
    devices: Vec<PeerDevice>,
    is_news: bool,
}

impl Ledger {
    pub(crate) fn new(spec: &AgentSpec, engine: Engine, journal: Arc<dyn Journal>) -> Self {
        let mode = spec.encryption.trust_mode;
        Self { spec: spec.clone(), mode, engine, journal, turn: Mutex::default() }
    }

    /// Everybody in the ledger, by user id.
    pub(crate) async fn users(&self) -> Result<Vec<UserRecord>, Fault> {
        self.journal.trust_ledger().await
    }

    /// Brings the ledger up to what the machine knows of these accounts. Returns
    /// those about whom something is new.
    pub(crate) async fn follow(&self, accounts: &[AccountId]) -> Result<Vec<AccountId>, Fault> {
        let known = self.look(accounts).await?;
        Ok(known
            .into_iter()
            .filter(|(_, known)| known.is_news)
            .map(|(account, _)| account)
            .collect())
    }

    /// Which devices of these accounts may have keys, as they are now, and which
    /// may not, and why.
    pub(crate) async fn judged(&self, accounts: &[AccountId]) -> Result<Judged, Fault> {
        let mut judged = Judged::default();
        for known in self.look(accounts).await?.values() {
            for device in known.devices.iter().filter(|device| device.is_present()) {
                match self.verdict(&known.record, device) {
                    Verdict::Trusted => {
                        judged.allowed.insert(device.address.clone(), device.clone());
                    }
                    Verdict::Refused(refusal) => {
                        judged.withheld.insert(device.address.clone(), told(refusal));
                    }
                }
            }
        }
        Ok(judged)
    }

    /// The devices of an account that may have keys, and those that may not.
    pub(crate) async fn devices_of(&self, account: AccountId) -> Result<Devices, Fault> {
        let mut devices = Devices::default();
        for known in self.look(&[account]).await?.values() {
            for device in known.devices.iter().filter(|device| device.gone.is_none()) {
                match (self.verdict(&known.record, device), device.is_disputed()) {
                    (Verdict::Trusted, false) => devices.able.push(device.address.clone()),
                    (Verdict::Trusted, true) => {
                        devices.refused.push((device.address.clone(), Refusal::IdentityChanged));
                    }
                    (Verdict::Refused(refusal), _) => {
                        devices.refused.push((device.address.clone(), refusal));
                    }
                }
            }
        }
        Ok(devices)
    }

    /// Whether a message of this device is acted upon.
    pub(crate) async fn judge_row(
        &self,
        sender: &RowSender,
    ) -> Result<Result<Assurance, Refusal>, Fault> {
        let account = sender.address.account;
        let known = self.look(&[account]).await?.remove(&account);
        let record = known.as_ref().map(|known| &known.record);
        let curve25519 = sender.curve25519.to_base64();
        if record.is_some_and(|record| record.is_blocked() || record.blocks_key(&curve25519)) {
            return Ok(Err(Refusal::Blocked));
        }
        Ok(match (&sender.device, record) {
            // Somebody has shown other keys for it since it shared this one.
            (Some(device), _) if device.is_disputed() => Err(Refusal::IdentityChanged),
            (Some(device), Some(record)) => {
                let found = record_of(record, device);
                judge_message(
                    self.mode,
                    Some(record),
                    found.map_or(Sender::Unknown, Sender::Device),
                )
            }
            // Its keys were replaced by an operator's word: what it wrote before is nobody's.
            (None, _) | (Some(_), None) => Err(Refusal::UnknownDevice),
        })
    }

    /// Whether a message that was not encrypted is acted upon.
    pub(crate) async fn judge_plain(
        &self,
        account: AccountId,
    ) -> Result<Result<Assurance, Refusal>, Fault> {
        let record = self.journal.trust_records(&[names::user(account)]).await?.pop();
        Ok(judge_message(self.mode, record.as_ref(), Sender::InTheClear))
    }

    /// Carries out an operator's order upon what the ledger showed: nothing is
    /// looked at before. It is in the ledger before the machine takes the keys
    /// that were approved; after a kill in between the next look has it take them.
    pub(crate) async fn decide(
        &self,
        user: &UserId,
        order: &Order,
    ) -> Result<UserRecord, TrustError> {
        let account = names::account_of(user).ok_or_else(|| TrustError::Refused {
            reason: format!("{user} is no account id"),
            action: format!("`launcher trust {}` lists those that are known", self.spec.id),
        })?;
        let user = names::user(account);
        let decided = {
            let _turn = self.turn.lock().await;
            let stored = self.journal.trust_records(std::slice::from_ref(&user)).await?.pop();
            let now = stamp().0;
            let record = stored.unwrap_or_else(|| UserRecord::new(user, now));
            let record = carry_out(&record, order, now)?;
            self.journal.keep_trust(std::slice::from_ref(&record)).await?;
            record
        };
        let known = self.look(&[account]).await?.remove(&account);
        let record = known.map_or_else(|| decided.clone(), |known| known.record);
        match voided(order, &decided, &record) {
            Some(device) => Err(TrustError::Refused {
                reason: format!("the server shows other keys for {device} than were approved"),
                action: format!(
                    "compare the key that `launcher trust {}` shows now with its owner, and \
                     repeat the command",
                    self.spec.id
                ),
            }),
            None => Ok(record),
        }
    }

    fn verdict(&self, record: &UserRecord, device: &PeerDevice) -> Verdict {
        if record.blocks_key(&device.curve25519.to_base64()) {
            return Verdict::Refused(Refusal::Blocked);
        }
        match record_of(record, device) {
            // No account here signs its devices: its own ones are approved like all others.
            Some(found) => judge(self.mode, record, found, false),
            None => Verdict::Refused(Refusal::UnknownDevice),
        }
    }

    async fn look(&self, accounts: &[AccountId]) -> Result<BTreeMap<AccountId, Known>, Fault> {
        let _turn = self.turn.lock().await;
        let all = accounts.to_vec();
        let devices = self
            .engine
            .ask(move |machine| {
                let known = |account| Ok((account, machine.known(account)?));
                all.into_iter().map(known).collect::<Result<Vec<_>, crate::store::StoreError>>()
            })
            .await?;
        let users: Vec<UserId> = accounts.iter().map(|account| names::user(*account)).collect();
        let records = self.journal.trust_records(&users).await?;
        let mut records: BTreeMap<UserId, UserRecord> =
            records.into_iter().map(|record| (record.user.clone(), record)).collect();
        let mut looked = BTreeMap::new();
        let (mut changed, now) = (Vec::new(), stamp().0);
        for (account, devices) in devices {
            let user = names::user(account);
            let before = records.remove(&user);
            // Somebody whose devices nobody has asked for yet is not without devices.
            let (record, findings) = match (devices.is_empty(), before.clone()) {
                (true, before) => {
                    (before.unwrap_or_else(|| UserRecord::new(user, now)), Vec::new())
                }
                (false, before) => {
                    let Reconciled { record, findings } =
                        reconcile(before.as_ref(), &seen(&user, &devices), now);
                    (record, findings)
                }
            };
            if !devices.is_empty() && before.as_ref() != Some(&record) {
                changed.push(record.clone());
            }
            let is_news = !findings.is_empty();
            let known = Known { record, devices, is_news };
            looked.insert(account, (known, findings));
        }
        if !changed.is_empty() {
            self.journal.keep_trust(&changed).await?;
        }
        for (known, findings) in looked.values() {
            self.say(known, findings);
        }
        for (known, _) in looked.values_mut() {
            if self.take_approved(&known.record, &known.devices).await? {
                let account = known.devices.first().map(|device| device.address.account);
                if let Some(account) = account {
                    known.devices = self.engine.ask(move |machine| machine.known(account)).await?;
                }
            }
        }
        Ok(looked.into_iter().map(|(account, (known, _))| (account, known)).collect())
    }

    /// Has the machine take keys that an operator has approved instead of those
    /// that their devices had.
    async fn take_approved(
        &self,
        record: &UserRecord,
        devices: &[PeerDevice],
    ) -> Result<bool, Fault> {
        let mut taken = false;
        for device in devices {
            let Some(keys) = device.disputed else { continue };
            let approved = record.devices.get(&names::device(&device.address.device));
            let is_approved = approved.is_some_and(|approved| {
                approved.is_approved()
                    && approved.ed25519 == keys.ed25519.to_base64()
                    && approved.curve25519 == keys.curve25519.to_base64()
            });
            if is_approved && !record.is_blocked() {
                let address = device.address.clone();
                taken |=
                    self.engine.ask(move |machine| machine.accept(&address, &keys.ed25519)).await?;
            }
        }
        Ok(taken)
    }

    fn say(&self, known: &Known, findings: &[Finding]) {
        let user = known.record.user.as_str();
        for finding in findings {
            match finding {
                Finding::DeviceFirstSeen { device, .. } => {
                    info!(event = "device_first_seen", user, device_id = %device, "met a device for the first time");
                }
                Finding::DeviceNew { device, .. } => {
                    warn!(event = "device_new", user, device_id = %device, "somebody has a device that they did not have before");
                }
                Finding::DeviceKeysChanged { device, .. } => {
                    warn!(
                        event = "identity_changed",
                        user,
                        device_id = %device,
                        action = format!("compare its key with its owner, then `launcher trust {} approve {user} {device}`", self.spec.id),
                        "the server shows other keys for a device than it had; it gets nothing and is not obeyed"
                    );
                }
                Finding::DeviceGone { device } => {
                    info!(event = "device_removed", user, device_id = %device, "a device is gone from its account");
                }
                // Nobody signs devices on this network.
                Finding::SignatureChanged { .. }
                | Finding::IdentityMade
                | Finding::IdentityChanged { .. }
                | Finding::Verified => {}
            }
        }
        if findings.is_empty() {
            return;
        }
        for device in known.devices.iter().filter(|device| device.is_present()) {
            if let Verdict::Refused(refusal) = self.verdict(&known.record, device) {
                let code = told(refusal);
                info!(
                    event = "key_withheld",
                    user,
                    device_id = %device.address.device.as_str().escape_debug(),
                    ?code,
                    reason = %refusal,
                    "a device gets no keys"
                );
            }
        }
    }
}

/// What the trust policy says of devices that are there.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// With the keys that they were judged by.
    pub(crate) allowed: BTreeMap<Address, PeerDevice>,
    pub(crate) withheld: BTreeMap<Address, Withheld>,
}

/// Devices of somebody, by whether they may have keys.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) able: Vec<Address>,
    pub(crate) refused: Vec<(Address, Refusal)>,
}

/// Says what the machine has found out that no ledger knows.
pub(crate) fn say_findings(findings: &[crypto::Finding]) {
    for finding in findings {
        match finding {
            crypto::Finding::OwnKeysReplaced(address) => {
                error!(event = "keys_disputed", device_id = %address.device.as_str().escape_debug(), "the server shows other keys for this very device than it has");
            }
            crypto::Finding::Unusable(address, problem) => {
                warn!(event = "key_withheld", user = %address.account, device_id = %address.device.as_str().escape_debug(), reason = %problem, "a device cannot be talked to");
            }
            // These are said when they are in the ledger.
            crypto::Finding::DeviceFirstSeen(_)
            | crypto::Finding::DeviceNew(_)
            | crypto::Finding::DeviceGone(_)
            | crypto::Finding::KeysChanged(_) => {}
        }
    }
}

/// A device whose keys are not those any more that an order has approved.
fn voided(order: &Order, decided: &UserRecord, now: &UserRecord) -> Option<DeviceId> {
    let Order::Approve(which) = order else { return None };
    let is_meant = |id: &DeviceId| which.as_ref().is_none_or(|which| which == id);
    let approved = decided
        .devices
        .iter()
        .filter(|(id, device)| is_meant(id) && device.gone.is_none() && device.is_approved());
    let mut approved = approved.filter(|(id, device)| {
        let same = |now: &&DeviceRecord| {
            now.ed25519 == device.ed25519 && now.curve25519 == device.curve25519
        };
        now.devices.get(id).filter(same).is_none()
    });
    approved.next().map(|(id, _)| id.clone())
}

/// The record of exactly this device, with exactly these keys.
fn record_of<'a>(record: &'a UserRecord, device: &PeerDevice) -> Option<&'a DeviceRecord> {
    let found = record.devices.get(&names::device(&device.address.device))?;
    let is_same = found.curve25519 == device.curve25519.to_base64()
        && found.ed25519 == device.ed25519.to_base64();
    is_same.then_some(found)
}

/// The devices as the server shows them now: a disputed one has the keys that
/// an operator has to compare.
fn seen(user: &UserId, devices: &[PeerDevice]) -> SeenUser {
    let present = devices.iter().filter(|device| device.gone.is_none());
    let devices = present.map(|device| {
        let keys = device.disputed.unwrap_or_else(|| device.keys());
        SeenDevice {
            id: names::device(&device.address.device),
            ed25519: keys.ed25519.to_base64(),
            curve25519: keys.curve25519.to_base64(),
            signed: false,
        }
    });
    SeenUser { user: user.clone(), identity: None, devices: devices.collect() }
}

/// What a device is told that gets no key.
pub(crate) fn told(refusal: Refusal) -> Withheld {
    match refusal {
        Refusal::Blocked => Withheld::Blocked,
        Refusal::IdentityChanged => Withheld::Keys,
        Refusal::Unsigned
        | Refusal::AwaitingApproval
        | Refusal::UnknownDevice
        | Refusal::Unproven
        | Refusal::InTheClear => Withheld::Unapproved,
    }
}

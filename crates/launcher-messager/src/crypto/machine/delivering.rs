//! Envelopes that wait for the server, and what else is to be done.

use std::collections::{BTreeMap, BTreeSet};

use super::{Machine, Me, asking};
use crate::{
    crypto::{
        AccountId, BundleProblem, DeviceName, EnvelopeKind, Fanout, Payload, RoomId, Withheld,
        envelope::filler,
    },
    store::{OutgoingRow, StoreError, Tx},
};

/// A device's sessions are made anew at most this often: once an hour.
pub(super) const MEND_PAUSE: u64 = 60 * 60 * 1000;

/// What is to be done beside sending and reading. In this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Ask for these accounts' devices, and hand them to [`Machine::devices`].
    pub look_up: Vec<AccountId>,
    /// Claim a key of each device, and hand them to [`Machine::claimed`].
    pub claim: Vec<AccountId>,
    /// Send these, one after the other, and report each by [`Machine::delivered`].
    pub deliver: Vec<Fanout>,
}

impl Machine {
    /// What is to be done now. Ask at each start, after each envelope, and
    /// every few seconds while rows are locked.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn work(&mut self, now: u64) -> Result<Work, StoreError> {
        let me = &self.me;
        self.store.write(|tx| {
            let (look_up, mut claim) = asking::ask_for_missing(tx, me, now)?;
            claim.extend(tx.wedged_accounts(now, MEND_PAUSE)?);
            let deliver = fanouts(tx, me, tx.outgoing(None)?)?;
            let claim = claim.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            Ok(Work { look_up, claim, deliver })
        })
    }

    /// The server has the envelopes, or will never take them because the
    /// account is gone. After a 409 for wrong devices call [`Machine::devices`]
    /// with the present ones instead, and ask again what is to be delivered.
    ///
    /// # Errors
    ///
    /// If the store cannot be used.
    pub fn delivered(&mut self, fanout: &Fanout) -> Result<(), StoreError> {
        self.store
            .write(|tx| fanout.numbers.iter().try_for_each(|number| tx.forget_outgoing(*number)))
    }
}

/// Envelopes of one fan-out: of one account and kind, about one room, no two
/// for one device.
type Batch = (AccountId, i32, Option<RoomId>, usize);

/// Puts envelopes together as the server wants them: with something for each
/// device that it shows. Forgets those for devices that it shows no more.
pub(super) fn fanouts(
    tx: &Tx<'_>,
    me: &Me,
    rows: Vec<OutgoingRow>,
) -> Result<Vec<Fanout>, StoreError> {
    let mut shown = BTreeMap::new();
    let mut turns: BTreeMap<(AccountId, i32, Option<RoomId>, DeviceName), usize> = BTreeMap::new();
    let mut batches: BTreeMap<Batch, Vec<OutgoingRow>> = BTreeMap::new();
    for row in rows {
        let account = row.to.account;
        if let std::collections::btree_map::Entry::Vacant(vacant) = shown.entry(account) {
            vacant.insert(tx.account(account)?.map(|record| record.shown).unwrap_or_default());
        }
        if !shown.get(&account).is_some_and(|devices| devices.contains_key(&row.to.device)) {
            tx.forget_outgoing(row.number)?;
            continue;
        }
        let about = (account, row.kind.number(), row.room);
        let turn = turns.entry((about.0, about.1, about.2, row.to.device.clone())).or_default();
        batches.entry((about.0, about.1, about.2, *turn)).or_default().push(row);
        *turn += 1;
    }
    let none = BTreeMap::new();
    let mut fanouts: Vec<Fanout> = batches
        .into_iter()
        .filter_map(|((account, kind, group, _), rows)| {
            let kind = EnvelopeKind::from_number(kind.into())?;
            let devices = shown.get(&account).unwrap_or(&none);
            Some(fanout(me, account, kind, group, rows, devices))
        })
        .collect();
    // What was lined up first goes first, so that Olm's order is kept.
    fanouts.sort_by_key(|fanout| fanout.numbers.iter().min().copied());
    Ok(fanouts)
}

fn fanout(
    me: &Me,
    account: AccountId,
    kind: EnvelopeKind,
    group: Option<RoomId>,
    rows: Vec<OutgoingRow>,
    devices: &BTreeMap<DeviceName, Option<BundleProblem>>,
) -> Fanout {
    // Each device has fillers with names of their own, as the server may tell
    // envelopes apart by device and name.
    let name = rows.first().map(|row| format!("f{}", row.client)).unwrap_or_default();
    let numbers = rows.iter().map(|row| row.number).collect();
    let mut payloads: BTreeMap<DeviceName, Payload> = devices
        .iter()
        .map(|(device, problem)| {
            let is_me = account == me.address.account && *device == me.address.device;
            let reason = match problem {
                _ if is_me => Withheld::Own,
                Some(_) => Withheld::Keys,
                None => Withheld::NotEntitled,
            };
            let client_message_id = name.clone();
            let ciphertext = filler(reason);
            (device.clone(), Payload { device: device.clone(), client_message_id, ciphertext })
        })
        .collect();
    for OutgoingRow { to, client, ciphertext, .. } in rows {
        let device = to.device.clone();
        payloads.insert(device.clone(), Payload { device, client_message_id: client, ciphertext });
    }
    Fanout { account, kind, group, payloads: payloads.into_values().collect(), numbers }
}

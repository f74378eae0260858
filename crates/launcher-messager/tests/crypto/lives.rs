//! Rooms over time: people come, go, get and lose devices, and processes are
//! killed, in any order.

use std::collections::{BTreeMap, BTreeSet};

use launcher_messager::crypto::{Address, Opened, RowId};
use proptest::prelude::*;

use crate::world::{Kill, World, address, room};

#[derive(Clone, Debug)]
enum Event {
    Say(usize),
    Join(u8),
    Leave(u8),
    AddDevice(u8),
    RevokeDevice(usize),
    Restart(usize),
    KillSoon(u8, bool),
    LoseEnvelopes(usize),
    Settle,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => any::<usize>().prop_map(Event::Say),
        1 => (1..5_u8).prop_map(Event::Join),
        1 => (1..5_u8).prop_map(Event::Leave),
        1 => (1..5_u8).prop_map(Event::AddDevice),
        1 => any::<usize>().prop_map(Event::RevokeDevice),
        1 => any::<usize>().prop_map(Event::Restart),
        2 => (1..9_u8, any::<bool>()).prop_map(|(calls, before)| Event::KillSoon(calls, before)),
        1 => any::<usize>().prop_map(Event::LoseEnvelopes),
        2 => Just(Event::Settle),
    ]
}

/// What happened, and who may read what.
struct Life {
    world: World,
    devices: BTreeSet<Address>,
    revoked: BTreeSet<Address>,
    /// For each row, who was to have it.
    readers: BTreeMap<RowId, BTreeSet<Address>>,
    number: usize,
}

impl Life {
    fn new() -> Self {
        let devices: Vec<Address> = (1..4).map(|number| address(number, "first")).collect();
        let world = World::of(&devices.iter().collect::<Vec<_>>());
        let devices = devices.into_iter().collect();
        Self { world, devices, revoked: BTreeSet::new(), readers: BTreeMap::new(), number: 0 }
    }

    /// Devices that are there and whose account is a member.
    fn present(&self) -> Vec<Address> {
        let members = &self.world.server.members[&room(1)];
        let devices = self.devices.difference(&self.revoked);
        devices.filter(|device| members.contains(&device.account)).cloned().collect()
    }

    fn happen(&mut self, event: &Event) {
        // Lists of devices are asked for anew.
        self.world.wait(61 * 1000);
        let present = self.present();
        let pick = |number: &usize| (!present.is_empty()).then(|| &present[number % present.len()]);
        self.number += 1;
        match event {
            Event::Say(number) => {
                let Some(who) = pick(number) else { return };
                let row = self.world.say(who, room(1), &format!("message {}", self.number));
                self.readers.insert(row, present.iter().cloned().collect());
            }
            Event::Join(number) => {
                let device = address(*number, "first");
                if self.devices.insert(device.clone()) {
                    self.world.add_device(&device);
                }
                let members = self.world.server.members.get_mut(&room(1)).unwrap();
                members.insert(device.account);
            }
            Event::Leave(number) => {
                let account = crate::world::account(*number);
                self.world.server.members.get_mut(&room(1)).unwrap().remove(&account);
            }
            Event::AddDevice(number) => {
                let device = address(*number, &format!("device {}", self.number));
                self.world.add_device(&device);
                self.devices.insert(device);
            }
            Event::RevokeDevice(number) => {
                let Some(who) = pick(number) else { return };
                self.world.remove_device(who);
                self.revoked.insert(who.clone());
            }
            Event::Restart(number) => {
                let Some(who) = pick(number) else { return };
                self.world.restart(who);
                // A start publishes the new generation.
            }
            Event::KillSoon(calls, is_before) => {
                let call = self.world.calls + usize::from(*calls);
                self.world.kill =
                    Some(if *is_before { Kill::Before(call) } else { Kill::After(call) });
            }
            Event::LoseEnvelopes(number) => {
                let Some(who) = pick(number) else { return };
                self.world.server.envelopes.remove(who);
            }
            Event::Settle => self.world.settle(),
        }
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        self.world.kill = None;
        self.world.settle();
        let rows = self.world.server.rows.clone();
        let everybody = self.devices.clone();
        // The first look says what is missing; then it is asked for.
        for _ in 0..2 {
            for device in &everybody {
                for row in &rows {
                    self.world.open(device, row);
                }
            }
            self.world.wait(2 * 60 * 60 * 1000);
            self.world.settle();
        }
        let names: BTreeSet<_> = rows.iter().map(|row| &row.client_message_id).collect();
        prop_assert_eq!(names.len(), rows.len(), "a message is there twice");
        for row in &rows {
            for device in &everybody {
                let can_read = matches!(self.world.open(device, row), Opened::Read(_));
                let may_read = self.readers[&row.id].contains(device);
                prop_assert!(may_read || !can_read, "{device:?} reads {row:?}");
                // Who lost a key and was revoked, or whose friend was, has nobody to ask.
                let can_ask = self.revoked.is_empty();
                prop_assert!(can_read || !may_read || !can_ask, "{device:?} cannot read {row:?}");
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn exactly_those_who_were_there_read_a_message(
        events in prop::collection::vec(event(), 5..25),
    ) {
        let mut life = Life::new();
        for event in &events {
            life.happen(event);
        }
        life.check()?;
        life.world.assert_sealed();
    }
}

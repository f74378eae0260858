//! Reads what differs in single rooms.

use std::collections::BTreeMap;

use launcher_core::{names::RoomId, settings, spec::AgentSpec};

use crate::{
    reading::{Located, Reading},
    source::Place,
    values::time_zone::time_zone,
};

/// Where they are.
const ROOMS: &str = "rooms";

/// One setting in one room, as it was written.
pub(super) struct RoomSetting {
    room: String,
    room_place: Place,
    name: String,
    value: Located<String>,
}

/// Every setting of every room.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<RoomSetting> {
    let mut all = Vec::new();
    let Some(node) = reading.tree().at(ROOMS) else { return all };
    for room in node.entries() {
        let prefix = reading.shown_path(&format!("{ROOMS}.<room>"));
        let mut below = reading.below(&room.value, &prefix);
        for entry in room.value.entries() {
            let Some(text) = below.text(&entry.key) else { continue };
            all.push(RoomSetting {
                room: room.key.clone(),
                room_place: room.key_place.clone(),
                name: entry.key.clone(),
                value: Located { value: text.value.value, place: text.place },
            });
        }
        reading.found.append(&mut below.found);
    }
    all
}

/// Puts the settings into the spec; what is wrong with one is reported.
pub(super) fn check(spec: &mut AgentSpec, all: Vec<RoomSetting>, reading: &mut Reading<'_>) {
    let mut rooms: BTreeMap<RoomId, BTreeMap<String, String>> = BTreeMap::new();
    for RoomSetting { room, room_place, name, value } in all {
        let Some(room) = RoomId::typed(&room) else {
            let label =
                "write its id, `\"!…:example.org\"`; clients show it in the room's settings";
            reading.report(ROOMS, &room_place, "this is not a room id", label);
            continue;
        };
        let path = format!("{ROOMS}.<room>.{name}");
        if let Err(problem) = settings::check(spec, &name, &value.value) {
            reading.report(&path, &value.place, problem, "");
        } else if name == "quiet_hours"
            && let Ok(hours) = settings::quiet_hours(&value.value)
            && let Err(fault) = time_zone(&hours.timezone)
        {
            reading.report(&path, &value.place, format!("it {}", fault.predicate), fault.label);
        } else {
            rooms.entry(room).or_default().insert(name, value.value);
        }
    }
    spec.rooms = rooms;
}

//! What things are called here and there: the runtime has texts, Messager has
//! GUIDs.

use launcher_core::names::{DeviceId, EventId, RoomId as Room, UserId};
use sha2::{Digest, Sha256};

use crate::crypto::{AccountId, DeviceName, RoomId, RowId};

/// The longest name of a message in bytes, as servers have it.
const LONGEST: usize = 128;

pub(crate) fn user(account: AccountId) -> UserId {
    UserId::new(account.to_string())
}

pub(crate) fn device(device: &DeviceName) -> DeviceId {
    DeviceId::new(device.as_str())
}

pub(crate) fn room(room: RoomId) -> Room {
    Room::new(room.to_string())
}

pub(crate) fn event(row: RowId) -> EventId {
    EventId::new(row.to_string())
}

/// `None` if it is not an account of this network.
pub(crate) fn account_of(user: &UserId) -> Option<AccountId> {
    AccountId::parse(user.as_str()).ok()
}

/// `None` if it is not a room of this network.
pub(crate) fn room_of(room: &Room) -> Option<RoomId> {
    RoomId::parse(room.as_str()).ok()
}

/// `None` if it is not a row: what the runtime begins by itself has names of
/// its own.
pub(crate) fn row_of(event: &EventId) -> Option<RowId> {
    RowId::parse(event.as_str()).ok()
}

/// What a message is called at the server: its transaction, or a hash of one
/// that is too long.
pub(crate) fn client_message_id(transaction: &str) -> String {
    match transaction.len() {
        1..=LONGEST => transaction.to_owned(),
        _ => format!("h-{}", hex(&Sha256::digest(transaction))),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling_however_it_was_typed() {
        let typed = UserId::new("0193B1C2-AAAA-7BBB-8CCC-0123456789AB");
        let account = account_of(&typed).unwrap();
        assert_eq!(user(account).as_str(), "0193b1c2-aaaa-7bbb-8ccc-0123456789ab");
        assert_eq!(account_of(&UserId::new("@alice:hs")), None);
        assert_eq!(row_of(&EventId::unknown()), None);
    }

    #[test]
    fn every_transaction_has_a_name_that_the_server_takes() {
        assert_eq!(client_message_id("answer-0-to_1"), "answer-0-to_1");
        let names: Vec<String> =
            ["", &"x".repeat(129), &"x".repeat(500)].map(client_message_id).into();
        assert!(names.iter().all(|name| (1..=LONGEST).contains(&name.len())), "{names:?}");
        assert_ne!(names[1], names[2]);
    }
}

use launcher_core::{
    greeting::{Greeting, Said},
    names::{DeviceId, EventId, RoomId, UserId},
};
use launcher_runtime::ports::journal::{Journal, Pending, Stamp};

use super::support::*;

fn pending(room: &str, first_seen: u64, refused: Option<&str>) -> Pending {
    Pending {
        room: RoomId::new(room),
        first_seen: Stamp(first_seen),
        refused: refused.map(str::to_owned),
    }
}

fn greeting(user: &str) -> Greeting {
    let mut greeting = Greeting::new(UserId::new(user), "the greeting".to_owned());
    greeting.set_room(RoomId::new("!r:hs"));
    greeting.note(Said {
        transaction: "t".to_owned(),
        event: EventId::new("$e"),
        tried: [DeviceId::new("PHONE")].into(),
        reached: [DeviceId::new("PHONE")].into(),
    });
    greeting
}

#[tokio::test]
async fn invitations_keep_their_age_until_they_are_gone() {
    let place = Place::new();
    let journal = place.begun().await;
    let (old, new) = (pending("!a:hs", 1, Some("not_from")), pending("!b:hs", 2, None));
    journal.keep_invitations(&[new.clone(), old.clone()]).await.unwrap();
    drop(journal);
    let journal = place.begun().await;
    assert_eq!(journal.invitations().await.unwrap(), [old, new.clone()]);
    journal.keep_invitations(std::slice::from_ref(&new)).await.unwrap();
    assert_eq!(journal.invitations().await.unwrap(), [new]);
}

#[tokio::test]
async fn a_direct_chat_survives_and_what_is_said_in_it_is_sealed() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.keep_greeting(&Greeting::new(UserId::new("@a:hs"), "x".to_owned())).await.unwrap();
    for user in ["@b:hs", "@a:hs"] {
        journal.keep_greeting(&greeting(user)).await.unwrap();
    }
    assert!(place.shows(b"@a:hs"));
    assert!(!place.shows(b"the greeting") && !place.shows(b"PHONE"));
    drop(journal);
    let journal = place.begun().await;
    assert_eq!(journal.greetings().await.unwrap(), [greeting("@a:hs"), greeting("@b:hs")]);
}

#[tokio::test]
async fn a_direct_chat_that_was_moved_to_another_user_is_forgotten() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.keep_greeting(&greeting("@a:hs")).await.unwrap();
    journal.rest().await;
    place.database().execute_batch("UPDATE greeting SET user = '@eve:hs'").unwrap();
    assert_eq!(journal.greetings().await.unwrap(), []);
}

//! When somebody is greeted in a direct chat, so that they can read it.
//!
//! A message can be read by the devices that got its key, and those are the
//! ones that were there when it was said. Somebody who is invited can have
//! other devices by the time they join. So whether a greeting is said, or said
//! again, is decided anew when they join.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::names::{DeviceId, EventId, RoomId, UserId};

/// How often a greeting is said at most.
const MOST: usize = 2;

/// A direct chat that an operator wants with somebody, and the greeting in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Whom the chat is with.
    pub user: UserId,
    /// What is said, plain text.
    pub text: String,
    /// Counts the texts, so that each has transaction ids of its own.
    pub round: u32,
    /// When the server was asked to make the room, in milliseconds since 1970;
    /// until its answer is known.
    pub making: Option<u64>,
    /// The room, once it is known.
    pub room: Option<RoomId>,
    /// How often the text was said in the room, and to whom.
    pub said: Vec<Said>,
    /// Whether nothing is left to say.
    pub settled: bool,
}

/// One time that a greeting was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The transaction it was sent with.
    pub transaction: String,
    /// The event.
    pub event: EventId,
    /// The user's devices at that time that may have keys.
    pub tried: BTreeSet<DeviceId>,
    /// Those that were sent the key.
    pub reached: BTreeSet<DeviceId>,
}

/// Where somebody stands to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Membership {
    /// Neither in it nor invited: they were never invited, declined, or left.
    Absent,
    /// Invited.
    Invited,
    /// In it.
    Joined,
}

impl Greeting {
    /// A chat that nothing was done for yet.
    pub fn new(user: UserId, text: String) -> Self {
        Self { user, text, round: 0, making: None, room: None, said: Vec::new(), settled: false }
    }

    /// Takes up another text; the same one is not said anew.
    pub fn set_text(&mut self, text: String) {
        if self.text != text {
            self.text = text;
            self.round = self.round.saturating_add(1);
            self.said.clear();
            self.settled = false;
        }
    }

    /// Takes up the room; what was said in another one does not count.
    pub fn set_room(&mut self, room: RoomId) {
        self.making = None;
        if self.room.as_ref() != Some(&room) {
            self.room = Some(room);
            self.said.clear();
            self.settled = false;
        }
    }

    /// Whether the text is to be said now. `devices` are those of the user that
    /// are there and may have keys.
    pub fn is_due(&self, membership: Membership, devices: &BTreeSet<DeviceId>) -> bool {
        if self.settled || devices.is_empty() || self.said.len() >= MOST {
            return false;
        }
        match membership {
            Membership::Absent => false,
            Membership::Invited => self.said.is_empty(),
            Membership::Joined => self.readers(devices).is_empty() || self.has_missed(devices),
        }
    }

    /// Whether nothing is left to say to somebody who has joined.
    pub fn is_over(&self, membership: Membership, devices: &BTreeSet<DeviceId>) -> bool {
        membership == Membership::Joined
            && !self.said.is_empty()
            && !self.is_due(membership, devices)
            && !devices.is_empty()
    }

    /// Which of these devices can read what was said.
    pub fn readers(&self, devices: &BTreeSet<DeviceId>) -> BTreeSet<DeviceId> {
        let reached = self.said.iter().flat_map(|said| &said.reached);
        reached.filter(|device| devices.contains(*device)).cloned().collect()
    }

    /// Whether one of these devices was not there when anything was said.
    fn has_missed(&self, devices: &BTreeSet<DeviceId>) -> bool {
        devices.iter().any(|device| !self.said.iter().any(|said| said.tried.contains(device)))
    }

    /// Notes that the text was said. The same transaction is the same event to
    /// the server. An earlier text, or another room's, does not count.
    pub fn note(&mut self, said: Said) {
        let is_present = |(start, end): (String, String)| {
            said.transaction.starts_with(&start) && said.transaction.ends_with(&end)
        };
        if !self.transaction_around().is_some_and(is_present) {
            return;
        }
        match self.said.iter_mut().find(|before| before.transaction == said.transaction) {
            Some(before) => {
                before.tried.extend(said.tried);
                before.reached.extend(said.reached);
                before.event = said.event;
            }
            None => self.said.push(said),
        }
    }

    /// The transaction with which the text is said next: the same for every
    /// attempt.
    pub fn transaction(&self) -> Option<String> {
        let (start, end) = self.transaction_around()?;
        Some(format!("{start}{}{end}", self.said.len()))
    }

    /// What the transactions of this text in this room have around their number.
    fn transaction_around(&self) -> Option<(String, String)> {
        let room = self.room.as_ref()?;
        let allowed = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let room: String = room.as_str().chars().map(allowed).collect();
        Some((format!("greeting-{}-", self.round), format!("-in{room}")))
    }
}

impl fmt::Debug for Greeting {
    /// Leaves out the text, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Greeting")
            .field("user", &self.user)
            .field("room", &self.room)
            .field("said", &self.said)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(names: &[&str]) -> BTreeSet<DeviceId> {
        names.iter().map(|name| DeviceId::new(*name)).collect()
    }

    fn greeting() -> Greeting {
        let mut greeting = Greeting::new(UserId::new("@a:hs"), "hello".to_owned());
        greeting.set_room(RoomId::new("!r:hs"));
        greeting
    }

    /// Said to `tried`, and these got the key.
    fn said(greeting: &mut Greeting, tried: &[&str], reached: &[&str]) {
        greeting.note(Said {
            transaction: greeting.transaction().unwrap(),
            event: EventId::new("$e"),
            tried: devices(tried),
            reached: devices(reached),
        });
    }

    #[test]
    fn somebody_with_a_device_is_greeted_before_they_join() {
        let mut greeting = greeting();
        assert!(!greeting.is_due(Membership::Absent, &devices(&["PHONE"])));
        assert!(greeting.is_due(Membership::Invited, &devices(&["PHONE"])));
        said(&mut greeting, &["PHONE"], &["PHONE"]);
        for membership in [Membership::Invited, Membership::Joined] {
            assert!(!greeting.is_due(membership, &devices(&["PHONE"])));
        }
        assert!(greeting.is_over(Membership::Joined, &devices(&["PHONE"])));
        assert!(!greeting.is_over(Membership::Invited, &devices(&["PHONE"])));
    }

    #[test]
    fn somebody_without_a_device_is_greeted_when_they_join() {
        let mut greeting = greeting();
        assert!(!greeting.is_due(Membership::Invited, &devices(&[])));
        assert!(!greeting.is_over(Membership::Joined, &devices(&[])));
        assert!(greeting.is_due(Membership::Joined, &devices(&["PHONE"])));
        said(&mut greeting, &["PHONE"], &["PHONE"]);
        assert!(greeting.is_over(Membership::Joined, &devices(&["PHONE"])));
    }

    #[test]
    fn who_joins_with_a_device_that_came_later_is_greeted_once_more() {
        let mut greeting = greeting();
        said(&mut greeting, &["PHONE"], &["PHONE"]);
        let both = devices(&["PHONE", "LAPTOP"]);
        assert!(!greeting.is_due(Membership::Invited, &both));
        assert!(greeting.is_due(Membership::Joined, &both));
        said(&mut greeting, &["PHONE", "LAPTOP"], &["PHONE", "LAPTOP"]);
        assert!(greeting.is_over(Membership::Joined, &both));
    }

    #[test]
    fn a_device_that_takes_no_key_is_not_greeted_for_ever() {
        let mut greeting = greeting();
        let dead = devices(&["DEAD", "PHONE"]);
        said(&mut greeting, &["DEAD", "PHONE"], &["PHONE"]);
        assert!(!greeting.is_due(Membership::Joined, &dead), "the phone can read it");
        let mut greeting = self::greeting();
        said(&mut greeting, &["DEAD"], &[]);
        assert!(greeting.is_due(Membership::Joined, &devices(&["DEAD"])));
        said(&mut greeting, &["DEAD"], &[]);
        assert!(!greeting.is_due(Membership::Joined, &devices(&["DEAD"])));
        assert!(greeting.readers(&devices(&["DEAD"])).is_empty());
    }

    #[test]
    fn the_same_attempt_is_noted_once() {
        let mut greeting = greeting();
        let transaction = greeting.transaction().unwrap();
        assert_eq!(transaction, "greeting-0-0-in_r_hs");
        for device in ["PHONE", "LAPTOP"] {
            greeting.note(Said {
                transaction: transaction.clone(),
                event: EventId::new("$e"),
                tried: devices(&[device]),
                reached: devices(&[device]),
            });
        }
        assert_eq!(greeting.said.len(), 1);
        assert_eq!(greeting.said[0].reached, devices(&["PHONE", "LAPTOP"]));
        assert_eq!(greeting.transaction().unwrap(), "greeting-0-1-in_r_hs");
    }

    #[test]
    fn an_earlier_text_that_arrives_late_is_not_the_new_one() {
        let mut greeting = greeting();
        let transaction = greeting.transaction().unwrap();
        greeting.set_text("good morning".to_owned());
        greeting.note(Said {
            transaction,
            event: EventId::new("$e"),
            tried: devices(&["PHONE"]),
            reached: devices(&["PHONE"]),
        });
        assert!(greeting.is_due(Membership::Joined, &devices(&["PHONE"])));
    }

    #[test]
    fn only_another_text_or_room_is_a_new_greeting() {
        let mut greeting = greeting();
        said(&mut greeting, &["PHONE"], &["PHONE"]);
        greeting.set_text("hello".to_owned());
        greeting.set_room(RoomId::new("!r:hs"));
        assert_eq!(greeting.said.len(), 1);
        greeting.set_text("good morning".to_owned());
        assert!(greeting.is_due(Membership::Invited, &devices(&["PHONE"])));
        assert_eq!(greeting.transaction().unwrap(), "greeting-1-0-in_r_hs");
        assert!(!format!("{greeting:?}").contains("morning"));
    }
}

//! What encrypted rooms were when they were first seen.
//!
//! A room for two is guarded against a third member, and against another second
//! one. If the server could call it something else later, or say that it was
//! with somebody else, it could read along; so what a room was first is in the
//! journal, and stays.

use launcher_core::fault::Fault;
use launcher_runtime::ports::Memory;

use super::MessagerSession;
use crate::{
    client::Mode,
    crypto::{AccountId, RoomId},
};

/// What the names of memories of rooms' modes begin with.
const KEY: &str = "messager/mode/";

/// What a room was when it was first seen encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    /// How it was encrypted.
    pub(super) mode: Mode,
    /// Of a room for two the other account, once one is known.
    pub(super) other: Option<AccountId>,
}

impl MessagerSession {
    /// What the room was first: as it is said to be now, if that was never said
    /// before. A room for two is with `other` from now on, unless it was with
    /// somebody before. It is in the journal when this returns.
    pub(super) async fn first_seen(
        &self,
        room: RoomId,
        said: Mode,
        other: Option<AccountId>,
    ) -> Result<First, Fault> {
        let mut seen = self.modes.lock().await;
        let key = format!("{KEY}{room}");
        let before = match seen.get(&room) {
            Some(first) => Some(*first),
            None => self.parts.journal.recall(&key).await?.as_deref().map(read),
        };
        let first = before.unwrap_or(First { mode: said, other: None });
        let first = first.with(other.filter(|other| *other != self.address.account));
        if before != Some(first) {
            let Some(value) = write(first) else { return Ok(first) };
            let memory = Memory { key, value: Some(value) };
            self.parts.journal.remember(&[memory]).await?;
        }
        seen.insert(room, first);
        Ok(first)
    }
}

impl First {
    /// The same with the other account, if it is a room for two that was with
    /// nobody yet.
    fn with(self, other: Option<AccountId>) -> Self {
        match self.mode {
            Mode::Direct => Self { other: self.other.or(other), ..self },
            Mode::Plain | Mode::SenderKeys | Mode::Unknown(_) => self,
        }
    }
}

/// `None` for what no room stays with.
fn write(first: First) -> Option<Vec<u8>> {
    match first.mode {
        Mode::Direct => {
            let other = first.other.as_ref().map(AccountId::as_bytes);
            Some([1].into_iter().chain(other.into_iter().flatten().copied()).collect())
        }
        Mode::SenderKeys => Some(vec![2]),
        Mode::Plain | Mode::Unknown(_) => None,
    }
}

fn read(kept: &[u8]) -> First {
    let (mode, other) = match kept {
        // From before it was kept whom it was with.
        [1] => (Mode::Direct, None),
        [1, other @ ..] => match other.try_into() {
            Ok(other) => (Mode::Direct, Some(AccountId::from_bytes(other))),
            Err(_) => (NEVER, None),
        },
        [2] => (Mode::SenderKeys, None),
        _ => (NEVER, None),
    };
    First { mode, other }
}

/// No room is said to be so: nothing is sent there.
const NEVER: Mode = Mode::Unknown(-1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_room_was_is_the_same_when_it_is_taken_up_again() {
        let bob = AccountId::from_bytes([2; 16]);
        for (mode, other) in
            [(Mode::Direct, None), (Mode::Direct, Some(bob)), (Mode::SenderKeys, None)]
        {
            let first = First { mode, other };
            assert_eq!(read(&write(first).unwrap()), first);
        }
        assert_eq!(write(First { mode: Mode::Plain, other: None }), None);
        for damaged in [&[][..], &[1, 2], &[3], &[1; 18]] {
            assert_eq!(read(damaged).mode, NEVER);
        }
    }

    #[test]
    fn a_room_for_two_is_with_whom_it_was_first() {
        let [bob, eve] = [2, 3].map(|number| AccountId::from_bytes([number; 16]));
        // As it stands in journals of old.
        let direct = read(&[1]);
        assert_eq!(direct, First { mode: Mode::Direct, other: None });
        assert_eq!(direct.with(None), direct);
        let first = direct.with(Some(bob));
        assert_eq!(first.other, Some(bob));
        assert_eq!(first.with(Some(eve)), first);
        assert_eq!(read(&[2]).with(Some(bob)).other, None, "a group is with anybody");
    }
}

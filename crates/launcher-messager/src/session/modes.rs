//! How rooms were first said to be encrypted.
//!
//! A room for two is guarded against a third member. If the server could call
//! it something else later, it could add one; so what a room was first is in the
//! journal, and stays.

use launcher_core::fault::Fault;
use launcher_runtime::ports::Memory;

use super::MessagerSession;
use crate::{client::Mode, crypto::RoomId};

/// What the names of memories of rooms' modes begin with.
const KEY: &str = "messager/mode/";

impl MessagerSession {
    /// How the room was first encrypted: as it is said to be now, if that was
    /// never said before. It is in the journal when this returns.
    pub(super) async fn first_mode(&self, room: RoomId, said: Mode) -> Result<Mode, Fault> {
        let mut modes = self.modes.lock().await;
        if let Some(first) = modes.get(&room) {
            return Ok(*first);
        }
        let key = format!("{KEY}{room}");
        let first = match self.parts.journal.recall(&key).await? {
            Some(kept) => read(&kept),
            None => {
                let Some(value) = write(said) else { return Ok(said) };
                let memory = Memory { key, value: Some(value) };
                self.parts.journal.remember(&[memory]).await?;
                said
            }
        };
        modes.insert(room, first);
        Ok(first)
    }
}

/// `None` for what no room stays with.
fn write(mode: Mode) -> Option<Vec<u8>> {
    match mode {
        Mode::Direct => Some(vec![1]),
        Mode::SenderKeys => Some(vec![2]),
        Mode::Plain | Mode::Unknown(_) => None,
    }
}

fn read(kept: &[u8]) -> Mode {
    match kept {
        [1] => Mode::Direct,
        [2] => Mode::SenderKeys,
        // No room is said to be so: nothing is sent there.
        _ => Mode::Unknown(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_the_same_when_it_is_taken_up_again() {
        for mode in [Mode::Direct, Mode::SenderKeys] {
            assert_eq!(read(&write(mode).unwrap()), mode);
        }
        assert_eq!(write(Mode::Plain), None);
        assert!(!matches!(read(b""), Mode::Direct | Mode::SenderKeys | Mode::Plain));
    }
}

//! Messages whose turn comes later. They are in the journal as well: another
//! life finds them there.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use launcher_core::names::RoomId;
use tokio::{sync::Notify, time::Instant};

use crate::ports::journal::{Number, Place};

/// Messages that wait for a moment.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    places: Mutex<BTreeMap<(Instant, i64), Place>>,
    added: Notify,
}

impl Deferred {
    /// Puts a message aside for this long.
    pub(crate) fn add(&self, place: Place, wait: Duration) {
        let at = (Instant::now() + wait, place.number.0);
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(at, place);
        self.added.notify_one();
    }

    /// Has the messages of a room wait no longer: what they wait for may have changed.
    pub(crate) fn release(&self, room: &RoomId) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let all = std::mem::take(&mut *places).into_iter();
        let moved = |((at, number), place): ((Instant, i64), Place)| {
            let at = if place.room == *room { at.min(now) } else { at };
            ((at, number), place)
        };
        places.extend(all.map(moved));
        self.added.notify_one();
    }

    /// Whether messages of a room wait that came before this one. They wait no
    /// longer then.
    pub(crate) fn release_before(&self, number: Number, room: &RoomId) -> bool {
        let is_before = {
            let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.values().any(|place| place.room == *room && place.number < number)
        };
        if is_before {
            self.release(room);
        }
        is_before
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The next message whose moment has come, the oldest of a moment first.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&self) -> Place {
        loop {
            let first = {
                let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
                match places.first_entry() {
                    Some(entry) if entry.key().0 <= Instant::now() => return entry.remove(),
                    Some(entry) => Some(entry.key().0),
                    None => None,
                }
            };
            let due = async {
                match first {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.added.notified() => {}
            }
        }
    }
}

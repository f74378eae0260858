//! Moments of rows, so that nobody who asks for newer rows misses one.
//!
//! A client remembers the moment of the last row that it got, or the moment at
//! which there was none, and asks for rows behind it. So no row may appear later
//! that lies before: not one of another room in the same millisecond, and not
//! one that was being written while the client asked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::values::Moment;

/// Gives out the moments of rows.
#[derive(Debug)]
pub(super) struct Clock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Every later row lies here or behind.
    floor: Moment,
    /// The first moment of the rows that are being written.
    writing: Option<Moment>,
}

impl Clock {
    /// One whose rows lie behind all that are there.
    pub(super) fn behind(newest: Moment) -> Self {
        Self { state: Mutex::new(State { floor: newest.next(), writing: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first moment for rows that are written together.
    pub(super) fn begin(&self, now: Moment) -> Moment {
        let mut state = self.state();
        let start = now.max(state.floor);
        state.writing = Some(start);
        start
    }

    /// They are written; `newest` is the last moment that was used, if one was.
    ///
    /// What has no rows moves nothing: a thousand pieces of work in a second would put
    /// what is settled ahead of the computer's clock, and a server that is started
    /// again knows only the moments of rows.
    pub(super) fn end(&self, newest: Option<Moment>) {
        let mut state = self.state();
        state.floor = state.floor.max(newest.map_or(state.floor, Moment::next));
        state.writing = None;
    }

    /// A moment before which no row will appear any more.
    pub(super) fn settled(&self, now: Moment) -> Moment {
        let mut state = self.state();
        match state.writing {
            Some(start) => Moment(start.0.saturating_sub(1)),
            None => {
                // Rows that came fast lie ahead of the computer's clock.
                state.floor = state.floor.max(now.next());
                Moment(state.floor.0.saturating_sub(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_behind_all_that_was_written_or_said_before() {
        let clock = Clock::behind(Moment(100));
        assert_eq!(clock.begin(Moment(50)), Moment(101), "the clock of the computer went back");
        clock.end(Some(Moment(105)));
        assert_eq!(clock.begin(Moment(105)), Moment(106), "the same millisecond");
        clock.end(Some(Moment(106)));
        assert_eq!(clock.settled(Moment(200)), Moment(200));
        assert_eq!(clock.begin(Moment(200)), Moment(201));
    }

    #[test]
    fn what_is_being_written_is_not_settled() {
        let clock = Clock::behind(Moment(100));
        assert_eq!(clock.begin(Moment(110)), Moment(110));
        assert_eq!(clock.settled(Moment(120)), Moment(109));
        clock.end(Some(Moment(115)));
        assert_eq!(clock.settled(Moment(120)), Moment(120));
    }

    #[test]
    fn work_without_rows_moves_nothing() {
        let clock = Clock::behind(Moment(100));
        for _ in 0..1000 {
            assert_eq!(clock.begin(Moment(110)), Moment(110));
            clock.end(None);
        }
        assert_eq!(clock.settled(Moment(110)), Moment(110));
    }

    #[test]
    fn what_is_settled_never_lies_before_a_row_that_is_there() {
        let clock = Clock::behind(Moment(100));
        clock.begin(Moment(110));
        clock.end(Some(Moment(150)));
        assert_eq!(clock.settled(Moment(120)), Moment(150));
    }
}

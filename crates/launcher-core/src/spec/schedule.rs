//! What an agent does at certain times.

use std::{fmt, time::Duration};

use crate::names::RoomId;

/// Something that is done again and again.
#[derive(Clone, PartialEq, Eq)]
pub struct ScheduleSpec {
    /// When: a cron line that there is an end of waiting for.
    pub cron: String,
    /// The time zone that it is meant in, by its IANA name.
    pub timezone: String,
    /// Where.
    pub room: RoomId,
    /// What.
    pub what: Scheduled,
    /// What happens if the agent was away.
    pub missed: Missed,
}

/// What is done at a certain time.
#[derive(Clone, PartialEq, Eq)]
pub enum Scheduled {
    /// This is said, in Markdown.
    Say(String),
    /// This is for the agent's other behaviors, as if somebody who may do
    /// everything had said it.
    Ask(String),
}

/// What happens to a moment at which the agent was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Nothing.
    Skip,
    /// The latest of them is made up for, if it is not longer ago than this.
    Once {
        /// How long.
        within: Duration,
    },
}

impl fmt::Debug for Scheduled {
    /// Leaves out what is said: a variable in it may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Say(_) => "Say",
            Self::Ask(_) => "Ask",
        })
    }
}

impl fmt::Debug for ScheduleSpec {
    /// Leaves out what is said: a variable in it may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ScheduleSpec")
            .field("cron", &self.cron)
            .field("timezone", &self.timezone)
            .field("room", &self.room)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

//! The keys of the behavior `schedule`.

use super::{
    Key,
    Kind::{Choice, Cron, Duration, Named, RoomId, Section, Text, TimeZone},
    Naming,
    Presence::{Default, Needed},
};

/// What an agent does at certain times.
pub(super) static KEYS: &[Key] = &[
    Key {
        path: "behavior.schedule",
        kind: Named(Naming::Word),
        presence: Default("nothing"),
        about: "What the agent does at certain times, under names of your choice. See the \
                [guide](../guide/schedules.md).",
        example: "schedule: { morning: { cron: \"0 9 * * MON-FRI\", room: \"!abc:example.org\", say: \"Good morning\" } }",
    },
    Key {
        path: "behavior.schedule.<name>",
        kind: Section,
        presence: Needed,
        about: "One task. Exactly one of `say`, `command` and `prompt` says what is done. A task \
                that is new, or whose time or room was changed, begins with its next moment.",
        example: "morning: { cron: \"0 9 * * MON-FRI\", room: \"!abc:example.org\", say: \"Good morning\" }",
    },
    Key {
        path: "behavior.schedule.<name>.cron",
        kind: Cron,
        presence: Needed,
        about: "When: minute, hour, day of the month, month and day of the week, as for cron; with \
                six fields, the first is the second. Names such as `MON` and `JAN` are known, \
                `L`, `W` and `#` as well, and `@daily` and the like. A time that clocks leave out \
                when they are changed is made up for right after, one that they repeat is taken \
                once; of lines with wildcards, ranges or steps, times that are left out are left \
                out and repeated ones are repeated.",
        example: "cron: \"0 9 * * MON-FRI\"",
    },
    Key {
        path: "behavior.schedule.<name>.timezone",
        kind: TimeZone,
        presence: Default("`UTC`"),
        about: "The time zone that `cron` is meant in, by its IANA name.",
        example: "timezone: Europe/Madrid",
    },
    Key {
        path: "behavior.schedule.<name>.room",
        kind: RoomId,
        presence: Needed,
        about: "The id of the room in which it is done. The agent has to be there.",
        example: "room: \"!abc:example.org\"",
    },
    Key {
        path: "behavior.schedule.<name>.say",
        kind: Text,
        presence: Default("see above"),
        about: "This is said, in Markdown.",
        example: "say: \"Good **morning**\"",
    },
    Key {
        path: "behavior.schedule.<name>.command",
        kind: Text,
        presence: Default("see above"),
        about: "This command of the agent is run and its output said. It is run as the operator's \
                word: `users`, `require` and `confirm` of the command do not count.",
        example: "command: \"!backup\"",
    },
    Key {
        path: "behavior.schedule.<name>.prompt",
        kind: Text,
        presence: Default("see above"),
        about: "This is given to the agent's other behaviors, as a message would be.",
        example: "prompt: \"Say something about today's date in history.\"",
    },
    Key {
        path: "behavior.schedule.<name>.missed",
        kind: Choice(&["once", "skip"]),
        presence: Default("`once`"),
        about: "What happens when the agent was away at its time. `once`: it is done when the agent \
                is back, once, for the latest time that was missed. `skip`: it is not.",
        example: "missed: skip",
    },
    Key {
        path: "behavior.schedule.<name>.within",
        kind: Duration,
        presence: Default("`1d`"),
        about: "How long after its time a missed task may still be done.",
        example: "within: 2h",
    },
];

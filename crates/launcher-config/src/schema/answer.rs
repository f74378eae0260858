//! The keys that say which messages an agent answers.

use super::{
    Key,
    Kind::{
        Choice, Duration, Flag, Number, Occasions, QuietHours, Rate, Rooms, Section, Text, Texts,
        UserGlobs,
    },
    Presence::Default,
};

/// When an agent answers, and who may change that.
pub(super) static KEYS: &[Key] = &[
    Key {
        path: "answer",
        kind: Section,
        presence: Default("every message, at once"),
        about: "Which messages the agent answers, and when. A message that names one of the \
                agent's commands is always meant for it. See the [guide](../guide/answering.md).",
        example: "answer: { when: [direct, mentioned], per_user: 10/1m }",
    },
    Key {
        path: "answer.when",
        kind: Occasions,
        presence: Default("`[always]`"),
        about: "Any of these is enough. `always`: every message. `direct`: nobody but the sender \
                and the agent is in the room. `mentioned`: the message mentions the agent, or says \
                its user id, the first part of it, or one of `names`. `thread`: it is in a thread \
                in which the agent has answered. With an empty list only commands and `prefix` \
                call it.",
        example: "when: [direct, mentioned, thread]",
    },
    Key {
        path: "answer.prefix",
        kind: Text,
        presence: Default("none"),
        about: "A message that starts with this is meant for the agent, which gets the rest of it.",
        example: "prefix: \"!ask\"",
    },
    Key {
        path: "answer.names",
        kind: Texts,
        presence: Default("none"),
        about: "Further names that the agent listens to, as words of their own; upper and lower \
                case are the same.",
        example: "names: [\"Rosie\"]",
    },
    Key {
        path: "answer.users",
        kind: UserGlobs,
        presence: Default("`[\"*\"]`: everybody whom `encryption.trust_mode` lets the agent obey"),
        about: "Who may talk to the agent. It does not answer others, whatever they write. As in \
                `invites.from`.",
        example: "users: [\"@*:example.org\"]",
    },
    Key {
        path: "answer.debounce",
        kind: Duration,
        presence: Default("none"),
        about: "How long the agent waits for more of the same sender before it answers, up to a \
                minute. What comes in that time is one message, with a line for each.",
        example: "debounce: 2s",
    },
    Key {
        path: "answer.per_user",
        kind: Rate,
        presence: Default("no limit"),
        about: "How often one person is answered, in any time of this length. Who asks more often \
                is told so, once. What was asked too often is not answered later.",
        example: "per_user: 10/1m",
    },
    Key {
        path: "answer.per_room",
        kind: Rate,
        presence: Default("no limit"),
        about: "How often is answered in one room, in the same way.",
        example: "per_room: 60/1h",
    },
    Key {
        path: "answer.quiet_hours",
        kind: QuietHours,
        presence: Default("none"),
        about: "When the agent is silent, unless one of its commands is called: two times and the \
                time zone that they are meant in, by its IANA name.",
        example: "quiet_hours: \"22:00-07:00 Europe/Madrid\"",
    },
    Key {
        path: "answer.after_quiet_hours",
        kind: Choice(&["answer", "skip"]),
        presence: Default("`answer`"),
        about: "Whether what was said in the quiet hours is answered when they are over, unless it \
                is older than `catch_up.max_age` then.",
        example: "after_quiet_hours: skip",
    },
    Key {
        path: "answer.typing",
        kind: Flag,
        presence: Default("`true`"),
        about: "Whether the room sees that the agent is at work when that takes more than a second.",
        example: "typing: false",
    },
    Key {
        path: "answer.bots",
        kind: Section,
        presence: Default("none is answered"),
        about: "Other bots that the agent answers. What says of itself that no person wrote it \
                is not answered otherwise, and `m.notice` never.",
        example: "bots: { users: [\"@robot:example.org\"], turns: 3 }",
    },
    Key {
        path: "answer.bots.users",
        kind: UserGlobs,
        presence: Default("`[]`: none"),
        about: "Which bots. As in `invites.from`.",
        example: "users: [\"@robot:example.org\"]",
    },
    Key {
        path: "answer.bots.turns",
        kind: Number,
        presence: Default("`5`"),
        about: "How many answers to bots there may be in a room until a person says something.",
        example: "turns: 3",
    },
    Key {
        path: "settings",
        kind: Section,
        presence: Default("nobody may change anything"),
        about: "Who may change in a room how the agent answers there, with `!set NAME VALUE`. \
                `!config` shows what there is. What was set is kept in the agent's journal.",
        example: "settings: { users: [\"@alice:example.org\"], require: verified }",
    },
    Key {
        path: "settings.users",
        kind: UserGlobs,
        presence: Default("`[]`: nobody"),
        about: "Who may. As in `invites.from`.",
        example: "users: [\"@alice:example.org\"]",
    },
    Key {
        path: "settings.require",
        kind: Choice(&["trusted", "verified"]),
        presence: Default("`trusted`"),
        about: "How sure it has to be who that is, as for a command.",
        example: "require: verified",
    },
    Key {
        path: "rooms",
        kind: Rooms,
        presence: Default("empty"),
        about: "What differs in single rooms, by room id: the settings that `!set` knows, with the \
                values that it knows.",
        example: "rooms: { \"!abc:example.org\": { when: \"mentioned\", per_user: 3/1h } }",
    },
];

//! The keys of the behavior `commands`.

use super::{
    Key,
    Kind::{Choice, CommandTime, Named, Program, Section, UserGlobs},
    Naming,
    Presence::{Default, Needed},
};

/// What an agent runs.
pub(super) static KEYS: &[Key] = &[
    Key {
        path: "behavior.commands",
        kind: Named(Naming::Command),
        presence: Default("no commands"),
        about: "Runs programs that have names here; at least one. A message that is such a name, \
                and nothing else, runs its program. A name is 2 to 64 characters without white \
                space; the first is ASCII punctuation, and `help` may not be the rest: `!help` \
                lists what the sender may run. See the [guide](../guide/commands.md).",
        example: "commands: { \"!uptime\": { run: [\"uptime\"] } }",
    },
    Key {
        path: "behavior.commands.<name>",
        kind: Section,
        presence: Needed,
        about: "One command, under a name of your choice. In quotes, because YAML reserves most \
                punctuation.",
        example: "\"!restart\": { run: [\"systemctl\", \"restart\", \"web\"], require: verified }",
    },
    Key {
        path: "behavior.commands.<name>.run",
        kind: Program,
        presence: Needed,
        about: "The program and its arguments, one text each. There is no shell: for pipes and \
                the like, write a script. A program without a `/` is looked for in `PATH`; a \
                relative one is relative to the agent's folder, where it also runs. Whoever is \
                logged in on the machine can see the arguments while it runs, so no secret \
                belongs there.",
        example: "run: [\"systemctl\", \"restart\", \"web\"]",
    },
    Key {
        path: "behavior.commands.<name>.users",
        kind: UserGlobs,
        presence: Default("`[\"*\"]`: everybody whom `encryption.trust_mode` lets the agent obey"),
        about: "Who may run it. As in `invites.from`; an empty list means nobody.",
        example: "users: [\"@*:ops.example.org\", \"@alice:example.org\"]",
    },
    Key {
        path: "behavior.commands.<name>.require",
        kind: Choice(&["trusted", "verified"]),
        presence: Default("`trusted`"),
        about: "How sure it has to be who the sender is. `trusted`: as `encryption.trust_mode` \
                wants it for every message. `verified`: the operator has verified the sender, who \
                wrote from a session that they have signed, or has approved that session.",
        example: "require: verified",
    },
    Key {
        path: "behavior.commands.<name>.timeout",
        kind: CommandTime,
        presence: Default("`30s`"),
        about: "How long it may run, from `1s` to `2m`. Then it is killed, with what it has \
                started.",
        example: "timeout: 1m",
    },
];

//! The keys of the behavior `commands`.

use super::{
    Key,
    Kind::{
        Choice, CommandTime, Duration, Flag, Folder, Named, Number, Program, RoomGlobs, Section,
        Size, Text, Texts, UserGlobs, Variables,
    },
    Naming,
    Presence::{Default, Needed},
};

/// What an agent runs.
pub(super) static KEYS: &[Key] = &[
    Key {
        path: "behavior.commands",
        kind: Named(Naming::Command),
        presence: Default("no commands"),
        about: "Runs programs that have names here; at least one. A message that begins with such a \
                name runs its program. A name is 2 to 64 characters without white \
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
        about: "The program and its arguments, one text each, with `parameters` as `{name}`. There \
                is no shell: for pipes and the like, write a script. A program without a `/` is looked for in `PATH`; a \
                relative one is relative to the agent's folder, where it also runs. Whoever is \
                logged in on the machine can see the arguments while it runs, so no secret \
                belongs there.",
        example: "run: [\"systemctl\", \"restart\", \"web\"]",
    },
    Key {
        path: "behavior.commands.<name>.about",
        kind: Text,
        presence: Default("none"),
        about: "What it does, in a few words; `!help` shows it.",
        example: "about: \"restarts the web server\"",
    },
    Key {
        path: "behavior.commands.<name>.parameters",
        kind: Named(Naming::Word),
        presence: Default("none: nothing may follow the name"),
        about: "What may be written behind the command's name, in this order, a word each: `!deploy \
                staging 1.2`. Quotation marks keep words together. A parameter stands in `run` as \
                `{name}`, where it becomes a part of one argument and of nothing else; `{{name}}` is \
                the text `{name}`. Each has to be used.",
        example: "parameters: { env: { choice: [staging, production] }, version: { default: latest } }",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>",
        kind: Section,
        presence: Needed,
        about: "One parameter, under a name of your choice.",
        example: "version: { type: text, pattern: \"[0-9.]+\", default: \"1.0\" }",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>.type",
        kind: Choice(&["text", "rest", "integer", "user"]),
        presence: Default("`text`"),
        about: "`text`: a word. `rest`: all that follows, as it is written; only the last parameter \
                can be this. `integer`: a whole number. `user`: a user id.",
        example: "type: integer",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>.choice",
        kind: Texts,
        presence: Default("anything of its `type`"),
        about: "The words that it may be, instead of a `type`.",
        example: "choice: [staging, production]",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>.pattern",
        kind: Text,
        presence: Default("any text"),
        about: "A regular expression that the whole of a `text` has to match.",
        example: "pattern: \"[a-z]+-[0-9]+\"",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>.leading_dash",
        kind: Flag,
        presence: Default("`false`"),
        about: "Whether a `text` or `rest` may begin with `-`, as the options of programs do.",
        example: "leading_dash: true",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>.min",
        kind: Number,
        presence: Default("`0`"),
        about: "The least `integer`. Negative ones are taken only with a negative `min`: to many \
                programs they look like options.",
        example: "min: 1",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>.max",
        kind: Number,
        presence: Default("any"),
        about: "The largest `integer`.",
        example: "max: 100",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>.default",
        kind: Text,
        presence: Default("none"),
        about: "What it is when it is left out. A parameter with a default may be left out.",
        example: "default: \"latest\"",
    },
    Key {
        path: "behavior.commands.<name>.parameters.<name>.optional",
        kind: Flag,
        presence: Default("`false`, or `true` with a `default`"),
        about: "Whether it may be left out. Without a `default`, every argument in `run` that has it \
                is left out too. Those that may be left out come last.",
        example: "optional: true",
    },
    Key {
        path: "behavior.commands.<name>.users",
        kind: UserGlobs,
        presence: Default("`[\"*\"]`: everybody whom `encryption.trust_mode` lets the agent obey"),
        about: "Who may run it. As in `invites.from`; an empty list means nobody.",
        example: "users: [\"@*:ops.example.org\", \"@alice:example.org\"]",
    },
    Key {
        path: "behavior.commands.<name>.rooms",
        kind: RoomGlobs,
        presence: Default("`[\"*\"]`: every room"),
        about: "In which rooms it may be run. A pattern has to match the whole id.",
        example: "rooms: [\"!abc:example.org\"]",
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
        path: "behavior.commands.<name>.confirm",
        kind: Flag,
        presence: Default("`false`"),
        about: "Whether the agent asks before it runs it, with what was written, and waits ten \
                minutes for an answer. The sender has to agree, by a word or a reaction; with \
                `require: verified` by a word.",
        example: "confirm: true",
    },
    Key {
        path: "behavior.commands.<name>.confirm_by",
        kind: UserGlobs,
        presence: Default("the sender, with `confirm`"),
        about: "Who has to agree instead. As in `users`.",
        example: "confirm_by: [\"@lead:example.org\"]",
    },
    Key {
        path: "behavior.commands.<name>.timeout",
        kind: CommandTime,
        presence: Default("`30s`"),
        about: "How long it may run, from `1s` to `2m`. Then it is killed, with what it has \
                started.",
        example: "timeout: 1m",
    },
    Key {
        path: "behavior.commands.<name>.folder",
        kind: Folder,
        presence: Default("the agent's folder"),
        about: "Where it works: a path below the agent's folder, or an absolute one.",
        example: "folder: work",
    },
    Key {
        path: "behavior.commands.<name>.environment",
        kind: Section,
        presence: Default("`PATH`, `LANG`, `HOME` and `TZ`"),
        about: "Its variables. Of the launcher's own it has `PATH`, `LANG`, `HOME` and `TZ`, and no \
                other.",
        example: "environment: { allow: [LC_ALL], set: { TOKEN: \"${TOKEN}\" } }",
    },
    Key {
        path: "behavior.commands.<name>.environment.allow",
        kind: Texts,
        presence: Default("none"),
        about: "Names of the launcher's variables that it has too.",
        example: "allow: [LC_ALL, SSH_AUTH_SOCK]",
    },
    Key {
        path: "behavior.commands.<name>.environment.set",
        kind: Variables,
        presence: Default("none"),
        about: "Variables of its own. What is secret belongs here and not into `run`: arguments can \
                be seen by everybody who is logged in on the machine.",
        example: "set: { DEPLOY_TOKEN: \"${DEPLOY_TOKEN}\" }",
    },
    Key {
        path: "behavior.commands.<name>.output",
        kind: Choice(&["block", "file", "text"]),
        presence: Default("`block`"),
        about: "How its output is shown. `block`: as it is, the first 32 KiB. `file`: as a file of \
                up to 8 MiB, if it is longer than 2 KiB. `text`: as Markdown.",
        example: "output: file",
    },
    Key {
        path: "behavior.commands.<name>.status",
        kind: Choice(&["failure", "always"]),
        presence: Default("`failure`"),
        about: "When its exit status is shown. `failure`: when it is not 0.",
        example: "status: always",
    },
    Key {
        path: "behavior.commands.<name>.at_once",
        kind: Number,
        presence: Default("`1`"),
        about: "How often it may run at the same time, from 1 to 64. Another one waits half a \
                minute, and is refused then.",
        example: "at_once: 4",
    },
    Key {
        path: "behavior.commands.<name>.limits",
        kind: Section,
        presence: Default("as below"),
        about: "What it may use up. They guard against broken programs and not against hostile ones; \
                see the [guide](../guide/robots.md#limits).",
        example: "limits: { memory: 256 MiB, processes: 32 }",
    },
    Key {
        path: "behavior.commands.<name>.limits.memory",
        kind: Size,
        presence: Default("`1 GiB`"),
        about: "How much private memory each of its processes may have; at least `4 MiB`. A process \
                that wants more is refused it.",
        example: "memory: 256 MiB",
    },
    Key {
        path: "behavior.commands.<name>.limits.processes",
        kind: Number,
        presence: Default("`128`"),
        about: "How many processes and threads there may be at once, of all that it has started. \
                With more, all of it is ended.",
        example: "processes: 32",
    },
    Key {
        path: "behavior.commands.<name>.limits.cpu",
        kind: Duration,
        presence: Default("as long as it runs"),
        about: "How long each of its processes may compute, in whole seconds.",
        example: "cpu: 30s",
    },
    Key {
        path: "behavior.commands.<name>.limits.open_files",
        kind: Number,
        presence: Default("`1024`"),
        about: "How many files each of its processes may have open; at least 16.",
        example: "open_files: 256",
    },
];

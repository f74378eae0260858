//! The keys of the behaviors that leave it to somebody else what is said.

use super::{
    Key,
    Kind::{
        CommandTime, Duration, Folder, Number, Program, Secret, SecretAddress, Section, Size,
        Texts, Variables,
    },
    Presence::{Default, Needed},
};

/// Programs and URLs.
pub(super) static KEYS: &[Key] = &[
    Key {
        path: "behavior.process",
        kind: Section,
        presence: Default("no program"),
        about: "Leaves what is said to a program in any language. It runs as long as the agent and \
                reads and writes lines of JSON: see the [guide](../guide/robots.md) and the \
                [protocol](process-protocol.md).",
        example: "process: { run: [\"python3\", \"robot.py\"] }",
    },
    Key {
        path: "behavior.process.run",
        kind: Program,
        presence: Needed,
        about: "The program and its arguments, as for [commands](#behaviorcommandsnamerun).",
        example: "run: [\"python3\", \"robot.py\"]",
    },
    Key {
        path: "behavior.process.folder",
        kind: Folder,
        presence: Default("the agent's folder"),
        about: "Where it works: a path below the agent's folder, or an absolute one.",
        example: "folder: robot",
    },
    Key {
        path: "behavior.process.timeout",
        kind: CommandTime,
        presence: Default("`60s`"),
        about: "How long it may take for one event, from `1s` to `2m`. Then it is ended and started \
                again.",
        example: "timeout: 20s",
    },
    Key {
        path: "behavior.process.at_once",
        kind: Number,
        presence: Default("`4`"),
        about: "How many events it may have in hand at the same time, from 1 to 64.",
        example: "at_once: 1",
    },
    Key {
        path: "behavior.process.environment",
        kind: Section,
        presence: Default("`PATH`, `LANG`, `HOME` and `TZ`"),
        about: "Its variables. Of the launcher's own it has `PATH`, `LANG`, `HOME` and `TZ`, and no \
                other.",
        example: "environment: { allow: [LC_ALL], set: { TOKEN: \"${TOKEN}\" } }",
    },
    Key {
        path: "behavior.process.environment.allow",
        kind: Texts,
        presence: Default("none"),
        about: "Names of the launcher's variables that it has too.",
        example: "allow: [LC_ALL, SSH_AUTH_SOCK]",
    },
    Key {
        path: "behavior.process.environment.set",
        kind: Variables,
        presence: Default("none"),
        about: "Variables of its own. What is secret belongs here and not into `run`: arguments can \
                be seen by everybody who is logged in on the machine.",
        example: "set: { DEPLOY_TOKEN: \"${DEPLOY_TOKEN}\" }",
    },
    Key {
        path: "behavior.process.limits",
        kind: Section,
        presence: Default("as below"),
        about: "What it may use up. They guard against broken programs and not against hostile ones; \
                see the [guide](../guide/robots.md#limits).",
        example: "limits: { memory: 256 MiB, processes: 32 }",
    },
    Key {
        path: "behavior.process.limits.memory",
        kind: Size,
        presence: Default("`1 GiB`"),
        about: "How much private memory each of its processes may have; at least `4 MiB`. A process \
                that wants more is refused it.",
        example: "memory: 256 MiB",
    },
    Key {
        path: "behavior.process.limits.processes",
        kind: Number,
        presence: Default("`128`"),
        about: "How many processes and threads there may be at once, of all that it has started. \
                With more, all of it is ended.",
        example: "processes: 32",
    },
    Key {
        path: "behavior.process.limits.cpu",
        kind: Duration,
        presence: Default("as long as it runs"),
        about: "How long each of its processes may compute, in whole seconds.",
        example: "cpu: 30s",
    },
    Key {
        path: "behavior.process.limits.open_files",
        kind: Number,
        presence: Default("`1024`"),
        about: "How many files each of its processes may have open; at least 16.",
        example: "open_files: 256",
    },
    Key {
        path: "behavior.webhook",
        kind: Section,
        presence: Default("no URL"),
        about: "Posts each message to a URL, and says what comes back. See the \
                [guide](../guide/robots.md#a-url).",
        example: "webhook: { url: \"${HOOK_URL}\", signing_key: \"${HOOK_KEY}\" }",
    },
    Key {
        path: "behavior.webhook.url",
        kind: SecretAddress,
        presence: Needed,
        about: "Where messages are posted. Redirects are not followed.",
        example: "url: \"${HOOK_URL}\"",
    },
    Key {
        path: "behavior.webhook.signing_key",
        kind: Secret,
        presence: Default("nothing is signed"),
        about: "The key with which each request is signed: `whsec_` and base64, as Standard Webhooks \
                has it, or any other text, which is the key as it is.",
        example: "signing_key: \"${HOOK_KEY}\"",
    },
    Key {
        path: "behavior.webhook.timeout",
        kind: Duration,
        presence: Default("`20s`"),
        about: "How long a request may take, from `1s` to `45s`.",
        example: "timeout: 10s",
    },
];

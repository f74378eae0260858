//! The keys of the tools of the behavior `llm`.

use super::{
    Key,
    Kind::{
        Choice, Duration, Folder, Headers, Named, Number, Program, SecretAddress, Section, Size,
        Texts, UserGlobs, Variables,
    },
    Naming,
    Presence::{Default, Needed},
};

/// Servers, and who agrees to what they do.
pub(super) static KEYS: &[Key] = &[
    Key {
        path: "behavior.llm.tools",
        kind: Section,
        presence: Default("no tools"),
        about: "What the model may call. See the [guide](../guide/assistants.md#tools).",
        example: "tools: { servers: { time: { run: [\"mcp-server-time\"], allow: [\"*\"] } } }",
    },
    Key {
        path: "behavior.llm.tools.approval",
        kind: Section,
        presence: Default("nobody: what has to be asked about is not offered"),
        about: "Who agrees to the call of a tool that is neither under `read` nor under \
                `act`.",
        example: "approval: { users: [\"@ops:example.org\"], require: verified }",
    },
    Key {
        path: "behavior.llm.tools.approval.users",
        kind: UserGlobs,
        presence: Needed,
        about: "Who may agree.",
        example: "users: [\"@ops:example.org\"]",
    },
    Key {
        path: "behavior.llm.tools.approval.require",
        kind: Choice(&["trusted", "verified"]),
        presence: Default("`trusted`"),
        about: "How sure it has to be who they are. `trusted`: as `encryption.trust_mode` \
                wants it for any message. `verified`: only a written answer from a verified \
                device of a verified user counts, since reactions are not encrypted.",
        example: "require: verified",
    },
    Key {
        path: "behavior.llm.tools.approval.timeout",
        kind: Duration,
        presence: Default("`5m`"),
        about: "How long they have, from `1s` to `60m`.",
        example: "timeout: 10m",
    },
    Key {
        path: "behavior.llm.tools.servers",
        kind: Named(Naming::Word),
        presence: Default("no servers"),
        about: "Servers of the Model Context Protocol, under names of your choice. A name is \
                put before the names of its tools: `time__convert_time`.",
        example: "servers: { time: { run: [\"mcp-server-time\"], allow: [\"*\"] } }",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>",
        kind: Section,
        presence: Needed,
        about: "One server: a program with `run`, or an address with `url`.",
        example: "time: { run: [\"mcp-server-time\"], allow: [\"*\"], read: [\"*\"] }",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.run",
        kind: Program,
        presence: Default("see `url`"),
        about: "The program and its arguments, as for [commands](#behaviorcommandsnamerun). \
                It speaks the protocol on its standard input and output, and runs as long as \
                the agent.",
        example: "run: [\"mcp-server-time\", \"--local-timezone\", \"UTC\"]",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.url",
        kind: SecretAddress,
        presence: Default("see `run`"),
        about: "The address of a server that speaks the protocol over HTTP (\"streamable \
                HTTP\"). Redirects are not followed.",
        example: "url: \"https://tools.example.org/mcp\"",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.headers",
        kind: Headers,
        presence: Default("none"),
        about: "What is sent along to `url`.",
        example: "headers: { Authorization: \"Bearer ${TOOLS_TOKEN}\" }",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.allow",
        kind: Texts,
        presence: Needed,
        about: "Patterns (`*`, `?`) for the names of the tools that may be used, as the \
                server calls them. No other is offered.",
        example: "allow: [\"get_*\", \"convert_time\"]",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.read",
        kind: Texts,
        presence: Default("none"),
        about: "Which of these only read. They are called without asking, and once more if \
                the launcher was killed in the middle.",
        example: "read: [\"get_*\"]",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.act",
        kind: Texts,
        presence: Default("none"),
        about: "Which of these act without asking. They are called once; when it is not \
                known what came of it, the room is told so.",
        example: "act: [\"add_note\"]",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.ask",
        kind: Texts,
        presence: Default("what is neither under `read` nor under `act`"),
        about: "Which of these are asked about although a pattern of `read` or `act` matches \
                them.",
        example: "ask: [\"get_secret\"]",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.timeout",
        kind: Duration,
        presence: Default("`30s`"),
        about: "How long a call may take, from `1s` to `5m`.",
        example: "timeout: 10s",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.folder",
        kind: Folder,
        presence: Default("the agent's folder"),
        about: "Where the program works: a path below the agent's folder, or an absolute \
                one.",
        example: "folder: tools",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.environment",
        kind: Section,
        presence: Default("`PATH`, `LANG`, `HOME` and `TZ`"),
        about: "The program's variables. Of the launcher's own it has `PATH`, `LANG`, `HOME` \
                and `TZ`, and no other.",
        example: "environment: { set: { TOKEN: \"${TOKEN}\" } }",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.environment.allow",
        kind: Texts,
        presence: Default("none"),
        about: "Names of the launcher's variables that it has too.",
        example: "allow: [LC_ALL]",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.environment.set",
        kind: Variables,
        presence: Default("none"),
        about: "Variables of its own. What is secret belongs here and not into `run`.",
        example: "set: { TOKEN: \"${TOKEN}\" }",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.limits",
        kind: Section,
        presence: Default("as below"),
        about: "What the program may use up; see the [guide](../guide/robots.md#limits).",
        example: "limits: { memory: 256 MiB }",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.limits.memory",
        kind: Size,
        presence: Default("`1 GiB`"),
        about: "How much private memory each of its processes may have; at least `4 MiB`.",
        example: "memory: 256 MiB",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.limits.processes",
        kind: Number,
        presence: Default("`128`"),
        about: "How many processes and threads there may be at once, of all that it has \
                started. With more, all of it is ended.",
        example: "processes: 32",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.limits.cpu",
        kind: Duration,
        presence: Default("as long as it runs"),
        about: "How long each of its processes may compute, in whole seconds.",
        example: "cpu: 10m",
    },
    Key {
        path: "behavior.llm.tools.servers.<name>.limits.open_files",
        kind: Number,
        presence: Default("`1024`"),
        about: "How many files each of its processes may have open; at least 16.",
        example: "open_files: 256",
    },
];

//! The keys themselves. `docs/reference/config.md` is made from this.

use super::{
    Key,
    Kind::{
        Address, AgentKeys, Behaviors, Choice, Duration, DurationOrOff, Flag, Folder, Number,
        Secret, Section, SocketAddress, Text, UserGlobs, UserId,
    },
    Presence::{Default, Needed},
};

/// The keys of the root `config.yaml`.
pub(super) static ROOT: &[Key] = &[
    Key {
        path: "homeserver",
        kind: Address,
        presence: Default("none; then each agent names its own"),
        about: "The homeserver of every agent that does not name one itself, in its own file or \
                under `defaults`.",
        example: "homeserver: https://matrix.example.org",
    },
    Key {
        path: "agents_dir",
        kind: Folder,
        presence: Default("`./agents`"),
        about: "The folder with one folder per agent. A folder without a `config.yaml` is not an \
                agent. The name of an agent's folder is its id: 1 to 63 of `a-z`, `0-9`, `_` and \
                `-`, starting with a letter or digit.",
        example: "agents_dir: ./agents",
    },
    Key {
        path: "log",
        kind: Section,
        presence: Default("as below"),
        about: "What the launcher writes to its standard error.",
        example: "log: { format: json, level: info }",
    },
    Key {
        path: "log.format",
        kind: Choice(&["pretty", "json"]),
        presence: Default("`pretty`"),
        about: "`pretty` is for people; `json` is one object a line, for machines.",
        example: "format: json",
    },
    Key {
        path: "log.level",
        kind: Choice(&["error", "warn", "info", "debug", "trace"]),
        presence: Default("`info`"),
        about: "The least important messages that are still written.",
        example: "level: info",
    },
    Key {
        path: "admin",
        kind: Section,
        presence: Default("nothing listens"),
        about: "Health and metrics over HTTP: `/healthz`, `/readyz` and `/metrics`, see \
                [metrics](metrics.md).",
        example: "admin: { listen: \"127.0.0.1:8470\" }",
    },
    Key {
        path: "admin.listen",
        kind: SocketAddress,
        presence: Default("nothing listens"),
        about: "An IP address and a port; port 0 takes a free one, which the log line `listening` \
                names. There is no login: keep it on the loopback address or behind something \
                that asks who is there. If the address cannot be had, the launcher does not \
                start; if it is changed to such a one while the launcher runs, the agents go on \
                and the log says so.",
        example: "listen: \"127.0.0.1:8470\"",
    },
    Key {
        path: "admin.public",
        kind: Flag,
        presence: Default("`false`"),
        about: "Whether `listen` may be an address that others reach. They then see the names of \
                the agents, how they are and how much they say.",
        example: "public: true",
    },
    Key {
        path: "defaults",
        kind: AgentKeys,
        presence: Default("empty"),
        about: "Any key of an agent, for every agent. What an agent says itself wins: maps are \
                merged key by key, everything else is replaced. An agent's `behavior` \
                takes from the default one only what it names itself.",
        example: "defaults: { encryption: { trust_mode: tofu } }",
    },
];

/// The keys of `agents/<id>/config.yaml`, and of `defaults`.
pub(super) static AGENT: &[Key] = &[
    Key {
        path: "enabled",
        kind: Flag,
        presence: Default("`true`"),
        about: "Whether the agent is started. The file of a disabled agent is still checked.",
        example: "enabled: true",
    },
    Key {
        path: "matrix",
        kind: Section,
        presence: Default("`messager`; one of the two is needed"),
        about: "The account on a Matrix homeserver that the agent speaks as. Needs a `password` or an `access_token`; \
                both are allowed.",
        example: "matrix: { user_id: \"@assistant:example.org\", password: \"${MATRIX_PASSWORD_ASSISTANT}\" }",
    },
    Key {
        path: "matrix.homeserver",
        kind: Address,
        presence: Default("the root file's `homeserver`; one of the two is needed"),
        about: "The base of the client-server API: `https` (or `http`), without credentials, \
                query and fragment.",
        example: "homeserver: https://matrix.example.org",
    },
    Key {
        path: "matrix.user_id",
        kind: UserId,
        presence: Needed,
        about: "The full user id, in quotes because YAML reserves the `@`. No two agents may \
                share one.",
        example: "user_id: \"@assistant:example.org\"",
    },
    Key {
        path: "matrix.password",
        kind: Secret,
        presence: Default("none; then `access_token` is needed"),
        about: "With it the agent logs in by itself, and again if its session expires.",
        example: "password: \"${MATRIX_PASSWORD_ASSISTANT}\"",
    },
    Key {
        path: "matrix.access_token",
        kind: Secret,
        presence: Default("none; then `password` is needed"),
        about: "A token that was made elsewhere; its device becomes the agent's.",
        example: "access_token: \"${MATRIX_TOKEN_ASSISTANT}\"",
    },
    Key {
        path: "messager",
        kind: Section,
        presence: Default("`matrix`; one of the two is needed"),
        about: "The account on a [Messager](../guide/messager.md) that the agent speaks as, in \
                place of one on Matrix.",
        example: "messager: { server: \"https://chat.example.org\", token: \"${MESSAGER_TOKEN_ASSISTANT}\" }",
    },
    Key {
        path: "messager.server",
        kind: Address,
        presence: Needed,
        about: "The base of the server's API: `https` (or `http`), without credentials, query \
                and fragment.",
        example: "server: https://chat.example.org",
    },
    Key {
        path: "messager.token",
        kind: Secret,
        presence: Needed,
        about: "What `messager account add` printed. It stands for one device of one account; no \
                two agents may share one.",
        example: "token: \"${MESSAGER_TOKEN_ASSISTANT}\"",
    },
    Key {
        path: "encryption",
        kind: Section,
        presence: Needed,
        about: "Where the agent's keys are kept, and who is trusted with messages.",
        example: "encryption: { pickle_key: \"${PICKLE_KEY_ASSISTANT}\", trust_mode: tofu }",
    },
    Key {
        path: "encryption.enabled",
        kind: Flag,
        presence: Default("`true`"),
        about: "Only `true` is allowed: no agent runs without encryption.",
        example: "enabled: true",
    },
    Key {
        path: "encryption.store_path",
        kind: Folder,
        presence: Default("`data/crypto` in the agent's folder"),
        about: "The folder of `crypto.db`. No two agents may share one, and none may lie inside \
                another's.",
        example: "store_path: \"./agents/assistant/data/crypto/\"",
    },
    Key {
        path: "encryption.pickle_key",
        kind: Secret,
        presence: Needed,
        about: "The key of the crypto store: 64 hex digits, which are 32 bytes. Make one with \
                `openssl rand -hex 32`, once: without it the store cannot be read again.",
        example: "pickle_key: \"${PICKLE_KEY_ASSISTANT}\"",
    },
    Key {
        path: "encryption.recovery_key",
        kind: Secret,
        presence: Default("none"),
        about: "Opens the account's secret storage, from which cross-signing keys and the key \
                backup come.",
        example: "recovery_key: \"${RECOVERY_KEY_ASSISTANT}\"",
    },
    Key {
        path: "encryption.trust_mode",
        kind: Choice(&["tofu", "cross-signing", "manual"]),
        presence: Default("`tofu`"),
        about: "Who gets the agent's keys and whose messages it acts upon. `tofu`: everybody \
                in the room. `cross-signing`: only devices that their owner has signed. `manual`: \
                only devices that an operator approved, with `launcher trust`, and those that a \
                verified user has signed. In Messager nobody signs devices: it is `tofu` or \
                `manual` there. docs/guide/trust.md has the whole table.",
        example: "trust_mode: tofu",
    },
    Key {
        path: "invites",
        kind: Section,
        presence: Default("as below"),
        about: "Which invitations the agent accepts by itself. Others are kept: `launcher invites` \
                shows them, and accepts or rejects them. See the [guide](../guide/invites.md).",
        example: "invites: { from: [\"@*:example.org\"], require_encryption: true }",
    },
    Key {
        path: "invites.from",
        kind: UserGlobs,
        presence: Default(
            "`[\"@*:<server of user_id>\"]`: everyone of the agent's own server; in Messager `[\"*\"]`",
        ),
        about: "Who may invite the agent: user ids (in Messager UUIDs) in which `*` stands for any text and `?` for \
                one character. An empty list means nobody.",
        example: "from: [\"@*:example.org\", \"@alice:example.net\"]",
    },
    Key {
        path: "invites.max_members",
        kind: Number,
        presence: Default("no limit"),
        about: "How many there may be in a room, the agent included and without those who are only \
                invited: `2` means direct chats only. It is looked at when the agent is invited; a \
                room may grow later. If the server does not say how many there are, the invitation \
                is kept.",
        example: "max_members: 20",
    },
    Key {
        path: "invites.require_encryption",
        kind: Flag,
        presence: Default("`false`"),
        about: "Whether the agent joins only rooms whose invitation says that they are encrypted.",
        example: "require_encryption: true",
    },
    Key {
        path: "invites.auto_leave_empty",
        kind: Flag,
        presence: Default("`true`"),
        about: "Whether the agent leaves a room when everybody else has left it, and nobody is \
                invited any more. A private room that the agent leaves as the last one is gone \
                for good.",
        example: "auto_leave_empty: false",
    },
    Key {
        path: "verification",
        kind: Section,
        presence: Default("as below"),
        about: "Who may ask to verify the agent, from their own client.",
        example: "verification: { accept_from: [\"@alice:example.org\"] }",
    },
    Key {
        path: "verification.accept_from",
        kind: UserGlobs,
        presence: Default("`[\"@*:<server of user_id>\"]`: everyone of the agent's own server"),
        about: "Whose requests wait for an operator, who takes one up with `launcher verify ID \
                --with USER`. Requests of others are declined. As in `invites.from`.",
        example: "accept_from: [\"@alice:example.org\", \"@*:example.net\"]",
    },
    Key {
        path: "verification.timeout",
        kind: Duration,
        presence: Default("`10m`"),
        about: "How long a verification may take, from the request to its end. Whatever is set \
                here, both sides give up ten minutes after the request, and five after the first \
                of them began to compare.",
        example: "timeout: 10m",
    },
    Key {
        path: "catch_up",
        kind: Section,
        presence: Default("as below"),
        about: "What happens to messages that were sent while the agent was away.",
        example: "catch_up: { max_age: 1d }",
    },
    Key {
        path: "catch_up.max_age",
        kind: Duration,
        presence: Default("`1d`"),
        about: "Older messages are counted and not answered.",
        example: "max_age: 12h",
    },
    Key {
        path: "undecryptable",
        kind: Section,
        presence: Default("as below"),
        about: "What happens when a message cannot be read because its key is missing. It is kept \
                for `catch_up.max_age` and answered when the key arrives, whatever is set here.",
        example: "undecryptable: { notice_after: 30s }",
    },
    Key {
        path: "undecryptable.notice_after",
        kind: DurationOrOff,
        presence: Default("`30s`"),
        about: "How long after such a message the agent says in the room that it cannot read it, \
                why, and what the sender can do. It says so once for each of the sender's \
                sessions, and of many agents in a room one. `off`: never.",
        example: "notice_after: 30s",
    },
];

/// What an agent does with a message.
pub(super) static BEHAVIOR: &[Key] = &[
    Key {
        path: "behavior",
        kind: Behaviors,
        presence: Needed,
        about: "What the agent does with a message: one or several of the keys below. Where there \
                are several, they are asked in the order in which they stand in the file, and the \
                first that takes the message answers it: put `commands` before what answers \
                everything.",
        example: "behavior: { echo: {} }",
    },
    Key {
        path: "behavior.echo",
        kind: Section,
        presence: Default("not an echo"),
        about: "Answers with the text that it was sent.",
        example: "echo: {}",
    },
    Key {
        path: "behavior.echo.prefix",
        kind: Text,
        presence: Default("`\"echo: \"`"),
        about: "Put before the text.",
        example: "prefix: \"echo: \"",
    },
    Key {
        path: "behavior.echo.files",
        kind: Flag,
        presence: Default("`false`"),
        about: "Whether files and images are sent back as well, up to 32 MiB.",
        example: "files: true",
    },
    Key {
        path: "behavior.echo.delay",
        kind: Duration,
        presence: Default("none"),
        about: "How long the agent takes to answer, as one with a language model would. For \
                trying things out.",
        example: "delay: 3s",
    },
];

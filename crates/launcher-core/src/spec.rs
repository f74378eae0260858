//! What an operator wants: an agent as its `config.yaml` describes it, checked.
//!
//! Values of these types are valid by construction; only `launcher-config`
//! makes them. Two equal specs mean that nothing has to be done.

mod answer;
mod commands;
mod llm;
mod process;
mod schedule;
mod tools;
mod webhook;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use url::Url;

use crate::{
    agent::AgentId,
    conversation::MessageKind,
    names::RoomId,
    secret::{PickleKey, Secret},
};

pub use answer::{AnswerPolicy, BotPolicy, Occasion, QuietHours, Rate, SettingsPolicy};
pub use commands::{CommandSpec, Confirmation, OutputForm, StatusShown};
pub use llm::{HistorySpec, LlmSpec, ModeSpec};
pub use process::ProcessSpec;
pub use schedule::{Missed, ScheduleSpec, Scheduled};
pub use tools::{ApprovalSpec, ToolServerAt, ToolServerSpec, ToolUse, ToolsSpec};
pub use webhook::WebhookSpec;

/// One agent, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// Its id.
    pub id: AgentId,
    /// Whether it should run at all.
    pub enabled: bool,
    /// The agent's folder, absolute.
    pub folder: PathBuf,
    /// The account it speaks as.
    pub account: Account,
    /// Where its keys are kept and who may have them.
    pub encryption: Encryption,
    /// Which invitations it accepts.
    pub invites: InvitePolicy,
    /// Who may ask to verify it.
    pub verification: VerificationPolicy,
    /// What it does about the time it was away.
    pub catch_up: CatchUp,
    /// What it does about messages that it cannot read.
    pub undecryptable: UndecryptablePolicy,
    /// Which messages it answers, and when.
    pub answer: AnswerPolicy,
    /// Who may change settings in a room.
    pub settings: SettingsPolicy,
    /// Settings that hold in single rooms, by name; each is one that
    /// [`settings::check`](crate::settings::check) accepts.
    pub rooms: BTreeMap<RoomId, BTreeMap<String, String>>,
    /// What it does with a message: the first that takes it. At least one.
    pub behaviors: Vec<BehaviorSpec>,
}

impl AgentSpec {
    /// Whether any of its behaviors does something with messages of this kind.
    pub fn hears(&self, kind: MessageKind) -> bool {
        self.behaviors.iter().any(|behavior| behavior.hears(kind))
    }

    /// What the agent is called where a person reads it: its user id, or its own
    /// id where only the server knows that.
    pub fn name(&self) -> &str {
        match self.account.network {
            Network::Matrix => &self.account.user_id,
            Network::Messager => self.id.as_str(),
        }
    }

    /// Where the launcher keeps what it writes for this agent.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }
}

/// An account on a server of one of the networks. In Matrix at least one of
/// password and token is there; in Messager it is always the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which network it is on.
    pub network: Network,
    /// The server: the base of its API, `http` or `https`.
    pub homeserver: Url,
    /// In Matrix the full user id, `@localpart:server`. In Messager empty: the
    /// server says whose token it is.
    pub user_id: String,
    /// Lets the agent log in by itself and prove who it is (UIA).
    pub password: Option<Secret<String>>,
    /// A token that somebody else obtained; its device becomes the agent's.
    pub access_token: Option<Secret<String>>,
}

/// A chat network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// A Matrix homeserver.
    #[default]
    Matrix,
    /// A server that speaks the contract of Messager and Pass.
    Messager,
}

impl Network {
    /// The key of its section in an agent's file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matrix => "matrix",
            Self::Messager => "messager",
        }
    }
}

impl Account {
    /// The server's name: what follows the first colon of the user id.
    pub fn server_name(&self) -> &str {
        self.user_id.split_once(':').map_or("", |(_, server)| server)
    }

    /// A glob that matches everybody with an account on the same server.
    pub fn everyone(&self) -> String {
        match self.network {
            Network::Matrix => format!("@*:{}", self.server_name()),
            Network::Messager => "*".to_owned(),
        }
    }
}

/// The crypto store and the policy for its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// The folder of `crypto.db`, absolute.
    pub store_path: PathBuf,
    /// The key of the store and of the vault.
    pub pickle_key: PickleKey,
    /// Opens the account's secret storage; wins over the one in the vault.
    pub recovery_key: Option<Secret<String>>,
    /// Who gets keys and who is obeyed.
    pub trust_mode: TrustMode,
}

/// Who gets the agent's keys, and whose messages it acts upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustMode {
    /// Everybody in the room.
    Tofu,
    /// Only devices that their owner has signed.
    CrossSigning,
    /// Only devices that an operator approved.
    Manual,
}

/// Which invitations are accepted, and which rooms are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitePolicy {
    /// Globs (`*`, `?`) on user ids; one must match the inviter's whole id.
    pub from: Vec<String>,
    /// How many there may be in a room, the agent included; `None`: any number.
    pub max_members: Option<u64>,
    /// Whether only rooms are joined that are said to be encrypted.
    pub require_encryption: bool,
    /// Whether a room is left when everybody else has gone.
    pub auto_leave_empty: bool,
}

impl Default for InvitePolicy {
    /// Nobody's; rooms that everybody else has left are left.
    fn default() -> Self {
        Self {
            from: Vec::new(),
            max_members: None,
            require_encryption: false,
            auto_leave_empty: true,
        }
    }
}

/// Whose verification requests wait for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationPolicy {
    /// Globs (`*`, `?`) on user ids; one must match the whole id. Requests of
    /// others are declined.
    pub accept_from: Vec<String>,
    /// How long a verification may take, from its request to its end.
    pub timeout: Duration,
}

impl Default for VerificationPolicy {
    /// Nobody's; ten minutes, which is as long as clients wait (spec 11.12.2.1).
    fn default() -> Self {
        Self { accept_from: Vec::new(), timeout: Duration::from_secs(600) }
    }
}

/// How far back an agent answers after an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// Messages older than this are counted, not answered.
    pub max_age: Duration,
}

/// What an agent does about messages whose key is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndecryptablePolicy {
    /// How long after such a message it says in the room that it cannot read
    /// it; `None`: never.
    pub notice_after: Option<Duration>,
}

/// What an agent does with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BehaviorSpec {
    /// Answers with the text it was sent.
    Echo {
        /// Put before the text.
        prefix: String,
        /// How long it takes.
        delay: Duration,
        /// Whether files and images are sent back as well.
        files: bool,
    },
    /// Runs programs that the operator has given names to.
    Commands {
        /// By the text that runs each; at least one. A name is 2 to 64
        /// characters without white space, and the first of them is ASCII
        /// punctuation.
        commands: BTreeMap<String, CommandSpec>,
    },
    /// Does things at certain times.
    Schedule {
        /// By names of the operator's choice.
        entries: BTreeMap<String, ScheduleSpec>,
    },
    /// Leaves it to a program.
    Process(ProcessSpec),
    /// Leaves it to a URL.
    Webhook(WebhookSpec),
    /// Answers with the help of language models.
    Llm(Box<LlmSpec>),
}

impl BehaviorSpec {
    /// Whether it does something with a message of this kind.
    pub fn hears(&self, kind: MessageKind) -> bool {
        match self {
            Self::Echo { files, .. } => {
                matches!(kind, MessageKind::Text | MessageKind::Task)
                    || (*files && kind == MessageKind::Media)
            }
            Self::Commands { .. } => matches!(kind, MessageKind::Text | MessageKind::Task),
            Self::Schedule { .. } => false,
            Self::Process(_) => !matches!(kind, MessageKind::Notice | MessageKind::Other),
            Self::Webhook(_) => {
                matches!(kind, MessageKind::Text | MessageKind::Media | MessageKind::Task)
            }
            Self::Llm(_) => match kind {
                MessageKind::Text
                | MessageKind::Media
                | MessageKind::Task
                | MessageKind::Edit
                | MessageKind::Redaction => true,
                MessageKind::Notice | MessageKind::Reaction | MessageKind::Other => false,
            },
        }
    }
}

/// How sure it has to be who wrote a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// As sure as the agent's [`TrustMode`] wants it for any message.
    #[default]
    Trusted,
    /// [`Assurance::Verified`](crate::trust::Assurance::Verified), in every mode.
    Verified,
}

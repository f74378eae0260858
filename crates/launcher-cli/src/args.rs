//! What can be typed.

mod chatting;
mod examples;

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use launcher_control::wire::{TrustAction, message::KEY_LIMIT};
use launcher_core::{
    agent::AgentId,
    names::{DeviceId, EventId, RoomId, UserId},
    secret::Secret,
    target::Target,
};

pub(crate) use self::chatting::{Chat, Demo};
use crate::{
    commands::{new::New, verify_any::VerifyAny, verify_with::VerifyWith},
    explain::pages::Language,
    facts,
};

/// Runs many end-to-end encrypted chat agents in one process, each a folder.
#[derive(Debug, Parser)]
#[command(
    name = "launcher",
    version,
    long_version = facts::LONG_VERSION,
    arg_required_else_help = true,
    after_help = "Exit status: 0 done; 1 failed; 2 wrong usage; 78 bad configuration"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs every enabled agent until SIGTERM or SIGINT; a second signal cuts off
    ///
    /// Folders that are added, edited or removed while it runs are started,
    /// restarted or stopped; SIGHUP reads all files again.
    #[command(after_help = examples::RUN)]
    Run(Run),
    /// Reads every file and prints every problem, and starts nothing
    ///
    /// Each problem is `file:line:column: error: key: what`, with the line and what
    /// helps. Exits 0 if there is no problem and 78 if there is one.
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// Shows how the running launcher's agents are
    ///
    /// Exits 1 if no launcher runs on this configuration.
    #[command(after_help = examples::STATUS)]
    Status(Status),
    /// Makes an agent: its account, its secrets and its folder
    ///
    /// What is not given is asked for at the terminal. A new account gets a
    /// random password; for an account that is there already, its password is
    /// asked for. Secrets go into `.env` before the server hears of them, and
    /// the folder comes last: after a kill, the same command goes on where it
    /// was. A launcher that runs takes the agent up; else `launcher run` does.
    #[command(after_help = examples::NEW)]
    New(Box<New>),
    /// Looks at everything that can be wrong about agents, and changes nothing
    ///
    /// Each line has a mark: ok, `!` for what is not what is best or could not
    /// be looked at, FAIL for what has to be put right; and below it what
    /// helps. Exits 1 if anything is marked FAIL.
    #[command(after_help = examples::DOCTOR)]
    Doctor(Doctor),
    /// Says what an error line means, what follows from it, and what helps
    ///
    /// TEXT is a line as it stands in the log (in either format), in `launcher
    /// status` or in an error of a command, whole or in part; or a code such as
    /// `store_locked`, an event of the log such as `undecryptable`, or what
    /// somebody sees in their chat client. Put a line with quotes or other special
    /// characters into single quotes, or give it on standard input: `-` reads
    /// a whole log and shows each page once, with the number of its lines.
    /// Without TEXT all pages are listed.
    ///
    /// Needs no configuration and no running launcher, and sends nothing
    /// anywhere. Exits 1 if nothing is known about the text.
    #[command(after_help = examples::EXPLAIN)]
    Explain(Explain),
    /// Lists an agent's crypto stores that were put aside, or removes them
    ///
    /// A store is put aside when the agent becomes a new device, and kept because
    /// only its keys open some old messages. --prune removes those from which
    /// nothing is to be had any more.
    #[command(after_help = examples::STORES)]
    Stores(Stores),
    /// Lists the devices of an agent's account, or removes stale ones
    ///
    /// Stale are devices of earlier lives of this agent; devices that somebody
    /// else has logged in are never removed. Some servers ask for the password
    /// for that, which has to be configured then.
    #[command(after_help = examples::DEVICES)]
    Devices(Devices),
    /// Makes an agent a new device
    ///
    /// Its crypto store is put aside and kept. A launcher that runs the agent
    /// does the work, and goes on with the agent after that; others are not
    /// disturbed. Waits until the new device is ready.
    #[command(after_help = examples::RESET)]
    Reset(Reset),
    /// Shows an agent's recovery key, once, or takes one
    ///
    /// The key opens the account's secret storage: its signing keys and its key
    /// backup. It is shown at a terminal only, and only once: write it down.
    /// The agent rests meanwhile.
    #[command(after_help = examples::RECOVERY)]
    Recovery(Recovery),
    /// Changes the pickle key, under which an agent's files are sealed
    ///
    /// The new key is typed at the terminal, which does not show it, or comes
    /// from standard input: 64 hex digits. Where the old one is a variable in
    /// `.env` that nothing else uses, the new one is written there, and a
    /// launcher that runs the agent starts it with that. Elsewhere it says what
    /// to change. Both keys work until the agent is started with
    /// the new one.
    #[command(after_help = examples::REKEY)]
    Rekey(Rekey),
    /// Writes an agent into one sealed file
    ///
    /// Everything that is needed to go on elsewhere as the same device, sealed
    /// with the agent's pickle key. A launcher that runs the agent makes the
    /// file; the agent rests meanwhile, for about a second. Nothing is
    /// overwritten.
    #[command(after_help = examples::BACKUP)]
    Backup(Backup),
    /// Makes an agent out of a file that `launcher backup` wrote
    ///
    /// Its folder gets the agent's name and must not exist. The pickle key that
    /// opens the file is taken from a variable, typed at the terminal, which
    /// does not show it, or comes from standard input: 64 hex digits. Says
    /// what is missing in `.env`. A launcher that runs takes the agent up.
    #[command(after_help = examples::RESTORE)]
    Restore(Restore),
    /// Lists invitations and answers them; makes rooms and direct chats
    ///
    /// Without an order: the invitations that wait, of one agent or of all, and
    /// why each was not accepted. An agent that is called like an order is
    /// given with --agent.
    ///
    /// Everything is done by the running launcher.
    #[command(after_help = examples::INVITES)]
    Invites(Invites),
    /// Shows whom an agent trusts, or changes that
    ///
    /// What needs a look comes first: changed identities, devices that wait for
    /// approval, new ones. A verdict says whether a device gets keys and is
    /// obeyed; it follows from `encryption.trust_mode`, from what was seen of
    /// the user, and from what was decided here.
    ///
    /// An order takes effect with the next message. Exits 1 if a device that
    /// was approved stays refused, because the mode asks for more.
    #[command(after_help = examples::TRUST)]
    Trust(Trust),
    /// Makes sure that a device is signed by its account; verifies other users
    ///
    /// For an agent: starts it anew, which signs its device with the recovery
    /// key, or makes signing keys where the account has none; then shows the
    /// device.
    ///
    /// With --with: the agent, which has to run, and the user compare seven
    /// emojis, or the user scans a code. Whoever types the answer vouches for
    /// it: compare with the user, or with the screen of the other device. After
    /// that the agent's account has signed the user's identity, or that device
    /// of its own.
    ///
    /// With --homeserver and --username, for a device of any other account:
    /// nothing about the device changes but its signature, and an identity that
    /// the account has is never replaced. What is not given by a variable or
    /// from standard input is asked for at the terminal.
    ///
    /// Exits 0 only if the homeserver shows the device as signed, or if the
    /// user is verified.
    #[command(after_help = examples::VERIFY)]
    Verify(Box<Verify>),
    /// Sends standard input as a message of an agent
    ///
    /// The text is Markdown, at most 45,000 bytes with what is made of it; or,
    /// with --file, a file of at most 100 MiB. The launcher that runs the agent
    /// sends it, encrypted if the room is or ever was.
    ///
    /// A script that may be repeated gives each message a key: what was sent
    /// under a key is not sent again, whatever happened in between, for thirty
    /// days. The key with another message is refused.
    ///
    /// Prints the id of the event. Exits 1 if the message was not sent, or if
    /// nobody knows: the same command with the same key makes sure.
    #[command(after_help = examples::SEND)]
    Send(Send),
    /// Shows it all in one process: a chat server, an agent, and a chat with it
    ///
    /// Nothing else is needed: no homeserver, no account, no configuration. The
    /// server is a Messager on the loopback address; the chat is encrypted from
    /// end to end, as it is between any two devices. Where standard input is no
    /// terminal, its lines are said, and the demonstration ends when each has
    /// its answer, or after ten seconds without one.
    #[command(after_help = examples::DEMO)]
    Demo(Demo),
    /// Talks to agents and people on a Messager, encrypted, in this terminal
    ///
    /// The first time it needs the server and a token that `messager account
    /// add` has printed; the token is typed at the terminal, which does not show
    /// it, or comes from a variable. After that both are in the folder of the
    /// chat, with its keys: whoever can read that folder can read the chat.
    ///
    /// What has been said before a device was there cannot be read on it. `/help`
    /// in the chat lists what can be typed.
    #[command(after_help = examples::CHAT)]
    Chat(Chat),
    /// Notes that it is known why an agent is parked
    ///
    /// `/readyz` and the metric `launcher_ready` do not count the agent then,
    /// until it is up again or parked for another reason. The note is shown by
    /// `launcher status`.
    #[command(after_help = examples::ACKNOWLEDGE)]
    Acknowledge(Acknowledge),
    /// Prints what makes a shell complete the launcher's commands
    ///
    /// `make install` has put it in its place for bash, zsh and fish.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(Completions),
    /// Prints the manual page, or writes those of all commands
    ///
    /// `make install` has put them in their place: `man launcher`, `man
    /// launcher-run`.
    #[command(after_help = examples::MAN)]
    Man(Manual),
}

#[derive(Args, Debug)]
pub(crate) struct Manual {
    #[command(flatten)]
    _files: NoFiles,
    /// Writes a page for the launcher and one for each command into this folder
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// What every command takes, for one that reads no file.
#[derive(Args, Debug)]
pub(crate) struct NoFiles {
    /// Taken, and not read
    #[arg(long = "config", value_name = "FILE", hide = true)]
    _config: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    #[command(flatten)]
    _files: NoFiles,
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// One agent.
#[derive(Args, Clone, Debug)]
pub(crate) struct Agent {
    /// The agent: the name of its folder
    #[arg(value_name = "ID")]
    pub(crate) id: AgentId,
    #[command(flatten)]
    pub(crate) files: Files,
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Files {
    /// The root configuration file
    #[arg(long, value_name = "FILE", default_value = "config.yaml")]
    pub(crate) config: PathBuf,
    /// The file with the secrets; the environment wins over it
    /// [default: .env beside the root configuration file]
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Runs only these agents
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub(crate) only: Vec<AgentId>,
    /// How log lines look [default: log.format of the root configuration file]
    #[arg(long, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// The agent: the name of its folder [default: all agents]
    #[arg(value_name = "ID")]
    pub(crate) id: Option<AgentId>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    #[command(flatten)]
    _files: NoFiles,
    /// The line, a part of it, or a code; `-` reads standard input
    pub(crate) text: Vec<String>,
    /// The language [default: that of LC_ALL, LC_MESSAGES or LANG, if it is one of these; else en]
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Language>,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Stores {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Removes those that are not needed any more, for good
    #[arg(long)]
    pub(crate) prune: bool,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Devices {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Removes those that are left over from earlier lives of this agent
    #[arg(long)]
    pub(crate) prune_stale: bool,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Reset {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Reads the account's password from standard input; it is used once and not kept
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Recovery {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Takes a key instead: typed at the terminal, which does not show it, or
    /// from standard input
    #[arg(long)]
    pub(crate) set: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Rekey {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Makes the new key by chance; only if it can be written into `.env`
    #[arg(long)]
    pub(crate) generate: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// The file to write; it must not exist
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The file that `launcher backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) archive: PathBuf,
    /// The variable with the pickle key, in the environment or in `.env`
    /// [default: for an agent `my-bot` it is `PICKLE_KEY_MY_BOT`, if that is set]
    #[arg(long, value_name = "NAME")]
    pub(crate) key_env: Option<String>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("subject").required(true)))]
#[command(group(ArgGroup::new("whose_device")), group(ArgGroup::new("conversation")))]
pub(crate) struct Verify {
    /// The agent: the name of its folder
    // What another argument needs is not missed if it conflicts with something
    // that is there, so conflicts are said in full.
    #[arg(
        value_name = "ID",
        group = "subject",
        conflicts_with_all = [
            "username",
            "token_env",
            "token_stdin",
            "password_env",
            "password_stdin",
            "recovery_key_env",
            "save_recovery_key",
        ]
    )]
    pub(crate) id: Option<AgentId>,
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(
        flatten,
        next_help_heading = "Somebody else, or another device of the agent's account"
    )]
    pub(crate) with: VerifyWith,
    #[command(flatten, next_help_heading = "A device of an account that is no agent")]
    pub(crate) account: VerifyAny,
}

#[derive(Args, Debug)]
pub(crate) struct Trust {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// What to do [default: show whom the agent trusts]
    #[arg(value_name = "ORDER", requires = "user")]
    pub(crate) order: Option<TrustOrder>,
    /// About whom, `@localpart:server`
    #[arg(value_parser = user_id)]
    pub(crate) user: Option<UserId>,
    /// About this device only
    #[arg(value_parser = device_id)]
    pub(crate) device: Option<DeviceId>,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Send {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Where to: a room id `!…`, an alias `#room:server`, or `@user:server` for
    /// the encrypted room in which the agent is alone with that user
    #[arg(value_name = "ROOM")]
    pub(crate) room: Target,
    /// Sends a notice, which bots do not answer
    #[arg(long, conflicts_with = "file")]
    pub(crate) notice: bool,
    /// Sends this file; standard input is not read
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    /// Reads standard input all the same, as what is said about the file
    #[arg(long, requires = "file")]
    pub(crate) caption: bool,
    /// Sends into the thread that begins with this event
    #[arg(long, value_name = "EVENT_ID", value_parser = event_id)]
    pub(crate) thread: Option<EventId>,
    /// Names the message, so that it is sent once however often this is run
    /// [default: a new one each time]
    #[arg(long, value_parser = key)]
    pub(crate) key: Option<String>,
    /// Prints one JSON object: `event_id`, `room_id`, `sent_before`
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Acknowledge {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// What is known, for whoever looks at `launcher status` next
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Prints one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
#[command(
    disable_help_subcommand = true,
    subcommand_value_name = "ORDER",
    subcommand_help_heading = "Orders"
)]
pub(crate) struct Invites {
    #[command(flatten)]
    pub(crate) typed: InvitesTyped,
    // As `Files`, but also behind an order.
    /// The root configuration file
    #[arg(long, value_name = "FILE", default_value = "config.yaml", global = true)]
    pub(crate) config: PathBuf,
}

/// What is typed after `launcher invites`, and at its prompt.
#[derive(Args, Debug)]
pub(crate) struct InvitesTyped {
    /// The agent: the name of its folder [default: all agents]
    #[arg(value_name = "ID")]
    pub(crate) id: Option<AgentId>,
    /// The agent, if it is called like an order
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    pub(crate) agent: Option<AgentId>,
    /// Prints one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) order: Option<InvitesOrder>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InvitesOrder {
    /// Lists the invitations that wait
    #[command(override_usage = "launcher invites list [OPTIONS] [ID]", after_help = examples::INVITES_LIST)]
    List {
        /// The agent: the name of its folder [default: all agents]
        #[arg(value_name = "ID")]
        of: Option<AgentId>,
    },
    /// Joins a room that the agent is invited to, whatever its policy says
    #[command(override_usage = "launcher invites <ID> accept [OPTIONS] <ROOM>", after_help = examples::INVITES_ACCEPT)]
    Accept {
        /// The room, `!opaque:server`
        #[arg(value_name = "ROOM", value_parser = room_id)]
        room: RoomId,
    },
    /// Declines an invitation
    #[command(override_usage = "launcher invites <ID> reject [OPTIONS] <ROOM>", after_help = examples::INVITES_REJECT)]
    Reject {
        /// The room, `!opaque:server`
        #[arg(value_name = "ROOM", value_parser = room_id)]
        room: RoomId,
    },
    /// Lists the rooms that the agent is in
    #[command(override_usage = "launcher invites <ID> rooms [OPTIONS]", after_help = examples::INVITES_ROOMS)]
    Rooms,
    /// Leaves a room
    #[command(override_usage = "launcher invites <ID> leave [OPTIONS] <ROOM>", after_help = examples::INVITES_LEAVE)]
    Leave {
        /// The room, `!opaque:server`
        #[arg(value_name = "ROOM", value_parser = room_id)]
        room: RoomId,
    },
    /// Has an encrypted direct chat with a user, and greets them
    ///
    /// The chat that there is, or a new one; at most one is made for a user,
    /// however often this is repeated. Shows how far it is. Exits 0 only if
    /// the user has joined and a device of theirs has the greeting's key; or
    /// with `--wait 0s`, as soon as they are invited.
    #[command(override_usage = "launcher invites <ID> dm [OPTIONS] <USER>", after_help = examples::INVITES_DM)]
    Dm {
        /// With whom, `@localpart:server`
        #[arg(value_name = "USER", value_parser = user_id)]
        user: UserId,
        /// What is said first, plain text
        /// [default: the agent's name, and that it can be written to]
        #[arg(long, value_name = "TEXT", value_parser = greeting)]
        greeting: Option<Secret<String>>,
        /// How long to wait for the user to join: `30s`, `5m`
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = waiting_time)]
        wait: Duration,
    },
    /// Makes an encrypted room; each time another one
    #[command(override_usage = "launcher invites <ID> room [OPTIONS] <NAME>", after_help = examples::INVITES_ROOM)]
    Room {
        /// What it is called
        #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: String,
        /// Invites this user; may be repeated
        #[arg(long, value_name = "USER", value_parser = user_id)]
        invite: Vec<UserId>,
        /// What it is about
        #[arg(long, value_name = "TEXT")]
        topic: Option<String>,
    },
    /// Takes orders one after the other, with completion and a history
    #[command(override_usage = "launcher invites [ID] prompt [OPTIONS]", after_help = examples::INVITES_PROMPT)]
    Prompt,
}

/// What an operator wants done about a user or a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrustOrder {
    /// Trust the devices that the user has now, or this one
    Approve,
    /// Give no keys to the user, or to this device, and do not obey
    Block,
    /// Take back what was decided about the user, and that they were verified
    Withdraw,
}

impl From<TrustOrder> for TrustAction {
    fn from(order: TrustOrder) -> Self {
        match order {
            TrustOrder::Approve => Self::Approve,
            TrustOrder::Block => Self::Block,
            TrustOrder::Withdraw => Self::Withdraw,
        }
    }
}

/// A user id as it is typed.
pub(crate) fn user_id(text: &str) -> Result<UserId, String> {
    UserId::typed(text).ok_or_else(|| "not a user id such as `@alice:example.org`".to_owned())
}

fn room_id(text: &str) -> Result<RoomId, String> {
    RoomId::typed(text).ok_or_else(|| "not a room id such as `!abc:example.org`".to_owned())
}

fn greeting(text: &str) -> Result<Secret<String>, String> {
    // The running launcher takes no longer one.
    const LONGEST: usize = 8 * 1024;
    match text.trim().is_empty() || text.len() > LONGEST {
        true => Err(format!("not a text of 1 to {LONGEST} bytes")),
        false => Ok(Secret::new(text.to_owned())),
    }
}

/// A number of seconds or minutes, with its unit; an hour at most.
fn waiting_time(text: &str) -> Result<Duration, String> {
    let wrong = || "not a time such as `30s` or `5m`, up to an hour".to_owned();
    let (number, unit) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 60),
        (None, None) => return Err(wrong()),
    };
    let seconds = number.parse::<u64>().map_err(|_| wrong())?.saturating_mul(unit);
    (seconds <= 3_600).then(|| Duration::from_secs(seconds)).ok_or_else(wrong)
}

fn device_id(text: &str) -> Result<DeviceId, String> {
    match text.is_empty() {
        true => Err("not the id of a device".to_owned()),
        false => Ok(DeviceId::new(text)),
    }
}

fn event_id(text: &str) -> Result<EventId, String> {
    match text.len() > 1 && text.starts_with('$') && !text.contains(char::is_whitespace) {
        true => Ok(EventId::new(text)),
        false => Err("not the id of an event, `$…`".to_owned()),
    }
}

fn key(text: &str) -> Result<String, String> {
    match text.is_empty() || text.len() > KEY_LIMIT {
        true => Err(format!("a key has 1 to {KEY_LIMIT} bytes")),
        false => Ok(text.to_owned()),
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests;

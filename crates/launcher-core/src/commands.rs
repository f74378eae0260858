//! Decides what a message means to an agent that runs commands.
//!
//! Which command a text names, whether its sender may run it, whether it is
//! sure enough who that is, and what is said if not. Nothing is run here.
//!
//! What somebody writes in a room becomes part of what is run only where a
//! command has a [`parameter`] for it, only if it is what that may be, and only
//! as a part of one argument.

pub mod call;
pub mod parameter;
mod splitting;
pub mod template;

use std::{collections::BTreeMap, fmt};

use wildmatch::WildMatch;

use self::{call::Call, parameter::Parameter};

use crate::{
    conversation::{Message, MessageKind},
    help::Word,
    names::{RoomId, UserId},
    spec::{CommandSpec, Requirement},
};

/// What a message means to an agent with commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// It is no command. Nothing is said about it.
    NotForUs,
    /// The command is there and is not run.
    Refused {
        /// The command.
        name: &'a str,
        /// Why, for the log.
        reason: RefusedCommand,
        /// Why and what helps, for the sender.
        text: String,
    },
    /// This is to be run.
    Run {
        /// The command.
        name: &'a str,
        /// What it runs.
        command: &'a CommandSpec,
        /// With what somebody wrote.
        call: Call,
    },
}

/// Why a command is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedCommand {
    /// The sender is not among its users.
    NotAllowed,
    /// It is not for this room.
    NotHere,
    /// What was written after its name does not fit.
    Arguments,
    /// It needs a verified sender, and this one is not.
    NotVerified,
}

impl RefusedCommand {
    /// Every reason.
    pub const ALL: [Self; 4] =
        [Self::NotAllowed, Self::NotHere, Self::Arguments, Self::NotVerified];

    /// The reason in one word, for machines: stable, `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::NotHere => "not_here",
            Self::Arguments => "arguments",
            Self::NotVerified => "not_verified",
        }
    }
}

impl fmt::Display for RefusedCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAllowed => "the sender is not among its users",
            Self::NotHere => "the room is not among its rooms",
            Self::Arguments => "what is written after its name does not fit",
            Self::NotVerified => "it needs a verified sender",
        })
    }
}

/// What `message` means to an agent with these commands.
///
/// The agent's trust mode has been applied before: who is not obeyed at all
/// does not get here.
pub fn decide<'a>(commands: &'a BTreeMap<String, CommandSpec>, message: &Message) -> Decision<'a> {
    let body = message.body.trim();
    let (word, rest) = body.split_at(body.find(char::is_whitespace).unwrap_or(body.len()));
    if let Some((name, command)) = commands.get_key_value(word) {
        return match judge(name, command, rest, message) {
            Ok(call) => Decision::Run { name, command, call },
            Err((reason, text)) => Decision::Refused { name, reason, text },
        };
    }
    Decision::NotForUs
}

/// What may be written behind a command's name.
fn arguments(command: &CommandSpec) -> String {
    let parameters: Vec<String> = command.parameters.iter().map(Parameter::usage).collect();
    parameters.join(" ")
}

/// Whether the command is there for `user` in `room`, whatever proves who that
/// is.
///
/// As with invitations, a glob has to match the whole id.
pub fn is_for(command: &CommandSpec, user: &UserId, room: &RoomId) -> bool {
    any(&command.users, user.as_str()) && any(&command.rooms, room.as_str())
}

fn any(globs: &[String], id: &str) -> bool {
    globs.iter().any(|glob| WildMatch::new(glob).matches(id))
}

fn judge(
    name: &str,
    command: &CommandSpec,
    text: &str,
    message: &Message,
) -> Result<Call, (RefusedCommand, String)> {
    // What an agent does by itself, its operator has asked for.
    let ordered = message.kind == MessageKind::Task;
    if !ordered && !any(&command.users, message.sender.as_str()) {
        let text = format!("I do not run `{name}` for you: you are not among its users.");
        return Err((RefusedCommand::NotAllowed, text));
    }
    if !ordered && !any(&command.rooms, message.room.as_str()) {
        let text = format!("I do not run `{name}` in this room.");
        return Err((RefusedCommand::NotHere, text));
    }
    let call = call::bind(command, text).map_err(|fault| {
        let usage = match command.parameters.is_empty() {
            true => String::new(),
            false => format!("\n\nUsage: `{name} {}`", arguments(command)),
        };
        (RefusedCommand::Arguments, format!("`{name}` was not run: {fault}.{usage}"))
    })?;
    match (command.require, message.assurance.require_verified()) {
        (Requirement::Verified, Err(why)) if !ordered => {
            Err((RefusedCommand::NotVerified, format!("`{name}` was not run: {why}.")))
        }
        _ => Ok(call),
    }
}

/// The commands as `!help` shows them: those that the sender of `message` may
/// run in its room, or all.
pub fn words(commands: &BTreeMap<String, CommandSpec>, message: Option<&Message>) -> Vec<Word> {
    let theirs = |command: &CommandSpec| {
        message.is_none_or(|message| is_for(command, &message.sender, &message.room))
    };
    let word = |(name, command): (&String, &CommandSpec)| {
        let verified = match (command.require, message.map(|one| one.assurance.require_verified()))
        {
            (Requirement::Trusted, _) => None,
            (Requirement::Verified, Some(Err(_))) => {
                Some("for verified senders; you are not one yet")
            }
            (Requirement::Verified, _) => Some("for verified senders"),
        };
        let about: Vec<&str> = command.about.as_deref().into_iter().chain(verified).collect();
        Word { name: name.clone(), arguments: arguments(command), about: about.join(", ") }
    };
    commands.iter().filter(|(_, one)| theirs(one)).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        parameter::{Parameter, ParameterKind},
        *,
    };
    use crate::{names::EventId, trust::Assurance};

    fn command(users: &[&str], require: Requirement) -> CommandSpec {
        CommandSpec {
            users: users.iter().map(ToString::to_string).collect(),
            require,
            ..CommandSpec::running(&["true"])
        }
    }

    fn commands() -> BTreeMap<String, CommandSpec> {
        BTreeMap::from([
            ("!uptime".to_owned(), command(&["*"], Requirement::Trusted)),
            ("!restart".to_owned(), command(&["@*:ops.hs"], Requirement::Verified)),
            ("/halt".to_owned(), command(&["@root:hs"], Requirement::Trusted)),
            (".nobody".to_owned(), command(&[], Requirement::Trusted)),
        ])
    }

    fn message(sender: &str, body: &str, assurance: Assurance) -> Message {
        let (room, event) = (RoomId::new("!r:hs"), EventId::new("$e"));
        Message { assurance, ..Message::text(room, event, UserId::new(sender), body) }
    }

    /// The decision in a word, and what is said.
    fn check(sender: &str, body: &str, assurance: Assurance) -> (&'static str, String) {
        let commands = commands();
        match decide(&commands, &message(sender, body, assurance)) {
            Decision::NotForUs => ("ignored", String::new()),
            Decision::Refused { reason, text, .. } => (reason.code(), text),
            Decision::Run { name, .. } => ("run", name.to_owned()),
        }
    }

    /// The reasons, one after the other: a new one does not compile before it has
    /// its place here.
    fn after(refused: &RefusedCommand) -> Option<RefusedCommand> {
        Some(match refused {
            RefusedCommand::NotAllowed => RefusedCommand::NotHere,
            RefusedCommand::NotHere => RefusedCommand::Arguments,
            RefusedCommand::Arguments => RefusedCommand::NotVerified,
            RefusedCommand::NotVerified => return None,
        })
    }

    #[test]
    fn the_list_of_refusals_is_complete() {
        let all = std::iter::successors(Some(RefusedCommand::NotAllowed), after);
        assert_eq!(all.collect::<Vec<_>>(), RefusedCommand::ALL);
    }

    #[test]
    fn only_a_whole_message_is_a_command() {
        let decision = |body| check("@alice:hs", body, Assurance::Signed).0;
        for (body, meant) in [
            ("!uptime", "run"),
            ("  !uptime\n", "run"),
            ("!uptime now", "arguments"),
            ("!uptime\n; rm -rf /", "arguments"),
            ("!Uptime", "ignored"),
            ("!uptime;", "ignored"),
            ("!reboot", "ignored"),
            ("!reboot now", "ignored"),
            ("!help", "ignored"),
            ("/help me", "ignored"),
            ("please !uptime", "ignored"),
            ("uptime", "ignored"),
            ("help", "ignored"),
            ("#uptime", "ignored"),
            ("!", "ignored"),
            ("!!! look", "ignored"),
            ("...", "ignored"),
            (" \n", "ignored"),
            ("❗uptime", "ignored"),
        ] {
            assert_eq!(decision(body), meant, "{body:?}");
        }
    }

    #[test]
    fn without_commands_nothing_is_one() {
        let commands = BTreeMap::new();
        let message = message("@alice:hs", "!help", Assurance::Verified);
        assert_eq!(decide(&commands, &message), Decision::NotForUs);
    }

    #[test]
    fn a_command_is_run_for_its_users_only() {
        let decision = |sender, body| check(sender, body, Assurance::Verified).0;
        assert_eq!(decision("@alice:ops.hs", "!restart"), "run");
        assert_eq!(decision("@alice:hs", "!restart"), "not_allowed");
        assert_eq!(decision("@alice:ops.hs.evil.test", "!restart"), "not_allowed");
        // Who may not is not told how it is done right.
        assert_eq!(decision("@alice:hs", "!restart now"), "not_allowed");
        assert_eq!(decision("@root:hs", "/halt"), "run");
        assert_eq!(decision("@root:hs", ".nobody"), "not_allowed");
    }

    #[test]
    fn only_a_verified_sender_is_enough_where_one_is_required() {
        for assurance in
            [Assurance::InTheClear, Assurance::Unproven, Assurance::Unsigned, Assurance::Signed]
        {
            let (decision, text) = check("@alice:ops.hs", "!restart", assurance);
            assert_eq!(decision, "not_verified", "{assurance:?}");
            let why = assurance.require_verified().unwrap_err();
            assert_eq!(text, format!("`!restart` was not run: {why}."));
            assert_eq!(check("@alice:ops.hs", "!uptime", assurance).0, "run");
        }
        assert_eq!(check("@alice:ops.hs", "!restart", Assurance::Verified).0, "run");
    }

    #[test]
    fn help_lists_what_the_sender_may_run() {
        let listed = |sender, assurance| {
            let words = words(&commands(), Some(&message(sender, "!help", assurance)));
            words.into_iter().map(|word| (word.name, word.about)).collect::<Vec<_>>()
        };
        let plain = |name: &str| (name.to_owned(), String::new());
        assert_eq!(listed("@alice:hs", Assurance::Signed), [plain("!uptime")]);
        assert_eq!(listed("@root:hs", Assurance::Signed), [plain("!uptime"), plain("/halt")]);
        let restart = |about: &str| ("!restart".to_owned(), about.to_owned());
        assert_eq!(
            listed("@alice:ops.hs", Assurance::Signed),
            [restart("for verified senders; you are not one yet"), plain("!uptime")]
        );
        assert_eq!(
            listed("@alice:ops.hs", Assurance::Verified),
            [restart("for verified senders"), plain("!uptime")]
        );
        assert_eq!(words(&commands(), None).len(), 4);
    }

    #[test]
    fn a_command_is_run_in_its_rooms_only() {
        let rooms = vec!["!other:hs".to_owned(), "!o*".to_owned()];
        let there = CommandSpec { rooms, ..command(&["*"], Requirement::Trusted) };
        let commands = BTreeMap::from([("!here".to_owned(), there)]);
        let mut asked = message("@alice:hs", "!here", Assurance::Signed);
        let Decision::Refused { reason, text, .. } = decide(&commands, &asked) else { panic!() };
        assert_eq!(reason, RefusedCommand::NotHere);
        assert_eq!(text, "I do not run `!here` in this room.");
        assert_eq!(words(&commands, Some(&asked)), []);
        asked.room = RoomId::new("!ops");
        assert!(matches!(decide(&commands, &asked), Decision::Run { .. }));
        assert_eq!(words(&commands, Some(&asked)).len(), 1);
    }

    #[test]
    fn what_does_not_fit_is_answered_with_the_usage() {
        let parameter = |name: &str, kind, optional| Parameter {
            name: name.into(),
            kind,
            optional,
            default: None,
        };
        let words = vec!["staging".into(), "production".into()];
        let deploy = CommandSpec {
            about: Some("deploys a version".into()),
            parameters: vec![
                parameter("env", ParameterKind::Choice { words }, false),
                parameter("note", ParameterKind::Rest { leading_dash: false }, true),
            ],
            ..CommandSpec::running(&["deploy", "{env}", "{note}"])
        };
        let commands = BTreeMap::from([("!deploy".to_owned(), deploy)]);
        let decide = |body| match decide(&commands, &message("@a:hs", body, Assurance::Signed)) {
            Decision::Run { call, .. } => call.run.join("|"),
            Decision::Refused { text, .. } => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            decide("!deploy staging -- no, \"wait\""),
            "`!deploy` was not run: `note` may not begin with `-`.\n\nUsage: `!deploy <staging|production> [note…]`"
        );
        assert_eq!(decide("!deploy staging no, \"wait\""), "deploy|staging|no, \"wait\"");
        assert!(
            decide("!deploy")
                .starts_with("`!deploy` was not run: `env` is missing.\n\nUsage: `!deploy <")
        );
    }
}

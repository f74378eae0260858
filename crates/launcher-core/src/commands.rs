//! Decides what a message means to an agent that runs commands.
//!
//! Which command a text names, whether its sender may run it, whether it is
//! sure enough who that is, and what is said if not. Nothing is run here.
//!
//! A message is a command only if it is nothing else: a command has no
//! arguments, so nothing that somebody writes in a room ever becomes part of
//! what is run.

use std::{collections::BTreeMap, fmt};

use wildmatch::WildMatch;

use crate::{
    conversation::Message,
    names::UserId,
    spec::{CommandSpec, Requirement},
};

/// What follows the first character in the name of the command that lists the
/// others. It is there for every first character, and nobody configures it.
pub const HELP: &str = "help";

/// What a message means to an agent with commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// It is no command. Nothing is said about it.
    NotForUs,
    /// The sender wants to know what there is.
    Help {
        /// What is said: the commands that this sender may run.
        text: String,
    },
    /// It looks like a command, and there is none of that name.
    Unknown {
        /// What is said.
        text: String,
    },
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
    },
}

/// Why a command is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedCommand {
    /// The sender is not among its users.
    NotAllowed,
    /// There were words after its name.
    Arguments,
    /// It needs a verified sender, and this one is not.
    NotVerified,
}

impl RefusedCommand {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::NotAllowed, Self::Arguments, Self::NotVerified];

    /// The reason in one word, for machines: stable, `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::Arguments => "arguments",
            Self::NotVerified => "not_verified",
        }
    }
}

impl fmt::Display for RefusedCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAllowed => "the sender is not among its users",
            Self::Arguments => "there are words after its name",
            Self::NotVerified => "it needs a verified sender",
        })
    }
}

/// What `message` means to an agent with these commands.
///
/// The agent's trust mode has been applied before: who is not obeyed at all
/// does not get here.
pub fn decide<'a>(commands: &'a BTreeMap<String, CommandSpec>, message: &Message) -> Decision<'a> {
    let mut words = message.body.split_whitespace();
    let Some(word) = words.next() else { return Decision::NotForUs };
    let arguments = words.next().is_some();
    if let Some((name, command)) = commands.get_key_value(word) {
        return match refuse(name, command, arguments, message) {
            None => Decision::Run { name, command },
            Some((reason, text)) => Decision::Refused { name, reason, text },
        };
    }
    let Some((first, rest)) = split_first(word) else { return Decision::NotForUs };
    let ours = commands.keys().any(|name| name.starts_with(first));
    // "!!!" and "..." are no commands that somebody mistyped.
    if !ours || !rest.contains(char::is_alphanumeric) {
        return Decision::NotForUs;
    }
    if rest == HELP {
        return Decision::Help { text: help(commands, message) };
    }
    let text = format!("I do not know this command. `{first}{HELP}` lists those that I know.");
    Decision::Unknown { text }
}

/// Whether `user` is among those who may run the command, whatever proves it.
///
/// As with invitations, a glob has to match the whole id.
pub fn may_run(command: &CommandSpec, user: &UserId) -> bool {
    command.users.iter().any(|glob| WildMatch::new(glob).matches(user.as_str()))
}

fn refuse(
    name: &str,
    command: &CommandSpec,
    arguments: bool,
    message: &Message,
) -> Option<(RefusedCommand, String)> {
    if !may_run(command, &message.sender) {
        let text = format!("I do not run `{name}` for you: you are not among its users.");
        return Some((RefusedCommand::NotAllowed, text));
    }
    if arguments {
        let text = format!("`{name}` was not run: it takes no arguments.");
        return Some((RefusedCommand::Arguments, text));
    }
    let why = match command.require {
        Requirement::Trusted => None,
        Requirement::Verified => message.assurance.require_verified().err(),
    };
    why.map(|why| (RefusedCommand::NotVerified, format!("`{name}` was not run: {why}.")))
}

fn help(commands: &BTreeMap<String, CommandSpec>, message: &Message) -> String {
    let mut text = String::new();
    for (name, command) in commands.iter().filter(|(_, one)| may_run(one, &message.sender)) {
        let mark = match (command.require, message.assurance.require_verified()) {
            (Requirement::Trusted, _) => "",
            (Requirement::Verified, Ok(())) => ", for verified senders",
            (Requirement::Verified, Err(_)) => ", for verified senders; you are not one yet",
        };
        text.push_str(&format!("\n- `{name}`{mark}"));
    }
    match text.is_empty() {
        true => "I have no commands for you.".to_owned(),
        false => format!("You may run:\n{text}"),
    }
}

fn split_first(word: &str) -> Option<(char, &str)> {
    let mut rest = word.chars();
    Some((rest.next()?, rest.as_str()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        conversation::MessageKind,
        names::{EventId, RoomId},
        trust::Assurance,
    };

    fn command(users: &[&str], require: Requirement) -> CommandSpec {
        CommandSpec {
            run: vec!["true".into()],
            users: users.iter().map(ToString::to_string).collect(),
            require,
            timeout: Duration::from_secs(30),
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
        Message {
            room: RoomId::new("!r:hs"),
            event: EventId::new("$e"),
            sender: UserId::new(sender),
            kind: MessageKind::Text,
            body: body.into(),
            age: Duration::ZERO,
            automated: false,
            thread: None,
            in_reply_to: None,
            assurance,
        }
    }

    /// The decision in a word, and what is said.
    fn check(sender: &str, body: &str, assurance: Assurance) -> (&'static str, String) {
        let commands = commands();
        match decide(&commands, &message(sender, body, assurance)) {
            Decision::NotForUs => ("ignored", String::new()),
            Decision::Help { text } => ("help", text),
            Decision::Unknown { text } => ("unknown", text),
            Decision::Refused { reason, text, .. } => (reason.code(), text),
            Decision::Run { name, .. } => ("run", name.to_owned()),
        }
    }

    /// The reasons, one after the other: a new one does not compile before it has
    /// its place here.
    fn after(refused: &RefusedCommand) -> Option<RefusedCommand> {
        Some(match refused {
            RefusedCommand::NotAllowed => RefusedCommand::Arguments,
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
            ("!Uptime", "unknown"),
            ("!uptime;", "unknown"),
            ("!reboot", "unknown"),
            ("!reboot now", "unknown"),
            ("!help", "help"),
            ("/help me", "help"),
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
        let text = |sender, assurance| check(sender, "!help", assurance).1;
        assert_eq!(text("@alice:hs", Assurance::Signed), "You may run:\n\n- `!uptime`");
        assert_eq!(text("@root:hs", Assurance::Signed), "You may run:\n\n- `!uptime`\n- `/halt`");
        assert_eq!(
            text("@alice:ops.hs", Assurance::Signed),
            "You may run:\n\n- `!restart`, for verified senders; you are not one yet\n- `!uptime`"
        );
        assert_eq!(
            text("@alice:ops.hs", Assurance::Verified),
            "You may run:\n\n- `!restart`, for verified senders\n- `!uptime`"
        );
        let commands =
            BTreeMap::from([("!halt".to_owned(), command(&["@root:hs"], Requirement::Trusted))]);
        let asked = message("@alice:hs", "!help", Assurance::Verified);
        let nothing = Decision::Help { text: "I have no commands for you.".into() };
        assert_eq!(decide(&commands, &asked), nothing);
    }

    #[test]
    fn an_unknown_command_is_answered_with_the_way_to_the_known_ones() {
        let (_, text) = check("@alice:hs", "/reboot @room", Assurance::Signed);
        assert_eq!(text, "I do not know this command. `/help` lists those that I know.");
    }
}

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
    help::Word,
    names::UserId,
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
    Decision::NotForUs
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

/// The commands as `!help` shows them: those that the sender of `message` may
/// run, or all.
pub fn words(commands: &BTreeMap<String, CommandSpec>, message: Option<&Message>) -> Vec<Word> {
    let may =
        |command: &CommandSpec| message.is_none_or(|message| may_run(command, &message.sender));
    let word = |(name, command): (&String, &CommandSpec)| Word {
        name: name.clone(),
        arguments: String::new(),
        about: match (command.require, message.map(|one| one.assurance.require_verified())) {
            (Requirement::Trusted, _) => String::new(),
            (Requirement::Verified, Some(Err(_))) => {
                "for verified senders; you are not one yet".to_owned()
            }
            (Requirement::Verified, _) => "for verified senders".to_owned(),
        },
    };
    commands.iter().filter(|(_, one)| may(one)).map(word).collect()
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
            target: None,
            mentions: Vec::new(),
            direct: false,
            media: None,
            assurance,
        }
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
}

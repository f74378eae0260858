//! What can be typed, and what its help says.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::*;

fn typed(line: &str) -> Result<InvitesTyped, clap::Error> {
    let words = ["launcher", "invites"].into_iter().chain(line.split_whitespace());
    match Arguments::try_parse_from(words)?.command {
        Command::Invites(invites) => Ok(invites.typed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn invites_take_an_agent_and_an_order_or_one_of_them() {
    let bot = |typed: &InvitesTyped| typed.id.as_ref().map(|id| id.as_str().to_owned());
    let none = typed("").unwrap();
    assert!(none.id.is_none() && none.order.is_none());
    let listed = typed("bot --json").unwrap();
    assert!(bot(&listed).as_deref() == Some("bot") && listed.json);
    let accepted = typed("bot accept !a:hs --json").unwrap();
    assert_eq!(bot(&accepted).as_deref(), Some("bot"));
    assert!(accepted.json);
    assert!(
        matches!(accepted.order, Some(InvitesOrder::Accept { room }) if room.as_str() == "!a:hs")
    );
    assert!(matches!(typed("prompt").unwrap().order, Some(InvitesOrder::Prompt)));
    let odd = typed("--agent prompt prompt").unwrap();
    assert_eq!(odd.agent.unwrap().as_str(), "prompt");
    assert!(matches!(odd.order, Some(InvitesOrder::Prompt)));
    for wrong in ["bot accept", "bot accept a", "bot dm alice", "Bot", "a --agent b", "bot room"] {
        assert!(typed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_said_is_not_printed() {
    let shown = format!("{:?}", typed("bot dm @a:hs --greeting hunter2").unwrap());
    assert!(shown.contains("@a:hs") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn waiting_times_have_a_unit() {
    assert_eq!(waiting_time("90s"), Ok(Duration::from_secs(90)));
    assert_eq!(waiting_time("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(waiting_time("0s"), Ok(Duration::ZERO));
    for wrong in ["", "5", "s", "-1s", "61m", "1h", "99999999999999999999s"] {
        assert!(waiting_time(wrong).is_err(), "{wrong}");
    }
}

/// Every command with its whole name; orders of a command are commands.
fn commands() -> Vec<(String, clap::Command)> {
    fn add(name: &str, command: &clap::Command, found: &mut Vec<(String, clap::Command)>) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let name = format!("{name} {}", inner.get_name()).trim().to_owned();
            add(&name, inner, found);
            found.push((name, inner.clone()));
        }
    }
    let mut root = Arguments::command();
    root.build();
    let mut found = Vec::new();
    add("", &root, &mut found);
    found
}

/// What a command is for. A new one has to be put somewhere.
fn lists_something(command: &str) -> bool {
    match command {
        "check" | "status" | "doctor" | "explain" | "stores" | "devices" | "trust" | "verify"
        | "invites" | "invites list" | "invites rooms" => true,
        "run" | "new" | "reset" | "recovery" | "rekey" | "backup" | "restore" | "send"
        | "acknowledge" | "completions" | "man" | "demo" | "chat" | "invites accept"
        | "invites reject" | "invites leave" | "invites dm" | "invites room" | "invites prompt" => {
            false
        }
        other => panic!("does `launcher {other}` list something? say so here"),
    }
}

#[test]
fn every_listing_can_be_had_as_json() {
    for (name, command) in commands() {
        let has_json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
        assert!(has_json || !lists_something(&name), "`launcher {name}` has no --json");
    }
}

#[test]
fn the_help_of_a_command_says_what_it_does_what_each_argument_is_and_how_it_is_typed() {
    for (name, command) in commands() {
        assert!(command.get_about().is_some(), "`launcher {name}` does not say what it does");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "`launcher {name}`: {} has no help", argument.get_id());
        }
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (first, examples) = after.split_once('\n').unwrap_or_default();
        assert!(first == "Examples:", "`launcher {name}` has no examples");
        for example in examples.lines() {
            let typed = words_of(example);
            let parsed = Arguments::try_parse_from(&typed);
            assert!(
                parsed.is_ok(),
                "`{}` cannot be typed: {}",
                example.trim(),
                parsed.unwrap_err()
            );
            let is_about_it = name.split(' ').all(|word| typed.iter().any(|typed| typed == word));
            assert!(is_about_it, "`{}` is no example of `launcher {name}`", example.trim());
            assert!(example.chars().count() <= 100, "too wide: {example}");
        }
    }
}

/// The words of a line as a shell takes them apart, from `launcher` on, without
/// what comes behind a pipe or a redirection.
fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    let words = words.into_iter().filter(|word| !word.is_empty());
    let words = words.skip_while(|word| word != "launcher");
    words.take_while(|word| !["|", "<", ">"].contains(&word.as_str())).collect()
}

#[test]
fn no_two_commands_have_the_same_first_line() {
    let mut seen = BTreeSet::new();
    for (name, command) in commands() {
        let about = command.get_about().map(ToString::to_string);
        assert!(seen.insert(about.clone()), "`launcher {name}`: {about:?} is there twice");
    }
}

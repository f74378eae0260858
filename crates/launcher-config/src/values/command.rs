//! Names of commands and of other things, what commands run and how long that may take.

use std::time::Duration;

use launcher_core::{help::HELP, spec::CommandSpec};

use super::{Fault, duration::duration};
use crate::shape::is_word;

/// The most characters of a name.
const LONGEST_NAME: usize = 64;

/// A text that can be the name of a command.
pub(crate) fn name(text: &str) -> Result<(), Fault> {
    let wrong = |why: &str| {
        Err(Fault::new(format!("is not the name of a command: {why}")).label("write `\"!name\"`"))
    };
    let starts = |text: &str| text.starts_with(|first: char| first.is_ascii_punctuation());
    if !starts(text) {
        wrong("it does not start with a character such as `!`")
    } else if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        wrong("it has white space in it")
    } else if !(2..=LONGEST_NAME).contains(&text.chars().count()) {
        wrong(&format!("it does not have 2 to {LONGEST_NAME} characters"))
    } else if text.get(1..) == Some(HELP) {
        Err(Fault::new("is there by itself, for listing the commands").label("choose another name"))
    } else {
        Ok(())
    }
}

/// A text that can be the name of something in a config file.
pub(crate) fn word(text: &str) -> Result<(), Fault> {
    let plain = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '_' | '-')
    };
    let fits = text.len() <= LONGEST_NAME && text.chars().all(plain);
    match fits && text.starts_with(|first: char| first.is_ascii_lowercase()) {
        true => Ok(()),
        false => Err(Fault::new("is not a name")
            .label("write up to 64 of `a-z`, `0-9`, `_` and `-`, a letter first")),
    }
}

/// A name as it may stand in a message. In a damaged file anything can stand
/// where a name should; see [`is_word`].
pub(crate) fn shown(name: &str) -> &str {
    let word = name.strip_prefix(|first: char| first.is_ascii_punctuation()).unwrap_or(name);
    if is_word(word) { name } else { crate::schema::NAME }
}

/// A program or one of its arguments.
pub(crate) fn argument(text: &str) -> Result<(), Fault> {
    match text.contains('\0') {
        true => Err(Fault::new("cannot be given to a program: it has a NUL character")),
        false => Ok(()),
    }
}

/// What a command does, in a line.
pub(crate) fn about(text: &str) -> Result<String, Fault> {
    let odd = text.trim().is_empty() || text.contains(char::is_control);
    match odd || text.chars().count() > 200 {
        true => Err(Fault::new("is not a line of at most 200 characters")),
        false => Ok(text.trim().to_owned()),
    }
}

/// A pattern that could match some room id.
pub(crate) fn room_glob(text: &str) -> Result<(), Fault> {
    match text.starts_with(['!', '*', '?']) {
        true => Ok(()),
        false => Err(Fault::new("matches no room id: it does not start with `!`")
            .label("write its id, `\"!…:example.org\"`; clients show it in the room's settings")),
    }
}

/// A duration that a command may take.
pub(crate) fn time(text: &str) -> Result<Duration, Fault> {
    let (least, most) = (CommandSpec::SHORTEST_TIMEOUT, CommandSpec::LONGEST_TIMEOUT);
    let time = duration(text)?;
    if time < least {
        Err(Fault::new("is too short").label("at least `1s`"))
    } else if time > most {
        Err(Fault::new("is too long").label("at most `2m`").hint(
            "the room gets its answer when the command has ended; what takes longer belongs to a \
             service or a timer, which the command starts",
        ))
    } else {
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::{name, shown, time};

    #[test]
    fn a_name_starts_with_punctuation_and_is_one_word() {
        let long = format!("!{}", "a".repeat(63));
        for good in ["!a", "/restart", ".x.y", "!!", "!ünder", "#1", &long] {
            assert!(name(good).is_ok(), "{good}");
        }
        let longer = format!("{long}a");
        for bad in ["", "!", "a", "restart", "1!", "¡a", "! a", "!a b", "!a\u{7}", "!help", &longer]
        {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_shown_if_it_looks_like_one() {
        for (name, safe) in [
            ("!restart-web", "!restart-web"),
            ("restart", "restart"),
            ("!hunter2", "<name>"),
            ("!!", "<name>"),
            ("a b", "<name>"),
        ] {
            assert_eq!(shown(name), safe);
        }
    }

    #[test]
    fn a_command_gets_one_second_to_two_minutes() {
        for (text, seconds) in [("1s", 1), ("1m30s", 90), ("2m", 120)] {
            assert_eq!(time(text).unwrap().as_secs(), seconds);
        }
        assert_eq!(time("999ms").unwrap_err().predicate, "is too short");
        assert_eq!(time("121s").unwrap_err().predicate, "is too long");
        assert_eq!(time("30").unwrap_err().predicate, "has no unit");
    }
}

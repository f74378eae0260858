//! Decides what to say about the words by which an agent is called.

/// What follows the first character in the word that lists the others. It is
/// there for every first character that words have, and nobody configures it.
pub const HELP: &str = "help";

/// A word, as `!help` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word, such as `!deploy`.
    pub name: String,
    /// What may follow it; may be empty.
    pub arguments: String,
    /// What it does; may be empty.
    pub about: String,
}

/// What the first word of a message is to an agent that knows these words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// No word of the agent.
    Plain,
    /// One of its words.
    Known,
    /// The one that lists the others.
    Help,
    /// One that looks like a word of the agent. This is said.
    Unknown(String),
}

/// What the first word of `body` is to an agent that knows `words`.
pub fn called(words: &[String], body: &str) -> Called {
    let Some(word) = body.split_whitespace().next() else { return Called::Plain };
    if words.iter().any(|name| name == word) {
        return Called::Known;
    }
    let mut letters = word.chars();
    let Some(first) = letters.next() else { return Called::Plain };
    let rest = letters.as_str();
    let ours = words.iter().any(|name| name.starts_with(first));
    // "!!!" and "..." are no words that somebody mistyped.
    if !ours || !first.is_ascii_punctuation() || !rest.contains(char::is_alphanumeric) {
        return Called::Plain;
    }
    if rest == HELP {
        return Called::Help;
    }
    let known = format!("I do not know this command. `{first}{HELP}` lists those that I know.");
    Called::Unknown(known)
}

/// The words as a list in Markdown, for somebody who may use them.
pub fn list(words: &[Word]) -> String {
    if words.is_empty() {
        return "I have no commands for you.".to_owned();
    }
    let mut text = "I know:\n".to_owned();
    for Word { name, arguments, about } in words {
        let gap = if arguments.is_empty() { "" } else { " " };
        let dash = if about.is_empty() { "" } else { ": " };
        text.push_str(&format!("\n- `{name}{gap}{arguments}`{dash}{about}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_known_unknown_or_none() {
        let words = ["!deploy".to_owned(), "/stop".to_owned()];
        for (body, found) in [
            ("!deploy now", Called::Known),
            ("!help", Called::Help),
            ("/help deploy", Called::Help),
            ("deploy", Called::Plain),
            (".help", Called::Plain),
            ("!!!", Called::Plain),
            ("! deploy", Called::Plain),
            ("", Called::Plain),
        ] {
            assert_eq!(called(&words, body), found, "{body}");
        }
        let Called::Unknown(text) = called(&words, "!depoy") else { panic!("it is known") };
        assert!(text.contains("`!help`"), "{text}");
        assert_eq!(called(&[], "!help"), Called::Plain);
    }

    #[test]
    fn help_shows_arguments_and_purpose() {
        let word = |arguments: &str, about: &str| Word {
            name: "!x".into(),
            arguments: arguments.into(),
            about: about.into(),
        };
        let text = list(&[word("", ""), word("{env}", "deploys")]);
        assert_eq!(text, "I know:\n\n- `!x`\n- `!x {env}`: deploys");
    }
}

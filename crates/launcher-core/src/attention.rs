//! Decides whether a message is meant for an agent.

use crate::{
    conversation::{Message, MessageKind, matches},
    names::UserId,
    spec::{AnswerPolicy, Occasion},
};

/// What a message is to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attention {
    /// It is meant for the agent, which reads this.
    Meant(String),
    /// Somebody else may be meant.
    NotMeant,
    /// Its sender is not one of those whom the agent answers.
    NotAllowed,
}

/// Whether `message` is meant for the agent `own`. `commands` are the words by
/// which its behaviors are called; `takes_part` says whether the agent has
/// answered in the message's thread.
///
/// What is no text and no file is no speech: it goes to those who listen.
pub fn attend(
    policy: &AnswerPolicy,
    own: &UserId,
    commands: &[String],
    message: &Message,
    takes_part: bool,
) -> Attention {
    // What was taken back is forgotten, whoever took it back: that is nobody's wish to talk.
    if matches!(message.kind, MessageKind::Task | MessageKind::Redaction) {
        return Attention::Meant(message.body.clone());
    }
    if !policy.users.iter().any(|glob| matches(glob, &message.sender)) {
        return Attention::NotAllowed;
    }
    let body = message.body.as_str();
    // Whole, so that no prefix can hide a command.
    if is_command(commands, body) {
        return Attention::Meant(body.to_owned());
    }
    if let Some(prefix) = &policy.prefix
        && let Some(rest) = body.strip_prefix(prefix.as_str())
    {
        return Attention::Meant(rest.trim_start().to_owned());
    }
    let speaks = matches!(message.kind, MessageKind::Text | MessageKind::Media);
    let meant = !speaks
        || policy.when.iter().any(|occasion| match occasion {
            Occasion::Always => true,
            Occasion::Direct => message.direct,
            Occasion::Mentioned => mentions(policy, own, message),
            Occasion::Thread => takes_part,
        });
    if meant { Attention::Meant(message.body.clone()) } else { Attention::NotMeant }
}

/// Whether the first word of a text is one of these.
pub fn is_command(commands: &[String], body: &str) -> bool {
    body.split_whitespace().next().is_some_and(|word| commands.iter().any(|name| name == word))
}

fn mentions(policy: &AnswerPolicy, own: &UserId, message: &Message) -> bool {
    let localpart = own.as_str().trim_start_matches('@').split(':').next().unwrap_or_default();
    message.mentions.contains(own)
        || message.body.contains(own.as_str())
        || says(&message.body, localpart)
        || policy.names.iter().any(|name| says(&message.body, name))
}

/// Whether a text has a name as words of its own, whatever its case.
fn says(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    if name.is_empty() {
        return false;
    }
    let part_of_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    text.match_indices(&name).any(|(at, found)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|text| text.chars().next());
        !part_of_word(before) && !part_of_word(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{EventId, RoomId};

    fn message(body: &str) -> Message {
        let (room, event) = (RoomId::new("!r:hs"), EventId::new("$e"));
        Message::text(room, event, UserId::new("@alice:hs"), body)
    }

    fn policy(when: &[Occasion]) -> AnswerPolicy {
        AnswerPolicy { when: when.to_vec(), ..AnswerPolicy::default() }
    }

    fn is_meant(policy: &AnswerPolicy, message: &Message) -> bool {
        let own = UserId::new("@robot:hs");
        let attention = attend(policy, &own, &["!help".into()], message, false);
        matches!(attention, Attention::Meant(_))
    }

    #[test]
    fn each_occasion_is_enough_and_none_is_not() {
        let direct = Message { direct: true, ..message("hi") };
        assert!(is_meant(&policy(&[Occasion::Always]), &message("hi")));
        assert!(!is_meant(&policy(&[]), &direct));
        assert!(is_meant(&policy(&[Occasion::Mentioned, Occasion::Direct]), &direct));
        assert!(!is_meant(&policy(&[Occasion::Direct]), &message("hi")));
        let own = UserId::new("@robot:hs");
        let thread = policy(&[Occasion::Thread]);
        assert_eq!(attend(&thread, &own, &[], &message("hi"), false), Attention::NotMeant);
        assert_eq!(attend(&thread, &own, &[], &message("hi"), true), Attention::Meant("hi".into()));
    }

    #[test]
    fn an_agent_hears_its_names_as_words_and_in_mentions() {
        let named =
            AnswerPolicy { names: vec!["Rosie Jones".into()], ..policy(&[Occasion::Mentioned]) };
        for (body, meant) in [
            ("robot: hello", true),
            ("is ROBOT there?", true),
            ("@robot:hs hello", true),
            ("rosie jones, hello", true),
            ("robots are fine", false),
            ("rosie", false),
            ("hello", false),
        ] {
            assert_eq!(is_meant(&named, &message(body)), meant, "{body}");
        }
        let pill = Message { mentions: vec![UserId::new("@robot:hs")], ..message("hello") };
        assert!(is_meant(&named, &pill));
    }

    #[test]
    fn a_prefix_is_taken_off_and_a_command_needs_none() {
        let asked = AnswerPolicy { prefix: Some("!ask".into()), ..policy(&[]) };
        let own = UserId::new("@robot:hs");
        let found = attend(&asked, &own, &[], &message("!ask  what is it?"), false);
        assert_eq!(found, Attention::Meant("what is it?".into()));
        assert!(is_meant(&asked, &message("!help me")));
        assert!(!is_meant(&asked, &message("!helpme")));
        let short = AnswerPolicy { prefix: Some("!".into()), ..policy(&[]) };
        let found = attend(&short, &own, &["!help".into()], &message("!help me"), false);
        assert_eq!(found, Attention::Meant("!help me".into()));
    }

    #[test]
    fn who_is_not_among_the_users_is_not_answered_whatever_they_write() {
        let few = AnswerPolicy { users: vec!["@*:other".into()], ..AnswerPolicy::default() };
        let own = UserId::new("@robot:hs");
        let found = attend(&few, &own, &["!help".into()], &message("!help"), false);
        assert_eq!(found, Attention::NotAllowed);
        for kind in [MessageKind::Task, MessageKind::Redaction] {
            let other = Message { kind, ..message("do") };
            assert_eq!(attend(&few, &own, &[], &other, false), Attention::Meant("do".into()));
        }
    }
}

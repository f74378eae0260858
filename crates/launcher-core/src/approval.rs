//! Decides whether a message is the answer to a question that an agent asked
//! before it does something.

use crate::{
    conversation::{Message, MessageKind, matches},
    names::{EventId, UserId},
    spec::Requirement,
    trust::Assurance,
};

/// A question that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The event in which it was asked; unknown until the server has it.
    pub event: EventId,
    /// Globs (`*`, `?`) on the ids of those who may answer.
    pub users: Vec<String>,
    /// How sure it has to be who they are.
    pub require: Requirement,
}

/// What somebody has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The question's event.
    pub question: EventId,
    /// Whether they agree.
    pub yes: bool,
    /// Who they are.
    pub by: UserId,
}

/// Words and signs that agree.
const YES: [&str; 9] = ["yes", "y", "ok", "approve", "sí", "si", "👍", "✅", "✔"];

/// Words and signs that do not.
const NO: [&str; 8] = ["no", "n", "deny", "refuse", "cancel", "👎", "❌", "✖"];

/// The answer in `message` to one of `questions`, if it is one: a reaction to
/// it or a reply, of a word.
///
/// Reactions are not encrypted (MSC2677), so the server can forge them: where a verified sender is needed only a reply counts.
pub fn verdict<'a>(
    message: &Message,
    questions: impl IntoIterator<Item = &'a Asked>,
) -> Option<Verdict> {
    let about = match message.kind {
        MessageKind::Reaction => message.target.as_ref(),
        MessageKind::Text => message.in_reply_to.as_ref(),
        _ => None,
    }?;
    let asked =
        questions.into_iter().find(|asked| !asked.event.is_unknown() && asked.event == *about)?;
    if message.automated || !asked.users.iter().any(|glob| matches(glob, &message.sender)) {
        return None;
    }
    if asked.require == Requirement::Verified
        && (message.kind == MessageKind::Reaction || message.assurance != Assurance::Verified)
    {
        return None;
    }
    let word = plain(&message.body);
    let yes = YES.contains(&word.as_str());
    if !yes && !NO.contains(&word.as_str()) {
        return None;
    }
    Some(Verdict { question: asked.event.clone(), yes, by: message.sender.clone() })
}

/// How people are told to answer.
pub fn how(require: Requirement) -> &'static str {
    match require {
        Requirement::Trusted => "React with 👍 or 👎, or reply `yes` or `no`.",
        Requirement::Verified => "Reply `yes` or `no` to this message, from a verified session.",
    }
}

/// A word without case, punctuation at its end and the mark that makes a sign
/// colorful; a sign without its skin color.
fn plain(text: &str) -> String {
    let is_mark = |letter: char| matches!(letter, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let word: String = text.chars().filter(|&letter| !is_mark(letter)).collect();
    word.trim().trim_end_matches(['.', '!']).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RoomId;

    fn asked(require: Requirement) -> Asked {
        Asked { event: EventId::new("$q"), users: vec!["@alice:hs".into()], require }
    }

    fn reply(body: &str) -> Message {
        let (room, event) = (RoomId::new("!r:hs"), EventId::new("$e"));
        let in_reply_to = Some(EventId::new("$q"));
        Message { in_reply_to, ..Message::text(room, event, UserId::new("@alice:hs"), body) }
    }

    fn reaction(key: &str) -> Message {
        let target = Some(EventId::new("$q"));
        Message { kind: MessageKind::Reaction, target, in_reply_to: None, ..reply(key) }
    }

    fn found(message: &Message, require: Requirement) -> Option<bool> {
        verdict(message, [&asked(require)]).map(|verdict| verdict.yes)
    }

    #[test]
    fn a_word_or_a_sign_decides() {
        for (body, yes) in
            [("yes", Some(true)), ("Yes!", Some(true)), ("no.", Some(false)), ("maybe", None)]
        {
            assert_eq!(found(&reply(body), Requirement::Trusted), yes, "{body}");
        }
        for (key, yes) in [
            ("👍", Some(true)),
            ("👍🏽", Some(true)),
            ("✅\u{fe0f}", Some(true)),
            ("👎", Some(false)),
            ("🎉", None),
        ] {
            assert_eq!(found(&reaction(key), Requirement::Trusted), yes, "{key}");
        }
    }

    #[test]
    fn only_those_who_may_decide_and_only_about_what_was_asked() {
        let bob = Message { sender: UserId::new("@bob:hs"), ..reply("yes") };
        assert_eq!(found(&bob, Requirement::Trusted), None);
        let other = Message { in_reply_to: Some(EventId::new("$other")), ..reply("yes") };
        assert_eq!(found(&other, Requirement::Trusted), None);
        let bot = Message { automated: true, ..reply("yes") };
        assert_eq!(found(&bot, Requirement::Trusted), None);
    }

    #[test]
    fn where_it_must_be_sure_who_that_is_a_reaction_is_not_enough() {
        assert_eq!(found(&reaction("👍"), Requirement::Verified), None);
        assert_eq!(found(&reply("yes"), Requirement::Verified), None);
        let sure = Message { assurance: Assurance::Verified, ..reply("yes") };
        assert_eq!(found(&sure, Requirement::Verified), Some(true));
        let reaction = Message { assurance: Assurance::Verified, ..reaction("👍") };
        assert_eq!(found(&reaction, Requirement::Verified), None);
    }
}

//! Makes what is sent out of what a behavior wants done.

use launcher_core::{
    conversation::{Message, MessageKind},
    names::EventId,
};

use crate::ports::{Action, Answer, AnswerContent, Reply, Session};

/// The answers to `message`, each with its transaction. What was shown as a
/// draft, in an event that may be unknown, says the first text from now on;
/// without a text it is taken back.
pub(crate) fn answers(
    session: &dyn Session,
    message: &Message,
    actions: Vec<Action>,
    mut draft: Option<EventId>,
) -> Vec<Answer> {
    let mut contents = Vec::new();
    for action in actions {
        match action {
            Action::Say { text } => {
                for text in session.parts(&text) {
                    contents.push(match draft.take() {
                        Some(event) => AnswerContent::Edit { event, text },
                        None => AnswerContent::Text(text),
                    });
                }
            }
            Action::Edit { event, text } => {
                let text = session.parts(&text).into_iter().next().unwrap_or_default();
                contents.push(AnswerContent::Edit { event, text });
            }
            Action::React { event, key } => contents.push(AnswerContent::Reaction { event, key }),
            Action::Redact { event } => contents.push(AnswerContent::Redaction { event }),
            Action::File(file) => contents.push(AnswerContent::File(file)),
        }
    }
    contents.extend(draft.map(|event| AnswerContent::Redaction { event }));
    let answer = |(part, content)| Answer {
        room: message.room.clone(),
        content,
        reply: reply(message),
        thread: message.thread.clone(),
        transaction: transaction(&message.event, part),
    };
    contents.into_iter().enumerate().map(answer).collect()
}

/// What an answer to `message` replies to.
pub(super) fn reply(message: &Message) -> Option<Reply> {
    (message.kind != MessageKind::Task)
        .then(|| Reply { event: message.event.clone(), asker: message.sender.clone() })
}

/// The transaction id follows from the message that is answered, so that even
/// an attempt after a loss of the journal is the same to the server.
fn transaction(event: &EventId, part: usize) -> String {
    format!("answer-{part}-to{}", transaction_part(event))
}

/// An event id as part of a transaction id.
pub fn transaction_part(event: &EventId) -> String {
    let allowed = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    event.as_str().chars().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_id_is_the_same_for_every_attempt_and_for_no_other_answer() {
        let event = EventId::new("$Ab-_/+:x");
        assert_eq!(transaction(&event, 0), "answer-0-to_Ab_____x");
        assert_ne!(transaction(&event, 0), transaction(&event, 1));
    }
}

//! Messages in rooms that are not encrypted.

use launcher_core::names::EventId;
use launcher_runtime::ports::SendFault;

use super::{MessagerSession, sending::Words};
use crate::{
    client::Said,
    crypto::{Action, RoomId, RowId},
    faults::refused,
    names,
};

/// Letters of a message in the clear at most, as servers have it.
const LONGEST: usize = 4096;

impl MessagerSession {
    /// Sends a text as it is, in as many rows as it takes; returns the first.
    /// The others are named after that one, so that an edit finds them.
    pub(super) async fn say_plain(
        &self,
        room: RoomId,
        words: &Words,
    ) -> Result<EventId, SendFault> {
        let name = names::client_message_id(&words.transaction);
        let mut pieces = cut(&words.body.text, LONGEST).into_iter();
        let first = match words.action {
            Action::Delete { target } => {
                return match self.parts.client.take_back(room, target, &name).await {
                    Ok(()) => Ok(names::event(target)),
                    Err(error) => Err(self.post_fault(room, &error).await),
                };
            }
            Action::New => self.say_piece(room, words, next(&mut pieces)?, name).await?,
            Action::Edit { target } => {
                self.say_instead(room, target, &next(&mut pieces)?, &name).await?;
                target
            }
        };
        for (number, text) in (1..).zip(pieces) {
            let named = format!("part-{number}-of-{first}");
            let row = self.say_piece(room, words, text.clone(), named).await?;
            if words.action != Action::New {
                // It may be there with what was said before.
                let name = format!("{}-part-{number}", words.transaction);
                self.say_instead(room, row, &text, &names::client_message_id(&name)).await?;
            }
        }
        Ok(names::event(first))
    }

    async fn say_piece(
        &self,
        room: RoomId,
        words: &Words,
        text: String,
        client_message_id: String,
    ) -> Result<RowId, SendFault> {
        let said = Said {
            text,
            client_message_id,
            reply_to: words.body.reply_to,
            is_automated: words.body.automated,
        };
        match self.parts.client.say(room, &said).await {
            Ok(row) => Ok(row),
            Err(error) => Err(self.post_fault(room, &error).await),
        }
    }

    async fn say_instead(
        &self,
        room: RoomId,
        row: RowId,
        text: &str,
        name: &str,
    ) -> Result<(), SendFault> {
        match self.parts.client.say_instead(room, row, text, name).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.post_fault(room, &error).await),
        }
    }
}

fn next(pieces: &mut impl Iterator<Item = String>) -> Result<String, SendFault> {
    pieces.next().ok_or_else(|| refused("there is nothing to say"))
}

/// Pieces of so many bytes at most, cut at line ends and blanks where there are some.
pub(super) fn cut(text: &str, most: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > most {
        let end = rest.floor_char_boundary(most);
        let head = &rest[..end];
        let at = head.rfind('\n').or_else(|| head.rfind(' ')).filter(|at| *at > most / 2);
        let at = at.map_or(end, |at| at + 1);
        pieces.push(rest[..at].to_owned());
        rest = &rest[at..];
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_it_may_be_and_nothing_is_lost() {
        assert_eq!(cut("short", 10), ["short"]);
        assert!(cut("", 10).is_empty());
        assert_eq!(cut("one two three", 10), ["one two ", "three"]);
        assert_eq!(cut("first line\nsecond", 12), ["first line\n", "second"]);
        for text in ["é".repeat(1000), "x".repeat(1000), "a b\n".repeat(300)] {
            let pieces = cut(&text, 64);
            assert!(pieces.iter().all(|piece| piece.len() <= 64));
            assert_eq!(pieces.concat(), text);
        }
    }
}

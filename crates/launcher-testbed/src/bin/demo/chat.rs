//! A chat with an agent, in a terminal.

use std::{
    collections::HashSet,
    io, iter,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use launcher_testbed::Message;

use crate::{
    error::{self, DemoError},
    progress::{say, show},
    scene::Scene,
    script::{Outcome, is_readable},
    transcript::{indented, printable},
};

/// How often new messages are looked for.
const POLL: Duration = Duration::from_millis(150);

/// How long the prompt stays away for an answer to come before it.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a message may take to become readable before it is shown as
/// unreadable: its key may come a little later than itself.
const KEY: Duration = Duration::from_secs(5);

const PROMPT: &str = "you> ";

const HELP: &str = "\
What you type is sent to the room; an agent in it answers. Besides:
  /invite parrot  brings the second agent into the room
  /status         shows what `launcher status` says
  /where          shows how to see the room from another client
  /help           shows this
  /quit           ends the demo, as Ctrl-D and Ctrl-C do";

/// A line that was typed.
#[derive(Debug, PartialEq, Eq)]
enum Typed<'a> {
    Nothing,
    Message(&'a str),
    Invite(&'a str),
    Status,
    Where,
    Help,
    Quit,
    Unknown(&'a str),
}

impl<'a> Typed<'a> {
    fn parse(line: &'a str) -> Self {
        let line = line.trim();
        match line.split_once(' ').map_or((line, ""), |(word, rest)| (word, rest.trim())) {
            ("", _) => Self::Nothing,
            ("/quit" | "/exit", "") => Self::Quit,
            ("/help", "") => Self::Help,
            ("/status", "") => Self::Status,
            ("/where", "") => Self::Where,
            ("/invite", name) if !name.is_empty() => Self::Invite(name),
            (word, _) if word.starts_with('/') => Self::Unknown(line),
            _ => Self::Message(line),
        }
    }
}

/// Chats until the person has had enough.
pub(crate) fn hold(scene: &mut Scene<'_>) -> Result<Outcome, DemoError> {
    say(format!("\n{}\n\n{HELP}\n", scene.directions()));
    let typed = typed_lines();
    let mut chat = Chat::new(scene)?;
    loop {
        match chat.scene.demand_going_on() {
            Err(DemoError::Interrupted) => break,
            checked => checked?,
        }
        let printed = chat.print_new_messages()?;
        chat.offer_prompt(printed);
        match typed.recv_timeout(POLL) {
            Ok(line) => match Typed::parse(&line) {
                Typed::Quit => break,
                typed => chat.obey(&typed)?,
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    say("\n");
    Ok(Outcome::Good)
}

/// What the person types, until the input ends.
fn typed_lines() -> Receiver<String> {
    // A person is not that fast; somebody who pastes a book waits.
    let (sender, receiver) = mpsc::sync_channel(100);
    // It waits for input even when the chat is over, and ends with the process.
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Chat<'c, 'a> {
    scene: &'c mut Scene<'a>,
    /// What was printed, or was there before.
    known: HashSet<String>,
    /// Since when a message has been there that cannot be read yet.
    waiting: Option<(String, Instant)>,
    prompt: Prompt,
}

/// Whether the cursor stands behind a prompt.
#[derive(Debug, Clone, Copy)]
enum Prompt {
    Shown,
    /// Something may be printed before it comes back.
    Hidden {
        since: Instant,
    },
    Due,
}

impl<'c, 'a> Chat<'c, 'a> {
    fn new(scene: &'c mut Scene<'a>) -> Result<Self, DemoError> {
        let before = scene.person().messages(scene.room())?;
        let known = before.into_iter().map(|message| message.event_id).collect();
        Ok(Self { scene, known, waiting: None, prompt: Prompt::Due })
    }

    fn obey(&mut self, typed: &Typed<'_>) -> Result<(), DemoError> {
        self.prompt = match typed {
            Typed::Message(_) => Prompt::Hidden { since: Instant::now() },
            _ => Prompt::Due,
        };
        let done = match typed {
            Typed::Nothing | Typed::Quit => Ok(()),
            Typed::Message(text) => self.send(text),
            Typed::Invite(name) => self.invite(name).map(say),
            Typed::Status => self.scene.launcher().status().map(say),
            Typed::Help => {
                say(HELP);
                Ok(())
            }
            Typed::Where => {
                say(self.scene.directions());
                Ok(())
            }
            Typed::Unknown(line) => {
                say(format!("there is no {}; /help says what there is", printable(line)));
                Ok(())
            }
        };
        match done {
            // Whoever mistyped a name wants to try again.
            Err(error @ DemoError::Testbed(_)) => {
                self.prompt = Prompt::Due;
                say(format!("that did not work: {}", error::chain(&error)));
                Ok(())
            }
            done => done,
        }
    }

    fn send(&mut self, text: &str) -> Result<(), DemoError> {
        let event_id = self.scene.person().send_text(self.scene.room(), text)?;
        // It stands above already, as it was typed.
        self.known.insert(event_id);
        Ok(())
    }

    fn invite(&mut self, name: &str) -> Result<String, DemoError> {
        let user_id = self.scene.account_of(name);
        match self.scene.invite(&user_id) {
            Ok(()) => Ok(format!("{user_id} is here")),
            Err(DemoError::DidNotHappen { .. }) => Ok(format!("{user_id} did not come")),
            Err(error) => Err(error),
        }
    }

    /// Prints what others have said since the last time, and tells whether
    /// there was anything.
    fn print_new_messages(&mut self) -> Result<bool, DemoError> {
        let messages = self.scene.person().messages(self.scene.room())?;
        let new: Vec<Message> = messages
            .into_iter()
            .filter(|message| message.body.is_some() || !is_readable(message))
            .filter(|message| !self.known.contains(&message.event_id))
            .collect();
        let mut printed = false;
        for message in new {
            if !is_readable(&message) && !self.has_waited(&message.event_id) {
                // In order, so that a conversation reads like one.
                break;
            }
            if matches!(self.prompt, Prompt::Shown) {
                // Over the prompt; what is typed behind it is not lost.
                show("\r\u{1b}[K");
            }
            say(line(&message));
            self.known.insert(message.event_id);
            self.prompt = Prompt::Due;
            printed = true;
        }
        Ok(printed)
    }

    fn has_waited(&mut self, event_id: &str) -> bool {
        match &self.waiting {
            Some((waiting, since)) if waiting == event_id => since.elapsed() > KEY,
            _ => {
                self.waiting = Some((event_id.to_owned(), Instant::now()));
                false
            }
        }
    }

    fn offer_prompt(&mut self, printed: bool) {
        let is_due = match self.prompt {
            Prompt::Shown => false,
            Prompt::Due => true,
            Prompt::Hidden { since } => printed || since.elapsed() > ANSWER,
        };
        if is_due {
            show(PROMPT);
            self.prompt = Prompt::Shown;
        }
    }
}

/// A message from somebody else, with its protection in front.
fn line(message: &Message) -> String {
    let sender = printable(&message.sender);
    let lock = if message.encrypted { "🔒 encrypted" } else { "⚠ NOT ENCRYPTED" };
    let text = match &message.decryption_failure {
        Some(reason) => format!("(cannot be read: {})", printable(reason)),
        None => message.body.clone().unwrap_or_default(),
    };
    let text: Vec<&str> = text.lines().collect();
    let indent: String = iter::repeat_n(' ', 4).collect();
    match text.as_slice() {
        [line] => format!("{sender} [{lock}] {}", printable(line)),
        lines => format!("{sender} [{lock}]\n{indent}{}", indented(&lines.join("\n"), &indent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_slash_is_never_sent() {
        let parsed = |line| Typed::parse(line);
        assert_eq!(parsed("  \n"), Typed::Nothing);
        assert_eq!(parsed(" hello / there "), Typed::Message("hello / there"));
        assert_eq!(parsed("/quit"), Typed::Quit);
        assert_eq!(parsed("/invite  parrot "), Typed::Invite("parrot"));
        assert_eq!(parsed("/invite"), Typed::Unknown("/invite"));
        assert_eq!(parsed("/quit now"), Typed::Unknown("/quit now"));
    }

    fn message(body: &str, encrypted: bool, failure: Option<&str>) -> Message {
        serde_json::from_value(serde_json::json!({
            "event_id": "$e", "room_id": "!r:hs", "sender": "@echo:hs", "type": "m.room.message",
            "msgtype": "m.text", "body": body, "content": {}, "wire_content": {},
            "encrypted": encrypted, "decryption_failure": failure,
            "ever_failed": failure.is_some(), "sender_key": null,
            "shield": null, "redacted": false, "timestamp": 0,
        }))
        .unwrap()
    }

    #[test]
    fn a_message_stands_behind_its_protection() {
        assert_eq!(line(&message("hi", true, None)), "@echo:hs [🔒 encrypted] hi");
        assert_eq!(line(&message("a\nb", true, None)), "@echo:hs [🔒 encrypted]\n    a\n    b");
        assert_eq!(line(&message("hi", false, None)), "@echo:hs [⚠ NOT ENCRYPTED] hi");
        let unreadable = message("x", true, Some("NO_KEY"));
        assert_eq!(line(&unreadable), "@echo:hs [🔒 encrypted] (cannot be read: NO_KEY)");
    }
}

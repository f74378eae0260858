//! Messages and files over the socket.

use std::sync::Mutex;

use async_trait::async_trait;
use launcher_core::names::{EventId, RoomId};
use launcher_runtime::ports::outbox::{Outbox, OutboxError, Outgoing, OutgoingContent, Sent};

use super::*;
use crate::wire::{FileQuery, MessageRequest, SentReply};

/// Notes what it is given; says no to one room, and never ends for another.
#[derive(Debug, Default)]
pub(super) struct Sender(Mutex<Vec<Outgoing>>);

#[async_trait]
impl Outbox for Sender {
    async fn send(&self, message: &Outgoing) -> Result<Sent, OutboxError> {
        if message.target.to_string() == "!closed" {
            let (reason, action) = ("it is not in it".to_owned(), "invite it".to_owned());
            return Err(OutboxError::Refused { reason, action });
        }
        if message.target.to_string() == "!away" {
            return Err(OutboxError::Late { detail: "502".to_owned() });
        }
        let sent_before = {
            let mut all = self.0.lock().unwrap();
            let known = all.iter().any(|sent| sent.key == message.key);
            all.push(message.clone());
            known
        };
        if message.target.to_string() == "!slow" {
            std::future::pending::<()>().await;
        }
        Ok(Sent { event: EventId::new("$e"), room: RoomId::new("!r"), sent_before })
    }
}

fn text(room: &str, text: &str) -> MessageRequest {
    MessageRequest {
        room: room.into(),
        text: text.into(),
        notice: true,
        thread: Some("$root".into()),
        key: "k".into(),
    }
}

fn file(room: &str) -> FileQuery {
    FileQuery {
        room: room.into(),
        name: "ä b.png".into(),
        content_type: "image/png".into(),
        caption: Some("50 % & *more*".into()),
        thread: None,
        key: "f".into(),
    }
}

#[tokio::test]
async fn a_message_reaches_the_agent_as_it_was_given() {
    let (launcher, session) = up().await;
    let client = launcher.client();
    let reply = client.send(&a(), &text("#room:hs", "**hi**\n")).await.unwrap();
    let expected = SentReply { event_id: "$e".into(), room_id: "!r".into(), sent_before: false };
    assert_eq!(reply, expected);
    assert!(client.send(&a(), &text("#room:hs", "**hi**\n")).await.unwrap().sent_before);
    let given = session.sender.0.lock().unwrap()[0].clone();
    assert_eq!((given.target.to_string(), given.notice), ("#room:hs".to_owned(), true));
    assert_eq!(given.thread, Some(EventId::new("$root")));
    assert_eq!(given.content, OutgoingContent::Text("**hi**\n".into()));
}

#[tokio::test]
async fn a_file_reaches_the_agent_byte_by_byte() {
    let (launcher, session) = up().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    launcher.client().send_file(&a(), &file("@alice:hs"), bytes.clone()).await.unwrap();
    let given = session.sender.0.lock().unwrap()[0].clone();
    let OutgoingContent::File(found) = &given.content else { panic!("{given:?}") };
    assert!(found.bytes == bytes);
    assert_eq!((found.name.as_str(), found.content_type.as_str()), ("ä b.png", "image/png"));
    assert_eq!(found.caption.as_deref(), Some("50 % & *more*"));
}

#[tokio::test]
async fn what_is_not_sent_says_why() {
    let (launcher, _session) = up().await;
    let client = launcher.client();
    let refused = refusal(client.send(&a(), &text("!closed", "x")).await);
    assert_eq!(refused, Refusal::new("it is not in it", "invite it"));
    let late = refusal(client.send_file(&a(), &file("!away"), vec![1]).await);
    assert!(late.action.unwrap().contains("same key"));
    launcher.board.report(&a()).set_session(None);
    let parked = refusal(client.send(&a(), &text("!r", "x")).await);
    assert!(parked.reason.contains("parked") && parked.reason.contains("token_invalid"));
}

#[tokio::test]
async fn a_message_that_is_being_sent_is_not_waited_for_long_when_its_agent_ends() {
    let (launcher, session) = up().await;
    let (client, agent, message) = (launcher.client(), a(), text("!slow", "x"));
    let end = async {
        while session.sender.0.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        launcher.board.report(&agent).set_session(None);
    };
    let both = async { tokio::join!(client.send(&agent, &message), end) };
    let (sent, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    let refused = refusal(sent);
    assert_eq!(refused.reason, "a was stopped before it was done");
    assert!(refused.action.unwrap().contains("repeat the command"));
    assert_eq!(Arc::strong_count(&session), 1, "the session was kept");
}

#[tokio::test]
async fn a_message_that_is_none_is_not_taken() {
    let (launcher, session) = up().await;
    let client = launcher.client();
    let long = "x".repeat(70_000);
    for request in [
        text("", "x"),
        text("nowhere", "x"),
        text("!r", " \n"),
        text("!r", &long),
        MessageRequest { key: String::new(), ..text("!r", "x") },
        MessageRequest { key: "k".repeat(256), ..text("!r", "x") },
    ] {
        let refused = refusal(client.send(&a(), &request).await);
        assert!(refused.reason.contains("not what this route takes"), "{refused:?}");
    }
    for query in [
        FileQuery { name: "../up".into(), ..file("!r") },
        FileQuery { name: String::new(), ..file("!r") },
        FileQuery { caption: Some("x".repeat(9_000)), ..file("!r") },
    ] {
        refusal(client.send_file(&a(), &query, vec![1]).await);
    }
    assert!(session.sender.0.lock().unwrap().is_empty());
}

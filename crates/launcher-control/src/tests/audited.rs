//! What the audit log says about messages.

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    names::{EventId, RoomId},
};
use launcher_runtime::ports::{
    Answer, Arrivals, Notice, SendFault, Session,
    outbox::{Outbox, OutboxError, Outgoing, Sent},
};

use super::*;
use crate::wire::MessageRequest;

/// Sends everything into one room, but for what is about bob.
#[derive(Debug)]
struct OneRoom;

#[async_trait]
impl Outbox for OneRoom {
    async fn send(&self, message: &Outgoing) -> Result<Sent, OutboxError> {
        match message.target.as_str() {
            "@bob:hs" => Err(OutboxError::Late { detail: "502".to_owned() }),
            _ => {
                let (event, room) = (EventId::new("$e"), RoomId::new("!r:hs"));
                Ok(Sent { event, room, sent_before: false })
            }
        }
    }
}

#[async_trait]
impl Session for OneRoom {
    async fn wait(&self) -> Result<(), Fault> {
        std::future::pending().await
    }

    async fn read(&self) -> Result<Arrivals, Fault> {
        Ok(Arrivals::default())
    }

    async fn send(&self, _answer: &Answer) -> Result<EventId, SendFault> {
        Ok(EventId::new("$e"))
    }

    async fn send_notice(&self, _notice: &Notice) -> Result<EventId, SendFault> {
        Ok(EventId::new("$e"))
    }

    async fn close(&self) {}

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self)
    }
}

#[tokio::test]
async fn a_message_is_written_down_with_its_room_and_without_what_it_says() {
    let launcher = Launcher::start().await;
    let session: Arc<dyn Session> = Arc::new(OneRoom);
    launcher.board.report(&a()).set_session(Some(&session));
    for room in ["!r:hs", "#ops:hs", "@alice:hs", "@bob:hs"] {
        let request = MessageRequest {
            room: room.to_owned(),
            text: "hunter2".to_owned(),
            notice: false,
            thread: None,
            key: room.to_owned(),
        };
        let sent = launcher.client().send(&a(), &request).await;
        assert_eq!(sent.is_ok(), room != "@bob:hs", "{sent:?}");
    }
    let text = fs_err::read_to_string(launcher.folder.path().join("audit.jsonl")).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let shown = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["action"], &line["agent"]), (&"send_message".into(), &"a".into()));
        let subjects = line["subjects"].as_array().unwrap().iter();
        let subjects: Vec<_> = subjects.map(|subject| subject.as_str().unwrap()).collect();
        format!("{} {}", line["outcome"].as_str().unwrap(), subjects.join(" "))
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "began !r:hs",
            "done !r:hs",
            "began #ops:hs",
            "done #ops:hs !r:hs",
            "began @alice:hs",
            "done @alice:hs !r:hs",
            "began @bob:hs",
            "refused @bob:hs",
        ]
    );
}

//! Says what it was told: for trying out that everything works.

use std::time::Duration;

use async_trait::async_trait;
use launcher_core::conversation::{MediaKind, Message};
use launcher_runtime::ports::{
    Action, Behavior, BehaviorFault, FetchFault, Response, Stage, outbox::Attachment,
};

/// The largest file that is sent back, in bytes.
const LARGEST: u64 = 32 << 20;

/// Answers every text message with its prefix and the text, and every file with
/// the file.
#[derive(Debug)]
pub struct Echo {
    prefix: String,
    delay: Duration,
}

impl Echo {
    /// An echo that puts `prefix` before the text and answers after `delay`.
    pub fn new(prefix: String, delay: Duration) -> Self {
        Self { prefix, delay }
    }
}

#[async_trait]
impl Behavior for Echo {
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let Some(media) = &message.media else {
            return Ok(Some(Response::say(format!("{}{}", self.prefix, message.body))));
        };
        match stage.fetch(media, LARGEST).await {
            Ok(bytes) => {
                let file = Attachment {
                    name: media.name.clone(),
                    content_type: media.content_type.clone(),
                    bytes,
                    caption: (!message.body.is_empty()).then(|| message.body.clone()),
                    voice: media.kind == MediaKind::Voice,
                };
                Ok(Some(Response { actions: vec![Action::File(file)], ..Response::default() }))
            }
            Err(FetchFault::Passing { detail }) => Err(BehaviorFault::new(detail)),
            Err(fault) => {
                Ok(Some(Response::say(format!("I cannot send this file back: {fault}."))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use launcher_core::{
        conversation::{Media, MessageKind},
        names::{EventId, RoomId, UserId},
        secret::Secret,
    };

    use super::*;
    use crate::props::Props;

    fn message(body: &str) -> Message {
        let (room, event) = (RoomId::new("!r:hs"), EventId::new("$e"));
        Message::text(room, event, UserId::new("@alice:hs"), body)
    }

    async fn echo(message: &Message, props: &Props) -> Result<Option<Response>, BehaviorFault> {
        Echo::new("echo: ".into(), Duration::ZERO).on_message(message, props).await
    }

    #[tokio::test]
    async fn the_prefix_stands_before_the_text() {
        let said = echo(&message("hello\nworld"), &Props::default()).await.unwrap().unwrap();
        assert!(said == Response::say("echo: hello\nworld"));
    }

    #[tokio::test]
    async fn a_file_comes_back_as_it_is() {
        let media = Media {
            kind: MediaKind::Image,
            name: "a.png".into(),
            content_type: "image/png".into(),
            size: Some(3),
            source: Secret::new("mxc://hs/a".into()),
        };
        let kind = MessageKind::Media;
        let file = Message { kind, media: Some(media), ..message("") };
        let props = Props::default().with_file("mxc://hs/a", &[1, 2, 3]);
        let said = echo(&file, &props).await.unwrap().unwrap();
        let [Action::File(sent)] = said.actions.as_slice() else { panic!("{said:?}") };
        assert_eq!((sent.name.as_str(), sent.bytes.as_slice()), ("a.png", &[1, 2, 3][..]));
        let lost = echo(&file, &Props::default()).await.unwrap().unwrap();
        let [Action::Say { text }] = lost.actions.as_slice() else { panic!("{lost:?}") };
        assert!(text.starts_with("I cannot send this file back"), "{text}");
    }
}

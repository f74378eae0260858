//! Says what it was told: for trying out that everything works.

use std::time::Duration;

use async_trait::async_trait;
use launcher_core::conversation::Message;
use launcher_runtime::ports::{Action, Behavior, BehaviorFault};

/// Answers every text message with its prefix and the text.
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
        _attempt: u32,
    ) -> Result<Vec<Action>, BehaviorFault> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(vec![Action::Say { text: format!("{}{}", self.prefix, message.body) }])
    }
}

#[cfg(test)]
mod tests {
    use launcher_core::{
        conversation::MessageKind,
        names::{EventId, RoomId, UserId},
    };

    use super::*;

    #[tokio::test]
    async fn the_prefix_stands_before_the_text() {
        let message = Message {
            room: RoomId::new("!r:hs"),
            event: EventId::new("$e"),
            sender: UserId::new("@alice:hs"),
            kind: MessageKind::Text,
            body: "hello\nworld".into(),
            age: Duration::ZERO,
            automated: false,
            thread: None,
            in_reply_to: None,
            assurance: launcher_core::trust::Assurance::Signed,
        };
        let said =
            Echo::new("echo: ".into(), Duration::ZERO).on_message(&message, 1).await.unwrap();
        assert!(said == [Action::Say { text: "echo: hello\nworld".into() }]);
    }
}

//! Several behaviors in one agent.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use launcher_core::{conversation::Message, help::Word, names::EventId};
use launcher_runtime::ports::{Behavior, BehaviorFault, Initiative, Memories, Response, Stage};

/// Asks one behavior after the other until one takes the message.
#[derive(Debug)]
pub struct Chain(Vec<Link>);

/// A behavior and the kinds of messages that are for it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) spec: launcher_core::spec::BehaviorSpec,
    pub(crate) behavior: Arc<dyn Behavior>,
}

impl Chain {
    /// Behaviors in the order in which they are asked.
    pub(crate) fn new(links: Vec<Link>) -> Self {
        Self(links)
    }
}

#[async_trait]
impl Behavior for Chain {
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        for link in self.0.iter().filter(|link| link.spec.hears(message.kind)) {
            if let Some(response) = link.behavior.on_message(message, stage).await? {
                return Ok(Some(response));
            }
        }
        Ok(None)
    }

    fn commands(&self, message: Option<&Message>) -> Vec<Word> {
        self.0.iter().flat_map(|link| link.behavior.commands(message)).collect()
    }

    async fn said(
        &self,
        message: &Message,
        event: &EventId,
        memories: &dyn Memories,
    ) -> Result<(), BehaviorFault> {
        // Which of them it was is not known any more.
        for link in &self.0 {
            link.behavior.said(message, event, memories).await?;
        }
        Ok(())
    }

    fn limit(&self) -> Duration {
        self.0.iter().map(|link| link.behavior.limit()).max().unwrap_or_default()
    }

    async fn run(&self, initiative: Arc<dyn Initiative>) -> Result<(), BehaviorFault> {
        let runs = self.0.iter().map(|link| link.behavior.run(initiative.clone()));
        try_join_all(runs).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use launcher_core::{
        names::{RoomId, UserId},
        spec::BehaviorSpec,
    };
    use launcher_runtime::ports::Memory;

    use super::*;

    /// Remembers what it was told of its answers.
    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<EventId>>);

    #[async_trait]
    impl Behavior for Told {
        async fn on_message(
            &self,
            _message: &Message,
            _stage: &dyn Stage,
        ) -> Result<Option<Response>, BehaviorFault> {
            Ok(None)
        }

        async fn said(
            &self,
            _message: &Message,
            event: &EventId,
            _memories: &dyn Memories,
        ) -> Result<(), BehaviorFault> {
            self.0.lock().unwrap().push(event.clone());
            Ok(())
        }
    }

    struct Nothing;

    #[async_trait]
    impl Memories for Nothing {
        async fn recall(&self, _key: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
            Ok(None)
        }

        async fn remember(&self, _memories: Vec<Memory>) -> Result<(), BehaviorFault> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn each_behavior_is_told_of_an_answer() {
        let told = [Arc::new(Told::default()), Arc::new(Told::default())];
        let link = |told: &Arc<Told>| Link {
            spec: BehaviorSpec::Schedule { entries: std::collections::BTreeMap::new() },
            behavior: told.clone(),
        };
        let chain = Chain::new(told.iter().map(link).collect());
        let (room, event) = (RoomId::new("!r:hs"), EventId::new("$q"));
        let message = Message::text(room, event, UserId::new("@alice:hs"), "hi");
        chain.said(&message, &EventId::new("$a"), &Nothing).await.unwrap();
        assert!(told.iter().all(|one| *one.0.lock().unwrap() == [EventId::new("$a")]));
    }
}

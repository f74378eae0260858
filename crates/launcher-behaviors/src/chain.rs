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

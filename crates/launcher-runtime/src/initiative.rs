//! What a behavior does by itself.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use futures_util::FutureExt;
use launcher_core::{
    backoff,
    conversation::{Message, MessageKind},
    fleet::Degradation,
    names::{EventId, UserId},
};
use tokio::{sync::Notify, time::Instant};
use tracing::warn;

use crate::{
    answering::{answers, journal_fault},
    ports::{Behavior, BehaviorFault, Initiative, Memory, Session, Task, ToDo, journal::Journal},
    random,
    report::{PROGRAM, Report},
};

/// A behavior that ran this long is started again as if for the first time.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(60);

/// From this end on the waits grow no more: some minutes.
const LONGEST_WAIT: u32 = 8;

/// Puts tasks into one agent's inbox.
pub(crate) struct Tasks {
    pub(crate) own: UserId,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) report: Arc<Report>,
    /// Tells the worker that there is something to do.
    pub(crate) begun: Arc<Notify>,
}

#[async_trait]
impl Initiative for Tasks {
    async fn begin(&self, task: Task, memories: Vec<Memory>) -> Result<bool, BehaviorFault> {
        let event = EventId::new(format!("launcher-task:{}", plain(&task.id)));
        let text = match &task.what {
            ToDo::Answer(text) => text.clone(),
            ToDo::Act(_) => String::new(),
        };
        let message = Message {
            kind: MessageKind::Task,
            ..Message::text(task.room, event, self.own.clone(), text)
        };
        let known = match task.what {
            ToDo::Act(actions) => Some(answers(&*self.session, &message, actions, None)),
            ToDo::Answer(_) => None,
        };
        let begun = self.journal.begin_task(&message, known.as_deref(), &memories).await;
        let is_new = begun.map_err(journal_fault)?;
        self.begun.notify_one();
        Ok(is_new)
    }

    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
        self.journal.recall(key).await.map_err(journal_fault)
    }

    async fn remember(&self, memories: Vec<Memory>) -> Result<(), BehaviorFault> {
        self.journal.remember(&memories).await.map_err(journal_fault)
    }

    fn set_degraded(&self, found: Option<Degradation>) {
        self.report.set_degraded(PROGRAM, found);
    }
}

/// A task's name in letters, digits and `_`, different for each name: it
/// becomes part of transaction ids.
fn plain(id: &str) -> String {
    id.bytes().fold(String::new(), |mut plain, byte| {
        match byte.is_ascii_alphanumeric() {
            true => plain.push(char::from(byte)),
            false => plain.push_str(&format!("_{byte:02x}")),
        }
        plain
    })
}

/// Runs what the behavior does by itself, again and again.
pub(crate) async fn run(behavior: Arc<dyn Behavior>, tasks: Arc<Tasks>) {
    let mut ends = 0;
    loop {
        let started = Instant::now();
        let ended = AssertUnwindSafe(behavior.run(tasks.clone())).catch_unwind().await;
        let detail = match ended {
            Ok(Ok(())) => "it ended".to_owned(),
            Ok(Err(fault)) => fault.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        ends = if started.elapsed() > SETTLED { 0 } else { ends + 1 };
        let wait = backoff::wait(ends.min(LONGEST_WAIT), random::fraction(), None);
        warn!(detail, retry_in = ?wait, "what the behavior does by itself has ended");
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_tasks_never_look_the_same() {
        assert_eq!(plain("daily"), "daily");
        for (one, other) in [("daily-a", "daily_a"), ("a-b", "a_2db"), ("é", "_c3a9")] {
            assert_ne!(plain(one), plain(other), "{one}, {other}");
        }
    }
}

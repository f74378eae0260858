//! Messages that an operator has an agent send: given to the session that the
//! agent works with.

use launcher_core::agent::AgentId;
use launcher_runtime::ports::outbox::{Outgoing, Sent};
use tokio::sync::SemaphorePermit;

use super::{Denied, Desk, noted};

impl Desk {
    pub(crate) async fn send(&self, agent: &AgentId, message: &Outgoing) -> Result<Sent, Denied> {
        let sent = async {
            let session = self.session(agent)?;
            let outbox = session.outbox().ok_or_else(|| self.denied(agent))?;
            self.with_session(agent, &session, outbox.send(message)).await
        };
        noted(agent, "send_message", sent.await)
    }

    /// Waits until no other file is in memory.
    pub(crate) async fn place_for_file(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.files.acquire().await.ok()
    }
}

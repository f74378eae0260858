//! Messages that an operator has an agent send: given to the session that the
//! agent works with.

use launcher_core::{agent::AgentId, target::Target};
use launcher_runtime::ports::outbox::{Outgoing, Sent};
use tokio::sync::SemaphorePermit;

use super::{Denied, Desk, about::About};

impl Desk {
    pub(crate) async fn send(&self, agent: &AgentId, message: &Outgoing) -> Result<Sent, Denied> {
        let mut about = About::agent(agent);
        match &message.target {
            Target::Room(room) => about.room = Some(room),
            Target::Alias(alias) => about.alias = Some(alias),
            Target::Direct(user) => about.user = Some(user),
        }
        about.began("send_message");
        let sent = async {
            let session = self.session(agent)?;
            let outbox = session.outbox().ok_or_else(|| self.denied(agent))?;
            self.with_session(agent, &session, outbox.send(message)).await
        };
        let sent = sent.await;
        let room = sent.as_ref().ok().map(|sent| sent.room.clone());
        About { room: room.as_ref().or(about.room), ..about }.noted("send_message", sent)
    }

    /// Waits until no other file is in memory.
    pub(crate) async fn place_for_file(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.files.acquire().await.ok()
    }
}

//! Envelopes, and what else keys need to get where they belong.

use super::{Chat, ChatError, Happening};
use crate::{
    client::{ClientError, Delivery},
    crypto::{Answer, Envelope, Fanout, Freshness, Received},
};

/// Pages of envelopes that are read at once at most. Anybody can send some, and
/// rows do not wait for them.
const PAGES: usize = 5;

impl Chat {
    /// Publishes this device's keys, if there are any that are not.
    pub(super) async fn publish(&mut self) -> Result<(), ChatError> {
        if let Some(upload) = self.machine.upload(self.now())? {
            self.client.upload_bundle(&upload).await?;
            self.machine.uploaded(upload.mark, self.now())?;
        }
        Ok(())
    }

    /// Takes in the envelopes that wait at the server, up to a limit.
    pub(super) async fn receive_pending(&mut self) -> Result<(), ChatError> {
        for _ in 0..PAGES {
            let pending = self.client.pending_envelopes().await?;
            if pending.envelopes.is_empty() && pending.unreadable.is_empty() {
                self.has_pending = false;
                return Ok(());
            }
            for envelope in pending.unreadable {
                self.client.acknowledge(envelope).await?;
            }
            for envelope in &pending.envelopes {
                self.receive(envelope).await?;
            }
        }
        Ok(())
    }

    /// Takes in an envelope; again, if it was cut off before.
    pub(super) async fn receive(&mut self, envelope: &Envelope) -> Result<(), ChatError> {
        let mut received = self.machine.receive(envelope, Freshness::AsKnown, self.now())?;
        if let Received::LookUp(account) = received {
            self.look_up(account).await?;
            received = self.machine.receive(envelope, Freshness::JustLookedUp, self.now())?;
        }
        // It is on the disk. From here to the acknowledgment nothing is lost by
        // a kill: rows that are locked are opened at each start.
        match received {
            Received::Key { room, .. } => self.open_locked(Some(room))?,
            Received::Withheld { from, room, reason, .. } => {
                self.tell(Happening::Withheld { from, room, reason });
            }
            Received::LookUp(_)
            | Received::Asked
            | Received::SaidToBeWithheld(_)
            | Received::Nothing
            | Received::Duplicate
            | Received::Undecryptable { .. }
            | Received::Refused(_) => {}
        }
        match self.client.acknowledge(envelope.id).await {
            // The server does not have it any more.
            Err(error) if error.is_refused_with(404) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// Answers who asks for keys, asks for those that are missing, and delivers
    /// what waits.
    pub(super) async fn work(&mut self) -> Result<(), ChatError> {
        self.publish().await?;
        for ask in self.machine.asks()? {
            self.machine.answer(&ask, Answer::Share)?;
        }
        let work = self.machine.work(self.now())?;
        for account in work.look_up {
            self.look_up(account).await?;
        }
        for account in work.claim {
            self.claim(account).await?;
        }
        self.deliver(&work.deliver).await
    }

    /// Sends envelopes. Stops where an account has other devices by now: what
    /// is to be delivered is another thing then.
    pub(super) async fn deliver(&mut self, fanouts: &[Fanout]) -> Result<(), ChatError> {
        for fanout in fanouts {
            match self.client.fanout(fanout).await {
                Ok(Delivery::Taken | Delivery::NoAccount) => self.machine.delivered(fanout)?,
                Ok(Delivery::OtherDevices) => return self.look_up(fanout.account).await,
                // It will never take these; who lacks a key asks for it.
                Err(ClientError::Refused { status: 400 | 413, .. }) => {
                    self.machine.delivered(fanout)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

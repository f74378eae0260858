//! Envelopes, and what else keys need to get where they belong.

use std::collections::BTreeSet;

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
        let mut unknown = BTreeSet::new();
        for _ in 0..PAGES {
            let pending = self.client.pending_envelopes().await?;
            if pending.envelopes.is_empty() && pending.unreadable.is_empty() {
                self.has_pending = false;
                return Ok(());
            }
            let mut is_stuck = pending.unreadable.is_empty();
            for envelope in pending.unreadable {
                self.client.acknowledge(envelope).await?;
            }
            for envelope in &pending.envelopes {
                let sender = envelope.sender.account;
                // One request for all that somebody sends.
                let is_taken = !unknown.contains(&sender) && self.receive(envelope).await?;
                if !is_taken {
                    unknown.insert(sender);
                }
                is_stuck &= !is_taken;
            }
            if is_stuck {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes in an envelope; again, if it was cut off before. `false` if the
    /// devices of its sender could not be asked for: then it waits at the server,
    /// and others do not wait for it.
    pub(super) async fn receive(&mut self, envelope: &Envelope) -> Result<bool, ChatError> {
        let mut received = self.machine.receive(envelope, Freshness::AsKnown, self.now())?;
        if let Received::LookUp(account) = received {
            let looked_up = self.look_up(account).await;
            if !is_done(looked_up)? {
                self.has_pending = true;
                return Ok(false);
            }
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
            Err(error) if error.is_refused_with(404) => Ok(true),
            outcome => Ok(outcome.map(|()| true)?),
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
            is_done(self.look_up(account).await)?;
        }
        for account in work.claim {
            is_done(self.claim(account).await)?;
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

/// Whether a server's answer about one account was of use. One that is none keeps
/// nobody from hearing others; whether the server is there, other requests say.
fn is_done(looked_up: Result<(), ChatError>) -> Result<bool, ChatError> {
    match looked_up {
        Err(ChatError::Client(ClientError::Nonsense { .. })) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

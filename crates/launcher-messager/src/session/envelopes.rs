//! Envelopes: what other devices tell this one, above all their keys.
//!
//! An envelope is acknowledged when what follows from it is in the store. A
//! kill before that has the server give it again, and then it is known.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use launcher_core::{fault::Fault, names::RoomId as Room};
use launcher_runtime::stamp;
use tracing::{debug, warn};

use super::{MessagerSession, locked};
use crate::{
    client::ClientError,
    crypto::{
        AccountId, Envelope, EnvelopeId, Freshness, PublicBundle, Published, Received, Withheld,
    },
    faults, ledger, names,
};

/// Pages of envelopes that are read at once at most. The rest is read next time:
/// anybody can send some, and rows do not wait for them.
const PAGES: usize = 5;

/// Acknowledgments that are under way side by side at most.
const ACKNOWLEDGED: usize = 8;

/// Accounts whose devices could not be asked for in one reading at most. After
/// that nobody's are asked for: each of them may take as long as a request can.
const FAILED: usize = 8;

/// What envelopes brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// Rooms' sessions whose keys came.
    pub(super) keys: BTreeSet<(Room, String)>,
    /// Rooms' sessions whose keys their owners keep back, with the reason.
    pub(super) withheld: Vec<((Room, String), Withheld)>,
    /// Whether there may be more.
    pub(super) more: bool,
    /// Accounts whose devices were asked for.
    looked_up: BTreeSet<AccountId>,
    /// Accounts whose devices could not be asked for.
    failed: BTreeSet<AccountId>,
}

impl MessagerSession {
    /// Takes in the envelopes that wait, up to a limit. What is not taken in is
    /// not acknowledged, so it comes again.
    pub(super) async fn receive_envelopes(&self) -> Result<Brought, Fault> {
        let mut brought = Brought::default();
        for _ in 0..PAGES {
            let pending = self.parts.client.pending_envelopes().await;
            let pending = pending.map_err(|error| self.fault(&error))?;
            let mut taken: Vec<EnvelopeId> = Vec::new();
            for envelope in &pending.envelopes {
                if self.receive(envelope, &mut brought).await? {
                    taken.push(envelope.id);
                }
            }
            for envelope in &pending.unreadable {
                warn!(%envelope, "an envelope has no form that can be read");
            }
            taken.extend(pending.unreadable);
            if taken.is_empty() {
                return Ok(brought);
            }
            for some in taken.chunks(ACKNOWLEDGED) {
                try_join_all(some.iter().map(|envelope| self.acknowledge(*envelope))).await?;
            }
        }
        brought.more = true;
        Ok(brought)
    }

    /// Takes an envelope in; `false` if the devices of its sender could not be
    /// asked for. Others do not wait for it.
    async fn receive(&self, envelope: &Envelope, brought: &mut Brought) -> Result<bool, Fault> {
        let mut freshness = Freshness::AsKnown;
        loop {
            let copy = envelope.clone();
            let work = move |machine: &mut crate::crypto::Machine| {
                machine.receive(&copy, freshness, stamp().0)
            };
            match self.parts.engine.ask(work).await? {
                Received::LookUp(account) => {
                    // A flood of envelopes of unknown devices leads to one request.
                    if !brought.looked_up.contains(&account)
                        && !self.ask_about_sender(account, brought).await?
                    {
                        return Ok(false);
                    }
                    freshness = Freshness::JustLookedUp;
                }
                received => {
                    note(envelope, received, brought);
                    return Ok(true);
                }
            }
        }
    }

    async fn ask_about_sender(
        &self,
        account: AccountId,
        brought: &mut Brought,
    ) -> Result<bool, Fault> {
        if brought.failed.contains(&account) || brought.failed.len() >= FAILED {
            return Ok(false);
        }
        match self.look_up(account).await {
            Ok(()) => {
                brought.looked_up.insert(account);
                Ok(true)
            }
            Err(fault @ Fault::ServerUnavailable { .. }) => {
                warn!(user = %account, %fault, "an envelope waits until its sender's devices are known");
                brought.failed.insert(account);
                Ok(false)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn acknowledge(&self, envelope: EnvelopeId) -> Result<(), Fault> {
        match self.parts.client.acknowledge(envelope).await {
            Ok(()) => Ok(()),
            // It is not there any more.
            Err(error @ ClientError::Refused { .. }) => {
                debug!(%envelope, %error, "an envelope was not acknowledged");
                Ok(())
            }
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// Asks for an account's devices, and brings machine and ledger up to them.
    /// If the server does not tell about them, they stay as they are known.
    pub(super) async fn look_up(&self, account: AccountId) -> Result<(), Fault> {
        let shown = self.parts.client.devices(account).await;
        self.take_devices(account, shown, false).await
    }

    /// The same with a one-time key claimed of each.
    pub(super) async fn claim(&self, account: AccountId) -> Result<(), Fault> {
        let shown = self.parts.client.claim(account).await;
        self.take_devices(account, shown, true).await
    }

    async fn take_devices(
        &self,
        account: AccountId,
        shown: Result<Vec<PublicBundle>, ClientError>,
        is_claimed: bool,
    ) -> Result<(), Fault> {
        match shown {
            Ok(shown) => self.show_devices(account, shown, is_claimed).await,
            Err(error @ ClientError::Refused { .. }) => {
                warn!(%account, %error, "the server does not tell about somebody's devices");
                Ok(())
            }
            Err(error) => Err(self.fault(&error)),
        }
    }

    pub(super) async fn show_devices(
        &self,
        account: AccountId,
        shown: Vec<PublicBundle>,
        is_claimed: bool,
    ) -> Result<(), Fault> {
        let own = shown.iter().find(|bundle| bundle.address == self.address).cloned();
        let now = stamp().0;
        let findings = self
            .parts
            .engine
            .ask(move |machine| match is_claimed {
                true => machine.claimed(account, &shown, now),
                false => machine.devices(account, &shown, now),
            })
            .await?;
        ledger::say_findings(&findings);
        if account == self.address.account {
            self.check_own(own).await?;
        }
        if !self.ledger.follow(&[account]).await?.is_empty() {
            // What waits because of who sent it may be read now.
            locked(&self.hurried).insert(names::user(account));
            self.stir();
        }
        Ok(())
    }

    /// Ends the session if the server shows other keys for this very device, or
    /// those of a life that came after this one.
    async fn check_own(&self, shown: Option<PublicBundle>) -> Result<(), Fault> {
        let ask = move |machine: &mut crate::crypto::Machine| machine.published(shown.as_ref());
        let fault = match self.parts.engine.ask(ask).await? {
            Published::Missing | Published::Ours => return Ok(()),
            Published::Foreign => faults::keys_differ(&self.address),
            Published::Ahead => faults::cloned(&self.parts.spec),
        };
        self.note_broken(fault.clone());
        Err(fault)
    }
}

fn note(envelope: &Envelope, received: Received, brought: &mut Brought) {
    let user = envelope.sender.account;
    match received {
        Received::Key { room, session, .. } => {
            brought.keys.insert((names::room(room), session.to_string()));
        }
        Received::Withheld { room, session, reason, .. } => {
            warn!(event = "key_withheld", %room, session_id = %session, %user, ?reason, "a device keeps its key back");
            brought.withheld.push(((names::room(room), session.to_string()), reason));
        }
        Received::SaidToBeWithheld(reason) => {
            debug!(%user, ?reason, "the server says that a device keeps its key back");
        }
        Received::Undecryptable { .. } => {
            warn!(%user, "an envelope cannot be opened; another way to its sender is made");
        }
        Received::Refused(refusal) => {
            warn!(event = "envelope_refused", %user, code = refusal.code(), "an envelope is not what the server says");
        }
        // It was answered before this is called.
        Received::LookUp(_) | Received::Asked | Received::Nothing | Received::Duplicate => {}
    }
}

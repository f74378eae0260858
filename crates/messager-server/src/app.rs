//! What all handlers share.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::{
    live::Hub,
    rates::Rates,
    refusal::Refusal,
    store::Store,
    values::{AccountId, Moment},
};

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub store: Store,
    pub hub: Arc<Hub>,
    pub sends: Rates<AccountId>,
    /// By who claims and whose keys.
    pub claims: Rates<(AccountId, AccountId)>,
    /// The sockets that are open, for the stop.
    pub sockets: TaskTracker,
}

impl App {
    /// Counts something that an account writes.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`].
    pub(crate) fn may_send(&self, account: AccountId) -> Result<(), Refusal> {
        self.sends.take(account, Moment::now()).map_err(Refusal::TooMany)
    }

    /// Counts one-time keys that an account takes from another.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`].
    pub(crate) fn may_claim(&self, account: AccountId, target: AccountId) -> Result<(), Refusal> {
        self.claims.take((account, target), Moment::now()).map_err(Refusal::TooMany)
    }
}

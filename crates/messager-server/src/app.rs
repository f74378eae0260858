//! What all handlers share.

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use crate::{
    live::Hub,
    rates::Rates,
    refusal::Refusal,
    store::Store,
    values::{AccountId, Moment},
};

/// How much of the server clients may use, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once, websockets among them.
    pub connections: usize,
    /// How long a client may take for headers, for a request as a whole, and for
    /// taking the next part of what is sent to it.
    pub patience: Duration,
    /// How long a websocket may say nothing before it is asked, and then again.
    pub keepalive: Duration,
}

impl Limits {
    /// Websockets at once: there is always a place left for those who only ask.
    pub(crate) fn sockets(&self) -> usize {
        (self.connections - self.connections / 4).max(1)
    }
}

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub limits: Limits,
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

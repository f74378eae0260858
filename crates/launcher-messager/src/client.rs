//! A Messager server, spoken to over HTTP.
//!
//! [`Client`] has one method for each request that an account makes. It hands
//! out what the engine in [`crypto`](crate::crypto) takes, and decides nothing:
//! what the server says is the server's word. It never tries again by itself;
//! [`ClientError`] says whether to.
//!
//! Every answer is read up to a bound only, and what does not have its form is
//! an error or, in a list of rows or envelopes, counted and left out.

mod error;
mod http;
mod keys;
mod members;
mod rooms;
mod timeline;
mod wire;

use launcher_core::secret::Secret;
use serde::Deserialize;
use url::Url;

pub use self::{
    error::ClientError,
    http::Connections,
    keys::{Delivery, Pending},
    rooms::{Direct, Group, Invite, Member, MemberState, Mode, Room, RoomKind},
    timeline::{Notice, Page, Said, TimelineKind, TimelineRow},
};
pub(crate) use self::{
    http::{described, refusal},
    timeline::as_row,
    wire::as_envelope,
};
use crate::crypto::{AccountId, DeviceName};

/// A device's way to its server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    connections: Connections,
    server: Url,
    token: Secret<String>,
}

/// Whom a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// The account.
    pub account: AccountId,
    /// The device that the token is for.
    pub device: DeviceName,
    /// What the account is found by.
    pub name: String,
}

#[derive(Deserialize)]
struct MeWire {
    id: AccountId,
    name: String,
    device_id: String,
}

#[derive(Deserialize)]
struct IdWire {
    id: AccountId,
}

impl Client {
    /// A client of the device that `token` is for. Nothing is sent.
    pub fn new(connections: &Connections, server: Url, token: Secret<String>) -> Self {
        Self { connections: connections.clone(), server, token }
    }

    /// The server's address.
    pub fn server(&self) -> &Url {
        &self.server
    }

    /// Whom the token belongs to.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn me(&self) -> Result<Me, ClientError> {
        let MeWire { id, name, device_id } = self.get(&["api", "accounts", "me"]).await?;
        let device = DeviceName::new(device_id)
            .map_err(|error| ClientError::nonsense(format!("of a device: {error}")))?;
        Ok(Me { account: id, device, name: wire::short(&name) })
    }

    /// The account of a name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn account_by_name(&self, name: &str) -> Result<Option<AccountId>, ClientError> {
        let found: Result<IdWire, ClientError> = self.get(&["api", "accounts", name]).await;
        Ok(error::found(found)?.map(|account| account.id))
    }
}

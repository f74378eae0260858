//! Accounts.

use schemars::JsonSchema;
use serde::Serialize;

use crate::values::{AccountId, DeviceId, Moment};

/// An account.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Account {
    pub id: AccountId,
    /// What it is found by: unique, whatever the case.
    pub name: String,
    /// What people see.
    pub nick: String,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

/// Whom a token belongs to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Me {
    pub id: AccountId,
    pub name: String,
    pub nick: String,
    /// The device that the token is for, in Pass and on the websocket.
    pub device_id: DeviceId,
    pub device_label: Option<String>,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub deleted_at: Option<Moment>,
}

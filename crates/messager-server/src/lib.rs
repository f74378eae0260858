//! A chat service whose server carries ciphertext: Messager (rooms, timelines,
//! syncs, a websocket) and Pass (keys, sessions, envelopes).
//!
//! The binary `messager` is one way to run it. A program that wants one inside
//! of itself opens a folder, binds an address and runs:
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use messager_server::{NewDevice, Server, Settings};
//!
//! let server = Server::open(Settings::in_folder("data"))?;
//! let NewDevice { token, .. } = server.add_device("alice", Some("laptop"))?;
//! let bound = server.bind(tokio::net::TcpListener::bind("127.0.0.1:0").await?)?;
//! println!("{} takes {}", bound.address(), token.expose());
//! bound.run(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod account;
mod api;
mod app;
mod live;
mod metrics;
mod previews;
mod push;
mod rates;
mod refusal;
mod rules;
mod server;
mod store;
mod values;
mod wire;

pub use self::{
    account::{
        AddError, KnownAccount, KnownDevice, NewDevice, RevokeError, Token, accounts, add_device,
        revoke_device,
    },
    api::document as openapi,
    server::{Bound, RunError, Server, Settings},
    store::OpenError,
    values::{AccountId, DeviceId},
};

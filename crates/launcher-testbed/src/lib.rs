//! A real homeserver and real users, for the tests, the demo and the benchmark.
//!
//! [`Homeserver`] is Synapse on a loopback port. [`JsEngine`] hosts users on
//! matrix-js-sdk, the engine of Element, so that what they can read is what a
//! person with Element could read. Both are programs of their own that end
//! with the process that started them, however it ends.
//!
//! A [`tap::Tap`] between a client and its homeserver logs and disturbs what they
//! say to each other.
//!
//! A [`SmallDisk`] is a folder that a test can fill.
//!
//! Everything here blocks; nothing needs a runtime. The first start on a
//! machine installs both programs, see [`ensure_installed`].
//!
//! ```no_run
//! use launcher_testbed::{
//!     DEFAULT_TIMEOUT, Homeserver, HomeserverOptions, JsEngine, LoginOptions, MessageFilter, RoomOptions,
//! };
//!
//! # fn main() -> Result<(), launcher_testbed::TestbedError> {
//! let homeserver = Homeserver::start(HomeserverOptions::default())?;
//! let alice = homeserver.register_without_login("alice", "secret")?;
//! let bob = homeserver.register_without_login("bob", "secret")?;
//!
//! let engine = JsEngine::start()?;
//! let alice = engine.login(homeserver.base_url(), &alice, "secret", LoginOptions::default())?;
//! let bob = engine.login(homeserver.base_url(), &bob, "secret", LoginOptions::default())?;
//!
//! let room = alice.create_room(RoomOptions::encrypted().invite(bob.user_id()))?;
//! bob.join(&room)?;
//! alice.wait_for_member(&room, bob.user_id(), "join", DEFAULT_TIMEOUT)?;
//! alice.send_text(&room, "hello")?;
//! let seen = bob.wait_for_message(&room, MessageFilter::new().body("hello"), DEFAULT_TIMEOUT)?;
//! assert!(seen.encrypted);
//! # Ok(())
//! # }
//! ```

mod account;
mod engine;
mod error;
mod homeserver;
mod http;
mod installation;
mod message;
pub mod models;
mod process;
mod room;
mod small_disk;
pub mod tap;
mod user;

use std::time::Duration;

pub use account::Account;
pub use engine::JsEngine;
pub use error::TestbedError;
pub use homeserver::{Homeserver, HomeserverOptions, RateLimits, Registration};
pub use installation::{Installation, ensure_installed, mcp_server_time, testbed_root};
pub use message::{Device, DeviceStatus, Message, MessageFilter, Shield};
pub use process::free_port;
pub use room::{Encryption, Preset, RoomOptions};
pub use small_disk::SmallDisk;
pub use user::{
    CrossSigning, Downloaded, Edited, Isolation, JsUser, LoginOptions, Recovered, SentFile,
    UnverifiedDevices, UserStatus, VerificationEnd,
};

/// How long to wait for something that takes well under a second by itself.
///
/// Long, because two cores may be shared by a homeserver, a dozen users and a
/// build; a test that passes never waits for it.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

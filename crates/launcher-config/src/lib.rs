//! Reads the launcher's files and says everything that is wrong with them.
//!
//! [`load()`] takes the root `config.yaml`, `.env` and every
//! `agents/*/config.yaml`, and gives checked
//! [`AgentSpec`](launcher_core::spec::AgentSpec)s or [`Diagnostic`]s with
//! positions. One run finds every problem in every file, so that one edit
//! repairs them all. Nothing else in the workspace reads these files.
//!
//! The way through: a `source` file becomes a tree of nodes that know their
//! place (`yaml`); the tree is held against the table of keys (`schema`,
//! `shape`); defaults are merged under each agent (`merge`); values are
//! read out (`reading`, `values`) into the root's settings (`root`) and
//! the agents' (`agent`); at last agents are compared with each other
//! (`rivals`).
//!
//! No secret ever becomes part of a diagnostic: messages do not name secret
//! values, and the lines that are shown pass through `mask`.

mod diagnostic;
mod mask;

mod source;
mod yaml;

mod reference;
mod schema;
mod shape;

mod dotenv;
mod env_file;
mod environment;
mod substitute;

mod merge;
mod reading;
mod values;

mod agent;
mod arrival;
mod folders;
mod load;
mod origin;
mod rivals;
mod root;

pub use arrival::{Arrival, StoreHome, arrival, variable};
pub use diagnostic::{Diagnostic, Excerpt, Related, summary};
pub use env_file::{
    EnvFileAddition, EnvFileEdit, EnvFileError, append_to_env_file, comment_out_in_env_file,
    read_env_file,
};
pub use environment::{Environment, ProcessEnvironment};
pub use load::{Loaded, Sources, load};
pub use origin::{KeyOrigin, KeyVariable, key_origin};
pub use reference::reference_markdown;
pub use root::{LogConfig, LogFormat, LogLevel, RootConfig};
pub use values::pickle_key::{InvalidPickleKey, parse_pickle_key};

//! What the journal promises, tried on real files.

mod copies;
mod damage;
mod files;
mod keys;
mod lives;
mod memories;
mod messages;
mod outgoing;
mod refusals;
mod retention;
mod rooms;
mod support;
mod trust;
mod undecryptable;

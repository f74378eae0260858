//! What is allowed, as functions over values.
//!
//! Nothing here reads a table or the clock. The order in which a rule is
//! checked is the order in which clients learn what is wrong, so each function
//! is one list of checks from top to bottom.

mod ability;
mod devices;
mod members;
mod mode;
mod payload;
mod preview;
mod pushes;
mod reading;
mod writing;

pub(crate) use self::{
    ability::Ability,
    devices::covered,
    members::{
        Door, Manager, Membership, may_accept, may_invite, may_join, may_leave, may_manage,
        may_open, may_own,
    },
    mode::{enabled_mode, mode_of_new, mode_stays},
    preview::{is_plain, is_public, links},
    pushes::{Reader, is_pushed},
    reading::{Reads, may_read, may_sync, page},
    writing::{
        Original, Place, may_delete, may_edit, may_look_for, may_react, may_send, may_speak,
    },
};

//! What each command does.

pub(crate) mod check;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod verify_any;

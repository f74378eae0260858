//! Who is connected now.

mod hub;
mod incoming;
mod socket;

pub(crate) use self::{hub::Hub, socket::connect};

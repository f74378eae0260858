//! Bodies of requests.

mod chat;
mod pass;
mod writing;

pub(crate) use self::{
    chat::{
        DirectBody, EnableBody, InviteBody, NotifyBody, ReactionBody, RoomBody, SyncBody,
        TimeoutBody,
    },
    pass::{BundleBody, DistributeBody, EnvelopeBody, FanoutBody, SessionBody},
    writing::{DeleteBody, Payload, References, SendBody},
};

//! What stands in bodies and packets.
//!
//! Everything that is sent has all of its members, null where there is nothing.

mod account;
mod input;
mod message;
mod packet;
mod pass;
mod requests;
mod room;

pub(crate) use self::{
    account::{Account, Me},
    input::{Input, Limits},
    message::{Attachment, Link, Message, Reaction, RowKind, Summary, SyncPage},
    packet::{EnvelopePacket, Packet, Typing},
    pass::{DeviceBundle, Envelope, OneTimePreKey, PublicBundle, Sent, Session},
    requests::{
        BundleBody, DeleteBody, DirectBody, DistributeBody, EnableBody, EnvelopeBody, FanoutBody,
        InviteBody, NotifyBody, Payload, ReactionBody, References, RoomBody, SendBody, SessionBody,
        SyncBody, TimeoutBody,
    },
    room::{Member, Picture, Room, TimeoutCause},
};

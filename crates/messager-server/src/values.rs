//! Small values that bodies, rules and tables share.

mod bytes;
mod id;
mod kind;
mod moment;
mod text;

pub use self::id::{AccountId, DeviceId};
pub(crate) use self::{
    bytes::Octets,
    id::{
        BundleId, EnvelopeId, MemberId, MessageId, ReactionId, RoomId, SessionId, VoiceId, random,
    },
    kind::{Mode, RoomKind},
    moment::Moment,
    text::{is_blank, length, scrub},
};

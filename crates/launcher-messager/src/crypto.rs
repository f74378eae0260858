//! End-to-end encryption over a server that is trusted with delivery only.
//!
//! Devices have Olm accounts and talk in pairs over *envelopes*. In a room each
//! device has a Megolm session, whose key goes to the other devices in
//! envelopes; *rows* of the timeline are encrypted with it. The formats and
//! what the server can and cannot do are in docs/reference/messager-crypto.md.
//!
//! [`Machine`] is the whole of it from outside: no network, no clock, no task.
//! Each call is one transaction of `crypto.db`, so a kill is either before it
//! or after it.

mod bundle;
mod codec;
mod content;
mod envelope;
mod ids;
mod machine;
mod own;
mod parcel;
mod peers;
mod rotation;
mod row;
mod safety;

pub use self::{
    bundle::{
        ALGORITHM, BundleProblem, OneTimeKey, PublicBundle, SignedPreKey, Upload, UploadMark,
    },
    content::{Action, Body, Content, MAX_BODY},
    envelope::{Envelope, EnvelopeKind, Fanout, Payload},
    ids::{AccountId, Address, DeviceName, EnvelopeId, NameError, RoomId, RowId, SessionId},
    machine::{
        Answer, Ask, Audience, Draft, EnvelopeRefusal, Freshness, Machine, Opened, Published,
        ReadRow, Received, RowSender, SendError, Step, Work,
    },
    parcel::Withheld,
    peers::{Finding, PeerDevice},
    row::{Place, Refusal, Row, RowKind, SCHEME, SealedRow},
    safety::SafetyNumber,
};
pub(crate) use self::{
    own::{Notes, Own},
    peers::{AccountRecord, PeerKey},
    rotation::Circle,
};

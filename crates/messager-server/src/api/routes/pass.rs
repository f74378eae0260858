//! Routes of keys, sessions and envelopes.

use super::super::{
    operations::{
        Area, LARGE,
        Method::{Get, Post, Put},
        SEALED, op,
    },
    pass,
};
use crate::wire::{
    BundleBody, DeviceBundle, DistributeBody, Envelope, EnvelopeBody, FanoutBody, PublicBundle,
    Sent, Session, SessionBody,
};

const TAKE: &[(&str, &str)] = &[("take", "How many, from 1 to 500, 100 unless told")];
const CONSUME: &[(&str, &str)] = &[("consumeOneTimePreKey", "Whether a key is claimed; it is")];
const DEVICE: &[(&str, &str)] = &[("device_id", "One's own device; that of the token")];
const DEVICE_TAKE: &[(&str, &str)] = &[DEVICE[0], TAKE[0]];

pub(super) fn pass_area() -> Area {
    Area::new("pass", &["/api/e2ee", "/pass/e2ee"])
        .on(
            Post,
            "/keys/upload",
            pass::upload,
            op("upload", "Stores the keys of an account")
                .takes::<BundleBody>()
                .up_to(LARGE)
                .gives::<DeviceBundle>(),
        )
        .on(
            Put,
            "/devices/me/bundle",
            pass::upload_device,
            op("upload_device", "Stores the keys of the token's device")
                .takes::<BundleBody>()
                .up_to(LARGE)
                .gives::<DeviceBundle>(),
        )
        .on(
            Get,
            "/keys/me",
            pass::mine,
            op("mine", "One's own latest keys").gives::<PublicBundle>().refuses(&[404]),
        )
        .on(
            Get,
            "/keys/{account_id}/bundle",
            pass::bundle,
            op("bundle", "The latest keys of an account, with a one-time key")
                .query(CONSUME)
                .gives::<PublicBundle>()
                .refuses(&[404, 429]),
        )
        .on(
            Get,
            "/keys/{account_id}/devices",
            pass::devices,
            op("devices", "The keys of each device of an account, each with a one-time key")
                .query(CONSUME)
                .gives::<Vec<PublicBundle>>()
                .refuses(&[429]),
        )
        .on(
            Post,
            "/devices/{device_id}/revoke",
            pass::revoke,
            op("revoke", "Takes a device of one's own out of use").status(204).refuses(&[404]),
        )
        .on(
            Post,
            "/sessions/{peer_id}",
            pass::ensure_session,
            op("ensure_session", "Finds or makes the conversation with somebody")
                .takes::<SessionBody>()
                .gives::<Session>()
                .refuses(&[404]),
        )
        .on(
            Post,
            "/messages",
            pass::send,
            op("send", "Sends an envelope to an account as a whole")
                .takes::<EnvelopeBody>()
                .up_to(SEALED)
                .gives::<Envelope>()
                .refuses(&[404]),
        )
        .on(
            Post,
            "/groups/sender-key/distribute",
            pass::distribute,
            op("distribute", "Sends a sender key to several accounts, or to none")
                .takes::<DistributeBody>()
                .up_to(LARGE)
                .gives::<Sent>()
                .refuses(&[404]),
        )
        .on(
            Post,
            "/messages/fanout",
            pass::fan_out,
            op("fan_out", "Sends an envelope to each device of an account, or to none")
                .takes::<FanoutBody>()
                .up_to(LARGE)
                .gives::<Vec<Envelope>>()
                .refuses(&[404, 409]),
        )
        .on(
            Get,
            "/messages/pending",
            pass::pending,
            op("pending", "What waits for one's account").query(TAKE).gives::<Vec<Envelope>>(),
        )
        .on(
            Post,
            "/messages/{envelope_id}/ack",
            pass::acknowledge,
            op("acknowledge", "Acknowledges an envelope").gives::<Envelope>().refuses(&[404]),
        )
        .on(
            Get,
            "/envelopes/pending",
            pass::device_pending,
            op("device_pending", "What waits for a device of one's own")
                .query(DEVICE_TAKE)
                .gives::<Vec<Envelope>>()
                .refuses(&[404]),
        )
        .on(
            Post,
            "/envelopes/{envelope_id}/ack",
            pass::device_acknowledge,
            op("device_acknowledge", "Acknowledges an envelope for a device")
                .query(DEVICE)
                .gives::<Envelope>()
                .refuses(&[404]),
        )
}

//! Routes of timelines.

use std::collections::BTreeMap;

use super::super::{
    messages,
    operations::{
        Access::Both,
        Area, LARGE,
        Method::{Delete, Get, Patch, Post},
        SEALED, op,
    },
    voice,
};
use super::{CHAT, PAGE};
use crate::wire::{
    DeleteBody, Message, Reaction, ReactionBody, SendBody, Summary, SyncBody, SyncPage,
};

pub(super) fn message_area() -> Area {
    let list = op("list", "Rows of a timeline, the newest first").access(Both).gated().query(PAGE);
    Area::new("messages", CHAT)
        .on(
            Get,
            "/{id}/messages",
            messages::list,
            list.gives::<Vec<Message>>().refuses(&[401, 403, 404, 409]),
        )
        .on(
            Get,
            "/{id}/messages/{message_id}",
            messages::one,
            op("one", "A row")
                .access(Both)
                .gated()
                .gives::<Message>()
                .refuses(&[401, 403, 404, 409]),
        )
        .on(
            Post,
            "/{id}/messages",
            messages::send,
            op("send", "Sends a message")
                .gated()
                .takes::<SendBody>()
                .up_to(SEALED)
                .gives::<Message>()
                .refuses(&[403, 409]),
        )
        .on(
            Patch,
            "/{id}/messages/{message_id}",
            messages::edit,
            op("edit", "Replaces what a message says")
                .gated()
                .takes::<SendBody>()
                .up_to(SEALED)
                .gives::<Message>()
                .refuses(&[403, 404, 409]),
        )
        .on(
            Delete,
            "/{id}/messages/{message_id}",
            messages::delete,
            op("delete", "Deletes a message; in an encrypted room with an encrypted payload")
                .gated()
                .may_take::<DeleteBody>()
                .up_to(SEALED)
                .refuses(&[403, 404, 409]),
        )
        .on(
            Post,
            "/{id}/messages/voice",
            voice::send,
            op(
                "send_voice",
                "Sends a voice clip as a multipart form: File, Nonce, DurationMs, \
                 RepliedMessageId, ForwardedMessageId",
            )
            .up_to(LARGE)
            .gives::<Message>()
            .refuses(&[400, 403, 409, 413]),
        )
        .on(
            Get,
            "/{id}/voice/{voice_id}",
            voice::hear,
            op("hear", "A voice clip").access(Both).refuses(&[401, 403, 404]),
        )
        .on(
            Post,
            "/{id}/messages/{message_id}/reactions",
            messages::react,
            op("react", "Adds a reaction; again takes it back, with 204")
                .takes::<ReactionBody>()
                .gives::<Reaction>()
                .refuses(&[403, 404]),
        )
        .on(
            Delete,
            "/{id}/messages/{message_id}/reactions/{symbol}",
            messages::unreact,
            op("unreact", "Takes a reaction back").status(204).refuses(&[403, 404]),
        )
        .on(
            Post,
            "/{id}/sync",
            messages::sync,
            op("sync", "What is new in a room, the oldest first, 500 rows at most")
                .gated()
                .takes::<SyncBody>()
                .gives::<SyncPage>()
                .refuses(&[403, 404, 409]),
        )
        .on(
            Post,
            "/sync",
            messages::sync_all,
            op("sync_all", "What is new in all rooms, the oldest first, 500 rows at most")
                .gated()
                .takes::<SyncBody>()
                .gives::<SyncPage>()
                .refuses(&[409]),
        )
        .on(
            Get,
            "/summary",
            messages::summary,
            op("summary", "The last row and how many were not read, by room")
                .gated()
                .gives::<BTreeMap<String, Summary>>(),
        )
        .on(
            Get,
            "/unread",
            messages::unread,
            op("unread", "How many rows were not read").gated().gives::<i64>(),
        )
}

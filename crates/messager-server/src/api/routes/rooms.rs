//! Routes of accounts, rooms and members.

use super::super::{
    accounts, members,
    operations::{
        Access::Both,
        Area,
        Method::{Delete, Get, Patch, Post},
        op,
    },
    rooms,
};
use super::{CHAT, PAGE};
use crate::wire::{
    Account, DirectBody, EnableBody, InviteBody, Me, Member, NotifyBody, Room, RoomBody,
    TimeoutBody,
};

pub(super) fn account_area() -> Area {
    Area::new("accounts", &["/api/accounts", "/id/accounts"])
        .on(Get, "/me", accounts::me, op("me", "Whom the token is for").gives::<Me>())
        .on(
            Get,
            "/{name}",
            accounts::by_name,
            op("by_name", "The account of a name").gives::<Account>().refuses(&[404]),
        )
}

pub(super) fn room_area() -> Area {
    Area::new("rooms", CHAT)
        .on(Get, "/", rooms::joined, op("joined", "The rooms one is in").gives::<Vec<Room>>())
        .on(
            Post,
            "/",
            rooms::make,
            op("make", "Makes a group").takes::<RoomBody>().gives::<Room>().refuses(&[409]),
        )
        .on(
            Post,
            "/direct",
            rooms::make_direct,
            op("make_direct", "Makes a direct chat and invites the other")
                .takes::<DirectBody>()
                .gives::<Room>()
                .refuses(&[409]),
        )
        .on(
            Get,
            "/direct/{account_id}",
            rooms::direct,
            op("direct", "The direct chat with somebody").gives::<Room>().refuses(&[404]),
        )
        .on(
            Get,
            "/{id}",
            rooms::show,
            op("show", "A room").access(Both).gives::<Room>().refuses(&[404]),
        )
        .on(
            Patch,
            "/{id}",
            rooms::change,
            op("change", "Changes what is said about a room")
                .takes::<RoomBody>()
                .gives::<Room>()
                .refuses(&[403, 404, 409]),
        )
        .on(
            Delete,
            "/{id}",
            rooms::delete,
            op("delete", "Deletes a room").status(204).refuses(&[403, 404]),
        )
        .on(
            Post,
            "/{id}/e2ee/enable",
            rooms::enable,
            op("enable", "Turns encryption on, for ever")
                .may_take::<EnableBody>()
                .gives::<Room>()
                .refuses(&[403, 404, 409]),
        )
}

pub(super) fn member_area() -> Area {
    let list = op("list", "Members, and who is invited").access(Both).query(PAGE);
    Area::new("members", CHAT)
        .on(
            Get,
            "/{id}/members",
            members::list,
            list.gives::<Vec<Member>>().refuses(&[401, 403, 404]),
        )
        .on(
            Get,
            "/{id}/members/online",
            members::online,
            op("online", "How many members are connected")
                .access(Both)
                .gives::<usize>()
                .refuses(&[401, 403, 404]),
        )
        .on(
            Get,
            "/{id}/members/me",
            members::me,
            op("me", "One's own membership").gives::<Member>().refuses(&[404]),
        )
        .on(
            Post,
            "/{id}/members/me",
            members::join,
            op("join", "Joins a community: the room the first time, then the membership")
                .gives::<Room>()
                .refuses(&[400, 403, 404]),
        )
        .on(
            Delete,
            "/{id}/members/me",
            members::leave,
            op("leave", "Leaves a room").status(204).refuses(&[400, 404]),
        )
        .on(
            Patch,
            "/{id}/members/me/notify",
            members::notify,
            op("notify", "Changes what one is told")
                .takes::<NotifyBody>()
                .gives::<Member>()
                .refuses(&[404]),
        )
        .on(
            Delete,
            "/{id}/members/{account_id}",
            members::kick,
            op("kick", "Removes somebody").status(204).refuses(&[400, 403, 404]),
        )
        .on(
            Post,
            "/{id}/members/{account_id}/timeout",
            members::time_out,
            op("time_out", "Keeps somebody from writing")
                .takes::<TimeoutBody>()
                .status(204)
                .refuses(&[403, 404]),
        )
        .on(
            Delete,
            "/{id}/members/{account_id}/timeout",
            members::end_timeout,
            op("end_timeout", "Lets somebody write again").status(204).refuses(&[403, 404]),
        )
        .on(
            Get,
            "/invites",
            members::invitations,
            op("invitations", "One's own invitations").gives::<Vec<Member>>(),
        )
        .on(
            Post,
            "/invites/{id}",
            members::invite,
            op("invite", "Invites somebody")
                .takes::<InviteBody>()
                .gives::<Member>()
                .refuses(&[403, 404, 409]),
        )
        .on(
            Post,
            "/invites/{id}/accept",
            members::accept,
            op("accept", "Accepts an invitation").gives::<Member>().refuses(&[404, 409]),
        )
        .on(
            Post,
            "/invites/{id}/decline",
            members::decline,
            op("decline", "Declines an invitation").status(204).refuses(&[404]),
        )
}

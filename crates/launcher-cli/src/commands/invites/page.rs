//! Invitations and rooms as tables.

use launcher_control::wire::{InviteReply, RoomReply};

use super::{Page, age};
use crate::{
    table::{Table, harmless, yes},
    units,
};

/// The invitations of these agents, and what is wrong with those that cannot be
/// asked.
pub(super) fn of(pages: &[Page]) -> String {
    let mut table =
        Table::new(["AGENT", "ROOM", "NAME", "INVITER", "ENC", "MEMBERS", "AGE", "WHY"]);
    let mut count = 0;
    for page in pages {
        for invite in page.invites.iter().flatten() {
            count += 1;
            table.row(row(&page.id, invite));
        }
    }
    let mut text = match count {
        0 if pages.iter().all(|page| page.reason.is_some()) && !pages.is_empty() => String::new(),
        0 if pages.iter().any(|page| page.reason.is_some()) => {
            "no invitations wait, of the agents that can be asked\n".to_owned()
        }
        0 => "no invitations wait\n".to_owned(),
        _ => table.to_string(),
    };
    for page in pages {
        let Some(reason) = &page.reason else { continue };
        text.push_str(&format!("{}: {}\n", page.id, harmless(reason)));
        if let Some(action) = &page.action {
            text.push_str(&format!("{}  do: {}\n", " ".repeat(page.id.len()), harmless(action)));
        }
    }
    text
}

fn row(agent: &str, invite: &InviteReply) -> [String; 8] {
    let none = || "-".to_owned();
    [
        agent.to_owned(),
        invite.room_id.clone(),
        invite.name.clone().unwrap_or_else(none),
        invite.inviter.clone().unwrap_or_else(none),
        yes(invite.encrypted),
        invite.joined_members.map_or_else(none, |members| members.to_string()),
        units::age(age(invite.first_seen_ms)),
        match (&invite.code, &invite.reason) {
            (Some(code), Some(reason)) => format!("{code}: {reason}"),
            (None, Some(reason)) => reason.clone(),
            (_, None) => "the agent is about to join".to_owned(),
        },
    ]
}

/// The rooms that an agent is in.
pub(super) fn of_rooms(rooms: &[RoomReply]) -> String {
    if rooms.is_empty() {
        return "the agent is in no room\n".to_owned();
    }
    let mut table = Table::new(["ROOM", "NAME", "ENC", "MEMBERS", "INVITED", "DIRECT"]);
    for room in rooms {
        table.row([
            room.room_id.clone(),
            room.name.clone().unwrap_or_else(|| "-".to_owned()),
            yes(room.encrypted),
            room.joined_members.to_string(),
            room.invited_members.to_string(),
            yes(room.is_direct),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_reaches_the_terminal_without_its_control_characters() {
        let invite = InviteReply {
            room_id: "!r:hs".to_owned(),
            name: Some("\u{1b}[2Jfree money".to_owned()),
            inviter: Some("@eve:hs".to_owned()),
            encrypted: false,
            joined_members: None,
            first_seen_ms: 0,
            code: Some("not_from".to_owned()),
            reason: Some("invites.from does not name @eve:hs".to_owned()),
        };
        let pages = [
            Page { id: "bot".into(), invites: Some(vec![invite]), reason: None, action: None },
            Page {
                id: "ill".into(),
                invites: None,
                reason: Some("ill cannot be asked now (parked)".into()),
                action: Some("`launcher doctor ill`".into()),
            },
        ];
        let text = of(&pages);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("bot    !r:hs  \u{fffd}[2Jfree money  @eve:hs  no   -        "));
        assert!(text.contains("not_from: invites.from does not name @eve:hs"));
        assert!(
            text.ends_with(
                "ill: ill cannot be asked now (parked)\n     do: `launcher doctor ill`\n"
            )
        );
        assert_eq!(of(&[]), "no invitations wait\n");
        assert!(of(&pages[1..]).starts_with("ill: ill cannot be asked now"));
        let idle = Page { id: "idle".into(), invites: Some(vec![]), reason: None, action: None };
        let [_, ill] = pages;
        let some = of(&[idle, ill]);
        assert!(some.starts_with("no invitations wait, of the agents that can be asked\nill: "));
    }
}

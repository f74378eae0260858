//! What is shown of what happens. Everything in it may be somebody's text.

use std::collections::BTreeMap;

use launcher_messager::{
    chat::{DeviceNews, Happening, Message, Trust},
    client::{Me, Member, MemberState, Room, RoomKind},
    crypto::{AccountId, PeerDevice, RoomId},
};

use crate::table::harmless;

/// What accounts and rooms are called.
pub(super) struct Names {
    own: AccountId,
    accounts: BTreeMap<AccountId, String>,
    rooms: BTreeMap<RoomId, String>,
}

impl Names {
    pub(super) fn of(me: &Me) -> Self {
        let accounts = BTreeMap::from([(me.account, harmless(&me.name))]);
        Self { own: me.account, accounts, rooms: BTreeMap::new() }
    }

    pub(super) fn learn(&mut self, account: AccountId, name: &str) {
        self.accounts.insert(account, harmless(name));
    }

    pub(super) fn learn_room(&mut self, room: &Room) {
        for member in &room.others {
            self.learn(member.account, &member.name);
        }
        let others: Vec<String> =
            room.others.iter().map(|member| self.account(member.account)).collect();
        let label = match (&room.name, room.kind) {
            (Some(name), RoomKind::Group) if !name.is_empty() => harmless(name),
            _ if others.is_empty() => room.id.to_string(),
            _ => others.join(", "),
        };
        self.rooms.insert(room.id, label);
    }

    pub(super) fn call_room(&mut self, room: RoomId, label: &str) {
        self.rooms.insert(room, label.to_owned());
    }

    pub(super) fn account(&self, account: AccountId) -> String {
        self.accounts.get(&account).cloned().unwrap_or_else(|| account.to_string())
    }

    pub(super) fn room(&self, room: RoomId) -> String {
        self.rooms.get(&room).cloned().unwrap_or_else(|| room.to_string())
    }
}

/// What is shown of something that happened while `here` is open; `None` for
/// what is of no concern.
pub(super) fn happening_line(
    happening: &Happening,
    names: &Names,
    here: Option<RoomId>,
) -> Option<String> {
    let at = |room: RoomId| match here == Some(room) {
        true => String::new(),
        false => format!("[{}] ", names.room(room)),
    };
    let who = |account: AccountId| match account == names.own {
        true => "you".to_owned(),
        false => names.account(account),
    };
    Some(match happening {
        Happening::Message(message) if message.is_own && message.trust == Trust::Own => {
            return None;
        }
        Happening::Message(message) => format!("{}{}", at(message.room), said(message, names)),
        Happening::Edited(message) if message.is_own && message.trust == Trust::Own => return None,
        Happening::Edited(message) => {
            format!("{}(changed) {}", at(message.room), said(message, names))
        }
        Happening::Deleted { room, by, .. } => {
            format!("{}{} took a message back", at(*room), who(*by))
        }
        Happening::Locked { room, name, .. } => format!(
            "{}{} wrote something that cannot be read here: its key has not come",
            at(*room),
            harmless(name)
        ),
        Happening::Refused { room, sender, why, .. } => format!(
            "{}! what is said to be from {} was not believed: {}",
            at(*room),
            who(*sender),
            why.code()
        ),
        Happening::Withheld { from, room, .. } => format!(
            "{}! a device of {} does not give this one its keys",
            at(*room),
            who(from.account)
        ),
        Happening::Joined { room, account } => {
            format!("{}{} is here now", at(*room), who(*account))
        }
        Happening::Left { room, account, by: None } => {
            format!("{}{} has left", at(*room), who(*account))
        }
        Happening::Left { room, account, by: Some(by) } => {
            format!("{}{} was removed by {}", at(*room), who(*account), who(*by))
        }
        Happening::Entered { room } if here == Some(room.id) => return None,
        Happening::Entered { room } => format!("you are in {} now", names.room(room.id)),
        Happening::Gone { room } => format!("you are not in {} any more", names.room(*room)),
        Happening::Invited { room, by } => format!(
            "{} invites you to {}; `/rooms` shows the number, `/join` accepts",
            by.map_or_else(|| "somebody".to_owned(), who),
            names.room(room.id)
        ),
        Happening::Encrypted { room } => {
            format!("{}this room is encrypted from here on", at(*room))
        }
        Happening::Downgraded { room } => format!(
            "{}! the server says that this room is not encrypted as it was; nothing is sent there",
            at(*room)
        ),
        Happening::Device { address, news } => {
            device_news(&who(address.account), address.device.as_str(), *news)?
        }
        Happening::Typing { .. } => return None,
        Happening::Unsent { room, text, why } => {
            format!(
                "{}! not sent, and given up: `{}` ({})",
                at(*room),
                harmless(text),
                harmless(why)
            )
        }
        Happening::Offline { why } => {
            format!("! the server is not there, it is tried again: {}", harmless(&why.to_string()))
        }
        Happening::Online => return None,
        _ => return None,
    })
}

fn said(message: &Message, names: &Names) -> String {
    let mark = match message.trust {
        Trust::Own | Trust::FirstSeen => "",
        Trust::Late => " (new device)",
        Trust::Disputed => " (! keys in dispute)",
        Trust::Gone => " (device is gone)",
    };
    let name = match message.is_own {
        true => format!("you, on {}", harmless(message.device.as_str())),
        false => names.account(message.sender),
    };
    let lines: Vec<String> = message.text.lines().map(harmless).collect();
    format!("{name}{mark}: {}", lines.join("\n    "))
}

fn device_news(who: &str, device: &str, news: DeviceNews) -> Option<String> {
    let device = harmless(device);
    Some(match news {
        // Everybody has one: only what comes later is news.
        DeviceNews::FirstSeen => return None,
        DeviceNews::New => format!("! {who} has a new device, {device}: `/safety` changes with it"),
        DeviceNews::Gone => format!("device {device} of {who} is gone"),
        DeviceNews::KeysDisputed => format!(
            "! the server shows other keys for device {device} of {who} than it had: it gets nothing until you have compared them and `/accept` them"
        ),
        DeviceNews::OwnKeysReplaced => {
            "! the server shows other keys for this device than it has: others cannot write to you safely".to_owned()
        }
        DeviceNews::Unusable(_) => {
            format!("device {device} of {who} has no keys that can be used, and reads nothing of yours")
        }
    })
}

pub(super) fn room_line(number: usize, room: &Room, names: &Names, is_invitation: bool) -> String {
    let kind = match room.kind {
        RoomKind::Direct => "chat with",
        RoomKind::Group => "group",
    };
    let mark = match (is_invitation, room.mode.is_encrypted()) {
        (true, _) => ", you are invited",
        (false, true) => "",
        (false, false) => ", not encrypted: nothing is sent there",
    };
    format!("{number:>3}  {kind} {}{mark}", names.room(room.id))
}

pub(super) fn member_line(member: &Member) -> String {
    let state = match member.state {
        MemberState::Active => "",
        MemberState::Invited => " (invited)",
        MemberState::Left => " (left)",
    };
    format!("  {}{state}  {}", harmless(&member.name), member.account)
}

pub(super) fn device_line(device: &PeerDevice) -> String {
    // One whose keys are in dispute does not count as present either.
    let mark = match (device.is_disputed(), device.gone.is_some(), device.late) {
        (true, ..) => "  ! keys in dispute",
        (false, true, _) => "  gone",
        (false, false, true) => "  new",
        (false, false, false) => "",
    };
    format!("  {}  {}{mark}", harmless(device.address.device.as_str()), device.ed25519.to_base64())
}

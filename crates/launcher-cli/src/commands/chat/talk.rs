//! A chat as it runs: what is typed and what happens, in turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use launcher_messager::{
    chat::{Chat, ChatError, Happening},
    client::{Connections, Member, MemberState, Room},
    crypto::{AccountId, Address, DeviceName, RoomId, RowId},
};
use tokio::time::{Instant, sleep_until};

use super::{
    place::Account,
    shown::{Names, device_line, happening_line, member_line, room_line},
    terminal::{PROMPT, Terminal},
    typed::{HELP, Typed, understand},
};
use crate::{exit::Exit, table::harmless};

/// How long answers are waited for when all lines of a pipe were said.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long somebody who is invited is waited for before anything is typed.
/// Agents come at once.
const COMING: Duration = Duration::from_secs(10);

/// A chat at a terminal.
pub(crate) struct Talk {
    chat: Chat,
    terminal: Terminal,
    names: Names,
    /// The room that lines are sent to.
    room: Option<RoomId>,
    /// What the last list showed, in its order.
    listed: Vec<Room>,
    /// The invitations, in the order of the list.
    invited: BTreeMap<RoomId, Room>,
    /// The last message of one's own, in each room.
    last: BTreeMap<RoomId, RowId>,
    /// Chats whose other side has not come yet, and could read nothing.
    lonely: BTreeSet<RoomId>,
    /// Lines that were said and have no answer yet.
    unanswered: usize,
    /// Whether something that was typed was not done.
    failed: bool,
}

impl Talk {
    /// Opens the chat that is kept in `folder`.
    pub(crate) async fn open(
        account: &Account,
        folder: &Path,
        terminal: Terminal,
    ) -> anyhow::Result<Self> {
        let connections = Connections::new()?;
        let token = account.token.clone();
        let chat =
            Chat::open(&connections, account.server.clone(), token, folder, &account.key).await?;
        let names = Names::of(chat.me());
        let mut talk = Self {
            chat,
            terminal,
            names,
            room: None,
            listed: Vec::new(),
            invited: BTreeMap::new(),
            last: BTreeMap::new(),
            lonely: BTreeSet::new(),
            unanswered: 0,
            failed: false,
        };
        let hint =
            if talk.terminal.is_interactive() { "; /help lists what can be typed" } else { "" };
        let (name, server) = (harmless(&talk.chat.me().name), &account.server);
        talk.say(&format!("you are {name} on {server}{hint}"));
        Ok(talk)
    }

    /// Shows a line.
    pub(crate) fn say(&mut self, line: &str) {
        self.terminal.show(&format!("{line}\n"));
    }

    /// Opens the encrypted chat with somebody, and says how to know them.
    pub(crate) async fn begin_with(&mut self, name: &str) -> anyhow::Result<()> {
        self.open_with(name).await?;
        let Some(room) = self.room else { return Ok(()) };
        let end = Instant::now() + COMING;
        while self.lonely.contains(&room) {
            tokio::select! {
                happening = self.chat.next() => self.show(happening?),
                () = sleep_until(end) => break,
            }
        }
        Ok(())
    }

    /// Opens the encrypted chat with somebody.
    async fn open_with(&mut self, name: &str) -> Result<(), ChatError> {
        let account = self.account(name).await?;
        let room = self.chat.open_direct(account).await?;
        self.enter(room, &harmless(name), true);
        self.safety(account).await?;
        let members = self.chat.members(room).await?;
        let is_there =
            |member: &Member| member.account == account && member.state == MemberState::Active;
        if !members.iter().any(is_there) {
            self.lonely.insert(room);
            self.say(&format!("{} is invited and has not come yet", harmless(name)));
        }
        Ok(())
    }

    /// Goes on until whoever types has had enough.
    pub(crate) async fn run(mut self) -> anyhow::Result<Exit> {
        let mut end = None;
        loop {
            let is_over = end.is_some_and(|end| Instant::now() >= end);
            if is_over || (end.is_some() && self.unanswered == 0) {
                let is_done = self.unanswered == 0 && !self.failed;
                return Ok(if is_done { Exit::Done } else { Exit::Failed });
            }
            tokio::select! {
                line = self.terminal.next(), if end.is_none() => match line.as_deref().map(understand) {
                    Some(Typed::Quit) => return Ok(Exit::Done),
                    Some(typed) => self.obey(typed).await?,
                    // Somebody at a terminal has had enough; a pipe wants its answers.
                    None if self.terminal.is_interactive() => return Ok(Exit::Done),
                    None => end = Some(Instant::now() + PATIENCE),
                },
                happening = self.chat.next() => match happening {
                    Ok(happening) => {
                        self.show(happening);
                        self.chat.told()?;
                    }
                    Err(error) => {
                        self.terminal.finish().await;
                        return Err(error.into());
                    }
                },
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {}
            }
        }
    }

    fn show(&mut self, happening: Happening) {
        match &happening {
            Happening::Message(message) | Happening::Edited(message) => {
                self.names.learn(message.sender, &message.name);
                if message.is_own {
                    self.last.insert(message.room, message.row);
                } else if self.room == Some(message.room) {
                    self.unanswered = self.unanswered.saturating_sub(1);
                }
            }
            Happening::Joined { room, .. } => drop(self.lonely.remove(room)),
            Happening::Entered { room } => self.names.learn_room(room),
            Happening::Invited { room, .. } => {
                self.names.learn_room(room);
                self.invited.insert(room.id, room.clone());
            }
            Happening::Gone { room } if self.room == Some(*room) => {
                self.room = None;
                self.terminal.set_prompt(PROMPT);
            }
            _ => {}
        }
        if let Some(line) = happening_line(&happening, &self.names, self.room) {
            self.say(&line);
        }
    }

    /// Does what was typed. What cannot be done is said, and is no end.
    async fn obey(&mut self, typed: Typed) -> anyhow::Result<()> {
        match self.carry_out(typed).await {
            Ok(()) => Ok(()),
            Err(error @ (ChatError::Store(_) | ChatError::History(_))) => Err(error.into()),
            Err(error) => {
                self.failed = true;
                self.say(&format!("error: {}", harmless(&chain(&error))));
                Ok(())
            }
        }
    }

    async fn carry_out(&mut self, typed: Typed) -> Result<(), ChatError> {
        match typed {
            Typed::Nothing | Typed::Quit => {}
            Typed::Wrong(what) => {
                self.failed = true;
                self.say(&what);
            }
            Typed::Help => self.terminal.show(HELP),
            Typed::Rooms => self.list().await?,
            Typed::Open(what) => self.open_typed(&what).await?,
            Typed::Group(name) => {
                let room = self.chat.create_group(&name).await?;
                self.enter(room, &harmless(&name), true);
            }
            Typed::Join(number) => self.join(number).await?,
            Typed::Decline(number) => {
                if let Some(room) = self.invitation(number) {
                    self.chat.decline(room.id).await?;
                    self.invited.remove(&room.id);
                    self.say("declined");
                }
            }
            Typed::Accept { name, device, key } => self.accept(&name, &device, &key).await?,
            Typed::Say(text) => {
                if let Some(room) = self.here() {
                    if self.lonely.contains(&room) {
                        self.failed = true;
                        self.say("not sent: nobody has come yet who could read it");
                        return Ok(());
                    }
                    let row = self.chat.send(room, &text, None).await?;
                    self.last.insert(room, row);
                    self.unanswered += 1;
                }
            }
            Typed::Edit(text) => {
                if let Some((room, row)) = self.mine() {
                    self.chat.edit(room, row, &text).await?;
                    self.say("changed");
                }
            }
            Typed::Delete => {
                if let Some((room, row)) = self.mine() {
                    self.chat.delete(room, row).await?;
                    self.last.remove(&room);
                    self.say("taken back");
                }
            }
            Typed::Invite(name) => {
                if let Some(room) = self.here() {
                    let account = self.account(&name).await?;
                    self.chat.invite(room, account).await?;
                    self.say(&format!("{} is invited", harmless(&name)));
                }
            }
            Typed::Remove(name) => {
                if let Some(room) = self.here() {
                    let account = self.account(&name).await?;
                    self.chat.remove(room, account).await?;
                }
            }
            Typed::Leave => {
                if let Some(room) = self.here() {
                    self.chat.leave(room).await?;
                }
            }
            Typed::Members => {
                if let Some(room) = self.here() {
                    for member in self.chat.members(room).await? {
                        self.names.learn(member.account, &member.name);
                        self.say(&member_line(&member));
                    }
                }
            }
            Typed::Safety(name) => {
                if let Some(account) = self.whom(name).await? {
                    self.safety(account).await?;
                }
            }
            Typed::Devices(name) => {
                if let Some(account) = self.whom(name).await? {
                    for device in self.chat.devices(account).await? {
                        self.say(&device_line(&device));
                    }
                }
            }
        }
        Ok(())
    }

    async fn list(&mut self) -> Result<(), ChatError> {
        let rooms = self.chat.rooms().await?;
        self.listed.clear();
        self.invited.retain(|id, _| rooms.iter().all(|room| room.id != *id));
        let invited: Vec<Room> = self.invited.values().cloned().collect();
        for (room, is_invitation) in
            rooms.iter().map(|room| (room, false)).chain(invited.iter().map(|room| (room, true)))
        {
            self.names.learn_room(room);
            self.listed.push(room.clone());
            let line = room_line(self.listed.len(), room, &self.names, is_invitation);
            self.say(&line);
        }
        if self.listed.is_empty() {
            self.say("no rooms yet; `/open NAME` begins a chat with somebody");
        }
        Ok(())
    }

    async fn open_typed(&mut self, what: &str) -> Result<(), ChatError> {
        let Ok(number) = what.parse::<usize>() else { return self.open_with(what).await };
        match self.numbered(number) {
            Some(room) if self.invited.contains_key(&room.id) => {
                self.say(&format!("you are only invited there; `/join {number}` accepts"));
            }
            Some(room) => {
                let label = self.names.room(room.id);
                self.enter(room.id, &label, room.mode.is_encrypted());
            }
            None => self.say("there is no such number; `/rooms` shows them"),
        }
        Ok(())
    }

    /// What the last list showed under this number.
    fn numbered(&self, number: usize) -> Option<Room> {
        number.checked_sub(1).and_then(|index| self.listed.get(index)).cloned()
    }

    /// The invitation under this number; says so if it is none.
    fn invitation(&mut self, number: usize) -> Option<Room> {
        let room = self.numbered(number).filter(|room| self.invited.contains_key(&room.id));
        if room.is_none() {
            self.say("that is no invitation; `/rooms` shows the numbers");
        }
        room
    }

    async fn join(&mut self, number: usize) -> Result<(), ChatError> {
        let Some(room) = self.invitation(number) else { return Ok(()) };
        self.chat.accept(room.id).await?;
        self.invited.remove(&room.id);
        let label = self.names.room(room.id);
        self.enter(room.id, &label, room.mode.is_encrypted());
        Ok(())
    }

    fn enter(&mut self, room: RoomId, label: &str, is_encrypted: bool) {
        self.room = Some(room);
        self.names.call_room(room, label);
        self.terminal.set_prompt(&format!("{label}{PROMPT}"));
        self.say(&match is_encrypted {
            true => format!("in the encrypted chat with {label}"),
            false => format!("in {label}, which is not encrypted: nothing is sent there"),
        });
    }

    /// Takes other keys of a device by the word of whoever types.
    async fn accept(&mut self, name: &str, device: &str, key: &str) -> Result<(), ChatError> {
        let account = self.account(name).await?;
        let Ok(device) = DeviceName::new(device) else {
            self.say("that is not the name of a device; `/devices` shows them");
            return Ok(());
        };
        match self.chat.accept_keys(&Address::new(account, device), key).await? {
            true => {
                self.say("taken: what you write from now on can be read there");
                self.safety(account).await
            }
            false => {
                self.say("nothing was done: the server does not show this key for that device");
                Ok(())
            }
        }
    }

    async fn safety(&mut self, account: AccountId) -> Result<(), ChatError> {
        let name = self.names.account(account);
        match self.chat.safety_number(account).await? {
            Some(number) => {
                self.say(&format!("safety number with {name}: {number}"));
            }
            None => self.say(&format!("{name} has no device yet, and can read nothing")),
        }
        Ok(())
    }

    /// The account of a name; or of an id.
    async fn account(&mut self, name: &str) -> Result<AccountId, ChatError> {
        let account = self.chat.account(name).await?;
        self.names.learn(account, name);
        Ok(account)
    }

    /// Who is meant: the one that was named, or the other one in this chat.
    async fn whom(&mut self, name: Option<String>) -> Result<Option<AccountId>, ChatError> {
        if let Some(name) = name {
            return self.account(&name).await.map(Some);
        }
        let Some(room) = self.here() else { return Ok(None) };
        let own = self.chat.me().account;
        let mut others = self.chat.members(room).await?;
        others.retain(|member| member.account != own);
        match others.as_slice() {
            [other] => {
                self.names.learn(other.account, &other.name);
                Ok(Some(other.account))
            }
            _ => {
                self.say("say of whom: there are several here");
                Ok(None)
            }
        }
    }

    fn here(&mut self) -> Option<RoomId> {
        if self.room.is_none() {
            self.failed = true;
            self.say("no room is open; `/open NAME` opens one, `/rooms` lists them");
        }
        self.room
    }

    fn mine(&mut self) -> Option<(RoomId, RowId)> {
        let room = self.here()?;
        let row = self.last.get(&room).copied();
        if row.is_none() {
            self.say("you have said nothing here yet");
        }
        Some((room, row?))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

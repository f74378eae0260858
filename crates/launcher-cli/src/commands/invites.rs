//! `launcher invites`: lists and answers invitations, makes rooms and direct
//! chats. The running launcher does all of it.

mod direct;
mod page;
mod prompt;

use std::time::Duration;

use launcher_control::{
    client::{AskError, Client},
    wire::{
        AgentReply, InviteAction, InviteReply, InviteRequest, LeaveRequest, MadeRoomReply, Refusal,
        RoomRequest, RoomsReply,
    },
};
use launcher_core::{
    agent::AgentId,
    names::{RoomId, UserId},
    status::AgentState,
};
use serde::Serialize;

use super::{json, wait_for};
use crate::{
    args::{Invites, InvitesOrder, InvitesTyped},
    exit::{self, Exit, Quit, say},
    folder,
    progress::patiently,
    signals,
    table::harmless,
};

pub(crate) fn run(options: &Invites) -> anyhow::Result<Exit> {
    let own_folder = folder::of_config(&options.config);
    let asker = Asker { client: Client::new(&own_folder) };
    match options.typed.order {
        Some(InvitesOrder::Prompt) => prompt::run(&asker, &own_folder, options.typed.one_agent()),
        _ => wait_for(async {
            let interrupted = signals::interrupted()?;
            tokio::select! {
                done = asker.carry_out(&options.typed) => done,
                () = interrupted => Ok(Exit::Failed),
            }
        }),
    }
}

impl InvitesTyped {
    /// The agent, however it was given.
    fn one_agent(&self) -> Option<&AgentId> {
        let of = match &self.order {
            Some(InvitesOrder::List { of }) => of.as_ref(),
            _ => None,
        };
        self.id.as_ref().or(self.agent.as_ref()).or(of)
    }

    fn agent_of(&self, order: &str) -> Result<&AgentId, Quit> {
        self.one_agent().ok_or_else(|| Quit::usage(format!("name the agent: `ID {order} …`")))
    }
}

/// Asks the running launcher.
#[derive(Debug)]
struct Asker {
    client: Client,
}

/// The invitations of one agent.
#[derive(Debug, Serialize)]
struct Page {
    id: String,
    /// None if the agent cannot be asked.
    invites: Option<Vec<InviteReply>>,
    /// Why not.
    reason: Option<String>,
    /// What helps.
    action: Option<String>,
}

#[derive(Debug, Serialize)]
struct Pages {
    agents: Vec<Page>,
}

impl Asker {
    /// Does what was typed; a prompt cannot be typed at a prompt.
    async fn carry_out(&self, typed: &InvitesTyped) -> anyhow::Result<Exit> {
        let Some(order) = &typed.order else { return self.list(typed).await };
        match order {
            InvitesOrder::List { of } => {
                let given = typed.id.as_ref().or(typed.agent.as_ref());
                if given.is_some() && of.is_some() {
                    return Err(Quit::usage("name one agent, or none for all").into());
                }
                self.list(typed).await
            }
            InvitesOrder::Accept { room } => self.answer(typed, InviteAction::Accept, room).await,
            InvitesOrder::Reject { room } => self.answer(typed, InviteAction::Reject, room).await,
            InvitesOrder::Rooms => self.rooms(typed).await,
            InvitesOrder::Leave { room } => self.leave(typed, room).await,
            InvitesOrder::Dm { user, greeting, wait } => {
                let agent = typed.agent_of("dm")?;
                let greeting = greeting.as_ref().map(|text| text.expose().as_str());
                direct::run(self, agent, user, greeting, *wait, typed.json).await
            }
            InvitesOrder::Room { name, invite, topic } => {
                self.make_room(typed, name, invite, topic.as_deref()).await
            }
            InvitesOrder::Prompt => Err(Quit::usage("this is the prompt already").into()),
        }
    }

    async fn list(&self, typed: &InvitesTyped) -> anyhow::Result<Exit> {
        let agents = match typed.one_agent() {
            Some(agent) => {
                let invites = self.client.invites(agent).await.map_err(refusal)?;
                vec![Page {
                    id: agent.to_string(),
                    invites: Some(invites),
                    reason: None,
                    action: None,
                }]
            }
            None => {
                let mut pages = Vec::new();
                // One that is switched off has nothing to decide.
                let agents = self.agents().await?.into_iter();
                for agent in agents.filter(|agent| agent.state != AgentState::Stopped.as_str()) {
                    pages.push(self.page(agent).await?);
                }
                pages
            }
        };
        exit::print(&match typed.json {
            true => json(&Pages { agents })?,
            false => page::of(&agents),
        });
        Ok(Exit::Done)
    }

    /// What is wrong with one agent is no reason to say nothing about the others.
    async fn page(&self, agent: AgentReply) -> anyhow::Result<Page> {
        let mut page = Page { id: agent.id, invites: None, reason: None, action: None };
        match self.client.invites(&page.id.parse()?).await {
            Ok(invites) => page.invites = Some(invites),
            Err(AskError::Refused(refusal)) => {
                page.reason = Some(refusal.reason);
                page.action = refusal.action;
            }
            Err(error) => return Err(refusal(error).into()),
        }
        Ok(page)
    }

    async fn agents(&self) -> Result<Vec<AgentReply>, Refusal> {
        Ok(self.client.status().await.map_err(refusal)?.agents)
    }

    async fn answer(
        &self,
        typed: &InvitesTyped,
        action: InviteAction,
        room: &RoomId,
    ) -> anyhow::Result<Exit> {
        let (order, done) = match action {
            InviteAction::Accept => ("accept", "joined"),
            InviteAction::Reject => ("reject", "rejected the invitation to"),
        };
        let agent = typed.agent_of(order)?;
        let request = InviteRequest { action, room_id: room.clone() };
        let work = self.client.answer_invite(agent, &request);
        patiently("waiting for the homeserver", work).await.map_err(refusal)?;
        done_with(typed, agent, done, room)
    }

    async fn leave(&self, typed: &InvitesTyped, room: &RoomId) -> anyhow::Result<Exit> {
        let agent = typed.agent_of("leave")?;
        let request = LeaveRequest { room_id: room.clone() };
        let work = self.client.leave_room(agent, &request);
        patiently("waiting for the homeserver", work).await.map_err(refusal)?;
        done_with(typed, agent, "left", room)
    }

    async fn rooms(&self, typed: &InvitesTyped) -> anyhow::Result<Exit> {
        let rooms = self.client.rooms(typed.agent_of("rooms")?).await.map_err(refusal)?;
        exit::print(&match typed.json {
            true => json(&RoomsReply { rooms })?,
            false => page::of_rooms(&rooms),
        });
        Ok(Exit::Done)
    }

    /// Fails if somebody was not invited.
    async fn make_room(
        &self,
        typed: &InvitesTyped,
        name: &str,
        invite: &[UserId],
        topic: Option<&str>,
    ) -> anyhow::Result<Exit> {
        let request = RoomRequest {
            name: name.to_owned(),
            topic: topic.map(str::to_owned),
            invite: invite.to_vec(),
        };
        let work = self.client.make_room(typed.agent_of("room")?, &request);
        let made = patiently("waiting for the homeserver", work).await.map_err(refusal)?;
        match typed.json {
            true => exit::print(&json(&made)?),
            false => exit::print(&made_page(&made)),
        }
        Ok(if made.not_invited.is_empty() { Exit::Done } else { Exit::Failed })
    }
}

fn made_page(made: &MadeRoomReply) -> String {
    let mut text = format!("made {}\n", made.room_id);
    for user in &made.invited {
        text.push_str(&format!("invited {user}\n"));
    }
    for missed in &made.not_invited {
        text.push_str(&format!("not invited: {}: {}\n", missed.user_id, missed.reason));
    }
    text.lines().map(|line| harmless(line) + "\n").collect()
}

#[derive(Serialize)]
struct Answered<'a> {
    id: &'a str,
    room_id: &'a RoomId,
}

fn done_with(
    typed: &InvitesTyped,
    agent: &AgentId,
    what: &str,
    room: &RoomId,
) -> anyhow::Result<Exit> {
    match typed.json {
        true => exit::print(&json(&Answered { id: agent.as_str(), room_id: room })?),
        false => say(&harmless(&format!("{agent} has {what} {room}"))),
    }
    Ok(Exit::Done)
}

/// Why the running launcher did not do it.
fn refusal(error: AskError) -> Refusal {
    match error {
        AskError::NotRunning { .. } => Refusal::new(
            error.to_string(),
            "start it with `launcher run`: only an agent that runs has invitations to answer",
        ),
        error => error.into(),
    }
}

/// How long something has been so that began then, in milliseconds since 1970.
fn age(since_ms: u64) -> Duration {
    launcher_runtime::stamp().since(launcher_runtime::ports::journal::Stamp(since_ms))
}

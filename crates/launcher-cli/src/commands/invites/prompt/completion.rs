//! What Tab offers: agents, orders, and the rooms that an order can be about.

use std::time::Duration;

use clap::CommandFactory;
use launcher_control::client::Client;
use launcher_core::agent::AgentId;
use rustyline::{
    Context, Helper, completion::Completer, highlight::Highlighter, hint::Hinter,
    validate::Validator,
};
use tokio::runtime::Handle;

use super::{Asker, Line};
use crate::table::harmless;

/// How long a Tab may take.
const LIMIT: Duration = Duration::from_secs(3);

/// What can be typed where an agent can, besides agents.
const WORDS: [&str; 3] = ["help", "list", "quit"];

/// Completes lines; asks the running launcher for names.
pub(super) struct Completion {
    handle: Handle,
    client: Client,
    agent: Option<AgentId>,
}

/// What a word can be.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Agent { or_word: bool },
    Order,
    Invitation(&'a str),
    Room(&'a str),
    Nothing,
}

impl Completion {
    pub(super) fn new(handle: Handle, asker: &Asker, agent: Option<&AgentId>) -> Self {
        Self { handle, client: asker.client.clone(), agent: agent.cloned() }
    }

    fn candidates(&self, before: &[&str]) -> Vec<String> {
        let agent = self.agent.as_ref().map(AgentId::as_str);
        match wanted(before, agent) {
            Wanted::Nothing => Vec::new(),
            Wanted::Order if agent.is_some() => {
                orders().into_iter().chain(["help".to_owned(), "quit".to_owned()]).collect()
            }
            Wanted::Order => orders(),
            Wanted::Agent { or_word } => {
                let words = WORDS.into_iter().filter(|_| or_word).map(str::to_owned);
                words.chain(self.agents()).collect()
            }
            Wanted::Invitation(agent) => self.invitations(agent),
            Wanted::Room(agent) => self.rooms(agent),
        }
    }

    fn agents(&self) -> Vec<String> {
        let asked = self.in_time(self.client.status());
        asked.into_iter().flat_map(|status| status.agents).map(|agent| agent.id).collect()
    }

    fn invitations(&self, agent: &str) -> Vec<String> {
        let Ok(agent) = agent.parse() else { return Vec::new() };
        let asked = self.in_time(self.client.invites(&agent));
        asked.into_iter().flatten().map(|invite| invite.room_id).collect()
    }

    fn rooms(&self, agent: &str) -> Vec<String> {
        let Ok(agent) = agent.parse() else { return Vec::new() };
        let asked = self.in_time(self.client.rooms(&agent));
        asked.into_iter().flatten().map(|room| room.room_id).collect()
    }

    /// What is not known in time is not offered.
    fn in_time<T, E>(&self, asked: impl Future<Output = Result<T, E>>) -> Option<T> {
        let answered = self.handle.block_on(async { tokio::time::timeout(LIMIT, asked).await });
        answered.ok()?.ok()
    }
}

/// What the word after these can be. `agent` is the one that all orders are for.
fn wanted<'a>(before: &[&'a str], agent: Option<&'a str>) -> Wanted<'a> {
    let (agent, rest) = match (agent, before) {
        (Some(agent), rest) => (agent, rest),
        (None, []) => return Wanted::Agent { or_word: true },
        (None, ["list"]) => return Wanted::Agent { or_word: false },
        (None, ["help" | "quit", ..]) => return Wanted::Nothing,
        (None, [agent, rest @ ..]) => (*agent, rest),
    };
    match rest {
        [] => Wanted::Order,
        ["accept" | "reject"] => Wanted::Invitation(agent),
        ["leave"] => Wanted::Room(agent),
        _ => Wanted::Nothing,
    }
}

fn orders() -> Vec<String> {
    let line = Line::command();
    let names = line.get_subcommands().map(|order| order.get_name().to_owned());
    names.filter(|name| name != "prompt").collect()
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..position).unwrap_or(line);
        let start = typed.rfind(' ').map_or(0, |space| space + 1);
        let (before, word) = typed.split_at(start);
        let before: Vec<&str> = before.split_whitespace().collect();
        let mut found = self.candidates(&before);
        // What a server says is shown: a room's id with control characters is not one.
        found.retain(|name| name.starts_with(word) && *name == harmless(name));
        found.sort();
        Ok((start, found))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Validator for Completion {}

impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_of_a_line_wants_its_own_kind_of_word() {
        assert_eq!(wanted(&[], None), Wanted::Agent { or_word: true });
        assert_eq!(wanted(&["bot"], None), Wanted::Order);
        assert_eq!(wanted(&["list"], None), Wanted::Agent { or_word: false });
        assert_eq!(wanted(&["bot", "accept"], None), Wanted::Invitation("bot"));
        assert_eq!(wanted(&["bot", "leave"], None), Wanted::Room("bot"));
        assert_eq!(wanted(&["bot", "dm"], None), Wanted::Nothing);
        assert_eq!(wanted(&[], Some("bot")), Wanted::Order);
        assert_eq!(wanted(&["reject"], Some("bot")), Wanted::Invitation("bot"));
        assert_eq!(wanted(&["reject", "!r"], Some("bot")), Wanted::Nothing);
    }

    #[test]
    fn every_order_is_offered_but_the_prompt_itself() {
        let offered = orders();
        for order in ["accept", "reject", "leave", "dm", "room", "rooms", "list"] {
            assert!(offered.iter().any(|name| name == order), "{order}");
        }
        assert!(!offered.iter().any(|name| name == "prompt"));
    }
}

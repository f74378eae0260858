//! `launcher invites ID dm USER`: how far a direct chat is, until the user can
//! read what was said.

use std::time::Duration;

use launcher_control::wire::{DirectReply, DirectRequest, MembershipWord, Refusal};
use launcher_core::{agent::AgentId, names::UserId};
use tokio::time::{Instant, sleep};

use super::{Asker, json, refusal};
use crate::{
    exit::{self, Exit, say},
    progress::patiently,
    table::harmless,
};

/// How often the launcher is asked how far the chat is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often it is asked for again while an earlier attempt may be making the
/// room: each time is an order.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// How long to wait for a room that an earlier attempt may have had made: the
/// launcher waits a minute and a half.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn run(
    asker: &Asker,
    agent: &AgentId,
    user: &UserId,
    greeting: Option<&str>,
    wait: Duration,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let request = |look: bool| DirectRequest {
        user_id: user.clone(),
        greeting: greeting.filter(|_| !look).map(str::to_owned),
        look,
    };
    let (first, look) = (request(false), request(true));
    let mut told = Told { is_quiet: as_json, ..Told::default() };
    let begun = Instant::now();
    let work = asker.client.direct(agent, &first);
    let chat = patiently("waiting for the homeserver", work).await.map_err(refusal)?;
    told.tell(&chat);
    let is_there = |chat: &DirectReply| chat.room_id.is_some();
    let chat = follow(asker, agent, &first, chat, begun + SETTLE_LIMIT, &mut told, is_there);
    let chat = patiently("waiting for the room", chat).await?;
    let joined = follow(asker, agent, &look, chat, Instant::now() + wait, &mut told, is_over);
    let chat = patiently(&format!("waiting for {user}"), joined).await?;
    if as_json {
        exit::print(&json(&chat)?);
    }
    match outcome(agent, &chat, wait) {
        Ok(text) if as_json => drop(text),
        Ok(text) => exit::print(&format!("{}\n", harmless(&text))),
        Err(_) if wait.is_zero() && chat.room_id.is_some() => return Ok(Exit::Done),
        Err(refusal) => return Err(refusal.into()),
    }
    Ok(Exit::Done)
}

/// Asks the same again and again until the chat is as far as that, or the time is over.
async fn follow(
    asker: &Asker,
    agent: &AgentId,
    request: &DirectRequest,
    mut chat: DirectReply,
    end: Instant,
    told: &mut Told,
    is_far_enough: impl Fn(&DirectReply) -> bool,
) -> Result<DirectReply, Refusal> {
    while !is_far_enough(&chat) && Instant::now() < end {
        sleep(if request.look { LOOK_EVERY } else { ASK_EVERY }).await;
        chat = asker.client.direct(agent, request).await.map_err(refusal)?;
        told.tell(&chat);
    }
    Ok(chat)
}

/// Whether waiting changes nothing: the greeting can be read, or the user is not
/// there any more.
fn is_over(chat: &DirectReply) -> bool {
    chat.is_readable() || chat.membership == MembershipWord::Absent
}

/// What somebody has been told so far.
#[derive(Debug, Default)]
struct Told {
    /// Nobody wants to be told.
    is_quiet: bool,
    room: bool,
    settling: bool,
    membership: Option<MembershipWord>,
    said: usize,
    refused: usize,
}

impl Told {
    /// Says what is new.
    fn tell(&mut self, chat: &DirectReply) {
        let lines = self.news(chat);
        if !self.is_quiet {
            lines.iter().for_each(|line| say(&harmless(line)));
        }
    }

    /// What is new.
    fn news(&mut self, chat: &DirectReply) -> Vec<String> {
        let mut lines = Vec::new();
        let user = &chat.user_id;
        match &chat.room_id {
            None if !self.settling => {
                self.settling = true;
                lines.push("an earlier attempt may be making the room; waiting for it".to_owned());
            }
            Some(room) if !self.room => {
                self.room = true;
                lines.push(match chat.made {
                    true => format!("made the encrypted room {room}"),
                    false => format!("the encrypted room {room} is there already"),
                });
            }
            _ => {}
        }
        if self.room && self.membership != Some(chat.membership) {
            self.membership = Some(chat.membership);
            lines.push(match chat.membership {
                MembershipWord::Absent => format!("{user} has declined, or left"),
                MembershipWord::Invited => format!("{user} is invited"),
                MembershipWord::Joined => format!("{user} has joined"),
            });
        }
        if self.said < chat.said {
            self.said = chat.said;
            let count = chat.readers.len();
            let (devices, have) = if count == 1 { ("device", "has") } else { ("devices", "have") };
            lines.push(format!("said the greeting; {count} {devices} of {user} {have} its key"));
        }
        if self.room && self.refused < chat.refused.len() {
            self.refused = chat.refused.len();
            lines.push(format!("no keys for {}", refused_devices(chat)));
        }
        lines
    }
}

fn refused_devices(chat: &DirectReply) -> String {
    let all = chat.refused.iter().map(|one| format!("{} ({})", one.device_id, one.reason));
    all.collect::<Vec<_>>().join(", ")
}

/// What it has come to.
///
/// # Errors
///
/// The user cannot read the greeting: why, and what helps.
fn outcome(agent: &AgentId, chat: &DirectReply, waited: Duration) -> Result<String, Refusal> {
    let user = &chat.user_id;
    let repeat = format!("`launcher invites {agent} dm {user}` looks again");
    let no =
        |reason: String, action: String| Err(Refusal::new(harmless(&reason), harmless(&action)));
    if chat.room_id.is_none() {
        return no("an earlier attempt may still be making the room".to_owned(), repeat);
    }
    if chat.is_readable() {
        return Ok(format!("{user} can read it now, on {}", chat.readers.join(", ")));
    }
    let approve = format!("`launcher trust {agent}` shows why, and changes it");
    match chat.membership {
        MembershipWord::Absent => no(
            format!("{user} has declined the invitation, or left the room"),
            format!("`launcher invites {agent} dm {user}` invites them again"),
        ),
        MembershipWord::Invited => {
            let seconds = waited.as_secs();
            let not_yet = format!("{user} is invited and has not joined within {seconds} s");
            match () {
                () if !chat.readers.is_empty() => no(
                    format!(
                        "{not_yet}; as soon as they do they can read the greeting, on {}",
                        chat.readers.join(", ")
                    ),
                    repeat,
                ),
                () if chat.devices.is_empty() && !chat.refused.is_empty() => no(
                    format!(
                        "{not_yet}, and may not have the agent's keys: {}",
                        refused_devices(chat)
                    ),
                    approve,
                ),
                () if chat.devices.is_empty() => no(
                    format!(
                        "{not_yet}; no device of theirs is known, so the greeting is said when they join"
                    ),
                    repeat,
                ),
                () => no(
                    format!(
                        "{not_yet}; no device of theirs took the greeting's key, so it is said again when they join"
                    ),
                    repeat,
                ),
            }
        }
        MembershipWord::Joined => match () {
            () if chat.devices.is_empty() && !chat.refused.is_empty() => no(
                format!(
                    "{user} has joined, and may not have the agent's keys: {}",
                    refused_devices(chat)
                ),
                approve,
            ),
            () if chat.devices.is_empty() => no(
                format!(
                    "{user} has joined, and has no device with encryption that could read anything"
                ),
                "ask them to use a client with encryption".to_owned(),
            ),
            () if chat.due => {
                no(format!("{user} has joined; the greeting is not said yet"), repeat)
            }
            () => no(
                format!("{user} has joined, and none of their devices took the greeting's key"),
                format!("ask them to write first; `launcher doctor {agent}`"),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use launcher_control::wire::RefusedDeviceReply;

    use super::*;

    fn chat(membership: MembershipWord, devices: &[&str], readers: &[&str]) -> DirectReply {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        DirectReply {
            user_id: "@a:hs".to_owned(),
            room_id: Some("!r:hs".to_owned()),
            made: true,
            membership,
            devices: names(devices),
            refused: Vec::new(),
            said: usize::from(!readers.is_empty()),
            due: false,
            readers: names(readers),
        }
    }

    fn end(chat: &DirectReply) -> String {
        let agent = "bot".parse().unwrap();
        match outcome(&agent, chat, Duration::from_secs(60)) {
            Ok(text) => text,
            Err(refusal) => format!("no: {}", refusal.reason),
        }
    }

    #[test]
    fn only_who_has_joined_and_has_the_key_can_read_it() {
        use MembershipWord::{Absent, Invited, Joined};
        assert_eq!(end(&chat(Joined, &["PHONE"], &["PHONE"])), "@a:hs can read it now, on PHONE");
        assert!(end(&chat(Invited, &["PHONE"], &["PHONE"])).starts_with(
            "no: @a:hs is invited and has not joined within 60 s; as soon as they do they can read"
        ));
        assert!(end(&chat(Invited, &[], &[])).ends_with("the greeting is said when they join"));
        assert!(end(&chat(Joined, &[], &[])).contains("no device with encryption"));
        assert!(end(&chat(Joined, &["DEAD"], &[])).contains("none of their devices took"));
        assert!(end(&chat(Absent, &["PHONE"], &["PHONE"])).contains("declined"));
        let mut late = chat(Joined, &["OLD", "NEW"], &["OLD"]);
        late.due = true;
        assert!(end(&late).contains("not said yet"), "{}", end(&late));
    }

    #[test]
    fn who_may_not_have_keys_is_named_with_the_reason() {
        let mut refused = chat(MembershipWord::Joined, &[], &[]);
        refused.refused.push(RefusedDeviceReply {
            device_id: "PHONE".to_owned(),
            verdict: "unsigned".to_owned(),
            reason: "its owner has not signed it".to_owned(),
        });
        assert_eq!(
            end(&refused),
            "no: @a:hs has joined, and may not have the agent's keys: PHONE (its owner has not signed it)"
        );
    }

    #[test]
    fn each_step_is_told_once() {
        let mut told = Told::default();
        let mut step = chat(MembershipWord::Invited, &["PHONE"], &["PHONE"]);
        assert_eq!(
            told.news(&step),
            [
                "made the encrypted room !r:hs",
                "@a:hs is invited",
                "said the greeting; 1 device of @a:hs has its key"
            ]
        );
        assert!(told.news(&step).is_empty());
        step.membership = MembershipWord::Joined;
        assert_eq!(told.news(&step), ["@a:hs has joined"]);
    }
}

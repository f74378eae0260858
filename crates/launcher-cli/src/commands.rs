//! What each command does.

pub(crate) mod acknowledge;
pub(crate) mod backup;
pub(crate) mod chat;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod invites;
pub(crate) mod new;
pub(crate) mod pages;
pub(crate) mod recovery;
pub(crate) mod rekey;
pub(crate) mod reset;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod stores;
pub(crate) mod trust;
pub(crate) mod verify;
pub(crate) mod verify_any;
pub(crate) mod verify_with;

use std::{future::Future, time::Duration};

use anyhow::Context;

use launcher_control::{
    client::AskError,
    wire::{AgentReply, Refusal},
};
use tokio::time::{Instant, sleep};

use crate::{
    exit::Exit,
    table::{harmless, yes},
};

/// How long the runtime may take to let go of what is left.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Runs a command that waits for files and servers.
fn wait_for(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let done = runtime.block_on(command);
    runtime.shutdown_timeout(LAST_WAIT);
    done
}

/// Looks again and again until there is something, or until `limit` is over.
///
/// # Errors
///
/// Those of `look`.
pub(crate) async fn look_until<T, E, F: Future<Output = Result<Option<T>, E>>>(
    limit: Duration,
    every: Duration,
    look: impl Fn() -> F,
) -> Result<Option<T>, E> {
    let end = Instant::now() + limit;
    loop {
        let found = look().await?;
        if found.is_some() || Instant::now() >= end {
            return Ok(found);
        }
        sleep(every).await;
    }
}

/// What is to be known about an agent's device: a line each.
fn device_page(agent: &AgentReply) -> String {
    let none = || "none".to_owned();
    let mut lines = vec![
        ("agent", agent.id.clone()),
        ("device", agent.device_id.clone().unwrap_or_else(none)),
        ("fingerprint", agent.ed25519.as_deref().map_or_else(none, in_groups)),
        ("signed", signed(agent)),
        ("backup", agent.backup_version.clone().unwrap_or_else(none)),
    ];
    lines.extend(agent.reason.clone().map(|reason| ("why", reason)));
    lines.extend(agent.action.clone().map(|action| ("do", action)));
    lines.iter().map(|(name, value)| format!("{name:11}  {}\n", harmless(value))).collect()
}

/// Whether its device is signed.
fn signed(agent: &AgentReply) -> String {
    agent.is_signed().map_or_else(|| "-".to_owned(), yes)
}

/// A fingerprint as chat clients show it.
fn in_groups(fingerprint: &str) -> String {
    let characters: Vec<char> = fingerprint.chars().collect();
    let groups: Vec<String> = characters.chunks(4).map(String::from_iter).collect();
    groups.join(" ")
}

/// Why only a running launcher could have done it, if none runs.
fn of_running(error: AskError) -> Refusal {
    match error {
        AskError::NotRunning { .. } => {
            Refusal::new(error.to_string(), "start one with `launcher run`")
        }
        other => other.into(),
    }
}

/// One line of JSON, for a script.
fn json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_looked_for_is_found_in_time_or_not() {
        let look = |limit: u64| async move {
            let begun = Instant::now();
            let find = || async move {
                let is_there = begun.elapsed() >= Duration::from_secs(3);
                Ok::<_, ()>(is_there.then_some(begun.elapsed().as_secs()))
            };
            look_until(Duration::from_secs(limit), Duration::from_secs(1), find).await
        };
        assert_eq!(look(5).await, Ok(Some(3)));
        assert_eq!(look(2).await, Ok(None));
    }

    #[test]
    fn a_device_is_shown_as_chat_clients_show_it() {
        let mut agent: AgentReply = serde_json::from_value(serde_json::json!({
            "id": "a", "state": "running", "reason": null, "action": null, "user_id": "@a:b",
            "device_id": "NEW", "ed25519": "abcdefghij", "cross_signed": true,
            "backup_version": "3", "last_sync_ms": null, "received": 0, "answered": 0,
            "undecryptable": 0, "undecryptable_pending": 0, "resets": 0,
        }))
        .unwrap();
        assert_eq!(
            device_page(&agent),
            "agent        a\ndevice       NEW\nfingerprint  abcd efgh ij\n\
             signed       yes\nbackup       3\n"
        );
        agent.cross_signed = false;
        agent.backup_version = None;
        agent.reason = Some("unsigned: no key".to_owned());
        agent.action = Some("give one".to_owned());
        let page = device_page(&agent);
        assert!(page.ends_with(
            "signed       no\nbackup       none\nwhy          unsigned: no key\ndo           give one\n"
        ));
    }
}

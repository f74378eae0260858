//! `launcher status`: how the running launcher's agents are.

use std::fmt::Write as _;

use launcher_control::{
    client::Client,
    wire::{AgentReply, StatusReply},
};

use super::of_running;
use crate::{
    args::Status,
    exit::{self, Exit},
    folder,
    table::harmless,
};

pub(crate) fn run(options: &Status) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(folder::of_config(&options.files.config));
    let reply = runtime.block_on(client.status()).map_err(of_running)?;
    let text = match options.json {
        true => serde_json::to_string(&reply)? + "\n",
        false => table(&reply)?,
    };
    exit::print(&text);
    Ok(Exit::Done)
}

fn table(reply: &StatusReply) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let width = |of: fn(&AgentReply) -> &str, least: usize| {
        reply.agents.iter().map(|agent| of(agent).chars().count()).max().unwrap_or(0).max(least)
    };
    let id_width = width(|agent| &agent.id, 5);
    let user_width = width(|agent| agent.user_id.as_deref().unwrap_or("-"), 7);
    let row = |cells: [&str; 7]| {
        let [agent, state, account, device, signed, received, answered] = cells;
        format!(
            "{agent:id_width$}  {state:8}  {account:user_width$}  {device:10}  {signed:6}  \
             {received:>8}  {answered:>8}\n"
        )
    };
    text.push_str(&row(["AGENT", "STATE", "ACCOUNT", "DEVICE", "SIGNED", "RECEIVED", "ANSWERED"]));
    for agent in &reply.agents {
        text.push_str(&row([
            &agent.id,
            &agent.state,
            agent.user_id.as_deref().unwrap_or("-"),
            &agent.device_id.as_deref().map_or_else(|| "-".to_owned(), harmless),
            &super::signed(agent),
            &agent.received.to_string(),
            &agent.answered.to_string(),
        ]));
        let known = agent.acknowledged.as_ref();
        let known = known.map(|known| known.note.clone().unwrap_or_else(|| "yes".to_owned()));
        for (label, line) in [("why", &agent.reason), ("do", &agent.action), ("known", &known)] {
            if let Some(line) = line {
                // A reason can have a server's words in it.
                writeln!(text, "{:id_width$}  {label}: {}", "", harmless(line))?;
            }
        }
    }
    if reply.agents.iter().any(|agent| agent.reason.is_some()) {
        writeln!(
            text,
            "\n`launcher explain CODE` says more about the code that a `why` begins with"
        )?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(reason: Option<&str>) -> String {
        let agent = serde_json::from_value(serde_json::json!({
            "id": "a", "state": "running", "reason": reason, "action": null, "user_id": "@a:b",
            "device_id": "D", "ed25519": null, "cross_signed": true, "backup_version": null,
            "last_sync_ms": null, "received": 1, "answered": 1, "undecryptable": 0,
            "undecryptable_pending": 0, "resets": 0,
        }));
        table(&StatusReply { agents: vec![agent.unwrap()] }).unwrap()
    }

    #[test]
    fn who_is_not_well_has_a_reason_and_where_to_read_more() {
        let ill = status(Some("unsigned: no key"));
        assert!(ill.contains("\n       why: unsigned: no key\n"), "{ill}");
        assert!(ill.contains("`launcher explain CODE`"), "{ill}");
        assert!(!status(Some("login_refused: \u{1b}[2J")).contains('\u{1b}'));
        assert!(!status(None).contains("explain"));
    }

    #[test]
    fn what_a_server_said_does_not_reach_the_terminal_as_it_is() {
        let shown = status(Some("login_refused: \u{1b}]0;x\u{7}\nAGENT  no"));
        assert!(shown.contains("login_refused: \u{fffd}]0;x\u{fffd}\u{fffd}AGENT  no"), "{shown}");
    }
}

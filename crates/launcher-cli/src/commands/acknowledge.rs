//! `launcher acknowledge`: notes that it is known why an agent is parked.

use launcher_control::{
    client::Client,
    wire::{AcknowledgeRequest, message::NOTE_LIMIT},
};

use super::{json, of_running, wait_for};
use crate::{
    args::Acknowledge,
    exit::{self, Exit, Quit},
    folder,
    table::harmless,
};

pub(crate) fn run(options: &Acknowledge) -> anyhow::Result<Exit> {
    let note = options.note.clone();
    if note.as_ref().is_some_and(|note| note.len() > NOTE_LIMIT) {
        return Err(Quit::usage(format!("a note has at most {NOTE_LIMIT} bytes")).into());
    }
    let agent = &options.agent.id;
    let client = Client::new(folder::of_config(&options.agent.files.config));
    wait_for(async {
        let known = client.acknowledge(agent, &AcknowledgeRequest { note }).await;
        let known = known.map_err(of_running)?;
        exit::print(&match options.json {
            true => json(&known)?,
            false => format!("it is known that {agent} is parked: {}\n", harmless(&known.reason)),
        });
        Ok(Exit::Done)
    })
}

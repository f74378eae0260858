//! `launcher backup`: one agent as one sealed file.

use std::path::Path;

use anyhow::Context;
use launcher_control::wire::BackupReply;
use serde::Serialize;

use super::{json, wait_for};
use crate::{
    args::Backup,
    configured::Configured,
    exit::{self, Exit, say},
    progress::patiently,
    table::harmless,
    units,
    way::Purpose,
};

/// What a script gets.
#[derive(Debug, Serialize)]
struct Written<'a> {
    agent: &'a str,
    path: String,
    files: usize,
    size: u64,
    /// Whether the agent goes on here, so that a restored copy is behind it.
    runs_on: bool,
}

pub(crate) fn run(options: &Backup) -> anyhow::Result<Exit> {
    let id = &options.agent.id;
    // The launcher, which may have to write it, is somewhere else.
    let out = std::path::absolute(&options.output).context("finding the archive's place")?;
    let configured = Configured::read(&options.agent.files)?;
    let spec = configured.agent(id)?;
    wait_for(async {
        let way = configured.way(spec, Purpose::Change).await?;
        say(&way.describe());
        let work = format!("writing {id} into {}", harmless(&out.display().to_string()));
        let reply = patiently(&work, way.backup(&out)).await?;
        let runs_on = way.runs_on();
        let text = match options.json {
            true => json(&Written {
                agent: id.as_str(),
                path: out.display().to_string(),
                files: reply.files,
                size: reply.size,
                runs_on,
            })?,
            false => page(&out, &reply, runs_on),
        };
        exit::print(&text);
        Ok(Exit::Done)
    })
}

fn page(out: &Path, reply: &BackupReply, runs_on: bool) -> String {
    let shown = harmless(&out.display().to_string());
    let files = if reply.files == 1 { "file" } else { "files" };
    let original = match runs_on {
        true => {
            "This agent runs on: a copy restored elsewhere becomes a new device, and only once \
             this one has stopped."
        }
        false => "As long as this agent is not started again, the restored one keeps its device.",
    };
    format!(
        "{shown}: {} {files}, {}\n\
         To restore it, the agent's pickle key is needed, and cannot be had from it: keep the key \
         in another place.\n{original}\n",
        reply.files,
        units::size(reply.size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_told() {
        let reply = BackupReply { files: 6, size: 1_572_864 };
        let page = |runs_on| page(Path::new("/x/a.backup"), &reply, runs_on);
        let running = page(true);
        assert!(running.starts_with("/x/a.backup: 6 files, 1.5 MiB\n"), "{running}");
        assert!(running.contains("pickle key") && running.contains("runs on"), "{running}");
        assert!(page(false).contains("keeps its device"));
    }
}

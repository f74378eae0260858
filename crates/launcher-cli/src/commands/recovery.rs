//! `launcher recovery`: shows an agent's recovery key once, or takes one.

use std::io::IsTerminal;

use launcher_core::secret::Secret;

use super::{device_page, wait_for};
use crate::{
    args::Recovery,
    ask,
    configured::Configured,
    exit::{self, Exit, Quit, say},
    progress::patiently,
    way::Purpose,
};

pub(crate) fn run(options: &Recovery) -> anyhow::Result<Exit> {
    if options.set { set(options) } else { show(options) }
}

fn show(options: &Recovery) -> anyhow::Result<Exit> {
    // In a file or a pipe the key would stay, and it comes only once.
    if !std::io::stdout().is_terminal() {
        let reason = "a recovery key is shown at a terminal only, and only once; nothing was done";
        return Err(Quit::usage(reason).into());
    }
    let configured = Configured::read(&options.agent.files)?;
    let spec = configured.agent(&options.agent.id)?;
    wait_for(async {
        let way = configured.way(spec, Purpose::Change).await?;
        say(&way.describe());
        let key = patiently("fetching the key", way.show_recovery_key()).await?;
        exit::print(&format!("{}\n", key.expose().trim()));
        say("write it down and keep it off this machine: it is not shown again");
        Ok(Exit::Done)
    })
}

fn set(options: &Recovery) -> anyhow::Result<Exit> {
    let configured = Configured::read(&options.agent.files)?;
    let spec = configured.agent(&options.agent.id)?;
    let user = &spec.account.user_id;
    let typed = ask::secret_from_anywhere(&format!("Recovery key of {user}: "))?;
    let key = Secret::new(typed.expose().trim().to_owned());
    if spec.encryption.recovery_key.is_some() {
        say("encryption.recovery_key is set in the configuration, and wins over this one");
    }
    wait_for(async {
        let way = configured.way(spec, Purpose::Change).await?;
        say(&way.describe());
        patiently("trying the key", way.set_recovery_key(key)).await?;
        say("the key opens the account's secret storage and is kept; waiting for a start with it");
        let agent = patiently("waiting until it is ready", way.come_up()).await?;
        exit::print(&device_page(&agent));
        Ok(Exit::Done)
    })
}

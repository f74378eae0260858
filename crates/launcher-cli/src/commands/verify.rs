//! `launcher verify`: makes sure that an agent's device is signed. What else it
//! can do is in `verify_any.rs` and `verify_with.rs`.

use launcher_control::wire::Refusal;
use launcher_core::spec::Network;

use super::{device_page, wait_for};
use crate::{
    args::Verify,
    configured::Configured,
    exit::{self, Exit, Quit, say},
    progress::patiently,
    way::Purpose,
};

pub(crate) fn run(options: &Verify) -> anyhow::Result<Exit> {
    if let Some(homeserver) = &options.account.homeserver {
        return super::verify_any::run(homeserver, &options.account);
    }
    let id = options.id.as_ref().ok_or_else(|| Quit::usage("name an agent"))?;
    let configured = Configured::read(&options.files)?;
    let spec = configured.agent(id)?;
    if options.with.is_asked_for() {
        return super::verify_with::run(&configured, spec, &options.with, &options.account);
    }
    if spec.account.network == Network::Messager {
        let look = format!("compare keys with their owners: `launcher trust {id}` shows them");
        return Err(Refusal::new("devices are not signed in Messager", look).into());
    }
    wait_for(async {
        let way = configured.way(spec, Purpose::Change).await?;
        say(&way.describe());
        way.restart().await?;
        say("starting it anew, which signs its device if that can be done");
        let agent = patiently("waiting until it is ready", way.come_up()).await?;
        exit::print(&device_page(&agent));
        Ok(if agent.cross_signed { Exit::Done } else { Exit::Failed })
    })
}

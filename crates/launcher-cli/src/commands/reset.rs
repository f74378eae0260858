//! `launcher reset`: makes an agent a new device, by the operator's word.

use std::collections::BTreeSet;

use anyhow::bail;
use launcher_control::wire::{AgentReply, Refusal, StoreReply};
use launcher_core::{
    secret::Secret,
    spec::{AgentSpec, Network},
};
use launcher_messager::OTHER_DEVICE;

use super::wait_for;
use crate::{
    args::Reset,
    ask,
    configured::Configured,
    exit::{self, Exit, Quit, say},
    progress::patiently,
    table::harmless,
    way::{Purpose, Way},
};

pub(crate) fn run(options: &Reset) -> anyhow::Result<Exit> {
    let configured = Configured::read(&options.agent.files)?;
    let spec = configured.agent(&options.agent.id)?;
    if spec.account.network == Network::Messager {
        let reason = "nothing was done: in Messager a token is a device";
        return Err(Refusal::new(reason, OTHER_DEVICE).into());
    }
    say(&plan(spec));
    if !options.yes {
        if !ask::can_ask() {
            let reason = "this needs a yes: give --yes, or run it at a terminal";
            return Err(Quit::usage(reason).into());
        }
        if !ask::confirm("Go on?")? {
            say("nothing was done");
            return Ok(Exit::Failed);
        }
    }
    let password = password(options, spec)?;
    wait_for(async {
        let way = configured.way(spec, Purpose::Change).await?;
        say(&way.describe());
        reset(spec, way.as_ref(), password).await
    })
}

fn plan(spec: &AgentSpec) -> String {
    let (id, user) = (&spec.id, &spec.account.user_id);
    format!(
        "{id} ({user}) becomes a new device:\n\
         - its crypto store is put aside and kept; `launcher stores {id}` lists it\n\
         - it logs in again; the device it has now is removed from the account if possible\n\
         - what was encrypted for that device only, and not read yet, stays unreadable"
    )
}

fn password(options: &Reset, spec: &AgentSpec) -> anyhow::Result<Option<Secret<String>>> {
    let user = &spec.account.user_id;
    match (options.password_stdin, spec.account.password.is_some()) {
        (true, _) => ask::secret_from_stdin().map(Some),
        (false, true) => Ok(None),
        (false, false) if ask::can_ask() => {
            say("no password is configured; this one is used once and not kept");
            ask::secret(&format!("Password of {user}: ")).map(Some)
        }
        (false, false) => {
            let reason = format!(
                "no password of {user} is configured: give it on standard input with --password-stdin"
            );
            Err(Quit::usage(reason).into())
        }
    }
}

async fn reset(
    spec: &AgentSpec,
    way: &dyn Way,
    password: Option<Secret<String>>,
) -> anyhow::Result<Exit> {
    let before = way.stores().await?;
    say("putting the crypto store aside");
    patiently("still putting it aside", way.reset(password)).await?;
    // It is done; not being able to name what was put aside is no reason to stop here.
    let old = put_aside(&before, &way.stores().await.unwrap_or_default());
    if let Some(old) = &old {
        say(&format!("kept as {}", old.name));
    }
    say("waiting for the new device to come up");
    let agent = patiently("waiting for the new device", way.come_up()).await?;
    let old = old.map(|store| store.device_id);
    let Some(device) = agent.device_id.as_ref().filter(|device| Some(*device) != old.as_ref())
    else {
        bail!("{} is ready, but still as the device it was; look into the launcher's log", spec.id);
    };
    exit::print(&ready(&agent, device, old.as_deref()));
    Ok(Exit::Done)
}

/// The store that is there now and was not before.
fn put_aside(before: &[StoreReply], now: &[StoreReply]) -> Option<StoreReply> {
    let known: BTreeSet<&str> = before.iter().map(|store| store.name.as_str()).collect();
    now.iter().rfind(|store| !known.contains(store.name.as_str())).cloned()
}

fn ready(agent: &AgentReply, device: &str, old: Option<&str>) -> String {
    let was = old.map(|old| format!(" (was {old})")).unwrap_or_default();
    let signed = if agent.cross_signed { "signed" } else { "not signed" };
    let mut text = format!("{} is ready as device {device}{was}, {signed}\n", agent.id);
    for (label, line) in [("why", &agent.reason), ("do", &agent.action)] {
        if let Some(line) = line {
            text.push_str(&format!("{label}: {}\n", harmless(line)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_aside_is_what_was_not_there_before() {
        let store = |name: &str| StoreReply {
            name: name.to_owned(),
            device_id: name.to_uppercase(),
            retired: 1,
            size: 2,
        };
        let (a, b) = (store("a"), store("b"));
        assert_eq!(put_aside(&[], &[]), None);
        assert_eq!(put_aside(std::slice::from_ref(&a), std::slice::from_ref(&a)), None);
        assert_eq!(put_aside(std::slice::from_ref(&a), &[a.clone(), b.clone()]), Some(b));
    }
}

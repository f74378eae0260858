//! `launcher trust`: shows whom an agent trusts, or changes that.

mod page;

use launcher_control::wire::{KnownDeviceReply, Refusal, TrustAction, TrustRequest, UserReply};
use launcher_core::{
    spec::{AgentSpec, TrustMode},
    trust::Refusal as Why,
};

use super::{json, wait_for};
use crate::{
    args::{Trust, TrustOrder},
    configured::Configured,
    exit::{self, Exit, Quit, say},
    table::harmless,
    way::Purpose,
};

pub(crate) fn run(options: &Trust) -> anyhow::Result<Exit> {
    let request = request(options)?;
    let configured = Configured::read(&options.agent.files)?;
    let spec = configured.agent(&options.agent.id)?;
    wait_for(async {
        let Some(request) = request else {
            let shown = configured.way(spec, Purpose::Look).await?.trust_users().await?;
            exit::print(&match options.json {
                true => json(&shown)?,
                false => page::of(&shown, &spec.account),
            });
            return Ok(Exit::Done);
        };
        let way = configured.way(spec, Purpose::Change).await?;
        if !options.json {
            say(&way.describe());
        }
        let user = way.trust_order(&request).await?;
        if options.json {
            exit::print(&json(&user)?);
        }
        let follows = consequence(spec, &request, &user)?;
        if !options.json {
            exit::print(&format!("{}\n", harmless(&follows)));
        }
        Ok(Exit::Done)
    })
}

fn request(options: &Trust) -> Result<Option<TrustRequest>, Quit> {
    let (Some(order), Some(user)) = (options.order, options.user.clone()) else { return Ok(None) };
    if order == TrustOrder::Withdraw && options.device.is_some() {
        let reason = "`withdraw` is about a user as a whole; approve or block a single device";
        return Err(Quit::usage(reason));
    }
    Ok(Some(TrustRequest { action: order.into(), user, device: options.device.clone() }))
}

/// What follows from an order that was carried out.
///
/// # Errors
///
/// What was approved is refused all the same: why, and what helps.
fn consequence(
    spec: &AgentSpec,
    request: &TrustRequest,
    user: &UserReply,
) -> Result<String, Refusal> {
    let mode = spec.encryption.trust_mode;
    let is_meant = |device: &&KnownDeviceReply| match &request.device {
        Some(wanted) => device.device_id == wanted.as_str(),
        None => device.gone_ms.is_none(),
    };
    let meant: Vec<_> = user.devices.iter().filter(is_meant).collect();
    let trusted = meant.iter().filter(|device| device.is_trusted()).count();
    let who = match &request.device {
        Some(device) => format!("{device} of {}", user.user),
        None => user.user.clone(),
    };
    Ok(match request.action {
        TrustAction::Approve if trusted < meant.len() => {
            return Err(still_refused(spec, &who, &user.user, &meant));
        }
        TrustAction::Approve => match mode {
            TrustMode::Manual if request.device.is_some() => {
                format!("{who} is approved: it gets keys, and is obeyed")
            }
            TrustMode::Manual => format!(
                "{who} is approved with {}: they get keys, and are obeyed; later devices wait for \
                 approval again",
                names(&meant)
            ),
            TrustMode::CrossSigning => format!(
                "{who} is trusted; in trust_mode `cross-signing` that is so because of their \
                 owner's signature, not because of this approval"
            ),
            TrustMode::Tofu => format!(
                "{who} is trusted; in trust_mode `tofu` everybody is who is not blocked, approved \
                 or not"
            ),
        },
        TrustAction::Block => format!(
            "{who} gets no keys any more and is not obeyed, in any trust_mode; what they have keys \
             for already they can still read"
        ),
        TrustAction::Withdraw if meant.is_empty() => {
            format!("what was decided about {who} is taken back; no device of theirs is known")
        }
        TrustAction::Withdraw => format!(
            "what was decided about {who} is taken back, and that they were verified; by \
             trust_mode `{}` {trusted} of {} devices are trusted now",
            mode.as_str(),
            meant.len()
        ),
    })
}

fn still_refused(spec: &AgentSpec, who: &str, user: &str, meant: &[&KnownDeviceReply]) -> Refusal {
    let refused: Vec<_> = meant.iter().filter(|device| !device.is_trusted()).collect();
    let all: Vec<String> = refused
        .iter()
        .map(|device| {
            format!("{} ({})", device.device_id, device.reason.as_deref().unwrap_or_default())
        })
        .collect();
    let mode = spec.encryption.trust_mode.as_str();
    let reason = format!(
        "{who} is approved, and in trust_mode `{mode}` this is still refused: {}",
        all.join(", ")
    );
    let action = match refused.iter().all(|device| device.verdict == Why::Unsigned.code()) {
        true => format!(
            "approval is no signature: {user} has to verify it from another session or with the \
             recovery key; trust_mode `manual` goes by approval"
        ),
        false => format!("`launcher trust {}` shows what is known of {user}", spec.id),
    };
    Refusal::new(harmless(&reason), harmless(&action))
}

fn names(devices: &[&KnownDeviceReply]) -> String {
    let names: Vec<&str> = devices.iter().map(|device| device.device_id.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;

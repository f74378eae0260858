//! Which network an agent's account is on, and what cannot be meant there.

use launcher_core::{
    secret::Secret,
    spec::{Network, TrustMode},
};

use super::Draft;
use crate::{
    reading::Reading,
    values::{Fault, user_id},
    yaml::Node,
};

/// Which network an agent's account is on; one that names none is on Matrix.
pub(super) fn network(reading: &mut Reading<'_>) -> Network {
    let Some(messager) = reading.tree().at("messager") else { return Network::Matrix };
    if reading.tree().at("matrix").is_some() {
        let place = messager.place.clone();
        let label = "remove this, or `matrix`";
        reading.report("messager", &place, "an agent has one account, and this is a second", label);
    }
    Network::Messager
}

/// A token that can stand in a header.
pub(super) fn token(text: &str) -> Result<Secret<String>, Fault> {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Secret::new(text.to_owned())),
        false => {
            Err(Fault::new("is not a token").label("take what `messager account add` printed"))
        }
    }
}

/// Reports what means nothing on the network of this agent, whether it or the
/// defaults say so. `own` is what the agent's file says.
pub(super) fn check(draft: &Draft, own: &Node, reading: &mut Reading<'_>) {
    if draft.network == Network::Matrix {
        return;
    }
    if draft.trust_mode == Some(TrustMode::CrossSigning) {
        let label = "write `tofu` or `manual`";
        report(reading, own, "encryption.trust_mode", "nobody signs devices in Messager", label);
    }
    let lists = [
        ("invites.from", draft.invites.from.as_deref().unwrap_or_default()),
        ("answer.users", &draft.answer.users),
        ("answer.bots.users", &draft.answer.bots.users),
        ("settings.users", &draft.settings.users),
    ];
    for (path, patterns) in lists {
        let matches_nobody = !patterns.iter().any(|pattern| user_id::could_be_uuid(pattern));
        if matches_nobody && !patterns.is_empty() {
            let message = "matches nobody: accounts on Messager are UUIDs";
            report(reading, own, path, message, "write `*`, or UUIDs of accounts");
        }
    }
}

/// Reports a value where the agent's own file has it. What the defaults say may
/// be right for others, so the agent's file has to say something else.
fn report(reading: &mut Reading<'_>, own: &Node, path: &str, message: &str, label: &str) {
    let Some(node) = reading.tree().at(path) else { return };
    if own.at(path).is_some() {
        return reading.report(path, &node.place, message, label);
    }
    let place = own.at("messager").map_or_else(|| own.place.clone(), |node| node.place.clone());
    let message = format!("{message}, and the defaults say so");
    reading.report(path, &place, message, format!("set `{path}` for this agent: {label}"));
}

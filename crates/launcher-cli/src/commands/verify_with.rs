//! `launcher verify ID --with USER`: verifies another user, or another device
//! of the agent's own account; `--requests` shows who asks for that.

mod conversation;

use std::{io::IsTerminal, time::Duration};

use clap::Args;
use launcher_control::wire::{
    StageReply, VerificationReply, VerificationRequest, VerificationsReply,
};
use launcher_core::{
    names::{DeviceId, UserId},
    spec::AgentSpec,
    trust::Method,
};

use self::conversation::{Conversation, Form, Terminal};
use super::{json, verify_any::VerifyAny, wait_for};
use crate::{
    args::user_id,
    ask::Lines,
    configured::Configured,
    exit::{self, Exit, Quit, say},
    signals,
    table::Table,
    units,
    way::Purpose,
};

/// Somebody else, or another device of the agent's own account.
#[derive(Args, Debug)]
pub(crate) struct VerifyWith {
    /// Verifies this user; the agent's own, for another device of its account. Takes up what they
    /// asked for, if they did
    #[arg(
        long,
        value_name = "USER",
        value_parser = user_id,
        groups = ["whose_device", "conversation"],
        requires = "id",
        conflicts_with = "homeserver"
    )]
    with: Option<UserId>,
    /// Shows a code to be scanned, instead of emojis to be compared
    #[arg(long, requires = "with", conflicts_with_all = ["requests", "homeserver"])]
    qr: bool,
    /// Lists who asks to be verified, and what goes on
    #[arg(long, group = "conversation", requires = "id", conflicts_with = "homeserver")]
    requests: bool,
    /// Prints one JSON object a line, one for each stage; answers are lines of standard input,
    /// `yes` or `no`
    #[arg(long, requires = "conversation", conflicts_with = "homeserver")]
    json: bool,
}

impl VerifyWith {
    /// Whether this is what the command is about.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.with.is_some() || self.requests
    }
}

pub(crate) fn run(
    configured: &Configured,
    spec: &AgentSpec,
    options: &VerifyWith,
    account: &VerifyAny,
) -> anyhow::Result<Exit> {
    let Some(request) = request(spec, options, account)? else {
        return requests(configured, spec, options);
    };
    let form = match options.json {
        true => Form::Json,
        false => Form::Text { colored: std::io::stdout().is_terminal() },
    };
    wait_for(async {
        let way = configured.way(spec, Purpose::Look).await?;
        // From here on a signal ends nothing by itself: the other side is to be told.
        let interrupted = signals::interrupted()?;
        let begun = way.begin_verification(&request).await?;
        Conversation {
            spec,
            way: way.as_ref(),
            form,
            screen: &mut Terminal,
            answers: Lines::of_stdin(),
            is_asking: false,
            interrupted: Box::pin(interrupted),
        }
        .follow(begun)
        .await
    })
}

fn request(
    spec: &AgentSpec,
    options: &VerifyWith,
    account: &VerifyAny,
) -> Result<Option<VerificationRequest>, Quit> {
    let Some(user) = options.with.clone() else { return Ok(None) };
    if account.device.is_some() && user.as_str() != spec.account.user_id {
        let reason = format!(
            "users are verified as a whole; --device is for a device of {}",
            spec.account.user_id
        );
        return Err(Quit::usage(reason));
    }
    let method = if options.qr { Method::Qr } else { Method::Emoji };
    let device = account.device.as_deref().map(DeviceId::new);
    Ok(Some(VerificationRequest { user, device, method }))
}

fn requests(
    configured: &Configured,
    spec: &AgentSpec,
    options: &VerifyWith,
) -> anyhow::Result<Exit> {
    wait_for(async {
        let mut verifications = configured.way(spec, Purpose::Look).await?.verifications().await?;
        verifications.retain(|verification| !verification.stage.is_over());
        if options.json {
            exit::print(&json(&VerificationsReply { verifications })?);
            return Ok(Exit::Done);
        }
        exit::print(&table(&verifications));
        if verifications.iter().any(|one| one.stage == StageReply::Requested) {
            say(&format!("take one up with `launcher verify {} --with USER`", spec.id));
        }
        Ok(Exit::Done)
    })
}

fn table(verifications: &[VerificationReply]) -> String {
    if verifications.is_empty() {
        return "nobody asks, and nothing goes on\n".to_owned();
    }
    let mut table = Table::new(["USER", "DEVICE", "SINCE", "ASKED BY", "STAGE"]);
    for verification in verifications {
        let stage = match verification.stage {
            StageReply::Requested => "waits for you to take it up",
            StageReply::Waiting => "waits for the other side",
            StageReply::Emojis(_) => "waits for you to compare emojis",
            StageReply::Code(_) => "waits for the other side to scan a code",
            StageReply::Scanned => "waits for you to say whether the code worked",
            StageReply::Confirmed => "confirmed here, waits for the other side",
            StageReply::Done => "done",
            StageReply::Cancelled { .. } => "cancelled",
        };
        table.row([
            verification.user.clone(),
            verification.device.clone().unwrap_or_else(|| "-".to_owned()),
            units::moment(Duration::from_millis(verification.began_ms)),
            if verification.we_asked { "the agent" } else { "them" }.to_owned(),
            stage.to_owned(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests;

//! The trust ledger of an agent that nobody runs.

use std::{
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use fs_err as fs;
use launcher_control::wire::{Refusal, TrustReply, TrustRequest, UserReply};
use launcher_core::{
    names::UserId,
    spec::AgentSpec,
    trust::{self, Order, UserRecord},
};
use launcher_runtime::ports::journal::{Journal, Journals};

use crate::way::Answer;

/// Everybody in the ledger; nobody if the agent has no journal yet.
pub(super) async fn users(spec: &AgentSpec, journals: &dyn Journals) -> Answer<TrustReply> {
    let records = match has_journal(spec) {
        true => {
            let journal = journals.journal(spec);
            let records = journal.trust_ledger().await;
            journal.rest().await;
            records?
        }
        false => Vec::new(),
    };
    Ok(TrustReply::new(spec, &records))
}

/// Carries out an order, as a launcher would.
pub(super) async fn carry_out(
    spec: &AgentSpec,
    journals: &dyn Journals,
    request: &TrustRequest,
) -> Answer<UserReply> {
    let order = request.order().ok_or_else(|| Refusal {
        reason: "nothing is withdrawn from a single device".to_owned(),
        action: None,
    })?;
    let has_journal = has_journal(spec);
    let journal = journals.journal(spec);
    let known = match has_journal {
        true => journal.trust_records(std::slice::from_ref(&request.user)).await,
        false => Ok(Vec::new()),
    };
    let done = match known {
        Ok(known) => match decide(known.into_iter().next(), spec, &request.user, &order) {
            Ok(record) => keep(spec, &journal, has_journal, record).await,
            Err(refusal) => Err(refusal),
        },
        Err(fault) => Err(fault.into()),
    };
    journal.rest().await;
    Ok(UserReply::new(spec, &done?))
}

fn decide(
    known: Option<UserRecord>,
    spec: &AgentSpec,
    user: &UserId,
    order: &Order,
) -> Answer<UserRecord> {
    if known.is_none() && *order == Order::Withdraw {
        let reason = format!("nothing is known of {user}");
        return Err(Refusal::new(
            reason,
            format!("`launcher trust {}` lists whom it knows", spec.id),
        ));
    }
    let now = now();
    let record = known.unwrap_or_else(|| UserRecord::new(user.clone(), now));
    Ok(trust::carry_out(&record, order, now)?)
}

async fn keep(
    spec: &AgentSpec,
    journal: &Arc<dyn Journal>,
    has_journal: bool,
    record: UserRecord,
) -> Answer<UserRecord> {
    if !has_journal {
        make(spec, journal).await?;
    }
    journal.keep_trust(std::slice::from_ref(&record)).await?;
    Ok(record)
}

/// Makes the journal of an agent that never ran: a life in which nothing happens.
///
/// A store without a journal is another matter: the journal was lost, and the
/// start that finds out must not find one that looks as if nothing had been.
async fn make(spec: &AgentSpec, journal: &Arc<dyn Journal>) -> Answer<()> {
    if has_content(&spec.encryption.store_path.join("crypto.db")) {
        let reason = format!("{} has a crypto store and no journal to keep this in", spec.id);
        return Err(Refusal::new(reason, "start it with `launcher run`, and repeat the command"));
    }
    journal.begin().await?;
    journal.begin_fresh().await?;
    Ok(journal.end().await?)
}

fn has_journal(spec: &AgentSpec) -> bool {
    has_content(&spec.data_folder().join("journal.db"))
}

fn has_content(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| file.len() > 0)
}

/// In milliseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

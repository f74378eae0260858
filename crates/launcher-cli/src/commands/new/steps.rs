//! From nothing to an agent's folder, step by step; see [`super`] for their order.

use std::path::Path;

use launcher_config::RootConfig;
use launcher_control::{audit::Outcome, wire::Refusal};
use launcher_core::spec::AgentSpec;
use launcher_matrix::{
    MatrixConnector,
    registration::{Found, find_homeserver},
};

use super::{
    Audit, New,
    account::{self, Account, Done},
    choice::{self, Choice},
    draft::Draft,
    files::Files,
};
use crate::{
    configured::{Configured, agent_with},
    exit::say,
    progress::patiently,
    table::harmless,
};

/// An agent that is there.
pub(super) struct Newcomer {
    pub(super) configured: Configured,
    pub(super) spec: AgentSpec,
    /// None if an earlier run has made it, and only that had to be found out.
    pub(super) account: Option<Done>,
}

/// What an agent is made from.
pub(super) struct Steps<'a> {
    pub(super) options: &'a New,
    pub(super) root: Option<&'a RootConfig>,
    pub(super) files: &'a Files,
    /// Where it is noted that this is under way.
    pub(super) notes: &'a Path,
}

impl Steps<'_> {
    /// Makes the agent, or finishes what an earlier run has made.
    pub(super) async fn make(&self, audit: &Audit<'_>) -> anyhow::Result<Newcomer> {
        let (id, files) = (&self.options.agent.id, self.files);
        let draft = Draft::read(self.notes, id)?;
        let earlier = draft.as_ref().and_then(|draft| draft.user_id.clone());
        let account = match (files.is_there(), &draft) {
            (false, _) => Some(self.begin(draft, audit).await?),
            // It was killed when nothing but the note was left to remove.
            (true, Some(draft)) if earlier.is_some() && !self.options.start_over => {
                self.check_given(draft).await?;
                None
            }
            (true, _) => return Err(files.is_taken().into()),
        };
        let configured = Configured::read(&self.options.agent.files)?;
        let spec = configured.agent(id)?.clone();
        if account.is_none() && earlier.as_ref() != Some(&spec.account.user_id) {
            return Err(files.is_taken().into());
        }
        Draft::remove(self.notes, id)?;
        Ok(Newcomer { configured, spec, account })
    }

    /// Fails if something else was given than in the run that made the agent.
    async fn check_given(&self, draft: &Draft) -> anyhow::Result<()> {
        let connector = MatrixConnector::new()?;
        let homeserver = match &self.options.homeserver {
            Some(given) => find(&connector, given).await?.base,
            None => draft.homeserver().clone(),
        };
        let username = self.options.username.as_deref().map(str::trim);
        Ok(draft.check(&self.options.agent.id, &homeserver, username)?)
    }

    /// Fails if another agent speaks as the account: two of them would answer twice.
    fn check_rivals(&self, user_id: &str) -> Result<(), Refusal> {
        match agent_with(&self.options.agent.files, user_id) {
            Some(other) if other != self.options.agent.id => Err(Refusal::new(
                harmless(&format!(
                    "another agent, {other}, has the account {user_id}; nothing was done"
                )),
                "take another account: one account is one agent",
            )),
            _ => Ok(()),
        }
    }

    /// Makes everything but the last step, which is to forget that this was begun.
    async fn begin(&self, draft: Option<Draft>, audit: &Audit<'_>) -> anyhow::Result<Done> {
        let Self { options, root, files, notes } = *self;
        let id = &options.agent.id;
        files.check_variables(draft.is_some())?;
        let connector = MatrixConnector::new()?;
        let typed = choice::homeserver(options.homeserver.as_deref(), root)?;
        let found = find(&connector, &typed).await?;
        let newest = found.versions.last().map(String::as_str).unwrap_or_default();
        say(&harmless(&format!("{} answers; it speaks Matrix {newest}", found.base)));
        if !found.is_private() {
            say("this address is not encrypted: whoever is on the way reads the password");
        }
        let is_dropped = options.start_over && draft.is_some();
        let known = draft.filter(|_| !is_dropped);
        if let Some(draft) = &known {
            draft.check(id, &found.base, options.username.as_deref().map(str::trim))?;
        }
        let earlier = known.as_ref().map(Draft::username);
        let given = options.username.as_deref();
        let username = choice::username(given, id, earlier, &options.entrance)?;
        if let Some(draft) = &known {
            draft.check(id, &found.base, Some(&username))?;
        }
        let username = earlier.map_or(username, str::to_owned);
        let choice = Choice::make(&connector, &found.base, &username, &options.entrance).await?;

        let mut account = Account::begin(&connector, &found.base, &username, &choice);
        let password = known.as_ref().and_then(|_| files.password());
        patiently("waiting for the homeserver", account.examine(password.as_ref())).await?;
        if known.is_some() {
            files.check_password(&account.password()?)?;
        }

        if let Ok(user_id) = account.user_id() {
            self.check_rivals(&user_id)?;
        }

        audit.note((Outcome::Began, None));
        if is_dropped {
            // Before the note: what is in `.env` would be taken for this run's.
            files.set_aside()?;
        }
        let begun = files.begin(&found.base)?;
        let mut draft = Draft::begin(notes, id, &found.base, &username)?;
        let added = files.add_secrets(&account.password()?)?;
        say(&format!("{} are in {}", files.variables().join(" and "), files.env_file().display()));
        // Nothing that was there before is taken away.
        if let Err(error) = patiently("waiting for the homeserver", account.register()).await {
            // What an earlier run has written down may be an account's only password.
            let may_undo = error.is_final() && known.is_none();
            if let Some(added) = added.filter(|_| may_undo) {
                added.undo()?;
                Draft::remove(notes, id)?;
                begun.undo()?;
            }
            return Err(account::refusal(&error).into());
        }
        let user_id = account.user_id()?;
        draft.registered(&user_id)?;
        files.move_in(notes, &found.base, &user_id)?;
        Ok(account.done())
    }
}

/// The homeserver that somebody means.
async fn find(connector: &MatrixConnector, typed: &str) -> Result<Found, Refusal> {
    let found = find_homeserver(connector, typed).await;
    found.map_err(|error| Refusal::new(error.to_string(), error.action()))
}

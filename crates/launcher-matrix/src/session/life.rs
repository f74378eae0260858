//! The agent's life, as it is announced, and what other lives of it do.

use launcher_core::{
    claim::{self, Announcement, Claim, Claims, Reaction},
    fault::Fault,
    preflight::Mismatch,
};
use serde_json::Value;
use tracing::warn;

use super::MatrixSession;
use crate::lineage;

/// The agent's life, as it is announced.
pub(super) struct Life {
    pub(super) claim: Claim,
    /// The other life that was told to end.
    pub(super) objected_to: Option<String>,
}

impl MatrixSession {
    /// Looks whether another life of the agent has announced itself.
    pub(super) async fn on_account_data(&self, event: &Value) -> Result<(), Fault> {
        let Some(seen) = lineage::read(event) else { return Ok(()) };
        let parts = &self.parts;
        let mut life = self.life.lock().await;
        let reply = match claim::react(&life.claim, life.objected_to.as_deref(), &seen) {
            Reaction::None => return Ok(()),
            Reaction::Answer => {
                let (challenge, answer) = (seen.challenge.clone(), seen.challenge);
                Announcement { challenge, answer, ..Announcement::of(life.claim.clone()) }
            }
            Reaction::Object => {
                warn!(
                    event = "store_cloned",
                    device_id = seen.claim.device,
                    generation = seen.claim.generation,
                    "another launcher has begun to run this agent; told it to stop"
                );
                let generation = life.claim.generation.max(seen.claim.generation);
                life.claim.generation = generation.saturating_add(1);
                life.objected_to = Some(seen.claim.life.clone());
                let objects_to = Some(seen.claim.life);
                let objection = Announcement { objects_to, ..Announcement::of(life.claim.clone()) };
                // First the server: after a kill in between, names are compared, and ours is known.
                lineage::put(&parts.spec, &parts.rest, &self.login(), &objection).await?;
                let claims = Claims { last: Some(life.claim.clone()), next: None };
                return parts.journal.keep_claims(&claims).await;
            }
            Reaction::End => {
                let user = parts.spec.account.user_id.clone();
                return Err(Fault::Mismatched { mismatch: Mismatch::Cloned { user } });
            }
        };
        lineage::put(&parts.spec, &parts.rest, &self.login(), &reply).await
    }
}

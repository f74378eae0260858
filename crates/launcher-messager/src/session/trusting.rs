//! The trust ledger of an agent that runs, for operators.

use std::time::Duration;

use async_trait::async_trait;
use launcher_core::{
    names::UserId,
    trust::{Method, Order, UserRecord},
};
use launcher_runtime::ports::trust::{
    Partner, Trust, TrustError, Verification, VerificationAnswer,
};

use super::{MessagerSession, locked};
use crate::names;

#[async_trait]
impl Trust for MessagerSession {
    async fn users(&self) -> Result<Vec<UserRecord>, TrustError> {
        Ok(self.ledger.users().await?)
    }

    async fn decide(&self, user: &UserId, order: &Order) -> Result<UserRecord, TrustError> {
        let decided = self.serving.work(self.ledger.decide(user, order)).await;
        let record = decided.unwrap_or_else(|| {
            Err(TrustError::Refused {
                reason: "the agent is stopping".to_owned(),
                action: "repeat the command when it runs again".to_owned(),
            })
        })?;
        // Messages that wait because of the user are looked at again, now. Who may not have a
        // room's key any more is not in the next message's circle, so it begins a new session.
        locked(&self.hurried).insert(record.user.clone());
        self.stir();
        Ok(record)
    }

    async fn verifications(&self) -> Vec<Verification> {
        Vec::new()
    }

    async fn begin_verification(
        &self,
        with: &Partner,
        _method: Method,
    ) -> Result<Verification, TrustError> {
        let user = names::account_of(&with.user).map(names::user);
        Err(self.no_verification(user.as_ref().unwrap_or(&with.user)))
    }

    async fn verification(
        &self,
        _number: u64,
        _after: u64,
        _wait: Duration,
    ) -> Result<Verification, TrustError> {
        Err(self.no_verification(&UserId::new("USER")))
    }

    async fn answer_verification(
        &self,
        _number: u64,
        _answer: VerificationAnswer,
    ) -> Result<Verification, TrustError> {
        Err(self.no_verification(&UserId::new("USER")))
    }
}

impl MessagerSession {
    fn no_verification(&self, user: &UserId) -> TrustError {
        TrustError::Refused {
            reason: "devices are not verified with each other on this network".to_owned(),
            action: format!(
                "compare the keys that `launcher trust {0}` shows with their owner, then run \
                 `launcher trust {0} approve {user} DEVICE`",
                self.parts.spec.id
            ),
        }
    }
}
